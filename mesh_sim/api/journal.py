"""Every MESH request is noted in the journal here: what was asked, what came of it, and why."""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections.abc import Callable, Container
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from aiohttp import web

from mesh_sim.api.details import details_of, noting
from mesh_sim.api.flights import Flight, Flights
from mesh_sim.api.header_bytes import as_latin1
from mesh_sim.api.operations import NO_OPERATION, Handler, operation_of
from mesh_sim.clock import real_now
from mesh_sim.witness.digests import Reassemblies
from mesh_sim.witness.journal import (
    BROKEN,
    MAX_MAILBOX,
    MAX_METHOD,
    MAX_REASON,
    MAX_USER_AGENT,
    Entry,
    Journal,
    clean,
    message_id_in,
)

log = logging.getLogger("mesh_sim.api")

REASON = web.RequestKey("reason", str)
"""Why the request is refused, more precisely than its caller is told."""
NEAR_MISSES = web.RequestKey("near_misses", tuple[str, ...])
"""Which usual mistakes would explain a refused token."""
MESSAGE_ID = web.RequestKey("message_id", str)
"""The id that the request's message was given."""
FAULT = web.RequestKey("fault", str)
"""The id of the injected fault that acted on the request."""

_PREFIX: Final = "/messageexchange/"
_LONG_NUMBER: Final = re.compile(r"[0-9](?:[ -]?[0-9]){9,}")
_ADMIN: Final = "admin"

_MISSING: Final = {False: "an answer", True: "the whole answer"}
"""What was not sent of an answer that was or was not begun."""


class _Sent:
    """How much of an answer went out."""

    __slots__ = ("begun", "body_bytes", "flight", "mailbox", "watched", "whole")

    def __init__(self, mailbox: str, flight: Flight) -> None:
        self.mailbox = mailbox
        self.flight = flight
        self.watched = False
        self.begun = False
        self.body_bytes = 0
        self.whole = False


_SENT = web.RequestKey("sent", _Sent)


class Recorder:
    """Notes requests in the journal and tells ``listeners`` of each; they must not wait.

    Of mailboxes in ``rehearsing`` (ids in upper case) more is noted. It is somebody else's, and may change.
    """

    def __init__(
        self,
        journal: Journal,
        simulated_now: Callable[[], datetime],
        rehearsing: Container[str] = frozenset(),
    ) -> None:
        self.journal = journal
        self.listeners: list[Callable[[Entry], None]] = []
        self.rehearsing = rehearsing
        self._simulated_now = simulated_now
        self._flights = Flights()
        self._reassemblies = Reassemblies()

    def begin(self, request: web.Request) -> _Sent:
        """Take account of a request that has just come."""
        mailbox = _mailbox(request)
        among = mailbox.upper()
        sent = request[_SENT] = _Sent(mailbox, self._flights.begin(among, request.transport))
        if among in self.rehearsing:
            noting(request).reassemblies = self._reassemblies
        return sent

    def note(
        self,
        request: web.Request,
        operation: str,
        response: web.StreamResponse | None,
        *,
        at: datetime,
        duration_s: float,
    ) -> None:
        """Note a request that has ended, if by ``response`` None without an answer."""
        sent = request[_SENT]
        sent.flight.end()
        broken_off = "" if sent.whole else f"broken off before {_MISSING[sent.begun]} was sent"
        entry = Entry(
            number=self.journal.next_number(),
            at=at,
            simulated_at=self._simulated_now(),
            mailbox=clean(sent.mailbox, MAX_MAILBOX),
            operation=operation,
            method=clean(request.method, MAX_METHOD),
            status=response.status if response is not None and sent.begun else BROKEN,
            received_bytes=request.content.total_bytes,
            sent_bytes=sent.body_bytes,
            duration_s=duration_s,
            message_id=_message_id(request),
            reason=clean(request.get(REASON, broken_off), MAX_REASON),
            near_misses=request.get(NEAR_MISSES, ()),
            fault=request.get(FAULT, ""),
            user_agent=_program(request.headers.get("User-Agent", "")),
            details=details_of(request, operation, response, others=sent.flight.others, whole=sent.whole),
        )
        self.journal.record(entry)
        for listener in self.listeners:
            try:
                listener(entry)
            except Exception:
                log.exception("a listener to the journal failed")


JOURNAL = web.AppKey("journal", Recorder)


def add_journal(app: web.Application, recorder: Recorder) -> None:
    """Have an application note its requests; its outermost middleware must be :func:`journaled`.

    To be called before anything is added that tampers with answers as they are prepared.
    """
    app[JOURNAL] = recorder
    app.on_response_prepare.append(_watch_sending)


@web.middleware
async def journaled(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Send the answer to each request for MESH, and note what became of it.

    Outermost, so that nothing else becomes of it. aiohttp would send the answer after the last middleware,
    where a broken connection, or a client that goes on at once, would be out of sight.
    """
    operation = operation_of(request)
    if operation == NO_OPERATION and not _is_astray(request):
        return await handler(request)
    at, begun = real_now(), time.perf_counter()
    recorder = request.app[JOURNAL]
    sent = recorder.begin(request)
    response: web.StreamResponse | None = None
    try:
        response = await handler(request)
        await _send(request, response, sent)
    finally:
        duration_s = time.perf_counter() - begun
        recorder.note(request, operation, response, at=at, duration_s=duration_s)
    return response


async def _send(request: web.Request, response: web.StreamResponse, sent: _Sent) -> None:
    sent.flight.end()  # its client may go on as soon as it has the last byte, before this is told of that
    with contextlib.suppress(ConnectionError):
        await response.prepare(request)
        await response.write_eof()
        if not sent.watched and _is_open(request):
            sent.begun = sent.whole = True
            sent.body_bytes = 0 if request.method == "HEAD" else response.content_length or 0


def _is_open(request: web.Request) -> bool:
    return request.transport is not None and not request.transport.is_closing()


async def _watch_sending(request: web.Request, response: web.StreamResponse) -> None:
    """Count what goes out of an answer that its handler sends in pieces, or that a fault tampers with."""
    sent = request.get(_SENT)
    if sent is None or (isinstance(response, web.Response) and FAULT not in request):
        return
    sent.watched = True
    writer = request.writer
    write, write_eof = writer.write, writer.write_eof

    async def counted(chunk: bytes, **options: Any) -> None:
        if sent.body_bytes + len(chunk) == response.content_length:
            sent.flight.end()
        await write(chunk, **options)
        sent.begun = True
        sent.body_bytes += len(chunk)

    async def ended(chunk: bytes = b"") -> None:
        sent.flight.end()
        await write_eof(chunk)
        if _is_open(request):
            sent.begun = sent.whole = True
        sent.body_bytes += len(chunk)

    # This one answer's writer only.
    writer.write = counted  # type: ignore[method-assign, assignment]
    writer.write_eof = ended  # type: ignore[method-assign]


def _is_astray(request: web.Request) -> bool:
    """Tell whether a request that was routed nowhere was meant for MESH."""
    if request.match_info.http_exception is None or not request.path.startswith(_PREFIX):
        return False
    return _second_segment(request) != _ADMIN


@lru_cache(maxsize=256)
def _program(user_agent: str) -> str:
    """Give what a client calls itself; a number as long as a patient's is nobody's version."""
    return clean(_LONG_NUMBER.sub("(number)", as_latin1(user_agent)), MAX_USER_AGENT)


def _second_segment(request: web.Request) -> str:
    return request.path.removeprefix(_PREFIX).partition("/")[0]


def _mailbox(request: web.Request) -> str:
    if request.match_info.http_exception is not None:
        return _second_segment(request)
    return request.match_info.get("mailbox_id", "")


def _message_id(request: web.Request) -> str:
    given = request.get(MESSAGE_ID) or request.match_info.get("message_id")
    if given is None and request.rel_url.raw_query_string:
        given = request.query.get("messageID")
    return message_id_in(given or "")
