"""Durations as people write them: ``5d``, ``40m``, ``1h30m``, ``0``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([wdhms])", re.ASCII)
_WHOLE = re.compile(r"(?:\s*\d+(?:\.\d+)?\s*[wdhms])+\s*", re.ASCII)
_SHOWN = 40


def parse_duration(text: str) -> timedelta:
    """Read a duration in weeks, days, hours, minutes and seconds; a bare number is seconds.

    Raises:
        ValueError: it is none of these, is negative, or is longer than a century.
    """
    text = text.strip().lower()
    if text.startswith("-"):
        raise ValueError("a length of time cannot be negative")
    if re.fullmatch(r"\d+(?:\.\d+)?", text, re.ASCII):
        text += "s"
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{text[:_SHOWN]!r} is not a duration; write it like 5d, 12h, 40m, 30s or 1h30m")
    try:
        total = sum(
            (timedelta(**{_UNITS[unit]: float(amount)}) for amount, unit in _PART.findall(text)), timedelta()
        )
    except OverflowError:
        total = timedelta.max
    if total > timedelta(days=36525):
        raise ValueError(f"{text[:_SHOWN]!r} is longer than a century")
    return total


def format_duration(length: timedelta) -> str:
    """Write a duration as people do, without the parts that are nothing: ``5d``, ``1h30m``, ``0s``."""
    left = length.total_seconds()
    parts = []
    for unit, seconds in (("d", 86400), ("h", 3600), ("m", 60)):
        amount, left = divmod(left, seconds)
        if amount:
            parts.append(f"{amount:.0f}{unit}")
    if left or not parts:
        parts.append(f"{left:g}s")
    return "".join(parts)


def _read(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _not_nothing(length: timedelta) -> timedelta:
    if length < timedelta(milliseconds=1):
        raise ValueError("must be longer than nothing; write it like 30s")
    return length


def _not_negative(length: timedelta) -> timedelta:
    if length < timedelta():
        raise ValueError("a length of time cannot be negative")
    return length


Duration = Annotated[timedelta, BeforeValidator(_read), AfterValidator(_not_negative)]
"""A length of time in a setting or a request: text as people write it, or seconds; never negative."""

RealDuration = Annotated[Duration, AfterValidator(_not_nothing)]
"""A length of real time that something is allowed; never nothing."""
