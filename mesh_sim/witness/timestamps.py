"""A token's timestamp that is not the present minute: what it looks like (mesh-api.md section 5)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from ndoo.protocol import TOKEN_LIFETIME

_ISO: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DIGITS: Final = re.compile(r"[0-9]+", re.ASCII)
MINUTE: Final = "%Y%m%d%H%M"
"""How a token writes the minute it was made."""

_HALF_HOUR: Final = timedelta(minutes=30)
_FURTHEST_ZONE: Final = timedelta(hours=14)
_TWELVE_HOURS: Final = timedelta(hours=12)
_CUT_OFF: Final = timedelta(seconds=30)
"""What a time loses on the average when its seconds are cut off."""

_SLACK: Final = timedelta(seconds=90)
"""How exactly a time must be off by a time zone's distance to look like local time."""

_SINCE_1970: Final = {10: 1, 13: 1000}
"""Digits of a time counted since 1970, and how many a second."""

_MORE: Final = {14: "seconds", 17: "milliseconds"}


def timestamp_misses(timestamp: str, now: datetime) -> Iterator[str]:
    """Say what a token's timestamp looks like where it is not about ``now`` in UTC as ``yyyyMMddHHmm``."""
    if not _DIGITS.fullmatch(timestamp):
        yield (
            "timestamp is in ISO form, not yyyyMMddHHmm: yes"
            if _ISO.match(timestamp)
            else "timestamp is not 12 digits (yyyyMMddHHmm): yes"
        )
    elif len(timestamp) == 12:
        made = _read(timestamp)
        if made is None:
            yield "timestamp names a time that does not exist (yyyyMMddHHmm): yes"
        else:
            yield from _distance(made - now)
    elif _is_since_1970(timestamp, now):
        unit = "seconds" if len(timestamp) == 10 else "milliseconds"
        yield f"timestamp counts {unit} since 1970, it is not yyyyMMddHHmm: yes"
    elif len(timestamp) in _MORE and _read(timestamp[:12]) is not None:
        yield f"timestamp has {_MORE[len(timestamp)]} ({len(timestamp)} digits, not 12): yes"
    else:
        yield f"timestamp has {len(timestamp)} digits, not 12 (yyyyMMddHHmm)"


def _distance(ahead: timedelta) -> Iterator[str]:
    if abs(ahead) > TOKEN_LIFETIME:
        side = "ahead of" if ahead > timedelta() else "behind"
        yield f"timestamp is {span(abs(ahead))} {side} the server's"
    zone = round((ahead + _CUT_OFF) / _HALF_HOUR) * _HALF_HOUR
    if zone and abs(zone) <= _FURTHEST_ZONE and abs(ahead + _CUT_OFF - zone) <= _SLACK:
        yield f"timestamp looks like local time, right but for {_signed(zone)}: yes"
        if abs(zone) == _TWELVE_HOURS:
            yield "timestamp looks like a 12-hour clock (hh for HH): yes"


def span(length: timedelta) -> str:
    """Write a length of time roughly, in its two largest units."""
    seconds = round(length.total_seconds())
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def _signed(zone: timedelta) -> str:
    hours, minutes = divmod(abs(zone) // timedelta(minutes=1), 60)
    sign = "+" if zone > timedelta() else "-"
    return f"{sign}{hours} h" + (f" {minutes} min" if minutes else "")


def _is_since_1970(timestamp: str, now: datetime) -> bool:
    a_second = _SINCE_1970.get(len(timestamp))
    return a_second is not None and abs(int(timestamp) / a_second - now.timestamp()) < 86400


def _read(timestamp: str) -> datetime | None:
    try:
        return datetime.strptime(timestamp, MINUTE).replace(tzinfo=UTC)
    except ValueError:
        return None
