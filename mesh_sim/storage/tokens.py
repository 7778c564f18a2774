"""Used authorization tokens, so that each is good for one request, over restarts too.

They live in a file of their own without an fsync for each: a process that is killed forgets nothing, and
only a power cut may forget the last moments, which the two-hour limit bounds. Answering a request thus
never waits for the disk on its token's account.

The tokens of all requests that came in together share one transaction, and each request goes on when its
token is in the file: a transaction costs several times what a row does.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from mesh_sim.exchange.errors import StorageFailed
from mesh_sim.storage import sql
from mesh_sim.storage.checkpoints import Checkpoints
from mesh_sim.storage.connection import closed_on_error, connect, is_busy
from mesh_sim.storage.times import from_micros, micros
from ndoo.protocol import TOKEN_LIFETIME

_KEEP_MINUTES: Final = int((2 * TOKEN_LIFETIME + timedelta(minutes=1)).total_seconds() // 60)
_TRIES: Final = 2000
_PAUSE_S: Final = 0.005


@dataclass(slots=True)
class _Wish:
    """A token to be noted as used at ``used_at``, or with None to be forgotten."""

    minute: int
    digest: bytes
    used_at: int | None
    done: asyncio.Future[int | None]
    """Gives when the token was used first, if it was used before."""


class SqliteTokens:
    """The exchange's UsedTokens port over a file of its own. To be used from one event loop."""

    def __init__(self, path: Path) -> None:
        # In WAL mode NORMAL writes without fsync, and unlike OFF cannot damage the file in a power cut. It
        # never waits for another process's lock inside a call, which would hold up the event loop.
        self._connection = connect(path, synchronous="NORMAL", timeout=0.0)
        with closed_on_error(self._connection):
            self._connection.execute(sql.TOKENS)
            self._checkpoints = Checkpoints(path, self._connection)
        self._forgotten_before = 0
        self._wishes: list[_Wish] = []
        self._refusals = 0
        self._owed: set[tuple[int, bytes]] = set()
        """Tokens that are good again, although the file had no room to say so."""

    async def use(self, digest: bytes, *, minute: int, now: datetime) -> datetime | None:
        """Note a token as used; give the time of its first use if it was used before.

        ``minute`` is the token's own timestamp, in minutes since 1970; ``now`` is real time.

        Raises:
            StorageFailed: it could not be noted, as on a full disk.
        """
        return from_micros(await self._wish(minute, digest, micros(now)))

    async def forget(self, digest: bytes, *, minute: int) -> None:
        """Make a token good again whose request came to nothing; on a full disk, until the next start."""
        try:
            await self._wish(minute, digest, None)
        except StorageFailed:
            self._owed.add((minute, digest))

    def close(self) -> None:
        """Let go of the file."""
        self._fail("the file of used tokens is closed")
        self._checkpoints.close()
        self._connection.close()

    def _wish(self, minute: int, digest: bytes, used_at: int | None) -> asyncio.Future[int | None]:
        loop = asyncio.get_running_loop()
        wish = _Wish(minute, digest, used_at, loop.create_future())
        self._wishes.append(wish)
        if len(self._wishes) == 1:
            loop.call_soon(self._grant)  # after the other requests that are being begun at this moment
        return wish.done

    def _grant(self) -> None:
        """Write what is wished for, or set out to try again while another process holds the file."""
        wishes = self._wishes
        if not wishes:  # closed in between
            return
        owed = set(self._owed)
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            first_uses = [self._apply(wish) for wish in wishes]
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._owed = owed
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            if is_busy(error) and self._refusals < _TRIES:
                self._refusals += 1
                asyncio.get_running_loop().call_later(_PAUSE_S, self._grant)
            else:
                self._fail(f"the used token could not be noted: {error}")
            return
        self._checkpoints.after_commit()
        self._wishes, self._refusals = [], 0
        for wish, first_used in zip(wishes, first_uses, strict=True):
            if not wish.done.done():  # or its request was given up
                wish.done.set_result(first_used)

    def _apply(self, wish: _Wish) -> int | None:
        if wish.used_at is None:
            self._connection.execute(sql.FORGET_TOKEN, (wish.minute, wish.digest))
            return None
        oldest = wish.used_at // 60_000_000 - _KEEP_MINUTES
        if oldest > self._forgotten_before:
            self._connection.execute(sql.FORGET_TOKENS, (oldest,))
            self._forgotten_before = oldest
            self._owed = {owed for owed in self._owed if owed[0] >= oldest}
        used = self._connection.execute(sql.USE_TOKEN, (wish.minute, wish.digest, wish.used_at))
        if used.rowcount == 1:
            return None
        if (wish.minute, wish.digest) in self._owed:
            self._owed.remove((wish.minute, wish.digest))
            return None
        (first_used,) = self._connection.execute(sql.TOKEN_USED_AT, (wish.minute, wish.digest)).fetchone()
        return int(first_used)

    def _fail(self, why: str) -> None:
        wishes, self._wishes, self._refusals = self._wishes, [], 0
        for wish in wishes:
            if not wish.done.done():
                wish.done.set_exception(StorageFailed(why=why))
