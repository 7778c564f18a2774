"""What the control API set, in the database: the Documents port."""

from __future__ import annotations

from collections.abc import Callable

from mesh_sim.shared import Document
from mesh_sim.storage import sql
from mesh_sim.storage.database import Database, Transaction


class SqlDocuments:
    """The Documents port over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def document(self, name: str) -> Document | None:
        """Give one; None if it was never set."""
        row = await self._database.read(lambda tx: tx.fetch_row(sql.CONTROL, name))
        return Document(row[0], row[1]) if row else None

    async def change(self, name: str, edit: Callable[[str], str]) -> Document:
        """Set one to what ``edit`` makes of its content."""

        async def change(tx: Transaction) -> Document:
            row = await tx.fetch_row(sql.CONTROL, name)
            content = edit(row[1] if row else "")
            changed = await tx.fetch_row(sql.SET_CONTROL, name, content)
            assert changed is not None  # noqa: S101 - RETURNING of an upsert always gives its row
            return Document(changed[0], content)

        return await self._database.write(change)
