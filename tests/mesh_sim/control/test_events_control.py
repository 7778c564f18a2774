"""``/admin/events`` and ``/metrics``."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from controls import assert_control_refused, control
from support import MakeSimulator, Simulator

from mesh_sim.api.control import events as stream
from mesh_sim.exchange.events import KEPT, Events, Kind


@asynccontextmanager
async def watching(simulator: Simulator, query: str = "", **headers: str) -> AsyncIterator[Any]:
    """Open a stream of events; gives what reads the next one as (id, kind, data)."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{simulator.url}/admin/events{query}", headers=headers) as answer,
    ):
        assert answer.headers["Content-Type"] == "text/event-stream"

        async def read() -> tuple[int, str, dict[str, Any]]:
            async with asyncio.timeout(10):
                lines = dict[str, str]()
                while line := (await answer.content.readline()).decode().rstrip("\r\n"):
                    name, _, value = line.partition(": ")
                    lines[name] = value
            return int(lines["id"]), lines["event"], json.loads(lines["data"])

        yield read


async def test_a_message_is_followed_from_send_to_acknowledgement(simulator: Simulator) -> None:
    """Each step of a message is one event with its ids, in order."""
    kinds = "message-uploading,message-accepted,message-acknowledged"
    async with watching(simulator, f"?kinds={kinds}") as event:
        message_id = await simulator.caller().sent(headers={"Mex-LocalID": "L1", "Mex-Chunk-Range": "1:2"})
        await simulator.caller().send_chunk(message_id, 2, "2:2")
        await simulator.caller("X26ABC2").acknowledge(message_id)
        seen = [await event() for _ in range(3)]
    assert [kind for _, kind, _ in seen] == kinds.split(",")
    assert {data["message_id"] for _, _, data in seen} == {message_id}
    assert [data["status"] for _, _, data in seen] == ["uploading", "accepted", "acknowledged"]
    assert seen[0][2]["local_id"] == "L1"


async def test_time_and_mailboxes_are_events_too(simulator: Simulator) -> None:
    """An advance brings the expiry and its report before the clock's own event; a disabled mailbox shows."""
    await simulator.caller().sent()
    async with watching(simulator) as event:
        await control(simulator.url, "POST", "/admin/clock", {"advance": "5d"})
        await control(simulator.url, "PATCH", "/admin/mailboxes", {"mailbox_id": "X26ABC1", "active": False})
        kinds = [(await event())[1] for _ in range(4)]
    assert kinds == ["message-undeliverable", "message-accepted", "clock", "mailbox"]


async def test_coming_back_misses_nothing(simulator: Simulator) -> None:
    """With Last-Event-ID what happened meanwhile comes first."""
    async with watching(simulator) as event:
        await simulator.caller().sent()
        last = (await event())[0]
    missed = await simulator.caller().sent()
    async with watching(simulator, "?kinds=message-accepted", **{"Last-Event-ID": str(last)}) as event:
        assert (await event())[2]["message_id"] == missed


async def test_bad_requests_for_events(simulator: Simulator) -> None:
    """A kind that does not exist and an id that is no number are refused with what is allowed."""
    answer = await control(simulator.url, "GET", "/admin/events?kinds=parcels")
    assert_control_refused(answer, 400, field="kinds", text="message-accepted")
    headers = {"Last-Event-ID": "abc"}
    answer = await control(simulator.url, "GET", "/admin/events", headers=headers)
    assert_control_refused(answer, 400, field="Last-Event-ID")


async def test_a_watcher_that_sleeps_is_dropped() -> None:
    """A watcher a thousand events behind gets no more, and holds nobody up."""
    events = Events()
    with events.watch() as lazy:
        for number in range(KEPT + 1):
            events.publish(Kind.CLOCK, datetime.now(UTC), offset_s=number)
        assert lazy.ended


@pytest.mark.parametrize("operation", ["send", "list"])
async def test_metrics_count_requests(simulator: Simulator, operation: str) -> None:
    """Requests are counted by operation and status, with bytes, time and what waits."""
    caller = simulator.caller()
    await caller.sent(b"twelve bytes")
    await caller.inbox()
    await caller.get("inbox", authorization="nonsense")
    answer = await control(simulator.url, "GET", "/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    text = answer.body.decode()
    status = {"send": 202, "list": 200}[operation]
    assert f'mesh_sim_requests_total{{operation="{operation}",status="{status}"}} 1.0' in text
    assert 'mesh_sim_requests_total{operation="list",status="403"} 1.0' in text
    assert 'mesh_sim_received_bytes_total{operation="send"} 12.0' in text
    assert 'mesh_sim_messages_waiting{mailbox="X26ABC2"} 1.0' in text
    assert re.search(r'mesh_sim_request_seconds_count\{operation="list"\} 2\.0', text)
    assert "mesh_sim_clock_offset_seconds 0.0" in text


@pytest.mark.parametrize("path", ["/admin/events", "/admin/wait?mailbox=X26ABC1&timeout=10m"])
async def test_a_stop_does_not_wait_for_watchers(make_simulator: MakeSimulator, path: str) -> None:
    """Whoever watches or waits is sent away when the simulator stops, at once."""
    simulator = await make_simulator()
    watching = asyncio.create_task(control(simulator.url, "GET", path))
    await asyncio.sleep(0.1)
    async with asyncio.timeout(5):
        await simulator.stop()
        answer = await watching
    assert answer.status == (200 if path.endswith("events") else 503)


async def test_a_watcher_that_has_gone_is_let_go(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is kept for a stream that was closed, although nothing happens that could not be told."""
    monkeypatch.setattr(stream, "_PING_S", 0.02)
    watchers = simulator.server.exchange.events._watchers
    before = len(watchers)
    async with watching(simulator, "?kinds=reset"):
        assert len(watchers) == before + 1
    async with asyncio.timeout(10):
        while len(watchers) > before:
            await control(simulator.url, "GET", "/admin/ready")
