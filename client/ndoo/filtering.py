"""Keep the rows of a file whose NHS number may be used, byte for byte as they were."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias, cast

import numpy as np

from ndoo._preparing import MAX_SAMPLES, Survey
from ndoo.errors import ColumnError, ConfigError, InvalidNumbers, UnreadableList
from ndoo.lists import Fault, Mask, NumberRule, Numbers, NumberSet, RecordBlock, RecordReader
from ndoo.tables import NumberBlock, NumberList, Progress, kind_of, open_list, read_blocks

Copy: TypeAlias = Callable[[NumberBlock, Mask], object]

_MADE_OF: Final = {
    ".csv": frozenset({".csv", ".xlsx"}),
    ".tsv": frozenset({".tsv"}),
    ".txt": frozenset({".txt", ".dat"}),
    ".dat": frozenset({".txt", ".dat"}),
    ".xlsx": frozenset({".xlsx"}),
}
"""Endings of files that hold a list's rows, each with those of the lists it can be made of."""

Keep: TypeAlias = Callable[[Numbers], Mask]
"""Tells which of n NHS numbers to keep: ``NumberSet.contains``, ``TemporaryCache.contains``."""


def refuse_other_kind(source: Path, output: Path) -> None:
    """Refuse an output whose name is not that of what a list's rows make.

    Rows are copied as they are, so that they are of the list's kind; those of a workbook may become CSV.

    Raises:
        ConfigError: it is of another kind, or of none.
    """
    given, wanted = kind_of(source), output.suffix.lower()
    if given not in _MADE_OF.get(wanted, ()):
        raise ConfigError(
            f"{output}: {wanted or 'a file without an ending'} is not made of "
            f"a {given or 'file without an ending'}; name the output like the list"
        )


@dataclass(frozen=True, slots=True)
class FilterSummary:
    """What became of the rows; a header is not a row.

    ``rows`` is ``kept + removed + type_1 + blank + invalid``. A row that was to go for both reasons is
    among ``type_1``, and ``both`` says how many of these there are. Of the rows with a valid number,
    ``repaired`` had lost their leading zero; of the invalid ones, ``repairable`` have.
    """

    rows: int
    kept: int
    removed: int
    blank: int
    invalid: int
    type_1: int = 0
    both: int = 0
    repaired: int = 0
    repairable: int = 0


@dataclass(frozen=True, slots=True)
class Type1List:
    """A practice's own list of Type 1 opt-outs: their numbers, and the rows that had none.

    ``repaired`` of its rows had lost their leading zero.
    """

    numbers: NumberSet
    blank: int
    repaired: int


def filter_csv(  # noqa: PLR0913 -- the reading's own options
    source: Path,
    out: BinaryIO,
    keep: Keep | None,
    *,
    exclude: Keep | None = None,
    column: str | None = None,
    rule: NumberRule = NumberRule.CHECKSUM,
    repair: bool = False,
    as_workbook: bool = False,
    progress: Progress | None = None,
) -> FilterSummary:
    """Copy a file without the rows whose NHS number is not to be kept.

    The header, and what is kept, is copied as it stands: encoding, byte-order mark, delimiter, quotes,
    line endings. A row without a valid number is left out, for nobody can say that it may be used. Of a
    workbook the sheet with the NHS numbers is copied, as CSV in UTF-8 or as a workbook.

    Args:
        source: a table, or a .dat or .txt with one number a line; see ``open_list``.
        out: takes the bytes, uncompressed.
        keep: asked about the valid numbers, some thousands at a time; None to keep them all.
        exclude: the same, for those to leave out whatever ``keep`` says: the Type 1 opt-outs.
        column: the NHS-number column of a table; see ``open_list``.
        rule: what counts as a valid number.
        repair: judge a number that lost its leading zero as if it were there; the row stays as it is.
        as_workbook: write a workbook with the values, number formats and dates of the rows.
        progress: told how far the file has been read.

    Raises:
        UnreadableList: the file cannot be read; or it is no workbook, and one is to be written.
        ColumnError: a table whose NHS-number column cannot be told.
        CacheExpired: ``keep`` is of a cache that expired on the way.
    """
    numbers = open_list(source, column, rule, progress=progress)
    survey = Survey(repair=repair)
    kept = type_1 = both = 0
    with _copying(numbers, out, as_workbook=as_workbook) as copy:
        for block in numbers:
            chosen = survey.take(block)
            asked = block.numbers[chosen]
            wanted = np.ones(len(asked), np.bool_) if keep is None else keep(asked)
            if exclude is not None:
                excluded = exclude(asked)
                type_1 += int(np.count_nonzero(excluded))
                both += int(np.count_nonzero(excluded & ~wanted))
                wanted = wanted & ~excluded
            chosen[chosen] = wanted
            copy(block, chosen)
            kept += int(np.count_nonzero(wanted))
    return FilterSummary(
        rows=survey.rows,
        kept=kept,
        removed=survey.records - kept - type_1,
        blank=survey.blank,
        invalid=survey.invalid,
        type_1=type_1,
        both=both,
        repaired=survey.repaired,
        repairable=survey.repairable,
    )


@contextmanager
def _copying(numbers: NumberList, out: BinaryIO, *, as_workbook: bool) -> Iterator[Copy]:
    """Write what stands above the rows of a list, and give what copies the rows to keep of a block."""
    if not as_workbook:
        out.write(numbers.header)
        yield lambda block, chosen: out.write(block.select(chosen))
        return
    from ndoo._workbook import WorkbookList, copying_rows  # noqa: PLC0415 -- loads slowly

    if not isinstance(numbers, WorkbookList):
        raise UnreadableList(
            numbers.path, "is no workbook, so that none can be made of it; name the output like the list"
        )
    with copying_rows(numbers, out) as copy:
        yield cast("Copy", copy)  # the blocks of a WorkbookList are what it takes


def read_type_1(
    path: Path,
    *,
    column: str | None = None,
    rule: NumberRule = NumberRule.CHECKSUM,
    repair: bool = False,
) -> Type1List:
    """Read a practice's own list of Type 1 opt-outs, for use with ``filter_csv``.

    Args:
        path: any file of NHS numbers; see ``open_list``.
        column: the NHS-number column of a table.
        rule: what counts as a valid number.
        repair: put back the leading zero that spreadsheets drop, where that makes a valid number.

    Raises:
        InvalidNumbers: any number is invalid. It is somebody's objection, and must not be lost.
        UnreadableList: the file cannot be read, or holds no NHS number at all.
        ColumnError: a table whose NHS-number column cannot be told; or a workbook with hidden sheets that
            may hold more of the list, and no sheet chosen.
    """
    listed = open_list(path, column, rule)
    if listed.overlooked:
        raise ColumnError(
            path,
            f"hidden sheets may hold more of the list: {', '.join(map(repr, listed.overlooked))}; choose a "
            "sheet with --column 'SHEET!', or put all rows on one",
            (),
        )
    survey = Survey(repair=repair)
    numbers = NumberSet.from_arrays(block.numbers[survey.take(block)] for block in listed)
    if survey.invalid:
        raise survey.refusal(path)
    if not len(numbers):
        raise UnreadableList(path, "holds no NHS numbers; without Type 1 opt-outs leave it out")
    return Type1List(numbers, survey.blank, survey.repaired)


def read_answer(path: Path) -> NumberSet:
    """Read a cleaned list, as the service answered it, for use with ``filter_csv``.

    Check digits are not looked at again: the service has judged the numbers by its own rule. The
    single line feed that answers a list of opted-out people only is an empty set.

    Raises:
        InvalidNumbers: the file is not a cleaned list.
        UnreadableList: the file cannot be read.
    """
    invalid = 0
    samples: list[tuple[int, str]] = []

    def numbers(block: RecordBlock) -> Numbers:
        nonlocal invalid
        wrong = np.flatnonzero(block.faults)
        invalid += len(wrong)
        samples.extend(
            (block.first_line + int(index), Fault(block.faults[index]).reason)
            for index in wrong[: MAX_SAMPLES - len(samples)]
        )
        return block.numbers

    blocks = RecordReader(NumberRule.DIGITS, answer=True).read(read_blocks(path))
    answer = NumberSet.from_arrays(numbers(block) for block in blocks)
    if invalid:
        raise InvalidNumbers(path, invalid, samples)
    return answer
