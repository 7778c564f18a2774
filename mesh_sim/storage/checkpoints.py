"""Moving what a file's write-ahead log holds into the file itself, behind the writers' backs.

SQLite does it within the commit that makes the log long, and waits for the disk twice: whoever happens to
write at that moment waits with it. Here a thread does it over a connection of its own. It first moves what
it can while the others go on writing, and then keeps them out for the little that came meanwhile: without
that, a log that is always being written to would never begin anew.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from pathlib import Path
from typing import Final

from mesh_sim.storage.connection import connect

log = logging.getLogger("mesh_sim.storage")

EVERY_CHANGES: Final = 4000
"""After so many changed rows: some ten megabytes of log, with small bodies."""

_AT_THE_LATEST_PAGES: Final = 32_768
"""From so many pages of log on, 128 MB, SQLite does it itself, within a commit: rows may be large."""

_LOCK_TIMEOUT_S: Final = 1.0


class Checkpoints:
    """The checkpoints of one file, which has one writing connection in this process."""

    def __init__(self, path: Path, writer: sqlite3.Connection) -> None:
        writer.execute(f"PRAGMA wal_autocheckpoint = {_AT_THE_LATEST_PAGES}")
        self._path = path
        self._writer = writer
        self._connection: sqlite3.Connection | None = None  # most processes end before the first is due
        self._changes = 0
        self._thread: threading.Thread | None = None

    def after_commit(self) -> None:
        """Begin a checkpoint if one is due. To be called by whoever has just committed."""
        # A 32-bit number in C, which wraps around after some days of full load.
        if (self._writer.total_changes - self._changes) & 0xFFFF_FFFF < EVERY_CHANGES:
            return
        if self._thread is None or not self._thread.is_alive():
            self._changes = self._writer.total_changes
            thread = threading.Thread(target=self._run, name="mesh-sim-checkpoint", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # there are too many threads; whoever commits must go on
                _log_failure(error)
            else:
                self._thread = thread

    def close(self) -> None:
        """Wait for the one that is under way, and let go of the file."""
        if self._thread is not None:
            self._thread.join()
        if self._connection is not None:
            self._connection.close()

    def _run(self) -> None:
        try:
            if self._connection is None:
                self._connection = connect(self._path, synchronous="NORMAL", timeout=_LOCK_TIMEOUT_S)
            for mode in ("PASSIVE", "RESTART"):
                self._connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
        except (sqlite3.Error, OSError) as error:
            _log_failure(error)


def _log_failure(error: Exception) -> None:
    # Nothing is lost: it all stays in the log, and there will be another time.
    log.warning("the write-ahead log could not be moved into its file: %s", error)
