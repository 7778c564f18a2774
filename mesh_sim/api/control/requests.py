"""Control requests: who may make them, what they say, and their answers."""

from __future__ import annotations

import json
from hmac import compare_digest
from typing import Any, TypeVar
from urllib.parse import urlsplit

from aiohttp import web
from pydantic import ValidationError

from mesh_sim.api.answers import json_answer
from mesh_sim.api.control.refusals import ControlRefused
from mesh_sim.api.keys import SETTINGS
from mesh_sim.api.operations import Handler
from mesh_sim.config import is_loopback
from mesh_sim.wishes.base import Wish, problems_of
from ndoo.protocol import ApiVersion

W = TypeVar("W", bound=Wish)


def guarded(handler: Handler) -> Handler:
    """Let only those in who may control the simulator.

    With ``MESH_SIM_ADMIN_TOKEN`` set, whoever sends it as ``Authorization: Bearer …``; without it (on
    loopback only), everybody but other sites' pages in a browser on this machine.
    """

    async def check_first(request: web.Request) -> web.StreamResponse:
        _check_origin(request)
        _check_token(request)
        return await handler(request)

    return check_first


def _check_token(request: web.Request) -> None:
    token = request.app[SETTINGS].admin_token
    if token is None:
        return
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    expected = token.get_secret_value().encode("utf-8", "surrogateescape")
    if scheme.lower() != "bearer" or not compare_digest(given.encode("utf-8", "surrogateescape"), expected):
        raise ControlRefused(
            401,
            "the control API needs its token: send 'Authorization: Bearer …' with the value of "
            "MESH_SIM_ADMIN_TOKEN",
        )


def _check_origin(request: web.Request) -> None:
    """Refuse what a page of another site makes a browser send, also under a name that it made ours."""
    origin = request.headers.get("Origin")
    if origin is not None and origin.partition("://")[2] != request.host:
        raise ControlRefused(403, "the control API answers no requests from other sites' pages")
    if request.app[SETTINGS].admin_token is None and not is_loopback(_host_name(request.host)):
        raise ControlRefused(
            403,
            "without a token the control API answers to localhost and 127.0.0.1 only; call it by that name, "
            "or set MESH_SIM_ADMIN_TOKEN",
        )


def _host_name(host: str) -> str:
    """Give a ``Host`` header without its port; nothing, where it is not one."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


async def read_wish(request: web.Request, model: type[W]) -> W:
    """Read a JSON body as what ``model`` describes.

    Raises:
        ControlRefused: it is not JSON, not an object, too large, or has fields that are not allowed.
    """
    try:
        given = json.loads(await request.read() or b"{}")
    except web.HTTPRequestEntityTooLarge as error:
        raise ControlRefused(413, f"the body is larger than {error.text}") from error
    except (ValueError, RecursionError) as error:  # the latter for what is nested thousands deep
        raise ControlRefused(400, f"the body is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise ControlRefused(400, "the body must be a JSON object")
    return _as_wish(given, model)


def read_query(request: web.Request, model: type[W]) -> W:
    """Read the query string as what ``model`` describes.

    Raises:
        ControlRefused: a parameter is not allowed, or is given twice.
    """
    given: dict[str, Any] = {}
    for name, value in request.query.items():
        if name in given:
            raise ControlRefused.field(name, "is given twice")
        given[name] = value
    return _as_wish(given, model)


def _as_wish(given: dict[str, Any], model: type[W]) -> W:
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise ControlRefused.invalid(problems_of(error, model)) from error


def answer(body: Any, *, status: int = 200) -> web.Response:
    """Answer a control request with JSON."""
    return json_answer(ApiVersion.V1, body, status=status)
