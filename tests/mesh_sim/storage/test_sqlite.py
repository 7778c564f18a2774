"""SQLite behind the database port: grouped commits that keep operations apart."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from mesh_sim.exchange.errors import StorageFailed
from mesh_sim.storage import checkpoints, search_sql, sql
from mesh_sim.storage.database import Transaction
from mesh_sim.storage.sqlite import OtherSchema, SqliteDatabase

SCHEMA = ("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)",)
INSERT = "INSERT INTO notes (id, text) VALUES ($1, $2)"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    """A database of the test's own."""
    database = SqliteDatabase(tmp_path / "notes.db", SCHEMA)
    yield database
    await database.close()


async def _count(database: SqliteDatabase) -> int:
    row = await database.read(lambda tx: tx.fetch_row("SELECT COUNT(*) FROM notes"))
    assert row is not None
    return int(row[0])


lengths = pytest.mark.parametrize("short", [True, False], ids=["short", "long"])


@lengths
async def test_operations_waiting_together_share_a_commit(
    tmp_path: Path, database: SqliteDatabase, short: bool
) -> None:
    """A hundred writes at once take far fewer commits than a hundred, and all of them are there."""
    watcher = sqlite3.connect(tmp_path / "notes.db", isolation_level=None, check_same_thread=False)
    seen: set[int] = set()

    async def insert(tx: Transaction, number: int) -> None:
        # Another connection sees commits only, so what it counts from inside tells the groups apart.
        seen.add(watcher.execute("SELECT COUNT(*) FROM notes").fetchone()[0])
        await tx.execute(INSERT, number, "x")

    with closing(watcher):
        await asyncio.gather(
            *(
                database.write(lambda tx, number=number: insert(tx, number), short=short)
                for number in range(100)
            )
        )
    assert await _count(database) == 100
    assert len(seen) < 50


@lengths
async def test_a_failed_operation_leaves_nothing_and_spares_the_others(
    database: SqliteDatabase, short: bool
) -> None:
    """Of operations in one commit, the one that raises is undone whole, alone."""

    async def insert_then_raise(tx: Transaction) -> None:
        await tx.execute(INSERT, 1, "gone")
        raise LookupError("no")

    async def raise_at_once(_tx: Transaction) -> None:
        raise LookupError("not this either")

    async def insert(tx: Transaction, number: int) -> int:
        return await tx.execute(INSERT, number, "kept")

    outcomes = await asyncio.gather(
        database.write(lambda tx: insert(tx, 2), short=short),
        database.write(insert_then_raise, short=short),
        database.write(raise_at_once, short=short),
        database.write(lambda tx: insert(tx, 3), short=short),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [int, LookupError, LookupError, int]
    rows = await database.read(lambda tx: tx.fetch("SELECT id, text FROM notes"))
    assert [tuple(row) for row in rows] == [(2, "kept"), (3, "kept")]


async def test_long_and_short_operations_come_in_their_order(database: SqliteDatabase) -> None:
    """Whichever thread runs them, operations see what was written before them."""

    async def count_and_insert(tx: Transaction, number: int) -> int:
        row = await tx.fetch_row("SELECT COUNT(*) FROM notes")
        await tx.execute(INSERT, number, "x")
        return int(row[0]) if row else -1

    writes = [
        database.write(lambda tx, number=number: count_and_insert(tx, number), short=number % 3 != 0)
        for number in range(600)
    ]
    assert await asyncio.gather(*writes) == list(range(600))


async def test_a_broken_constraint_is_raised_where_it_was_awaited(database: SqliteDatabase) -> None:
    """An integrity error belongs to its operation and does not read as a failed disk."""
    await database.write(lambda tx: tx.execute(INSERT, 1, "x"))
    with pytest.raises(sqlite3.IntegrityError):
        await database.write(lambda tx: tx.execute(INSERT, 1, "again"))
    assert await _count(database) == 1


async def test_a_wrong_statement_says_that_storage_failed(database: SqliteDatabase) -> None:
    """An engine error becomes the exchange's own, both on reads and on writes."""
    with pytest.raises(StorageFailed, match="no such table"):
        await database.read(lambda tx: tx.fetch("SELECT * FROM missing"))
    with pytest.raises(StorageFailed, match="no such table"):
        await database.write(lambda tx: tx.execute("DELETE FROM missing"))
    await database.write(lambda tx: tx.execute(INSERT, 1, "still works"))


@lengths
async def test_another_process_holding_the_file_is_waited_for(
    tmp_path: Path, database: SqliteDatabase, short: bool
) -> None:
    """A write waits while somebody else is in the middle of one, holding up nothing else, and succeeds."""
    other = sqlite3.connect(tmp_path / "notes.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO notes VALUES (7, 'theirs')")
    write = asyncio.create_task(database.write(lambda tx: tx.execute(INSERT, 8, "ours"), short=short))
    for _ in range(10):
        await asyncio.sleep(0.001)
        assert await _count(database) == 0
    assert not write.done()
    other.execute("COMMIT")
    other.close()
    await write
    assert await _count(database) == 2


async def test_an_operation_that_waits_for_something_else_is_an_error(database: SqliteDatabase) -> None:
    """Awaiting anything but the transaction is caught, not hung on."""

    async def wrong(_tx: Transaction) -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(RuntimeError):
        await database.write(wrong)


async def test_many_rows_at_once(database: SqliteDatabase) -> None:
    """One statement runs for each row of values."""
    await database.write(lambda tx: tx.execute_many(INSERT, [(1, "a"), (2, "b")]))
    assert await _count(database) == 2


async def test_closing_keeps_what_was_waiting(tmp_path: Path) -> None:
    """A write begun before the close is committed; one begun after it is refused."""
    database = SqliteDatabase(tmp_path / "closing.db", SCHEMA)
    write = asyncio.create_task(database.write(lambda tx: tx.execute(INSERT, 1, "x")))
    await asyncio.sleep(0)
    await database.close()
    await database.close()
    assert await write == 1
    with pytest.raises(StorageFailed, match="closed"):
        await database.write(lambda tx: tx.execute(INSERT, 2, "x"))


async def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    """A database whose tables are of another version is not touched; one of this version opens again."""
    for _ in range(2):
        await SqliteDatabase(tmp_path / "data.db", ["CREATE TABLE IF NOT EXISTS t (n INTEGER)"], 3).close()
    with pytest.raises(OtherSchema, match="its schema is 3, ours 4"):
        SqliteDatabase(tmp_path / "data.db", [], 4)


async def test_the_log_begins_anew_while_it_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write-ahead log moves into its file behind the writers' backs, so it does not grow for ever."""
    monkeypatch.setattr(checkpoints, "EVERY_CHANGES", 50)
    database = SqliteDatabase(tmp_path / "busy.db", SCHEMA)
    try:
        for number in range(2000):
            await database.write(lambda tx, number=number: tx.execute(INSERT, number, "x"), short=True)
        for number in (2000, 2001):  # the first may set out on one more
            thread = database._commits._checkpoints._thread
            assert thread is not None
            await asyncio.to_thread(thread.join)
            await database.write(lambda tx, number=number: tx.execute(INSERT, number, "x"), short=True)
        with closing(sqlite3.connect(tmp_path / "busy.db")) as other:
            _, frames, _ = other.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        assert 0 < frames < 1950, "2002 commits made a log of as many frames or more"
        assert await _count(database) == 2002
    finally:
        await database.close()
    with closing(sqlite3.connect(tmp_path / "busy.db")) as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert file.execute("SELECT COUNT(*) FROM notes").fetchone() == (2002,)


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (sql.LONGEST_WAITING, "messages_waiting"),
        (sql.OLD_DELIVERED, "messages_delivered"),
        (sql.OLD_UNFINISHED, "messages_unfinished"),
        (sql.WAITING_SINCE, "messages_waiting"),
        (sql.DELIVERED_SINCE, "messages_delivered"),
        (sql.UNFINISHED_SINCE, "messages_unfinished"),
        (sql.INBOX, "messages_inbox"),
        (sql.RECEIVED, "messages_received"),
        (sql.SENT, "messages_sent"),
        (sql.SENT_WITH_LOCAL_ID, "messages_local_id"),
        (sql.CHOICES_BY_CHANNEL, "choices_channel"),
        (search_sql.LAST_ARRIVED, "messages_received"),
        (search_sql.LINKED, "messages_linked"),
        (search_sql.CHUNKS_HERE, "sqlite_autoindex_chunks_1"),
        (sql.find_messages(["recipient", "status"]), "messages_received"),
        (sql.find_messages(["sender", "local_id"]), "messages_local_id"),
        (sql.find_messages(["local_id"]), "messages_local_id"),
    ],
)
def test_what_is_asked_often_has_its_index(statement: str, index: str) -> None:
    """Time and waiting look at what they look for, however many messages there are beside it."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        for made in sql.SCHEMA + sql.OPTOUT_SCHEMA:
            connection.execute(made)
        query, count = re.subn(r"\$\d+", "?", statement)
        plan = connection.execute(f"EXPLAIN QUERY PLAN {query}", [1] * count).fetchall()
    assert f"INDEX {index}" in plan[0][3], plan


async def test_a_commit_that_fails_leaves_no_outcome_standing(tmp_path: Path) -> None:
    """A refusal in view of others' changes says nothing once those are undone: all of it failed."""
    schema = (
        "CREATE TABLE IF NOT EXISTS owners (id INTEGER PRIMARY KEY)",
        "CREATE TABLE IF NOT EXISTS things (owner INTEGER REFERENCES owners DEFERRABLE INITIALLY DEFERRED)",
    )
    database = SqliteDatabase(tmp_path / "deferred.db", schema)
    database._writer.execute("PRAGMA foreign_keys = ON")

    async def refused(tx: Transaction) -> None:
        if await tx.fetch_row("SELECT 1 FROM things"):
            raise LookupError("there is one")

    try:
        outcomes = await asyncio.gather(
            database.write(lambda tx: tx.execute("INSERT INTO things VALUES (7)"), short=True),
            database.write(refused, short=True),
            return_exceptions=True,
        )
        assert [type(outcome) for outcome in outcomes] == [sqlite3.IntegrityError] * 2
        await database.write(refused, short=True)
    finally:
        await database.close()


async def test_no_thread_for_a_checkpoint_is_no_reason_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the system has no thread left, the log waits and writing goes on."""

    class NoThread(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(checkpoints, "EVERY_CHANGES", 1)
    database = SqliteDatabase(tmp_path / "busy.db", SCHEMA)
    try:
        with monkeypatch.context() as scarce:
            scarce.setattr(checkpoints.threading, "Thread", NoThread)
            for number in range(3):
                await database.write(lambda tx, number=number: tx.execute(INSERT, number, "x"), short=True)
        assert await _count(database) == 3
    finally:
        await database.close()
    assert "could not be moved into its file: can't start new thread" in caplog.text


class _Wrapping(sqlite3.Connection):
    """A connection whose count of changes is a 32-bit number that has nearly come to its end."""

    @property
    def total_changes(self) -> int:
        count = super().total_changes + 2**31 - 20
        return count - 2**32 if count >= 2**31 else count


def test_checkpoints_go_on_when_the_count_of_changes_wraps_around(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite counts in 32 bits; days of full load later the log still begins anew."""
    monkeypatch.setattr(checkpoints, "EVERY_CHANGES", 10)
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path, isolation_level=None, factory=_Wrapping)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute(SCHEMA[0])
        with closing(checkpoints.Checkpoints(path, writer)) as kept:
            begun = []
            for number in range(60):
                writer.execute("INSERT INTO notes VALUES (?, 'x')", (number,))
                kept.after_commit()
                if kept._thread is not None:
                    kept._thread.join()
                    begun.append(kept._thread)
            assert len(set(begun)) >= 5
