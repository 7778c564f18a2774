"""What is counted of a mailbox and of a message: tallies, and the chunks that have arrived."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sqlite3
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from kept_messages import NOON, kept, message, opened

from mesh_sim.exchange.messages import Chunk, Inline
from mesh_sim.exchange.ports import ChunkHere, Tally
from mesh_sim.exchange.states import Status
from mesh_sim.storage import messages, search_sql, sql
from mesh_sim.storage.messages import SqlMessageStore
from mesh_sim.storage.sqlite import SqliteDatabase
from mesh_sim.storage.upkeep import SqlMessageUpkeep

BYTE = Inline(b"x")


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    """A database without messages."""
    async with opened(tmp_path) as database:
        yield database


@pytest.fixture
def store(database: SqliteDatabase) -> SqlMessageStore:
    """Its message store."""
    return SqlMessageStore(database)


async def test_a_message_is_counted_where_it_is(database: SqliteDatabase, store: SqlMessageStore) -> None:
    """A message counts for its sender while it uploads, then for its recipient, waiting or uncollected."""
    upkeep = SqlMessageUpkeep(database)

    async def counted() -> tuple[Tally, Tally]:
        tallies = await store.tally(["A", "B"])
        assert list(tallies) == ["A", "B"]
        return tallies["A"], tallies["B"]

    nothing = Tally(0, 0, 0)
    assert await counted() == (nothing, nothing)
    sent = message("M1", status=Status.UPLOADING, total_chunks=2, accepted_at=None)
    await store.add(sent, [Chunk(1, 1, BYTE)])
    assert await counted() == (Tally(0, 1, 0), nothing)
    await store.add_chunk("M1", Chunk(2, 1, BYTE), at=NOON, need_all=True)
    assert await counted() == (nothing, Tally(1, 0, 0))
    later = NOON + timedelta(days=5)
    await upkeep.expire(delivered_by=later, at=later, limit=1, report=lambda _: None)
    assert await counted() == (nothing, Tally(0, 0, 1))
    await upkeep.set_status("M1", Status.ERROR, at=later, failure=None)
    assert await counted() == (nothing, nothing)


async def test_what_was_reset_is_not_counted(database: SqliteDatabase, store: SqlMessageStore) -> None:
    """A mailbox that was emptied has nothing, although the mailbox at the other end has it still."""
    await kept(
        store,
        message("M1", status=Status.UNDELIVERABLE),
        message("M2", status=Status.UPLOADING, sender="B", recipient="A"),
    )
    await SqlMessageUpkeep(database).reset_mailbox("B")
    assert (await store.tally(["B"]))["B"] == Tally(0, 0, 0)


async def test_counting_ends_somewhere(store: SqlMessageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the cap nothing is counted that has to be looked at; what waits is known anyway."""
    monkeypatch.setattr(messages, "TALLY_CAP", 3)
    statuses = (Status.ACCEPTED, Status.UNDELIVERABLE, Status.UPLOADING)
    await kept(
        store,
        *(
            message(f"{status}-{number}", status=status, sender="A", recipient="A")
            for status in statuses
            for number in range(5)
        ),
    )
    assert await store.tally(["A"]) == {"A": Tally(5, 3, 3)}


def test_tallies_are_counted_in_indexes_alone() -> None:
    """What is not known already is counted without reading a message."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        for made in sql.SCHEMA:
            connection.execute(made)
        query, count = re.subn(r"\$\d+", "?", search_sql.TALLY)
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}", [1] * count)]
    assert [step.split(" (")[0] for step in plan if "messages" in step] == [
        "SEARCH messages USING COVERING INDEX messages_rare_sent",
        "SEARCH messages USING COVERING INDEX messages_rare_received",
    ]


async def test_others_have_their_turn_while_many_mailboxes_are_counted(store: SqlMessageStore) -> None:
    """Counting hundreds of mailboxes gives the event loop back every now and then."""
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    tallies = await store.tally([f"MAILBOX{number}" for number in range(200)])
    task.cancel()
    assert len(tallies) == 200
    assert turns >= 10


@pytest.mark.parametrize("at_once", [1, 2, 3, 5000])
async def test_chunks_are_listed_as_they_arrived(
    store: SqlMessageStore, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """Each chunk that is here is listed with its size, in order, up to a limit, however it is read."""
    monkeypatch.setattr(messages, "_CHUNKS_AT_ONCE", at_once)
    await store.add(
        message("M1", status=Status.UPLOADING, total_chunks=4, accepted_at=None), [Chunk(1, 10, BYTE)]
    )
    for number in (4, 2):
        await store.add_chunk("M1", Chunk(number, number * 10, BYTE), at=NOON, need_all=True)
    assert await store.chunks_here("M1", limit=10) == [ChunkHere(1, 10), ChunkHere(2, 20), ChunkHere(4, 40)]
    assert await store.chunks_here("M1", limit=2) == [ChunkHere(1, 10), ChunkHere(2, 20)]
    assert await store.chunks_here("M2", limit=10) == []


async def test_chunks_are_counted_as_they_arrive(store: SqlMessageStore) -> None:
    """A chunk counts once however often it is sent; of a message that is unknown there is none."""
    await store.add(
        message("M1", status=Status.UPLOADING, total_chunks=4, accepted_at=None), [Chunk(1, 10, BYTE)]
    )
    counts = [await store.chunk_count("M1")]
    for number in (4, 4, 2, 3):
        await store.add_chunk("M1", Chunk(number, number * 10, BYTE), at=NOON, need_all=True)
        counts.append(await store.chunk_count("M1"))
    assert counts == [1, 2, 2, 3, 4]
    assert await store.chunk_count("M2") == 0
