"""Receiving from servers that break off, damage or mislabel what they send."""

from __future__ import annotations

import asyncio
import gzip
import os
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from scripted import CREDENTIALS, cut, reply, serving

from ndoo.errors import (
    ConnectionFailed,
    UnexpectedAnswer,
)
from ndoo.mailbox import Mailbox

BODY = bytes(range(256)) * 1000


@pytest.mark.parametrize("packed", [False, True])
async def test_a_download_goes_on_where_it_broke(packed: bool) -> None:
    """A body cut twice comes back whole and without repetition."""
    wire = gzip.compress(BODY, 0) if packed else BODY
    headers = {"Content-Encoding": "gzip"} if packed else {}
    steps = [cut(wire, 70_000, headers), cut(wire, 150_000, headers), reply(200, wire, **headers)]
    async with serving(*steps) as server:
        async with server.mailbox() as mailbox, mailbox.receive("M1") as message:
            assert await message.read() == BODY
        assert len({seen.token for seen in server.seen}) == 3


async def test_a_download_that_always_breaks_is_a_failure_and_leaves_no_file(tmp_path: Path) -> None:
    """A short body is never taken for a whole one, nor left behind."""
    async with (
        serving(*[cut(BODY, 70_000)] * 99) as server,
        server.mailbox(retries=2) as mailbox,
        mailbox.receive("M1") as message,
    ):
        with pytest.raises(ConnectionFailed, match="broke off"):
            await message.save(tmp_path / "answer.dat")
    assert list(os.scandir(tmp_path)) == []


async def test_a_chunk_that_shrinks_between_tries_is_damaged() -> None:
    """A second try with fewer bytes than were delivered before is refused."""
    gate = asyncio.Event()
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving(cut(BODY, 70_000, gate=gate), reply(200, b"short")))
        mailbox = await stack.enter_async_context(server.mailbox())
        message = await stack.enter_async_context(mailbox.receive("M1"))
        assert BODY.startswith(await anext(message))
        gate.set()
        with pytest.raises(UnexpectedAnswer, match="shorter"):
            await message.read()


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        (gzip.compress(BODY)[:-1], "cut short"),
        (gzip.compress(BODY)[:5], "cut short"),
        (b"plain, not packed", "not gzip"),
    ],
)
async def test_damaged_gzip_is_an_error(wire: bytes, reason: str) -> None:
    """Gzip that ends early or is no gzip is reported, for a whole HTTP body cannot be asked for better."""
    step = reply(200, wire, Content_Encoding="gzip")
    async with serving(step) as server, server.mailbox() as mailbox, mailbox.receive("M1") as message:
        with pytest.raises(UnexpectedAnswer, match=reason):
            await message.read()


async def test_each_chunk_has_its_own_encoding() -> None:
    """Chunks are gunzipped one by one, as their own headers say (section 8)."""
    steps = [
        reply(206, gzip.compress(b"one "), Mex_Chunk_Range="1:3", Content_Encoding="gzip"),
        reply(206, b"two ", Mex_Chunk_Range="2:3"),
        reply(
            200, gzip.compress(b"thr") + gzip.compress(b"ee"), Mex_Chunk_Range="3:3", Content_Encoding="gzip"
        ),
    ]
    async with serving(*steps) as server, server.mailbox() as mailbox, mailbox.receive("M1") as message:
        assert message.headers.total_chunks == 3
        assert await message.read() == b"one two three"


async def test_a_wrong_chunk_is_an_error() -> None:
    """A chunk that says it is another one is not joined on."""
    steps = [reply(206, b"one", Mex_Chunk_Range="1:2"), reply(200, b"one", Mex_Chunk_Range="1:2")]
    async with serving(*steps) as server, server.mailbox() as mailbox, mailbox.receive("M1") as message:
        with pytest.raises(UnexpectedAnswer, match="chunk 1:2"):
            await message.read()


async def test_a_report_has_headers_and_no_body() -> None:
    """A non-delivery report is read as section 20 shows it, its chunk range 1:0 included."""
    report = reply(
        200,
        b"",
        Mex_To="X26ABC1",
        Mex_WorkflowID="WF1",
        Mex_Chunk_Range="1:0",
        Mex_LocalID="lid",
        Mex_Subject="NDR: subj",
        Mex_MessageType="REPORT",
        Mex_MessageID="R1",
        Mex_LinkedMsgID="LINKED",
        Mex_StatusCode="14",
        Mex_StatusEvent="SEND",
        Mex_StatusDescription="Message not collected by recipient after 5 days",
        Mex_StatusSuccess="ERROR",
        Mex_StatusTimestamp="20261121204205",
    )
    async with serving(report) as server, server.mailbox() as mailbox, mailbox.receive("R1") as message:
        headers = message.headers
        assert await message.read() == b""
    assert headers.is_report
    assert (headers.total_chunks, headers.sender, headers.linked_message_id) == (0, "", "LINKED")
    assert (headers.status_code, headers.status_event, headers.status_success) == ("14", "SEND", False)
    assert headers.status_timestamp == datetime(2026, 11, 21, 20, 42, 5, tzinfo=UTC)


@pytest.mark.parametrize("value", ["1:x", "many", "1:-1"])
async def test_a_chunk_range_that_is_none_is_an_error(value: str) -> None:
    """Without a total the end of the message is unknown."""
    async with serving(reply(200, b"x", Mex_Chunk_Range=value)) as server, server.mailbox() as mailbox:
        with pytest.raises(UnexpectedAnswer, match="chunk range"):
            async with mailbox.receive("M1"):
                pass


@pytest.mark.parametrize("wire", ["20 \u00a3".encode("latin-1"), "20 \u00a3".encode()])
async def test_header_text_is_read_as_latin_1_or_utf_8(wire: bytes) -> None:
    """Both encodings of a subject that are met in practice come out right (section 2)."""
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nMex-Subject: " + wire + b"\r\n\r\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with Mailbox(url, CREDENTIALS) as mailbox:
            assert (await mailbox.head("M1")).subject == "20 \u00a3"


async def test_read_refuses_more_than_its_limit() -> None:
    """A body expected to be small cannot fill the memory."""
    async with (
        serving(reply(200, BODY)) as server,
        server.mailbox() as mailbox,
        mailbox.receive("M1") as message,
    ):
        with pytest.raises(UnexpectedAnswer, match="255,999 bytes"):
            await message.read(limit=len(BODY) - 1)
