"""Bodies as files: whole or not there at all, and nothing left lying about."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mesh_sim.exchange.errors import StorageFailed
from mesh_sim.exchange.messages import Chunk, Inline, Message, MessageType, Stored
from mesh_sim.exchange.states import IllegalStep, Status
from mesh_sim.storage import sql
from mesh_sim.storage.files import FilePayloads
from mesh_sim.storage.messages import SqlMessageStore
from mesh_sim.storage.sqlite import SqliteDatabase
from mesh_sim.storage.sweep import delete_discarded, sweep_orphans
from mesh_sim.storage.upkeep import SqlMessageUpkeep

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


async def _blocks(*blocks: bytes) -> AsyncIterator[bytes]:
    for block in blocks:
        yield block


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture
def payloads(tmp_path: Path) -> FilePayloads:
    """A payload store of the test's own."""
    return FilePayloads(tmp_path / "payloads")


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    """A message database of the test's own."""
    database = SqliteDatabase(tmp_path / "messages.db", sql.SCHEMA + sql.OPTOUT_SCHEMA)
    yield database
    await database.close()


def _uploading(message_id: str, total: int) -> Message:
    return Message(
        message_id=message_id,
        message_type=MessageType.DATA,
        sender="A",
        recipient="B",
        workflow_id="W",
        status=Status.UPLOADING,
        total_chunks=total,
        created_at=NOW,
    )


async def test_a_body_comes_back_as_it_was(tmp_path: Path, payloads: FilePayloads) -> None:
    """Blocks of any size are one body again, in a file that only its owner may read."""
    blocks = [b"a" * 10, b"b" * 3_000_000, b"", b"c"]
    body, size = await payloads.write(_blocks(*blocks))
    assert size == 3_000_011
    assert b"".join([block async for block in payloads.read(body)]) == b"".join(blocks)
    (file,) = _files(tmp_path / "payloads")
    assert file.stat().st_mode & 0o777 == 0o600


async def test_a_body_that_breaks_off_leaves_nothing(tmp_path: Path, payloads: FilePayloads) -> None:
    """A source that raises half-way leaves no file, and its error comes through."""

    async def breaking() -> AsyncIterator[bytes]:
        yield b"x" * 2_000_000
        raise ConnectionResetError("the sender went away")

    with pytest.raises(ConnectionResetError):
        await payloads.write(breaking())
    assert _files(tmp_path / "payloads") == []


async def test_a_write_that_is_cancelled_leaves_nothing(tmp_path: Path, payloads: FilePayloads) -> None:
    """Cancelling a write removes what it had begun."""

    async def endless() -> AsyncIterator[bytes]:
        yield b"x" * 2_000_000
        await asyncio.get_running_loop().create_future()

    task = asyncio.create_task(payloads.write(endless()))
    while not _files(tmp_path / "payloads"):  # noqa: ASYNC110 - a file on the disk has no event
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert _files(tmp_path / "payloads") == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
async def test_a_full_disk_is_a_clear_refusal(
    tmp_path: Path, payloads: FilePayloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the device has no space left, storage says so and keeps nothing."""
    real_open = os.open

    def open_full(path: str, flags: int, mode: int = 0o777) -> int:
        return real_open("/dev/full" if "incoming" in str(path) else path, flags & ~os.O_EXCL, mode)

    monkeypatch.setattr("mesh_sim.storage.files.os.open", open_full)
    with pytest.raises(StorageFailed, match="No space left"):
        await payloads.write(_blocks(b"x" * 100_000))
    assert _files(tmp_path / "payloads") == []


async def test_deleting_twice_is_deleting_once(tmp_path: Path, payloads: FilePayloads) -> None:
    """A body that is gone already is passed over."""
    body, _ = await payloads.write(_blocks(b"x"))
    await payloads.delete([body])
    await payloads.delete([body, Stored("ff/unknown")])
    assert _files(tmp_path / "payloads") == []


async def test_the_sweep_takes_only_what_no_message_names(
    tmp_path: Path, payloads: FilePayloads, database: SqliteDatabase
) -> None:
    """Half-written and unnamed bodies go, a body that a chunk names stays."""
    named, size = await payloads.write(_blocks(b"named"))
    await payloads.write(_blocks(b"unnamed"))
    (tmp_path / "payloads" / "incoming" / "half").write_bytes(b"half-written")
    await SqlMessageStore(database).add(_uploading("M1", 2), [Chunk(1, size, named)])
    assert await sweep_orphans(database, payloads) == 1
    assert [file.read_bytes() for file in _files(tmp_path / "payloads")] == [b"named"]


async def test_a_chunk_sent_again_frees_the_earlier_body(
    tmp_path: Path, payloads: FilePayloads, database: SqliteDatabase
) -> None:
    """The replaced body is noted in the same transaction and deleted afterwards."""
    store = SqlMessageStore(database)
    first, size = await payloads.write(_blocks(b"first"))
    second, _ = await payloads.write(_blocks(b"again"))
    await store.add(_uploading("M1", 2), [Chunk(1, size, first)])
    await store.add_chunk("M1", Chunk(1, size, second), at=NOW, need_all=True)
    assert await delete_discarded(database, payloads) == 1
    assert await delete_discarded(database, payloads) == 0
    assert [file.read_bytes() for file in _files(tmp_path / "payloads")] == [b"again"]


async def test_a_reset_frees_every_body_at_once(
    tmp_path: Path, payloads: FilePayloads, database: SqliteDatabase
) -> None:
    """However many bodies there were, none is left when the reset is over."""
    body, size = await payloads.write(_blocks(b"a body"))
    chunks = [Chunk(number, size, Stored(f"ff/{number}")) for number in range(2, 2502)]
    await SqlMessageStore(database).add(_uploading("M1", 2502), [Chunk(1, size, body), *chunks])
    await SqlMessageUpkeep(database).reset()
    assert await delete_discarded(database, payloads) == 2501
    assert await delete_discarded(database, payloads) == 0
    assert _files(tmp_path / "payloads") == []


async def test_a_complete_message_takes_no_more_chunks(database: SqliteDatabase) -> None:
    """Completing needs every chunk; afterwards a further one is an illegal step that changes nothing."""
    store = SqlMessageStore(database)
    await store.add(_uploading("M1", 3), [Chunk(1, 1, Inline(b"a"))])
    await store.add_chunk("M1", Chunk(3, 1, Inline(b"c")), at=NOW, need_all=True)
    complete = await store.add_chunk("M1", Chunk(2, 1, Inline(b"b")), at=NOW, need_all=True)
    assert (complete.status, complete.file_size, complete.position) == (Status.ACCEPTED, 3, 1)
    with pytest.raises(IllegalStep):
        await store.add_chunk("M1", Chunk(2, 1, Inline(b"X")), at=NOW, need_all=True)
    with pytest.raises(IllegalStep):
        await store.add_chunk("M2", Chunk(2, 1, Inline(b"X")), at=NOW, need_all=True)
    kept = await store.chunk("M1", 2)
    assert kept is not None
    assert kept.body == Inline(b"b")
