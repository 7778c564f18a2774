"""What the control API sets and every process of one simulator follows: one small text a name, kept.

A server and a worker that share a data folder agree in this way on the time and on who takes part.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from mesh_sim.clock import SimulatedClock
from mesh_sim.exchange.errors import StorageFailed

log = logging.getLogger("mesh_sim")

LOOK_EVERY_S: Final = 1.0
"""How often a process looks for what another one set."""

LONGEST_OFFSET: Final = timedelta(days=36525)
"""How far simulated time may be ahead: a century."""

_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Document:
    """A text that was set; its version grows by one with each change."""

    version: int
    content: str


class Documents(Protocol):
    """Where they are kept; every change is durable once it returns."""

    async def document(self, name: str) -> Document | None:
        """Give one; None if it was never set."""

    async def change(self, name: str, edit: Callable[[str], str]) -> Document:
        """Set one to what ``edit`` makes of its content, '' if it was never set; nobody comes in between.

        If ``edit`` raises, nothing is changed.
        """


class Follower(Protocol):
    """Keeps something in this process as one document says."""

    name: str

    def follow(self, content: str) -> None:
        """Take over what the document says."""


class Followers:
    """The followers of this process, and which version each of them has."""

    def __init__(self, documents: Documents, *followers: Follower) -> None:
        self._documents = documents
        self._followers = followers
        self._versions: dict[str, int] = {}

    async def catch_up(self) -> None:
        """Have each follower take over what was set since it last did."""
        for follower in self._followers:
            document = await self._documents.document(follower.name)
            if document is not None and document.version != self._versions.get(follower.name):
                follower.follow(document.content)
                self._versions[follower.name] = document.version

    async def run(self) -> None:
        """Keep catching up until cancelled."""
        while True:
            try:
                await self.catch_up()
            except StorageFailed as error:
                log.warning("what other processes set cannot be read: %s", error)
            except Exception:
                log.exception("what another process set cannot be used")
            await asyncio.sleep(LOOK_EVERY_S)


class SharedClock:
    """The simulated clock's offset, kept over restarts; as a document it is a number of microseconds."""

    name = "clock"

    def __init__(self, clock: SimulatedClock, documents: Documents) -> None:
        self._clock = clock
        self._documents = documents

    def follow(self, content: str) -> None:
        """Take over an offset; the same one wakes nobody."""
        offset = int(content or 0) * _MICROSECOND
        if offset != self._clock.offset:
            self._clock.set_offset(offset)

    async def advance(self, by: timedelta) -> None:
        """Move simulated time forward, for every process and for good.

        Raises:
            ValueError: ``by`` is negative, or the clock would be more than a century ahead.
        """
        if by < timedelta():
            raise ValueError("time can only be advanced, or reset to real time")

        def add(content: str) -> str:
            offset = int(content or 0) * _MICROSECOND + by
            if offset > LONGEST_OFFSET:
                raise ValueError("the simulated clock can be at most a century ahead; reset it first")
            return str(offset // _MICROSECOND)

        self.follow((await self._documents.change(self.name, add)).content)

    async def reset(self) -> None:
        """Return to real time."""
        self.follow((await self._documents.change(self.name, lambda _: "0")).content)
