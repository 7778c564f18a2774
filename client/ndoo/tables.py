"""Files of NHS numbers as people have them: CSV exports, text files, ``.dat`` files, each also gzipped.

A file is read in blocks, so that its length does not matter, and each block keeps the bytes its rows
came from. What people write between digits (blanks, hyphens) is allowed for; everything else that is
not an NHS number is named by line and reason, never by content.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Final, cast

import numpy as np

from ndoo.errors import ColumnError, InvalidNumbers, UnreadableList
from ndoo.lists import (
    BLOCK_BYTES,
    SEPARATORS,
    Fault,
    Faults,
    Mask,
    NumberRule,
    Numbers,
    format_records,
    parse_number,
    read_records,
    select_rows,
)

try:
    from isal import igzip, isal_zlib
except ImportError:  # no wheel for this machine: the standard library's is slower and does the same
    _open_gzip = gzip.open
    _BAD_GZIP: tuple[type[Exception], ...] = (gzip.BadGzipFile, zlib.error)
else:
    _open_gzip = igzip.open
    _BAD_GZIP = (gzip.BadGzipFile, zlib.error, cast("type[Exception]", isal_zlib.error))

MAX_SAMPLES: Final = 20
"""How many invalid records are named by line and reason."""

_MAX_LINE_BYTES: Final = 2 * BLOCK_BYTES
_HEAD_BYTES: Final = 65_536
_BATCH_ROWS: Final = 16_384
_DELIMITERS: Final = ",;\t"


# -- bytes of a file --------------------------------------------------------------------------------

_NOT_TEXT: Final = {
    b"PK\x03\x04": "is an Excel workbook or a ZIP archive; save the sheet as 'CSV UTF-8' and use that",
    b"\xd0\xcf\x11\xe0": "is an old Excel workbook; save the sheet as 'CSV UTF-8' and use that",
    b"\x1f\x8b": "is compressed with gzip; give it a name that ends in .gz",
    codecs.BOM_UTF16_LE: "is UTF-16 text; save it as 'CSV UTF-8' and use that",
    codecs.BOM_UTF16_BE: "is UTF-16 text; save it as 'CSV UTF-8' and use that",
}


def read_blocks(path: Path) -> Iterator[bytes]:
    """Read a text file in blocks of at most ``BLOCK_BYTES``, uncompressed where its name ends in .gz.

    Raises:
        UnreadableList: missing, a folder, no permission, empty, not text, or gzip that is damaged.
    """
    size = 0
    try:
        with _open(path) as stream:
            while block := stream.read(BLOCK_BYTES):
                _check_text(path, block, first=not size)
                size += len(block)
                yield block
    except FileNotFoundError as error:
        raise UnreadableList(path, "no such file") from error
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
        raise UnreadableList(path, "is empty")


def _open(path: Path) -> BinaryIO:
    if path.name.lower().endswith(".gz"):
        return cast("BinaryIO", _open_gzip(path, "rb"))
    return path.open("rb")


def _check_text(path: Path, block: bytes, *, first: bool) -> None:
    if first:
        for magic, advice in _NOT_TEXT.items():
            if block.startswith(magic):
                raise UnreadableList(path, advice)
    if b"\0" in block:
        raise UnreadableList(path, "is not a text file; an NHS-number list is .dat, .txt or .csv text")


def _whole_lines(path: Path) -> Iterator[bytes]:
    """Read a file in pieces that end where a line ends, save that the last may lack its line feed."""
    held = b""
    for block in read_blocks(path):
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


def _decode(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        # What Excel writes on Windows unless asked for UTF-8.
        return data.decode("cp1252", "replace")


# -- blocks of rows ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class NumberBlock:
    """Consecutive rows of a file and the NHS number of each; n rows.

    ``numbers`` (int64) is -1 where there are no ten digits; ``lines`` (int64) is the line, from 1, on
    which the row starts; ``faults`` (uint8) holds a ``Fault`` each. ``data`` is what the rows were read
    from, and ``ends`` (int64) where each ends in it.
    """

    numbers: Numbers = field(repr=False)
    lines: Numbers
    faults: Faults
    data: bytes = field(repr=False)
    ends: Numbers = field(repr=False)

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def valid(self) -> Mask:
        """Which rows hold a valid NHS number, shape (n,)."""
        valid: Mask = self.faults == np.uint8(Fault.NONE)
        return valid

    def select(self, keep: Mask) -> bytes:
        """Give the rows to keep, shape (n,), byte for byte as they are in the file."""
        return select_rows(self.data, self.ends, keep)


@dataclass(frozen=True, slots=True)
class NumberList:
    """A file of NHS numbers, ready to be read; iterating reads it from the start, block by block.

    ``header`` is whatever stands before the first row: a byte-order mark, the names of the columns.
    """

    path: Path
    rule: NumberRule
    header: bytes
    layout: CsvLayout | None

    def __iter__(self) -> Iterator[NumberBlock]:
        """Read the rows.

        Raises:
            UnreadableList: the file turns out to be damaged, or not to be CSV, on the way.
        """
        pieces = _after(_whole_lines(self.path), len(self.header))
        if self.layout is None:
            return _text_blocks(pieces, self.rule)
        return _csv_blocks(self.path, pieces, self.layout, self.rule, self.header.count(b"\n"))


def open_list(path: Path, column: str | None = None, rule: NumberRule = NumberRule.CHECKSUM) -> NumberList:
    """Look at the start of a file of NHS numbers and tell how to read it.

    Args:
        path: a .dat or .txt (one number a line) or a .csv, each also .gz.
        column: a CSV's NHS-number column, by name (in any letter case) or by position from 1; by
            default the one whose name says so.
        rule: what counts as a valid number.

    Raises:
        UnreadableList: the file cannot be read, or is not a list.
        ColumnError: a CSV whose NHS-number column cannot be told; or a column of something else.
    """
    head = _head(path)
    mark = codecs.BOM_UTF8 if head.startswith(codecs.BOM_UTF8) else b""
    kind = _kind(path)
    if kind == ".csv":
        layout, header = _csv_layout(path, head.removeprefix(mark), column, rule)
        return NumberList(path, rule, mark + header, layout)
    if kind not in (".dat", ".txt"):
        raise UnreadableList(path, "is of an unknown kind; its name must end in .dat, .txt or .csv (or .gz)")
    if column is not None:
        raise ColumnError(path, "only a .csv file has columns to choose from; leave out --column", ())
    return NumberList(path, rule, mark, None)


def _head(path: Path) -> bytes:
    head = b""
    for piece in _whole_lines(path):
        head += piece
        if len(head) >= _HEAD_BYTES:
            break
    return head


def _kind(path: Path) -> str:
    name = path.name.lower().removesuffix(".gz")
    return Path(name).suffix


# -- text, one number a line ------------------------------------------------------------------------

_LINE_SEPARATORS: Final = {code: drop for code, drop in SEPARATORS.items() if code != ord("\n")}
_LINE_SEPARATOR_BYTES: Final = bytes(code for code in _LINE_SEPARATORS if code < 128)


def _text_blocks(pieces: Iterator[bytes], rule: NumberRule) -> Iterator[NumberBlock]:
    next_line = 1
    for piece in pieces:
        block = read_records(piece, rule, next_line)
        if block.faults.any():
            plain = read_records(_without_separators(piece), rule, next_line)
            block = replace(plain, data=piece, ends=block.ends)
        lines = np.arange(next_line, next_line + len(block), dtype=np.int64)
        next_line += len(block)
        yield NumberBlock(block.numbers, lines, block.faults, block.data, block.ends)


def _without_separators(piece: bytes) -> bytes:
    """Drop blanks and hyphens; the lines remain, and the last is ended even if nothing is left of it."""
    ended = piece if piece.endswith(b"\n") else piece + b"\n"
    if ended.isascii():
        return ended.translate(None, _LINE_SEPARATOR_BYTES)
    return _decode(ended).translate(_LINE_SEPARATORS).encode("ascii", "replace")


# -- CSV --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CsvLayout:
    """How a CSV is cut into cells, and which cell, from 0, holds the NHS number."""

    delimiter: str
    index: int


def _csv_blocks(
    path: Path, pieces: Iterator[bytes], layout: CsvLayout, rule: NumberRule, lines_before: int
) -> Iterator[NumberBlock]:
    raw = bytearray()  # what has been read and not yet been given as part of a block

    def text_lines() -> Iterator[str]:
        for piece in pieces:
            raw.extend(piece)
            yield from io.StringIO(_decode(piece))

    def block(given: int) -> NumberBlock:
        """Make a block of ``cells``, the rows that follow the first ``given`` lines."""
        data_ends = np.flatnonzero(np.frombuffer(raw, np.uint8) == ord("\n")) + 1
        if not raw.endswith(b"\n"):
            data_ends = np.append(data_ends, len(raw))
        last_lines = np.array(row_ends, np.int64)
        ends = data_ends[last_lines - given - 1].astype(np.int64)
        data = bytes(raw[: ends[-1]])
        del raw[: ends[-1]]
        numbers, faults = _read_cells(cells, rule)
        lines = np.concatenate((np.array([given], np.int64), last_lines[:-1])) + (1 + lines_before)
        return NumberBlock(numbers, lines, faults, data, ends)

    reader = csv.reader(text_lines(), delimiter=layout.delimiter, strict=True)
    cells: list[str] = []
    row_ends: list[int] = []  # the line, counted from the first row's, on which each row ends
    given = 0
    try:
        for row in reader:
            cells.append(row[layout.index] if layout.index < len(row) else "")
            row_ends.append(reader.line_num)
            if len(cells) == _BATCH_ROWS or len(raw) > 2 * _MAX_LINE_BYTES:
                yield block(given)
                given = row_ends[-1]
                cells, row_ends = [], []
    except csv.Error as error:
        ended = row_ends[-1] if row_ends else given
        raise _not_csv(path, lines_before + ended + 1, error) from error
    if cells:
        yield block(given)


def _read_cells(cells: Sequence[str], rule: NumberRule) -> tuple[Numbers, Faults]:
    text = "\n".join(cells)
    if text.count("\n") >= len(cells):  # line breaks inside cells
        text = "\n".join([cell.replace("\n", "") for cell in cells])
    block = read_records((text.translate(_LINE_SEPARATORS) + "\n").encode("ascii", "replace"), rule)
    return block.numbers, block.faults


def _not_csv(path: Path, line: int, error: csv.Error) -> UnreadableList:
    """Say what is wrong with the row that starts on a line, from 1."""
    if "new-line" in str(error):
        advice = "a carriage return without a line feed; save the file as 'CSV UTF-8' again"
    elif "field larger" in str(error):
        advice = "a cell of more than 131,072 characters; is a quotation mark missing?"
    else:
        advice = "a quotation mark that is not closed or stands inside a cell; correct or export it again"
    return UnreadableList(path, f"line {line}: not CSV: {advice}")


# -- the NHS-number column of a CSV -----------------------------------------------------------------

_COLUMN_NAME = re.compile(r"(?:patients?|pat|person|subject)?nhs(?:no|nr|num|numbers?|id)?")


def _csv_layout(path: Path, head: bytes, column: str | None, rule: NumberRule) -> tuple[CsvLayout, bytes]:
    """Find delimiter, column and header (its bytes, or none) in the first lines of a CSV."""
    text = _decode(head)
    delimiter, row, line_count = _cut_first_row(path, text)
    if not row:
        raise UnreadableList(path, "holds no NHS numbers, only empty rows")
    numbered = [index for index, cell in enumerate(row) if parse_number(cell, rule)[0] is not None]
    if column is not None:
        index = _chosen_column(path, row, column)
        # In doubt it is a row: one taken for a header would be in a filtered file unchecked.
        is_word = parse_number(row[index], rule)[1] is Fault.NOT_DIGITS
        has_header = bool(_matches(row, column)) or (is_word and not _is_patient(row))
    else:
        # Next to a number, "NHS" is what a patient's row says and not a column's name.
        named = [] if numbered else [index for index, cell in enumerate(row) if _is_column_name(cell)]
        candidates = named or numbered
        if len(candidates) != 1:
            raise _cannot_tell(path, row, candidates)
        index = candidates[0]
        has_header = bool(named)
    header = b"".join(io.BytesIO(head).readlines()[:line_count]) if has_header else b""
    return CsvLayout(delimiter, index), header


def _cut_first_row(path: Path, text: str) -> tuple[str, list[str], int]:
    """Find the delimiter that cuts the first row into the most cells, and read the row by it."""
    delimiter, row, line_count = "", list[str](), 0
    broken: list[UnreadableList] = []
    for candidate in _DELIMITERS:
        try:
            found, ended = _first_row(path, text, candidate)
        except UnreadableList as error:
            broken.append(error)
        else:
            if not delimiter or len(found) > len(row):
                delimiter, row, line_count = candidate, found, ended
    # Quotation marks are read as such only where cells start, so a row left in one piece hides a stray one.
    if broken and len(row) < 2:
        raise broken[0]
    return delimiter, row, line_count


def _first_row(path: Path, text: str, delimiter: str) -> tuple[list[str], int]:
    """Read the first row that is not empty, and tell how many lines it ends after."""
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    ended = 0
    try:
        for row in reader:
            ended = reader.line_num
            if any(cell.strip(" " + _DELIMITERS) for cell in row):
                return row, ended
    except csv.Error as error:
        raise _not_csv(path, ended + 1, error) from error
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
    return any(sum(map(str.isdigit, cell)) >= 5 for cell in row)


def _shown(row: Sequence[str]) -> list[str]:
    """Name the columns for a message; by position where the first row is a patient and not a header."""
    # Header cells are seldom blank, a patient's often are.
    doubtful = not all(map(str.strip, row)) and not any(map(_is_column_name, row))
    hidden = doubtful or _is_patient(row)
    return [
        f"column {position}" if hidden or not cell.strip() else repr(cell.strip())
        for position, cell in enumerate(row, 1)
    ]


# -- a list to submit -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ListSummary:
    """What was in a list: records written, blank rows, invalid rows and the first of their lines."""

    records: int
    blank: int
    invalid: int
    samples: tuple[tuple[int, str], ...]


def prepare_list(
    source: Path,
    out: BinaryIO,
    *,
    column: str | None = None,
    rule: NumberRule = NumberRule.CHECKSUM,
    skip_invalid: bool = False,
) -> ListSummary:
    """Turn any file of NHS numbers into the records to submit (ndoo-service.md, "The exchange").

    Blank rows are left out. What is in ``out`` is of use only if nothing is raised.

    Args:
        source: the file; see ``open_list``.
        out: takes the records, ``9991234567,`` and a line feed each, in the file's order.
        column: the NHS-number column of a CSV.
        rule: what counts as a valid number.
        skip_invalid: leave rows with invalid numbers out instead of refusing the file.

    Raises:
        InvalidNumbers: after the whole file was read, so that the count is that of the file.
        UnreadableList: the file cannot be read, or holds no NHS number at all.
        ColumnError: a CSV whose NHS-number column cannot be told.
    """
    records = blank = invalid = 0
    samples: list[tuple[int, str]] = []
    for block in open_list(source, column, rule):
        out.write(format_records(block.numbers[block.valid]))
        wrong = np.flatnonzero(block.faults > Fault.BLANK)
        records += int(np.count_nonzero(block.valid))
        blank += int(np.count_nonzero(block.faults == Fault.BLANK))
        invalid += len(wrong)
        samples += [
            (int(block.lines[index]), Fault(block.faults[index]).reason)
            for index in wrong[: MAX_SAMPLES - len(samples)]
        ]
    if invalid and not skip_invalid:
        raise InvalidNumbers(source, invalid, samples)
    if not records:
        raise UnreadableList(source, "holds no NHS numbers")
    return ListSummary(records, blank, invalid, tuple(samples))
