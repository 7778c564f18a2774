"""The workflow filter's grammar, in Python and in SQL (mesh-api.md section 7)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mesh_sim.exchange.filters import Match, WorkflowFilter
from mesh_sim.exchange.messages import Chunk, Inline, Message, MessageType
from mesh_sim.exchange.states import Status
from mesh_sim.storage import sql
from mesh_sim.storage.messages import SqlMessageStore
from mesh_sim.storage.sqlite import SqliteDatabase

WORKFLOWS = ["WF_A", "WF_A_ACK", "WF_B", "OTHER_ACK", "wf_a", "", "W%F", "A*B"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("WF_A", WorkflowFilter(Match.EQUALS, "WF_A", negated=False)),
        (" !WF_A ", WorkflowFilter(Match.EQUALS, "WF_A", negated=True)),
        ("WF_*", WorkflowFilter(Match.BEGINS, "WF_", negated=False)),
        ("*_ACK*", WorkflowFilter(Match.CONTAINS, "_ACK", negated=False)),
        ("*_ACK", WorkflowFilter(Match.CONTAINS, "_AC", negated=False)),
        ("!!A", WorkflowFilter(Match.EQUALS, "!A", negated=True)),
        ("A**", WorkflowFilter(Match.BEGINS, "A*", negated=False)),
        ("A*B", WorkflowFilter(Match.EQUALS, "A*B", negated=False)),
    ],
)
def test_a_filter_is_read_by_the_grammar(value: str, expected: WorkflowFilter) -> None:
    """Signs at the ends decide, everything between them is literal."""
    assert WorkflowFilter.parse(value) == expected


@pytest.fixture
async def inbox(tmp_path: Path) -> AsyncIterator[SqlMessageStore]:
    """An inbox with one message of each workflow."""
    database = SqliteDatabase(tmp_path / "messages.db", sql.SCHEMA)
    store = SqlMessageStore(database)
    now = datetime(2026, 11, 22, tzinfo=UTC)
    for number, workflow_id in enumerate(WORKFLOWS):
        message = Message(
            message_id=f"M{number}",
            message_type=MessageType.DATA,
            sender="A",
            recipient="B",
            workflow_id=workflow_id,
            status=Status.ACCEPTED,
            total_chunks=1,
            created_at=now,
            accepted_at=now,
        )
        await store.add(message, [Chunk(1, 1, Inline(b"x"))])
    yield store
    await database.close()


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(value=st.text(alphabet="!*_AWFBCKwf% OTHER", min_size=2, max_size=8))
async def test_the_sql_lists_what_the_grammar_accepts(inbox: SqlMessageStore, value: str) -> None:
    """The database's selection and the rule in Python are the same for any filter."""
    wanted = WorkflowFilter.parse(value)
    listed = await inbox.inbox("B", after=0, limit=100, workflow_filter=wanted)
    expected = [f"M{number}" for number, name in enumerate(WORKFLOWS) if wanted.accepts(name)]
    assert [line.message_id for line in listed] == expected
