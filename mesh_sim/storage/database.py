"""The port to a relational database, so small that SQLite and PostgreSQL fit behind it alike.

An operation is an async function of one :class:`Transaction`, written once for every engine. On
PostgreSQL it is awaited; on SQLite a thread runs it to its end without ever suspending, which is why an
operation awaits nothing but its transaction. It may be run more than once, only the last time counting, and
so changes nothing but the database. Statements use ``$1`` placeholders and the SQL both engines share.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar

Value = str | int | float | bytes | None
Row = Sequence[Any]
T = TypeVar("T")


class Transaction(Protocol):
    """What an operation may do. Rows are read by position."""

    async def execute(self, sql: str, *values: Value) -> int:
        """Run one statement; give the number of rows it changed."""

    async def execute_many(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        """Run one statement once for each row of values."""

    async def fetch(self, sql: str, *values: Value) -> Sequence[Row]:
        """Run a query; give every row."""

    async def fetch_row(self, sql: str, *values: Value) -> Row | None:
        """Run a query; give its first row, or None."""


Operation = Callable[[Transaction], Awaitable[T]]


class Database(Protocol):
    """Runs operations: reads see the last commit, writes are durable once they return."""

    async def read(self, operation: Operation[T]) -> T:
        """Run an operation that changes nothing."""

    async def write(self, operation: Operation[T], *, short: bool = False) -> T:
        """Run an operation in a transaction of its own; if it raises, nothing of it stays.

        ``short``: it is a handful of statements on a handful of rows.

        Raises:
            StorageFailed: the engine could not make it durable.
        """

    async def close(self) -> None:
        """Finish what was begun and let go of the database."""
