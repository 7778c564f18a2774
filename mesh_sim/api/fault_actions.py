"""Injected faults at work: what the rules of ``mesh_sim.faults`` do to requests and answers.

A rule is looked for before the token is. What is answered or reset by it leaves the token unused; where the
handler does its work and the answer is lost or cut short, the token is given back, because NHS's client
sends the same one again (mesh-api.md section 22).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from aiohttp import web

from mesh_sim.api.answers import error_answer, version_or_first
from mesh_sim.api.authentication import give_token_back
from mesh_sim.api.journal import FAULT
from mesh_sim.api.keys import FAULTS
from mesh_sim.api.operations import NO_OPERATION, Handler, operation_of
from mesh_sim.faults import Action, FaultRule, Faults
from ndoo.protocol import ErrorCode

log = logging.getLogger("mesh_sim.api")

FaultListener = Callable[[FaultRule, str], None]
"""Is told the rule that acts and the operation it acts on, before it does."""

FAULT_LISTENERS: Final = web.AppKey("fault_listeners", list[FaultListener])

_CUT: Final = web.RequestKey("cut", FaultRule)
_STOPPING: Final = web.AppKey("stopping", asyncio.Event)

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


def add_faults(app: web.Application, faults: Faults) -> None:
    """Have an application act on these rules; its innermost middleware must be :func:`inject_faults`.

    To be called after anything is added that watches answers as they are sent.
    """
    app[FAULTS] = faults
    app[FAULT_LISTENERS] = []
    app[_STOPPING] = asyncio.Event()
    app.on_shutdown.append(_end_delays)
    app.on_response_prepare.append(_cut_answer)


@web.middleware
async def inject_faults(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let the first rule that is due act on a MESH request; nothing else under this roof is touched."""
    if not request.app[FAULTS].in_force:
        return await handler(request)
    operation = operation_of(request)
    if operation == NO_OPERATION:
        return await handler(request)
    mailbox = request.match_info.get("mailbox_id", "")
    rule = request.app[FAULTS].decide(operation, mailbox.upper())
    if rule is None:
        return await handler(request)
    request[FAULT] = rule.id
    # The mailbox is as the caller wrote it, so it may be anything: quoted, and cut.
    log.info("fault %s: %s on %s for mailbox %r", rule.id, rule.action, operation, mailbox[:40])
    for listener in request.app[FAULT_LISTENERS]:
        listener(rule, operation)
    return await _act(rule, request, handler)


async def _act(rule: FaultRule, request: web.Request, handler: Handler) -> web.StreamResponse:
    match rule.action:
        case Action.STATUS:
            return _status(rule, request)
        case Action.RESET:
            _reset(request)
            return web.Response()  # nobody is there any more to get it
        case Action.DELAY:
            await _wait(request, rule.delay or timedelta())
            return await handler(request)
        case Action.TRUNCATE | Action.LOSE_RESPONSE:
            request[_CUT] = rule
            try:
                return await handler(request)
            except _AnswerCut as cut:  # where a handler sends the answer itself
                return cut.response


def _status(rule: FaultRule, request: web.Request) -> web.Response:
    """Answer with the rule's status, in the shape of a MESH error (section 4)."""
    text = f"Injected fault: rule {rule.id} answers {rule.status}; see or remove it under /admin/faults"
    answer = error_answer(version_or_first(request), rule.status or 0, ErrorCode("", "", text))
    if rule.retry_after_s is not None:
        answer.headers["Retry-After"] = str(rule.retry_after_s)
    return answer


def _reset(request: web.Request) -> None:
    """End the connection by a TCP reset; under TLS too it is the socket that is reset."""
    transport = request.transport
    if transport is None:
        return
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()


async def _wait(request: web.Request, delay: timedelta) -> None:
    """Let real time pass, unless the server stops."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(request.app[_STOPPING].wait(), delay.total_seconds())


async def _end_delays(app: web.Application) -> None:
    app[_STOPPING].set()


class _AnswerCut(ConnectionResetError):
    """Ends the sending of an answer whose connection a rule has closed."""

    def __init__(self, response: web.StreamResponse) -> None:
        super().__init__("the answer was cut off by an injected fault")
        self.response = response


async def _cut_answer(request: web.Request, response: web.StreamResponse) -> None:
    """Where a rule says so, see to it that an answer about to go out does not arrive whole."""
    rule = request.get(_CUT)
    if rule is None:
        return
    await give_token_back(request)
    response.force_close()
    if rule.action is Action.TRUNCATE:
        _cut_short(request, response, rule.after_bytes)
        return
    _close(request)
    raise _AnswerCut(response)


def _cut_short(request: web.Request, response: web.StreamResponse, after_bytes: int | None) -> None:
    """Let only the start of a body through, under the headers of the whole.

    Half of it by default, or half of the first block of one whose length is not known beforehand; never all.
    """
    writer = request.writer
    write = writer.write
    length = response.content_length
    left = after_bytes
    if length is not None:
        left = min(length // 2 if left is None else left, max(length - 1, 0))

    async def write_start(chunk: bytes) -> bool:
        nonlocal left
        if left is None:
            left = len(chunk) // 2
        start = chunk[:left]
        left -= len(start)
        await write(start)
        return len(start) < len(chunk)

    async def write_some(chunk: bytes) -> None:
        if await write_start(chunk):
            _close(request)
            raise _AnswerCut(response)

    async def write_last(chunk: bytes = b"") -> None:
        # The server closes the connection of this answer by itself, once the request's body has been read.
        await write_start(chunk)
        await writer.drain()

    # This one answer's writer only.
    writer.write = write_some  # type: ignore[method-assign, assignment]
    writer.write_eof = write_last  # type: ignore[method-assign]


def _close(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.close()
