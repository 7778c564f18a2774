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
"""After so many changed rows: some four megabytes of log, with small bodies."""

_LOCK_TIMEOUT_S: Final = 1.0


class Checkpoints:
    """The checkpoints of one file, which has one writing connection in this process."""

    def __init__(self, path: Path, writer: sqlite3.Connection) -> None:
        writer.execute("PRAGMA wal_autocheckpoint = 0")
        self._path = path
        self._writer = writer
        self._connection: sqlite3.Connection | None = None  # most processes end before the first is due
        self._changes = 0
        self._thread: threading.Thread | None = None

    def after_commit(self) -> None:
        """Begin a checkpoint if one is due. To be called by whoever has just committed."""
        if self._writer.total_changes - self._changes < EVERY_CHANGES:
            return
        if self._thread is None or not self._thread.is_alive():
            self._changes = self._writer.total_changes
            self._thread = threading.Thread(target=self._run, name="mesh-sim-checkpoint", daemon=True)
            self._thread.start()

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
        except sqlite3.Error as error:
            # Nothing is lost: it all stays in the log, and there will be another time.
            log.warning("the write-ahead log could not be moved into its file: %s", error)
