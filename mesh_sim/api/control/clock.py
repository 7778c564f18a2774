"""``/admin/clock``: the simulated time."""

from __future__ import annotations

from aiohttp import web

from mesh_sim.api.control.refusals import ControlRefused
from mesh_sim.api.control.requests import answer, read_wish
from mesh_sim.api.keys import TIME
from mesh_sim.clock import real_now
from mesh_sim.wishes.clock import ClockWish


async def show_clock(request: web.Request) -> web.Response:
    """Give the simulated time, the real one, and what lies between them."""
    return _clock(request)


async def set_clock(request: web.Request) -> web.Response:
    """Advance or reset the clock; whatever is then due has happened before the answer."""
    wish = await read_wish(request, ClockWish)
    keeper = request.app[TIME]
    try:
        if wish.advance is not None:
            await keeper.advance(wish.advance)
        else:
            await keeper.reset()
    except ValueError as error:
        raise ControlRefused.field("advance", str(error)) from error
    return _clock(request)


def _clock(request: web.Request) -> web.Response:
    keeper = request.app[TIME]
    return answer(
        {
            "now": keeper.now().isoformat(),
            "real": real_now().isoformat(),
            "offset_s": keeper.offset.total_seconds(),
        }
    )
