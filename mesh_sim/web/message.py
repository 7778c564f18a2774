"""A message: what it is, where it is, what belongs to it, and what its body begins with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from mesh_sim.api.keys import DESK, EXCHANGE, SETTINGS, SUBMISSIONS, TIME
from mesh_sim.api.message_headers import message_headers
from mesh_sim.api.tracking import tracking_v2
from mesh_sim.exchange.housekeeping import Lifetimes
from mesh_sim.exchange.messages import Message, MessageType
from mesh_sim.exchange.ports import ChunkHere
from mesh_sim.optouts.submissions import Submission
from mesh_sim.web.body import message_of, preview_of
from mesh_sim.web.page import show
from mesh_sim.web.submissions import row_of
from mesh_sim.web.timeline import timeline

_RELATED: Final = 20
_CHUNKS: Final = 200
"""So many chunks are listed."""

_LONGEST_ABOUT: Final = 64
"""Of what a page can watch."""


@dataclass(frozen=True, slots=True)
class Part:
    """A message of an exchange, and what it is in it."""

    message: Message
    role: str
    shown: bool
    """Whether it is the one that the page is about."""


async def show_message(request: web.Request) -> web.StreamResponse:
    """Show everything about a message."""
    message = await message_of(request)
    desk, exchange = request.app[DESK], request.app[EXCHANGE]
    settings = request.app[SETTINGS]
    related = await desk.related(message, _RELATED)
    submissions = await _submissions(request, (message, *related))
    here = await desk.chunks_here(message, _CHUNKS + 1)
    context = {
        "message": message,
        "timeline": timeline(
            message,
            now=request.app[TIME].now(),
            lifetimes=Lifetimes(exchange.rules.inbox_expiry, settings.deletion),
        ),
        "chunks": here[:_CHUNKS],
        "more_chunks": len(here) > _CHUNKS,
        "missing": _missing(message, here),
        "parts": _parts(message, related, submissions),
        "submissions": [row_of(submission) for submission in submissions],
        "more_related": len(related) == _RELATED,
        "headers": message_headers(message, number=1),
        "tracking": _tracking(request, message),
        "preview": await preview_of(request, message),
        "is_report": message.message_type is MessageType.REPORT,
        "about": _about(message),
    }
    return show(request, "message.html", context)


def _about(message: Message) -> str:
    """Give the id by which an open page learns of what happens to the message or its exchange."""
    local_id = message.metadata.local_id
    return local_id if 0 < len(local_id) <= _LONGEST_ABOUT else message.message_id


def _missing(message: Message, here: Sequence[ChunkHere]) -> list[int]:
    """Name chunks that have not arrived, the first of them."""
    if message.message_type is MessageType.REPORT or len(here) > _CHUNKS:
        return []
    numbers = {chunk.number for chunk in here}
    return [number for number in range(1, min(message.total_chunks, _CHUNKS) + 1) if number not in numbers]


async def _submissions(request: web.Request, messages: Iterable[Message]) -> list[Submission]:
    """Give what is known of the submissions among these messages, oldest first."""
    service = request.app[SETTINGS].ndoo_mailbox
    ids = sorted(message.message_id for message in messages if message.recipient == service)
    found = [await request.app[SUBMISSIONS].submission(message_id) for message_id in ids]
    return [submission for submission in found if submission is not None]


def _parts(message: Message, related: Sequence[Message], submissions: Iterable[Submission]) -> list[Part]:
    """Give an exchange in the order of time, each message with what it is in it."""
    roles: dict[str, str] = {}
    for submission in submissions:
        roles[submission.message_id] = "submission"
        roles[submission.receipt_message_id] = "receipt"
        roles[submission.answer_message_id] = "answer"
    together = sorted((message, *related), key=lambda part: (part.created_at, part.message_id))
    return [
        Part(part, roles.get(part.message_id, _kind(part)), part.message_id == message.message_id)
        for part in together
    ]


def _kind(message: Message) -> str:
    return "report" if message.message_type is MessageType.REPORT else "message"


def _tracking(request: web.Request, message: Message) -> dict[str, str]:
    """Give the answer that its sender gets who tracks it; nothing, where there is no such sender."""
    if not (message.sender and message.in_outbox):
        return {}
    exchange = request.app[EXCHANGE]
    body = tracking_v2(message, exchange.directory, exchange.rules.inbox_expiry)
    return {name: _written(value) for name, value in body.items()}


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
