"""What a test of the settings found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

UNTESTED = "not tested, for what failed before comes first"
"""What is said of every test that a failed one has left without a point."""


class Verdict(StrEnum):
    """How a test ended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one test, in sentences for people; never with a secret in them.

    ``check`` names the test and never changes. ``why`` and ``advice``, what to do about it, are empty where
    all is well.
    """

    check: str
    verdict: Verdict
    what: str
    why: str = ""
    advice: str = ""
