"""The simulated clock, and what fails on purpose: shown and set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import web
from pydantic import Field

from mesh_sim.api.keys import EXCHANGE, FAULTS, SETTINGS, TIME
from mesh_sim.durations import Duration, format_duration
from mesh_sim.exchange.events import KEPT, Kind
from mesh_sim.faults import Counted, RuleRefused
from mesh_sim.web import fault_words
from mesh_sim.web.forms import Form, FormRefused, as_wish, filled_in, read_form, refused
from mesh_sim.web.page import see, show
from mesh_sim.web.refusals import not_there
from mesh_sim.web.wording import counted, spelled_out
from mesh_sim.wishes.base import Problem, Wish
from mesh_sim.wishes.clock import ClockWish
from mesh_sim.wishes.faults import FaultWish

_PAGE: Final = "/clock-and-faults"
_STEPS: Final = (("1h", "1 hour"), ("1d", "1 day"), ("5d", "5 days"))
_NUMBERS: Final = ("status", "after_bytes", "nth", "times", "probability", "seed")
_MOST_LISTED: Final = 200
"""How many mailboxes a browser is told, to offer them while one is typed."""


class _Done(StrEnum):
    """What a form did."""

    ADVANCED = "advanced"
    RESET = "reset"
    ADDED = "added"
    REMOVED = "removed"


class _Came(Wish):
    """What came of a form, as the address of the page after it has it."""

    done: _Done
    by: Duration = timedelta()
    undeliverable: int = Field(0, ge=0, le=KEPT)
    deleted: int = Field(0, ge=0, le=KEPT)
    rules: int = Field(1, ge=0, lt=10**9)
    hits: int = Field(0, ge=0, lt=10**9)


async def show_clock_and_faults(request: web.Request) -> web.StreamResponse:
    """Show how far the clock is ahead, and the faults in force."""
    return _shown(request, done=_said_of(request.query))


async def advance_clock(request: web.Request) -> web.StreamResponse:
    """Move simulated time forward; what is then due has happened to messages when the page says so."""
    given = await read_form(request)
    try:
        by = _wanted_advance(given)
        came = await _advance(request, by)
    except FormRefused as error:
        return _shown(request, clock_form=error.form, status=400)
    except ValueError as error:
        form = refused(given, [Problem("advance", str(error))]).form
        return _shown(request, clock_form=form, status=400)
    return _see(
        _Done.ADVANCED,
        by=format_duration(by),
        undeliverable=came[Kind.UNDELIVERABLE],
        deleted=came[Kind.DELETED],
    )


def _wanted_advance(given: Mapping[str, str]) -> timedelta:
    if "advance" not in given:
        raise refused(given, [Problem("advance", "say how far, such as 5d or 1h30m")])
    return as_wish({"advance": given["advance"]}, ClockWish).advance or timedelta()


async def _advance(request: web.Request, by: timedelta) -> Counter[Kind]:
    """Move the clock, and count what fell due, as far as a watcher of events gets to see it.

    Raises:
        ValueError: the clock cannot go so far ahead.
    """
    came: Counter[Kind] = Counter()
    with request.app[EXCHANGE].events.watch(kinds=(Kind.UNDELIVERABLE, Kind.DELETED)) as news:
        await request.app[TIME].advance(by)
        news.end()
        while (event := await news.next()) is not None:
            came[event.kind] += 1
    return came


async def reset_clock(request: web.Request) -> web.StreamResponse:
    """Return to real time."""
    await request.app[TIME].reset()
    return _see(_Done.RESET)


async def add_fault(request: web.Request) -> web.StreamResponse:
    """Put a rule in force, after those that are."""
    given = await read_form(request)
    try:
        _add(request, given)
    except FormRefused as error:
        return _shown(request, fault_form=error.form, status=400)
    return _see(_Done.ADDED)


def _add(request: web.Request, given: Mapping[str, str]) -> None:
    wish = as_wish(given, FaultWish, numbers=_NUMBERS)
    directory, faults = request.app[EXCHANGE].directory, request.app[FAULTS]
    problems = []
    try:
        faults.check(wish.rule())
    except RuleRefused as error:
        problems = [Problem(field, problem) for field, problem in error.problems.items()]
    if wish.mailbox and directory.mailbox(wish.mailbox) is None:
        problems.append(Problem("mailbox", directory.unknown(wish.mailbox)))
    if problems:
        raise refused(given, problems)
    faults.add(wish.rule())


async def remove_fault(request: web.Request) -> web.StreamResponse:
    """Take one rule out of force."""
    given = await read_form(request)
    removed = request.app[FAULTS].remove(given.get("rule", "").lower())
    if removed is None:
        hint = "It was removed already, or the server was started again since: faults end with it."
        raise not_there("fault", hint, (_PAGE, "Go to the faults in force"))
    return _see(_Done.REMOVED, hits=removed.hits)


async def clear_faults(request: web.Request) -> web.StreamResponse:
    """Take every rule out of force."""
    removed = request.app[FAULTS].clear()
    return _see(_Done.REMOVED, rules=len(removed), hits=sum(each.hits for each in removed))


def _see(done: _Done, **came: str | int) -> web.Response:
    return see(f"{_PAGE}?{urlencode({'done': done.value, **came})}")


# -- what the page says ----------------------------------------------------------------------------


def _shown(
    request: web.Request,
    *,
    clock_form: Form | None = None,
    fault_form: Form | None = None,
    done: str = "",
    status: int = 200,
) -> web.Response:
    app = request.app
    context = {
        "active": _PAGE,
        "done": done,
        "clock_form": clock_form or Form(),
        "fault_form": fault_form or Form(),
        "steps": _STEPS,
        "settings": app[SETTINGS],
        "rules": [_rule_shown(each) for each in app[FAULTS].counted()],
        "actions": [(action.value, *said) for action, said in fault_words.ACTIONS.items()],
        "operations": list(fault_words.OPERATIONS.items()),
        "mailboxes": app[EXCHANGE].directory.mailboxes[:_MOST_LISTED],
    }
    return show(request, "clock_and_faults.html", context, status=status)


def _rule_shown(found: Counted) -> dict[str, Any]:
    rule = found.rule
    return {
        "id": rule.id,
        "calls_meant": fault_words.calls_meant(rule),
        "mailbox": rule.mailbox,
        "does": fault_words.does(rule),
        "when": fault_words.when(rule),
        "calls": found.calls,
        "hits": found.hits,
        "exhausted": found.exhausted,
    }


def _said_of(query: Mapping[str, str]) -> str:
    """Say what a form did; nothing, where the address is nobody's who filled one in."""
    try:
        came = as_wish(filled_in(query.items()), _Came)
    except FormRefused:
        return ""
    match came.done:
        case _Done.ADVANCED:
            return f"Simulated time went forward by {spelled_out(came.by)}. {_fell_due(came)}"
        case _Done.RESET:
            return "Simulated time is real time again. What had happened to messages stays."
        case _Done.ADDED:
            return "The fault is in force."
        case _Done.REMOVED if came.rules == 1:
            return f"The fault is no longer in force. It acted on {counted(came.hits, 'request')}."
    removed, hits = counted(came.rules, "fault"), counted(came.hits, "request")
    return f"No fault is in force any more: {removed} were removed, which acted on {hits}."


def _fell_due(came: _Came) -> str:
    if not came.undeliverable and not came.deleted:
        return "No message expired or was deleted."
    parts = []
    if came.undeliverable:
        uncollected = counted(came.undeliverable, "message")
        parts.append(f"{uncollected} that nobody collected became undeliverable, with a report to the sender")
    if came.deleted:
        were = "was" if came.deleted == 1 else "were"
        parts.append(f"{counted(came.deleted, 'message')} {were} deleted, as the time for that had come")
    at_least = "At least " if came.undeliverable + came.deleted >= KEPT else ""
    return f"{at_least}{', and '.join(parts)}."
