"""The opt-out register: one person looked up and their choice recorded, the counts, the synthetic rule.

An NHS number is sent in forms only and shown to whoever sent it: it is in no address, no title and no log.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final

from aiohttp import web
from pydantic import BeforeValidator

from mesh_sim.api.keys import EXCHANGE, REGISTER, RULE, SETTINGS
from mesh_sim.optouts.register import Channel, ChannelTally, Standing
from mesh_sim.web.charts import BAR_HEIGHT, BarChart, bar_chart
from mesh_sim.web.forms import Form, FormRefused, as_wish, read_form, refused
from mesh_sim.web.page import see, show
from mesh_sim.web.wording import moment
from mesh_sim.wishes.base import Problem
from mesh_sim.wishes.optouts import ChoiceWish, Moment, RuleWish
from ndoo.lists import parse_number

_PAGE: Final = "/opt-outs"
_LOCAL_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?", re.ASCII)

_CHANNELS: Final = {
    Channel.APP: "App",
    Channel.WEB: "Web",
    Channel.PHONE: "Phone",
    Channel.POST: "Post",
    Channel.STAFF: "Staff",
    Channel.PROXY: "Proxy",
}

_DONE: Final = {"rule": "The synthetic rule was changed. It counts for every list checked from now on."}


def _in_utc(value: object) -> object:
    """Take a browser's date and time, which has no zone, for one in UTC."""
    return f"{value}Z" if isinstance(value, str) and _LOCAL_TIME.fullmatch(value) else value


class _FilledChoice(ChoiceWish):
    """A choice as the page's form has it."""

    registered_at: Annotated[Moment | None, BeforeValidator(_in_utc)] = None


async def show_opt_outs(request: web.Request) -> web.StreamResponse:
    """Show the register's counts, and a form to look somebody up with."""
    return await _shown(request, done=_DONE.get(request.query.get("done", ""), ""))


async def look_up(request: web.Request) -> web.StreamResponse:
    """Show where one person stands."""
    given = await read_form(request)
    try:
        number = _number(request, given)
    except FormRefused as error:
        return await _shown(request, person_form=error.form, status=400)
    return await _shown(request, number=number)


async def opt_out(request: web.Request) -> web.StreamResponse:
    """Record that one person opted out."""
    return await _choose(request, opted_out=True)


async def withdraw(request: web.Request) -> web.StreamResponse:
    """Record that one person withdrew their opt-out."""
    return await _choose(request, opted_out=False)


async def _choose(request: web.Request, *, opted_out: bool) -> web.StreamResponse:
    given = await read_form(request)
    try:
        number = _number(request, given)
    except FormRefused as error:
        return await _shown(request, person_form=error.form, status=400)
    try:
        wish = as_wish(given, _FilledChoice)
    except FormRefused as error:
        return await _shown(request, number=number, choice_form=error.form, status=400)
    register = request.app[REGISTER]
    choose = register.opt_out if opted_out else register.withdraw
    await choose(number, **wish.model_dump())
    recorded = "The opt-out was recorded." if opted_out else "The withdrawal was recorded."
    return await _shown(request, number=number, done=f"{recorded} {_counts(request, wish.registered_at)}")


def _counts(request: web.Request, registered_at: datetime | None) -> str:
    """Say for which lists a choice counts."""
    if registered_at is None or registered_at <= request.app[EXCHANGE].now():
        return "It counts for every list checked from now on."
    return f"It counts for lists checked from {moment(registered_at)} on, in simulated time."


def _number(request: web.Request, given: Mapping[str, str]) -> int:
    number, fault = parse_number(given.get("nhs_number", ""), request.app[SETTINGS].nhs_number_rule)
    if number is None:
        problem = f"is no NHS number: {fault.reason}" if given.get("nhs_number") else "is needed"
        raise refused(given, [Problem("nhs_number", problem)])
    return number


async def change_rule(request: web.Request) -> web.StreamResponse:
    """Set the synthetic rate or seed."""
    given = await read_form(request)
    try:
        wish = as_wish(given, RuleWish)
        if wish.changes_nothing:
            raise refused(given, [Problem("rate", "say a rate or a seed")])
    except FormRefused as error:
        return await _shown(request, rule_form=error.form, status=400)
    await request.app[RULE].set(wish.rule(request.app[REGISTER].synthetic))
    return see(f"{_PAGE}?done=rule")


# -- what the page shows ---------------------------------------------------------------------------


async def _shown(
    request: web.Request,
    *,
    number: int | None = None,
    person_form: Form | None = None,
    choice_form: Form | None = None,
    rule_form: Form | None = None,
    done: str = "",
    status: int = 200,
) -> web.Response:
    register, now = request.app[REGISTER], request.app[EXCHANGE].now()
    tallies = await register.by_channel()
    context = {
        "active": _PAGE,
        "done": done,
        "person_form": person_form or Form(),
        "choice_form": choice_form or Form(),
        "rule_form": rule_form or Form(),
        "person": None if number is None else _person(number, await register.standing(number, now)),
        "counts": await register.statistics(now),
        "rate": str(register.synthetic.rate).removesuffix(".0"),
        "seed": register.synthetic.seed,
        "channels": [(channel.value, name) for channel, name in _CHANNELS.items()],
        "tallies": [tally for tally in tallies if tally.opted_out or tally.withdrawn],
        "chart": _chart(tallies),
        "bar_height": BAR_HEIGHT,
    }
    return show(request, "opt_outs.html", context, status=status)


def _chart(tallies: Sequence[ChannelTally]) -> BarChart:
    return bar_chart((_CHANNELS[tally.channel], (tally.opted_out, tally.withdrawn)) for tally in tallies)


def _person(number: int, found: Standing) -> dict[str, Any]:
    digits = f"{number:010}"
    latest_first = found.history[::-1]
    counting = next((choice for choice in latest_first if choice.registered_at <= found.at), None)
    return {
        "number": digits,
        "written": f"{digits[:3]} {digits[3:6]} {digits[6:]}",
        "at": found.at,
        "opted_out": found.opted_out,
        "by_choice": found.by_choice,
        "history": [
            {
                "opted_out": choice.opted_out,
                "registered_at": choice.registered_at,
                "channel": _CHANNELS[choice.channel],
                "is_to_come": choice.registered_at > found.at,
                "counts": choice is counting,
            }
            for choice in latest_first
        ],
    }
