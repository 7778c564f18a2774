"""What comes back for a submission: receipt and answer, or silence with its reason."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import itertools
import logging
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optout_world import CLOSED, NUMBERS, PRACTICE, SERVICE, World, kept, opened, receipt, records, utc_stamp

from mesh_sim.exchange.messages import INLINE_LIMIT, Inline, MessageType
from mesh_sim.exchange.states import Status
from mesh_sim.optouts.submissions import ClaimLost, Outcome, State
from ndoo.cache import TemporaryCache
from ndoo.lists import NumberRule
from ndoo.protocol import INVALID_LIST_ANSWER, WORKFLOW_CACHE, WORKFLOW_CHECK

INVALID = b"9990000019,\n"
GZIPPED = {"content_encoding": "gzip"}


async def test_answer_follows_the_receipt(world: World) -> None:
    """A list is answered with a receipt and then the list less the opted out, both for the sender."""
    await world.register.load(NUMBERS[1:3])
    message = await world.submit(records(NUMBERS[:5]), local_id="list-A", subject="week-7")
    await world.work()
    first, answer = await world.replies()
    assert (first.metadata.subject, first.metadata.local_id) == ("SUCCESS", "list-A")
    assert (answer.metadata.subject, answer.metadata.local_id) == ("week-7", "list-A")
    assert answer.metadata.file_name == "list-A.dat"
    for reply in (first, answer):
        assert (reply.sender, reply.recipient) == (SERVICE, PRACTICE.mailbox_id)
        assert (reply.workflow_id, reply.message_type) == (WORKFLOW_CHECK, MessageType.DATA)
    assert await world.body(answer) == records([NUMBERS[0], *NUMBERS[3:5]])
    assert await world.waiting() == 0
    outcome = await world.outcome(message)
    assert (outcome.state, outcome.outcome) == (State.FINISHED, Outcome.ANSWERED)
    assert (outcome.submitted, outcome.returned, outcome.attempts) == (5, 3, 1)
    assert (outcome.receipt_message_id, outcome.answer_message_id) == (first.message_id, answer.message_id)
    assert outcome.finished_at is not None


async def test_receipt_tells_the_truth(world: World) -> None:
    """The receipt's fields are those of this submission: its file, its ids, its times."""
    data = records(NUMBERS[:5])
    message = await world.submit(gzip.compress(data), local_id="list-A", subject="week-7", **GZIPPED)
    await world.work()
    replies = await world.replies()
    body = receipt(await world.body(replies[0]))
    stages = body.pop("stages")
    metadata = body.pop("metadata")
    assert message.accepted_at is not None
    received = message.accepted_at
    assert body.pop("submitted") >= body["received"] == received.strftime("%Y-%m-%dT%H:%M:%S.%f")
    assert body.pop("received")
    sender_id = body["sender_id"]
    assert isinstance(sender_id, int)
    assert body == {
        "version": 10,
        "id": message.position,
        "status": "pending",
        "finished": None,
        "runs": [],
        "sender_id": sender_id,
        "agent_id": 1,
        "dataset_id": "mesh_to_pos",
        "dataset_version": None,
        "workspace": None,
    }
    assert [stage["stage"] for stage in stages] == [
        "validate_non_empty_file",
        "validate_is_unique_upload",
        "validate_in_order",
    ]
    assert all(set(stage) == {"stage", "ts", "passed", "details"} and stage["passed"] for stage in stages)
    assert all(stage["ts"] >= utc_stamp(received) for stage in stages)
    assert metadata == {
        "submission_id": message.position,
        "sender_id": sender_id,
        "test_submission": True,
        "received_timestamp": utc_stamp(received),
        "file_type": "csv",
        "filename": "list.dat",
        "filesize": len(data),
        "file_hash": hashlib.sha256(data).hexdigest(),
        "request": {
            "extra": {
                "sending_mailbox": PRACTICE.mailbox_id,
                "landing_mailbox": SERVICE,
                "message_id": message.message_id,
                "filename": "list.dat",
                "local_id": "list-A",
                "message_type": "DATA",
                "subject": "week-7",
                "encrypted": False,
                "compressed": False,
            }
        },
    }


async def test_everybody_opted_out_is_one_line_feed(world: World) -> None:
    """When nobody is left the answer is a single line feed, for MESH takes no empty body."""
    await world.register.load(NUMBERS[:3])
    await world.submit(records(NUMBERS[:3]))
    await world.work()
    assert await world.body((await world.replies())[1]) == b"\n"


@pytest.mark.parametrize(
    ("bodies", "message"),
    [
        ([records(NUMBERS[:200]) + INVALID], {}),
        ([records(NUMBERS[:2]) + b"\n" + records(NUMBERS[:2])], {}),
        ([b"\n"], {}),
        ([gzip.compress(b"")], GZIPPED),
        ([records(NUMBERS[:9])], GZIPPED),
        ([gzip.compress(records(NUMBERS))[:-9]], GZIPPED),
        ([gzip.compress(records(NUMBERS)), b"not gzip"], GZIPPED),
        ([records(NUMBERS[:200])], {"total_chunks": 2}),
    ],
    ids=[
        "number",
        "blank line",
        "no record",
        "gzip of nothing",
        "not gzip",
        "cut short",
        "chunk 2",
        "missing",
    ],
)
@pytest.mark.parametrize("workflow_id", [WORKFLOW_CHECK, WORKFLOW_CACHE])
async def test_invalid_list_gets_the_one_line(
    world: World, bodies: list[bytes], message: dict[str, Any], workflow_id: str
) -> None:
    """A list that is not one through and through is answered with one line, and nothing else is left."""
    world.chunk_bytes = 2 * INLINE_LIMIT
    sent = await world.submit(*bodies, workflow_id=workflow_id, **message)
    await world.work()
    first, answer = await world.replies()
    assert first.metadata.subject == "SUCCESS"
    assert await world.body(answer) == INVALID_LIST_ANSWER
    assert (await world.outcome(sent)).outcome is Outcome.INVALID_LIST
    assert (await world.outcome(sent)).reason


async def test_nothing_is_left_of_a_long_answer_that_became_invalid(world: World) -> None:
    """Chunks that were already written when a late record proved invalid are deleted."""
    world.chunk_bytes = 2 * INLINE_LIMIT
    sent = await world.submit(records(NUMBERS * 400) + INVALID)
    before = await world.payloads.keys()
    await world.work()
    assert (await world.outcome(sent)).reason == "line 120001 is not a valid record"
    assert await world.payloads.keys() == before


async def test_lax_rule_answers_what_the_strict_one_refuses(world: World) -> None:
    """Under the rule "digits" a list with wrong check digits is checked."""
    lax = world.with_terms(number_rule=NumberRule.DIGITS)
    await lax.submit(INVALID)
    await lax.work()
    assert await lax.body((await lax.replies())[1]) == INVALID


async def test_long_answer_is_chunked_and_each_chunk_is_gzip(world: World) -> None:
    """A long answer to a gzipped list comes in chunks of the set size, each compressed on its own."""
    world.chunk_bytes = 2 * INLINE_LIMIT
    data = records(NUMBERS * 100)
    await world.submit(gzip.compress(data), **GZIPPED)
    await world.work()
    answer = (await world.replies())[1]
    chunks = [gzip.decompress(chunk) for chunk in await world.chunks(answer)]
    assert [len(chunk) for chunk in chunks] == [131072, 131072, 97856]
    assert b"".join(chunks) == data
    assert (answer.metadata.content_encoding, answer.metadata.compressed) == ("gzip", True)


async def test_small_chunks_lie_beside_the_message_and_large_ones_in_files(world: World) -> None:
    """A body up to the inline limit is kept inline, a longer one in the payload store."""
    world.chunk_bytes = INLINE_LIMIT + 1
    await world.submit(records(NUMBERS * 20))
    await world.work()
    answer = (await world.replies())[1]
    first, last = [await world.messages.chunk(answer.message_id, number) for number in (1, 2)]
    assert first is not None
    assert last is not None
    assert (isinstance(first.body, Inline), isinstance(last.body, Inline)) == (False, True)


async def test_cache_workflow_gives_a_temporary_cache(world: World, tmp_path: Path) -> None:
    """On the cache workflow the answer is a cache file that the sender's password opens until it expires."""
    await world.register.load(NUMBERS[:2])
    await world.submit(records(NUMBERS[:9]), workflow_id=WORKFLOW_CACHE, local_id="cache-1")
    now = world.clock.now().replace(microsecond=0)
    await world.work()
    answer = (await world.replies())[1]
    assert (answer.workflow_id, answer.metadata.file_name) == (WORKFLOW_CACHE, "cache-1.dat")
    file = tmp_path / "answer.cache"
    file.write_bytes(await world.body(answer))
    cache = TemporaryCache.load(file, PRACTICE.password, world.clock.now)
    assert (cache.mailbox, cache.local_id, len(cache)) == (PRACTICE.mailbox_id, "cache-1", 7)
    assert timedelta() <= cache.created - now <= timedelta(seconds=5)
    assert cache.expires - cache.created == timedelta(days=21)
    assert [number in cache for number in NUMBERS[:9]] == [False] * 2 + [True] * 7


async def test_cache_of_nobody_is_still_a_cache(world: World, tmp_path: Path) -> None:
    """When everybody has opted out the cache holds no record, and says so by itself."""
    await world.register.load(NUMBERS[:2])
    await world.submit(records(NUMBERS[:2]), workflow_id=WORKFLOW_CACHE)
    await world.work()
    file = tmp_path / "answer.cache"
    file.write_bytes(await world.body((await world.replies())[1]))
    assert len(TemporaryCache.load(file, PRACTICE.password, world.clock.now)) == 0


# -- any list ---------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    numbers=st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=150),
    opted_out=st.sets(st.sampled_from(NUMBERS), max_size=100),
    cuts=st.lists(st.integers(1, 1800), max_size=4, unique=True),
    zipped=st.booleans(),
    answer_chunk=st.integers(1, 700),
)
def test_any_list_comes_back_less_the_opted_out(
    numbers: list[int], opted_out: set[int], cuts: list[int], zipped: bool, answer_chunk: int
) -> None:
    """Whatever the list, its chunks and its compression: the answer is the list less the opted out."""
    data = records(numbers)
    places = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    bodies = [data[a:b] for a, b in itertools.pairwise(places)]

    async def answer() -> tuple[bytes, list[int]]:
        with tempfile.TemporaryDirectory() as folder:
            async with opened(Path(folder), chunk_bytes=answer_chunk) as world:
                await world.register.load(opted_out)
                sent = [gzip.compress(body) for body in bodies] if zipped else bodies
                await world.submit(*sent, content_encoding="gzip" if zipped else "")
                await world.work()
                reply = (await world.replies())[1]
                chunks = await world.chunks(reply)
                sizes = [len(gzip.decompress(chunk) if zipped else chunk) for chunk in chunks]
                return await world.body(reply), sizes

    body, sizes = asyncio.run(answer())
    assert body == (records(number for number in numbers if number not in opted_out) or b"\n")
    assert all(size == answer_chunk for size in sizes[:-1])


# -- silence ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ({"subject": ""}, "Mex-Subject is missing"),
        ({"local_id": ""}, "Mex-LocalID is missing"),
        ({"subject": "for Jo:Bloggs"}, "Mex-Subject holds a character"),
        ({"local_id": "Jo:Bloggs"}, "Mex-LocalID holds a character"),
        ({"local_id": "Jo Bloggs"}, "Mex-LocalID holds a character"),
        ({"local_id": "Jo-Bloggs\n"}, "Mex-LocalID holds a character"),
        ({"local_id": "Zo\u00eb-Bloggs"}, "Mex-LocalID holds a character"),
        ({"workflow_id": "SPINE_BLOGGS"}, "Mex-WorkflowID must be SPINE_NTT_UPHOLDING"),
        ({"message_type": MessageType.REPORT}, "REPORT and not a submission"),
    ],
    ids=["no subject", "no id", "odd subject", "colon", "blank", "line feed", "accent", "workflow", "report"],
)
async def test_silence_is_explained_once(
    world: World, caplog: pytest.LogCaptureFixture, message: dict[str, Any], why: str
) -> None:
    """Where the real service never replies, neither does this one; one warning says why, and no names."""
    sent = await world.submit(records(NUMBERS[:3]), **message)
    await world.work()
    await world.work()
    assert await world.replies() == []
    assert await world.waiting() == 0
    outcome = await world.outcome(sent)
    assert (outcome.outcome, why in outcome.reason) == (Outcome.SILENT, True)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert all(part in warnings[0] for part in (sent.message_id, PRACTICE.mailbox_id, why))
    assert "Bloggs" not in caplog.text


async def test_nothing_logged_names_a_number(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """No NHS number reaches the log, whether a list is answered, refused or met with silence."""
    caplog.set_level(logging.DEBUG)
    for data, subject in ((records(NUMBERS[:3]), "fine"), (INVALID, "fine"), (records(NUMBERS[:3]), "")):
        await world.submit(data, subject=subject)
    await world.work()
    assert len(caplog.records) == 3
    assert not any(str(number) in caplog.text for number in (*NUMBERS[:3], 9990000019))


@pytest.mark.parametrize("sender", ["X26GONE", CLOSED.mailbox_id])
async def test_nowhere_to_reply_to(world: World, sender: str) -> None:
    """A submission whose mailbox is gone or closed is taken from the inbox with its reason recorded."""
    sent = await world.submit(records(NUMBERS[:3]), sender=sender)
    await world.work()
    assert await world.replies(sender) == []
    assert await world.waiting() == 0
    assert (await world.outcome(sent)).outcome is Outcome.UNDELIVERABLE


# -- the reply delay --------------------------------------------------------------------------------


async def test_answer_waits_for_its_time(world: World) -> None:
    """With a delay the receipt comes at once, the answer when it is due, judged as things stand then."""
    slow = world.with_terms(reply_delay=timedelta(minutes=40))
    sent = await slow.submit(records(NUMBERS[:3]))
    await slow.work()
    await slow.work()
    (first,) = await slow.replies()
    assert receipt(await slow.body(first))["metadata"]["filesize"] == 36
    assert ((await slow.outcome(sent)).state, await slow.waiting()) == (State.RECEIPTED, 1)
    slow.clock.advance(timedelta(minutes=40))
    await slow.register.opt_out(NUMBERS[1])
    await slow.work()
    replies = await slow.replies()
    assert [reply.metadata.subject for reply in replies] == ["SUCCESS", "weekly"]
    assert await slow.body(replies[1]) == records([NUMBERS[0], NUMBERS[2]])
    assert (await slow.outcome(sent)).receipt_message_id == first.message_id


async def test_submission_that_left_the_inbox_meanwhile_is_not_answered(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """A submission that somebody else acknowledged before its answer was due gets none, as the log says."""
    slow = world.with_terms(reply_delay=timedelta(minutes=40))
    sent = await slow.submit(records(NUMBERS[:3]))
    await slow.work()
    await slow.messages.acknowledge(sent, at=slow.clock.now())
    slow.clock.advance(timedelta(minutes=40))
    await slow.work()
    assert "gets no reply: the submission left the inbox before it was answered" in caplog.text
    assert len(await slow.replies()) == 1
    assert (await slow.outcome(sent)).outcome is Outcome.GONE
    message = await slow.messages.message(sent.message_id)
    assert message is not None
    assert message.status is Status.ACKNOWLEDGED


async def test_submission_that_left_the_inbox_gets_no_receipt(world: World) -> None:
    """A submission that was acknowledged by somebody else while it was claimed gets no receipt either."""
    slow = world.with_terms(reply_delay=timedelta(minutes=40))
    sent = await slow.submit(records(NUMBERS[:3]))
    (claim,) = await slow.claim()
    await slow.messages.acknowledge(sent, at=slow.clock.now())
    with pytest.raises(ClaimLost):
        await slow.service().handle(claim, kept)
    assert await slow.replies() == []
