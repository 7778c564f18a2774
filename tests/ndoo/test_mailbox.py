"""The client against the simulator: every operation, as a program would use it."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import aiofiles
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import Simulator

from ndoo import _bodies
from ndoo._answers import _read_timestamp
from ndoo.errors import (
    AuthenticationRefused,
    MessageGone,
    MessageUnknown,
    OutputExists,
    RecipientUnknown,
    RequestRefused,
    UnreadableList,
)
from ndoo.mailbox import Body, Credentials, Endpoint, Mailbox

WORKFLOW = "TEST_WORKFLOW"


class Open(Protocol):
    """Opens a mailbox of the simulator; closed with the test."""

    async def __call__(
        self, mailbox: str, *, password: str = "password", chunk_size: int = 1000
    ) -> Mailbox: ...


class Running(Protocol):
    """What these tests need of the ``simulator`` fixture."""

    url: str


@pytest.fixture
async def connect(simulator: Running) -> AsyncIterator[Open]:
    """Open mailboxes of a simulator of the test's own."""
    async with AsyncExitStack() as stack:

        async def connect(mailbox: str, *, password: str = "password", chunk_size: int = 1000) -> Mailbox:
            credentials = Credentials(mailbox, password, "TestKey")
            return await stack.enter_async_context(Mailbox(simulator.url, credentials, chunk_size=chunk_size))

        yield connect


@dataclass
class Pair:
    """A sender and a recipient."""

    sender: Mailbox
    recipient: Mailbox

    async def send(self, body: bytes = b"body", local_id: str = "") -> str:
        return await self.sender.send("X26ABC2", WORKFLOW, body, local_id=local_id)

    async def read(self, message_id: str) -> bytes:
        async with self.recipient.receive(message_id) as message:
            return await message.read()


@pytest.fixture
async def pair(connect: Open) -> Pair:
    """X26ABC1, which may send on TEST_WORKFLOW to the other, X26ABC2; chunks of 1,000 bytes."""
    return Pair(await connect("X26ABC1"), await connect("X26ABC2"))


# -- reaching the mailbox ---------------------------------------------------------------------------


async def test_handshake_and_ping(pair: Pair) -> None:
    """A reachable mailbox with the right credentials shakes hands; the server says that it is up."""
    await pair.sender.handshake()
    assert (await pair.sender.ping())["outcome"] == "Yes"


async def test_a_lower_case_mailbox_id_works(connect: Open) -> None:
    """The id is upper-cased for the path and the token alike."""
    mailbox = await connect("x26abc1")
    await mailbox.handshake()
    assert mailbox.mailbox_id == "X26ABC1"


@pytest.mark.parametrize(
    ("mailbox", "password", "advice"),
    [("X26ABC1", "wrong", "NDOO_PASSWORD and NDOO_SHARED_KEY"), ("NOBODY", "password", "no mailbox NOBODY")],
)
async def test_wrong_credentials_are_told_apart(
    connect: Open, mailbox: str, password: str, advice: str
) -> None:
    """A wrong password and an unknown mailbox lead to different advice."""
    refused = await connect(mailbox, password=password)
    with pytest.raises(AuthenticationRefused, match=advice):
        await refused.handshake()


async def test_a_clock_hours_off_is_named(simulator: Running) -> None:
    """A token of three hours ago is refused, and the text names the clock instead of the password."""
    credentials = Credentials("X26ABC1", "password", "TestKey")
    slow = Mailbox(simulator.url, credentials, clock=lambda: _utc_now() - timedelta(hours=3))
    async with slow as mailbox:
        with pytest.raises(AuthenticationRefused, match=r"clock is [23] h \d+ min behind"):
            await mailbox.handshake()


def _utc_now() -> datetime:
    return datetime.now(UTC)


# -- sending and receiving --------------------------------------------------------------------------


async def test_what_is_sent_is_what_is_received(pair: Pair) -> None:
    """Every field of a send reaches the recipient, and so does the body."""
    message_id = await pair.sender.send(
        "X26ABC2",
        WORKFLOW,
        b"the body",
        local_id="local-1",
        subject="A subject",
        file_name="list.dat",
        content_type="text/plain",
        checksum="sha256: ab12",
        partner_id="P1",
        encrypted=True,
    )
    async with pair.recipient.receive(message_id) as message:
        headers = message.headers
        assert await message.read() == b"the body"
    assert (headers.message_id, headers.message_type, headers.is_report) == (message_id, "DATA", False)
    assert (headers.sender, headers.recipient, headers.workflow_id) == ("X26ABC1", "X26ABC2", WORKFLOW)
    assert (headers.local_id, headers.subject, headers.file_name) == ("local-1", "A subject", "list.dat")
    assert (headers.content_type, headers.checksum) == ("text/plain", "sha256: ab12")
    assert (headers.partner_id, headers.encrypted, headers.total_chunks) == ("P1", True, 1)
    assert headers.status_success is True


async def test_the_headers_alone(pair: Pair) -> None:
    """Looking at a message gives the same headers as receiving it, and leaves it in the inbox."""
    message_id = await pair.send(bytes(2500), local_id="l")
    seen = await pair.recipient.head(message_id)
    async with pair.recipient.receive(message_id) as message:
        received = message.headers
    different = {
        each.name for each in fields(seen) if getattr(seen, each.name) != getattr(received, each.name)
    }
    # Of the one body that came the server says that it compressed it.
    assert different <= {"raw", "compressed", "content_type"}
    assert seen.total_chunks == 3
    assert await pair.recipient.count() == 1


async def test_the_content_type_of_a_chunked_message_survives(pair: Pair) -> None:
    """A chunk travels as bytes, and the recipient still learns what the whole is."""
    message_id = await pair.sender.send("X26ABC2", WORKFLOW, bytes(1001), content_type="text/csv")
    assert (await pair.recipient.head(message_id)).content_type == "text/csv"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.binary(min_size=1, max_size=200) | st.integers(1, 5000).map(bytes),
    chunk_size=st.integers(100, 1500),
    compress=st.booleans(),
)
async def test_any_body_in_any_chunks_comes_back(
    standing_url: str, body: bytes, chunk_size: int, compress: bool
) -> None:
    """Wherever the chunks end and however they travel, the recipient reads the same bytes."""
    sender = Mailbox(standing_url, Credentials("X26ABC1", "password", "TestKey"), chunk_size=chunk_size)
    recipient = Mailbox(standing_url, Credentials("X26ABC2", "password", "TestKey"))
    async with sender, recipient:
        message_id = await sender.send("X26ABC2", WORKFLOW, body, compress=compress)
        async with recipient.receive(message_id) as message:
            assert message.headers.total_chunks == -(-len(body) // chunk_size)
            assert await message.read() == body
        await recipient.acknowledge(message_id)


async def _stream(*blocks: bytes) -> AsyncIterator[bytes]:
    for block in blocks:
        yield block


LARGE = os.urandom(_bodies.BLOCK) * 2 + b"end"


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize(
    "kind", ["bytes", "bytearray", "view", "path", "pipe", "short stream", "long stream"]
)
async def test_every_kind_of_body(connect: Open, tmp_path: Path, kind: str, compress: bool) -> None:
    """Bytes, files, pipes and streams, small or beyond what is kept in memory, arrive the same."""
    path = tmp_path / "body"
    body = b"short" if kind in {"short stream", "pipe"} else LARGE
    if kind == "pipe":
        os.mkfifo(path)
        feed = asyncio.create_task(asyncio.to_thread(path.write_bytes, body))
    else:
        await asyncio.to_thread(path.write_bytes, body)
        feed = None
    bodies: dict[str, Body] = {
        "bytes": body,
        "bytearray": bytearray(body),
        "view": memoryview(body),
        "short stream": _stream(body[:2], b"", body[2:]),
        "long stream": _stream(body[:7], body[7:-3], body[-3:]),
    }
    sender = await connect("X26ABC1", chunk_size=700_000)
    recipient = await connect("X26ABC2")
    message_id = await sender.send("X26ABC2", WORKFLOW, bodies.get(kind, path), compress=compress)
    if feed is not None:
        await feed
    async with recipient.receive(message_id) as message:
        assert await message.read() == body


@pytest.mark.parametrize("kind", ["bytes", "path", "stream"])
async def test_an_empty_body_is_refused_unsent(pair: Pair, tmp_path: Path, kind: str) -> None:
    """MESH takes no message without a body (section 12, check h); nothing is asked of it."""
    path = tmp_path / "empty"
    await asyncio.to_thread(path.touch)
    bodies: dict[str, Body] = {"bytes": b"", "path": path, "stream": _stream()}
    with pytest.raises(RequestRefused, match="empty") as caught:
        await pair.sender.send("X26ABC2", WORKFLOW, bodies[kind])
    assert (caught.value.event, caught.value.code, caught.value.status) == ("COLLECT", "02", None)


@pytest.mark.parametrize(("name", "reason"), [("absent", "No such file"), (".", "Is a directory")])
async def test_a_file_that_cannot_be_read_is_named(
    pair: Pair, tmp_path: Path, name: str, reason: str
) -> None:
    """A missing file or a directory is refused with its path and the reason."""
    with pytest.raises(UnreadableList, match=reason):
        await pair.sender.send("X26ABC2", WORKFLOW, tmp_path / name)


async def test_what_a_stream_raises_reaches_the_caller(pair: Pair) -> None:
    """A stream that fails stops the send with its own exception and nothing sent."""

    async def failing() -> AsyncIterator[bytes]:
        yield b"begun"
        raise LookupError("of the stream's own")

    with pytest.raises(LookupError, match="own"):
        await pair.sender.send("X26ABC2", WORKFLOW, failing())
    assert await pair.recipient.count() == 0


async def test_more_chunks_than_can_be_numbered_are_refused(connect: Open) -> None:
    """A body of more than 999,999 chunks is refused before anything is sent."""
    sender = await connect("X26ABC1", chunk_size=1)
    with pytest.raises(RequestRefused, match="1,000,000 chunks"):
        await sender.send("X26ABC2", WORKFLOW, bytes(1_000_000))


@pytest.mark.parametrize("compress", [False, True])
async def test_progress_counts_the_body_up_to_its_end(pair: Pair, compress: bool) -> None:
    """The caller hears of every byte of the body, in order, compressed or not."""
    heard: list[int] = []
    await pair.sender.send("X26ABC2", WORKFLOW, bytes(3500), compress=compress, progress=heard.append)
    assert heard == [1000, 2000, 3000, 3500]


async def test_many_sends_at_once(pair: Pair) -> None:
    """One mailbox serves many tasks at a time; each message arrives once."""
    bodies = [b"%d" % number for number in range(30)]
    message_ids = await asyncio.gather(*map(pair.send, bodies))
    assert sorted([each async for each in pair.recipient.messages(page_size=10)]) == sorted(message_ids)
    assert await asyncio.gather(*map(pair.read, message_ids)) == bodies


async def test_an_unknown_recipient_is_named(pair: Pair) -> None:
    """Error 12 becomes an error of its own, with recipient and workflow in the text."""
    with pytest.raises(RecipientUnknown, match=r"NOBODY.*OTHER_WORKFLOW") as caught:
        await pair.sender.send("NOBODY", "OTHER_WORKFLOW", b"body")
    assert (caught.value.status, caught.value.event, caught.value.code) == (417, "SEND", "12")


async def test_a_workflow_of_other_mailboxes_is_refused(pair: Pair) -> None:
    """A mailbox that is no sender of a restricted workflow is told so."""
    with pytest.raises(RequestRefused, match="X26ABC2 may not send on workflow TEST_WORKFLOW"):
        await pair.recipient.send("X26ABC1", WORKFLOW, b"body")


@pytest.mark.parametrize("body", [b"body", bytes(2500)], ids=["whole", "chunked"])
async def test_a_compressed_message_says_so(simulator: Simulator, pair: Pair, body: bytes) -> None:
    """The message is flagged as the witness test wants it; one that travels plain is not."""
    packed = await pair.sender.send("X26ABC2", WORKFLOW, body, compress=True)
    caller = simulator.caller("X26ABC1")
    assert (await caller.track(packed, version=1))["isCompressed"] == "Y"
    assert (await caller.track(await pair.send(body), version=1))["isCompressed"] == ""


# -- saving -----------------------------------------------------------------------------------------


async def test_saving_makes_a_private_file(connect: Open, tmp_path: Path) -> None:
    """The whole body is there under the given name, nobody else may read it, and nothing else is left."""
    pair = Pair(await connect("X26ABC1", chunk_size=1_500_000), await connect("X26ABC2"))
    message_id = await pair.sender.send("X26ABC2", WORKFLOW, LARGE, compress=True)
    folder = tmp_path / "answers"
    folder.mkdir()
    target = folder / "answer.dat"
    async with pair.recipient.receive(message_id) as message:
        assert await message.save(target) == len(LARGE)
    assert await asyncio.to_thread(target.read_bytes) == LARGE
    assert stat.S_IMODE(target.lstat().st_mode) == 0o600
    assert [entry.name for entry in os.scandir(folder)] == ["answer.dat"]


async def test_saving_replaces_only_when_told_to(pair: Pair, tmp_path: Path) -> None:
    """A file that exists stays as it is unless it may be replaced."""
    message_id = await pair.send(b"new")
    target = tmp_path / "answer.dat"
    await asyncio.to_thread(target.write_bytes, b"old")
    async with pair.recipient.receive(message_id) as message:
        with pytest.raises(OutputExists):
            await message.save(target)
        assert await asyncio.to_thread(target.read_bytes) == b"old"
        assert await message.save(target, replace=True) == 3
    assert await asyncio.to_thread(target.read_bytes) == b"new"


async def test_saving_into_an_open_file(pair: Pair, tmp_path: Path) -> None:
    """A file of the caller's own gets the body where it stands."""
    message_id = await pair.send(b"body")
    async with aiofiles.open(tmp_path / "log", "wb") as file, pair.recipient.receive(message_id) as message:
        await file.write(b"head ")
        assert await message.save(file) == 4
    assert await asyncio.to_thread((tmp_path / "log").read_bytes) == b"head body"


async def test_a_message_may_be_left_half_read(pair: Pair) -> None:
    """Leaving early neither hangs nor acknowledges; the message can be received again."""
    message_id = await pair.send(bytes(5000))
    async with pair.recipient.receive(message_id) as message:
        assert await anext(message)
    assert await pair.read(message_id) == bytes(5000)


# -- the inbox --------------------------------------------------------------------------------------


async def test_the_inbox_is_paged_oldest_first_while_it_is_emptied(pair: Pair) -> None:
    """Acknowledging on the way neither skips nor repeats a message."""
    sent = [await pair.send(b"%d" % number) for number in range(25)]
    listed = []
    async for message_id in pair.recipient.messages(page_size=10):
        listed.append(message_id)
        await pair.recipient.acknowledge(message_id)
    assert listed == sent
    assert await pair.recipient.count() == 0


async def test_one_page_of_the_inbox(pair: Pair) -> None:
    """A page has as many messages as asked for, the number of all, and a link while there are more."""
    sent = [await pair.send() for _ in range(11)]
    page = await pair.recipient.list(max_results=10)
    assert (list(page.messages), page.approx_inbox_count) == (sent[:10], 11)
    assert page.next.startswith("/messageexchange/X26ABC2/inbox?")
    assert (await pair.recipient.list()).next == ""


@pytest.mark.parametrize(
    ("pattern", "expected"), [("OTHER", [1]), ("!OTHER", [0]), ("OTH*", [1]), ("*ST_W*", [0])]
)
async def test_the_inbox_is_filtered_by_workflow(pair: Pair, pattern: str, expected: list[int]) -> None:
    """Filters reach the server as they were written, whatever has to be escaped."""
    sent = [await pair.send(), await pair.sender.send("X26ABC2", "OTHER", b"body")]
    listed = [each async for each in pair.recipient.messages(workflow_filter=pattern)]
    assert listed == [sent[index] for index in expected]


@pytest.mark.parametrize("size", [9, 5001])
async def test_page_sizes_out_of_range_are_refused(pair: Pair, size: int) -> None:
    """MESH takes 10 to 5000 (section 7)."""
    with pytest.raises(ValueError, match="10 to 5000"):
        await pair.recipient.list(max_results=size)


async def test_acknowledged_is_gone(pair: Pair) -> None:
    """An acknowledged message leaves the inbox for good; acknowledging twice is no error."""
    message_id = await pair.send()
    await pair.recipient.acknowledge(message_id)
    await pair.recipient.acknowledge(message_id)
    with pytest.raises(MessageGone) as caught:
        await pair.read(message_id)
    assert caught.value.message_id == message_id
    with pytest.raises(MessageGone):
        await pair.recipient.head(message_id)


async def test_messages_there_are_none_of(pair: Pair) -> None:
    """An unknown id is told as such by every operation that takes one."""
    for operation in (pair.read, pair.recipient.head, pair.recipient.acknowledge, pair.sender.track):
        with pytest.raises(MessageUnknown) as caught:
            await operation("20200529155357895317_3573F8")
        assert caught.value.message_id == "20200529155357895317_3573F8"


async def test_messages_of_others_are_refused(pair: Pair) -> None:
    """A sender cannot acknowledge what it sent, and learns why."""
    message_id = await pair.send()
    with pytest.raises(AuthenticationRefused, match="another mailbox than X26ABC1"):
        await pair.sender.acknowledge(message_id)


# -- tracking and lookup ----------------------------------------------------------------------------


async def test_tracking_follows_a_message(pair: Pair) -> None:
    """By message id and by local id the sender sees a message accepted, then acknowledged."""
    message_id = await pair.send(local_id="mine 1")
    by_id, by_local_id = await pair.sender.track(message_id), await pair.sender.track(local_id="mine 1")
    for tracked in (by_id, by_local_id):
        assert (tracked.message_id, tracked.local_id, tracked.workflow_id) == (message_id, "mine 1", WORKFLOW)
        assert (tracked.recipient, tracked.recipient_name) == ("X26ABC2", "TESTMB2")
        assert (tracked.status, tracked.status_success) == ("accepted", True)
        assert tracked.upload_timestamp is not None
        assert tracked.expiry_time is not None
        assert abs(tracked.expiry_time - tracked.upload_timestamp - timedelta(days=5)) < timedelta(seconds=1)
        assert abs(tracked.upload_timestamp - _utc_now()) < timedelta(minutes=1)
    assert by_local_id.download_timestamp is None
    await pair.recipient.acknowledge(message_id)
    assert (await pair.sender.track(message_id)).status == "acknowledged"
    assert (await pair.sender.track(local_id="mine 1")).download_timestamp is not None


async def test_a_local_id_used_twice_cannot_be_tracked(pair: Pair) -> None:
    """Status 300 becomes advice to track by message id."""
    await pair.send(local_id="twice")
    await pair.send(local_id="twice")
    with pytest.raises(RequestRefused, match="several messages") as caught:
        await pair.sender.track(local_id="twice")
    assert caught.value.status == 300


async def test_a_local_id_never_used_is_unknown(pair: Pair) -> None:
    """After a send whose answer was lost, this tells that nothing arrived."""
    with pytest.raises(MessageUnknown, match="X26ABC1 sent no message of this local id"):
        await pair.sender.track(local_id="never")


@pytest.mark.parametrize("ids", [{}, {"message_id": "M1", "local_id": "l"}])
async def test_tracking_takes_one_id(pair: Pair, ids: dict[str, str]) -> None:
    """Neither or both ids are the programmer's mistake."""
    with pytest.raises(ValueError, match="one message"):
        await pair.sender.track(**ids)


async def test_look_up(pair: Pair) -> None:
    """An organisation's mailboxes for a workflow are found; none is an empty answer."""
    assert await pair.sender.look_up("X26", WORKFLOW) == (Endpoint("X26ABC2", "TESTMB2"),)
    assert await pair.sender.look_up("X99", "no such/workflow") == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20200606122153", datetime(2020, 6, 6, 12, 21, 53, tzinfo=UTC)),
        ("2020-06-01T12:21:52", datetime(2020, 6, 1, 12, 21, 52, tzinfo=UTC)),
        ("2026-11-26T20:43:21.319142", datetime(2026, 11, 26, 20, 43, 21, 319142, tzinfo=UTC)),
        ("2020-06-01T13:21:52+01:00", datetime(2020, 6, 1, 12, 21, 52, tzinfo=UTC)),
        ("2020-06-01T12:21:52Z", datetime(2020, 6, 1, 12, 21, 52, tzinfo=UTC)),
        ("20201306122153", None),
        ("banana", None),
        ("", None),
        (None, None),
        (20200606122153, None),
    ],
)
def test_times_are_read_in_both_notations(text: object, expected: datetime | None) -> None:
    """Compact and ISO times become aware ones in UTC (section 14); anything else is no time."""
    assert _read_timestamp(text) == expected


async def test_hands_are_shaken_once_a_day(simulator: Running) -> None:
    """However often it is asked for, a handshake is due a day after the last one, not before."""
    now, passed = _utc_now(), timedelta(0)
    credentials = Credentials("X26ABC1", "password", "TestKey")
    async with Mailbox(simulator.url, credentials, clock=lambda: now + passed) as mailbox:
        await mailbox.handshake_if_due()
        # From here on a request would be refused, for tokens go by the same clock.
        passed = timedelta(hours=23, minutes=59)
        await mailbox.handshake_if_due()
        passed = timedelta(days=1)
        with pytest.raises(AuthenticationRefused):
            await mailbox.handshake_if_due()
