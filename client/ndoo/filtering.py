"""Keep the rows of a file whose NHS number may be used, byte for byte as they were."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np

from ndoo.errors import InvalidNumbers
from ndoo.lists import Fault, Mask, NumberRule, Numbers, NumberSet, RecordBlock, RecordReader
from ndoo.tables import MAX_SAMPLES, open_list, read_blocks

Keep: TypeAlias = Callable[[Numbers], Mask]
"""Tells which of n NHS numbers to keep: ``NumberSet.contains``, ``TemporaryCache.contains``."""


@dataclass(frozen=True, slots=True)
class FilterSummary:
    """What became of the rows; ``rows`` is the sum of the other four. A header is not a row."""

    rows: int
    kept: int
    removed: int
    blank: int
    invalid: int


def filter_csv(
    source: Path,
    out: BinaryIO,
    keep: Keep,
    *,
    column: str | None = None,
    rule: NumberRule = NumberRule.CHECKSUM,
) -> FilterSummary:
    """Copy a file without the rows whose NHS number is not to be kept.

    The header, and what is kept, is copied as it stands: encoding, byte-order mark, delimiter, quotes,
    line endings. A row without a valid number is left out, for nobody can say that it may be used.

    Args:
        source: a CSV, or a .dat or .txt with one number a line, each also .gz.
        out: takes the bytes, uncompressed.
        keep: asked about the valid numbers, some thousands at a time.
        column: the NHS-number column of a CSV; see ``open_list``.
        rule: what counts as a valid number.

    Raises:
        UnreadableList: the file cannot be read.
        ColumnError: a CSV whose NHS-number column cannot be told.
        CacheExpired: ``keep`` is of a cache that expired on the way.
    """
    numbers = open_list(source, column, rule)
    rows = kept = blank = invalid = 0
    out.write(numbers.header)
    for block in numbers:
        chosen = block.valid
        valid_count = int(np.count_nonzero(chosen))
        blank_count = int(np.count_nonzero(block.faults == Fault.BLANK))
        chosen[chosen] = keep(block.numbers[chosen])
        out.write(block.select(chosen))
        rows += len(block)
        kept += int(np.count_nonzero(chosen))
        blank += blank_count
        invalid += len(block) - valid_count - blank_count
    return FilterSummary(rows, kept, rows - kept - blank - invalid, blank, invalid)


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
