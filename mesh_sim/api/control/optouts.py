"""``/admin/optouts``: the opt-out register. NHS numbers are in paths and bodies, never in logs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Final

from aiohttp import web
from pydantic import Field

from mesh_sim.api.control.refusals import ControlRefused
from mesh_sim.api.control.requests import answer, read_query, read_wish
from mesh_sim.api.keys import EXCHANGE, REGISTER, RULE, SETTINGS
from mesh_sim.optouts.loading import InvalidNumbers, ListLoader, parse_numbers
from mesh_sim.optouts.register import Choice
from mesh_sim.wishes.base import Problem, Wish
from mesh_sim.wishes.optouts import ChoiceWish, RuleWish
from ndoo.lists import Numbers, NumberSet, parse_number

_THREAD_BYTES: Final = 64 * 1024

NumberText = Annotated[str, Field(max_length=40)]


class ChoicesWish(ChoiceWish):
    """One choice for several people."""

    nhs_numbers: list[NumberText] = Field(min_length=1, max_length=50_000)
    opted_out: bool = True


class LoadQuery(ChoiceWish):
    """One choice for everybody in a file."""

    opted_out: bool = True


class ListQuery(Wish):
    """A page of the explicit choices."""

    limit: int = Field(100, ge=1, le=10_000)
    after: int = Field(0, ge=0)


async def list_optouts(request: web.Request) -> web.Response:
    """List explicit choices, lowest number first; ``next`` is what ``after`` must be for the next page."""
    query = read_query(request, ListQuery)
    snapshot = await request.app[REGISTER].snapshot(request.app[EXCHANGE].now())
    opted_out, withdrawn = (_page(numbers, query) for numbers in (snapshot.explicit, snapshot.withdrawn))
    listed = sorted([(number, True) for number in opted_out] + [(number, False) for number in withdrawn])
    page = listed[: query.limit]
    return answer(
        {
            "choices": [{"nhs_number": f"{number:010}", "opted_out": choice} for number, choice in page],
            "next": page[-1][0] if len(listed) > query.limit else None,
        }
    )


async def show_statistics(request: web.Request) -> web.Response:
    """Count the explicit choices valid now, and give the synthetic rule for everybody else."""
    register = request.app[REGISTER]
    counted = await register.statistics(request.app[EXCHANGE].now())
    return answer(
        {
            "opted_out": counted.opted_out,
            "withdrawn": counted.withdrawn,
            "rate": register.synthetic.rate,
            "seed": register.synthetic.seed,
        }
    )


async def change_rule(request: web.Request) -> web.Response:
    """Set the synthetic rate or seed."""
    wish = await read_wish(request, RuleWish)
    if wish.changes_nothing:
        raise ControlRefused(400, 'say what is to change, such as {"rate": 0}')
    await request.app[RULE].set(wish.rule(request.app[REGISTER].synthetic))
    return await show_statistics(request)


async def show_choice(request: web.Request) -> web.Response:
    """Say whether one person has opted out, by what, and every choice recorded."""
    return await _person(request, _number(request))


async def opt_out(request: web.Request) -> web.Response:
    """Opt one person out."""
    number, wish = _number(request), await read_wish(request, ChoiceWish)
    await request.app[REGISTER].opt_out(number, **wish.model_dump())
    return await _person(request, number)


async def withdraw(request: web.Request) -> web.Response:
    """Withdraw one person's opt-out."""
    number, wish = _number(request), await read_wish(request, ChoiceWish)
    await request.app[REGISTER].withdraw(number, **wish.model_dump())
    return await _person(request, number)


async def choose_many(request: web.Request) -> web.Response:
    """Record one choice for several people, all of them or, if any number is wrong, none."""
    wish = await read_wish(request, ChoicesWish)
    try:
        numbers = parse_numbers(wish.nhs_numbers, request.app[SETTINGS].nhs_number_rule)
    except InvalidNumbers as error:
        raise _invalid(error, "nhs_numbers") from error
    return await _load(request, numbers, wish, opted_out=wish.opted_out)


async def load_choices(request: web.Request) -> web.Response:
    """Record one choice for everybody in a list, one number a line, all of them or none.

    The body is the list itself, as in a ``.dat``; millions are read as they come.
    """
    query = read_query(request, LoadQuery)
    loader = ListLoader(request.app[SETTINGS].nhs_number_rule)
    try:
        async for data in _list(request):
            if len(data) >= _THREAD_BYTES:
                await asyncio.to_thread(loader.feed, data)
            else:
                loader.feed(data)
        numbers = await asyncio.to_thread(loader.finish)
    except InvalidNumbers as error:
        raise _invalid(error) from error
    return await _load(request, numbers, query, opted_out=query.opted_out)


async def _list(request: web.Request) -> AsyncIterator[bytes]:
    most, size = request.app[SETTINGS].max_list_bytes, 0
    async for data in request.content.iter_chunked(1024 * 1024):
        size += len(data)
        if size > most:
            raise ControlRefused(413, f"the list is larger than {most} bytes (MESH_SIM_MAX_LIST_BYTES)")
        yield data


async def forget_choices(request: web.Request) -> web.Response:
    """Forget every explicit choice; the synthetic rule stays."""
    await request.app[REGISTER].clear()
    return await show_statistics(request)


async def _load(request: web.Request, numbers: Numbers, how: ChoiceWish, *, opted_out: bool) -> web.Response:
    loaded = await request.app[REGISTER].load(
        numbers, opted_out=opted_out, registered_at=how.registered_at, channel=how.channel
    )
    return answer({"loaded": loaded, "opted_out": opted_out})


def _invalid(error: InvalidNumbers, prefix: str = "") -> ControlRefused:
    return ControlRefused.invalid(Problem(prefix + place, reason) for place, reason in error.problems)


def _number(request: web.Request) -> int:
    number, fault = parse_number(request.match_info["nhs_number"], request.app[SETTINGS].nhs_number_rule)
    if number is None:
        raise ControlRefused.field("nhs_number", f"is no NHS number: {fault.reason}")
    return number


async def _person(request: web.Request, number: int) -> web.Response:
    found = await request.app[REGISTER].standing(number, request.app[EXCHANGE].now())
    return answer(
        {
            "nhs_number": f"{number:010}",
            "opted_out": found.opted_out,
            "by": "choice" if found.by_choice else "synthetic rule",
            "history": [_choice(choice) for choice in found.history],
        }
    )


def _choice(choice: Choice) -> dict[str, Any]:
    registered_at: datetime = choice.registered_at
    return {
        "opted_out": choice.opted_out,
        "registered_at": registered_at.isoformat(),
        "channel": choice.channel.value,
    }


def _page(numbers: NumberSet, query: ListQuery) -> list[int]:
    return [int(number) for number in numbers.after(query.after, query.limit + 1)]
