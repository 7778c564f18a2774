"""What the cases of several sets share: when a request counts, the handshake, when a step is done.

A request that failed by no doing of the client's breaks no rule: where it is a handshake, a check of the
inbox or an acknowledgement, the client has done its part by asking. A rule whose subject was never seen is
kept: the rule that asks for that subject is the broken one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from mesh_sim.witness.cases.base import Breach, Rule
from mesh_sim.witness.cases.selections import excused
from mesh_sim.witness.journal import BROKEN, Entry
from mesh_sim.witness.trace import Trace, first

HANDSHAKE_LASTS: Final = timedelta(hours=24, minutes=5)
"""The API asks for one handshake in 24 hours (mesh-api.md section 2). The five minutes, one poll's interval,
are ours: where a client's timers for both are due at once, the poll may well come first."""

_TWO_CLOCKS: Final = timedelta(milliseconds=50)
"""When a request begins is read from one clock, how long it takes from another; the figure is ours."""

# -- single requests -------------------------------------------------------------------------------------


def tried(entry: Entry) -> bool:
    """Tell whether the client has done its part, even if it was not answered well."""
    return entry.whole or excused(entry)


def follows(later: Entry, earlier: Entry) -> bool:
    """Tell whether one request began when the other had ended."""
    return later.at > earlier.at and later.at >= earlier.ended_at - _TWO_CLOCKS


def checks_inbox(entry: Entry) -> bool:
    """Tell whether it is a check of the inbox."""
    return entry.operation == "list" and tried(entry)


def answer_of(entry: Entry) -> str:
    """Say what became of a request, and why where that is known."""
    became = "it broke off" if entry.status == BROKEN else f"it was answered {entry.status}"
    return f"{became} ({entry.reason})" if entry.reason else became


# -- the handshake ---------------------------------------------------------------------------------------


def counted(entries: Iterable[Entry], begun_at: datetime) -> tuple[Entry, ...]:
    """Give the requests since a rehearsal began, after the last handshake before it, if that still counts.

    A client that shakes hands once a day need not do so again because a rehearsal begins. ``entries`` are in
    the order in which they began.
    """
    since: list[Entry] = []
    handshake: Entry | None = None
    for entry in entries:
        if entry.at >= begun_at:
            since.append(entry)
        elif entry.operation == "handshake" and tried(entry) and begun_at - entry.at <= HANDSHAKE_LASTS:
            handshake = entry
    return tuple(since) if handshake is None or not since else (handshake, *since)


def evidence(trace: Trace) -> Sequence[Entry]:
    """Give what was asked during the attempt, and the handshake before it that still counts."""
    within = trace.within
    opening = _opening(trace)
    handshake = _handshake_before(trace, opening) if opening is not None else None
    if handshake is None or handshake in within:
        return within
    return (handshake, *within)


def _opening(trace: Trace) -> Entry | None:
    """Give the first request of the attempt that is no handshake."""
    return first(trace.within, lambda entry: entry.operation != "handshake")


def _handshake_before(trace: Trace, entry: Entry) -> Entry | None:
    return first(
        reversed(trace.before(entry)),
        lambda it: it.operation == "handshake" and tried(it) and entry.at - it.at <= HANDSHAKE_LASTS,
    )


def _shook_hands(trace: Trace) -> Breach | None:
    """Ask for a handshake before the case, but not in it: one a day is enough, and there are many cases."""
    opening = _opening(trace) or first(reversed(trace.within), lambda _: True)
    if opening is None or _handshake_before(trace, opening) is not None:
        return None
    if opening.operation == "handshake":  # and there is nothing else
        why = f"the handshake had no success: {answer_of(opening)}"
        return None if tried(opening) else Breach(why, opening)
    return Breach(
        f"the first request of the case ({opening.operation}) had no handshake in the 24 hours before it"
        f"{but_refused(trace.before(opening))}",
        opening,
    )


def but_refused(before: Sequence[Entry]) -> str:
    """Say what became of the last handshake, to go on with where it is told that none went well."""
    refused = first(reversed(before), lambda entry: entry.operation == "handshake" and not tried(entry))
    return "" if refused is None else f", only one that had no success: {answer_of(refused)}"


HANDSHAKE: Final = Rule(
    "the client has shaken hands in the 24 hours before its first other request",
    _shook_hands,
    "Call the handshake (POST /messageexchange/MAILBOX) when your client starts, before anything else, and "
    "again every 24 hours. Where it was refused, the reason beside it says what to mend.",
)

# -- when a step is done ---------------------------------------------------------------------------------


def all_acknowledged(trace: Trace) -> bool:
    """Tell whether every message that was waiting is acknowledged, downloaded or not."""
    attempt = trace.attempt
    if attempt is None or not attempt.steps_at or not attempt.message_ids:
        return False
    if len(trace.entries) < len(attempt.message_ids):
        return False  # a cheap no: case 601 asks after each of some 1,800 requests
    left = set(attempt.message_ids)
    for entry in reversed(trace.entries):
        if entry.at < attempt.steps_at[0]:
            break
        if entry.operation == "acknowledge" and entry.whole:
            left.discard(entry.message_id)
    return not left
