"""Clients that vanish, stop, or say nonsense half-way: they cost nothing lasting, and nobody else notices."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest
from raw import LAST, PATIENCE_S, assert_decent, assert_log_decent, head, read_answers, send, signed, talk
from support import MakeSimulator, Simulator

LARGE: Final = random.Random(8).randbytes(300_000)
"""Too long for the database: it goes to a file of its own."""

MANY: Final = 75


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a connection; it is broken off at the end, with whatever it still holds."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def _files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), len(LARGE)):
        yield data[start : start + len(LARGE)]


@pytest.mark.parametrize(
    "rest",
    [
        b"zz\r\n",
        b"5\r\nhello\r\nNOT-A-SIZE\r\n",
        b"5\r\nhelloTOO-MUCH\r\n",
        b"5\r\nhello\r\n0\r\nno trailer\r\n\r\n",
        b"5\r\nhello\r\n0\r\n" + b"a: b\r\n" * 5000 + b"\r\n",
        b"%x\r\n%b\r\nzz\r\n" % (len(LARGE), LARGE),
    ],
    ids=["at once", "after a chunk", "chunk too long", "trailer", "trailers", "after much"],
)
@pytest.mark.parametrize("path", ["outbox", "/admin/clock", "/admin/optouts/load"])
async def test_a_body_that_turns_to_nonsense_ends_its_request(
    target: str, path: str, rest: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A chunked body that goes wrong after the request was begun is 400 at once, and the connection ends."""
    if path == "outbox":
        begun = send("Transfer-Encoding: chunked", "Expect: 100-continue")
    else:
        begun = head("POST", path, "Transfer-Encoding: chunked", "Expect: 100-continue")
    async with asyncio.timeout(PATIENCE_S), connected(target) as (reader, writer):
        writer.write(begun)
        if path == "outbox":  # the server has begun to read the body
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
        else:
            await asyncio.sleep(0.01)
        writer.write(rest)
        heard = await reader.read(-1)
    for answer in (answers := read_answers(heard)):
        assert_decent(answer)
    assert [answer.status for answer in answers] == [400]
    assert "NOT-A-SIZE" not in caplog.text
    assert path != "outbox" or "the body is not HTTP" in caplog.text


async def test_clients_that_vanish_in_the_middle_leave_nothing(
    make_simulator: MakeSimulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Uploads broken off at any point leave no message and no file."""
    simulator = await make_simulator(data=tmp_path / "data")
    kept = _files(tmp_path)
    for number in range(MANY):
        async with connected(simulator.url) as (_, writer):
            told = send(f"Content-Length: {len(LARGE)}") if number % 2 else send("Transfer-Encoding: chunked")
            part = LARGE[: len(LARGE) * number // MANY]
            writer.write(told + (part if number % 2 else b"%x\r\n%b" % (len(LARGE), part)))
            await writer.drain()
    async with asyncio.timeout(PATIENCE_S):
        while _files(tmp_path) != kept:  # noqa: ASYNC110 - files tell nobody that they go
            await asyncio.sleep(0.01)
    assert await simulator.caller("X26ABC2").inbox() == []
    assert_log_decent(caplog)


async def test_those_who_wait_keep_nobody_waiting(
    simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    """Idle connections, half headers, half bodies and answers nobody reads: others are served as ever."""
    honest = simulator.caller()
    message_id = await honest.sent(_pieces(LARGE * 10))
    beginnings = (b"", LAST[:-2], LAST[:9], send("Content-Length: 1000") + b"half")
    async with AsyncExitStack() as stack:
        for number in range(4 * MANY):
            _, writer = await stack.enter_async_context(connected(simulator.url))
            unread = head("GET", f"/messageexchange/X26ABC2/inbox/{message_id}", signed("X26ABC2"))
            writer.write((*beginnings, unread)[number % 5])
        async with asyncio.timeout(PATIENCE_S):
            assert (await talk(simulator.url, LAST)).statuses == [200]
            second = await honest.sent(b"in time")
            assert (await simulator.caller("X26ABC2").get(f"inbox/{second}")).body == b"in time"
    assert_log_decent(caplog)
