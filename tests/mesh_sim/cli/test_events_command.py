"""``mesh-sim events``."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

from shell import Ran, Shell, ended
from support import Simulator


async def _watched(shell: Shell, simulator: Simulator, *arguments: str) -> Ran:
    """Watch while a message is put into an inbox and the clock advances."""
    async with shell.running("events", *arguments) as process, asyncio.timeout(30):
        while not simulator.server.exchange.events._watchers:  # noqa: ASYNC110 -- nothing tells
            await asyncio.sleep(0.02)
        await shell.run("message", "put", "X26ABC2", "--local-id", "one")
        await shell.run("clock", "advance", "1h")
        return await ended(process)


async def test_events_are_printed_as_they_come(shell: Shell, simulator: Simulator) -> None:
    """One line each, until as many have come as were asked for."""
    ran = await _watched(shell, simulator, "--count", "2")
    assert (ran.code, ran.err) == (0, "")
    day, put, clock = ran.out.splitlines()
    assert day.endswith(", UTC")
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d  message-accepted +\d{20}_\w{6}  X26ABC1 > X26ABC2  one  TEST_WORKFLOW", put
    )
    assert re.fullmatch(r"\d\d:\d\d:\d\d  clock +offset_s=3600.0", clock)


async def test_events_are_chosen_and_taken_up_again(shell: Shell, simulator: Simulator) -> None:
    """--kinds leaves others out, --after shows what was missed; programs read a JSON object a line."""
    ran = await _watched(shell, simulator, "--kinds", "clock", "--count", "1", "--json")
    (event,) = map(json.loads, ran.out.splitlines())
    assert (event["kind"], event["offset_s"]) == ("clock", 3600)
    missed: list[Any] = [
        json.loads(line)
        for line in (await shell.run("events", "--after", "0", "--count", "2", "--json")).out.splitlines()
    ]
    assert [each["kind"] for each in missed] == ["message-accepted", "clock"]
    assert [each["number"] for each in missed] == [event["number"] - 1, event["number"]]
    narrow = await shell.run("events", "--after", "0", "--count", "2", COLUMNS="80")
    assert max(map(len, narrow.out.splitlines())) <= 80


async def test_a_kind_that_does_not_exist(shell: Shell) -> None:
    """A slip in --kinds is told with the kinds there are."""
    (await shell.run("events", "--kinds", "clocks")).assert_refused(2, "there is no kind 'clocks'; known are")
