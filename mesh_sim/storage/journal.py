"""The journal in a SQLite file of its own, written behind the requests' backs.

Noting a request is an append to a list. A thread writes what has come together, without an fsync: a process
that is killed may lose the last moment's entries, which is all that a journal for people is worth. While
the file cannot be written, the latest entries are kept in memory and everything else goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeVar

from mesh_sim.clock import real_now
from mesh_sim.exchange.errors import StorageFailed
from mesh_sim.storage import sql
from mesh_sim.storage.connection import closed_on_error, connect
from mesh_sim.storage.times import from_micros, micros
from mesh_sim.witness.journal import LONGEST, MOST_ENTRIES, Details, Entry, JournalFilter

log = logging.getLogger("mesh_sim.storage")

T = TypeVar("T")
_Row = tuple[int | float | str, ...]

BATCH: Final = 500
"""So many entries are written at once, without waiting any longer."""
IN_MEMORY: Final = 10_000
"""So many of the latest entries are kept while the file cannot be written."""

_WRITE_AFTER_S: Final = 0.2
_TRY_AGAIN_AFTER_S: Final = 5.0
_PASSING: Final = frozenset((sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY))
"""Errors after which a file is not given up: opening it anew might need the room that there is not."""

_COLUMNS: Final = sql.ENTRY_COLUMNS.split(", ")

_ABOVE_ALL: Final = 2**63 - 1

_PRUNE_EVERY: Final = timedelta(minutes=1)


class SqliteJournal:
    """The witness's Journal port over a file of its own. To be used from one event loop."""

    def __init__(
        self,
        path: Path,
        *,
        most: int = MOST_ENTRIES,
        longest: timedelta = LONGEST,
        now: Callable[[], datetime] = real_now,
    ) -> None:
        self._path = path
        self._most = most
        self._longest = longest
        self._now = now
        self._file = _JournalFile(path, most)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mesh-sim-journal")
        self._one_at_a_time = asyncio.Lock()
        self._waiting: deque[Entry] = deque(maxlen=IN_MEMORY)
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None
        self._failing = False
        self._last = 0
        try:
            self._last = self._file.last_number()
        except (sqlite3.Error, OSError) as error:
            self._fail(error)

    def next_number(self) -> int:
        """Give the next entry its number."""
        self._last += 1
        return self._last

    def record(self, entry: Entry) -> None:
        """Note a request; it is written within moments."""
        self._waiting.append(entry)
        if self._timer is None:
            self._set_timer()
        elif len(self._waiting) == BATCH and not self._failing:
            self._begin_writing()

    async def entries(self, wanted: JournalFilter) -> Sequence[Entry]:
        """Give the entries asked for, with everything noted so far."""
        await asyncio.shield(self._begin_writing())
        async with self._one_at_a_time:
            oldest = self._now() - self._longest
            bounded = replace(
                wanted,
                after=max(wanted.after, self._last - self._most),
                since=max(wanted.since or oldest, oldest),
            )
            found = [entry for entry in self._waiting if bounded.selects(entry)]
            try:
                found += await self._in_thread(self._file.read, bounded)
            except (sqlite3.Error, OSError) as error:
                self._fail(error)
        found.sort(key=lambda entry: entry.number, reverse=not wanted.oldest_first)
        return found[: wanted.limit]

    async def clear(self) -> int:
        """Forget every entry; give their number.

        Raises:
            StorageFailed: the file cannot be written; nothing was forgotten.
        """
        await asyncio.shield(self._begin_writing())
        async with self._one_at_a_time:
            try:
                deleted = await self._in_thread(self._file.clear, self._now() - self._longest)
            except (sqlite3.Error, OSError) as error:
                self._fail(error)
                raise StorageFailed(why=f"the journal cannot be emptied: {error}") from error
            deleted += len(self._waiting)
            self._waiting.clear()
        return deleted

    async def close(self) -> None:
        """Write what is waiting and let go of the file."""
        if self._timer is not None:
            self._timer.cancel()
        if self._writing is not None:
            await self._writing
        async with self._one_at_a_time:
            await self._write_waiting()
            await self._in_thread(self._file.close)
        self._thread.shutdown()

    # -- behind the requests' backs -----------------------------------------------------------------

    def _set_timer(self) -> None:
        delay = _TRY_AGAIN_AFTER_S if self._failing else _WRITE_AFTER_S
        self._timer = asyncio.get_running_loop().call_later(delay, self._time_is_up)

    def _time_is_up(self) -> None:
        self._timer = None
        if self._writing is None or self._writing.done():
            self._begin_writing()
        else:
            self._set_timer()

    def _begin_writing(self) -> asyncio.Task[None]:
        """Give the write that is going on, or else a new one. Cancelled half-way, it would write twice."""
        if self._writing is None or self._writing.done():
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._writing = asyncio.get_running_loop().create_task(self._write())
        return self._writing

    async def _write(self) -> None:
        async with self._one_at_a_time:
            await self._write_waiting()

    async def _write_waiting(self) -> None:
        # What is noted meanwhile waits for its own moment, or under load every few entries were a batch.
        upto = self._waiting[-1].number if self._waiting else 0
        while self._waiting and self._waiting[0].number <= upto:
            batch = list(itertools.islice(self._waiting, BATCH))
            now = self._now()
            try:
                last = await self._in_thread(self._file.write, batch, now, now - self._longest)
            except (sqlite3.Error, OSError) as error:
                self._fail(error)
                return
            # Another process on the same file may have taken our numbers; then these were given later ones.
            self._last = max(self._last, last)
            while self._waiting and self._waiting[0].number <= batch[-1].number:
                self._waiting.popleft()
            if self._failing:
                self._failing = False
                log.info("the journal is written to %s again", self._path)

    async def _in_thread(self, work: Callable[..., T], *values: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *values)

    def _fail(self, error: Exception) -> None:
        if not self._failing:
            log.error(
                "the journal cannot be kept in %s: %s; the latest %d requests are kept in memory until it "
                "can be: free the disk, or delete the file",
                self._path,
                error,
                IN_MEMORY,
            )
        self._failing = True


class _JournalFile:
    """The file itself, opened when it is needed and again after an error; its calls block."""

    def __init__(self, path: Path, most: int) -> None:
        self._path = path
        self._most = most
        self._connection: sqlite3.Connection | None = None
        self._pruned_at: datetime | None = None
        self._pruned_up_to = 0

    def last_number(self) -> int:
        """Give the highest number that an entry ever had."""
        return self._run(_last_number, "BEGIN")

    def write(self, batch: Sequence[Entry], now: datetime, oldest: datetime) -> int:
        """Add entries under their numbers, or the next free ones; give the last.

        Entries that are too many, or begun before ``oldest``, are deleted every now and then.
        """

        def insert(connection: sqlite3.Connection) -> int:
            first = max(batch[0].number, _last_number(connection) + 1)
            rows = [_row(entry, number) for number, entry in enumerate(batch, first)]
            _insert(connection, rows)
            last = first + len(rows) - 1
            if self._prune_is_due(last, now):
                self._prune(connection, last, oldest)
                self._pruned_at, self._pruned_up_to = now, last
            return last

        return self._run(insert)

    def read(self, wanted: JournalFilter) -> list[Entry]:
        """Give the entries asked for."""
        statement = sql.ENTRIES_OLDEST_FIRST if wanted.oldest_first else sql.ENTRIES_NEWEST_FIRST
        values = asdict(wanted) | {
            "since": 0 if wanted.since is None else micros(wanted.since),
            "before": _ABOVE_ALL if wanted.before is None else wanted.before,
        }
        rows = self._run(lambda connection: connection.execute(statement, values).fetchall(), "BEGIN")
        return [_entry(row) for row in rows]

    def clear(self, oldest: datetime) -> int:
        """Delete everything; give how many entries there were, without those that were too many or old."""

        def delete(connection: sqlite3.Connection) -> int:
            self._prune(connection, _last_number(connection), oldest)
            return connection.execute(sql.DELETE_ENTRIES).rowcount

        return self._run(delete)

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _run(self, work: Callable[[sqlite3.Connection], T], begin: str = "BEGIN IMMEDIATE") -> T:
        connection = self._connection = self._connection or self._open()
        try:
            connection.execute(begin)
            result = work(connection)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            if error.sqlite_errorcode & 0xFF not in _PASSING:
                self.close()  # the file may be another one by the next time
            raise
        return result

    def _open(self) -> sqlite3.Connection:
        connection = connect(self._path, synchronous="NORMAL")
        with closed_on_error(connection):
            connection.execute(sql.ENTRIES)
            if not _has_details(connection):
                _add_details(connection)
        return connection

    def _prune_is_due(self, last: int, now: datetime) -> bool:
        return (
            self._pruned_at is None
            or now - self._pruned_at >= _PRUNE_EVERY
            or last - self._pruned_up_to >= max(BATCH, self._most // 100)
        )

    def _prune(self, connection: sqlite3.Connection, last: int, oldest: datetime) -> None:
        connection.execute(sql.DELETE_ENTRIES_UP_TO, (last - self._most,))
        connection.execute(sql.DELETE_ENTRIES_BEFORE, (micros(oldest),))


def _has_details(connection: sqlite3.Connection) -> bool:
    return ("details",) in connection.execute(sql.ENTRY_COLUMN_NAMES).fetchall()


def _add_details(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    if not _has_details(connection):  # another process may have been quicker
        connection.execute(sql.ADD_DETAILS)
    connection.execute("COMMIT")


def _insert(connection: sqlite3.Connection, rows: Sequence[_Row]) -> None:
    # Many rows a statement: each one makes Python's threads take turns, and a request might wait for its own.
    full = len(rows) - len(rows) % sql.ENTRIES_AT_ONCE
    for start in range(0, full, sql.ENTRIES_AT_ONCE):
        some = rows[start : start + sql.ENTRIES_AT_ONCE]
        connection.execute(sql.INSERT_ENTRIES, list(itertools.chain.from_iterable(some)))
    connection.executemany(sql.INSERT_ENTRY, rows[full:])


def _last_number(connection: sqlite3.Connection) -> int:
    return int(connection.execute(sql.LAST_ENTRY).fetchone()[0])


def _row(entry: Entry, number: int) -> _Row:
    return (
        number,
        micros(entry.at),
        micros(entry.simulated_at),
        entry.mailbox,
        entry.operation,
        entry.method,
        entry.status,
        entry.received_bytes,
        entry.sent_bytes,
        entry.duration_s,
        entry.message_id,
        entry.reason,
        json.dumps(entry.near_misses) if entry.near_misses else "",
        entry.fault,
        entry.user_agent,
        _written(entry.details),
    )


def _entry(row: Sequence[Any]) -> Entry:
    values = dict(zip(_COLUMNS, row, strict=True))
    misses = tuple(json.loads(values["near_misses"])) if values["near_misses"] else ()
    at, simulated_at = from_micros(values["at"]), from_micros(values["simulated_at"])
    details = _read(values["details"])
    return Entry(
        **values | {"at": at, "simulated_at": simulated_at, "near_misses": misses, "details": details}
    )


@lru_cache(maxsize=256)
def _written(details: Details) -> str:
    """Write details; '' where there are none, and most are like others before."""
    fields = details.as_fields()
    return json.dumps(fields, separators=(",", ":")) if fields else ""


@lru_cache(maxsize=256)
def _read(text: str) -> Details:
    """Read what :func:`_written` wrote."""
    fields = json.loads(text) if text else {}
    return Details(**fields | {"headers": tuple(fields.get("headers", ()))})
