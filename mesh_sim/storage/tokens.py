"""Used authorization tokens, so that each is good for one request, over restarts too.

They live in a file of their own without an fsync for each: a process that is killed forgets nothing, and
only a power cut may forget the last moments, which the two-hour limit bounds. Answering a request thus
never waits for the disk on its token's account.
"""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from mesh_sim.exchange.errors import StorageFailed
from mesh_sim.storage import sql
from mesh_sim.storage.sqlite import closed_on_error, connect
from mesh_sim.storage.times import from_micros, micros
from ndoo.protocol import TOKEN_LIFETIME

_KEEP_MINUTES: Final = int((2 * TOKEN_LIFETIME + timedelta(minutes=1)).total_seconds() // 60)
_TRIES: Final = 500
_PAUSE_S: Final = 0.02


class SqliteTokens:
    """The exchange's UsedTokens port over a file of its own."""

    def __init__(self, path: Path) -> None:
        # In WAL mode NORMAL writes without fsync, and unlike OFF cannot damage the file in a power cut. It
        # never waits for another process's lock inside a call, which would hold up the event loop.
        self._connection = connect(path, synchronous="NORMAL", timeout=0.0)
        with closed_on_error(self._connection):
            self._connection.execute(sql.TOKENS)
        self._forgotten_before = 0

    async def use(self, digest: bytes, *, minute: int, now: datetime) -> datetime | None:
        """Note a token as used; give the time of its first use if it was used before.

        ``minute`` is the token's own timestamp, in minutes since 1970; ``now`` is real time.

        Raises:
            StorageFailed: it could not be noted, as on a full disk.
        """
        oldest = int(now.timestamp()) // 60 - _KEEP_MINUTES
        if oldest > self._forgotten_before:
            await self._run(sql.FORGET_TOKENS, oldest)
            self._forgotten_before = oldest
        while (await self._run(sql.USE_TOKEN, minute, digest, micros(now))).rowcount != 1:
            row = (await self._run(sql.TOKEN_USED_AT, minute, digest)).fetchone()
            if row is not None:  # or it was made good again in between
                return from_micros(int(row[0]))
        return None

    async def forget(self, digest: bytes, *, minute: int) -> None:
        """Make a token good again whose request came to nothing.

        Raises:
            StorageFailed: it could not be forgotten.
        """
        await self._run(sql.FORGET_TOKEN, minute, digest)

    async def _run(self, statement: str, *values: int | bytes) -> sqlite3.Cursor:
        """Run a statement, waiting outside of it while another process holds the file."""
        for last in (*[False] * _TRIES, True):
            try:
                return self._connection.execute(statement, values)
            except sqlite3.DatabaseError as error:
                if last or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise StorageFailed(why=f"the used token could not be noted: {error}") from error
            await asyncio.sleep(_PAUSE_S)
        raise AssertionError  # the last try returns or raises

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()
