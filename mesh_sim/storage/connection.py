"""One connection to a SQLite file: opened as all of ours are, and as the transaction port."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from collections.abc import Awaitable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final, TypeVar, cast

from mesh_sim.exchange.errors import StorageFailed
from mesh_sim.storage.database import Row, Value

T = TypeVar("T")

LOCK_TIMEOUT_S: Final = 10.0
"""How long a write waits for another process that is in the middle of one."""

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


def run_to_end(operation: Awaitable[T]) -> T:
    """Run an operation over a transaction that never suspends, without an event loop."""
    steps = operation.__await__()
    try:
        next(iter(steps))
    except StopIteration as end:
        return cast("T", end.value)
    raise RuntimeError("a database operation may await nothing but its transaction")


def connect(path: Path, *, synchronous: str, timeout: float = LOCK_TIMEOUT_S) -> sqlite3.Connection:
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


def failed(error: sqlite3.Error) -> Exception:
    """Turn what the engine says into the exchange's own error; a broken constraint stays what it is."""
    if isinstance(error, sqlite3.IntegrityError):
        return error
    return StorageFailed(why=f"the database answered: {error}")


def is_busy(error: sqlite3.Error) -> bool:
    """Tell whether another process holds the file."""
    # Errors that are Python's own, as of a closed connection, have no code.
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF == sqlite3.SQLITE_BUSY
