"""The opt-out register's choices in a database, packed: a bulk load of millions is a few dozen rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from mesh_sim.optouts.register import Channel, ChoiceBatch
from mesh_sim.storage import sql
from mesh_sim.storage.database import Database, Row, Transaction
from mesh_sim.storage.times import from_micros, micros

_PACKED: Final = np.dtype("<i8")


class SqlChoices:
    """The Choices port over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, batches: Sequence[ChoiceBatch]) -> None:
        """Record choices durably, all of them or none."""
        rows = [
            (
                int(batch.opted_out),
                micros(batch.registered_at),
                batch.channel.value,
                int(batch.numbers[0]),
                int(batch.numbers[-1]),
                batch.numbers.astype(_PACKED).tobytes(),
            )
            for batch in batches
        ]

        async def record(tx: Transaction) -> None:
            allotted = await tx.fetch_row(sql.ALLOT_CHOICES, len(rows))
            assert allotted is not None  # noqa: S101 - RETURNING of an upsert always gives its row
            first = allotted[0] - len(rows) + 1
            await tx.execute_many(
                sql.INSERT_CHOICES, [(first + place, *row) for place, row in enumerate(rows)]
            )

        await self._database.write(record)

    async def version(self) -> int:
        """Give the last choice's id; 0 while there are none."""
        row = await self._database.read(lambda tx: tx.fetch_row(sql.LAST_CHOICE))
        return row[0] if row else 0

    async def recorded(self) -> tuple[int, Sequence[ChoiceBatch]]:
        """Give all choices in the order recorded, with the version that they make up."""

        async def everything(tx: Transaction) -> tuple[Row | None, Sequence[Row]]:
            return await tx.fetch_row(sql.LAST_CHOICE), await tx.fetch(sql.CHOICES)

        last, rows = await self._database.read(everything)
        return (last[0] if last else 0), [_batch(row) for row in rows]

    async def clear(self) -> None:
        """Forget all choices."""

        async def clear(tx: Transaction) -> None:
            await tx.fetch_row(sql.ALLOT_CHOICES, 1)  # a version of its own, so that snapshots are made anew
            await tx.execute(sql.CLEAR_CHOICES)

        await self._database.write(clear)

    async def around(self, number: int) -> Sequence[ChoiceBatch]:
        """Give the batches that may hold this number, in the order recorded."""
        rows = await self._database.read(lambda tx: tx.fetch(sql.CHOICES_AROUND, number))
        return [_batch(row) for row in rows]

    async def by_channel(self) -> Mapping[tuple[Channel, bool], int]:
        """Count the choices made in each way, without reading their numbers."""
        rows = await self._database.read(lambda tx: tx.fetch(sql.CHOICES_BY_CHANNEL))
        return {(Channel(channel), bool(opted_out)): int(count) for channel, opted_out, count in rows}


def _batch(row: Row) -> ChoiceBatch:
    _, opted_out, registered_at, channel, packed = row
    numbers = np.frombuffer(packed, _PACKED).astype(np.int64, copy=False)
    return ChoiceBatch(bool(opted_out), from_micros(registered_at), Channel(channel), numbers)
