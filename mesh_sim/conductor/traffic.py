"""The requests that a rehearsal is judged by, from the journal."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import datetime
from typing import Final

from mesh_sim.clock import real_now
from mesh_sim.conductor.kept import Kept
from mesh_sim.witness.cases.base import Case, Outcome, judge
from mesh_sim.witness.cases.common import HANDSHAKE_LASTS, counted
from mesh_sim.witness.cases.selections import SENDS
from mesh_sim.witness.journal import Entry, Journal, JournalFilter
from mesh_sim.witness.rehearsal import Attempt, Original, Rehearsal
from mesh_sim.witness.trace import Trace

_MOST_OUTCOMES: Final = 5_000
"""How many outcomes are remembered, so that an attempt is judged once and not each time it is shown."""


class Traffic:
    """What the journal has of those who rehearse."""

    def __init__(self, journal: Journal, *, most: int) -> None:
        """Make one; ``most``: how many entries the journal keeps."""
        self._journal = journal
        self._most = most
        self._judging = asyncio.Lock()
        self._outcomes: dict[Attempt, Outcome] = {}

    async def of(self, mailbox_id: str, since: datetime | None) -> tuple[Entry, ...]:
        """Give the requests of a mailbox, in the order in which they began."""
        wanted = JournalFilter(mailbox=mailbox_id, since=since, limit=self._most, oldest_first=True)
        return await asyncio.to_thread(in_order, await self._journal.entries(wanted))

    async def of_rehearsal(self, rehearsal: Rehearsal) -> tuple[Entry, ...]:
        """Give the requests since a rehearsal began, and the handshake before it that still counts."""
        begun_at = rehearsal.begun_at
        entries = await self.of(rehearsal.mailbox, begun_at - HANDSHAKE_LASTS)
        return await asyncio.to_thread(counted, entries, begun_at)

    async def oldest_kept(self, kept: Kept, last_heard: int | None) -> datetime | None:
        """Give the time from which on the journal is whole; None where it lost nothing of a rehearsal."""
        if kept.after is None:
            return None
        oldest = await self._journal.entries(JournalFilter(limit=1, oldest_first=True))
        if oldest:
            return oldest[0].at if oldest[0].number > kept.after + 1 else None
        return real_now() if (last_heard or 0) > kept.after else None

    async def outcomes(self, rehearsal: Rehearsal, cases: Mapping[str, Case]) -> tuple[Outcome | None, ...]:
        """Judge each attempt; None for the one that is under way, or of a case that is none any more."""
        ended = {attempt for attempt in rehearsal.attempts if attempt.ended_at and attempt.case in cases}
        outcomes = self._known(ended)
        if ended - outcomes.keys():
            async with self._judging:  # whoever asks at the same moment, as many may, waits and has it too
                outcomes = self._known(ended)
                if missing := ended - outcomes.keys():
                    outcomes |= await self._judged(rehearsal, missing, cases)
                    if len(self._outcomes) > _MOST_OUTCOMES:
                        self._outcomes.clear()
                    self._outcomes |= outcomes
        return tuple(outcomes.get(attempt) for attempt in rehearsal.attempts)

    def _known(self, attempts: Set[Attempt]) -> dict[Attempt, Outcome]:
        return {attempt: self._outcomes[attempt] for attempt in attempts & self._outcomes.keys()}

    async def _judged(
        self, rehearsal: Rehearsal, attempts: Set[Attempt], cases: Mapping[str, Case]
    ) -> dict[Attempt, Outcome]:
        entries = await self.of_rehearsal(rehearsal)

        def judged() -> dict[Attempt, Outcome]:
            return {
                attempt: judge(cases[attempt.case], trace_of(rehearsal, attempt, entries)).outcome
                for attempt in attempts
            }

        return await asyncio.to_thread(judged)

    async def last_body(self, mailbox_id: str, attempt: Attempt) -> Original | None:
        """Give the last body that arrived in an attempt, whole and its chunks in order; None for none."""
        entries = await self.of(mailbox_id, attempt.steps_at[0])
        sends = (entry for entry in Trace(entries, real_now(), attempt).within if entry.operation in SENDS)
        return next(filter(None, map(_body, reversed(tuple(sends)))), None)

    def forget(self) -> None:
        """Forget every outcome."""
        self._outcomes.clear()


def in_order(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Sort requests by when they began."""
    return tuple(sorted(entries, key=lambda entry: (entry.at, entry.number)))


def trace_of(rehearsal: Rehearsal, attempt: Attempt, entries: Sequence[Entry]) -> Trace:
    """Give what an attempt is judged by."""
    return Trace(tuple(entries), real_now(), attempt, rehearsal.stagings)


def _body(entry: Entry) -> Original | None:
    details = entry.details
    size, md5 = details.payload_bytes, details.md5
    if details.chunk:
        size, md5 = details.whole_bytes, details.whole_md5
    return Original(size, md5) if entry.whole and size is not None and md5 else None
