"""Telling open pages that what they show has changed, as server-sent events, and what pages are made with."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from aiohttp import web
from aiohttp_sse import EventSourceResponse, sse_response

from mesh_sim.api.header_bytes import POLICY
from mesh_sim.api.keys import EXCHANGE
from mesh_sim.api.streams import ending_when_gone
from mesh_sim.exchange.events import Gathering, Kind
from mesh_sim.web.keys import MOST_WATCHERS, WATCHERS
from mesh_sim.web.page import asset
from mesh_sim.web.refusals import PageRefused

_PAUSE_S: Final = 0.25
"""How long what happens is gathered before a page is told again."""

_PING_S: Final = 15.0
"""How often a page that has nothing to be told of is asked whether it is still there."""

_CONTENT_TYPES: Final = {"live.js": "text/javascript", "icon.svg": "image/svg+xml"}
_MOST_ABOUT: Final = 64


async def tell_changes(request: web.Request) -> web.StreamResponse:
    """Tell a page whenever something of its ``kinds`` has happened, about ``about`` if it names that."""
    names = [name for name in request.query.get("kinds", "").split(",") if name]
    if not names or not frozenset(Kind).issuperset(names):
        raise PageRefused(400, "There is nothing like that to watch", f"Known kinds are {', '.join(Kind)}.")
    about = request.query.get("about", "")[:_MOST_ABOUT].upper()
    places = request.app[WATCHERS]
    if places.locked():
        why = f"{MOST_WATCHERS} may at once. Close some, or reload this one by hand."
        raise PageRefused(503, "Too many pages are watching", why)
    async with places:
        with request.app[EXCHANGE].events.gather(frozenset(map(Kind, names)), about) as news:
            async with sse_response(request, ping_interval=_PING_S) as response:
                await _tell(response, news)
        return response


async def _tell(response: EventSourceResponse, news: Gathering) -> None:
    """Tell a page of news until there are none any more, or the page has gone."""
    # It may go, or not take in what it is told.
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with ending_when_gone(response, news):
            while response.is_connected() and (kinds := await news.next()) is not None:
                await response.send(",".join(sorted(kinds)), event="changed")
                await asyncio.sleep(_PAUSE_S)


async def show_asset(request: web.Request) -> web.Response:
    """Give the script or the icon; browsers may keep them for a while."""
    name = request.match_info["name"]
    if name not in _CONTENT_TYPES:
        raise PageRefused(404, "There is no such file", f"Known are {', '.join(_CONTENT_TYPES)}.")
    request[POLICY] = {"X-Content-Type-Options": "nosniff", "Cache-Control": "max-age=300"}
    return web.Response(text=asset(name), content_type=_CONTENT_TYPES[name], charset="utf-8")
