"""Clearing away bodies that no message names: what a crash or a chunk sent again left behind."""

from __future__ import annotations

from collections.abc import Sequence

from mesh_sim.exchange.messages import Stored
from mesh_sim.storage import sql
from mesh_sim.storage.database import Database, Operation, Transaction
from mesh_sim.storage.files import FilePayloads


async def sweep_orphans(database: Database, payloads: FilePayloads) -> int:
    """Delete every body without a row; give how many there were.

    Only for a process that is alone with the folder: another one may be about to write the row.
    """
    await payloads.drop_unfinished()
    keys = await payloads.keys()
    orphans: list[str] = []
    for start in range(0, len(keys), 1000):
        orphans += await database.read(_unknown(keys[start : start + 1000]))
    await payloads.delete([Stored(key) for key in orphans])
    return len(orphans)


def _unknown(keys: Sequence[str]) -> Operation[list[str]]:
    async def select(tx: Transaction) -> list[str]:
        return [key for key in keys if await tx.fetch_row(sql.PAYLOAD_KNOWN, key) is None]

    return select


async def delete_discarded(database: Database, payloads: FilePayloads) -> int:
    """Delete every body that was replaced or whose message is gone; give how many there were.

    Their files go first, so that none is forgotten while it exists.
    """
    total = 0
    while rows := await database.read(lambda tx: tx.fetch(sql.DISCARDED)):
        keys = [str(row[0]) for row in rows]
        await payloads.delete([Stored(key) for key in keys])
        await database.write(_forget(keys))
        total += len(keys)
    return total


def _forget(keys: Sequence[str]) -> Operation[None]:
    async def forget(tx: Transaction) -> None:
        await tx.execute_many(sql.FORGET_DISCARDED, [(key,) for key in keys])

    return forget
