"""A rehearsal of the witness test: which cases were set up for a mailbox, when, and with what.

Values only; the conductor makes and keeps them, the cases read them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

COUNTERPART: Final = "X26WIT01"
"""The mailbox that sends to the client's and receives from it (witness-tests.md)."""
DORMANT: Final = "X26WIT02"
"""The mailbox that never collects."""
NOBODY: Final = "X26WIT99"
"""An id that no mailbox has."""

WORKFLOW: Final = "WITNESS_TEST"
"""The workflow id of the rehearsal's own messages; a client may send under any that may go there."""


@dataclass(frozen=True, slots=True)
class Original:
    """A payload as it has to arrive: its size in bytes and its MD5, lower-case hex; of each chunk too."""

    size: int
    md5: str
    chunk_md5s: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Compared:
    """A file of the tester's, to be compared: what the client sent, or what it wrote."""

    at: datetime
    size: int
    md5: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at a case. Times are real, in UTC.

    ``steps_at`` holds when each of the case's steps was set up, those to come not yet.
    """

    case: str
    steps_at: tuple[datetime, ...]
    ended_at: datetime | None = None
    """When its last step was done, or the tester went on; None while it is under way."""
    recipient: str = ""
    """Whom the client is to send to."""
    message_ids: tuple[str, ...] = ()
    """What was put into the client's inbox, or is to be downloaded, in order of arrival."""
    report_id: str = ""
    """The non-delivery report that the case brought about."""
    original: Original | None = None
    """What waits in the inbox, or the file that the client is to send."""
    compared: tuple[Compared, ...] = ()
    exit_statuses: tuple[int | None, ...] = ()
    """Of the command that drove the client, step by step; None for a step that none drove."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What was rehearsed with one mailbox, the attempts in order."""

    mailbox: str
    begun_at: datetime
    attempts: tuple[Attempt, ...] = ()

    def latest(self, case: str) -> Attempt | None:
        """Give the last attempt at a case; None if it was never started."""
        return next((attempt for attempt in reversed(self.attempts) if attempt.case == case), None)

    @property
    def current(self) -> Attempt | None:
        """The attempt that is under way."""
        latest = self.attempts[-1] if self.attempts else None  # only the latest can be
        return latest if latest is not None and latest.ended_at is None else None

    @property
    def stagings(self) -> tuple[datetime, ...]:
        """When anything was set up or put back, in order."""
        moments = (at for attempt in self.attempts for at in (*attempt.steps_at, attempt.ended_at))
        return tuple(sorted(at for at in moments if at is not None))
