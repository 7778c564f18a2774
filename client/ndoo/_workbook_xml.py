"""The parts of an .xlsx: opening one with care, and the rows of a sheet as they are in its XML.

openpyxl reads the cells; which rows there are is settled here, because its own loop leaves out rows and
cells that stand out of order, and cannot tell a formula without a result from an empty cell.
"""

from __future__ import annotations

import errno
import tempfile
import threading
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias, cast

from openpyxl import load_workbook
from openpyxl.cell.read_only import EMPTY_CELL, ReadOnlyCell
from openpyxl.worksheet._reader import FORMULA_TAG, VALUE_TAG, WorkSheetParser

from ndoo.errors import NdooError, UnreadableList
from ndoo.tables import read_file

MAX_SHEET_BYTES: Final = 4_000_000_000
"""The largest sheet that is read, uncompressed: several times what Excel's million rows take."""

MAX_OTHER_BYTES: Final = 400_000_000
"""The most that all other parts may have together, uncompressed: openpyxl holds some of them in memory."""

MAX_FILE_BYTES: Final = 1_000_000_000
"""The largest workbook that is taken out of a .gz."""

_MAX_ROWS: Final = 1_048_576
_OLD_OR_LOCKED: Final = b"\xd0\xcf\x11\xe0"
_NO_RESULT: Final = "f"
_SILENCING: Final = threading.Lock()

Row: TypeAlias = Sequence[Any]
"""The cells of a row as openpyxl reads them: ``value``, ``data_type``, ``number_format``."""


# -- opening ----------------------------------------------------------------------------------------


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a workbook with openpyxl, to be read sheet by sheet; formulas are seen as their saved results.

    Raises:
        UnreadableList: it is not a workbook, is protected with a password, or is too large.
    """
    with _file(path) as file:
        with reading(path):
            _check(path, file)
            book = load_workbook(file, read_only=True, data_only=True, keep_links=False)
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
def reading(path: Path) -> Iterator[None]:
    """Call openpyxl in this block: its warnings are dropped, and its errors become ours.

    Raises:
        UnreadableList: the workbook is damaged, or the disk is.
    """
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


# -- rows -------------------------------------------------------------------------------------------


def lacks_result(cell: Any) -> bool:
    """Tell whether a cell is a formula whose result was not saved with the workbook."""
    return cell.value is None and cell.data_type == _NO_RESULT


def read_rows(path: Path, sheet: Any) -> Iterator[Row]:
    """Read a sheet's rows from its first on, each as long as it is, in a ``reading`` block.

    A row that the sheet leaves out or that holds nothing is empty; such rows at the end are left out. One
    with a formula that lacks its result holds something.

    Raises:
        UnreadableList: a row or a cell stands before another that it belongs behind, or in its place.
    """
    reached = given = 0
    with sheet._get_source() as part:  # noqa: SLF001 -- there is no public way to a sheet's part
        for number, cells in _parser(sheet, part).parse():
            if number <= reached:
                raise _out_of_order(path, sheet, reached)
            if number > _MAX_ROWS:
                raise ValueError("more rows than a sheet can have")
            reached = number
            row = _row(path, sheet, number, cells)
            if all(cell.value is None and not lacks_result(cell) for cell in row):
                continue
            yield from repeat((), number - given - 1)
            given = number
            yield row


def _row(path: Path, sheet: Any, number: int, cells: Sequence[dict[str, Any]]) -> Row:
    row: list[Any] = []
    for cell in cells:
        gap = cell["column"] - len(row) - 1
        if gap < 0 or cell["row"] != number:
            raise _out_of_order(path, sheet, number)
        if gap:
            row.extend(repeat(EMPTY_CELL, gap))
        row.append(ReadOnlyCell(sheet, **cell))
    return row


def _out_of_order(path: Path, sheet: Any, number: int) -> UnreadableList:
    return UnreadableList(
        path,
        f"has rows or cells out of order, or twice, at row {number:,} of sheet {sheet.title!r}; "
        "open it in Excel and save it again",
    )


def _parser(sheet: Any, part: Any) -> WorkSheetParser:
    book = sheet.parent
    # What openpyxl's own loop over the rows gives it.
    return _Parser(
        part,
        sheet._shared_strings,  # noqa: SLF001
        data_only=True,
        epoch=book.epoch,
        date_formats=book._date_formats,  # noqa: SLF001
        timedelta_formats=book._timedelta_formats,  # noqa: SLF001
    )


class _Parser(WorkSheetParser):
    """Reads cells as openpyxl does, except for what would be lost."""

    def parse_cell(self, element: Any) -> dict[str, Any]:
        cell: dict[str, Any] = super().parse_cell(element)
        if cell["value"] is None:
            # An empty text is a result, but there is no empty number.
            if element.find(FORMULA_TAG) is not None and (
                element.find(VALUE_TAG) is None or element.get("t") != "str"
            ):
                cell["data_type"] = _NO_RESULT
        elif cell["data_type"] == "e" and element.get("t", "n") == "n":
            # A number that a date's format cannot show, such as an NHS number, is still the number.
            cell["value"] = float(element.findtext(VALUE_TAG))
            cell["data_type"] = "n"
        return cell
