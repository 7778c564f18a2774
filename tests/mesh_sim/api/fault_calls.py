"""Requests that a fault may befall, and a client that sees every byte of what comes back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from support import HANDSHAKE, V1, V2, Caller, Simulator, authorization

LARGE: Final = random.Random(5).randbytes(3_000_000)
"""Too long for the database, so that it is served piece by piece; gzip cannot shorten it."""


def assert_quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Check at a test's end that nothing above the level of information was logged: a fault is no trouble."""
    logged = caplog.get_records("call")  # a fixture's own end is another phase
    assert [record.getMessage() for record in logged if record.levelno > logging.INFO] == []


# -- a client that sees every byte ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came back: ``how`` is whole, cut (in the body), closed (without a byte), or reset."""

    how: str
    status: int = 0
    headers: dict[str, str] | None = None
    body: bytes = b""

    def length(self) -> int | None:
        """The body's length as announced."""
        announced = (self.headers or {}).get("content-length")
        return None if announced is None else int(announced)


@dataclass(frozen=True, slots=True)
class Call:
    """A request that can be made again, byte for byte, token included."""

    mailbox: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""

    def data(self, version: int = 2) -> bytes:
        """Write it with a fresh token."""
        headers = {
            "Host": "localhost",
            "Accept": V1 if version == 1 else V2,
            "Authorization": authorization(self.mailbox),
            "Content-Length": str(len(self.body)),
            **self.headers,
        }
        path = f"/messageexchange/{self.mailbox}/{self.path}".rstrip("/")
        lines = [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([f"{self.method} {path} HTTP/1.1", *lines, "", ""]).encode() + self.body


class Wire:
    """One connection, kept for several requests."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def write(self, data: bytes) -> None:
        """Send more of a request."""
        self._writer.write(data)

    async def ask(self, data: bytes) -> Outcome:
        """Send a request and read what comes back, to the end that it announces or has."""
        async with asyncio.timeout(20):
            try:
                self.write(data)
                head = await self._reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError as error:
                return Outcome("closed" if error.partial == b"" else "cut in the head")
            except ConnectionResetError:
                return Outcome("reset")
            status, *lines = head.decode("latin-1").rstrip().split("\r\n")
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            code = int(status.split()[1])
            if "content-length" not in headers:
                return await self._chunks(code, headers)
            length = 0 if data.startswith(b"HEAD") else int(headers["content-length"])
            try:
                return Outcome("whole", code, headers, await self._reader.readexactly(length))
            except asyncio.IncompleteReadError as error:
                return Outcome("cut", code, headers, error.partial)

    async def _chunks(self, status: int, headers: dict[str, str]) -> Outcome:
        assert headers["transfer-encoding"] == "chunked"
        body = b""
        try:
            while size := int(await self._reader.readuntil(b"\r\n"), 16):
                body += (await self._reader.readexactly(size + 2))[:-2]
            await self._reader.readexactly(2)
        except asyncio.IncompleteReadError as error:
            return Outcome("cut" if error.partial == b"" else "cut in a block", status, headers, body)
        return Outcome("whole", status, headers, body)

    async def ended(self) -> bool:
        """Tell whether the server has closed the connection, with nothing more to read."""
        async with asyncio.timeout(20):
            return await self._reader.read() == b""


@contextlib.asynccontextmanager
async def wired(url: str, trust: ssl.SSLContext | None = None) -> AsyncIterator[Wire]:
    """Connect."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port, ssl=trust)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def ask(simulator: Simulator, data: bytes) -> Outcome:
    """Make one request on a connection of its own."""
    async with wired(simulator.url) as wire:
        return await wire.ask(data)


# -- the operations ---------------------------------------------------------------------------------


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    """Give a body a block at a time."""
    for start in range(0, len(data), 500_000):
        yield data[start : start + 500_000]


async def shake_hands(_: Caller) -> Call:
    """A handshake."""
    return Call("X26ABC1", "POST", "", HANDSHAKE)


async def send(_: Caller) -> Call:
    """A message of one chunk."""
    return Call("X26ABC1", "POST", "outbox", {"Mex-To": "X26ABC2", "Mex-WorkflowID": "W"}, b"payload")


async def send_chunk(sender: Caller) -> Call:
    """The second of three chunks."""
    message = await sender.sent(b"one", headers={"Mex-Chunk-Range": "1:3"})
    return Call("X26ABC1", "POST", f"outbox/{message}/2", {"Mex-Chunk-Range": "2:3"}, b"two")


async def list_inbox(sender: Caller) -> Call:
    """The list of an inbox that is not empty."""
    await sender.sent()
    return Call("X26ABC2", "GET", "inbox", {})


async def download(sender: Caller) -> Call:
    """A download of ten bytes, in one piece."""
    return Call("X26ABC2", "GET", f"inbox/{await sender.sent(b'0123456789')}", {})


async def download_large(sender: Caller) -> Call:
    """A download of a file, in blocks, with its length."""
    return Call("X26ABC2", "GET", f"inbox/{await sender.sent(pieces(LARGE))}", {})


async def download_gzip(sender: Caller) -> Call:
    """A download that version 2 packs before it is sent."""
    return Call("X26ABC2", "GET", f"inbox/{await sender.sent(b'0123456789')}", {"Accept-Encoding": "gzip"})


async def download_large_gzip(sender: Caller) -> Call:
    """A download that version 2 packs as it is sent."""
    return Call("X26ABC2", "GET", f"inbox/{await sender.sent(pieces(LARGE))}/1", {"Accept-Encoding": "gzip"})


async def acknowledge(sender: Caller) -> Call:
    """An acknowledgement of a message that waits."""
    return Call("X26ABC2", "PUT", f"inbox/{await sender.sent()}/status/acknowledged", {})


async def admin(simulator: Simulator, method: str, path: str = "", **wish: object) -> Any:
    """Make a control request that must succeed; give its answer."""
    body = json.dumps(wish).encode() if wish else None
    answer = await simulator.caller().request(method, f"/admin/faults{path}", body=body, authorization=None)
    assert answer.status in (200, 201), answer.body
    return answer.json()


async def hits(simulator: Simulator) -> list[int]:
    """Give each rule's number of hits."""
    return [rule["hits"] for rule in (await admin(simulator, "GET"))["faults"]]
