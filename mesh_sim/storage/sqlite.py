"""SQLite behind the database port: one writer thread that groups waiting operations into one commit.

Sixteen senders waiting at once cost one fsync, not sixteen. Reads run on the event loop's own thread and
connection: a WAL reader never waits for the writer, and an indexed look-up takes less time than a switch
of threads would.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import re
import sqlite3
import threading
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from mesh_sim.exchange.errors import StorageFailed
from mesh_sim.storage.database import Operation, Row, Value

T = TypeVar("T")

GROUP_LIMIT: Final = 256
"""How many operations share one commit at the most."""

_LOCK_TIMEOUT_S: Final = 10.0


_NUMBERED = re.compile(r"\$(\d+)")


@lru_cache(maxsize=256)
def _positional(sql: str) -> tuple[str, tuple[int, ...] | None]:
    """Turn ``$1`` placeholders into plain ones; give which value each takes, or None for "in order, once".

    Not into ``?1``, which some versions of Python's sqlite3 take for a name.
    """
    order = tuple(int(number) - 1 for number in _NUMBERED.findall(sql))
    in_order = order == tuple(range(len(order)))
    return _NUMBERED.sub("?", sql), None if in_order else order


class SqliteTransaction:
    """The transaction port over one connection. Its methods never suspend."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def execute(self, sql: str, *values: Value) -> int:
        """Run one statement; give the number of rows it changed."""
        return self._run(sql, values).rowcount

    async def execute_many(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        """Run one statement once for each row of values."""
        text, order = _positional(sql)
        if order is not None:
            rows = [[row[index] for index in order] for row in rows]
        self._connection.executemany(text, rows)

    async def fetch(self, sql: str, *values: Value) -> Sequence[Row]:
        """Run a query; give every row."""
        return self._run(sql, values).fetchall()

    async def fetch_row(self, sql: str, *values: Value) -> Row | None:
        """Run a query; give its first row, or None."""
        return cast("Row | None", self._run(sql, values).fetchone())

    def _run(self, sql: str, values: Sequence[Value]) -> sqlite3.Cursor:
        text, order = _positional(sql)
        if order is not None:
            values = [values[index] for index in order]
        return self._connection.execute(text, values)


def _run(operation: Awaitable[T]) -> T:
    """Run an operation over a transaction that never suspends, without an event loop."""
    steps = operation.__await__()
    try:
        next(iter(steps))
    except StopIteration as end:
        return cast("T", end.value)
    raise RuntimeError("a database operation may await nothing but its transaction")


def connect(path: Path, *, synchronous: str, timeout: float = _LOCK_TIMEOUT_S) -> sqlite3.Connection:
    """Open a database file in WAL mode; the caller controls transactions.

    The file is its owner's alone: small bodies are in it. SQLite gives its side files the same mode.
    """
    # Never an existing file: closing any descriptor of it would drop the locks that SQLite holds on it in
    # this process, and the next process to close it would delete the log under our feet.
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=timeout)
    with closed_on_error(connection):
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
    return connection


@contextlib.contextmanager
def closed_on_error(connection: sqlite3.Connection) -> Iterator[None]:
    """Close a connection that turns out to be of no use while it is being set up."""
    try:
        yield
    except BaseException:
        connection.close()
        raise


def _check_version(connection: sqlite3.Connection, version: int) -> None:
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    if tables and found != version:
        raise OtherSchema(
            f"it was made by another version of mesh-sim (its schema is {found}, ours {version})"
        )
    if not tables:
        connection.execute(f"PRAGMA user_version = {version}")


@dataclass(slots=True)
class _Job:
    operation: Operation[Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None


class OtherSchema(sqlite3.DatabaseError):
    """The file was made by a version of this program that keeps things differently."""


class SqliteDatabase:
    """The database port over one SQLite file."""

    def __init__(self, path: Path, schema: Sequence[str], version: int = 0) -> None:
        """Open the file, or make it.

        Args:
            path: the file.
            schema: statements that make what is not there yet.
            version: of the schema; a file of another version is refused.

        Raises:
            OtherSchema: the file has tables of another version.
        """
        # FULL: a commit returns after its fsync, so what was answered 202 survives a power cut.
        self._writer = connect(path, synchronous="FULL")
        with closed_on_error(self._writer):
            _check_version(self._writer, version)
            for statement in schema:
                self._writer.execute(statement)
            self._reader = connect(path, synchronous="FULL")
        self._reader.execute("PRAGMA query_only = ON")
        self._read = SqliteTransaction(self._reader)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write_groups, name="mesh-sim-writer", daemon=True)
        self._thread.start()
        self._closed = False

    async def read(self, operation: Operation[T]) -> T:
        """Run an operation that changes nothing."""
        try:
            return _run(operation(self._read))
        except sqlite3.DatabaseError as error:
            raise _failed(error) from error

    async def write(self, operation: Operation[T]) -> T:
        """Run an operation in the next commit; if it raises, nothing of it stays."""
        if self._closed:
            raise StorageFailed(why="the database is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put(_Job(operation, loop, future))
        return await future

    async def close(self) -> None:
        """Commit what is waiting and close the file."""
        if self._closed:
            return
        self._closed = True
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)
        self._reader.close()
        self._writer.close()

    # -- the writer thread --------------------------------------------------------------------------

    def _write_groups(self) -> None:
        open_for_work = True
        while open_for_work:
            group: list[_Job] = []
            job = self._jobs.get()
            while job is not None:
                group.append(job)
                if len(group) == GROUP_LIMIT:
                    break
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
            else:
                open_for_work = False
            if group:
                self._commit(group)
                _settle(group)

    def _commit(self, group: list[_Job]) -> None:
        connection = self._writer
        transaction = SqliteTransaction(connection)
        try:
            # IMMEDIATE, so that a second process on the same file waits here and not halfway through.
            connection.execute("BEGIN IMMEDIATE")
            for job in group:
                self._apply(job, transaction)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            for job in group:
                job.error = job.error or _failed(error)

    def _apply(self, job: _Job, transaction: SqliteTransaction) -> None:
        connection = self._writer
        connection.execute("SAVEPOINT job")
        try:
            job.result = _run(job.operation(transaction))
        except (sqlite3.OperationalError, sqlite3.DatabaseError) as error:
            if not connection.in_transaction:  # the engine gave up the whole group, as on a full disk
                raise
            job.error = _failed(error)
        except Exception as error:  # noqa: BLE001 - it is raised again, where the operation was awaited
            job.error = error
        if job.error is not None:
            connection.execute("ROLLBACK TO job")
        connection.execute("RELEASE job")


def _failed(error: sqlite3.Error) -> Exception:
    if isinstance(error, sqlite3.IntegrityError):
        return error
    return StorageFailed(why=f"the database answered: {error}")


def _settle(group: list[_Job]) -> None:
    """Wake the waiting callers, with one call into each event loop for the whole group."""
    for loop in {job.loop for job in group}:
        # The loop may have been closed while we wrote; then nobody is waiting any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_resolve, [job for job in group if job.loop is loop])


def _resolve(jobs: list[_Job]) -> None:
    for job in jobs:
        if job.future.done():  # its caller was cancelled
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)
