"""Simulated time.

Two clocks run side by side (design.md, "Two clocks"): delivery, expiry, reply delay and cache lifetime
follow the simulated one, which can be advanced; authorization tokens are checked against real time, or
every client would be locked out after an advance.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


def real_now() -> datetime:
    """Give the real time, in UTC."""
    return datetime.now(UTC)


class SimulatedClock:
    """Real time plus an offset that only grows by :meth:`advance` and ends with :meth:`reset`.

    Sleepers are woken by an advance, so that what is due happens at once.
    """

    def __init__(self, real: Callable[[], datetime] = real_now, offset: timedelta = timedelta()) -> None:
        self._real = real
        self._offset = offset
        self._sleepers: set[asyncio.Event] = set()

    @property
    def offset(self) -> timedelta:
        """How far simulated time is ahead of real time."""
        return self._offset

    def now(self) -> datetime:
        """Give the simulated time, in UTC."""
        return self._real() + self._offset

    def set_offset(self, offset: timedelta) -> None:
        """Put simulated time ``offset`` ahead of real time, and wake whoever sleeps by it."""
        self._offset = offset
        for sleeper in self._sleepers:
            sleeper.set()

    def advance(self, by: timedelta) -> None:
        """Move simulated time forward.

        Raises:
            ValueError: ``by`` is negative; time that has passed stays passed.
        """
        if by < timedelta():
            raise ValueError("the clock can only be advanced, or reset")
        self.set_offset(self._offset + by)

    def reset(self) -> None:
        """Return to real time."""
        self.set_offset(timedelta())

    async def sleep_until(self, when: datetime) -> None:
        """Sleep until simulated time has reached ``when``."""
        changed = asyncio.Event()
        self._sleepers.add(changed)
        try:
            while (left := (when - self.now()).total_seconds()) > 0:
                changed.clear()
                try:
                    # An hour at most, so that a machine's own sleep or clock change is noticed.
                    async with asyncio.timeout(min(left, 3600)):
                        await changed.wait()
                except TimeoutError:
                    pass
        finally:
            self._sleepers.discard(changed)
