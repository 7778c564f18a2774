"""What a case is judged by: a mailbox's requests in the order they began, and what was set up for it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from mesh_sim.witness.journal import Entry
from mesh_sim.witness.rehearsal import Attempt


@dataclass(frozen=True)
class Trace:
    """The requests of one mailbox, as seen from one case."""

    entries: tuple[Entry, ...]
    """Every request of the mailbox since the rehearsal began, in the order in which they began."""
    now: datetime
    """Real time, UTC: what was not done by now was not done."""
    attempt: Attempt | None = None
    """The latest try at the case; None for a case that is judged by the whole traffic, or was not started."""
    stagings: tuple[datetime, ...] = ()
    """When anything was set up, for whichever case: a tester then has reason to have the client poll."""

    @cached_property
    def within(self) -> tuple[Entry, ...]:
        """The requests begun while the attempt was under way."""
        return self.during(0)

    def during(self, step: int, steps: int | None = None) -> tuple[Entry, ...]:
        """Give the requests begun from a step (from 0) on, at most for so many ``steps``."""
        if self.attempt is None or len(self.attempt.steps_at) <= step:
            return ()
        end = self.attempt.ended_at
        if steps is not None and len(self.attempt.steps_at) > step + steps:
            end = self.attempt.steps_at[step + steps]
        first = bisect_left(self.entries, self.attempt.steps_at[step], key=_began)
        last = None if end is None else bisect_right(self.entries, end, key=_began)
        return self.entries[first:last]

    def before(self, entry: Entry) -> tuple[Entry, ...]:
        """Give the requests that began before this one, over the whole traffic."""
        place = bisect_left(self.entries, entry.at, key=_began)
        return self.entries[: self.entries.index(entry, place)]


def first(entries: Iterable[Entry], wanted: Callable[[Entry], bool]) -> Entry | None:
    """Give the first entry that is as wanted."""
    return next(filter(wanted, entries), None)


def _began(entry: Entry) -> datetime:
    return entry.at
