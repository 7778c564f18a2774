"""Durations as people write them: ``5d``, ``40m``, ``1h30m``, ``0``."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([wdhms])", re.ASCII)
_WHOLE = re.compile(r"(?:\s*\d+(?:\.\d+)?\s*[wdhms])+\s*", re.ASCII)


def parse_duration(text: str) -> timedelta:
    """Read a duration in weeks, days, hours, minutes and seconds; a bare number is seconds.

    Raises:
        ValueError: it is none of these, or is longer than a century.
    """
    text = text.strip().lower()
    if re.fullmatch(r"\d+(?:\.\d+)?", text, re.ASCII):
        text += "s"
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration; write it like 5d, 12h, 40m, 30s or 1h30m")
    try:
        total = sum(
            (timedelta(**{_UNITS[unit]: float(amount)}) for amount, unit in _PART.findall(text)), timedelta()
        )
    except OverflowError:
        total = timedelta.max
    if total > timedelta(days=36525):
        raise ValueError(f"{text!r} is longer than a century")
    return total
