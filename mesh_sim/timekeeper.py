"""Changing the time: what it makes due has happened before anybody is told that the clock moved."""

from __future__ import annotations

from datetime import datetime, timedelta

from mesh_sim.clock import SimulatedClock
from mesh_sim.exchange.events import Events, Kind
from mesh_sim.exchange.housekeeping import Housekeeper
from mesh_sim.shared import SharedClock


class TimeKeeper:
    """The simulated clock with all that follows from moving it."""

    def __init__(
        self, clock: SimulatedClock, shared: SharedClock, housekeeper: Housekeeper, events: Events
    ) -> None:
        self._clock = clock
        self._shared = shared
        self._housekeeper = housekeeper
        self._events = events

    @property
    def offset(self) -> timedelta:
        """How far simulated time is ahead of real time."""
        return self._clock.offset

    def now(self) -> datetime:
        """Give the simulated time, in UTC."""
        return self._clock.now()

    async def advance(self, by: timedelta) -> None:
        """Move simulated time forward; what is then due has happened to messages when this returns.

        Raises:
            ValueError: ``by`` is negative or takes the clock too far ahead.
            StorageFailed: it could not be kept.
        """
        await self._shared.advance(by)
        await self._moved()

    async def reset(self) -> None:
        """Return to real time; what has happened to messages stays.

        Raises:
            StorageFailed: it could not be kept.
        """
        await self._shared.reset()
        await self._moved()

    async def _moved(self) -> None:
        await self._housekeeper.do_what_is_due()
        self._events.publish(Kind.CLOCK, self.now(), offset_s=self.offset.total_seconds())
