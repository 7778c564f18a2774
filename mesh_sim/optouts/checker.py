"""A submitted list checked as it streams by: what is kept, and whether every record is valid."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from mesh_sim.optouts.snapshot import OptOutSnapshot
from ndoo.lists import NumberRule, RecordReader, read_records

_THREADS: Final = min(4, os.cpu_count() or 1)

_AHEAD: Final = 2
"""How many blocks may wait for each thread: enough for none to be idle, and no more than a megabyte."""

_THREAD_BYTES: Final = 128 * 1024
"""From this size on a block is worth a thread; a list of ten thousand numbers is done before one starts."""


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What came of one block of a list."""

    submitted: int
    kept: int
    records: bytes = field(repr=False)
    invalid: int = 0
    first_invalid: int = 0
    """Place of the first invalid record in the block, from 0; means nothing if none is invalid."""


class ListChecker:
    """Takes a list in pieces of any size, gives back the records of those who have not opted out.

    Order and duplicates stay as they came. After the first invalid record nothing more is read or
    given: the answer is one line then, whatever follows (ndoo-service.md, "What comes back", 3).

    The blocks of a long list are checked in threads while the next come in: what is given back, and
    what is known of the list, lags a few blocks behind until ``finish``.
    """

    def __init__(self, snapshot: OptOutSnapshot, rule: NumberRule, threads: int = _THREADS) -> None:
        """Begin a list.

        Args:
            snapshot: who has opted out.
            rule: what counts as a valid number.
            threads: how many blocks are checked at a time; 1 for no threads at all.
        """
        self._snapshot = snapshot
        self._rule = rule
        self._threads = threads
        # The list's own: its threads end with it, also where it is given up half-way.
        self._pool: ThreadPoolExecutor | None = None
        self._under_way: deque[Future[_Verdict]] = deque()
        self._reader = RecordReader(rule)
        self.submitted = 0
        """Records read so far, valid ones only."""
        self.kept = 0
        """Records given back so far."""
        self.invalid = 0
        """Invalid records in the first block that holds any; 0 while all are valid."""
        self.first_invalid: int | None = None
        """Line of the first invalid record, from 1; None while all are valid."""

    @property
    def acceptable(self) -> bool:
        """Whether the list read so far gets a checked answer: at least one record, all valid."""
        return self.submitted > 0 and self.first_invalid is None

    def feed(self, data: bytes) -> list[bytes]:
        """Check the next piece; give the records to keep."""
        return self._check(self._reader.cut(data))

    def finish(self) -> list[bytes]:
        """Check what the last line held; give all records to keep that were not given yet."""
        kept = self._check(self._reader.cut_last())
        while self._under_way:
            kept += self._settle(self._under_way.popleft().result())
        if self._pool is not None:
            self._pool.shutdown(wait=False)
        return kept

    def _check(self, blocks: Iterable[bytes]) -> list[bytes]:
        kept: list[bytes] = []
        for block in blocks:
            if self.first_invalid is not None:
                break
            if self._threads == 1 or (len(block) < _THREAD_BYTES and not self._under_way):
                kept += self._settle(self._judge(block))
                continue
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._threads, "mesh-sim-list")
            self._under_way.append(self._pool.submit(self._judge, block))
            if len(self._under_way) > self._threads * _AHEAD:
                kept += self._settle(self._under_way.popleft().result())
        return kept

    def _judge(self, block: bytes) -> _Verdict:
        """Check whole lines; of this object only what never changes is used."""
        records = read_records(block, self._rule)
        valid = records.valid
        if not valid.all():
            wrong = np.flatnonzero(~valid)
            return _Verdict(len(records), 0, b"", len(wrong), int(wrong[0]))
        keep = ~self._snapshot.opted_out(records.numbers)
        return _Verdict(len(records), int(np.count_nonzero(keep)), records.select(keep))

    def _settle(self, verdict: _Verdict) -> list[bytes]:
        if self.first_invalid is not None:
            return []
        if verdict.invalid:
            self.invalid = verdict.invalid
            self.first_invalid = self.submitted + verdict.first_invalid + 1
            return []
        self.submitted += verdict.submitted
        self.kept += verdict.kept
        return [verdict.records] if verdict.records else []
