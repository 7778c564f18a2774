"""What happened to a message, and what time will do to it: its turns on the simulated clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from mesh_sim.exchange.housekeeping import Lifetimes
from mesh_sim.exchange.messages import Message, MessageType
from mesh_sim.exchange.states import Status

_FAILED = {
    Status.UNDELIVERABLE: "Undeliverable: it was not collected in time",
    Status.ERROR: "Failed",
}


@dataclass(frozen=True, slots=True)
class Turn:
    """One thing that happened to a message, or is to come."""

    at: datetime | None
    """None where that was not kept."""
    title: str
    tone: str = ""
    """The style sheet's class: ``good``, ``bad`` or, for what is to come, ``next``."""
    text: str = ""
    left: timedelta | None = None
    """How long it is until then; None for what has happened."""


def timeline(message: Message, *, now: datetime, lifetimes: Lifetimes) -> list[Turn]:
    """Tell the life of a message, first what happened and then what is to come, each in its order."""
    happened = sorted(_happened(message), key=lambda turn: turn.at or now)
    to_come = sorted(_to_come(message, lifetimes), key=lambda given: given[0])
    return happened + [
        Turn(at, title, "next", text, _roughly(max(at - now, timedelta()))) for at, title, text in to_come
    ]


def _roughly(length: timedelta) -> timedelta:
    """Leave out of a length of time what matters little beside the rest of it."""
    for unit, least in ((timedelta(hours=1), timedelta(days=1)), (timedelta(minutes=1), timedelta(hours=1))):
        if length >= least:
            return round(length / unit) * unit
    return timedelta(seconds=round(length.total_seconds()))


def _happened(message: Message) -> Iterator[Turn]:
    report = message.message_type is MessageType.REPORT
    failure = message.failure
    if message.accepted_at is None:
        yield Turn(message.created_at, "Upload begun", "good", _chunks(message))
    elif message.total_chunks > 1:
        yield Turn(message.created_at, "Upload begun", "good", _chunks(message))
        yield Turn(message.accepted_at, f"Complete and accepted for {message.recipient}", "good")
    elif message.accepted_at != message.created_at:
        yield Turn(message.created_at, "Sent", "good")
        yield Turn(message.accepted_at, f"Delivered to {message.recipient} again", "good")
    elif report:
        text = failure.error.text if failure else ""
        yield Turn(message.accepted_at, f"Report delivered to {message.recipient}", "good", text)
    else:
        yield Turn(message.accepted_at, f"Sent, and accepted for {message.recipient}", "good")
    if failure is not None and not report:
        said = " ".join(part for part in (failure.error.event, failure.error.code) if part)
        text = f"{said}: {failure.error.text}" if said else failure.error.text
        yield Turn(failure.at, _FAILED.get(message.status, "An error was noted"), "bad", text)
    elif message.status in _FAILED:
        yield Turn(None, _FAILED[message.status], "bad")
    if message.acknowledged_at is not None:
        yield Turn(message.acknowledged_at, f"Acknowledged by {message.recipient}", "good")


def _chunks(message: Message) -> str:
    return f"In {message.total_chunks} chunks" if message.total_chunks > 1 else ""


def _to_come(message: Message, lifetimes: Lifetimes) -> Iterator[tuple[datetime, str, str]]:
    if message.status is Status.UPLOADING:
        yield (
            message.created_at + lifetimes.inbox,
            "Deleted, if chunks are still missing",
            "An upload that is never completed is given up.",
        )
    if message.waiting:
        gets = f"{message.sender} gets a report" if message.sender else "There is no report on a report"
        yield (
            message.expires_at(lifetimes.inbox),
            f"Undeliverable, unless {message.recipient} collects and acknowledges it",
            f"{gets}.",
        )
    if message.accepted_at is not None:
        yield message.accepted_at + lifetimes.message, "Deleted, whatever became of it", ""
