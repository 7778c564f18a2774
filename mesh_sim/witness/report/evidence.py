"""The lines of evidence: what is shown of a request, and which requests are shown where there are many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from mesh_sim.witness.cases.base import Breach
from mesh_sim.witness.journal import BROKEN, Entry

MOST_LINES: Final = 60
"""How many lines of evidence are shown of a case: ours; case 601 alone makes 1,800 requests."""

_HASH_IS_RIGHT: Final = "hash is right for what the token says: yes"
"""The one finding on a refused token that nothing follows from: it is left out."""


@dataclass(frozen=True, slots=True)
class Line:
    """One request as a report shows it."""

    number: int
    at: datetime
    """When it began, in real time, UTC."""
    operation: str
    method: str
    status: int
    message_id: str
    chunk: str
    bytes: int
    """Of the body that travelled: the request's where it had one, else the answer's."""
    duration_s: float
    reason: str
    """Why it was refused; '' where it was not."""
    note: str
    """How it broke a rule, then what else helps to read it."""
    broke: bool
    """Whether it broke a rule."""
    left_out_before: int
    """How many requests between this line and the one above are not shown."""


def lines_of(evidence: Sequence[Entry], breaches: Iterable[Breach]) -> tuple[Line, ...]:
    """Give a case's evidence in the order in which the requests began, those that broke a rule among it."""
    whys: dict[int, list[str]] = {}
    elsewhere: dict[int, Entry] = {}
    numbers = {entry.number for entry in evidence}
    for breach in breaches:
        if breach.entry is not None:
            whys.setdefault(breach.entry.number, []).append(breach.why)
            if breach.entry.number not in numbers:
                elsewhere[breach.entry.number] = breach.entry
    ordered = sorted([*evidence, *elsewhere.values()], key=began)
    broke = [place for place, entry in enumerate(ordered) if entry.number in whys]
    return tuple(_lines(ordered, _shown(len(ordered), broke), whys))


def began(entry: Entry) -> tuple[datetime, int]:
    """Order requests by when they began."""
    return entry.at, entry.number


def around(broke: Sequence[bool], *, reach: int, most: int) -> list[int]:
    """Choose places of a short form: what broke a rule and what is around it; the last where nothing did."""
    marked = [place for place, broken in enumerate(broke) if broken] or [len(broke) - 1]
    near = {
        place for mark in marked for place in range(max(mark - reach, 0), min(mark + reach + 1, len(broke)))
    }
    return sorted(near)[:most]


def _shown(count: int, broke: Sequence[int]) -> list[int]:
    """Choose places: those that broke a rule, the first, the last, then more and more around them."""
    shown: dict[int, None] = {}
    places = [*broke, 0, count - 1]
    for distance in range(count):
        for place in places:
            for near in (place - distance, place + distance):
                if len(shown) == MOST_LINES:
                    return sorted(shown)
                if 0 <= near < count:
                    shown[near] = None
    return sorted(shown)


def _lines(
    ordered: Sequence[Entry], places: Iterable[int], whys: Mapping[int, Sequence[str]]
) -> Iterator[Line]:
    above = -1
    for place in places:
        entry = ordered[place]
        why = whys.get(entry.number, ())
        yield Line(
            number=entry.number,
            at=entry.at,
            operation=entry.operation,
            method=entry.method,
            status=entry.status,
            message_id=entry.message_id,
            chunk=entry.details.chunk,
            bytes=entry.received_bytes or entry.sent_bytes,
            duration_s=entry.duration_s,
            reason=entry.reason,
            note="; ".join((*why, *_remarks(entry))),
            broke=bool(why),
            left_out_before=place - above - 1,
        )
        above = place


def _remarks(entry: Entry) -> Iterator[str]:
    """Say in a few words what the request's columns do not."""
    details = entry.details
    if details.recipient:
        yield f"to {details.recipient}"
    if details.listed is not None:
        named = f"named {details.listed:,}" if details.listed else "nothing waiting"
        yield f"{named}, more waited" if details.more else named
    if details.message_type == "REPORT":
        yield "a report"
    if details.gzip:
        yield "travelled as gzip"
    if details.md5:
        yield f"MD5 {details.md5}"
    if details.whole_md5:
        yield f"MD5 of the whole {details.whole_md5}"
    yield from _troubles(entry)


def _troubles(entry: Entry) -> Iterator[str]:
    if entry.details.in_flight:
        yield f"begun while {entry.details.in_flight} other{'s' * (entry.details.in_flight > 1)} went on"
    if misses := [miss for miss in entry.near_misses if miss != _HASH_IS_RIGHT]:
        yield f"looked at closely: {', '.join(misses)}"
    if entry.status == BROKEN:
        yield "the connection broke before an answer"
    if entry.fault:
        yield f"the injected fault {entry.fault} acted on it"
