"""Open connections: how many there may be, and how long each may keep the server waiting.

One timer looks at all of them every now and then, so that a request costs nothing for being watched. What
it finds out of time is answered, where there is somebody to answer, and closed. Times are real.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from dataclasses import dataclass
from heapq import nsmallest
from http import HTTPStatus
from operator import itemgetter
from typing import Any, Final, cast

from aiohttp import StreamReader, web

from mesh_sim.api.answers import json_bytes
from mesh_sim.api.header_bytes import SERVER
from mesh_sim.api.limits import is_unasked
from mesh_sim.api.patience import Patience
from mesh_sim.config import Settings
from mesh_sim.descriptors import connections_within

http_log = logging.getLogger("mesh_sim.http")

RETRY_AFTER_S: Final = 1
"""When to try again what was refused because there was too much at once."""

_LOG_EVERY_S: Final = 10.0
_LOOK_EVERY_S: Final = 1.0
_LEAVE_WITHIN_S: Final = 2.0
"""How long one who was turned away has to read the answer and go; so long its bytes are thrown away."""
_MOST_LEAVING: Final = 64
_BUSY_S: Final = 0.05
"""When all are busy, so long nobody looks again whether one has become idle."""
_MADE_ROOM: Final = 50
"""When there is no room, one in so many connections goes, so that few newcomers have to look for it."""


class SlowBody(TimeoutError):
    """A body kept the server waiting for too long; the text says how, and which setting that is."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a connection is allowed; times in seconds."""

    connections: int
    header_bytes: int
    header_s: float
    stall_s: float
    rate: int

    @classmethod
    def of(cls, settings: Settings) -> Terms:
        """Read them from the settings; there are no more connections than the process may open."""
        connections = connections_within(settings.max_connections, busy=settings.max_in_flight)
        if connections < settings.max_connections and "max_connections" in settings.model_fields_set:
            http_log.warning(
                "MESH_SIM_MAX_CONNECTIONS is %d, but this process may open so few files that there can be "
                "only %d; raise its limit (ulimit -n)",
                settings.max_connections,
                connections,
            )
        return cls(
            connections=connections,
            header_bytes=settings.max_header_bytes,
            header_s=settings.header_time.total_seconds(),
            stall_s=settings.stall_time.total_seconds(),
            rate=settings.min_rate,
        )


@dataclass(frozen=True, slots=True)
class Handshake:
    """A handshake of TLS that is going on."""

    since: float
    socket: socket.socket

    def end(self) -> None:
        """Have it fail at once."""
        with contextlib.suppress(OSError):  # the client was quicker
            self.socket.shutdown(socket.SHUT_RDWR)


class Connections:
    """The open connections of one server; watched between :meth:`start` and :meth:`stop`."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self._open: dict[Connection, None] = {}
        self._shaking: dict[Connection, Handshake] = {}
        self._leaving: dict[Connection, float] = {}
        self._logged: dict[str, tuple[float, int]] = {}
        self._leave_within_s = min(_LEAVE_WITHIN_S, terms.header_s)
        self._every_s = min(_LOOK_EVERY_S, terms.header_s / 4, terms.stall_s / 4)
        self._looked_at = 0.0
        self._busy_until = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to watch, in the running event loop."""
        loop = asyncio.get_running_loop()
        self._looked_at = loop.time()
        self._timer = loop.call_later(self._every_s, self._look, loop)

    def stop(self) -> None:
        """Watch no more, and see off those who were asked to leave."""
        if self._timer is not None:
            self._timer.cancel()
        for connection in self._leaving:
            connection.wire.abort()
        for handshake in self._shaking.values():
            handshake.end()

    def await_handshake(self, connection: Connection, handshake: Handshake) -> bool:
        """Count a connection that TLS has yet to be agreed on with; False where there is no room for it.

        It is admitted in the end, and its handshake ended in any case.
        """
        if not self._is_room():
            return False
        self._shaking[connection] = handshake
        return True

    def admit(self, connection: Connection) -> bool:
        """Take in a new connection, or turn it away: 503, where nobody idle could go instead."""
        self._shaking.pop(connection, None)
        if not self._is_room():
            self.turn_away(connection, HTTPStatus.SERVICE_UNAVAILABLE)
            return False
        self._open[connection] = None
        return True

    def forget(self, connection: Connection) -> None:
        """Let go of a connection that is gone."""
        self._open.pop(connection, None)
        self._leaving.pop(connection, None)

    def end_handshake(self, connection: Connection) -> None:
        """Forget a handshake, whatever came of it."""
        self._shaking.pop(connection, None)

    def turn_away(self, connection: Connection, status: HTTPStatus) -> None:
        """Answer a connection whose request is not known, and end it."""
        self._open.pop(connection, None)
        connection.close()
        wire = connection.wire
        wire.write(_last_words(status))
        if len(self._leaving) < _MOST_LEAVING:
            self._leaving[connection] = asyncio.get_running_loop().time()
            if wire.can_write_eof():
                # Closed at once, with bytes of the client's unread, it might be reset before the answer is.
                wire.write_eof()
                return
        elif not wire.can_write_eof():  # TLS, where closing would wait for the client
            wire.abort()
            return
        wire.close()

    def say(self, text: str) -> None:
        """Log what a client can bring about at will, and holds nothing it sent; not again and again."""
        now = asyncio.get_running_loop().time()
        silent_until, left_out = self._logged.get(text, (0.0, 0))
        if now < silent_until:
            self._logged[text] = (silent_until, left_out + 1)
            return
        self._logged[text] = (now + _LOG_EVERY_S, 0)
        http_log.warning("%s%s", text, f"; so were {left_out} others" if left_out else "")

    def _is_room(self) -> bool:
        """Tell whether there may be one more, after those idle for the longest have made room for it."""
        count = len(self._open) + len(self._shaking)
        if count < self.terms.connections:
            return True
        now = asyncio.get_running_loop().time()
        if now < self._busy_until:
            return False
        idle = [(connection.idle_since(), connection) for connection in self._open if connection.is_done]
        idle += [(handshake.since, connection) for connection, handshake in self._shaking.items()]
        for _, connection in nsmallest(max(1, count // _MADE_ROOM), idle, key=itemgetter(0)):
            if handshake := self._shaking.pop(connection, None):
                handshake.end()
            else:
                del self._open[connection]
                connection.wire.abort()
        what = "closed, as it was idle and there were too many" if idle else "refused, as too many were busy"
        self.say(f"a connection was {what} (MESH_SIM_MAX_CONNECTIONS)")
        if not idle:
            self._busy_until = now + _BUSY_S
        return bool(idle)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(self._every_s, self._look, loop)
        now = loop.time()
        # Time in which the server itself stood still is nobody else's fault.
        passed_s = min(now - self._looked_at, 2 * self._every_s)
        self._looked_at = now
        for connection in list(self._open):
            connection.look(now, passed_s)
        for connection, since in list(self._leaving.items()):
            if now - since >= self._leave_within_s:
                connection.wire.abort()


class Connection(web.RequestHandler):
    """One client's connection, with what is known of how long it has kept the server waiting."""

    # aiohttp tells of none of this: whether a request is waited for, worked on, or read from.
    _waiter: asyncio.Future[None] | None
    _request_in_progress: bool
    _request_count: int
    _current_request: web.BaseRequest | None
    _reading_paused: bool
    _close: bool

    def __init__(self, connections: Connections, manager: web.Server, **options: Any) -> None:
        super().__init__(manager, **options)
        self.wire: asyncio.Transport
        self.connections = connections
        self._terms = connections.terms
        self._since = 0.0
        """When it was last seen to be busy, or was made."""
        self._seen = 0
        self._head_bytes = 0
        """What has come of a request whose header is not complete, while one is waited for."""
        self._head_since = 0.0
        self._body: StreamReader | None = None
        self._patience: Patience | None = None
        self._unsent = 0
        self._stuck_s = 0.0

    @property
    def is_idle(self) -> bool:
        """Whether a request is waited for: the first, or another after an answer."""
        waiter = self._waiter
        return self._request_count == 0 or (waiter is not None and not waiter.done())

    @property
    def is_done(self) -> bool:
        """Whether a request is waited for and the answer before it is all sent."""
        return self.is_idle and not self.wire.get_write_buffer_size()

    def idle_since(self) -> float:
        """Give since when it has waited for a request."""
        return self._since if self._request_count == self._seen else self._loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read requests, if there is room for one more."""
        self.wire = cast("asyncio.Transport", transport)
        self._since = self._loop.time()
        if self.connections.admit(self):
            super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """End what goes on."""
        self.connections.forget(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in bytes; too many without a whole header among them are refused: 431."""
        before = self._request_count
        super().data_received(data)
        if self._request_count != before:
            self._head_bytes = 0
            return
        if self._close or not self.is_idle:  # or a body, or the next request ahead of its time
            return
        if not self._head_bytes:
            self._head_since = self._loop.time()
        self._head_bytes += len(data)
        if self._head_bytes > self._terms.header_bytes:
            self.connections.say(
                "a request was refused, as its header is too long (MESH_SIM_MAX_HEADER_BYTES)"
            )
            self.connections.turn_away(self, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def look(self, now: float, passed_s: float) -> None:
        """End the connection if it has kept the server waiting for too long."""
        if self._reader_is_gone(passed_s):
            self.connections.say("an answer was broken off, as it was not read (MESH_SIM_STALL_TIME)")
            self.wire.abort()
        elif self.is_idle:
            self._look_at_header(now)
        elif self._request_in_progress:
            self._since = now
            self._look_at_body(passed_s)

    def _reader_is_gone(self, passed_s: float) -> bool:
        unsent = self.wire.get_write_buffer_size()
        self._stuck_s = self._stuck_s + passed_s if unsent and unsent == self._unsent else 0.0
        self._unsent = unsent
        return self._stuck_s >= self._terms.stall_s

    def _look_at_header(self, now: float) -> None:
        self._body = None
        if self._request_count != self._seen:
            self._seen, self._since = self._request_count, now
        first = self._request_count == 0
        since = self._since if first else self._head_since
        if (first or self._head_bytes) and now - since >= self._terms.header_s:
            if not self._head_bytes:  # nothing was asked, so nothing is answered
                self.wire.abort()
                return
            self.connections.say("a request was refused, as its header took too long (MESH_SIM_HEADER_TIME)")
            self.connections.turn_away(self, HTTPStatus.REQUEST_TIMEOUT)

    def _look_at_body(self, passed_s: float) -> None:
        request = self._current_request
        if request is None or request.content.is_eof() or self._reading_paused or is_unasked(request):
            return
        body = request.content
        if body is not self._body or self._patience is None:
            self._body, self._patience = body, Patience(self._terms.stall_s, self._terms.rate)
        if body.exception() is None and (why := self._patience.look(body.total_bytes, passed_s)):
            body.set_exception(SlowBody(why))


def _last_words(status: HTTPStatus) -> bytes:
    """Write a whole answer for one of whom no request is known."""
    body = json_bytes({"detail": status.phrase})
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        f"Server: {SERVER}",
        "Connection: close",
    ]
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        lines.append(f"Retry-After: {RETRY_AFTER_S}")
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body
