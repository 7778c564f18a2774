"""``/admin/wait``: a long poll until a message is there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from aiohttp import web
from pydantic import Field

from mesh_sim.api.control.messages import MessageQuery, check_mailboxes, message_json
from mesh_sim.api.control.refusals import ControlRefused
from mesh_sim.api.control.requests import answer, read_query
from mesh_sim.api.keys import DESK, EXCHANGE
from mesh_sim.durations import Duration, format_duration
from mesh_sim.exchange.desk import ServiceDesk
from mesh_sim.exchange.events import Events, Kind, Subscription
from mesh_sim.exchange.messages import Message
from mesh_sim.exchange.ports import Wanted

_LOOK_EVERY_S: Final = 1.0
"""How often to look for what another process did."""


class WaitQuery(MessageQuery):
    """What to wait for, how much of it, and how long (real time)."""

    count: int = Field(1, ge=1, le=5000)
    timeout: Duration = Field(timedelta(seconds=30), le=timedelta(minutes=10))


async def wait_for_messages(request: web.Request) -> web.Response:
    """Answer with messages as soon as there are as many as are waited for; 408 if there are not in time."""
    query = read_query(request, WaitQuery)
    check_mailboxes(request, query)
    desk, events = request.app[DESK], request.app[EXCHANGE].events
    limit = max(query.limit, query.count)
    found = await until_found(desk, events, query.wanted(), query.count, limit, query.timeout)
    if found is None:
        raise ControlRefused(503, "the simulator is stopping")
    if len(found) < query.count:
        raise ControlRefused(
            408,
            f"{len(found)} of {query.count} matching messages were there after "
            f"{format_duration(query.timeout)}; wait longer with timeout=, or see what was refused in "
            "/admin/journal",
        )
    return answer({"messages": [message_json(message, request) for message in found]})


async def until_found(
    desk: ServiceDesk, events: Events, wanted: Wanted, count: int, limit: int, timeout: timedelta
) -> Sequence[Message] | None:
    """Wait until ``count`` messages are as ``wanted``; give up to ``limit`` of what is there at the end.

    None if the simulator stops first.
    """
    found: Sequence[Message] = ()
    try:
        async with asyncio.timeout(timeout.total_seconds()):
            while True:
                with events.watch() as news:
                    found = await desk.find(wanted, limit)
                    if len(found) >= count:
                        break
                    if not await _goes_on(news):
                        return None
    except TimeoutError:
        pass
    return found


async def _goes_on(news: Subscription) -> bool:
    """Sleep until something happened here, or may have happened elsewhere; False when the simulator stops."""
    try:
        async with asyncio.timeout(_LOOK_EVERY_S):
            while (event := await news.next()) is not None:
                if event.kind is not Kind.REQUEST:  # requests that change a message are told of as such
                    return True
    except TimeoutError:
        return True
    return False
