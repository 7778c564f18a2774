"""Messages put straight into a store of a test's own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mesh_sim.exchange.messages import Message, MessageType, Metadata
from mesh_sim.exchange.states import Status
from mesh_sim.storage import sql
from mesh_sim.storage.messages import SqlMessageStore
from mesh_sim.storage.sqlite import SqliteDatabase

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@contextlib.asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[SqliteDatabase]:
    """A database for messages, closed at the end."""
    database = SqliteDatabase(folder / "mesh-sim.db", sql.SCHEMA + sql.OPTOUT_SCHEMA, sql.VERSION)
    try:
        yield database
    finally:
        await database.close()


def message(message_id: str, *, subject: str = "", local_id: str = "", **changes: Any) -> Message:
    """Make a message from A to B at noon, unless something else is said."""
    values: dict[str, Any] = {
        "message_type": MessageType.DATA,
        "sender": "A",
        "recipient": "B",
        "workflow_id": "WORKFLOW",
        "status": Status.ACCEPTED,
        "total_chunks": 1,
        "created_at": NOON,
        "metadata": Metadata(subject=subject, local_id=local_id),
        "accepted_at": NOON,
    }
    return Message(message_id, **values | changes)


async def kept(store: SqlMessageStore, *messages: Message) -> list[Message]:
    """Put them into the store, in this order."""
    return list(await store.add_all([(each, ()) for each in messages]))
