"""The findings on what a client does straight after something else, and on what it leaves undone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from mesh_sim.witness.cases.base import FINDINGS, Breach, Case, Rule
from mesh_sim.witness.cases.common import tried
from mesh_sim.witness.cases.selections import DOWNLOADS, MOST_SHOWN, SENDS, completing
from mesh_sim.witness.journal import Entry
from mesh_sim.witness.trace import Trace

PROMPTLY: Final = timedelta(seconds=60)
"""What still counts as straight after; the figure is ours, the poll found late came after 5 to 20 minutes."""


@dataclass(frozen=True, slots=True)
class _Owed:
    """A request that calls for another, and the one that came; None where none did in time to be judged."""

    cause: Entry
    since: datetime
    paid: Entry | None = None

    @property
    def late(self) -> bool:
        """Whether what it calls for did not come promptly."""
        return self.paid is None or self.paid.at - self.since > PROMPTLY


def _accounts(owed: Iterable[_Owed], is_broken: Callable[[_Owed], bool]) -> tuple[Entry, ...]:
    """Show the first that broke a rule, or without any the first, each with what came of it."""
    every = list(owed)
    pairs = (list(filter(is_broken, every)) or every)[: MOST_SHOWN // 2]
    shown = {entry.number: entry for one in pairs for entry in (one.cause, one.paid) if entry is not None}
    return tuple(sorted(shown.values(), key=lambda entry: entry.at))


def _first_late(owed: Iterable[_Owed], *, never: str, late: str) -> Breach | None:
    """Tell of the first whose other request did not come promptly: ``never``, or ``late``, by ``{after}``."""
    one = next((one for one in owed if one.late), None)
    if one is None:
        return None
    if one.paid is None:
        return Breach(never, one.cause)
    return Breach(late.format(after=seconds(one.paid.at - one.since)), one.paid)


def seconds(span: timedelta) -> str:
    """Say how long it is."""
    return f"{span.total_seconds():,.0f} s"


# -- inbox-after-send ------------------------------------------------------------------------------------

_BETWEEN: Final = (*SENDS, "track", "track-local-id", "handshake")
"""What does not show that a client has gone on after its sends without the check."""


def _checks_after_sends(trace: Trace) -> Iterator[_Owed]:
    """Give the last send of each run, whose sends follow each other promptly, with the check after it.

    At the end of the traffic a run is judged only once the time is up, or the client has gone on.
    """
    completed = {entry.number for entry in completing(trace.entries, SENDS)}
    owed: _Owed | None = None
    gone_on = False
    for entry in trace.entries:
        if entry.operation in SENDS:
            if owed is not None and entry.at - owed.since > PROMPTLY:
                yield owed
                owed = None
            if entry.number in completed:
                owed, gone_on = _Owed(entry, entry.ended_at), False
            elif owed is not None and tried(entry):
                owed = replace(owed, since=entry.ended_at)
        elif entry.operation == "list" and owed is not None:
            yield replace(owed, paid=entry)
            owed = None
        elif entry.operation not in _BETWEEN:
            gone_on = True
    if owed is not None and (gone_on or trace.now - owed.since > PROMPTLY):
        yield owed


def _checks_inbox_after_send(trace: Trace) -> Breach | None:
    return _first_late(
        _checks_after_sends(trace),
        never="the inbox was not checked after this send",
        late="the inbox was checked only {after} after the send before it",
    )


INBOX_AFTER_SEND: Final = Case(
    id="inbox-after-send",
    set=FINDINGS,
    title="Inbox checked straight after a send",
    rules=(
        Rule(
            f"the inbox is checked within {seconds(PROMPTLY)} of a send, or of the last of several",
            _checks_inbox_after_send,
            "Check the inbox as soon as a message is sent, rather than at the next scheduled poll.",
        ),
    ),
    evidence=lambda trace: _accounts(_checks_after_sends(trace), lambda owed: owed.late),
)


# -- acknowledge-promptly --------------------------------------------------------------------------------


def _acknowledgements(trace: Trace) -> list[_Owed]:
    """Give the download that completed each message, with its acknowledgement; one may yet be to come."""
    completed = {entry.number for entry in completing(trace.entries, DOWNLOADS)}
    owed: dict[str, _Owed] = {}
    for entry in trace.entries:
        if entry.operation == "acknowledge" and tried(entry):
            one = owed.get(entry.message_id)
            if one is not None and one.paid is None:
                owed[entry.message_id] = replace(one, paid=entry)
        elif entry.number in completed:
            owed[entry.message_id] = _Owed(entry, entry.ended_at)
    return [one for one in owed.values() if one.paid is not None or trace.now - one.since > PROMPTLY]


def _acknowledges_promptly(trace: Trace) -> Breach | None:
    return _first_late(
        _acknowledgements(trace),
        never="the message was not acknowledged after this download",
        late="acknowledged only {after} after the download had ended",
    )


ACKNOWLEDGE_PROMPTLY: Final = Case(
    id="acknowledge-promptly",
    set=FINDINGS,
    title="Acknowledged straight after the download",
    rules=(
        Rule(
            f"a message is acknowledged within {seconds(PROMPTLY)} of the end of its download",
            _acknowledges_promptly,
            "Acknowledge each message once it is stored, before it is processed and before the next one.",
        ),
    ),
    evidence=lambda trace: _accounts(_acknowledgements(trace), lambda owed: owed.late),
)


# -- paging ----------------------------------------------------------------------------------------------

_ON_A_PAGE: Final = (*DOWNLOADS, "head", "acknowledge")
"""What a client asks that is still working through a page."""


def _pages(trace: Trace) -> list[_Owed]:
    """Give the lists after which more waited, with the next one: another page, or the first anew.

    A list that comes after another stage was set up, when the client was through with its page, is none: the
    rest of the inbox was left until then. At the end of the traffic a page is judged only once the client has
    turned to something else, another stage was set up, or the client has asked nothing for a while.
    """
    found: list[_Owed] = []
    gone_on = left = False
    worked_at = trace.now
    for entry in trace.entries:
        if entry.operation == "list" and tried(entry):
            left = left or any(worked_at < at <= entry.at for at in trace.stagings)
            if found and found[-1].paid is None and not left:
                found[-1] = replace(found[-1], paid=entry)
            if entry.whole and entry.details.more:
                found.append(_Owed(entry, entry.ended_at))
                left = False
            gone_on = False
            worked_at = entry.at
        elif entry.operation in _ON_A_PAGE:
            worked_at = entry.at
        else:
            gone_on = True
    if found and found[-1].paid is None and not gone_on:
        page = found[-1].cause
        staged = any(at > page.at for at in trace.stagings)
        if not staged and trace.now - trace.entries[-1].ended_at <= PROMPTLY:
            found.pop()
    return found


def _is_left(page: _Owed) -> bool:
    return page.paid is None


def _reads_every_page(trace: Trace) -> Breach | None:
    page = next(filter(_is_left, _pages(trace)), None)
    if page is None:
        return None
    named = page.cause.details.listed or 0
    why = f"{named:,} messages were named and more were waiting, but the inbox was not listed again"
    return Breach(why, page.cause)


PAGING: Final = Case(
    id="paging",
    set=FINDINGS,
    title="Every page of the inbox read",
    rules=(
        Rule(
            "after a page of the inbox the next is read, for as long as more are waiting",
            _reads_every_page,
            "Follow links.next of the answer, or list the inbox again once the page is acknowledged, "
            "until no more are waiting.",
        ),
    ),
    evidence=lambda trace: _accounts(_pages(trace), _is_left),
)
