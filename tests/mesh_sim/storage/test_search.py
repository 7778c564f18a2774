"""Searches: page by page exactly what is wanted, and quick whatever there is beside it."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from kept_messages import NOON, kept, message, opened

from mesh_sim.exchange.messages import Message, MessageType
from mesh_sim.exchange.ports import Found, Moment, Search, Side
from mesh_sim.exchange.states import Status
from mesh_sim.storage import search, search_sql, sql
from mesh_sim.storage.messages import SqlMessageStore
from mesh_sim.storage.sqlite import SqliteDatabase
from mesh_sim.storage.upkeep import SqlMessageUpkeep

MAILBOXES = ("A", "B", "C")
LOCAL_IDS = ("", "", "weekly", "Weekly", "list-7")
WORKFLOWS = ("SPINE_NDOO", "spine_ack", "W%F", "OTHER")
SUBJECTS = ("", "Weekly list", "weekly_list", "100 % Ärger", "ärger")
MINUTE = timedelta(minutes=1)


class Filed(NamedTuple):
    """A store, and the messages that are in it."""

    store: SqlMessageStore
    messages: list[Message]


def some_messages(count: int) -> list[Message]:
    """Make messages of all kinds; several are of the same moment, and ids are a little out of order."""
    random = Random(7)
    made = []
    for number in range(count):
        minute = number // 3
        status = random.choice(list(Status))
        made.append(
            message(
                f"2026{minute + random.randrange(4):04d}_{number:06X}",
                message_type=random.choice(list(MessageType)),
                sender=random.choice(MAILBOXES),
                recipient=random.choice(MAILBOXES),
                workflow_id=random.choice(WORKFLOWS),
                status=status,
                created_at=NOON + minute * MINUTE,
                accepted_at=None if status is Status.UPLOADING else NOON,
                local_id=random.choice(LOCAL_IDS),
                subject=random.choice(SUBJECTS),
                in_inbox=random.random() < 0.9,
                in_outbox=random.random() < 0.9,
            )
        )
    return made


@pytest.fixture
async def filed(tmp_path: Path) -> AsyncIterator[Filed]:
    """A store with a few hundred messages."""
    async with opened(tmp_path) as database:
        store = SqlMessageStore(database)
        made = some_messages(300)
        Random(8).shuffle(made)  # arrival is not in the order of creation
        yield Filed(store, await kept(store, *made))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlMessageStore]:
    """A store without messages."""
    async with opened(tmp_path) as database:
        yield SqlMessageStore(database)


async def pages(store: SqlMessageStore, mailbox_id: str, wanted: Search, limit: int) -> AsyncIterator[Found]:
    """Give one page after the other, until there are no more."""
    before: Moment | None = None
    for _ in range(1000):
        found = await store.search(mailbox_id, wanted, before=before, limit=limit)
        yield found
        before = found.more
        if before is None:
            return
    raise AssertionError("the pages never end")


async def everything(store: SqlMessageStore, mailbox_id: str, wanted: Search, limit: int = 10) -> list[str]:
    """Give the ids on all pages."""
    return [
        each.message_id async for found in pages(store, mailbox_id, wanted, limit) for each in found.messages
    ]


def is_wanted(message: Message, mailbox_id: str, wanted: Search) -> bool:
    """Say of one message whether a search is for it."""
    inbox = wanted.side is Side.INBOX
    own, other = (message.recipient, message.sender) if inbox else (message.sender, message.recipient)
    metadata = message.metadata
    return (
        own == mailbox_id
        and (message.in_inbox if inbox else message.in_outbox)
        and wanted.other in ("", other)
        and wanted.status in (None, message.status)
        and wanted.message_type in (None, message.message_type)
        and message.message_id.startswith(wanted.message_id)
        and wanted.local_id in ("", metadata.local_id)
        and wanted.workflow_id.lower() in message.workflow_id.lower()
        and wanted.subject.lower() in metadata.subject.lower()
        and (wanted.since is None or message.created_at >= wanted.since)
        and (wanted.until is None or message.created_at < wanted.until)
    )


def order(wanted: Search) -> Callable[[Message], Any]:
    """Say what a search's messages are sorted by, downwards."""
    if wanted.message_id:
        return lambda message: message.message_id
    timed = wanted.since or wanted.until
    if wanted.side is Side.INBOX and wanted.status is Status.ACCEPTED and not timed:
        return lambda message: message.position
    return lambda message: (message.created_at, message.message_id)


times = st.integers(-2, 102).map(lambda minutes: NOON + minutes * MINUTE)
choices: dict[str, st.SearchStrategy[Any]] = {
    "status": st.sampled_from(Status),
    "message_type": st.sampled_from(MessageType),
    "message_id": st.sampled_from(["2", "20260", "202600", "20260050", "20260020_00003D", "3", "Z"]),
    "local_id": st.sampled_from([*LOCAL_IDS, "%"]),
    "workflow_id": st.sampled_from(["ndoo", "SPINE_", "%", "w", "none"]),
    "other": st.sampled_from([*MAILBOXES, "a", "D"]),
    "subject": st.sampled_from(["LIST", "y l", "_", "%", "ÄRGER", "''"]),
    "since": times,
    "until": times,
}


@st.composite
def searches(draw: st.DrawFn) -> Search:
    """Make a search for up to three things, or hardly any would find anything."""
    names = draw(st.sets(st.sampled_from(sorted(choices)), max_size=3))
    return Search(draw(st.sampled_from(Side)), **{name: draw(choices[name]) for name in sorted(names)})


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    wanted=searches(),
    mailbox_id=st.sampled_from(MAILBOXES),
    limit=st.integers(1, 40),
    bounds=st.sampled_from([(3000, 10, 1000), (7, 3, 4), (20, 2, 60), (1, 1, 0)]),
)
@example(Search(Side.INBOX, since=NOON + 50 * MINUTE, until=NOON + 51 * MINUTE), "A", 4, (5, 2, 0))
@example(Search(Side.OUTBOX, message_id="2026", until=NOON + 51 * MINUTE), "A", 4, (5, 2, 0))
@example(Search(Side.OUTBOX, message_id="2026", until=NOON + 52 * MINUTE), "A", 4, (5, 2, 0))
@example(Search(Side.INBOX, status=Status.ACCEPTED), "B", 4, (5, 2, 0))
@example(Search(Side.OUTBOX, status=Status.UNDELIVERABLE), "A", 3, (4, 2, 0))
@example(Search(Side.INBOX, other="A", subject="ÄRGER"), "B", 3, (40, 3, 0))
@example(Search(Side.OUTBOX, message_id="2026", status=Status.ACCEPTED), "A", 5, (10, 5, 0))
async def test_the_pages_hold_exactly_what_is_wanted(
    filed: Filed, wanted: Search, mailbox_id: str, limit: int, bounds: tuple[int, int, int]
) -> None:
    """Page by page a search gives what looking at every message gives: in order, and each once."""
    expected = [each for each in filed.messages if is_wanted(each, mailbox_id, wanted)]
    expected.sort(key=order(wanted), reverse=True)
    found: list[Message] = []
    with pytest.MonkeyPatch.context() as patch:
        for name, value in zip(("STEP", "STEPS", "FEW"), bounds, strict=True):
            patch.setattr(search, name, value)
        async for page in pages(filed.store, mailbox_id, wanted, limit):
            found += page.messages
            assert len(page.messages) <= limit
            cut_short = len(page.messages) < limit and page.more is not None
            assert page.looked_to == (page.more.created_at if page.more and cut_short else None)
    assert found == expected


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches that look through twelve messages, three at a time."""
    for name, value in (("STEP", 3), ("STEPS", 4), ("FEW", 1)):
        monkeypatch.setattr(search, name, value)


def row(start: int, end: int, **changes: Any) -> list[Message]:
    """Make messages with these numbers, one a minute."""
    return [
        message(f"M{number:04d}", created_at=NOON + number * MINUTE, **changes)
        for number in range(start, end)
    ]


@pytest.mark.usefixtures("small_steps")
async def test_what_hardly_occurs_is_looked_for_so_far(store: SqlMessageStore) -> None:
    """A search that finds too little ends, says how far it looked, and goes on from there to the end."""
    oldest, *others = row(0, 30, subject="usual")
    await kept(store, replace(oldest, metadata=replace(oldest.metadata, subject="Special")), *others)
    found = [page async for page in pages(store, "B", Search(Side.INBOX, subject="special"), 5)]
    assert [(len(page.messages), page.looked_to) for page in found] == [
        (0, NOON + 18 * MINUTE),
        (0, NOON + 6 * MINUTE),
        (1, None),
    ]
    assert found[2].messages[0].message_id == "M0000"


@pytest.mark.usefixtures("small_steps")
async def test_others_have_their_turn_while_a_search_looks(store: SqlMessageStore) -> None:
    """Between its steps a search lets everything else on the event loop go on."""
    await kept(store, *row(0, 30))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    await store.search("B", Search(Side.INBOX, subject="nothing"), before=None, limit=5)
    task.cancel()
    assert turns == search.STEPS - 1


@pytest.mark.usefixtures("small_steps")
async def test_a_short_search_goes_by_the_other_mailbox(store: SqlMessageStore) -> None:
    """What a seldom sender sent long ago is found at once, however much the mailbox got since."""
    rare = [replace(each, message_id=f"R{each.message_id}", sender="C") for each in row(0, 8)]
    await kept(store, *rare, *row(0, 100))
    found = await store.search("B", Search(Side.INBOX, other="C"), before=None, limit=20)
    assert [each.message_id for each in found.messages] == [f"RM{number:04d}" for number in range(7, -1, -1)]
    assert (found.more, found.looked_to) == (None, None)


@pytest.mark.usefixtures("small_steps")
async def test_what_waits_is_paged_while_it_is_collected(tmp_path: Path) -> None:
    """Messages acknowledged, deleted or arriving between two pages make a search skip and repeat nothing."""
    async with opened(tmp_path) as database:
        store, upkeep = SqlMessageStore(database), SqlMessageUpkeep(database)
        messages = await kept(store, *row(0, 10))
        wanted = Search(Side.INBOX, status=Status.ACCEPTED)
        first = await store.search("B", wanted, before=None, limit=3)
        await store.acknowledge(first.messages[-1], at=NOON)
        await kept(store, message("M9999", created_at=NOON + 999 * MINUTE))
        second = await store.search("B", wanted, before=first.more, limit=3)
        await upkeep.set_status(second.messages[-1].message_id, Status.ACKNOWLEDGED, at=NOON, failure=None)
        await database.write(lambda tx: tx.execute(sql.DELETE_MESSAGE, second.messages[-1].message_id))
        third = await store.search("B", wanted, before=second.more, limit=10)
    ids = [each.message_id for page in (first, second, third) for each in page.messages]
    assert ids == [each.message_id for each in reversed(messages)]
    assert third.more is None


async def test_a_page_of_the_last_ones_says_that_there_are_no_more(store: SqlMessageStore) -> None:
    """A page that is full by chance, with nothing after it, does not lead to an empty one."""
    await kept(store, *row(0, 6))
    assert [len(page.messages) async for page in pages(store, "B", Search(Side.INBOX), 3)] == [3, 3]
    assert await everything(store, "B", Search(Side.OUTBOX)) == []


async def test_a_history_and_a_search_agree(store: SqlMessageStore) -> None:
    """What is not uploading is found in the history's order."""
    await kept(store, *row(0, 20))
    history = await store.history("B", Side.INBOX, since=NOON - MINUTE, before=None, limit=20)
    assert await everything(store, "B", Search(Side.INBOX)) == [each.message_id for each in history]


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (Search(Side.INBOX), "messages_received"),
        (Search(Side.INBOX, other="B", local_id="L", subject="s", workflow_id="w"), "messages_received"),
        (Search(Side.INBOX, since=NOON, until=NOON), "messages_received"),
        (Search(Side.INBOX, status=Status.ACKNOWLEDGED), "messages_received"),
        (Search(Side.INBOX, status=Status.ACCEPTED), "messages_inbox"),
        (Search(Side.INBOX, status=Status.ACCEPTED, other="B", subject="s"), "messages_inbox"),
        (Search(Side.INBOX, status=Status.ACCEPTED, since=NOON), "messages_received"),
        (Search(Side.INBOX, status=Status.UPLOADING), "messages_rare_received"),
        (Search(Side.INBOX, status=Status.UNDELIVERABLE, since=NOON), "messages_rare_received"),
        (Search(Side.INBOX, status=Status.ERROR, other="B"), "messages_rare_received"),
        (Search(Side.INBOX, message_id="2026"), "sqlite_autoindex_messages_1"),
        (Search(Side.OUTBOX), "messages_sent"),
        (Search(Side.OUTBOX, other="B", local_id="L", message_type=MessageType.DATA), "messages_sent"),
        (Search(Side.OUTBOX, status=Status.ACCEPTED), "messages_sent"),
        (Search(Side.OUTBOX, status=Status.UPLOADING, subject="s"), "messages_rare_sent"),
        (Search(Side.OUTBOX, message_id="2026", since=NOON), "sqlite_autoindex_messages_1"),
    ],
)
def test_a_search_follows_an_index_in_its_order(wanted: Search, index: str) -> None:
    """No search sorts more than a few rows, or looks at those of others on its way."""
    by = search_sql.order_of(wanted)
    top, bottom = search_sql.span_of(wanted)
    among = [
        search_sql.ordered_source("A", wanted),
        by.compared("<", top),
        by.compared(">=", bottom or top),
    ]
    for statement in (
        search_sql.place_of(among, by, 3),
        search_sql.rows_between([*among, *search_sql.filters("A", wanted)], by, 3),
    ):
        (step,) = plan(statement)
        assert f"USING INDEX {index} (" in step, step


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize(
    "wanted",
    [
        Search(Side.INBOX, subject="nothing"),
        Search(Side.OUTBOX, subject="nothing"),
        Search(Side.INBOX, subject="nothing", since=NOON, until=NOON + timedelta(days=9)),
        Search(Side.INBOX, subject="nothing", message_id="M"),
        Search(Side.INBOX, subject="nothing", status=Status.ACCEPTED),
        Search(Side.INBOX, subject="nothing", status=Status.ACCEPTED, since=NOON),
        Search(Side.INBOX, subject="nothing", status=Status.UNDELIVERABLE),
        Search(Side.INBOX, subject="nothing", other="A"),
        Search(Side.INBOX, subject="nothing", local_id="always"),
        Search(Side.OUTBOX, subject="nothing", local_id="always", other="B", message_id="M"),
        Search(Side.INBOX),
    ],
)
async def test_a_search_costs_the_same_among_many(tmp_path: Path, wanted: Search) -> None:
    """What one search takes the database does not grow with the messages that there are."""
    costs = []
    status = wanted.status or Status.ACCEPTED
    async with opened(tmp_path) as database:
        store = SqlMessageStore(database)
        for start, end in ((0, 100), (100, 3000)):
            await kept(store, *row(start, end, status=status, local_id="always"))
            costs.append(await cost(database, store, wanted))
    assert costs[1] < 1.2 * costs[0] + 100


async def cost(database: SqliteDatabase, store: SqlMessageStore, wanted: Search) -> int:
    """Count the instructions of SQLite's machine that a search takes."""
    instructions = 0

    def count() -> None:
        nonlocal instructions
        instructions += 1

    database._reader.set_progress_handler(count, 1)
    await store.search("B", wanted, before=None, limit=5)
    database._reader.set_progress_handler(None, 1)
    return instructions


@pytest.mark.parametrize(
    ("wanted", "indexes"),
    [
        (Search(Side.INBOX), []),
        (Search(Side.INBOX, message_id="20"), ["sqlite_autoindex_messages_1", "messages_received"]),
        (Search(Side.OUTBOX, message_id="20"), ["sqlite_autoindex_messages_1", "messages_sent"]),
        (Search(Side.INBOX, local_id="L"), ["messages_local_id"]),
        (Search(Side.OUTBOX, local_id="L", other="B"), ["messages_local_id", "messages_received"]),
        (Search(Side.INBOX, other="B"), ["messages_sent"]),
    ],
)
def test_whether_rows_are_few_is_seen_in_an_index_alone(wanted: Search, indexes: list[str]) -> None:
    """Counting what might be sorted reads no message."""
    sources = list(search_sql.narrow_sources("A", wanted))
    for source, index in zip(sources, indexes, strict=True):
        assert f"USING COVERING INDEX {index} (" in plan(search_sql.count(source, 10))[1]


def plan(statement: search_sql.Piece) -> list[str]:
    """Ask how a statement is carried out."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        for made in sql.SCHEMA:
            connection.execute(made)
        query, count = re.subn(r"\$\d+", "?", statement.text)
        assert count == len(statement.values)
        return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}", statement.values)]


async def test_a_file_of_before_gains_the_indexes(tmp_path: Path) -> None:
    """A data file that knows nothing of searches is opened as ever, and is searched by index from then on."""
    async with opened(tmp_path) as database:
        await kept(SqlMessageStore(database), *row(0, 3, status=Status.ERROR))
    new = ("messages_rare_received", "messages_rare_sent", "messages_linked")
    with contextlib.closing(sqlite3.connect(tmp_path / "mesh-sim.db")) as connection:
        for name in new:
            connection.execute(f"DROP INDEX {name}")
    async with opened(tmp_path) as database:
        found = await everything(SqlMessageStore(database), "B", Search(Side.INBOX, status=Status.ERROR))
        assert found == ["M0002", "M0001", "M0000"]
        rows = await database.read(lambda tx: tx.fetch("SELECT name FROM sqlite_master WHERE type = 'index'"))
    assert set(new) <= {each[0] for each in rows}
