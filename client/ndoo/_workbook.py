"""Excel workbooks (.xlsx): the rows of the sheet that holds the NHS numbers, and a workbook of some of them.

Sheets are read row by row and never held; what openpyxl does hold, such as the texts that cells share, is
limited. A workbook's rows are numbered as Excel numbers them, also where messages speak of lines.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import numpy as np
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.read_only import EMPTY_CELL
from openpyxl.writer.excel import ExcelWriter

from ndoo._cells import parse_cell, read_texts
from ndoo._workbook_xml import Row, lacks_result, opened, read_rows, reading
from ndoo.errors import ColumnError, NdooError, UnreadableList
from ndoo.lists import Mask, NumberRule
from ndoo.tables import NumberBlock, NumberList, Progress, find_column

_BATCH_ROWS: Final = 1_024
_BATCH_CELLS: Final = 131_072
_HINT_ROWS: Final = 100
_MARK: Final = "\ufeff"

_SAVE_IT: Final = "open the workbook in Excel, save it, and try again"
_NOT_IN_NAMES = re.compile(r"[\\*?:/\[\]]")
_LEADING_ZEROS = re.compile(r"0+")


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
            alone. Without a sheet's name it is the only sheet with such a column that is not hidden.
        rule: what counts as a valid number.
        progress: told about every thousand rows as the list is iterated over.

    Raises:
        UnreadableList: it is not a workbook, is protected with a password, is too large, or is empty.
        ColumnError: the sheet or the column cannot be told.
    """
    with opened(path) as book:
        chosen, wanted = _split(column, [sheet.title for sheet in book.worksheets])
        looks = [
            _look_at(path, number, sheet, wanted, rule)
            for number, sheet in enumerate(book.worksheets)
            if chosen in ("", sheet.title)
        ]
    shown = [look for look in looks if chosen or not look.hidden]
    found = [look for look in shown if look.place]
    likely = [look for look in shown if look.likely]
    overlooked = [look.name for look in looks if look.likely and look not in shown]
    if not found or len(likely) > 1:
        raise _no_sheet(path, shown, overlooked)
    (look,) = found
    place = cast("_Place", look.place)
    top = look.top[: place.skipped]
    header = _MARK.encode() + _as_csv(top, place.width)
    read = partial(_read_rows, path, place, rule, progress)
    return WorkbookList(path, rule, header, read, look.name, top, overlooked=overlooked)


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """What the first rows of a sheet say: where the NHS numbers are, or why that cannot be told.

    ``likely`` is whether it seems to hold NHS numbers at all; ``top`` goes down to the first row with text.
    """

    name: str
    hidden: bool
    top: Sequence[Row]
    place: _Place | None = None
    likely: bool = False
    refusal: NdooError | None = None


def _look_at(path: Path, number: int, sheet: Any, wanted: str | None, rule: NumberRule) -> _Look:
    look = partial(_Look, sheet.title, sheet.sheet_state != "visible")
    with reading(path):
        rows = read_rows(path, sheet)
        top, found = _top(rows)
        if not found:
            if not any(map(lacks_result, chain.from_iterable(top))):
                return look(())
            refusal = UnreadableList(
                path,
                f"sheet {sheet.title!r} has only formulas whose results were not saved; {_SAVE_IT}",
            )
            return look((), likely=True, refusal=refusal)
        texts = [_text(cell) for cell in top[-1]]
        try:
            index, has_header = find_column(path, texts, wanted, rule)
        except ColumnError as error:
            likely = any(_tells(path, text, rule) for text in texts) or any(
                parse_cell(_text(cell), rule)[0] is not None
                for cell in chain.from_iterable(islice(rows, _HINT_ROWS))
            )
            return look(top, likely=likely, refusal=error)
    place = _Place(number, index, len(texts), len(top) if has_header else len(top) - 1)
    return look(top, place, likely=True)


def _tells(path: Path, text: str, rule: NumberRule) -> bool:
    """Tell whether one cell is a number, or a name that says that there are some."""
    try:
        find_column(path, [text], None, rule)
    except ColumnError:
        return False
    return True


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


def _top(rows: Iterator[Row]) -> tuple[list[Row], bool]:
    """Give the rows down to the first with text in it, and tell whether there is one."""
    top: list[Row] = []
    for row in rows:
        top.append(row)
        if any(_text(cell).strip() for cell in row):
            return top, True
    return top, False


def _no_sheet(path: Path, shown: Sequence[_Look], overlooked: Sequence[str]) -> NdooError:
    likely = [look.name for look in shown if look.likely]
    refusals = [look.refusal for look in shown if look.refusal]
    if len(likely) > 1 or (overlooked and not likely):
        names = [*map(repr, likely), *(f"{name!r} (hidden)" for name in overlooked)]
        which = "several" if likely else "only hidden"
        return ColumnError(
            path,
            f"{which} sheets may hold the list: {', '.join(names)}; choose one with --column 'SHEET!' (or "
            "'SHEET!NAME'), or put all rows on one sheet",
            (),
        )
    if not refusals:
        return UnreadableList(path, "holds no NHS numbers, only empty sheets")
    if len(shown) == 1:
        return refusals[0]
    return ColumnError(
        path,
        f"no sheet has a column that can be told to hold NHS numbers; its sheets are "
        f"{', '.join(repr(look.name) for look in shown)}; choose one with --column 'SHEET!NAME' (or SHEET! "
        "and the position)",
        (),
    )


# -- reading ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in a workbook the NHS numbers are: sheet and column from 0, and the rows above them.

    ``width`` is that of the first row with text in it.
    """

    sheet: int
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
    next_row = 1
    with opened(path) as book:
        sheet = book.worksheets[place.sheet]
        tell = _teller(path, sheet, progress)
        rows = read_rows(path, sheet)
        above = islice(rows, place.skipped)
        for batch in chain(_batches(path, above), _batches(path, rows)):
            cells = [row[place.index] if place.index < len(row) else EMPTY_CELL for row in batch]
            # They would pass for blank cells.
            for number, cell in enumerate(cells, next_row):
                if lacks_result(cell):
                    raise _unknown_result(path, sheet, number)
            first_row, next_row = next_row, next_row + len(batch)
            if first_row <= place.skipped:
                continue
            numbers, faults = read_texts([_text(cell) for cell in cells], rule)
            lines = np.arange(first_row, next_row, dtype=np.int64)
            tell(next_row)
            yield SheetBlock(numbers, lines, faults, b"", lines[:0], rows=batch, width=place.width)


def _batches(path: Path, rows: Iterator[Row]) -> Iterator[list[Row]]:
    """Take some rows at a time: fewer if they are wide, for they are held."""
    while True:
        batch: list[Row] = []
        cells = 0
        with reading(path):
            for row in islice(rows, _BATCH_ROWS):
                batch.append(row)
                cells += len(row)
                if cells >= _BATCH_CELLS:
                    break
        if not batch:
            return
        yield batch


def _teller(path: Path, sheet: Any, progress: Progress | None) -> Callable[[int], None]:
    """Give what turns rows read into bytes read: as far as the sheet tells how many rows it has."""
    size = path.stat().st_size
    last = sheet.max_row
    if progress is None or not last:
        return lambda _: None
    return lambda row: progress(min(size, size * row // last), size)


def _unknown_result(path: Path, sheet: Any, row_number: int) -> UnreadableList:
    return UnreadableList(
        path,
        f"row {row_number:,} of sheet {sheet.title!r} has a formula for the NHS number, and its result was "
        f"not saved; {_SAVE_IT}",
    )


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
        return value.date().isoformat() if is_day else _short(value.isoformat(" "))
    if isinstance(value, timedelta):
        return _duration(value)
    return _short(value.isoformat()) if isinstance(value, time) else str(value)


def _duration(value: timedelta) -> str:
    """Write hours, minutes and seconds, as a format such as [h]:mm:ss shows them: days are hours, too."""
    seconds, left = divmod(abs(value), timedelta(seconds=1))
    hours, seconds = divmod(seconds, 3_600)
    sign = "-" if value < timedelta() else ""
    return _short(f"{sign}{hours:02}:{seconds // 60:02}:{seconds % 60:02}.{left.microseconds:06}")


def _short(clock: str) -> str:
    """Leave out a fraction of a second that is none, and zeros at its end."""
    return clock.rstrip("0").rstrip(".") if "." in clock else clock


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
