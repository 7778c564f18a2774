"""Why a rehearsal does not do as it is told.

WitnessRefused
├── CannotRehearse
├── NotRehearsing
├── NothingToCompare
└── StageTaken
"""

from __future__ import annotations


class WitnessRefused(Exception):
    """Something that is not done; the text says why, and what to do."""


class CannotRehearse(WitnessRefused, ValueError):
    """A value that makes no sense, in ``field`` of what was asked."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(problem)
        self.field = field


class NotRehearsing(WitnessRefused, LookupError):
    """Nothing was ever started for a mailbox."""

    def __init__(self, mailbox: str) -> None:
        super().__init__(
            f"mailbox {mailbox} has no rehearsal; begin one with mesh-sim witness start --mailbox {mailbox}"
        )


class NothingToCompare(WitnessRefused):
    """A case in which nothing arrived yet, or nothing was to be received."""


class StageTaken(WitnessRefused, RuntimeError):
    """Something else has to end, or begin, first."""
