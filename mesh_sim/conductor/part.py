"""One mailbox's part in the rehearsals, while the simulator runs."""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from mesh_sim.conductor.kept import Kept
from mesh_sim.witness.journal import Entry
from mesh_sim.witness.rehearsal import Attempt, Rehearsal

MOST_WATCHED: Final = 20_000
"""How many requests of an attempt are watched, the latest; case 601 takes some 1,200."""

MOST_ATTEMPTS: Final = 500
"""How many attempts of a rehearsal are kept, the latest."""


@dataclass(eq=False, slots=True)
class Part:
    """What is kept of it, and what was heard since its attempt began."""

    kept: Kept
    version: int = 0
    heard: list[Entry] = field(default_factory=list)
    """In the order in which they began."""
    last_heard: int = 0
    """The number of its last request; 0 for none since the simulator was started."""
    unseen: bool = False
    """Whether something was heard that nobody has looked at."""
    done_at: datetime | None = None
    """When the current step was done."""
    enable_at: datetime | None = None
    """When to try again to enable the mailbox; None unless that has failed."""

    @property
    def rehearsal(self) -> Rehearsal:
        """The attempts so far."""
        return self.kept.rehearsal

    @property
    def mailbox(self) -> str:
        """Whose part it is."""
        return self.kept.rehearsal.mailbox

    def have(self, attempt: Attempt) -> None:
        """Take over an attempt: a further one, or what has become of one that is known by its beginning."""
        known = self.rehearsal.attempts
        begun = [each.steps_at[0] for each in known]
        place = begun.index(attempt.steps_at[0]) if attempt.steps_at[0] in begun else len(known)
        attempts = (*known[:place], attempt, *known[place + 1 :])
        self.kept = replace(self.kept, rehearsal=replace(self.rehearsal, attempts=attempts[-MOST_ATTEMPTS:]))

    def hear(self, entry: Entry) -> None:
        """Take note of a request that has ended."""
        self.last_heard = entry.number
        bisect.insort(self.heard, entry, key=lambda known: known.at)
        del self.heard[:-MOST_WATCHED]
        self.unseen = True
