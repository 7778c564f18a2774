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
from mesh_sim.api.header_bytes import NO_PAGE, POLICY
from mesh_sim.api.keys import SETTINGS
from mesh_sim.api.limits import MAX_JSON_BYTES, ask_for_body
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
        request[POLICY] = NO_PAGE
        check_origin(request)
        _check_token(request)
        await ask_for_body(request)
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


def check_origin(request: web.Request) -> None:
    """Refuse what a page of another site makes a browser send, also under a name that it made ours.

    Raises:
        ControlRefused: it comes from there.
    """
    if _is_foreign(request):
        raise ControlRefused(403, "the control API answers no requests from other sites' pages")
    if request.app[SETTINGS].admin_token is None and not is_loopback(_host_name(_host(request))):
        raise ControlRefused(
            403,
            "without a token the control API answers to localhost and 127.0.0.1 only; call it by that name, "
            "or set MESH_SIM_ADMIN_TOKEN",
        )


def _is_foreign(request: web.Request) -> bool:
    """Tell whether a browser sends this for another site's page; not, if a link was followed there."""
    headers = request.headers
    origin = headers.get("Origin")
    if origin is not None and origin.partition("://")[2] != _host(request):
        return True
    followed = request.method == "GET" and headers.get("Sec-Fetch-Mode") == "navigate"
    return headers.get("Sec-Fetch-Site") in ("cross-site", "same-site") and not followed


def _host(request: web.Request) -> str:
    """Give the ``Host`` header; for one that is not there, aiohttp would ask the system for a name."""
    return request.headers.get("Host", "")


def _host_name(host: str) -> str:
    """Give a ``Host`` header without its port; nothing, where it is not one."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


class NotJson(ValueError):
    """Bytes that are no JSON; the text says why, ``place`` where: at which character, or byte."""

    def __init__(self, why: str, place: int = 0) -> None:
        super().__init__(why)
        self.place = place


def parse_json(body: bytes) -> Any:
    """Read JSON.

    Raises:
        NotJson: it is none, or more than is read.
    """
    try:
        return json.loads(body)
    except json.JSONDecodeError as error:
        raise NotJson(error.msg, error.pos) from error
    except UnicodeDecodeError as error:
        raise NotJson("not UTF-8", error.start) from error
    except RecursionError as error:
        raise NotJson("nested too deeply") from error
    except ValueError as error:  # Python reads no number of thousands of digits
        raise NotJson("a number is too long") from error


async def read_wish(request: web.Request, model: type[W]) -> W:
    """Read a JSON body as what ``model`` describes.

    Raises:
        ControlRefused: it is not JSON, not an object, too large, or has fields that are not allowed.
    """
    try:
        given = parse_json(await request.read() or b"{}")
    except web.HTTPRequestEntityTooLarge as error:
        raise ControlRefused(413, f"the body is larger than {MAX_JSON_BYTES} bytes") from error
    except NotJson as error:
        raise ControlRefused(400, f"the body is not JSON: {error} (at {error.place})") from error
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
