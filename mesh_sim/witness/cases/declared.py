"""The set that suppliers declare of their client, judged by the whole traffic instead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from mesh_sim.witness.cases.base import Breach, Case, Rule
from mesh_sim.witness.cases.common import answer_of, tried
from mesh_sim.witness.cases.selections import DOWNLOADS, excused, few
from mesh_sim.witness.journal import Entry
from mesh_sim.witness.trace import Trace, first

_ASTRAY: Final = "-"
"""The operation of a request for a path or method that there is not."""
_OF_MESSAGES: Final = ("download", "download-chunk", "head", "acknowledge", "track", "send-chunk")
"""The operations that name a message: of a malformed id, the journal notes none."""
_MALFORMED: Final = (400, 406, 413, 422)
"""How a header, parameter or body is refused that the API has no place for (mesh-api.md sections 12 and 13).
The catalogue names 400; a chunk beyond the total, a body above 100 MB, an unknown encoding come to the same.
"""

# -- 801: at most one thread a mailbox -------------------------------------------------------------------


def _asks_one_at_a_time(trace: Trace) -> Breach | None:
    overlapping = first(trace.entries, lambda entry: entry.details.in_flight > 0)
    if overlapping is None:
        return None
    others = overlapping.details.in_flight
    still = "another request was" if others == 1 else f"{others} other requests were"
    return Breach(f"it began while {still} still being answered", overlapping)


def _overlapping(trace: Trace) -> tuple[Entry, ...]:
    """Give the overlapping requests, each with the one that began before it; without any, all of them."""
    shown: dict[int, Entry] = {}
    earlier: Entry | None = None
    for entry in trace.entries:
        if entry.details.in_flight > 0:
            shown |= {id(one): one for one in (earlier, entry) if one is not None}
        earlier = entry
    return few(shown.values() or trace.entries)


# -- 802: adherence to the published API -----------------------------------------------------------------


def _is_malformed(entry: Entry) -> bool:
    return entry.status in _MALFORMED and not excused(entry)


def _is_astray(entry: Entry) -> bool:
    return entry.operation == _ASTRAY and entry.status in (307, 404, 405) and not excused(entry)


def _is_unknown(entry: Entry) -> bool:
    return entry.status == 404 and not excused(entry)


def _names_no_message(entry: Entry) -> bool:
    """A well-formed id that no message has is case 704's business."""
    return entry.operation in _OF_MESSAGES and not entry.message_id and _is_unknown(entry)


def _beyond_last_chunk(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Give the requests for a chunk that there is not, of a message that there is: a download told of it."""
    downloaded: set[str] = set()
    for entry in entries:
        if entry.operation in DOWNLOADS and entry.whole:
            downloaded.add(entry.message_id)
        elif entry.message_id in downloaded and entry.operation == "download-chunk" and _is_unknown(entry):
            yield entry


def _sends_well_formed(trace: Trace) -> Breach | None:
    entry = first(trace.entries, _is_malformed)
    return None if entry is None else Breach(answer_of(entry), entry)


def _keeps_to_paths(trace: Trace) -> Breach | None:
    entry = first(trace.entries, _is_astray)
    return None if entry is None else Breach(answer_of(entry), entry)


def _names_messages(trace: Trace) -> Breach | None:
    entry = first(trace.entries, _names_no_message)
    return None if entry is None else Breach("it was answered 404: no message id has this form", entry)


def _keeps_to_chunks(trace: Trace) -> Breach | None:
    entry = next(_beyond_last_chunk(trace.entries), None)
    return None if entry is None else Breach("it was answered 404: the message has no such chunk", entry)


def _against_api(trace: Trace) -> tuple[Entry, ...]:
    """Give the requests that the API has no place for; without any, all of them."""
    beyond = {entry.number for entry in _beyond_last_chunk(trace.entries)}
    against = (entry for entry in trace.entries if entry.number in beyond or _is_against_api(entry))
    return few(against) or few(trace.entries)


def _is_against_api(entry: Entry) -> bool:
    return _is_malformed(entry) or _is_astray(entry) or _names_no_message(entry)


# -- 803: undelivered reports are dealt with -------------------------------------------------------------


def _is_report(entry: Entry) -> bool:
    return entry.operation == "download" and entry.details.message_type == "REPORT" and entry.whole


def _is_acknowledged(entry: Entry) -> bool:
    return entry.operation == "acknowledge" and tried(entry)


def _deals_with_reports(trace: Trace) -> Breach | None:
    waiting: dict[str, Entry] = {}
    for entry in trace.entries:
        if _is_report(entry):
            waiting.setdefault(entry.message_id, entry)
        elif _is_acknowledged(entry):
            waiting.pop(entry.message_id, None)
    left = next(iter(waiting.values()), None)
    if left is None:
        return None
    return Breach(f"the report {left.message_id} was downloaded but not acknowledged afterwards", left)


def _on_reports(trace: Trace) -> tuple[Entry, ...]:
    """Give what was done with the reports; where one was left, with that one."""
    breach = _deals_with_reports(trace)
    if breach is not None and breach.entry is not None:
        ids = {breach.entry.message_id}
    else:
        ids = {entry.message_id for entry in trace.entries if _is_report(entry)}
    return few(
        entry
        for entry in trace.entries
        if entry.message_id in ids and (_is_report(entry) or _is_acknowledged(entry))
    )


# -- the cases -------------------------------------------------------------------------------------------

CASES: Final[tuple[Case, ...]] = (
    Case(
        id="801",
        set="declared",
        title="At most one thread a mailbox",
        rules=(
            Rule(
                "no request of a mailbox begins before the one before it has been answered",
                _asks_one_at_a_time,
                "Give each mailbox one thread or one lock, and read each answer to its end first.",
            ),
        ),
        evidence=_overlapping,
    ),
    Case(
        id="802",
        set="declared",
        title="Adherence to the published API",
        rules=(
            Rule(
                "no request is refused (400, 406, 413, 422) for a malformed header, parameter or body",
                _sends_well_formed,
                "Correct what the reason names, by the API's published description.",
            ),
            Rule(
                "every request is for a path and method that the API has",
                _keeps_to_paths,
                "Use the published paths and methods exactly: upper-case mailbox id, no slash at the end.",
            ),
            Rule(
                "every request for a message names it by a well-formed id",
                _names_messages,
                "Use message ids as they come from a send or the inbox, neither cut, extended nor decoded.",
            ),
            Rule(
                "no chunk is asked for beyond the last of a message",
                _keeps_to_chunks,
                "Take the number of chunks from Mex-Chunk-Range (1:3), instead of asking until 404 comes.",
            ),
        ),
        evidence=_against_api,
    ),
    Case(
        id="803",
        set="declared",
        title="Undelivered reports are dealt with",
        rules=(
            Rule(
                "every non-delivery report that is downloaded is acknowledged afterwards",
                _deals_with_reports,
                "Acknowledge a REPORT just as a DATA message, once what it says has been noted.",
            ),
        ),
        evidence=_on_reports,
    ),
)
