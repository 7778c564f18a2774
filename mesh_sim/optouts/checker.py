"""A submitted list checked as it streams by: what is kept, and whether every record is valid."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mesh_sim.optouts.snapshot import OptOutSnapshot
from ndoo.lists import NumberRule, RecordBlock, RecordReader


class ListChecker:
    """Takes a list in pieces of any size, gives back the records of those who have not opted out.

    Order and duplicates stay as they came. After the first invalid record nothing more is read or
    given: the answer is one line then, whatever follows (ndoo-service.md, "What comes back", 3).
    """

    def __init__(self, snapshot: OptOutSnapshot, rule: NumberRule) -> None:
        self._snapshot = snapshot
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
        return [] if self.first_invalid is not None else self._keep(self._reader.feed(data))

    def finish(self) -> list[bytes]:
        """Check what the last line held; give it if it is to be kept."""
        return [] if self.first_invalid is not None else self._keep(self._reader.finish())

    def _keep(self, blocks: Iterator[RecordBlock]) -> list[bytes]:
        kept = []
        for block in blocks:
            valid = block.valid
            if not valid.all():
                wrong = np.flatnonzero(~valid)
                self.invalid = len(wrong)
                self.first_invalid = block.first_line + int(wrong[0])
                return []
            keep = ~self._snapshot.opted_out(block.numbers)
            self.submitted += len(keep)
            self.kept += int(np.count_nonzero(keep))
            records = block.select(keep)
            if records:
                kept.append(records)
        return kept
