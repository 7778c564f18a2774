"""aiohttp's server with our answers where no handler is asked, as to what is not HTTP (section 2).

aiohttp's own would repeat what the client sent, which may be a token, in Python's notation, and name the
versions of what the server is made of.
"""

from __future__ import annotations

from collections import deque
from http import HTTPStatus
from typing import Any

from aiohttp import EMPTY_PAYLOAD, HttpVersion10, StreamReader, web
from aiohttp.http_exceptions import BadHttpMessage, BadStatusLine, LineTooLong
from aiohttp.web_protocol import _ErrInfo

from mesh_sim.api.answers import json_bytes
from mesh_sim.api.connections import Connection, Connections
from mesh_sim.api.header_bytes import SERVER
from mesh_sim.exchange.errors import INTERNAL

_NOT_HTTP = "Invalid HTTP request received."
_MAX_HEADERS = "MESH_SIM_MAX_HEADERS"


class BrokenBody(web.RequestPayloadError, TimeoutError):
    """A body that stopped being HTTP before its end.

    A ``TimeoutError`` too: nothing else ends aiohttp's wait for the rest of a body that no handler read.
    """


class _Connection(Connection):
    """One client's connection."""

    # aiohttp tells of none of this: what was parsed and waits for its turn.
    _messages: deque[tuple[Any, StreamReader]]

    _coming: StreamReader | None = None
    """The body that the newest bytes belong to, or belonged to before they were no HTTP any more."""

    def data_received(self, data: bytes) -> None:
        """Take in bytes; where they are no HTTP any more, the body they were part of has ended too.

        aiohttp notes a refusal for when its turn comes, which is after the request whose body still waits.
        """
        super().data_received(data)
        if not self._messages:
            return
        newest, body = self._messages[-1]
        if not isinstance(newest, _ErrInfo):
            self._coming = body
            if newest.version < HttpVersion10:  # llhttp reads a line without a version as HTTP/0.9
                old = BadStatusLine("", "HTTP/0.9")
                self._messages[-1] = (_ErrInfo(400, old, old.message), EMPTY_PAYLOAD)
            return
        broken = self._coming
        if broken is not None and not broken.is_eof() and broken.exception() is None:
            broken.set_exception(BrokenBody("the body is not HTTP: its chunks are not what they say"))

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what never reached a handler, or what one failed to answer; the connection ends with it.

        Raises:
            ConnectionError: part of an answer is out already.
        """
        if status >= 500:
            super().handle_error(request, status, exc, message)  # logs it
            answer = _json(HTTPStatus.INTERNAL_SERVER_ERROR, {"message": INTERNAL})
        else:
            if request.writer.output_size:
                raise ConnectionError("what is not HTTP came while an answer was being sent")
            answer = self._refused(exc)
        answer.headers["Server"] = SERVER  # no application has a say in this answer
        answer.force_close()
        return answer

    def _refused(self, error: BaseException | None) -> web.Response:
        if setting := _setting(error):
            what = "has too many lines" if setting == _MAX_HEADERS else "is too long"
            self.connections.say(f"a request was refused, as its header {what} ({setting})")
            status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            return _json(status, {"detail": status.phrase})
        self.connections.say(f"a request was refused, as it is not proper HTTP ({type(error).__name__})")
        return web.Response(status=400, text=_NOT_HTTP)


def _setting(error: BaseException | None) -> str:
    """Give the setting of the limit that the parser found passed; nothing, where it found something else."""
    if isinstance(error, LineTooLong):
        return "MESH_SIM_MAX_HEADER_BYTES"
    if isinstance(error, BadHttpMessage) and error.message.startswith("Too many headers"):
        return _MAX_HEADERS
    return ""


def _json(status: HTTPStatus, body: dict[str, str]) -> web.Response:
    return web.Response(status=status, body=json_bytes(body), content_type="application/json")


class _Server(web.Server):
    watched: Connections

    def __call__(self) -> web.RequestHandler:
        return _Connection(self.watched, self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """Runs an application behind such a server."""

    def __init__(self, app: web.Application, connections: Connections, **options: Any) -> None:
        super().__init__(app, **options)
        self._watched = connections

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        options = made._kwargs  # noqa: SLF001 - aiohttp hands them on nowhere else
        server = _Server(made.request_handler, request_factory=made.request_factory, **options)
        server.watched = self._watched
        return server
