"""Turning a person's file of NHS numbers into the list to submit."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from ndoo._cells import accepted
from ndoo.errors import InvalidNumbers, UnreadableList
from ndoo.lists import Fault, Mask, NumberRule, Numbers, format_records
from ndoo.tables import NumberBlock, Progress, open_list

MAX_SAMPLES: Final = 20
"""How many invalid records are named by line and reason."""

_PIECE: Final = 65_536


class Survey:
    """Counts what is in a list, block by block, and remembers where the first invalid rows are.

    ``rows`` is ``records + blank + invalid``; ``repaired`` of the records, and ``repairable`` of the
    invalid rows, had lost their leading zero.
    """

    def __init__(self, *, repair: bool = False) -> None:
        self._repair = repair
        self.rows = self.records = self.blank = self.invalid = self.repaired = self.repairable = 0
        self.samples: list[tuple[int, str]] = []
        """Line and reason of the first invalid rows, ``MAX_SAMPLES`` at the most."""

    def take(self, block: NumberBlock) -> Mask:
        """Count the rows of the next block; tells which have a number that counts, shape (n,)."""
        chosen = accepted(block.faults, repair=self._repair)
        records = int(np.count_nonzero(chosen))
        self.rows += len(block)
        self.records += records
        if records < len(block) or self._repair:
            self._count_faults(block, chosen)
        return chosen

    def _count_faults(self, block: NumberBlock, chosen: Mask) -> None:
        lost = int(np.count_nonzero(block.faults == Fault.LOST_ZERO))
        if self._repair:
            self.repaired += lost
        else:
            self.repairable += lost
        self.blank += int(np.count_nonzero(block.faults == Fault.BLANK))
        wrong = np.flatnonzero(~chosen & (block.faults != Fault.BLANK))
        self.invalid += len(wrong)
        self.samples += [
            (int(block.lines[index]), Fault(block.faults[index]).reason)
            for index in wrong[: MAX_SAMPLES - len(self.samples)]
        ]

    def refusal(self, path: Path) -> InvalidNumbers:
        """Make the error that refuses the file for its invalid rows."""
        return InvalidNumbers(path, self.invalid, self.samples, self.repairable)


@dataclass(frozen=True, slots=True)
class ListSummary:
    """What was in a list.

    ``records`` were written; ``duplicates`` are rows left out because their number had been written
    before; blank rows and invalid ones, of which ``samples`` names the first by line and reason.
    ``repaired`` of the rows with a valid number had lost their leading zero.
    """

    records: int
    blank: int
    invalid: int
    samples: tuple[tuple[int, str], ...]
    duplicates: int = 0
    repaired: int = 0


def prepare_list(
    source: Path,
    out: BinaryIO,
    *,
    column: str | None = None,
    rule: NumberRule = NumberRule.CHECKSUM,
    skip_invalid: bool = False,
    repair: bool = False,
    progress: Progress | None = None,
) -> ListSummary:
    """Turn any file of NHS numbers into the records to submit (ndoo-service.md, "The exchange").

    Blank rows are left out, and so are numbers that came before. What is in ``out`` is of use only if
    nothing is raised. Takes 16 bytes of memory a row.

    Args:
        source: the file; see ``open_list``.
        out: takes the records from where it stands, ``9991234567,`` and a line feed each, in the file's
            order; must be seekable.
        column: the NHS-number column of a table.
        rule: what counts as a valid number.
        skip_invalid: leave rows with invalid numbers out instead of refusing the file.
        repair: put back the leading zero that spreadsheets drop, where that makes a valid number.
        progress: told how far the file has been read.

    Raises:
        InvalidNumbers: after the whole file was read, so that the count is that of the file.
        UnreadableList: the file cannot be read, or holds no NHS number at all.
        ColumnError: a table whose NHS-number column cannot be told.
    """
    start = out.tell()
    survey = Survey(repair=repair)
    written = array("q")
    for block in open_list(source, column, rule, progress=progress):
        numbers = block.numbers[survey.take(block)]
        out.write(format_records(numbers))
        written.frombytes(numbers.tobytes())
    if survey.invalid and not skip_invalid:
        raise survey.refusal(source)
    if not written:
        raise UnreadableList(source, "holds no NHS numbers; is it the right file and column (--column)?")
    numbers = np.frombuffer(written, np.int64)
    records = len(numbers)
    if len(repeated := _repeated(numbers)):
        out.seek(start)
        records = 0
        for piece in _once_each(numbers, repeated):
            out.write(format_records(piece))
            records += len(piece)
        out.truncate()
    return ListSummary(
        records,
        survey.blank,
        survey.invalid,
        tuple(survey.samples),
        duplicates=survey.records - records,
        repaired=survey.repaired,
    )


def _repeated(numbers: Numbers) -> Numbers:
    """List the numbers that occur more than once, ascending."""
    ordered = np.sort(numbers)
    again = ordered[1:] == ordered[:-1]
    second = again & ~np.append(False, again[:-1])
    repeated: Numbers = ordered[1:][second]
    return repeated


def _once_each(numbers: Numbers, repeated: Numbers) -> Iterator[Numbers]:
    """Give the numbers in their order, in pieces, those that are ``repeated`` the first time only."""
    seen = np.zeros(len(repeated), np.bool_)
    for start in range(0, len(numbers), _PIECE):
        piece = numbers[start : start + _PIECE]
        place = np.minimum(np.searchsorted(repeated, piece), len(repeated) - 1)
        doubtful = np.flatnonzero(repeated[place] == piece)
        which, first = np.unique(place[doubtful], return_index=True)
        keep = np.ones(len(piece), np.bool_)
        keep[doubtful] = False
        keep[doubtful[first]] = ~seen[which]
        seen[which] = True
        yield piece[keep]
