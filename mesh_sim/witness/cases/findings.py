"""What the assurance team found wrong in a supplier's traffic (witness-tests.md), looked for in all of it.

Each finding takes a pass or a few over the requests: the journal may hold 100,000 of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from itertools import islice, takewhile
from typing import Final

from mesh_sim.witness.cases.base import FINDINGS, Breach, Case, Rule
from mesh_sim.witness.cases.common import HANDSHAKE_LASTS, but_refused, tried
from mesh_sim.witness.cases.follow_ups import ACKNOWLEDGE_PROMPTLY, INBOX_AFTER_SEND, PAGING, seconds
from mesh_sim.witness.cases.selections import DOWNLOADS, MOST_SHOWN, SENDS, chunk_of, excused, few
from mesh_sim.witness.journal import REPLAYED, Entry
from mesh_sim.witness.trace import Trace, first

BURST: Final = 3
"""So many handshakes with nothing between them are a burst; the figure is ours."""
BURST_GAP: Final = timedelta(hours=1)
"""Those of a burst follow each other sooner than this; the figure is ours."""
POLL_INTERVAL: Final = timedelta(minutes=5)
"""How often the inbox may be polled while nothing waits (mesh-api.md section 2)."""
JITTER: Final = timedelta(seconds=5)
"""How much sooner the next poll may come: no timer and no network is exact; the figure is ours."""


def _around(shown: Iterable[Entry], broken: Entry | None) -> tuple[Entry, ...]:
    """Show what led up to the request that broke a rule, and what followed; without any, the first few."""
    entries = list(shown)
    place = next((place for place, entry in enumerate(entries) if entry is broken), 0)
    return few(entries[max(place - MOST_SHOWN // 2, 0) :])


def _is_acknowledgement(entry: Entry) -> bool:
    return entry.operation == "acknowledge" and entry.whole


def _is_list(entry: Entry) -> bool:
    return entry.operation == "list" and entry.whole


# -- handshake-cadence -----------------------------------------------------------------------------------


def _shakes_hands_daily(trace: Trace) -> Breach | None:
    latest: Entry | None = None
    for place, entry in enumerate(trace.entries):
        if entry.operation == "handshake":
            latest = entry if tried(entry) else latest
        elif latest is None and not excused(entry):
            why = f"this request ({entry.operation}) came with no handshake before it"
            return Breach(why + but_refused(trace.entries[:place]), entry)
        elif latest is not None and entry.at - latest.at > HANDSHAKE_LASTS and not excused(entry):
            hours = (entry.at - latest.at) / timedelta(hours=1)
            return Breach(f"the last handshake before this request was {hours:.1f} hours earlier", entry)
    return None


def _shakes_hands_singly(trace: Trace) -> Breach | None:
    """Count those that went well: one that was refused or failed is tried again."""
    row: list[Entry] = []
    for entry in trace.entries:
        if entry.operation == "handshake":
            if entry.whole:
                if len(row) < BURST and row and entry.at - row[-1].at >= BURST_GAP:
                    row.clear()
                row.append(entry)
        elif len(row) >= BURST:
            break
        else:
            row.clear()
    if len(row) < BURST:
        return None
    return Breach(f"{len(row)} handshakes came with no other request between them", row[BURST - 1])


def _handshakes(trace: Trace) -> tuple[Entry, ...]:
    """Show the handshakes; where all that came was one refused, there is nothing to judge yet."""
    if all(entry.operation == "handshake" and not tried(entry) for entry in trace.entries):
        return ()
    breaches = (_shakes_hands_daily(trace), _shakes_hands_singly(trace))
    broken = [breach.entry for breach in breaches if breach is not None and breach.entry is not None]
    numbers = {entry.number for entry in broken}
    shown = [entry for entry in trace.entries if entry.operation == "handshake" or entry.number in numbers]
    return _around(shown or trace.entries, min(broken, key=lambda entry: entry.at, default=None))


HANDSHAKE_CADENCE: Final = Case(
    id="handshake-cadence",
    set=FINDINGS,
    title="One handshake a day",
    rules=(
        Rule(
            "a handshake was made in the 24 hours before every other request",
            _shakes_hands_daily,
            "Shake hands when the client starts, and once in every 24 hours that it runs, on a timer.",
        ),
        Rule(
            f"handshakes do not come in bursts of {BURST} or more with nothing between them",
            _shakes_hands_singly,
            "Shake hands once and remember when; do not repeat a handshake that was answered 200.",
        ),
    ),
    evidence=_handshakes,
)


# -- download-once ---------------------------------------------------------------------------------------


def _is_fetched(entry: Entry) -> bool:
    return entry.operation in DOWNLOADS and entry.whole and not entry.fault


def _downloads_once(trace: Trace) -> Breach | None:
    fetched: dict[str, set[int]] = {}
    for place, entry in enumerate(trace.entries):
        if _is_acknowledgement(entry):
            fetched.pop(entry.message_id, None)
        elif _is_fetched(entry):
            number, numbers = chunk_of(entry).number, fetched.setdefault(entry.message_id, set())
            if number in numbers:
                times = 2 + _times_again(entry, islice(trace.entries, place + 1, None))
                return Breach(f"downloaded {times} times before it was acknowledged", entry)
            numbers.add(number)
    return None


def _times_again(download: Entry, later: Iterable[Entry]) -> int:
    """Count how often a chunk was downloaded yet again, until its message was acknowledged."""
    of_message = (entry for entry in later if entry.message_id == download.message_id)
    number = chunk_of(download).number
    return sum(
        _is_fetched(entry) and chunk_of(entry).number == number
        for entry in takewhile(lambda entry: not _is_acknowledgement(entry), of_message)
    )


def _downloads(trace: Trace) -> tuple[Entry, ...]:
    """Show what was done with the message that was downloaded again; without any, with the first few."""
    breach = _downloads_once(trace)
    broken = breach.entry if breach is not None else None
    if not any(map(_is_fetched, trace.entries)):
        return ()
    shown = (
        entry
        for entry in trace.entries
        if (entry.operation in DOWNLOADS or entry.operation == "acknowledge")
        and (broken is None or entry.message_id == broken.message_id)
    )
    return _around(shown, broken)


DOWNLOAD_ONCE: Final = Case(
    id="download-once",
    set=FINDINGS,
    title="Each message downloaded once",
    rules=(
        Rule(
            "no message, and no chunk of one, is downloaded again before it is acknowledged",
            _downloads_once,
            "Store what a download gives, acknowledge it, and note that this id has been dealt with.",
        ),
    ),
    evidence=_downloads,
)


# -- polling ---------------------------------------------------------------------------------------------


def _polls_patiently(trace: Trace) -> Breach | None:
    """Compare the polls that nothing called for.

    A send, an acknowledgement and a stage that was set up each call for one check of the inbox, the first
    that would come too soon otherwise. It is left out, so that a client is not blamed whose timer goes on
    every five minutes whatever comes in between.
    """
    stagings = iter(sorted(trace.stagings))
    staged = next(stagings, None)
    called_for = empty = False
    poll: Entry | None = None
    for entry in trace.entries:
        while staged is not None and staged <= entry.at:
            called_for, staged = True, next(stagings, None)
        if _is_acknowledgement(entry) or (entry.operation in SENDS and entry.whole):
            called_for = True
        elif _is_list(entry):
            if poll is None or not _is_soon(poll, entry):
                poll = entry
            elif called_for:
                called_for = False
            elif empty and entry.details.listed == 0:
                after = seconds(entry.at - poll.at)
                return Breach(f"polled again after {after}, while nothing was waiting", entry)
            else:
                poll = entry
            empty = entry.details.listed == 0
    return None


def _is_soon(poll: Entry, again: Entry) -> bool:
    return again.at - poll.at < POLL_INTERVAL - JITTER


def _polls(trace: Trace) -> tuple[Entry, ...]:
    breach = _polls_patiently(trace)
    return _around(filter(_is_list, trace.entries), breach.entry if breach is not None else None)


POLLING: Final = Case(
    id="polling",
    set=FINDINGS,
    title="Inbox polled every five minutes at most",
    rules=(
        Rule(
            "while nothing is waiting, the inbox is polled no more than once in 5 minutes",
            _polls_patiently,
            "Wait 5 minutes after a poll that named nothing; only a send or an acknowledgement calls for "
            "a check at once.",
        ),
    ),
    evidence=_polls,
)


# -- token-once ------------------------------------------------------------------------------------------


def _uses_tokens_once(trace: Trace) -> Breach | None:
    entry = first(trace.entries, lambda entry: entry.status == 403 and entry.reason == REPLAYED)
    return None if entry is None else Breach("refused with 403: its token had been used before", entry)


def _uses_of_tokens(trace: Trace) -> tuple[Entry, ...]:
    breach = _uses_tokens_once(trace)
    return _around(trace.entries, breach.entry if breach is not None else None)


TOKEN_ONCE: Final = Case(
    id="token-once",
    set=FINDINGS,
    title="A new authorization token for every request",
    rules=(
        Rule(
            "no authorization token is used twice",
            _uses_tokens_once,
            "Make a new token for each request, retries too: a new nonce, or the nonce count plus 1.",
        ),
    ),
    evidence=_uses_of_tokens,
)

CASES: Final[tuple[Case, ...]] = (
    HANDSHAKE_CADENCE,
    INBOX_AFTER_SEND,
    DOWNLOAD_ONCE,
    ACKNOWLEDGE_PROMPTLY,
    POLLING,
    TOKEN_ONCE,
    PAGING,
)
"""In the catalogue's order."""
