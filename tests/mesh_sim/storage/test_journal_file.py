"""The journal's file: what was noted comes back, so much of it and for so long, and trouble costs nobody."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import resource
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support import UNKNOWN_ID

from mesh_sim.exchange.errors import StorageFailed
from mesh_sim.storage.journal import BATCH, IN_MEMORY, SqliteJournal, _JournalFile
from mesh_sim.witness.journal import Details, Entry, JournalFilter

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ALL = JournalFilter(limit=1_000_000, oldest_first=True)


class Time:
    """Real time, as the test has it."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@contextlib.asynccontextmanager
async def opened(path: Path, **options: Any) -> AsyncIterator[SqliteJournal]:
    """A journal over a file, closed at the end."""
    journal = SqliteJournal(path, **{"now": Time(), **options})
    try:
        yield journal
    finally:
        await journal.close()


def note(journal: SqliteJournal, count: int = 1, **changes: Any) -> list[Entry]:
    """Note so many requests; give their entries."""
    entries = [_entry(journal.next_number(), **changes) for _ in range(count)]
    for entry in entries:
        journal.record(entry)
    return entries


def _entry(number: int, **changes: Any) -> Entry:
    values: dict[str, Any] = {
        "number": number,
        "at": NOW,
        "simulated_at": NOW + timedelta(days=5, microseconds=7),
        "mailbox": "x26abc1",
        "operation": "list",
        "method": "GET",
        "status": 200,
        "received_bytes": 0,
        "sent_bytes": 12,
        "duration_s": 0.0125,
    }
    return Entry(**values | changes)


def rows(path: Path) -> int:
    """Count what is in the file, with a connection of its own."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM entries").fetchone()[0])


def numbers(entries: list[Entry]) -> list[int]:
    """Their numbers, in order."""
    return [entry.number for entry in entries]


async def test_what_was_noted_comes_back(tmp_path: Path) -> None:
    """Every field is as it was noted, at once and after a restart, and numbers go on."""
    async with opened(tmp_path / "journal.db") as journal:
        refused = note(
            journal,
            status=403,
            message_id=UNKNOWN_ID,
            reason="the hash does not match",
            near_misses=("mailbox in lower case: yes", "nonce is not a GUID: yes"),
            fault="3",
            user_agent="Zoë's client",
        )
        fine = note(journal)
        assert await journal.entries(ALL) == refused + fine
    async with opened(tmp_path / "journal.db") as journal:
        later = note(journal)
        assert await journal.entries(ALL) == refused + fine + later
        assert numbers(refused + fine + later) == [1, 2, 3]
    assert (tmp_path / "journal.db").stat().st_mode & 0o777 == 0o600


DETAILS: dict[str, Any] = {
    "in_flight": 3,
    "listed": 0,
    "more": True,
    "message_type": "REPORT",
    "chunk": "2:3",
    "recipient": "X26WIT99",
    "headers": ("Authorization", "Content-Encoding: gzip"),
    "gzip": True,
    "payload_bytes": 0,
    "md5": "d41d8cd98f00b204e9800998ecf8427e",
    "whole_bytes": 5_000_000_000,
    "whole_md5": "900150983cd24fb0d6963f7d28e17f72",
}


@pytest.mark.parametrize(
    "details",
    [Details(), Details(**DETAILS), *(Details(**{name: value}) for name, value in DETAILS.items())],
    ids=["none", "all", *DETAILS],
)
async def test_details_come_back(tmp_path: Path, details: Details) -> None:
    """What was noted beside the outcome is as it was; where it says nothing it takes no room."""
    assert DETAILS.keys() == {field.name for field in fields(Details)}
    async with opened(tmp_path / "journal.db") as journal:
        noted = note(journal, details=details)
        assert await journal.entries(ALL) == noted
    with contextlib.closing(sqlite3.connect(tmp_path / "journal.db")) as connection:
        (text,) = connection.execute("SELECT details FROM entries").fetchone()
    assert bool(text) == (details != Details())


BEFORE_DETAILS = """
    CREATE TABLE entries (
        number INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, simulated_at INTEGER NOT NULL,
        mailbox TEXT NOT NULL COLLATE NOCASE, operation TEXT NOT NULL, method TEXT NOT NULL,
        status INTEGER NOT NULL, received_bytes INTEGER NOT NULL, sent_bytes INTEGER NOT NULL,
        duration_s REAL NOT NULL, message_id TEXT NOT NULL COLLATE NOCASE, reason TEXT NOT NULL,
        near_misses TEXT NOT NULL, fault TEXT NOT NULL, user_agent TEXT NOT NULL
    )
"""
"""The table of a version that noted no details."""


def make_earlier_file(path: Path) -> Entry:
    """Make a journal as an earlier version left it; give the one entry in it."""
    at = int(NOW.timestamp()) * 1_000_000
    values = (8, at, at, "X26ABC1", "list", "GET", 200, 0, 12, 0.5, "", "", "", "", "")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(BEFORE_DETAILS)
        connection.execute(f"INSERT INTO entries VALUES ({', '.join('?' * len(values))})", values)
        connection.commit()
    return _entry(8, simulated_at=NOW, mailbox="X26ABC1", duration_s=0.5)


async def test_a_file_of_an_earlier_version_goes_on(tmp_path: Path) -> None:
    """Its entries are there, without details; further ones have theirs, also after another start."""
    kept = [make_earlier_file(tmp_path / "journal.db")]
    for number in (9, 10):
        async with opened(tmp_path / "journal.db") as journal:
            kept += note(journal, details=Details(listed=number))
            assert await journal.entries(ALL) == kept
    assert numbers(kept) == [8, 9, 10]


async def test_processes_open_a_file_of_an_earlier_version_at_once(tmp_path: Path) -> None:
    """Whichever adds what the file lacks, all go on with it."""
    for attempt in range(5):
        path = tmp_path / f"{attempt}.db"
        make_earlier_file(path)
        together = threading.Barrier(4)

        def open_it(path: Path = path, together: threading.Barrier = together) -> int:
            file = _JournalFile(path, 10)
            together.wait(10)
            try:
                return file.last_number()
            finally:
                file.close()

        assert await asyncio.gather(*(asyncio.to_thread(open_it) for _ in range(4))) == [8] * 4


async def test_an_emptied_journal_goes_on_counting(tmp_path: Path) -> None:
    """Emptying tells how many entries there were; their numbers are not given again, restarted or not."""
    async with opened(tmp_path / "journal.db") as journal:
        note(journal, 3)
        assert await journal.clear() == 3
        assert await journal.clear() == 0
        assert await journal.entries(ALL) == []
        assert numbers(note(journal)) == [4]
        assert await journal.clear() == 1
    async with opened(tmp_path / "journal.db") as journal:
        assert numbers(note(journal)) == [5]


async def test_noting_writes_nothing_by_itself(tmp_path: Path) -> None:
    """A request's entry costs no access to the file; moments later it is there, asked for or not."""
    async with opened(tmp_path / "journal.db") as journal:
        note(journal, BATCH - 1)
        assert rows(tmp_path / "journal.db") == 0
        async with asyncio.timeout(10):
            while rows(tmp_path / "journal.db") != BATCH - 1:  # noqa: ASYNC110 - a file has no event
                await asyncio.sleep(0.01)


async def test_a_full_batch_is_written_at_once(tmp_path: Path) -> None:
    """So many entries that they fill a batch do not wait for their moment."""
    async with opened(tmp_path / "journal.db") as journal:
        note(journal, BATCH - 1)
        assert journal._writing is None
        note(journal)
        assert journal._writing is not None
        await journal._writing
        assert rows(tmp_path / "journal.db") == BATCH


async def test_what_is_noted_during_a_write_waits_for_its_moment(tmp_path: Path) -> None:
    """Under steady load a write ends with what it began with; the rest comes back all the same."""
    async with opened(tmp_path / "journal.db") as journal, asyncio.timeout(10):
        noted = note(journal, BATCH)
        assert journal._writing is not None
        while not journal._writing.done():
            noted += note(journal)
            await asyncio.sleep(0)
        assert journal._waiting
        assert await journal.entries(ALL) == noted


async def test_a_question_given_up_writes_nothing_twice(tmp_path: Path) -> None:
    """Whoever asks and goes away half-way leaves each entry written once."""
    async with opened(tmp_path / "journal.db") as journal:
        noted = note(journal, 3 * BATCH)
        for _ in range(20):
            asking = asyncio.create_task(journal.entries(ALL))
            await asyncio.sleep(0)
            asking.cancel()
            noted += note(journal)
        assert await journal.entries(ALL) == noted


async def test_only_the_latest_are_kept(tmp_path: Path) -> None:
    """So many entries are given and no more, and the file does not go on growing."""
    async with opened(tmp_path / "journal.db", most=10) as journal:
        for _ in range(6):
            noted = note(journal, BATCH // 2)
            assert await journal.entries(ALL) == noted[-10:]
        assert rows(tmp_path / "journal.db") <= 10 + BATCH
        assert await journal.clear() == 10


async def test_entries_are_kept_for_so_long(tmp_path: Path) -> None:
    """What began too long ago is not given any more, and is deleted from the file with the next entry."""
    time = Time()
    async with opened(tmp_path / "journal.db", longest=timedelta(days=7), now=time) as journal:
        old = note(journal, 3)
        assert await journal.entries(ALL) == old
        time.now += timedelta(days=2)
        (young,) = note(journal, at=time.now)
        time.now += timedelta(days=5, seconds=1)
        assert await journal.entries(ALL) == [young]
        (new,) = note(journal, at=time.now)
        assert await journal.entries(ALL) == [young, new]
        assert rows(tmp_path / "journal.db") == 2
        time.now += timedelta(days=8)
        assert await journal.entries(ALL) == []
        assert await journal.clear() == 0


def _filters() -> Iterator[JournalFilter]:
    choices: dict[str, list[dict[str, Any]]] = {
        "mailbox": [{}, {"mailbox": "X26ABC1"}, {"mailbox": "x26abc2"}, {"mailbox": "Q"}],
        "operation": [{}, {"operation": "send"}, {"operation": "-"}],
        "status": [
            {},
            {"lowest_status": 403, "highest_status": 403},
            {"lowest_status": 400, "highest_status": 499},
            {"lowest_status": 0, "highest_status": 0},
            {"unsuccessful": True},
        ],
        "message_id": [{}, {"message_id": UNKNOWN_ID.lower()}],
        "since": [{}, {"since": NOW + timedelta(seconds=30)}],
        "range": [{}, {"after": 40}, {"before": 40}, {"after": 20, "before": 61}, {"before": 0}],
        "order": [{"oldest_first": True, "limit": 7}, {"oldest_first": False, "limit": 500}],
    }
    for combination in itertools.product(*choices.values()):
        chosen: dict[str, Any] = {}
        for part in combination:
            chosen |= part
        yield JournalFilter(**chosen)


async def test_a_filter_selects_in_the_file_as_it_does_in_memory(tmp_path: Path) -> None:
    """Every combination of what can be asked for gives the same from SQL as from the rule itself."""
    async with opened(tmp_path / "journal.db") as journal:
        entries = [
            _entry(
                journal.next_number(),
                mailbox=mailbox,
                operation=operation,
                status=status,
                message_id=UNKNOWN_ID if status == 403 else "",
                at=NOW + timedelta(seconds=5 * index),
            )
            for index, (mailbox, operation, status) in enumerate(
                itertools.product(
                    ("X26ABC1", "x26abc1", "X26ABC2", ""), ("send", "list", "-"), (200, 403, 410, 0, 503, 307)
                )
            )
        ]
        for entry in entries:
            journal.record(entry)
        for wanted in _filters():
            expected = [entry for entry in entries if wanted.selects(entry)]
            expected = expected if wanted.oldest_first else expected[::-1]
            assert await journal.entries(wanted) == expected[: wanted.limit], wanted


async def test_two_processes_share_a_file(tmp_path: Path) -> None:
    """Entries of both are kept, each under a number of its own, and each sees the other's."""
    async with opened(tmp_path / "journal.db") as one, opened(tmp_path / "journal.db") as two:
        for _ in range(3):
            note(one, 2, mailbox="ONE")
            note(two, 3, mailbox="TWO")
            await one.entries(ALL)
            await two.entries(ALL)
        found = list(await one.entries(ALL))
        assert found == await two.entries(ALL)
        assert [entry.mailbox for entry in found] == 3 * (2 * ["ONE"] + 3 * ["TWO"])
        assert numbers(found) == sorted(set(numbers(found)))


# -- a file that cannot be used ---------------------------------------------------------------------


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged above the level of information."""
    return [record.getMessage() for record in caplog.records if record.levelno > logging.INFO]


async def test_a_broken_file_costs_nobody_anything(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Entries are kept in memory, which is said once; with the file away they are written after all."""
    caplog.set_level(logging.INFO)
    path = tmp_path / "journal.db"
    path.write_bytes(b"this is no database" * 1000)
    async with opened(path) as journal:
        noted = note(journal, BATCH + 1)
        assert await journal.entries(ALL) == noted
        (latest,) = await journal.entries(JournalFilter(limit=1))
        assert latest == noted[-1]
        with pytest.raises(StorageFailed, match="cannot be emptied"):
            await journal.clear()
        assert await journal.entries(ALL) == noted
        (said,) = complaints(caplog)
        assert "file is not a database" in said
        assert "delete the file" in said

        path.unlink()
        assert await journal.entries(ALL) == noted
        assert "is written to" in caplog.text
        assert rows(path) == len(noted)
    assert len(complaints(caplog)) == 1


async def test_a_file_that_breaks_in_use_is_opened_anew(tmp_path: Path) -> None:
    """A file that somebody else spoils while it is open is let go of, and made usable again if it can be."""
    path = tmp_path / "journal.db"
    async with opened(path) as journal:
        note(journal)
        await journal.entries(ALL)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("DROP TABLE entries")
        noted = note(journal)
        for _ in range(2):
            assert await journal.entries(ALL) == noted
        assert rows(path) == 1


async def test_memory_is_bounded_while_the_file_is_broken(tmp_path: Path) -> None:
    """Of what cannot be written only the latest is kept."""
    path = tmp_path / "journal.db"
    path.write_bytes(b"this is no database" * 1000)
    async with opened(path) as journal:
        noted = note(journal, IN_MEMORY + 5)
        assert await journal.entries(ALL) == noted[5:]


@contextlib.contextmanager
def no_more_space(path: Path) -> Iterator[None]:
    """Let no file of this process grow any more, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_full_disk_costs_nobody_anything(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What was written can be read, what came since is in memory, and is written when there is room."""
    path = tmp_path / "journal.db"
    async with opened(path) as journal:
        noted = note(journal, 10)
        await journal.entries(ALL)
    async with opened(path) as journal:
        with no_more_space(path):
            noted += note(journal, 1000, reason="r" * 400)
            found = await journal.entries(ALL)
            said = complaints(caplog)
        assert found == noted
        assert len(said) == 1
        assert await journal.entries(ALL) == noted
        assert rows(path) == len(noted)


async def test_a_journal_opened_on_a_broken_file_goes_on_after_it(tmp_path: Path) -> None:
    """Numbers given before the file could be read are put after those that are in it."""
    path, aside = tmp_path / "journal.db", tmp_path / "aside.db"
    async with opened(path) as journal:
        note(journal, 5)
    path.rename(aside)
    path.write_bytes(b"this is no database" * 1000)
    async with opened(path) as journal:
        noted = note(journal, 2)
        path.unlink()
        aside.rename(path)
        found = await journal.entries(ALL)
        assert numbers(list(found)) == [1, 2, 3, 4, 5, 6, 7]
        assert found[5:] == [replace(entry, number=entry.number + 5) for entry in noted]
        assert numbers(note(journal)) == [8]
