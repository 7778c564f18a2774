"""News gathered by kind: once each however often it happens, for those whom it concerns."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from mesh_sim.exchange.events import Events, Gathering, Kind

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def events() -> Events:
    """Events that nobody watches yet."""
    return Events()


def happen(events: Events, kind: Kind, times: int = 1, **data: str | int) -> None:
    """Publish something, so many times."""
    for _ in range(times):
        events.publish(kind, NOON, **data)


async def test_what_happened_often_is_told_once(events: Events) -> None:
    """However much happens between two looks, each look gives the kinds of it and no more."""
    with events.gather() as news:
        happen(events, Kind.REQUEST, 5000)
        happen(events, Kind.ACCEPTED, 5000)
        assert await news.next() == {Kind.REQUEST, Kind.ACCEPTED}
        happen(events, Kind.REQUEST)
        assert await news.next() == {Kind.REQUEST}


async def test_a_watcher_waits_until_something_happens(events: Events) -> None:
    """Before anything happened, and again after each look, a watcher waits; it is never given nothing."""
    with events.gather() as news:
        for kind in (Kind.CLOCK, Kind.FAULT):
            waiting = asyncio.create_task(news.next())
            await asyncio.sleep(0)
            assert not waiting.done()
            happen(events, kind)
            assert await waiting == {kind}


async def test_only_the_kinds_asked_for_wake_a_watcher(events: Events) -> None:
    """Who watches for clocks is not told of requests."""
    with events.gather({Kind.CLOCK}) as news:
        happen(events, Kind.REQUEST)
        happen(events, Kind.CLOCK)
        assert await news.next() == {Kind.CLOCK}


def _told(events: Events, news: Gathering, **data: str | int) -> bool:
    happen(events, Kind.ACCEPTED, **data)
    told = bool(news._happened)
    news._happened.clear()
    return told


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"sender": "X26ABC1", "recipient": "X26ABC2"}, True),
        ({"sender": "X26ABC2", "recipient": "X26ABC1"}, True),
        ({"mailbox": "x26abc1"}, True),
        ({"sender": "X26ABC2", "recipient": "X26ABC3"}, False),
        ({"mailbox": "X26ABC10"}, False),
        ({"message_id": "20261122120000000000_ABCDEF"}, False),
        ({"mailbox": "", "message_id": ""}, True),
        ({"number": 7}, True),
        ({}, True),
    ],
)
async def test_a_watcher_of_one_mailbox_is_spared_the_others(
    events: Events, data: dict[str, str | int], told: bool
) -> None:
    """With a mailbox or message named, only what has it among its texts is told, or names neither."""
    with events.gather(about="X26ABC1") as news:
        assert _told(events, news, **data) is told


async def test_the_end_comes_after_what_happened_before_it(events: Events) -> None:
    """When the simulator stops, a watcher gets what it has not seen, and then None, waiting or not."""
    with events.gather() as news:
        happen(events, Kind.RESET)
        events.end()
        assert await news.next() == {Kind.RESET}
        assert await news.next() is None
    with events.gather() as news:
        waiting = asyncio.create_task(news.next())
        await asyncio.sleep(0)
        events.end()
        assert await waiting is None


async def test_a_watcher_that_left_is_forgotten(events: Events) -> None:
    """After its context a watcher is told of nothing, and takes no memory."""
    with events.gather() as news:
        pass
    happen(events, Kind.CLOCK)
    assert news._happened == set()
    assert events._watchers == set()
