"""Many writes, one commit: what waits together is written together, and one fsync serves all of it.

Sixteen senders waiting at once cost one fsync, not sixteen. A thread of its own commits, and so does the
waiting. The statements of short operations run on the event loop's thread before that: they take less time
than two threads need to take turns at each of them. A group with a long operation in it, or one that finds
another process writing, is left to the thread altogether.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from mesh_sim.storage.checkpoints import Checkpoints
from mesh_sim.storage.connection import LOCK_TIMEOUT_S, SqliteTransaction, failed, is_busy, run_to_end
from mesh_sim.storage.database import Operation

T = TypeVar("T")

GROUP_LIMIT: Final = 256
"""How many operations share one commit at the most."""

_LOOK_AGAIN_S: Final = 0.005


@dataclass(slots=True)
class _Job:
    operation: Operation[Any]
    short: bool
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class _Group:
    jobs: list[_Job]
    applied: bool
    """Whether it has only to be committed."""
    loop: asyncio.AbstractEventLoop


class GroupedCommits:
    """The writes to one connection, which nothing else may use. To be used from one event loop."""

    def __init__(self, connection: sqlite3.Connection, checkpoints: Checkpoints) -> None:
        # A wait inside a call would hold up the event loop.
        connection.execute("PRAGMA busy_timeout = 0")
        self._connection = connection
        self._checkpoints = checkpoints
        self._transaction = SqliteTransaction(connection)
        self._waiting: deque[_Job] = deque()
        self._idle = asyncio.Event()
        self._idle.set()
        self._groups: queue.SimpleQueue[_Group | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._commit_groups, name="mesh-sim-writer", daemon=True)
        self._thread.start()

    async def write(self, operation: Operation[T], *, short: bool) -> T:
        """Run an operation in the next commit; if it raises, nothing of it stays."""
        loop = asyncio.get_running_loop()
        job = _Job(operation, short, loop.create_future())
        self._waiting.append(job)
        if self._idle.is_set():
            self._idle.clear()
            loop.call_soon(self._begin_group, loop)  # after whoever is about to write at this moment too
        result: T = await job.future
        return result

    async def close(self) -> None:
        """Commit what is waiting, and end the thread."""
        await self._idle.wait()
        self._groups.put(None)
        await asyncio.to_thread(self._thread.join)
        await asyncio.to_thread(self._checkpoints.close)

    # -- on the event loop's thread -----------------------------------------------------------------

    def _begin_group(self, loop: asyncio.AbstractEventLoop) -> None:
        jobs = [self._waiting.popleft() for _ in range(min(len(self._waiting), GROUP_LIMIT))]
        applied = all(job.short for job in jobs) and self._is_applied_at_once(jobs)
        self._groups.put(_Group(jobs, applied, loop))

    def _is_applied_at_once(self, jobs: list[_Job]) -> bool:
        try:
            self._begin()
        except sqlite3.Error:  # another process is writing; or worse, which the thread will see too
            return False
        if self._are_applied(jobs):
            return True
        self._roll_back()
        return False

    def _end_group(self, group: _Group) -> None:
        for job in group.jobs:
            if job.future.done():  # its caller was cancelled
                continue
            if job.error is not None:
                job.future.set_exception(job.error)
            else:
                job.future.set_result(job.result)
        if self._waiting:
            self._begin_group(group.loop)
        else:
            self._idle.set()

    # -- on the thread that commits -----------------------------------------------------------------

    def _commit_groups(self) -> None:
        while (group := self._groups.get()) is not None:
            self._commit(group)
            # The loop may have been closed meanwhile; then nobody is waiting any more.
            with contextlib.suppress(RuntimeError):
                group.loop.call_soon_threadsafe(self._end_group, group)

    def _commit(self, group: _Group) -> None:
        try:
            if not group.applied:
                self._apply(group.jobs)
            self._connection.execute("COMMIT")
            self._checkpoints.after_commit()
        except sqlite3.Error as error:
            self._roll_back()
            for job in group.jobs:
                job.error = failed(error)  # also of one that was refused: for what has been undone, maybe

    def _apply(self, jobs: list[_Job]) -> None:
        self._begin_when_free()
        if self._are_applied(jobs):
            return
        self._roll_back()
        self._begin_when_free()
        for job in jobs:
            self._apply_apart(job)

    def _begin_when_free(self) -> None:
        deadline = time.monotonic() + LOCK_TIMEOUT_S
        while True:
            try:
                return self._begin()
            except sqlite3.Error as error:
                if not is_busy(error) or time.monotonic() > deadline:
                    raise
            time.sleep(_LOOK_AGAIN_S)

    # -- on either ----------------------------------------------------------------------------------

    def _begin(self) -> None:
        # IMMEDIATE, so that a second process on the same file is met here and not halfway through.
        self._connection.execute("BEGIN IMMEDIATE")

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("ROLLBACK")

    def _are_applied(self, jobs: list[_Job]) -> bool:
        """Run jobs without a savepoint each, which hardly any needs; tell whether none has to be undone."""
        for job in jobs:
            changes = self._connection.total_changes
            try:
                job.result = run_to_end(job.operation(self._transaction))
            except sqlite3.Error:
                return False
            except Exception as error:  # noqa: BLE001 - it is raised again, where the operation was awaited
                if self._connection.total_changes != changes:
                    return False
                job.error = error
        return True

    def _apply_apart(self, job: _Job) -> None:
        """Run one job so that nothing of it stays if it raises."""
        job.error = None
        self._connection.execute("SAVEPOINT job")
        try:
            job.result = run_to_end(job.operation(self._transaction))
        except sqlite3.Error as error:
            if not self._connection.in_transaction:  # the engine gave up the whole group, as on a full disk
                raise
            job.error = failed(error)
        except Exception as error:  # noqa: BLE001 - the same as above
            job.error = error
        if job.error is not None:
            self._connection.execute("ROLLBACK TO job")
        self._connection.execute("RELEASE job")
