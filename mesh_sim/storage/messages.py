"""The message store: the exchange's port over any database, each operation written once.

The functions that take a transaction are building blocks: whoever needs several of them to hold together
(the opt-out worker's receipt, answer and acknowledgement) runs them in one transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Final

from mesh_sim.exchange.filters import Match, WorkflowFilter
from mesh_sim.exchange.messages import Chunk, Failure, Inline, Message, Stored
from mesh_sim.exchange.ports import (
    TALLY_CAP,
    ChunkHere,
    Found,
    Listed,
    Moment,
    Search,
    Side,
    Tally,
    Wanted,
)
from mesh_sim.exchange.states import IllegalStep, Status, Step, advance
from mesh_sim.storage import search_sql, sql
from mesh_sim.storage.database import Database, Operation, Row, Transaction, Value
from mesh_sim.storage.related import related
from mesh_sim.storage.rows import as_chunk, as_message
from mesh_sim.storage.search import search
from mesh_sim.storage.times import micros

_NEVER: Final = 2**63 - 1
"""Later than any message."""

_TALLIED_AT_ONCE: Final = 5
"""So many mailboxes are counted before the event loop has its turn."""
_CHUNKS_AT_ONCE: Final = 5000
"""So many chunks are listed before it has."""

_FILTERED_INBOX: Final = {
    Match.EQUALS: sql.INBOX_WORKFLOW,
    Match.BEGINS: sql.INBOX_WORKFLOW_BEGINS,
    Match.CONTAINS: sql.INBOX_WORKFLOW_CONTAINS,
}


class SqlMessageStore:
    """The exchange's MessageStore port over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, message: Message, chunks: Sequence[Chunk]) -> Message:
        """Keep a new message with the chunks it has so far; an accepted one gets its arrival position."""
        return await self._database.write(lambda tx: insert(tx, message, chunks), short=True)

    async def add_all(self, drafts: Sequence[tuple[Message, Sequence[Chunk]]]) -> Sequence[Message]:
        """Keep several new messages, all of them or none."""

        async def insert_all(tx: Transaction) -> list[Message]:
            return [await insert(tx, message, chunks) for message, chunks in drafts]

        return await self._database.write(insert_all)

    async def add_chunk(self, message_id: str, chunk: Chunk, *, at: datetime, need_all: bool) -> Message:
        """Keep a further chunk, or one sent again; complete the message if it was the last one needed."""
        return await self._database.write(
            lambda tx: add_chunk(tx, message_id, chunk, at=at, need_all=need_all), short=True
        )

    async def acknowledge(self, message: Message, *, at: datetime) -> Message:
        """Take an accepted message out of its inbox."""
        return await self._database.write(lambda tx: acknowledge(tx, message, at), short=True)

    async def message(self, message_id: str) -> Message | None:
        """Give one message, or None."""
        return await self._database.read(lambda tx: fetch(tx, message_id))

    async def message_with_chunk(self, message_id: str, number: int) -> tuple[Message, Chunk | None] | None:
        """Give one message and one of its chunks, or None for each that is not there."""
        row = await self._database.read(lambda tx: tx.fetch_row(sql.MESSAGE_WITH_CHUNK, message_id, number))
        if row is None:
            return None
        chunk = row[sql.MESSAGE_WIDTH :]
        return as_message(row), None if chunk[0] is None else as_chunk(chunk)

    async def chunk(self, message_id: str, number: int) -> Chunk | None:
        """Give one chunk, or None."""
        return await self._database.read(lambda tx: fetch_chunk(tx, message_id, number))

    async def inbox(
        self, mailbox_id: str, *, after: int, limit: int, workflow_filter: WorkflowFilter | None = None
    ) -> Sequence[Listed]:
        """List accepted messages with a position above ``after``, oldest arrival first."""

        async def select(tx: Transaction) -> Sequence[Row]:
            if workflow_filter is None:
                return await tx.fetch(sql.INBOX, mailbox_id, after, limit)
            statement = _FILTERED_INBOX[workflow_filter.match]
            negated = int(workflow_filter.negated)
            return await tx.fetch(statement, mailbox_id, after, limit, workflow_filter.text, negated)

        return [Listed(position, message_id) for position, message_id in await self._database.read(select)]

    async def waiting(self, mailbox_id: str) -> int:
        """Count the accepted messages of a mailbox."""
        row = await self._database.read(lambda tx: tx.fetch_row(sql.WAITING, mailbox_id))
        return row[0] if row else 0

    async def sent(self, mailbox_id: str, local_id: str) -> Sequence[Message]:
        """Give up to two messages that this mailbox sent with this local id."""
        rows = await self._database.read(lambda tx: tx.fetch(sql.SENT_WITH_LOCAL_ID, mailbox_id, local_id))
        return [as_message(row) for row in rows]

    async def history(
        self, mailbox_id: str, side: Side, *, since: datetime, before: Moment | None, limit: int
    ) -> Sequence[Message]:
        """List what a mailbox was sent or sent, newest first."""
        statement = sql.RECEIVED if side is Side.INBOX else sql.SENT
        created_at, message_id = (micros(before.created_at), before.message_id) if before else (_NEVER, "")
        rows = await self._database.read(
            lambda tx: tx.fetch(statement, mailbox_id, micros(since), created_at, message_id, limit)
        )
        return [as_message(row) for row in rows]

    async def find(self, wanted: Wanted, limit: int) -> Sequence[Message]:
        """List messages that are as ``wanted``, oldest first."""
        given = {name: value for name, value in asdict(wanted).items() if value}
        statement = sql.find_messages(tuple(given))
        rows = await self._database.read(lambda tx: tx.fetch(statement, *given.values(), limit))
        return [as_message(row) for row in rows]

    async def search(self, mailbox_id: str, wanted: Search, *, before: Moment | None, limit: int) -> Found:
        """Look for messages of any status among those of a mailbox, newest first."""
        return await search(self._database, mailbox_id, wanted, before=before, limit=limit)

    async def tally(self, mailbox_ids: Sequence[str]) -> Mapping[str, Tally]:
        """Count the messages of each of these mailboxes."""
        tallies: dict[str, Tally] = {}
        for start in range(0, len(mailbox_ids), _TALLIED_AT_ONCE):
            tallies |= await self._database.read(_tally(mailbox_ids[start : start + _TALLIED_AT_ONCE]))
            await asyncio.sleep(0)
        return tallies

    async def related(self, message: Message, *, limit: int) -> Sequence[Message]:
        """List the others of a message's exchange, oldest first."""
        return await self._database.read(lambda tx: related(tx, message, limit))

    async def chunks_here(self, message_id: str, *, limit: int) -> Sequence[ChunkHere]:
        """List the chunks of a message that have arrived, in their order."""
        here: list[ChunkHere] = []
        while (wanted := min(limit - len(here), _CHUNKS_AT_ONCE)) > 0:
            rows = await self._database.read(_chunks_here(message_id, here[-1].number if here else 0, wanted))
            here += [ChunkHere(number, size) for number, size in rows]
            if len(rows) < wanted:
                break
            await asyncio.sleep(0)
        return here

    async def chunk_count(self, message_id: str) -> int:
        """Count the chunks of a message that have arrived; the cost does not grow with their number."""
        row = await self._database.read(lambda tx: tx.fetch_row(search_sql.CHUNK_COUNT, message_id))
        return row[0] if row else 0


# -- inside a transaction ---------------------------------------------------------------------------


async def insert(tx: Transaction, message: Message, chunks: Sequence[Chunk]) -> Message:
    """Keep a new message with the chunks it has so far; an accepted one gets its arrival position."""
    if message.status is Status.ACCEPTED:
        size = sum(chunk.size for chunk in chunks)
        message = replace(message, file_size=size, position=await arrive(tx, message.recipient))
    metadata = message.metadata
    await tx.execute(
        sql.INSERT_MESSAGE,
        message.message_id,
        message.message_type.value,
        message.sender,
        message.recipient,
        message.workflow_id,
        message.status.value,
        message.total_chunks,
        micros(message.created_at),
        metadata.subject,
        metadata.local_id,
        metadata.partner_id,
        metadata.file_name,
        metadata.checksum,
        metadata.content_type,
        metadata.content_encoding,
        int(metadata.encrypted),
        int(metadata.compressed),
        message.file_size,
        message.position,
        micros(message.accepted_at),
        micros(message.acknowledged_at),
        *failure_values(message.failure),
        message.intended_recipient,
        int(message.in_inbox),
        int(message.in_outbox),
        len(chunks),
        sum(chunk.size for chunk in chunks),
    )
    for chunk in chunks:
        await _put_chunk(tx, message.message_id, chunk)
    return message


def failure_values(failure: Failure | None) -> tuple[Value, ...]:
    """Write a failure, or that there is none, as the columns ``failed_at`` to ``linked_message_id``."""
    if failure is None:
        return (None, "", "", "", "")
    error = failure.error
    return (micros(failure.at), error.event, error.code, error.text, failure.linked_message_id)


async def add_chunk(
    tx: Transaction, message_id: str, chunk: Chunk, *, at: datetime, need_all: bool
) -> Message:
    """Keep a further chunk, or one sent again; complete the message if it was the last one needed.

    Raises:
        IllegalStep: the message is unknown or no longer uploading.
    """
    message = await _expect(tx, message_id, Step.ADD_CHUNK)
    replaced = await fetch_chunk(tx, message_id, chunk.number)
    if replaced is not None and isinstance(replaced.body, Stored):
        await tx.execute(sql.DISCARD, replaced.body.key)
    await _put_chunk(tx, message_id, chunk)
    more, growth = (1, chunk.size) if replaced is None else (0, chunk.size - replaced.size)
    here = await tx.fetch_row(sql.COUNT_CHUNK, message_id, more, growth)
    count, size = here or (0, 0)
    complete = count == message.total_chunks if need_all else chunk.number == message.total_chunks
    if not complete:
        return message
    message = replace(
        message,
        status=advance(message.status, Step.COMPLETE),
        file_size=int(size),
        position=await arrive(tx, message.recipient),
        accepted_at=at,
    )
    await tx.execute(
        sql.SET_ACCEPTED, message_id, message.status.value, message.file_size, message.position, micros(at)
    )
    return message


async def acknowledge(tx: Transaction, message: Message, at: datetime) -> Message:
    """Take an accepted message out of its inbox; it may have been read before the transaction.

    Raises:
        IllegalStep: the message is not accepted, or is not any more.
    """
    status = advance(message.status, Step.ACKNOWLEDGE)
    row = await tx.fetch_row(
        sql.SET_ACKNOWLEDGED, message.message_id, status.value, micros(at), message.status.value
    )
    if row is None:
        now = await fetch(tx, message.message_id)
        raise IllegalStep(now.status if now else None, Step.ACKNOWLEDGE)
    if row[0]:
        await tx.execute(sql.LEAVE, message.recipient)
    return replace(message, status=status, acknowledged_at=at)


async def fetch(tx: Transaction, message_id: str) -> Message | None:
    """Give one message, or None."""
    row = await tx.fetch_row(sql.MESSAGE, message_id)
    return as_message(row) if row else None


async def fetch_chunk(tx: Transaction, message_id: str, number: int) -> Chunk | None:
    """Give one chunk, or None."""
    row = await tx.fetch_row(sql.CHUNK, message_id, number)
    return None if row is None else as_chunk(row)


def _tally(mailbox_ids: Sequence[str]) -> Operation[dict[str, Tally]]:
    async def tally(tx: Transaction) -> dict[str, Tally]:
        counts = {each: await tx.fetch_row(search_sql.TALLY, each, TALLY_CAP) for each in mailbox_ids}
        return {each: Tally(*row) for each, row in counts.items() if row is not None}

    return tally


def _chunks_here(message_id: str, after: int, limit: int) -> Operation[Sequence[Row]]:
    return lambda tx: tx.fetch(search_sql.CHUNKS_HERE, message_id, after, limit)


async def _expect(tx: Transaction, message_id: str, step: Step) -> Message:
    message = await fetch(tx, message_id)
    if message is None:
        raise IllegalStep(None, step)
    advance(message.status, step)
    return message


async def arrive(tx: Transaction, mailbox_id: str) -> int:
    """Give the next arrival position of an inbox, and count one more message waiting in it."""
    row = await tx.fetch_row(sql.ARRIVE, mailbox_id)
    assert row is not None  # noqa: S101 - RETURNING of an upsert always gives its row
    return int(row[0])


async def _put_chunk(tx: Transaction, message_id: str, chunk: Chunk) -> None:
    inline = chunk.body.data if isinstance(chunk.body, Inline) else None
    key = chunk.body.key if isinstance(chunk.body, Stored) else None
    await tx.execute(sql.PUT_CHUNK, message_id, chunk.number, chunk.size, inline, key)
