"""The messages of one exchange: found by local id between two mailboxes, and by what reports are about."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from kept_messages import NOON, kept, message, opened

from mesh_sim.exchange.messages import Message, Metadata
from mesh_sim.exchange.reports import make_report, non_delivery
from mesh_sim.exchange.states import Status
from mesh_sim.storage.messages import SqlMessageStore
from mesh_sim.storage.upkeep import SqlMessageUpkeep
from ndoo.protocol import Codes

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlMessageStore]:
    """A store without messages."""
    async with opened(tmp_path) as database:
        yield SqlMessageStore(database)


def at(minute: int, message_id: str, **changes: Any) -> Message:
    """Make a message of this minute."""
    return message(message_id, created_at=NOON + minute * MINUTE, **changes)


async def others(store: SqlMessageStore, about: Message, limit: int = 20) -> list[str]:
    """Give the ids of the others of a message's exchange."""
    return [each.message_id for each in await store.related(about, limit=limit)]


async def test_a_submission_its_receipt_and_its_answer_belong_together(store: SqlMessageStore) -> None:
    """What two mailboxes sent each other under one local id is an exchange, from whichever side one looks."""
    submission = at(0, "SUBMISSION", local_id="list-1")
    receipt = at(1, "RECEIPT", sender="B", recipient="A", local_id="list-1")
    answer = at(2, "ANSWER", sender="B", recipient="A", local_id="list-1")
    await kept(
        store,
        answer,
        receipt,
        submission,
        at(1, "OTHER-ID", local_id="list-2"),
        at(1, "OTHER-SENDER", sender="C", local_id="list-1"),
        at(1, "OTHER-RECIPIENT", recipient="C", local_id="list-1"),
    )
    assert await others(store, submission) == ["RECEIPT", "ANSWER"]
    assert await others(store, receipt) == ["SUBMISSION", "ANSWER"]
    assert await others(store, answer) == ["SUBMISSION", "RECEIPT"]


async def test_without_a_local_id_nothing_is_an_exchange(store: SqlMessageStore) -> None:
    """Messages that were given no local id have not all the same one."""
    messages = await kept(store, at(0, "ONE"), at(1, "TWO"))
    assert await others(store, messages[0]) == []


@pytest.mark.parametrize("local_id", ["", "list-1"])
async def test_a_report_and_what_it_is_about_belong_together(tmp_path: Path, local_id: str) -> None:
    """A message that expired and the report on it name each other, with a local id or without."""
    async with opened(tmp_path) as database:
        store, upkeep = SqlMessageStore(database), SqlMessageUpkeep(database)
        await kept(store, at(0, "SENT", local_id=local_id), at(0, "STRANGER", sender="C"))
        later = NOON + timedelta(days=5)
        expired = await upkeep.expire(
            delivered_by=later, at=later, limit=1, report=lambda message: non_delivery(message, later)
        )
        ((sent, report),) = expired
        assert report is not None
        assert await others(store, sent) == [report.message_id]
        assert await others(store, report) == ["SENT"]


async def test_a_report_that_only_points_back_is_found(store: SqlMessageStore) -> None:
    """A report put by an administrator is found from its message, which does not know of it."""
    report = make_report(
        recipient="A",
        intended_recipient="B",
        workflow_id="WORKFLOW",
        metadata=Metadata(),
        error=Codes.NOT_COLLECTED,
        linked_message_id="SENT",
        at=NOON,
    )
    sent, *_ = await kept(store, at(0, "SENT", status=Status.ACKNOWLEDGED), report)
    assert await others(store, sent) == [report.message_id]


async def test_reports_on_the_same_list_belong_to_it(store: SqlMessageStore) -> None:
    """A list that was sent again shows the report on its first try, which has its local id."""
    report = make_report(
        recipient="A",
        intended_recipient="B",
        workflow_id="WORKFLOW",
        metadata=Metadata(local_id="list-1"),
        error=Codes.NOT_COLLECTED,
        linked_message_id="FIRST",
        at=NOON + MINUTE,
    )
    first, again, _ = await kept(
        store, at(0, "FIRST", local_id="list-1"), at(2, "AGAIN", local_id="list-1"), report
    )
    assert await others(store, again) == ["FIRST", report.message_id]
    assert await others(store, first) == [report.message_id, "AGAIN"]
    assert await others(store, report) == ["FIRST", "AGAIN"]


async def test_of_many_the_nearest_in_time_are_shown(store: SqlMessageStore) -> None:
    """Where a local id is used again and again, what is linked stays, and then what was close by."""
    many = await kept(store, *(at(minute, f"M{minute:02d}", local_id="always") for minute in range(50)))
    report = make_report(
        recipient="A",
        intended_recipient="B",
        workflow_id="WORKFLOW",
        metadata=Metadata(),
        error=Codes.NOT_COLLECTED,
        linked_message_id="M20",
        at=NOON + 5 * timedelta(days=1),
    )
    await kept(store, report)
    assert await others(store, many[20], limit=5) == ["M18", "M19", "M21", "M22", report.message_id]
