"""Connections of which a test holds one end by the byte, for what is too much, too long or too slow."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from support import Caller, request_head

PATIENCE_S: Final = 10.0
"""A server that does nothing for so long hangs, and the test fails."""

SHORT: Final = timedelta(seconds=0.15)
UPLOAD: Final = (b"Mex-To: X26ABC2", b"Mex-WorkflowID: TEST_WORKFLOW")
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
HEAD: Final = b"GET /messageexchange/_ping HTTP/1.1\r\nHost: localhost\r\n"


@dataclass
class Line:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def say(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)

    async def say_on_and_on(self) -> None:
        """Send bytes for as long as they are taken."""
        while True:
            self.say(b"x" * 50_000)
            await self.writer.drain()
            await asyncio.sleep(0.01)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Read one answer: status, headers by lower-case name, and body."""
        async with asyncio.timeout(PATIENCE_S):
            head = await self.reader.readuntil(b"\r\n\r\n")
            first, *lines = head[:-4].decode("latin-1").split("\r\n")
            pairs = (line.split(": ", 1) for line in lines)
            headers = {name.lower(): value for name, value in pairs}
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return int(first.split()[1]), headers, body

    async def is_ended(self) -> bool:
        """Wait for the end of the connection; False if anything else comes."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                return await self.reader.read(1) == b""
            except ConnectionError:
                return True

    async def upload(self, caller: Caller, *lines: bytes, length: int = 1000) -> None:
        """Begin an upload, and wait until the server has asked for its body."""
        head = request_head(
            caller, "POST", "outbox", *UPLOAD, *lines, b"Expect: 100-continue", b"Content-Length: %d" % length
        )
        self.say(head)
        async with asyncio.timeout(PATIENCE_S):
            assert await self.reader.readexactly(len(CONTINUE)) == CONTINUE


@contextlib.asynccontextmanager
async def connected(url: str, *, trusted: Path | None = None) -> AsyncIterator[Line]:
    """Open a connection; with TLS, if an authority to be ``trusted`` is given."""
    address = urlsplit(url)
    tls = ssl.create_default_context(cafile=trusted) if trusted else None
    reader, writer = await asyncio.open_connection(address.hostname, address.port, ssl=tls)
    try:
        yield Line(reader, writer)
    finally:
        writer.close()
