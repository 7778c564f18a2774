"""Files of NHS numbers as people have them: CSV exports, text files, ``.dat`` files, each also gzipped.

A file is read in blocks, so that its length does not matter, and each block keeps the bytes its rows
came from. What people write between digits (blanks, hyphens) is allowed for; everything else that is
not an NHS number is named by line and reason, never by content.
"""

from __future__ import annotations

import csv
import gzip
import io
import os
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias, cast

import numpy as np

from ndoo._cells import parse_cell, read_cells
from ndoo._csv import CsvLayout, cut_rows, not_csv, read_column
from ndoo._encodings import PLAIN, Encoding, drop_separators, find_encoding, read_text
from ndoo.errors import ColumnError, UnreadableList
from ndoo.lists import Fault, Faults, Mask, NumberRule, Numbers, read_records, select_rows

try:
    from isal import igzip, isal_zlib
except ImportError:  # no wheel for this machine: the standard library's is slower and does the same
    _open_gzip = gzip.open
    _BAD_GZIP: tuple[type[Exception], ...] = (gzip.BadGzipFile, zlib.error)
else:
    _open_gzip = igzip.open
    _BAD_GZIP = (gzip.BadGzipFile, zlib.error, cast("type[Exception]", isal_zlib.error))

Progress: TypeAlias = Callable[[int, int], None]
"""Called as a file is read: bytes done, bytes in all; of the file as it is, compressed or not."""

READ_BYTES: Final = 262_144
"""How much is read at once: its arrays still fit the second-level cache."""

_MAX_LINE_BYTES: Final = 1_500_000
_HEAD_BYTES: Final = 65_536


# -- text of a file ---------------------------------------------------------------------------------

_NOT_TEXT: Final = {
    b"PK\x03\x04": "is an Excel workbook or a ZIP archive; save the sheet as 'CSV UTF-8' and use that",
    b"\xd0\xcf\x11\xe0": "is an old Excel workbook; save the sheet as 'CSV UTF-8' and use that",
    b"\x1f\x8b": "is compressed with gzip; give it a name that ends in .gz",
}


def read_blocks(path: Path, progress: Progress | None = None) -> Iterator[bytes]:
    """Read a file's text in blocks of a few hundred kilobytes, uncompressed where its name ends in .gz.

    It is UTF-8 or Windows-1252, without a byte-order mark, also where the file is UTF-16.

    Raises:
        UnreadableList: missing, a folder, no permission, empty, not text, or gzip that is damaged.
    """
    return _open_text(path, progress)[1]


def _open_text(path: Path, progress: Progress | None = None) -> tuple[Encoding, Iterator[bytes]]:
    """Look at the first block; tell the encoding, and give what ``read_blocks`` gives."""
    raw = read_file(path, progress)
    first = next(raw)
    for magic, advice in _NOT_TEXT.items():
        if first.startswith(magic):
            raise UnreadableList(path, advice)
    encoding = find_encoding(path, first)
    return encoding, _checked(path, encoding.decode(path, chain([first], raw)))


def _checked(path: Path, blocks: Iterator[bytes]) -> Iterator[bytes]:
    for block in blocks:
        if b"\0" in block:
            raise UnreadableList(
                path, "is not a text file, as .dat, .txt, .csv and .tsv are; export the list again"
            )
        yield block


def read_file(path: Path, progress: Progress | None = None) -> Iterator[bytes]:
    """Read a file's bytes, of which there is at least one, uncompressed, whatever they are.

    Raises:
        UnreadableList: missing, a folder, a device, no permission, empty, or gzip that is damaged.
    """
    size = 0
    try:
        with _open(path) as file, _uncompressed(path, file) as stream:
            total = os.fstat(file.fileno()).st_size
            while block := stream.read(READ_BYTES):
                size += len(block)
                if progress is not None:
                    progress(file.tell(), total)
                yield block
    except FileNotFoundError as error:
        raise UnreadableList(path, "no such file; is the name right, and are you in its folder?") from error
    except IsADirectoryError as error:
        raise UnreadableList(path, "is a folder; name a file in it") from error
    except PermissionError as error:
        raise UnreadableList(path, "may not be read: permission denied") from error
    except EOFError as error:
        raise UnreadableList(path, "its gzip is cut short; copy or fetch the file again") from error
    except _BAD_GZIP as error:
        raise UnreadableList(path, "is not sound gzip; copy or fetch the file again") from error
    except OSError as error:
        raise UnreadableList(path, f"cannot be read: {error.strerror}") from error
    if not size:
        raise UnreadableList(path, "is empty; export it again")


def _open(path: Path) -> BinaryIO:
    # Opening a pipe would wait for somebody to write into it, and a list is read more than once.
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise UnreadableList(path, "is a pipe or a device; save the list as a file and use that")
    return path.open("rb")


def _uncompressed(path: Path, file: BinaryIO) -> BinaryIO:
    if path.name.lower().endswith(".gz"):
        return cast("BinaryIO", _open_gzip(file, "rb"))
    return file


def _whole_lines(path: Path, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Give text in pieces that end where a line ends, save that the last may lack its line feed."""
    held = b""
    for block in blocks:
        cut = block.rfind(b"\n") + 1
        if cut:
            yield held + block[:cut]
            held = block[cut:]
        elif len(held) + len(block) > _MAX_LINE_BYTES:
            raise UnreadableList(path, "has a line of more than a megabyte; is it a list, one row a line?")
        else:
            held += block
    if held:
        yield held


def _after(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Leave out the first ``size`` bytes."""
    for piece in pieces:
        if size < len(piece):
            yield piece[size:]
        size = max(0, size - len(piece))


# -- blocks of rows ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class NumberBlock:
    """Consecutive rows of a file and the NHS number of each; n rows.

    ``numbers`` (int64) is -1 where there are no ten digits; ``lines`` (int64) is the line, from 1, on
    which the row starts; ``faults`` (uint8) holds a ``Fault`` each. ``data`` is what the rows were read
    from, as UTF-8 if the file is UTF-16, and ``ends`` (int64) where each ends in it.
    """

    numbers: Numbers = field(repr=False)
    lines: Numbers
    faults: Faults
    data: bytes = field(repr=False)
    ends: Numbers = field(repr=False)
    encoding: Encoding = PLAIN

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def valid(self) -> Mask:
        """Which rows hold a valid NHS number, shape (n,)."""
        valid: Mask = self.faults == np.uint8(Fault.NONE)
        return valid

    def select(self, keep: Mask) -> bytes:
        """Give the rows to keep, shape (n,), byte for byte as they are in the file."""
        return self.encoding.encode(select_rows(self.data, self.ends, keep))


@dataclass(frozen=True, slots=True)
class NumberList:
    """A file of NHS numbers, ready to be read; iterating reads it from the start, block by block.

    ``header`` is whatever stands before the first row, as it is in the file: a byte-order mark, the names
    of the columns. ``read`` gives the blocks; which errors it raises, ``__iter__`` tells. ``overlooked``
    names a workbook's hidden sheets that seem to hold NHS numbers too, if none was chosen.
    """

    path: Path
    rule: NumberRule
    header: bytes
    read: Callable[[], Iterator[NumberBlock]]
    overlooked: Sequence[str] = field(default=(), kw_only=True)

    def __iter__(self) -> Iterator[NumberBlock]:
        """Read the rows.

        Raises:
            UnreadableList: the file turns out to be damaged, or not to be CSV, on the way.
        """
        return self.read()


def open_list(
    path: Path,
    column: str | None = None,
    rule: NumberRule = NumberRule.CHECKSUM,
    *,
    progress: Progress | None = None,
) -> NumberList:
    """Look at the start of a file of NHS numbers and tell how to read it.

    Args:
        path: a .dat or .txt (one number a line), a .csv or .tsv, or an .xlsx, each also .gz; text is UTF-8,
            UTF-16 with a byte-order mark, or Windows-1252.
        column: a table's NHS-number column, by name (in any letter case) or by position from 1; by
            default the one whose name says so. A workbook's sheet may stand before it, as in
            ``Sheet!Column`` or ``Sheet!``, and must where several that are not hidden may hold the list.
        rule: what counts as a valid number.
        progress: told about every block as the list is iterated over.

    Raises:
        UnreadableList: the file cannot be read, or is not a list.
        ColumnError: a table whose NHS-number column cannot be told; or a column of something else.
    """
    opener = _OPENERS.get(kind_of(path))
    if opener is None:
        _open_text(path)  # what is wrong with the file itself comes first
        *others, last = _OPENERS
        kinds = f"{', '.join(others)} or {last}"
        raise UnreadableList(path, f"is of an unknown kind; its name must end in {kinds} (or .gz)")
    return opener(path, column, rule, progress)


def kind_of(path: Path) -> str:
    """Give the ending that says what kind a list is, in small letters, whether it is gzipped or not."""
    name = path.name.lower().removesuffix(".gz")
    return Path(name).suffix


# -- text, one number a line ------------------------------------------------------------------------


def _open_lines(path: Path, column: str | None, rule: NumberRule, progress: Progress | None) -> NumberList:
    encoding, _ = _open_text(path)
    if column is not None:
        raise ColumnError(path, "only a table has columns to choose from; leave out --column", ())
    return NumberList(path, rule, encoding.mark, partial(_read_lines, path, rule, progress))


def _read_lines(path: Path, rule: NumberRule, progress: Progress | None) -> Iterator[NumberBlock]:
    encoding, blocks = _open_text(path, progress)
    next_line = 1
    for piece in _whole_lines(path, blocks):
        block = read_records(piece, rule, next_line)
        if block.faults.any():
            # The lines remain, and the last is ended even if nothing is left of it.
            ended = piece if piece.endswith(b"\n") else piece + b"\n"
            plain = read_cells(drop_separators(ended), rule, next_line)
            block = replace(plain, data=piece, ends=block.ends)
        lines = np.arange(next_line, next_line + len(block), dtype=np.int64)
        next_line += len(block)
        yield NumberBlock(block.numbers, lines, block.faults, block.data, block.ends, encoding)


# -- tables -----------------------------------------------------------------------------------------


def _open_table(
    delimiters: str, path: Path, column: str | None, rule: NumberRule, progress: Progress | None
) -> NumberList:
    encoding, blocks = _open_text(path)
    head = b""
    for piece in _whole_lines(path, blocks):
        head += piece
        if len(head) >= _HEAD_BYTES:
            break
    layout, header = _csv_layout(path, head, column, rule, delimiters)
    return NumberList(
        path,
        rule,
        encoding.mark + encoding.encode(header),
        partial(_read_table, path, layout, header, rule, progress),
    )


def _read_table(
    path: Path, layout: CsvLayout, header: bytes, rule: NumberRule, progress: Progress | None
) -> Iterator[NumberBlock]:
    encoding, blocks = _open_text(path, progress)
    pieces = _after(_whole_lines(path, blocks), len(header))
    for rows in cut_rows(path, pieces, layout, 1 + header.count(b"\n")):
        numbers, faults = read_column(rows, rule)
        yield NumberBlock(numbers, rows.lines, faults, rows.data, rows.ends, encoding)


def _open_workbook(path: Path, column: str | None, rule: NumberRule, progress: Progress | None) -> NumberList:
    from ndoo._workbook import open_workbook  # noqa: PLC0415 -- loads slowly, and imports this module

    return open_workbook(path, column, rule, progress)


# The one place where a file's kind decides how it is read: given path, column, rule and progress, each
# gives a NumberList, whose ``read`` makes the NumberBlocks.
_OPENERS: Final[dict[str, Callable[[Path, str | None, NumberRule, Progress | None], NumberList]]] = {
    ".dat": _open_lines,
    ".txt": _open_lines,
    ".csv": partial(_open_table, ",;\t|"),
    ".tsv": partial(_open_table, "\t"),
    ".xlsx": _open_workbook,
}


# -- the NHS-number column of a CSV -----------------------------------------------------------------

_COLUMN_NAME = re.compile(r"(?:patients?|pat|person|subject)?nhs(?:no|nr|num|numbers?|id)?")
_SEPARATOR_LINE = re.compile(r'"?sep=([,;\t|:^~])"?\r?\n', re.IGNORECASE)
"""What Excel takes for the delimiter, and for no row, if it is a CSV's first line."""

_VALUE = re.compile(
    r"[a-z]{0,3}[\d\s./:,+-]+[a-z]?"
    r"|\d{1,2}[\s/-]?[a-z]{3,9}[\s,/-]*\d{2,4}"
    r"|\d{4}-\d\d-\d\dt[\d:.+-]+z?",
    re.IGNORECASE,
)
"""A number, perhaps with letters around it; a date; a time."""


def _csv_layout(
    path: Path, head: bytes, column: str | None, rule: NumberRule, delimiters: str
) -> tuple[CsvLayout, bytes]:
    """Find delimiter, column and header (its bytes, or none) in the first lines of a CSV."""
    text = read_text(head)
    told = _SEPARATOR_LINE.match(text)
    top = 0
    if told is not None:
        top, delimiters = 1, told[1]
        text = text[told.end() :]

    def is_known(row: Sequence[str]) -> bool:
        if column is not None and len(_matches(row, column)) == 1:
            return True
        return any(_is_column_name(cell) or parse_cell(cell, rule)[0] is not None for cell in row)

    delimiter, row, line_count = _cut_first_row(path, text, delimiters, is_known, top)
    if not row:
        raise UnreadableList(path, "holds no NHS numbers, only empty rows; export it again")
    index, has_header = find_column(path, row, column, rule)
    header = b"".join(io.BytesIO(head).readlines()[: top + (line_count if has_header else 0)])
    return CsvLayout(delimiter, index, len(row)), header


def find_column(path: Path, row: Sequence[str], column: str | None, rule: NumberRule) -> tuple[int, bool]:
    """Find the NHS-number column, from 0, in a table's first row, and tell whether the row is a header.

    Raises:
        ColumnError: it cannot be told.
    """
    numbered = [index for index, cell in enumerate(row) if parse_cell(cell, rule)[0] is not None]
    if column is not None:
        index = _chosen_column(path, row, column)
        # In doubt it is a row: one taken for a header would be in a filtered file unchecked.
        is_word = parse_cell(row[index], rule)[1] is Fault.NOT_DIGITS
        is_named = _is_column_name(row[index]) and not numbered
        return index, bool(_matches(row, column)) or (is_word and (is_named or not _is_patient(row)))
    # Next to a number, "NHS" is what a patient's row says and not a column's name.
    named = [] if numbered else [index for index, cell in enumerate(row) if _is_column_name(cell)]
    candidates = named or numbered
    if len(candidates) != 1:
        raise _cannot_tell(path, row, candidates)
    return candidates[0], bool(named)


def _cut_first_row(
    path: Path, text: str, delimiters: str, is_known: Callable[[Sequence[str]], bool], skipped: int
) -> tuple[str, list[str], int]:
    """Find the delimiter that cuts the first row best, and read the row by it.

    Best is a row that ``is_known`` for its NHS numbers, then one without stray quotation marks, then one
    of many cells. ``skipped`` lines stand before the text.
    """
    delimiter, row, line_count = "", list[str](), 0
    best = (False, False, 0)
    broken: list[UnreadableList] = []
    for candidate in delimiters:
        try:
            found, ended = _first_row(path, text, candidate, skipped)
        except UnreadableList as error:
            broken.append(error)
        else:
            # A quoted cell that is cut at the wrong places leaves one mark in its first and last piece.
            is_clean = not any(cell.count('"') % 2 for cell in found)
            worth = (is_known(found), is_clean, len(found))
            if not delimiter or worth > best:
                best = worth
                delimiter, row, line_count = candidate, found, ended
    # Quotation marks are read as such only where cells start, so a row left in one piece hides a stray one.
    if broken and len(row) < 2:
        raise broken[0]
    return delimiter, row, line_count


def _first_row(path: Path, text: str, delimiter: str, skipped: int) -> tuple[list[str], int]:
    """Read the first row that is not empty, and tell how many lines of ``text`` it ends after."""
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    ended = 0
    try:
        for row in reader:
            ended = reader.line_num
            if any(cell.strip(f" ,;\t|{delimiter}") for cell in row):
                return row, ended
    except csv.Error as error:
        raise not_csv(path, skipped + ended + 1, error) from error
    return [], 0


def _is_column_name(cell: str) -> bool:
    """Tell whether a name says that the column holds NHS numbers."""
    return _COLUMN_NAME.fullmatch(_normalised(cell)) is not None


def _normalised(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))


def _matches(row: Sequence[str], column: str) -> list[int]:
    if column.isdecimal():  # a position, whatever a first row without column names may hold
        return []
    wanted = column.strip().casefold()
    return [index for index, name in enumerate(row) if name.strip().casefold() == wanted]


def _chosen_column(path: Path, row: Sequence[str], column: str) -> int:
    named = _matches(row, column)
    if len(named) == 1:
        return named[0]
    shown = _shown(row)
    if named:
        raise ColumnError(
            path, f"{len(named)} columns are called {column!r}; give its position instead", shown
        )
    if column.isdecimal() and 1 <= int(column) <= len(row):
        return int(column) - 1
    raise ColumnError(path, f"has no column {column!r}; its columns are {', '.join(shown)}", shown)


def _cannot_tell(path: Path, row: Sequence[str], candidates: Sequence[int]) -> ColumnError:
    shown = _shown(row)
    found = (
        f"several columns may hold the NHS number: {', '.join(shown[index] for index in candidates)}"
        if candidates
        else f"no column is named like an NHS number; its columns are {', '.join(shown)}"
    )
    return ColumnError(path, f"{found}; choose one with --column NAME (or its position, from 1)", shown)


def _is_patient(row: Sequence[str]) -> bool:
    """Tell, from a number or date in it, that a first row holds a patient rather than column names."""
    return any(_has_digits(cell) and _VALUE.fullmatch(cell.strip()) for cell in row)


def _has_digits(cell: str) -> bool:
    return sum(map(str.isdigit, cell)) >= 5


def _shown(row: Sequence[str]) -> list[str]:
    """Name the columns for a message; by position where the first row is a patient and not a header."""
    # Header cells are seldom blank, a patient's often are.
    doubtful = not all(map(str.strip, row)) and not any(map(_is_column_name, row))
    # Where a mistake would show somebody's number, five digits are enough.
    hidden = doubtful or any(map(_has_digits, row))
    return [
        f"column {position}" if hidden or not cell.strip() else repr(cell.strip())
        for position, cell in enumerate(row, 1)
    ]
