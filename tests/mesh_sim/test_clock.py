"""Simulated time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from mesh_sim.clock import SimulatedClock

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_the_clock_follows_real_time_until_it_is_advanced() -> None:
    """Simulated time is real time plus what it was advanced by, and resets to real time."""
    clock = SimulatedClock(real=lambda: NOON)
    assert clock.now() == NOON
    clock.advance(timedelta(days=5))
    clock.advance(timedelta(hours=1))
    assert clock.now() == NOON + timedelta(days=5, hours=1)
    assert clock.offset == timedelta(days=5, hours=1)
    clock.reset()
    assert clock.now() == NOON


def test_time_does_not_run_backwards() -> None:
    """A negative advance is refused and changes nothing."""
    clock = SimulatedClock(real=lambda: NOON)
    with pytest.raises(ValueError, match="advanced, or reset"):
        clock.advance(timedelta(seconds=-1))
    assert clock.now() == NOON


async def test_an_advance_wakes_a_sleeper_that_is_due() -> None:
    """A sleeper ends its sleep when the clock passes its time, not before."""
    clock = SimulatedClock(real=lambda: NOON)
    sleeper = asyncio.create_task(clock.sleep_until(NOON + timedelta(days=5)))
    await asyncio.sleep(0)
    clock.advance(timedelta(days=4))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not sleeper.done()
    clock.advance(timedelta(days=1))
    await asyncio.wait_for(sleeper, 5)


async def test_a_time_in_the_past_is_not_waited_for() -> None:
    """Sleeping until a time that has passed returns at once."""
    clock = SimulatedClock(real=lambda: NOON)
    await asyncio.wait_for(clock.sleep_until(NOON - timedelta(days=1)), 5)


async def test_a_short_sleep_ends_by_itself() -> None:
    """Without any advance, the sleeper wakes when real time gets there."""
    clock = SimulatedClock()
    until = clock.now() + timedelta(milliseconds=20)
    await asyncio.wait_for(clock.sleep_until(until), 5)
    assert clock.now() >= until
