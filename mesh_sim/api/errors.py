"""Every refusal becomes a status and a body here, and nowhere else (mesh-api.md section 4)."""

from __future__ import annotations

import contextlib
import logging
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from mesh_sim.api.answers import error_answer, json_bytes, version_or_first
from mesh_sim.api.connections import RETRY_AFTER_S, SlowBody
from mesh_sim.api.control.refusals import ControlRefused
from mesh_sim.api.header_bytes import NO_PAGE, POLICY
from mesh_sim.api.http_server import BrokenBody
from mesh_sim.api.journal import MESSAGE_ID, REASON
from mesh_sim.api.keys import NOT_FOUND_PAGE
from mesh_sim.api.limits import TooBusy, end_unasked
from mesh_sim.api.operations import NO_OPERATION, Handler, operation_of
from mesh_sim.api.validation import ValidationFailed
from mesh_sim.exchange import errors
from mesh_sim.gzip import GzipError
from ndoo.protocol import ErrorCode

log = logging.getLogger("mesh_sim.api")

_CONTROL: Final = "/admin"
_PROGRAMS: Final = (_CONTROL, "/messageexchange")
"""Below these nobody looks for a page."""

STATUS: Final[dict[type[errors.ExchangeError], int]] = {
    errors.Ambiguous: 300,
    errors.Malformed: 400,
    errors.Unauthorised: 403,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.ChunkBeyondTotal: 406,
    errors.Gone: 410,
    errors.BodyTooLarge: 413,
    errors.SendRefused: 417,
    errors.EncodingUnsupported: 422,
    errors.UploadFinished: 423,
    errors.StorageFailed: 503,
}

_GENERIC: Final = (errors.ChunkBeyondTotal, errors.UploadFinished, errors.StorageFailed)
"""Kinds answered in the generic shape, which says nothing of the cause."""


@web.middleware
async def errors_to_bodies(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what a handler raises into its answer, and say in the log why a request was refused."""
    try:
        response = await handler(request)
    except Exception as error:  # noqa: BLE001 - this is the one place where everything is caught
        if request.path.startswith(_CONTROL):
            request[POLICY] = NO_PAGE  # for paths and methods that there are not, too
        response = await _answer(request, error)
    return response


async def _answer(request: web.Request, error: Exception) -> web.StreamResponse:
    answer: web.StreamResponse
    match error:
        case errors.ExchangeError():
            level = logging.ERROR if isinstance(error, errors.StorageFailed) else logging.INFO
            _log_refusal(request, STATUS[type(error)], str(error), level)
            if error.message_id:
                request[MESSAGE_ID] = error.message_id
            answer = _refusal(request, error)
        case ValidationFailed():
            _log_refusal(request, 400, str(error))
            answer = _json(400, {"detail": error.faults})
        case ControlRefused():
            challenge = {"WWW-Authenticate": "Bearer"} if error.status == 401 else None
            answer = _json(error.status, error.body(), headers=challenge)
        case web.HTTPNotFound():
            answer = await _not_found(request)
        case web.HTTPMethodNotAllowed():
            request[REASON] = f"the path is not for {request.method}, only for {error.headers['Allow']}"
            allow = {"Allow": error.headers["Allow"]}
            answer = _json(405, {"detail": "Method Not Allowed"}, headers=allow)
        case web.RequestPayloadError() | ConnectionError():
            # Where nobody is left to read this, it only ends the request.
            left = "the connection broke while the body was coming in"
            _log_refusal(request, 400, str(error) if isinstance(error, BrokenBody) else left)
            answer = _json(400, {"detail": "Incomplete request body"})
        case TooBusy() | SlowBody():
            answer = _limited(request, error)
        case GzipError():
            # The sender's fault, not the server's: there is no plain body to give to this caller.
            why = f"its sender declared it gzip, but {error}; a caller that accepts gzip gets it as it is"
            _log_refusal(request, 406, why)
            answer = _json(406, {"message": errors.INTERNAL})
        case _:
            log.error("%s failed", operation_of(request), exc_info=error)
            request[REASON] = f"the simulator itself failed ({type(error).__name__}); its log says more"
            answer = _json(500, {"message": errors.INTERNAL})
    end_unasked(request, answer)
    return answer


def _limited(request: web.Request, error: TooBusy | SlowBody) -> web.Response:
    """Refuse what comes amid too much else, or too slowly: MESH has no code for either."""
    request[REASON] = str(error)
    busy = isinstance(error, TooBusy)
    status = HTTPStatus.SERVICE_UNAVAILABLE if busy else HTTPStatus.REQUEST_TIMEOUT
    if operation_of(request) == NO_OPERATION:
        answer = _json(status, ControlRefused(status, str(error)).body())
    else:
        answer = error_answer(version_or_first(request), status, ErrorCode("", "", status.phrase))
    if busy:
        answer.headers["Retry-After"] = str(RETRY_AFTER_S)
    else:
        answer.force_close()
    return answer


def _refusal(request: web.Request, error: errors.ExchangeError) -> web.Response:
    status = STATUS[type(error)]
    if isinstance(error, _GENERIC):
        return _json(status, {"message": error.text})
    version = version_or_first(request)  # a bad Accept is itself answered in version 1
    return error_answer(
        version, status, ErrorCode(error.event, error.code, error.text), message_id=error.message_id
    )


async def _not_found(request: web.Request) -> web.StreamResponse:
    """Answer for a path that leads nowhere; a trailing slash is sent on to the path without it."""
    path = request.rel_url.raw_path
    if path.endswith("/") and path != "/":
        plain = request.rel_url.with_path(path.rstrip("/") or "/", encoded=True, keep_query=True)
        found = await request.app.router.resolve(request.clone(rel_url=plain))
        if found.http_exception is None or isinstance(found.http_exception, web.HTTPMethodNotAllowed):
            request[REASON] = "the path ends with a slash; its caller is sent to the one without"
            with contextlib.suppress(ValueError):  # a Host header that is none has no address to send on to
                # Without a Host header aiohttp would ask the system for a name, and wait for its answer.
                there = request.url.join(plain) if "Host" in request.headers else plain
                return web.Response(status=307, headers={"Location": str(there)})
    request[REASON] = "no operation has this path"
    if _is_for_people(request):
        return await request.app[NOT_FOUND_PAGE](request)
    return _json(404, {"detail": "Not Found"})


def _is_for_people(request: web.Request) -> bool:
    """Tell whether somebody looks for a page, in a browser."""
    asks = request.method == "GET" and "text/html" in request.headers.get("Accept", "")
    return asks and not request.path.startswith(_PROGRAMS)


def _json(
    status: int,
    body: dict[str, Any],
    *,
    content_type: str = "application/json",
    headers: dict[str, str] | None = None,
) -> web.Response:
    return web.Response(status=status, body=json_bytes(body), content_type=content_type, headers=headers)


def _log_refusal(request: web.Request, status: int, why: str, level: int = logging.INFO) -> None:
    request[REASON] = why
    # The mailbox is as the caller wrote it, so it may be anything: quoted, and cut.
    mailbox = request.match_info.get("mailbox_id", "-")[:40]
    log.log(level, "%d %s for mailbox %r: %s", status, operation_of(request), mailbox, why)
