"""``/admin/clock``."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from controls import assert_control_refused, control
from support import Simulator


async def test_the_clock_is_shown_advanced_and_reset(simulator: Simulator) -> None:
    """Advances add up; a reset returns to real time; each answer tells the time."""
    shown = (await control(simulator.url, "GET", "/admin/clock")).json()
    assert shown["offset_s"] == 0
    for days in (5, 10):
        body = (await control(simulator.url, "POST", "/admin/clock", {"advance": "5d"})).json()
        assert body["offset_s"] == timedelta(days=days).total_seconds()
        ahead = datetime.fromisoformat(body["now"]) - datetime.fromisoformat(body["real"])
        assert abs(ahead - timedelta(days=days)) < timedelta(seconds=1)
    assert simulator.clock.offset == timedelta(days=10)
    assert (await control(simulator.url, "POST", "/admin/clock", {"reset": True})).json()["offset_s"] == 0


async def test_seconds_may_be_a_number(simulator: Simulator) -> None:
    """A bare number is seconds."""
    body = (await control(simulator.url, "POST", "/admin/clock", {"advance": 90})).json()
    assert body["offset_s"] == 90


@pytest.mark.parametrize(
    ("wish", "text"),
    [
        ({"advance": "-5d"}, "cannot be negative"),
        ({"advance": -5}, "cannot be negative"),
        ({"advance": "soon"}, "is not a duration"),
        ({"advance": "101000d"}, "longer than a century"),
        ({"advance": "5d", "reset": True}, "either"),
        ({}, "either"),
        ({"advance": None}, "either"),
    ],
    ids=str,
)
async def test_bad_wishes_move_nothing(simulator: Simulator, wish: Any, text: str) -> None:
    """A wish that is not one is refused with what is allowed, and the clock stays."""
    assert_control_refused(await control(simulator.url, "POST", "/admin/clock", wish), 400, text=text)
    assert simulator.clock.offset == timedelta()


async def test_a_century_is_the_limit(simulator: Simulator) -> None:
    """The clock cannot be taken further than a century ahead, in whatever steps."""
    assert (await control(simulator.url, "POST", "/admin/clock", {"advance": "36500d"})).status == 200
    answer = await control(simulator.url, "POST", "/admin/clock", {"advance": "36500d"})
    assert_control_refused(answer, 400, field="advance", text="a century ahead")
