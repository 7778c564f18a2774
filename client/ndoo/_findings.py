"""What a test of the settings found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
