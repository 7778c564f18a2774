"""What the journal notes of requests beside their outcome: who overlapped, what was asked for, digests."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import itertools
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import pytest
from controls import control
from support import HANDSHAKE, Caller, Simulator, both_versions, request_head

from mesh_sim.exchange.messages import Chunk
from mesh_sim.witness.journal import Details, Entry, JournalFilter

SMALL: Final = b"NHS numbers would be here\n" * 20
LARGE: Final = random.Random(5).randbytes(1_500_000)
"""Too long to be kept beside its message, or sent in one piece; gzip cannot shorten it."""

SENDING: Final = (b"Mex-To: X26ABC2", b"Mex-WorkflowID: TEST_WORKFLOW")

ALL: Final = JournalFilter(limit=1000, oldest_first=True)

sizes = pytest.mark.parametrize("body", [SMALL, LARGE], ids=["small", "large"])


def md5(payload: bytes) -> str:
    """The digest that a payload has to have."""
    return hashlib.md5(payload, usedforsecurity=False).hexdigest()


async def in_blocks(body: bytes) -> AsyncIterator[bytes]:
    """A body as a client streams it."""
    for start in range(0, len(body), 100_000):
        yield body[start : start + 100_000]


async def noted(simulator: Simulator, count: int) -> list[Entry]:
    """Every entry, oldest first, once so many requests have ended."""
    async with asyncio.timeout(10):
        while len(entries := await simulator.server.journal.entries(ALL)) < count:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.005)
    assert len(entries) == count
    return list(entries)


async def details(simulator: Simulator, count: int) -> list[Details]:
    """What was noted of each of so many requests."""
    return [entry.details for entry in await noted(simulator, count)]


@pytest.fixture
def rehearsal(simulator: Simulator) -> Simulator:
    """A simulator two of whose mailboxes rehearse."""
    simulator.server.conductor.rehearsing.update(("X26ABC1", "X26ABC2"))
    return simulator


# -- requests that overlap --------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def under_way(caller: Caller) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A send that the server is answering, and that waits for its body: four bytes."""
    address = urlsplit(caller.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    lines = (*SENDING, b"Content-Length: 4", b"Expect: 100-continue")
    writer.write(request_head(caller, "POST", "outbox", *lines))
    assert b" 100 " in await reader.readuntil(b"\r\n\r\n")
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def test_requests_of_a_mailbox_that_overlap_are_counted(simulator: Simulator) -> None:
    """The later of two has one beside it, a third two; the first has none, nor has another mailbox's."""
    caller = simulator.caller()
    async with under_way(caller) as (reader, writer):
        async with under_way(caller):
            await caller.get("inbox")
            await simulator.caller("X26ABC2").get("inbox")
        writer.write(b"body")
        assert b" 202 " in await reader.readuntil(b"\r\n")
    await caller.get("count")
    entries = await noted(simulator, 5)
    counts = sorted((entry.operation, entry.status, entry.details.in_flight) for entry in entries)
    assert counts == [
        ("count", 200, 0),
        ("list", 200, 0),
        ("list", 200, 2),
        ("send", 0, 1),
        ("send", 202, 0),
    ]


async def test_a_mailbox_counts_in_any_letters(simulator: Simulator) -> None:
    """A request that names its mailbox in lower case overlaps those that do not."""
    caller = simulator.caller()
    async with under_way(caller):
        await caller.get("/messageexchange/x26abc1/inbox")
    (entry, _) = await noted(simulator, 2)
    assert (entry.mailbox, entry.details.in_flight) == ("x26abc1", 1)


async def test_requests_of_no_mailbox_overlap_nothing(simulator: Simulator) -> None:
    """A look-up names no mailbox, so it is never one too many."""
    caller = simulator.caller()
    async with under_way(caller):
        await asyncio.gather(
            *(caller.get("/messageexchange/endpointlookup/X26/TEST_WORKFLOW") for _ in range(5))
        )
    assert [entry.details.in_flight for entry in await noted(simulator, 6)] == [0] * 6


@both_versions
async def test_one_after_the_other_never_overlap(simulator: Simulator, version: int) -> None:
    """A client that goes on as soon as it has the last byte of an answer is not held to be two."""
    caller = simulator.caller()
    ids = [await caller.sent(in_blocks(LARGE), to="X26ABC1", workflow="TO_MYSELF") for _ in range(8)]
    for message_id in ids:
        for headers in ({}, {"Accept-Encoding": "gzip"}):
            await caller.get(f"inbox/{message_id}", version=version, headers=headers)
        await caller.request("HEAD", f"inbox/{message_id}")
        await caller.get("inbox", version=version)
        await caller.send(to="X26NONE")
        await caller.acknowledge(message_id, version)
    entries = await noted(simulator, len(ids) * 7)
    assert {(entry.operation, entry.details.in_flight) for entry in entries} == {
        (operation, 0) for operation in ("send", "download", "head", "list", "acknowledge")
    }


async def test_a_download_has_ended_with_its_last_byte(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the server has yet to do then is not its client's doing, who may go on over another connection."""
    exchange, went_on = simulator.server.exchange, asyncio.Event()
    payload = exchange.payload

    async def with_a_late_end(chunk: Chunk) -> AsyncIterator[bytes]:
        async for block in payload(chunk):
            yield block
        await went_on.wait()

    monkeypatch.setattr(exchange, "payload", with_a_late_end)
    caller = simulator.caller()
    message_id = await caller.sent(in_blocks(LARGE), to="X26ABC1", workflow="TO_MYSELF")
    address = urlsplit(simulator.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(request_head(caller, "GET", f"inbox/{message_id}"))
    assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
    assert await reader.readexactly(len(LARGE)) == LARGE
    await caller.get("inbox")
    assert [(entry.operation, entry.details) for entry in await noted(simulator, 2)][1:] == [
        ("list", Details(listed=1))
    ]
    went_on.set()
    assert [entry.operation for entry in await noted(simulator, 3)] == ["send", "list", "download"]
    writer.close()


async def test_a_killed_connection_leaves_no_count(simulator: Simulator) -> None:
    """Once a broken-off send has ended, what comes next has nothing beside it."""
    caller = simulator.caller()
    async with under_way(caller):
        pass
    await noted(simulator, 1)
    await caller.get("inbox")
    assert [entry.details.in_flight for entry in await noted(simulator, 2)] == [0, 0]


async def test_a_client_that_has_gone_overlaps_nothing(simulator: Simulator) -> None:
    """Who gave up on a slow answer and asks again has one request under way, if the server knows or not."""
    rule = {"action": "delay", "operation": "count", "delay": "10m"}
    await control(simulator.url, "POST", "/admin/faults", rule)
    caller = simulator.caller()
    address = urlsplit(simulator.url)
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(request_head(caller, "GET", "count"))
    counts: list[int] = []
    async with asyncio.timeout(10):
        for gone in (False, True):  # first until it is being answered, then until its client has gone
            while (counts or [int(gone)])[-1] != int(not gone):
                await caller.get("inbox")
                counts.append((await noted(simulator, len(counts) + 1))[-1].details.in_flight)
            writer.transport.abort()
    assert set(counts) == {0, 1}


# -- what was asked for -----------------------------------------------------------------------------


async def test_an_inbox_list_is_noted_with_what_it_named(simulator: Simulator) -> None:
    """How many messages, and whether there are more, on each page, in both versions."""
    recipient = simulator.caller("X26ABC2")
    for version in (1, 2):
        await recipient.get("inbox", version=version)
    for _ in range(11):
        await simulator.caller().sent()
    for version in (1, 2):
        await recipient.get("inbox?max_results=10", version=version)
        await recipient.get("inbox", version=version)
    lists = [entry.details for entry in await noted(simulator, 17) if entry.operation == "list"]
    empty, page, all_of_it = Details(listed=0), Details(listed=10, more=True), Details(listed=11)
    assert lists == [empty, empty, page, all_of_it, page, all_of_it]


async def test_sends_and_downloads_are_noted_with_their_chunk(simulator: Simulator) -> None:
    """Of several chunks each says which of how many; a message in one says nothing, though it writes 1:1."""
    caller, recipient = simulator.caller(), simulator.caller("X26ABC2")
    single = await caller.sent(headers={"Mex-Chunk-Range": "1:1"})
    message_id = await caller.sent(headers={"Mex-Chunk-Range": " 01 : 3"})
    await caller.send_chunk(message_id, 2, "2:3")
    await caller.send_chunk(message_id, 3, "3:3")
    await recipient.get(f"inbox/{single}")
    await recipient.get(f"inbox/{message_id}")
    await recipient.get(f"inbox/{message_id}/3")
    await recipient.get(f"inbox/{message_id}/4")
    sent, got = Details(recipient="X26ABC2"), Details(message_type="DATA")
    assert await details(simulator, 8) == [
        sent,
        replace(sent, chunk="1:3"),
        Details(chunk="2:3"),
        Details(chunk="3:3"),
        got,
        replace(got, chunk="1:3"),
        replace(got, chunk="3:3"),
        Details(),
    ]


async def test_a_recipient_is_noted_if_it_is_a_mailbox(simulator: Simulator) -> None:
    """Whom a send is for is noted of mailboxes that there are, and of the rehearsal's that there is not."""
    recipients = {
        "X26ABC2": "X26ABC2",
        " x26abc2 ": "X26ABC2",
        "X26WIT99": "X26WIT99",
        "X26NONE": "",
        "9990000018": "",
        "MR PATIENT": "",
        "": "",
    }
    for to in recipients:
        await simulator.caller().send(to=to)
    found = await details(simulator, len(recipients))
    assert found == [Details(recipient=recipient) for recipient in recipients.values()]


async def test_a_chunk_is_noted_if_it_is_one(simulator: Simulator) -> None:
    """Text that is no chunk range is not in the journal, whatever it is."""
    texts = ("Patient 9990000018", "0:2", "3:2", "1:1000000", "9990000018:9990000018")
    for text in texts:
        await simulator.caller().send(headers={"Mex-Chunk-Range": text})
    assert await details(simulator, len(texts)) == [Details(recipient="X26ABC2")] * len(texts)


async def test_a_send_that_a_fault_answers_is_noted_with_what_it_was(simulator: Simulator) -> None:
    """What its headers say is known though nothing looked at it."""
    rule = {"action": "status", "operation": "send", "status": 503}
    await control(simulator.url, "POST", "/admin/faults", rule)
    await simulator.caller().send(headers={"Mex-Chunk-Range": "1:2"})
    assert await details(simulator, 1) == [Details(chunk="1:2", recipient="X26ABC2")]


async def test_a_mailbox_that_does_not_rehearse_has_no_digests(rehearsal: Simulator) -> None:
    """Beside two that do, nothing more is noted of a third than of any."""
    message_id = await rehearsal.caller("X26ABC3").sent(to="X26ABC3", workflow="TO_MYSELF")
    await rehearsal.caller("X26ABC3").get(f"inbox/{message_id}")
    sent, got = Details(recipient="X26ABC3"), Details(message_type="DATA")
    assert await details(rehearsal, 2) == [sent, got]


# -- of mailboxes that rehearse ---------------------------------------------------------------------


async def test_headers_that_the_catalogue_asks_for_are_noted(rehearsal: Simulator) -> None:
    """By name alone, or with the one value that is asked for; not empty ones, not others."""
    caller = rehearsal.caller()
    given: list[tuple[dict[str, str], set[str]]] = [
        ({}, set()),
        ({"Mex-From": "X26ABC1", "Mex-Chunk-Range": "1:1"}, {"Mex-From", "Mex-Chunk-Range"}),
        ({"Mex-From": " ", "Mex-Subject": "a"}, set()),
        (
            {"Content-Type": "Application/Octet-Stream; x=y"},
            {"Content-Type: application/octet-stream"},
        ),
        ({"Content-Type": "text/plain", "Accept-Encoding": "deflate"}, set()),
        ({"Accept-Encoding": "deflate, gzip;q=0.5"}, {"Accept-Encoding: gzip"}),
        ({"Content-Encoding": "GZIP"}, {"Content-Encoding: gzip"}),
        ({"Mex-Content-Compressed": "y"}, {"Mex-Content-Compressed: Y"}),
        ({"Mex-Content-Compress": "Y"}, {"Mex-Content-Compressed: Y"}),
        ({"Mex-Content-Compressed": "N"}, set()),
    ]
    for headers, _ in given:
        await caller.send(headers=headers)
    await caller.request("POST", headers=HANDSHAKE, authorization=None)
    *sends, handshake = await details(rehearsal, len(given) + 1)
    always = {"Authorization", "Mex-To", "Mex-WorkflowID"}
    assert [set(it.headers) - always for it in sends] == [expected for _, expected in given]
    assert all(always <= set(it.headers) for it in sends)
    assert handshake == Details()


def payload_of(it: Details) -> tuple[int | None, str]:
    """Size and digest that were noted of a body."""
    return it.payload_bytes, it.md5


@sizes
@pytest.mark.parametrize("encoding", ["", "gzip"])
async def test_a_send_is_noted_with_its_payload(rehearsal: Simulator, body: bytes, encoding: str) -> None:
    """Size and MD5 are those of what was meant, compressed or not; nothing is said of a whole."""
    packed = gzip.compress(body) if encoding else body
    headers = {"Content-Encoding": encoding} if encoding else {}
    await rehearsal.caller().sent(in_blocks(packed), headers=headers)
    (it,) = await details(rehearsal, 1)
    assert (*payload_of(it), it.gzip) == (len(body), md5(body), bool(encoding))
    assert (it.whole_bytes, it.whole_md5) == (None, "")


async def test_a_send_that_is_not_the_gzip_it_says_has_no_digest(rehearsal: Simulator) -> None:
    """It is accepted as ever, and nothing is claimed of its payload."""
    bodies = (b"plain", gzip.compress(SMALL)[:-1], gzip.compress(SMALL) + b"garbage")
    for body in bodies:
        await rehearsal.caller().sent(body, headers={"Content-Encoding": "gzip"})
    for it in await details(rehearsal, len(bodies)):
        assert (*payload_of(it), it.gzip) == (None, "", True)


async def test_a_gzip_of_many_members_has_its_payload(rehearsal: Simulator) -> None:
    """Members joined are one payload."""
    body = gzip.compress(SMALL) + gzip.compress(LARGE) + gzip.compress(b"")
    await rehearsal.caller().sent(in_blocks(body), headers={"Content-Encoding": "gzip"})
    (it,) = await details(rehearsal, 1)
    assert payload_of(it) == (len(SMALL + LARGE), md5(SMALL + LARGE))


@sizes
async def test_a_download_is_noted_with_its_payload(rehearsal: Simulator, body: bytes) -> None:
    """However it was sent and is fetched, size and MD5 are the payload's, and gzip is told of the answer."""
    caller, recipient = rehearsal.caller(), rehearsal.caller("X26ABC2")
    gzipped = []
    for packed, encoding in ((body, {}), (gzip.compress(body), {"Content-Encoding": "gzip"})):
        message_id = await caller.sent(in_blocks(packed), headers=encoding)
        for version, accepted in itertools.product((1, 2), ({}, {"Accept-Encoding": "gzip"})):
            answer = await recipient.get(f"inbox/{message_id}", version=version, headers=accepted)
            gzipped.append(answer.headers.get("Content-Encoding") == "gzip")
            assert (gzip.decompress(answer.body) if gzipped[-1] else answer.body) == body
    found = [entry.details for entry in await noted(rehearsal, 10) if entry.operation == "download"]
    assert {payload_of(it) for it in found} == {(len(body), md5(body))}
    # Version 2 packs what was sent plain; neither packs what nobody wants packed.
    assert gzipped == [False, False, False, True, False, True, False, True]
    assert [it.gzip for it in found] == gzipped


async def test_a_download_that_is_no_gzip_has_no_digest(rehearsal: Simulator) -> None:
    """Handed out as it was sent, nothing is claimed of it; asked for plain, it is refused as ever."""
    message_id = await rehearsal.caller().sent(b"plain", headers={"Content-Encoding": "gzip"})
    recipient = rehearsal.caller("X26ABC2")
    as_it_is = await recipient.get(f"inbox/{message_id}", headers={"Accept-Encoding": "gzip"})
    assert as_it_is.body == b"plain"
    await recipient.get(f"inbox/{message_id}")
    _, given, refused = await noted(rehearsal, 3)
    assert [(entry.status, *payload_of(entry.details)) for entry in (given, refused)] == [
        (200, None, ""),
        (406, None, ""),
    ]


@both_versions
async def test_each_chunk_fetched_is_noted_with_its_payload(rehearsal: Simulator, version: int) -> None:
    """The digest of a chunk is its own, of whatever size."""
    caller, recipient = rehearsal.caller(), rehearsal.caller("X26ABC2")
    message_id = await caller.sent(in_blocks(LARGE), headers={"Mex-Chunk-Range": "1:2"})
    await caller.send_chunk(message_id, 2, "2:2", SMALL)
    for path in (f"inbox/{message_id}", f"inbox/{message_id}/2"):
        await recipient.get(path, version=version)
    *_, first, second = await noted(rehearsal, 4)
    assert [(entry.status, entry.details.chunk, entry.details.md5) for entry in (first, second)] == [
        (206, "1:2", md5(LARGE)),
        (200, "2:2", md5(SMALL)),
    ]
    assert (second.details.whole_bytes, second.details.whole_md5) == (None, "")


async def test_what_has_no_body_has_no_digest(rehearsal: Simulator) -> None:
    """A HEAD and a REPORT bring none, though the one tells of gzip."""
    caller, recipient = rehearsal.caller(), rehearsal.caller("X26ABC2")
    message_id = await caller.sent(gzip.compress(SMALL), headers={"Content-Encoding": "gzip"})
    await recipient.request("HEAD", f"inbox/{message_id}", headers={"Accept-Encoding": "gzip"})
    report = {"mailbox_id": "X26ABC1", "code": "99", "description": "Invented", "workflow_id": "WF"}
    made = await control(rehearsal.url, "POST", "/messageexchange/admin/report", report)
    assert made.status == 200, made.body
    (report_id,) = await caller.inbox()
    await caller.get(f"inbox/{report_id}", headers={"Accept-Encoding": "gzip"})
    _, head, _, got = await details(rehearsal, 4)
    headers = ("Authorization", "Accept-Encoding: gzip")
    assert (head, got) == (Details(headers=headers), Details(headers=headers, message_type="REPORT"))


@sizes
async def test_a_download_cut_short_has_no_digest(rehearsal: Simulator, body: bytes) -> None:
    """What did not arrive whole is not compared with anything."""
    message_id = await rehearsal.caller().sent(in_blocks(body))
    rule = {"action": "truncate", "operation": "download", "after_bytes": 100}
    await control(rehearsal.url, "POST", "/admin/faults", rule)
    with pytest.raises(aiohttp.ClientError):
        await rehearsal.caller("X26ABC2").get(f"inbox/{message_id}")
    _, it = await details(rehearsal, 2)
    assert (it.message_type, *payload_of(it)) == ("DATA", None, "")


async def test_a_send_that_came_to_nothing_has_no_digest(rehearsal: Simulator) -> None:
    """One refused after its body came, one whose answer was lost, one that broke off."""
    caller = rehearsal.caller()
    await caller.send(b"")
    rule = {"action": "lose-response", "operation": "send", "times": 1}
    await control(rehearsal.url, "POST", "/admin/faults", rule)
    with pytest.raises(aiohttp.ClientError):
        await caller.send(b"lost")
    async with under_way(caller) as (_, writer):
        writer.write(b"bo")
    entries = await noted(rehearsal, 3)
    assert [(entry.status, *payload_of(entry.details)) for entry in entries] == [
        (417, None, ""),
        (0, None, ""),
        (0, None, ""),
    ]


# -- messages sent in chunks ------------------------------------------------------------------------


async def send_in(rehearsal: Simulator, *chunks: tuple[int, bytes], **headers: Any) -> list[Details]:
    """Send these chunks of three, numbered, the first first; give what was noted of each."""
    caller = rehearsal.caller()
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    message_id = ""
    for index, (number, body) in enumerate(chunks):
        if index == 0:
            message_id = await caller.sent(in_blocks(body), headers={"Mex-Chunk-Range": "1:3", **given})
        else:
            blocks = in_blocks(body)
            answer = await caller.send_chunk(message_id, number, f"{number}:3", blocks, headers=given)
            assert answer.status == 202, answer.body
    return await details(rehearsal, len(chunks))


async def test_a_message_sent_in_chunks_is_noted_whole_at_its_last(rehearsal: Simulator) -> None:
    """Each chunk has its own digest; with the last there is that of all, though one came twice."""
    chunks = [(1, SMALL), (2, b"a first try"), (2, LARGE), (3, SMALL)]
    *earlier, last = await send_in(rehearsal, *chunks)
    assert [it.md5 for it in (*earlier, last)] == [md5(body) for _, body in chunks]
    assert {(it.whole_bytes, it.whole_md5) for it in earlier} == {(None, "")}
    whole = SMALL + LARGE + SMALL
    assert (last.whole_bytes, last.whole_md5) == (len(whole), md5(whole))


async def test_compressed_chunks_make_the_payload_whole(rehearsal: Simulator) -> None:
    """Chunks that are each gzip have the digest of what is in them, all together too."""
    packed = [(number, gzip.compress(body)) for number, body in enumerate((SMALL, LARGE, b"end"), 1)]
    last = (await send_in(rehearsal, *packed, Content_Encoding="gzip"))[-1]
    whole = SMALL + LARGE + b"end"
    assert (last.md5, last.whole_bytes, last.whole_md5) == (md5(b"end"), len(whole), md5(whole))


async def test_chunks_out_of_order_make_no_whole(rehearsal: Simulator) -> None:
    """The message is accepted, each chunk has its digest, and the whole is not known."""
    chunks = [(1, b"one"), (3, b"three"), (2, b"two")]
    noted_of = await send_in(rehearsal, *chunks)
    assert [it.md5 for it in noted_of] == [md5(body) for _, body in chunks]
    assert {(it.whole_bytes, it.whole_md5) for it in noted_of} == {(None, "")}


async def test_a_chunk_that_was_refused_breaks_nothing(rehearsal: Simulator) -> None:
    """What the exchange did not take in is no part of the whole."""
    caller = rehearsal.caller()
    message_id = await caller.sent(b"one", headers={"Mex-Chunk-Range": "1:2"})
    for number, chunk, body in ((2, "1:2", b"x"), (3, "3:3", b"x"), (2, "2:2", b"two")):
        await caller.send_chunk(message_id, number, chunk, body)
    *_, last = await noted(rehearsal, 4)
    assert (last.status, last.details.whole_md5) == (202, md5(b"onetwo"))
