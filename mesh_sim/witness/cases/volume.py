"""High volume, case 601 (witness-tests.md)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Final

from mesh_sim.witness.cases.base import Action, Breach, Case, Rule, Step, Waiting
from mesh_sim.witness.cases.common import HANDSHAKE, all_acknowledged, evidence, follows, tried
from mesh_sim.witness.cases.receiving import LISTED_FIRST
from mesh_sim.witness.cases.selections import DOWNLOADS, excused
from mesh_sim.witness.journal import Entry
from mesh_sim.witness.trace import Trace

_COUNT: Final = 600
_SIZE: Final = 100
"""Bytes of each message: ours, the catalogue asks for no size."""


def _downloads(trace: Trace) -> Mapping[str, Entry]:
    """Give the first download of each waiting message that went out whole, in the order they began."""
    return _first_of_each(trace, lambda entry: entry.operation in DOWNLOADS and entry.whole)


def _acknowledgements(trace: Trace) -> Mapping[str, Entry]:
    """Give the first acknowledgement of each waiting message."""
    return _first_of_each(trace, lambda entry: entry.operation == "acknowledge" and tried(entry))


def _first_of_each(trace: Trace, wanted: Callable[[Entry], bool]) -> Mapping[str, Entry]:
    waiting = frozenset(trace.attempt.message_ids if trace.attempt is not None else ())
    found: dict[str, Entry] = {}
    for entry in trace.within:
        if entry.message_id in waiting and wanted(entry):
            found.setdefault(entry.message_id, entry)
    return found


def _all_downloaded(trace: Trace) -> Breach | None:
    waiting = trace.attempt.message_ids if trace.attempt is not None else ()
    downloads = _downloads(trace)
    left = [message_id for message_id in waiting if message_id not in downloads]
    if not left:
        return None
    return Breach(f"{len(downloads):,} of {len(waiting):,} were; the first that was not is {left[0]}")


def _what_was_downloaded_is_acknowledged(trace: Trace) -> Breach | None:
    downloads, acknowledgements = _downloads(trace), _acknowledgements(trace)
    left = [message_id for message_id in downloads if message_id not in acknowledgements]
    if not left:
        return None
    kept = len(downloads) - len(left)
    return Breach(f"{kept:,} of {len(downloads):,} were; the first that was not is {left[0]}")


def _one_at_a_time(trace: Trace) -> Breach | None:
    """Judge those that were downloaded and acknowledged: what was never acknowledged is told elsewhere."""
    acknowledgements = _acknowledgements(trace)
    pairs = [
        (download, acknowledgements[message_id])
        for message_id, download in _downloads(trace).items()
        if message_id in acknowledgements
    ]
    for download, acknowledgement in pairs:
        if not follows(acknowledgement, download):
            return Breach("it was acknowledged before it had been downloaded", acknowledgement)
    for (download, acknowledgement), (following, _) in pairwise(pairs):
        if acknowledgement.at > following.at:
            before = f"the one before it, {download.message_id},"
            return Breach(f"it was downloaded before {before} was acknowledged", following)
    return None


def _check_by_check(trace: Trace) -> Breach | None:
    """Have all that a check named acknowledged before the next: the catalogue's order.

    What was tried in vain, through no doing of the client's, may well wait for the next check.
    """
    named, acknowledged = 0, set[str]()
    for entry in trace.within:
        in_vain = entry.operation in DOWNLOADS and excused(entry)
        if in_vain or (entry.operation == "acknowledge" and tried(entry)):
            acknowledged.add(entry.message_id)
        elif entry.operation == "list" and entry.whole:
            if len(acknowledged) < named:
                return Breach(
                    f"the inbox was checked again when {len(acknowledged):,} of the {named:,} messages that "
                    "the last check named were acknowledged",
                    entry,
                )
            named, acknowledged = entry.details.listed or 0, set()
    return None


_RULES: Final = (
    HANDSHAKE,
    LISTED_FIRST,
    Rule(
        "everything that waits is downloaded",
        _all_downloaded,
        "A check of the inbox names at most 500 messages. When those are acknowledged, check again, and go "
        "on until a check names none.",
    ),
    Rule(
        "everything that was downloaded is acknowledged",
        _what_was_downloaded_is_acknowledged,
        "Acknowledge each message (PUT .../inbox/MESSAGE/status/acknowledged) once it is kept.",
    ),
    Rule(
        "each message is acknowledged before the next is downloaded",
        _one_at_a_time,
        "Go through the messages one by one: download, keep, acknowledge, then the next.",
    ),
    Rule(
        "all that one check of the inbox names is acknowledged before the next check",
        _check_by_check,
        "Deal with all the messages of one check first; the next check then names the rest.",
    ),
)

CASES: Final[tuple[Case, ...]] = (
    Case(
        id="601",
        set="high volume",
        title="Collect 600 messages",
        rules=_RULES,
        evidence=evidence,
        steps=(
            Step(
                Action.COLLECT,
                "{count} messages wait in the inbox of {mailbox}, more than one check of it names. Have your "
                "client check its inbox, download and acknowledge one message after the other, and check "
                "again until nothing waits.",
                all_acknowledged,
                props=(Waiting(count=_COUNT, size=_SIZE),),
            ),
        ),
    ),
)
