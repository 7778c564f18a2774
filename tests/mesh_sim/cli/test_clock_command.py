"""``mesh-sim clock``."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import pytest
from shell import Shell
from support import Simulator

TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC")


async def test_the_clock_is_shown_advanced_and_reset(shell: Shell, simulator: Simulator) -> None:
    """Each command tells the simulated time, the real one and the difference."""
    shown = (await shell.run("clock", "show")).facts()
    assert shown["ahead by"] == "0s"
    assert TIME.fullmatch(shown["simulated"])
    advanced = (await shell.run("clock", "advance", "5d12h")).facts()
    assert advanced["ahead by"] == "5d12h"
    ahead = datetime.fromisoformat(advanced["simulated"][:19]) - datetime.fromisoformat(advanced["real"][:19])
    assert abs(ahead - timedelta(days=5, hours=12)) <= timedelta(seconds=1)
    assert simulator.clock.offset == timedelta(days=5, hours=12)
    assert (await shell.run("clock", "reset")).facts()["ahead by"] == "0s"


async def test_the_clock_for_programs(shell: Shell) -> None:
    """--json gives the API's answer."""
    assert (await shell.run("clock", "advance", "90", "--json")).json()["offset_s"] == 90
    assert (await shell.run("clock", "show", "--json")).json()["offset_s"] == 90
    assert (await shell.run("clock", "reset", "--json")).json()["offset_s"] == 0


async def test_five_days_turn_an_uncollected_message_into_a_report(shell: Shell) -> None:
    """Once the advance has returned, the sender has the report and the message is undeliverable."""
    message_id = (await shell.run("message", "put", "X26ABC2", "--from", "X26ABC1")).out.strip()
    assert (await shell.run("clock", "advance", "5d")).code == 0
    (report,) = (await shell.run("message", "list", "--mailbox", "X26ABC1", "--json")).json()["messages"]
    assert (report["message_type"], report["failure"]["linked_message_id"]) == ("REPORT", message_id)
    table = (await shell.run("message", "list", "--mailbox", "X26ABC2")).rows()
    assert table[0][:2] == [message_id, "undeliverable"]


@pytest.mark.parametrize(
    ("by", "text"),
    [
        ("-5d", "advance: a length of time cannot be negative"),
        ("soon", "write it like 5d, 12h, 40m, 30s or 1h30m"),
        ("200000d", "longer than a century"),
    ],
)
async def test_a_bad_advance_moves_nothing(shell: Shell, simulator: Simulator, by: str, text: str) -> None:
    """A negative advance, or what is no length of time, is wrong usage; the clock stays."""
    (await shell.run("clock", "advance", by)).assert_refused(2, text)
    assert simulator.clock.offset == timedelta()
