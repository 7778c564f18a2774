"""SQLite behind the database port: one connection that writes in groups, and one that reads.

Reads run on the event loop's own thread: a WAL reader never waits for the writer, and an indexed look-up
takes less time than a switch of threads would.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from mesh_sim.exchange.errors import StorageFailed
from mesh_sim.storage.checkpoints import Checkpoints
from mesh_sim.storage.commits import GroupedCommits
from mesh_sim.storage.connection import SqliteTransaction, closed_on_error, connect, failed, run_to_end
from mesh_sim.storage.database import Operation

T = TypeVar("T")


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
            # At once: of their own, each would wait for the disk, and two processes could meet half-way.
            self._writer.execute("BEGIN IMMEDIATE")
            _check_version(self._writer, version)
            for statement in schema:
                self._writer.execute(statement)
            self._writer.execute("COMMIT")
            self._reader = connect(path, synchronous="FULL")
        self._reader.execute("PRAGMA query_only = ON")
        # Its own knows the letters a to z alone.
        self._reader.create_function("lower", 1, str.lower, deterministic=True)
        self._read = SqliteTransaction(self._reader)
        checkpoints = Checkpoints(path, self._writer)
        self._commits = GroupedCommits(self._writer, checkpoints)
        self._closed = False

    async def read(self, operation: Operation[T]) -> T:
        """Run an operation that changes nothing."""
        try:
            return run_to_end(operation(self._read))
        except sqlite3.DatabaseError as error:
            raise failed(error) from error

    async def write(self, operation: Operation[T], *, short: bool = False) -> T:
        """Run an operation in the next commit; if it raises, nothing of it stays."""
        if self._closed:
            raise StorageFailed(why="the database is closed")
        return await self._commits.write(operation, short=short)

    async def close(self) -> None:
        """Commit what is waiting and close the file."""
        if self._closed:
            return
        self._closed = True
        await self._commits.close()
        self._reader.close()
        self._writer.close()


def _check_version(connection: sqlite3.Connection, version: int) -> None:
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    if tables and found != version:
        raise OtherSchema(
            f"it was made by another version of mesh-sim (its schema is {found}, ours {version})"
        )
    if not tables:
        connection.execute(f"PRAGMA user_version = {version}")
