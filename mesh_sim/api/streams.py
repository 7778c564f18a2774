"""Streams of server-sent events end when their reader has gone, also while there is nothing to tell it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Protocol

from aiohttp_sse import EventSourceResponse


class Endable(Protocol):
    """Waits for something to happen until it is told not to."""

    def end(self) -> None:
        """Wait no longer."""


@contextlib.asynccontextmanager
async def ending_when_gone(response: EventSourceResponse, news: Endable) -> AsyncIterator[None]:
    """End ``news`` when the reader has gone: of what it waits for nothing may come for days.

    That shows when the stream's next ping cannot be sent.
    """

    async def end_when_gone() -> None:
        await response.wait()
        news.end()

    leaving = asyncio.create_task(end_when_gone())
    try:
        yield
    finally:
        leaving.cancel()
