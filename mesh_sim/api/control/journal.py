"""The journal over the control API: which requests came, what came of them, and why."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from aiohttp import web
from pydantic import BeforeValidator, Field

from mesh_sim.api.control.refusals import ControlRefused
from mesh_sim.api.control.requests import answer, read_query
from mesh_sim.api.journal import JOURNAL
from mesh_sim.api.operations import NO_OPERATION, OPERATION_NAMES
from mesh_sim.clock import real_now
from mesh_sim.durations import parse_duration
from mesh_sim.exchange.errors import StorageFailed
from mesh_sim.wishes.base import Wish
from mesh_sim.witness.journal import MAX_MAILBOX, Entry, JournalFilter

_STATUS: Final = re.compile(r"(0|[1-9][0-9]{2})|([1-9])xx", re.ASCII | re.IGNORECASE)
_ZONE: Final = re.compile(r"(:[0-9.]{2,12}) (?=[0-9]{2}:[0-9]{2}$)")


def _statuses(text: object) -> object:
    match = _STATUS.fullmatch(str(text))
    if match is None:
        raise ValueError("must be a status such as 403, a class such as 4xx, or 0 for broken connections")
    if match[1] is not None:
        return int(match[1]), int(match[1])
    lowest = int(match[2]) * 100
    return lowest, lowest + 99


def _moment(text: object) -> object:
    try:
        return real_now() - parse_duration(str(text))
    except ValueError:
        pass
    try:
        # A + before the zone that was not encoded arrives as a blank.
        at = datetime.fromisoformat(_ZONE.sub(r"\1+", str(text)))
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("must be a time such as 2026-11-22T10:00:00Z or a duration such as 10m") from error


class JournalQuery(Wish):
    """Which entries are asked for."""

    mailbox: str = ""
    operation: str = ""
    status: Annotated[tuple[int, int], BeforeValidator(_statuses)] = (0, 999)
    refused: bool = False
    message_id: str = ""
    since: Annotated[datetime | None, BeforeValidator(_moment)] = None
    after: int | None = Field(None, ge=0, lt=2**63)
    before: int | None = Field(None, ge=0, lt=2**63)
    limit: int = Field(100, ge=1, le=5000)
    order: Literal["oldest", "newest"] | None = None

    def as_filter(self) -> JournalFilter:
        """Put it into the journal's terms."""
        return JournalFilter(
            mailbox=self.mailbox[:MAX_MAILBOX],
            operation=self.operation,
            lowest_status=self.status[0],
            highest_status=self.status[1],
            unsuccessful=self.refused,
            message_id=self.message_id,
            since=self.since,
            after=self.after or 0,
            before=self.before,
            limit=self.limit,
            # Whoever reads on from somewhere wants what came next.
            oldest_first=self.order == "oldest" or (self.order is None and self.after is not None),
        )


async def show_journal(request: web.Request) -> web.Response:
    """List requests; ``next`` is where to read on (as ``after``) when there are more, oldest first."""
    query = read_query(request, JournalQuery)
    _check_operation(query.operation, request.app[OPERATION_NAMES].values())
    wanted = query.as_filter()
    # One more than asked for tells whether there are more.
    found = await request.app[JOURNAL].journal.entries(replace(wanted, limit=wanted.limit + 1))
    page = found[: wanted.limit]
    more = len(found) > wanted.limit and wanted.oldest_first
    return answer({"entries": [_shown(entry) for entry in page], "next": page[-1].number if more else None})


async def empty_journal(request: web.Request) -> web.Response:
    """Forget every entry."""
    try:
        deleted = await request.app[JOURNAL].journal.clear()
    except StorageFailed as error:
        raise ControlRefused(503, f"{error.why}; nothing was forgotten") from error
    return answer({"deleted": deleted})


def _check_operation(operation: str, names: Iterable[str]) -> None:
    known = (*dict.fromkeys(names), NO_OPERATION)
    if operation and operation not in known:
        raise ControlRefused.field("operation", f"there is no such operation; known are {', '.join(known)}")


def _shown(entry: Entry) -> dict[str, Any]:
    return {
        "number": entry.number,
        "at": entry.at.isoformat(),
        "simulated_at": entry.simulated_at.isoformat(),
        "mailbox": entry.mailbox,
        "operation": entry.operation,
        "method": entry.method,
        "status": entry.status,
        "received_bytes": entry.received_bytes,
        "sent_bytes": entry.sent_bytes,
        "duration_s": round(entry.duration_s, 6),
        "message_id": entry.message_id,
        "reason": entry.reason,
        "near_misses": entry.near_misses,
        "fault": entry.fault,
        "user_agent": entry.user_agent,
        "details": entry.details.as_fields(),
    }
