"""What happens to messages by themselves or by an administrator: the exchange's MessageUpkeep port."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from mesh_sim.exchange.messages import Failure, Message, MessageType
from mesh_sim.exchange.ports import Ages, MakeReport
from mesh_sim.exchange.states import Status, Step, advance
from mesh_sim.storage import sql
from mesh_sim.storage.database import Database, Operation, Transaction
from mesh_sim.storage.messages import arrive, failure_values, fetch, insert
from mesh_sim.storage.rows import as_message
from mesh_sim.storage.times import from_micros, micros
from ndoo.protocol import Codes


class SqlMessageUpkeep:
    """The MessageUpkeep port over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def expire(
        self, *, delivered_by: datetime, at: datetime, limit: int, report: MakeReport
    ) -> Sequence[tuple[Message, Message | None]]:
        """Make what has waited too long undeliverable and deliver the reports on it."""

        async def expire(tx: Transaction) -> list[tuple[Message, Message | None]]:
            rows = await tx.fetch(sql.LONGEST_WAITING, micros(delivered_by), limit)
            return [await _expire(tx, as_message(row), at, report) for row in rows]

        return await self._database.write(expire)

    async def delete_delivered(self, *, by: datetime, limit: int) -> Sequence[str]:
        """Delete messages delivered by then."""
        return await self._database.write(_delete_selected(sql.OLD_DELIVERED, by, limit))

    async def delete_unfinished(self, *, by: datetime, limit: int) -> Sequence[str]:
        """Delete messages begun by then and never complete."""
        return await self._database.write(_delete_selected(sql.OLD_UNFINISHED, by, limit))

    async def ages(self) -> Ages:
        """Give the oldest of each kind that time does something to."""

        async def oldest(tx: Transaction) -> Ages:
            async def since(statement: str) -> datetime | None:
                row = await tx.fetch_row(statement)
                return from_micros(row[0]) if row else None

            return Ages(
                waiting_since=await since(sql.WAITING_SINCE),
                delivered_since=await since(sql.DELIVERED_SINCE),
                unfinished_since=await since(sql.UNFINISHED_SINCE),
            )

        return await self._database.read(oldest)

    async def set_status(
        self, message_id: str, status: Status, *, at: datetime, failure: Failure | None
    ) -> Message | None:
        """Put a message into any status; an accepted one arrives anew."""

        async def set_status(tx: Transaction) -> Message | None:
            message = await fetch(tx, message_id)
            if message is None:
                return None
            if message.waiting:
                await tx.execute(sql.LEAVE, message.recipient)
            message = replace(message, status=status, failure=failure or message.failure)
            if status is Status.ACCEPTED:
                message = await _arrived_anew(tx, message, at)
            elif status is Status.ACKNOWLEDGED:
                message = replace(message, acknowledged_at=at)
            await _update(tx, message)
            return message

        return await self._database.write(set_status)

    async def reset(self) -> None:
        """Forget every message."""

        async def reset(tx: Transaction) -> None:
            for statement in sql.EMPTY:
                await tx.execute(statement)

        await self._database.write(reset)

    async def reset_mailbox(self, mailbox_id: str) -> None:
        """Empty one mailbox's inbox and outbox."""

        async def reset(tx: Transaction) -> None:
            for statement in (
                sql.FORGET_SUBMISSIONS_TO,
                sql.EMPTY_INBOX,
                sql.EMPTY_OUTBOX,
                sql.NONE_WAITING,
            ):
                await tx.execute(statement, mailbox_id)
            for row in await tx.fetch(sql.HELD_BY_NOBODY, mailbox_id):
                await _delete(tx, row[0])

        await self._database.write(reset)


async def _expire(
    tx: Transaction, message: Message, at: datetime, make_report: MakeReport
) -> tuple[Message, Message | None]:
    message = replace(message, status=advance(message.status, Step.EXPIRE))
    report = make_report(message)
    if message.message_type is MessageType.DATA:  # a report goes on saying what it is about
        linked = report.message_id if report else ""
        message = replace(message, failure=Failure(Codes.NOT_COLLECTED, at, linked))
    await _update(tx, message)
    await tx.execute(sql.LEAVE, message.recipient)
    return message, await insert(tx, report, []) if report else None


async def _arrived_anew(tx: Transaction, message: Message, at: datetime) -> Message:
    row = await tx.fetch_row(sql.BYTES_HERE, message.message_id)
    return replace(
        message,
        accepted_at=at,
        acknowledged_at=None,
        position=await arrive(tx, message.recipient),
        file_size=row[0] if row else 0,
        in_inbox=True,
    )


async def _update(tx: Transaction, message: Message) -> None:
    await tx.execute(
        sql.SET_STATUS,
        message.message_id,
        message.status.value,
        message.file_size,
        message.position,
        micros(message.accepted_at),
        micros(message.acknowledged_at),
        *failure_values(message.failure),
        int(message.in_inbox),
    )


def _delete_selected(statement: str, by: datetime, limit: int) -> Operation[list[str]]:
    async def delete(tx: Transaction) -> list[str]:
        ids = [row[0] for row in await tx.fetch(statement, micros(by), limit)]
        for message_id in ids:
            await _delete(tx, message_id)
        return ids

    return delete


async def _delete(tx: Transaction, message_id: str) -> None:
    message = await fetch(tx, message_id)
    if message is not None and message.waiting:
        await tx.execute(sql.LEAVE, message.recipient)
    for statement in (sql.DISCARD_CHUNKS, sql.DELETE_CHUNKS, sql.DELETE_MESSAGE, sql.DELETE_SUBMISSION):
        await tx.execute(statement, message_id)
