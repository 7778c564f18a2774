"""Successful answers: versions and JSON bodies (mesh-api.md section 3)."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from aiohttp import web

from mesh_sim.exchange.errors import Malformed
from ndoo.protocol import MEDIA_TYPE, ApiVersion, ErrorCode, api_version


def wanted_version(request: web.Request) -> ApiVersion:
    """Give the version of the body that the caller asks for.

    Raises:
        Malformed: its Accept header names a MESH version that does not exist.
    """
    try:
        return api_version(request.headers.get("Accept"))
    except ValueError as error:
        raise Malformed("Accept header api format incorrect", why="its MESH part is not v1 or v2") from error


def version_or_first(request: web.Request) -> ApiVersion:
    """Give the wanted version where Accept is not examined: one that does not exist reads as version 1."""
    try:
        return api_version(request.headers.get("Accept"))
    except ValueError:
        return ApiVersion.V1


def json_bytes(body: Any) -> bytes:
    """Serialise a body, without blanks between its parts."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogateescape")


def iso(at: datetime) -> str:
    """Write a time as MESH's version 2 does: ISO 8601 in UTC, with microseconds and without its zone."""
    return at.replace(tzinfo=None).isoformat(timespec="microseconds")


def error_answer(version: ApiVersion, status: int, error: ErrorCode, *, message_id: str = "") -> web.Response:
    """Answer with a MESH error (section 4); the message is named where there is one."""
    body: dict[str, Any] = {}
    if version is ApiVersion.V1:
        if message_id:
            body["messageID"] = message_id
        body |= {"errorEvent": error.event, "errorCode": error.code, "errorDescription": error.text}
    else:
        if message_id:
            body |= {"message_id": message_id, "internal_id": message_id}
        body["detail"] = [{"event": error.event, "code": error.code, "msg": error.text}]
    return json_answer(version, body, status=status)


def json_answer(version: ApiVersion, body: Any, *, status: int = 200) -> web.Response:
    """Answer with a JSON body under the version's media type."""
    return web.Response(body=json_bytes(body), status=status, content_type=MEDIA_TYPE[version])
