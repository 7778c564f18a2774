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
from mesh_sim.storage.sqlite import connect
from ndoo.protocol import TOKEN_LIFETIME

_KEEP_MINUTES = int((2 * TOKEN_LIFETIME + timedelta(minutes=1)).total_seconds() // 60)


class UsedTokens:
    """The set of tokens that were used in the last four hours (section 5: two hours either side)."""

    def __init__(self, path: Path) -> None:
        self._connection = connect(path, synchronous="OFF")
        # Clustered by minute: inserts touch a few hot pages and forgetting is one range.
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS tokens (minute INTEGER, digest BLOB, PRIMARY KEY (minute, digest)) "
            "WITHOUT ROWID"
        )
        self._forgotten_before = 0

    def use(self, digest: bytes, *, minute: int, now_minute: int) -> bool:
        """Note a token as used; False if it was used before.

        ``minute`` is the token's own timestamp and ``now_minute`` the real time, both in minutes since 1970.

        Raises:
            StorageFailed: it could not be noted, as on a full disk.
        """
        oldest = now_minute - _KEEP_MINUTES
        try:
            if oldest > self._forgotten_before:
                self._connection.execute("DELETE FROM tokens WHERE minute < ?", (oldest,))
                self._forgotten_before = oldest
            cursor = self._connection.execute(
                "INSERT INTO tokens VALUES (?, ?) ON CONFLICT DO NOTHING", (minute, digest)
            )
        except sqlite3.OperationalError as error:
            raise StorageFailed(why=f"the token could not be noted as used: {error}") from error
        return cursor.rowcount == 1

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()
