"""``/admin/events``: what happens, as server-sent events."""

from __future__ import annotations

import json
import re

from aiohttp import web
from aiohttp_sse import sse_response
from pydantic import Field

from mesh_sim.api.control.refusals import ControlRefused
from mesh_sim.api.control.requests import read_query
from mesh_sim.api.keys import EXCHANGE
from mesh_sim.api.streams import ending_when_gone
from mesh_sim.exchange.events import Event, Kind
from mesh_sim.wishes.base import Wish

_PING_S = 15.0
"""How often a watcher that is told nothing is asked whether it is still there."""

_LAST_SEEN = "Last-Event-ID"
_NUMBER = re.compile(r"[0-9]{1,20}")


class EventsQuery(Wish):
    """Which events are wanted: all, or those of some kinds, separated by commas."""

    kinds: str = Field("", max_length=1000)

    def wanted(self) -> frozenset[Kind]:
        """The kinds asked for.

        Raises:
            ControlRefused: one of them does not exist.
        """
        names = [name.strip() for name in self.kinds.split(",") if name.strip()]
        if unknown := [name for name in names if name not in frozenset(Kind)]:
            known = ", ".join(Kind)
            raise ControlRefused.field("kinds", f"there is no kind {unknown[0]!r}; known are {known}")
        return frozenset(map(Kind, names)) or frozenset(Kind)


async def stream_events(request: web.Request) -> web.StreamResponse:
    """Send every event from now on, until the watcher goes or falls a thousand events behind.

    With ``Last-Event-ID``, as browsers send it on coming back, first what is kept of those missed.
    """
    wanted = read_query(request, EventsQuery).wanted()
    last_seen = request.headers.get(_LAST_SEEN, "")
    if last_seen and not _NUMBER.fullmatch(last_seen):
        raise ControlRefused.field(_LAST_SEEN, "must be the number of an event")
    events = request.app[EXCHANGE].events
    with events.watch(int(last_seen) if last_seen else None) as news:
        async with (
            sse_response(request, ping_interval=_PING_S) as response,
            ending_when_gone(response, news),
        ):
            while response.is_connected() and (event := await news.next()) is not None:
                if event.kind in wanted:
                    try:
                        await response.send(_data(event), id=str(event.number), event=event.kind.value)
                    except ConnectionError:
                        break
        return response


def _data(event: Event) -> str:
    return json.dumps({"at": event.at.isoformat(), "kind": event.kind.value, **event.data})
