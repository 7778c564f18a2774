"""Used authorization tokens, so that each is good for one request, over restarts too.

They live in a file of their own without fsync: a process that is killed forgets nothing, and only a power
cut may forget the last moments, which the two-hour limit bounds. Answering a request thus never waits for
the disk on its token's account.
"""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path

from mesh_sim.exchange.errors import StorageFailed
from mesh_sim.storage import sql
from mesh_sim.storage.sqlite import connect
from ndoo.protocol import TOKEN_LIFETIME

_KEEP_MINUTES = int((2 * TOKEN_LIFETIME + timedelta(minutes=1)).total_seconds() // 60)


class SqliteTokens:
    """The exchange's UsedTokens port over a file of its own."""

    def __init__(self, path: Path) -> None:
        self._connection = connect(path, synchronous="OFF")
        self._connection.execute(sql.TOKENS)
        self._forgotten_before = 0

    async def use(self, digest: bytes, *, minute: int, now_minute: int) -> bool:
        """Note a token as used; False if it was used before.

        ``minute`` is the token's own timestamp and ``now_minute`` the real time, both in minutes since 1970.

        Raises:
            StorageFailed: it could not be noted, as on a full disk.
        """
        oldest = now_minute - _KEEP_MINUTES
        try:
            if oldest > self._forgotten_before:
                self._connection.execute(sql.FORGET_TOKENS, (oldest,))
                self._forgotten_before = oldest
            cursor = self._connection.execute(sql.INSERT_TOKENS, (minute, digest))
        except sqlite3.OperationalError as error:
            raise StorageFailed(why=f"the token could not be noted as used: {error}") from error
        return cursor.rowcount == 1

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()
