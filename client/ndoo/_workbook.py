"""Excel workbooks (.xlsx): the rows of the sheet that holds the NHS numbers, and a workbook of some of them.

Sheets are read row by row and never held; what openpyxl does hold, such as the texts that cells share, is
limited. A workbook's rows are numbered as Excel numbers them, also where messages speak of lines.
"""

from __future__ import annotations

import csv
import errno
import io
import re
import tempfile
import threading
import warnings
import zipfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, time
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias, cast

import numpy as np
from openpyxl import Workbook, load_workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.read_only import EMPTY_CELL
from openpyxl.writer.excel import ExcelWriter

from ndoo._cells import read_texts
from ndoo.errors import ColumnError, NdooError, UnreadableList
from ndoo.lists import Mask, NumberRule
from ndoo.tables import NumberBlock, NumberList, Progress, find_column, read_file

MAX_SHEET_BYTES: Final = 4_000_000_000
"""The largest sheet that is read, uncompressed: several times what Excel's million rows take."""

MAX_OTHER_BYTES: Final = 400_000_000
"""The most that all other parts may have together, uncompressed: openpyxl holds some of them in memory."""

MAX_FILE_BYTES: Final = 1_000_000_000
"""The largest workbook that is taken out of a .gz."""

_MAX_ROWS: Final = 1_048_576
_BATCH_ROWS: Final = 1_024
_PIECE_BYTES: Final = 1_048_576
_MARK: Final = "\ufeff"
_OLD_OR_LOCKED: Final = b"\xd0\xcf\x11\xe0"

_FORMULA = re.compile(rb"<(?:\w+:)?f[\s/>]")
_NOT_IN_NAMES = re.compile(r"[\\*?:/\[\]]")
_LEADING_ZEROS = re.compile(r"0+")
_SILENCING: Final = threading.Lock()

Row: TypeAlias = Sequence[Any]
"""The cells of a row as openpyxl reads them: ``value``, ``data_type``, ``number_format``."""


@dataclass(frozen=True, slots=True, eq=False)
class SheetBlock(NumberBlock):
    """Consecutive rows of a sheet; ``data`` and ``ends`` stay empty, and rows are written out on demand.

    As CSV they have ``width`` cells at least.
    """

    rows: Sequence[Row] = field(default=(), repr=False)
    width: int = 0

    def select(self, keep: Mask) -> bytes:
        """Give the rows to keep, shape (n,), as CSV."""
        return _as_csv((self.rows[index] for index in np.flatnonzero(keep).tolist()), self.width)


@dataclass(frozen=True, slots=True)
class WorkbookList(NumberList):
    """A workbook ready to be read; ``header`` is that of the CSV that its rows make.

    ``top`` holds the rows of ``sheet`` that stand before those with numbers.
    """

    sheet: str
    top: Sequence[Row] = field(repr=False)


def open_workbook(
    path: Path, column: str | None, rule: NumberRule, progress: Progress | None = None
) -> WorkbookList:
    """Find the sheet and the column of a workbook that hold NHS numbers.

    Args:
        path: an .xlsx or .xlsx.gz.
        column: as in ``open_list``; the sheet's name and an exclamation mark may stand before it, or
            alone. By default it is the first sheet with such a column, of those that are not hidden.
        rule: what counts as a valid number.
        progress: told about every thousand rows as the list is iterated over.

    Raises:
        UnreadableList: it is not a workbook, is protected with a password, is too large, or is empty.
        ColumnError: the column cannot be told.
    """
    with _opened(path) as book:
        sheets = {sheet.title: sheet for sheet in book.worksheets}
        chosen, wanted = _split(column, list(sheets))
        names = [chosen] if chosen else [name for name in sheets if sheets[name].sheet_state == "visible"]
        refusals: list[ColumnError] = []
        for name in names:
            with _reading(path):
                top = _top(_rows(sheets[name]))
            if not top:
                continue
            try:
                index, has_header = find_column(path, [_text(cell) for cell in top[-1]], wanted, rule)
            except ColumnError as error:
                refusals.append(error)
            else:
                width = len(top[-1])
                if not has_header:
                    top = top[:-1]
                header = _MARK.encode() + _as_csv(top, width)
                read = partial(_read_rows, path, _Place(name, index, width, len(top)), rule, progress)
                return WorkbookList(path, rule, header, read, name, top)
    raise _no_sheet(path, names, refusals)


def _split(column: str | None, sheets: Sequence[str]) -> tuple[str, str | None]:
    """Tell a sheet's name from a column's: ``Patients!NHS Number``, ``'My sheet'!3``, ``Patients!``."""
    text = column or ""
    for place, letter in enumerate(text):
        if letter == "!":
            wanted = text[:place].strip().strip("'").casefold()
            for name in sheets:
                if name.casefold() == wanted:
                    return name, text[place + 1 :].strip() or None
    return "", column


def _top(rows: Iterator[Row]) -> list[Row]:
    """Give the rows down to the first that is not empty."""
    top: list[Row] = []
    for row in rows:
        top.append(row)
        if any(_text(cell).strip() for cell in row):
            return top
    return []


def _no_sheet(path: Path, names: Sequence[str], refusals: Sequence[ColumnError]) -> NdooError:
    if not refusals:
        return UnreadableList(path, "holds no NHS numbers, only empty sheets")
    if len(names) == 1:
        return refusals[0]
    return ColumnError(
        path,
        f"no sheet has a column that can be told to hold NHS numbers; its sheets are "
        f"{', '.join(map(repr, names))}; choose one with --column 'SHEET!NAME' (or SHEET! and the position)",
        (),
    )


# -- reading ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in a workbook the NHS numbers are: the sheet, the column from 0, the rows above them.

    ``width`` is that of the first row that is not empty.
    """

    sheet: str
    index: int
    width: int
    skipped: int


def _read_rows(
    path: Path, place: _Place, rule: NumberRule, progress: Progress | None
) -> Iterator[SheetBlock]:
    """Read the rows of a sheet, about a thousand at a time.

    Raises:
        UnreadableList: the workbook is damaged, or a number is a formula that was never worked out.
    """
    doubtful = array("q")
    next_row = 1 + place.skipped
    with _opened(path) as book:
        tell = _teller(path, book[place.sheet], progress)
        rows = _rows(book[place.sheet])
        with _reading(path):
            list(islice(rows, place.skipped))
        while batch := _next(path, rows):
            cells = [row[place.index] if place.index < len(row) else EMPTY_CELL for row in batch]
            numbers, faults = read_texts([_text(cell) for cell in cells], rule)
            lines = np.arange(next_row, next_row + len(batch), dtype=np.int64)
            # Cells that are there and hold nothing: empty ones with a format, or formulas.
            doubtful.extend(
                row_number
                for row_number, cell in enumerate(cells, next_row)
                if cell is not EMPTY_CELL and cell.value is None
            )
            next_row += len(batch)
            tell(next_row)
            yield SheetBlock(numbers, lines, faults, b"", lines[:0], rows=batch, width=place.width)
    if doubtful:
        _refuse_formulas(path, place, set(doubtful))


def _next(path: Path, rows: Iterator[Row]) -> list[Row]:
    with _reading(path):
        return list(islice(rows, _BATCH_ROWS))


def _teller(path: Path, sheet: Any, progress: Progress | None) -> Callable[[int], None]:
    """Give what turns rows read into bytes read: as far as the sheet tells how many rows it has."""
    size = path.stat().st_size
    last = sheet.max_row
    if progress is None or not last:
        return lambda _: None
    return lambda row: progress(min(size, size * row // last), size)


def _refuse_formulas(path: Path, place: _Place, doubtful: set[int]) -> None:
    """Refuse formulas without a result in ``doubtful`` rows, which would pass for blank cells.

    Raises:
        UnreadableList: there is one.
    """
    with _opened(path, formulas=True) as book, _reading(path):
        if not _has_formulas(book):
            return
        for number, row in enumerate(_rows(book[place.sheet]), 1):
            if number in doubtful and row[place.index].data_type == "f":
                raise UnreadableList(
                    path,
                    f"row {number:,} of sheet {place.sheet!r} has a formula for the NHS number, and its "
                    "result was not saved; open the workbook in Excel, save it, and try again",
                )


@contextmanager
def _opened(path: Path, *, formulas: bool = False) -> Iterator[Any]:
    """Open a workbook; of cells that are worked out there is the result, or the formula."""
    with _file(path) as file:
        with _reading(path):
            _check(path, file)
            book = load_workbook(file, read_only=True, data_only=not formulas, keep_links=False)
        try:
            yield book
        finally:
            book.close()


@contextmanager
def _file(path: Path) -> Iterator[BinaryIO]:
    pieces = read_file(path)
    if path.suffix.lower() != ".gz":
        next(pieces)  # says what is wrong with a file that cannot be read at all
        with path.open("rb") as file:
            yield file
        return
    # The list of a ZIP archive's parts is at its end. This file is readable by its owner only.
    with tempfile.TemporaryFile() as unpacked:
        size = 0
        for piece in pieces:
            size += unpacked.write(piece)
            if size > MAX_FILE_BYTES:
                raise _too_large(path)
        unpacked.seek(0)
        yield cast("BinaryIO", unpacked)


def _check(path: Path, file: BinaryIO) -> None:
    """Refuse what openpyxl should not even open."""
    start = file.read(len(_OLD_OR_LOCKED))
    file.seek(0)
    if start == _OLD_OR_LOCKED:
        raise UnreadableList(
            path,
            "is protected with a password, or is an old Excel workbook; open it in Excel and save it as "
            "an .xlsx without a password",
        )
    others = 0
    with zipfile.ZipFile(file) as archive:
        for part in archive.infolist():
            # No more than this is ever unpacked of a part, whatever it holds.
            if not part.filename.startswith("xl/worksheets/"):
                others += part.file_size
            elif part.file_size > MAX_SHEET_BYTES:
                raise _too_large(path)
    if others > MAX_OTHER_BYTES:
        raise _too_large(path)


def _too_large(path: Path) -> UnreadableList:
    return UnreadableList(path, "is too large for a workbook; save the sheet as 'CSV UTF-8' and use that")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Call openpyxl in this block: its warnings are dropped, and its errors become ours."""
    # The list of warning filters is one for the whole process.
    with _SILENCING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except (NdooError, MemoryError):
            raise
        except Exception as error:
            # A part's place that is before the file's start is "invalid", and all else is the disk's doing.
            if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
                raise UnreadableList(path, f"cannot be read: {error.strerror}") from error
            # openpyxl has no class of its own for what is wrong with a file: anything may come.
            raise UnreadableList(
                path, "is not an Excel workbook, or is damaged; open it in Excel and save it again"
            ) from error


def _rows(sheet: Any) -> Iterator[Row]:
    """Read a sheet's rows, each as long as it is; the empty ones that Excel keeps at the end are left out."""
    # What a sheet says of its own size is wrong in many exports.
    sheet.reset_dimensions()
    empty = 0
    for number, row in enumerate(sheet.iter_rows(), 1):
        if number > _MAX_ROWS:
            raise ValueError("more rows than a sheet can have")
        if all(cell.value is None for cell in row):
            empty += 1
            continue
        for _ in range(empty):
            yield ()
        empty = 0
        yield row


def _has_formulas(book: Any) -> bool:
    """Tell whether any sheet has formulas; a good deal quicker than reading one."""
    archive: zipfile.ZipFile = book._archive  # noqa: SLF001 -- openpyxl has no other way to the parts
    for name in archive.namelist():
        if name.startswith("xl/worksheets/") and name.endswith(".xml"):
            with archive.open(name) as part:
                end = b""
                while piece := part.read(_PIECE_BYTES):
                    if _FORMULA.search(end + piece):
                        return True
                    end = piece[-64:]
    return False


# -- writing ----------------------------------------------------------------------------------------


def _as_csv(rows: Iterable[Row], width: int) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([*map(_text, row), *[""] * (width - len(row))] for row in rows)
    return text.getvalue().encode()


def _text(cell: Any) -> str:
    """Write a cell as text: whole numbers with all their digits, dates in ISO 8601."""
    value = cell.value
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer() and abs(value) < 1e15):
        return _whole(int(value), _format(cell))
    if isinstance(value, datetime):
        is_day = value.time() == time() and "h" not in _format(cell).lower()
        return value.date().isoformat() if is_day else value.isoformat(" ", "seconds")
    return str(value)


def _format(cell: Any) -> str:
    try:
        return str(cell.number_format)
    except IndexError:  # its style is not in the workbook: sloppy, and harmless
        return "General"


def _whole(value: int, number_format: str) -> str:
    """Write a whole number with the leading zeros that a format such as 0000000000 shows."""
    shown = number_format.translate(_BETWEEN_ZEROS)
    width = len(shown) if value >= 0 and _LEADING_ZEROS.fullmatch(shown) else 0
    return str(value).zfill(width)


_BETWEEN_ZEROS: Final = str.maketrans("", "", ' -\\"')


@contextmanager
def copying_rows(numbers: WorkbookList, out: BinaryIO) -> Iterator[Callable[[SheetBlock, Mask], None]]:
    """Write a workbook of the top of a sheet and of the rows handed on, with a mask of those to keep.

    Values, number formats and dates are kept; colours, widths and formulas are not. The workbook is
    complete when the block ends.
    """
    book = Workbook(write_only=True)
    # Other programs are less strict about names.
    sheet = book.create_sheet(_NOT_IN_NAMES.sub("_", numbers.sheet)[:31])

    def append(rows: Iterable[Row]) -> None:
        for row in rows:
            sheet.append([_copy(sheet, cell) for cell in row])

    try:
        append(numbers.top)
        yield lambda block, keep: append(block.rows[index] for index in np.flatnonzero(keep).tolist())
        # Not its save(): an archive that it could not finish would fail again when it is collected.
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            ExcelWriter(book, archive).save()
    except BaseException:
        # openpyxl would leave its temporary file, which holds the rows, until the process ends. What it says
        # if that is not there any more, or the disk is full, is of no interest next to the error itself.
        with suppress(Exception):
            sheet.close()
        with suppress(Exception):
            sheet._writer.cleanup()  # noqa: SLF001 -- there is no public way
        raise


def _copy(sheet: Any, cell: Any) -> Any:
    if cell.value is None:
        return None
    copied = WriteOnlyCell(sheet, cell.value)
    copied.number_format = _format(cell)
    if cell.data_type == "s":
        copied.data_type = "s"  # a text that begins with "=" must not become a formula
    return copied
