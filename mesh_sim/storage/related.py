"""The messages of one exchange, found by local id and by what reports say they are about."""

from __future__ import annotations

from collections.abc import Sequence

from mesh_sim.exchange.messages import Message
from mesh_sim.storage import search_sql, sql
from mesh_sim.storage.database import Row, Transaction
from mesh_sim.storage.rows import as_message
from mesh_sim.storage.times import micros


async def related(tx: Transaction, message: Message, limit: int) -> Sequence[Message]:
    """List the others of a message's exchange, oldest first; of many, those nearest in time."""
    # The message may be among them itself.
    linked = list(await tx.fetch(search_sql.LINKED, message.message_id, limit + 1))
    if message.failure is not None and message.failure.linked_message_id:
        linked += await tx.fetch(sql.MESSAGE, message.failure.linked_message_id)
    with_local_id = await _with_local_id(tx, message, limit + 1) if message.metadata.local_id else []
    nearest = sorted(
        map(as_message, with_local_id), key=lambda other: abs(other.created_at - message.created_at)
    )
    others = {other.message_id: other for other in (*map(as_message, linked), *nearest)}
    others.pop(message.message_id, None)
    return sorted(list(others.values())[:limit], key=lambda other: (other.created_at, other.message_id))


async def _with_local_id(tx: Transaction, message: Message, limit: int) -> list[Row]:
    here, there = message.recipient, message.sender or message.intended_recipient
    found: list[Row] = []
    for sender in dict.fromkeys((here, there, "")):
        found += await tx.fetch(
            search_sql.RELATED,
            message.metadata.local_id,
            sender,
            here,
            there,
            micros(message.created_at),
            limit,
        )
    return found
