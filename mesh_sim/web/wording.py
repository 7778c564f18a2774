"""How pages write times, sizes and counts: the filters of their templates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

from mesh_sim.durations import format_duration
from mesh_sim.exchange.ports import TALLY_CAP
from mesh_sim.exchange.states import Status

_UNITS: Final = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"))

_TONES: Final = {
    Status.UPLOADING: "busy",
    Status.ACCEPTED: "busy",
    Status.ACKNOWLEDGED: "good",
    Status.UNDELIVERABLE: "bad",
    Status.ERROR: "bad",
}

_LONGEST: Final = 80
"""So many characters of a text are in a table's row."""


def moment(at: datetime) -> str:
    """Write a time to the second, in UTC: ``24 Nov 2026, 18:30:05``."""
    at = at.astimezone(UTC)
    return f"{at.day} {at:%b %Y, %H:%M:%S}"


def clock_time(at: datetime) -> str:
    """Write the time of day to the second, in UTC."""
    return f"{at.astimezone(UTC):%H:%M:%S}"


def iso(at: datetime) -> str:
    """Write a time for machines."""
    return at.astimezone(UTC).isoformat()


def size(count: int) -> str:
    """Write a number of bytes, in decimal units."""
    for unit, name in _UNITS:
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} {'byte' if count == 1 else 'bytes'}"


def count(number: int) -> str:
    """Write a count."""
    return f"{number:,}"


def tallied(number: int) -> str:
    """Write a count of messages that ends at a cap: ``10,000 or more``."""
    return f"{number:,}{' or more' if number >= TALLY_CAP else ''}"


def counted(number: int, noun: str) -> str:
    """Write a count of something: ``1 message``, ``1,234 messages``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def percent(share: float) -> str:
    """Write a share of one in hundredths; the sign stays on the number's line."""
    return f"{share * 100:.4g}\N{NO-BREAK SPACE}%"


def took(seconds: float) -> str:
    """Write how long a request took."""
    return f"{seconds * 1000:,.1f} ms" if seconds < 1 else f"{seconds:,.1f} s"


def lasted(length: timedelta) -> str:
    """Write a length of time, to the second from a minute on."""
    if length >= timedelta(minutes=1):
        length = timedelta(seconds=round(length.total_seconds()))
    return format_duration(length)


def spelled_out(length: timedelta) -> str:
    """Write a length of time in words, to the second: ``5 days``, ``1 hour 30 minutes``."""
    left = round(length.total_seconds())
    parts = []
    for noun, seconds in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        amount, left = divmod(left, seconds)
        if amount:
            parts.append(counted(amount, noun))
    return " ".join(parts) or "0 seconds"


def tone(status: Status) -> str:
    """Give the style sheet's class for where a message is."""
    return _TONES[status]


def status_tone(status: int) -> str:
    """Give the style sheet's class for an HTTP status; 0 is a connection that broke."""
    if 200 <= status < 300:
        return "good"
    return "none" if 300 <= status < 400 else "bad"


def sentence(text: str) -> str:
    """Write a text of ours as a sentence, with a capital and a full stop; '' stays ''."""
    return text and f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def status_text(status: int) -> str:
    """Name an HTTP status: ``403 Forbidden``."""
    if status == 0:
        return "broken off"
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def shortened(text: str) -> str:
    """Cut what a table has a row of: a message's own page has all of it."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}\N{HORIZONTAL ELLIPSIS}"


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "moment": moment,
    "clock_time": clock_time,
    "iso": iso,
    "size": size,
    "count": count,
    "tallied": tallied,
    "counted": counted,
    "percent": percent,
    "took": took,
    "lasted": lasted,
    "spelled_out": spelled_out,
    "duration": format_duration,
    "tone": tone,
    "status_tone": status_tone,
    "status_text": status_text,
    "sentence": sentence,
    "shortened": shortened,
}
