"""A client without manners: connections that break off in every possible moment, or say nothing."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import deque
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from support import Caller, request_head

IDLE: Final = 10
"""So many connections are held open without a word."""


class Rude:
    """Bothers a server."""

    def __init__(self, url: str, chance: random.Random) -> None:
        self._address = urlsplit(url)
        self._url = url
        self._chance = chance
        self._idle: deque[asyncio.StreamWriter] = deque()

    async def bother(self) -> None:
        """Do one thing after the other, until cancelled."""
        async with Caller(self._url, "X26ABC1") as caller:
            headers = (b"Mex-To: X26ABC2", b"Mex-WorkflowID: RUDE", b"Content-Length: 500000")
            try:
                for number in itertools.count():
                    head = request_head(caller, "POST", "outbox", *headers)
                    with suppress(ConnectionError):
                        match number % 4:
                            case 0:
                                await self._say(head[: self._chance.randrange(1, len(head) - 2)])
                            case 1:
                                await self._say(head + bytes(self._chance.randrange(1, 400_000)))
                            case 2:
                                await self._ask_and_leave(request_head(caller, "GET", "inbox"))
                            case _:
                                await self._hold()
                    await asyncio.sleep(self._chance.uniform(0, 0.5))
            finally:
                while self._idle:
                    self._idle.popleft().transport.abort()

    async def _say(self, data: bytes) -> None:
        writer = await self._connect()
        writer.write(data)
        await asyncio.sleep(self._chance.uniform(0, 0.1))
        writer.transport.abort()

    async def _ask_and_leave(self, request: bytes) -> None:
        writer = await self._connect()
        writer.write(request)
        await writer.drain()
        writer.transport.abort()

    async def _hold(self) -> None:
        self._idle.append(await self._connect())
        if len(self._idle) > IDLE:
            self._idle.popleft().close()

    async def _connect(self) -> asyncio.StreamWriter:
        _, writer = await asyncio.open_connection(self._address.hostname, self._address.port)
        return writer
