"""Cutting a CSV into rows, and finding the cells of one column, many rows at a time.

Where quotation marks stand only where a CSV writer puts them, a byte is inside a quoted cell if the number
of marks before it is odd, and numpy finds delimiters and line ends of a whole piece at once. A piece in
which anything looks odd is cut by Python's own reader, which also finds the words for what is wrong.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from ndoo._cells import parse_cell, read_cells
from ndoo._encodings import drop_separators
from ndoo.errors import UnreadableList
from ndoo.lists import Fault, Faults, NumberRule
from ndoo.records import RECORD, RECORD_BYTES, Mask, Numbers, decode_records

MAX_ROW_BYTES: Final = 4 << 20
"""A row longer than this, over all its lines, is taken for the trace of a missing quotation mark."""

_FEED, _RETURN, _QUOTE = b'\n\r"'

Bytes: TypeAlias = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class CsvLayout:
    """How a CSV is cut into cells, which cell, from 0, holds the NHS number, and how many a row has."""

    delimiter: str
    index: int
    width: int

    @property
    def fillers(self) -> str:
        """Characters that make no content of the cells past a row's last."""
        return f' \t\r\n"{self.delimiter}'


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Whole rows one after the other, and the cell of each in the column wanted; n of them.

    ``ends`` is where each row ends in ``data`` and ``lines`` the line on which it starts. The cells, with
    no quotation marks around them, are in ``text`` from ``starts`` to ``stops``. ``extra`` tells which rows
    have more cells than they should, apart from empty ones. All have shape (n,). ``next_line`` is the line
    on which the row after them starts.
    """

    data: bytes = field(repr=False)
    ends: Numbers
    lines: Numbers
    next_line: int
    text: bytes = field(repr=False)
    starts: Numbers
    stops: Numbers
    extra: Mask


def cut_rows(path: Path, pieces: Iterable[bytes], layout: CsvLayout, first_line: int) -> Iterator[Rows]:
    """Cut the rows of a CSV, in its order.

    Args:
        path: the file's name, for errors.
        pieces: its text from the first row on; each ends where a line ends, but perhaps the last.
        layout: how to cut.
        first_line: the line on which the first row starts.

    Raises:
        UnreadableList: it is not CSV, or a quotation mark hides a row in a cell of another; says on which
            line the row in question starts.
    """
    held, line = b"", first_line
    pieces = iter(pieces)
    following = next(pieces, None)
    while (piece := following) is not None:
        following = next(pieces, None)
        data = held + piece if held else piece
        rows = _cut(path, data, layout, line, ended=following is None)
        if len(rows.ends):
            yield rows
            line = rows.next_line
        held = data[len(rows.data) :]
        if len(held) > MAX_ROW_BYTES:
            raise UnreadableList(
                path,
                f"line {line}: not CSV: a row of more than {MAX_ROW_BYTES >> 20} MB; "
                "is a quotation mark missing?",
            )


def _cut(path: Path, data: bytes, layout: CsvLayout, line: int, *, ended: bool) -> Rows:
    """Cut what rows are complete in ``data``, whole lines; all there is if the file has ``ended``."""
    rows = _cut_quickly(data, layout, line, ended=ended)
    return _cut_exactly(path, data, layout, line, ended=ended) if rows is None else rows


# -- whole pieces at once ---------------------------------------------------------------------------


def _cut_quickly(data: bytes, layout: CsvLayout, line: int, *, ended: bool) -> Rows | None:
    """Cut by the positions of delimiters, line ends and quotation marks; None if that is not safe."""
    text = data + b"\n" if ended and not data.endswith(b"\n") else data
    buffer = np.frombuffer(text, np.uint8)
    marks = buffer == _FEED
    marks |= buffer == ord(layout.delimiter)
    has_quotes = b'"' in data
    if has_quotes:
        marks |= buffer == _QUOTE
    edges = np.flatnonzero(marks)
    kinds = buffer[edges]
    feeds = edges[kinds == _FEED]
    quoted = edges[:0]  # delimiters and line feeds that are
    has_returns = b"\r" in data
    if has_returns and not _are_paired(buffer, feeds):
        return None
    if has_quotes:
        is_quote = kinds == _QUOTE
        quotes = edges[is_quote]
        if not _well_placed(buffer, quotes, layout) or (ended and len(quotes) % 2):
            return None
        outside = np.cumsum(is_quote, dtype=np.uint8) & 1 == 0
        outside &= ~is_quote
        quoted = edges[~(outside | is_quote)]
        edges, kinds = edges[outside], kinds[outside]

    last = np.flatnonzero(kinds == _FEED)  # of each row's edges
    ends = edges[last] + 1
    row_starts = np.concatenate((np.zeros(min(1, len(ends)), np.int64), ends[:-1]))
    if _has_long_cell(edges, len(text)) or _hide_rows(text, quoted, row_starts, ends, layout):
        return None
    starts, stops = _find_cells(edges, last, row_starts, layout.index)
    if has_returns:
        stops = stops - ((stops > starts) & (buffer[stops - 1] == _RETURN))
    if has_quotes:
        quoted = (stops > starts) & (buffer[starts] == _QUOTE)
        starts, stops = starts + quoted, stops - quoted
    if len(feeds) == len(ends):
        lines = np.arange(line, line + len(ends), dtype=np.int64)
    else:
        lines = line + np.searchsorted(feeds, row_starts).astype(np.int64)
    if ended:
        ends[-1] = len(data)
    size = int(ends[-1]) if len(ends) else 0
    next_line = line + int(np.searchsorted(feeds, size))
    extra = _find_extra(buffer, edges, last, layout)
    return Rows(data[:size], ends, lines, next_line, text, starts, stops, extra)


def _are_paired(buffer: Bytes, feeds: Numbers) -> bool:
    """Tell whether every carriage return has its line feed."""
    paired = np.count_nonzero(buffer[feeds[feeds > 0] - 1] == _RETURN)
    return bool(np.count_nonzero(buffer == _RETURN) == paired)


def _well_placed(buffer: Bytes, quotes: Numbers, layout: CsvLayout) -> bool:
    """Tell whether each mark that opens stands where a cell starts, and each that closes where one ends.

    One that is doubled inside a cell closes it and opens it again. Carriage returns have their line feeds.
    """
    is_edge = np.zeros(256, np.bool_)
    is_edge[[_FEED, _RETURN, _QUOTE, ord(layout.delimiter)]] = True
    opening, closing = quotes[::2], quotes[1::2]
    before = buffer[opening[opening > 0] - 1]
    after = buffer[closing + 1]
    return bool(is_edge[before].all() and is_edge[after].all())


def _has_long_cell(edges: Numbers, end: int) -> bool:
    """Tell whether the reader might find a cell too long, the unfinished one at the end included."""
    # Where no such stretch is without an edge, no cell is longer than two.
    stretches = np.arange(0, end, csv.field_size_limit() // 2)
    return not np.diff(np.searchsorted(edges, stretches)).all()


def _find_cells(edges: Numbers, last: Numbers, row_starts: Numbers, index: int) -> tuple[Numbers, Numbers]:
    """Tell where the cells at ``index`` start and stop; a row without one gives an empty cell.

    Args:
        edges: where each cell of every row stops, at a delimiter or line feed.
        last: which of ``edges`` are the rows' last, shape (n,).
        row_starts: shape (n,).
        index: from 0.
    """
    first = np.concatenate((np.zeros(min(1, len(last)), np.int64), last[:-1] + 1))
    found = np.minimum(first + index, last)
    stops = edges[found]
    if index == 0:
        return row_starts, stops
    return np.where(first + index <= last, edges[found - 1] + 1, stops), stops


def _find_extra(buffer: Bytes, edges: Numbers, last: Numbers, layout: CsvLayout) -> Mask:
    """Tell which rows have cells with content past the last that ``layout`` allows, shape (n,).

    Args:
        buffer: the text.
        edges: where each cell of every row stops.
        last: which of ``edges`` are the rows' last, shape (n,).
        layout: how to cut.
    """
    before = np.concatenate((np.full(min(1, len(last)), -1, np.int64), last[:-1]))
    extra: Mask = last - before > layout.width
    wide = np.flatnonzero(extra)
    if len(wide):
        is_content = np.ones(256, np.bool_)
        is_content[list(layout.fillers.encode())] = False
        contents = np.flatnonzero(is_content[buffer])
        begun = np.searchsorted(contents, edges[before[wide] + layout.width])
        extra[wide] = np.searchsorted(contents, edges[last[wide]]) > begun
    return extra


def _hide_rows(text: bytes, quoted: Numbers, row_starts: Numbers, ends: Numbers, layout: CsvLayout) -> bool:
    """Tell whether ``_hides_row`` is true of any of n rows.

    Args:
        text: what the rows are part of.
        quoted: where delimiters and line feeds are that stand in quoted cells.
        row_starts: shape (n,).
        ends: shape (n,).
        layout: how to cut.
    """
    is_feed = np.frombuffer(text, np.uint8)[quoted] == _FEED
    feeds, delimiters = quoted[is_feed], quoted[~is_feed]
    if not len(feeds) or layout.width < 2:
        return False
    rows = np.unique(np.searchsorted(ends, feeds, "right"))
    rows = rows[rows < len(ends)]
    # Few rows over several lines have as many delimiters in their cells as between them.
    counts = np.searchsorted(delimiters, ends[rows]) - np.searchsorted(delimiters, row_starts[rows])
    return any(
        _hides_row(_parse(text[row_starts[row] : ends[row]], layout), layout)
        for row in rows[counts >= layout.width - 1].tolist()
    )


def _parse(row: bytes, layout: CsvLayout) -> list[str]:
    source = io.StringIO(row.decode("utf-8", "surrogateescape"))
    return next(csv.reader(source, delimiter=layout.delimiter, strict=True), [])


# -- row by row -------------------------------------------------------------------------------------


def _cut_exactly(path: Path, data: bytes, layout: CsvLayout, line: int, *, ended: bool) -> Rows:
    """Cut with the standard library's reader.

    What is wrong in the last line is left to the next call unless the file has ``ended``: it may be that
    the row goes on.
    """
    source = io.StringIO(data.decode("utf-8", "surrogateescape"))
    reader = csv.reader(source, delimiter=layout.delimiter, strict=True)
    cells: list[bytes] = []
    extra: list[bool] = []
    last_lines: list[int] = []  # the line, from 1, on which each row ends
    try:
        for row in reader:
            begins = last_lines[-1] if last_lines else 0
            if reader.line_num > begins + 1 and _hides_row(row, layout):
                raise UnreadableList(
                    path,
                    f"line {line + begins}: a quoted cell runs over what looks like another row; take out "
                    "the quotation mark (a ditto mark?), or the lines in that cell",
                )
            extra.append(bool("".join(row[layout.width :]).strip(layout.fillers)))
            cell = row[layout.index] if layout.index < len(row) else ""
            cells.append(cell.encode("utf-8", "surrogateescape"))
            last_lines.append(reader.line_num)
    except csv.Error as error:
        if ended or source.read(1):
            raise not_csv(path, line + (last_lines[-1] if last_lines else 0), error) from error

    feeds = np.flatnonzero(np.frombuffer(data, np.uint8) == _FEED)
    row_ends = np.append(feeds + 1, len(data))[np.array(last_lines, np.int64) - 1]
    lines = line + np.array([0, *last_lines[:-1]][: len(cells)], np.int64)
    stops = np.cumsum([len(cell) + 1 for cell in cells], dtype=np.int64) - 1
    starts = np.concatenate((np.zeros(min(1, len(stops)), np.int64), stops[:-1] + 1))
    whole = data[: row_ends[-1]] if cells else b""
    next_line = line + last_lines[-1] if cells else line
    text = b"".join([cell + b"\n" for cell in cells])
    return Rows(whole, row_ends, lines, next_line, text, starts, stops, np.array(extra, np.bool_))


def _hides_row(row: Sequence[str], layout: CsvLayout) -> bool:
    """Tell whether a cell of a row over several lines looks as if another row had got into it.

    It has as many delimiters as a row has, or more; and either a line of it has that many tabs, which nobody
    types into a cell; or what is between them is a number; or the cell's own quotation marks stand where
    a cell would start and end without it, as ditto marks do. An address has commas and lines, and none of it.
    """
    needed = layout.width - 1
    if not needed:
        return False  # whatever got into the only cell makes it no number
    edges = (layout.delimiter, "\n", "\r\n")
    for cell in row:
        if "\n" not in cell or cell.count(layout.delimiter) < needed:
            continue
        lines = cell.split("\n")
        if layout.delimiter == "\t" and any(line.count("\t") >= needed for line in lines):
            return True
        if cell.startswith(edges) and cell.endswith(edges):
            return True
        pieces = [piece for line in lines for piece in line.split(layout.delimiter)]
        if any(parse_cell(piece)[1] in _NUMBER_LIKE for piece in pieces):
            return True
    return False


_NUMBER_LIKE: Final = (Fault.NONE, Fault.CHECK_DIGIT, Fault.LOST_ZERO, Fault.SCIENTIFIC)


def not_csv(path: Path, line: int, error: csv.Error) -> UnreadableList:
    """Say what is wrong with the row that starts on a line, from 1."""
    if "new-line" in str(error):
        advice = "a carriage return without a line feed; save the file as 'CSV UTF-8' again"
    elif "field larger" in str(error):
        advice = "a cell of more than 131,072 characters; is a quotation mark missing?"
    else:
        advice = "a quotation mark that is not closed or stands inside a cell; correct or export it again"
    return UnreadableList(path, f"line {line}: not CSV: {advice}")


# -- the numbers in the cells -----------------------------------------------------------------------


def read_column(rows: Rows, rule: NumberRule) -> tuple[Numbers, Faults]:
    """Read the NHS numbers of rows by the rules of ``read_cells``, separators allowed; shape (n,) each.

    A row with more cells than it should have has none, whatever stands in the column.
    """
    numbers, faults = _read_cells(rows, rule)
    if rows.extra.any():
        numbers[rows.extra], faults[rows.extra] = -1, Fault.EXTRA_CELLS
    return numbers, faults


def _read_cells(rows: Rows, rule: NumberRule) -> tuple[Numbers, Faults]:
    buffer = np.frombuffer(rows.text, np.uint8)
    ten_long = np.flatnonzero(rows.stops - rows.starts == 10)
    records = np.empty((len(ten_long), RECORD_BYTES), np.uint8)
    records[:, :10] = _windows(buffer, rows.starts[ten_long], 10)
    records[:, 10:] = np.frombuffer(b",\n", np.uint8)
    read, well_formed, checked = decode_records(records.view(RECORD)[:, 0])
    read_faults = np.where(
        checked | (rule is NumberRule.DIGITS), np.uint8(Fault.NONE), np.uint8(Fault.CHECK_DIGIT)
    )
    if len(ten_long) == len(rows.starts) and well_formed.all():
        return read, read_faults

    numbers = np.empty(len(rows.starts), np.int64)
    faults = np.empty(len(rows.starts), np.uint8)
    numbers[ten_long], faults[ten_long] = read, read_faults
    rest = np.ones(len(rows.starts), np.bool_)
    rest[ten_long[well_formed]] = False
    text = drop_separators(_one_a_line(buffer, rows.starts[rest], rows.stops[rest]))
    if b"," not in text:
        text = text.replace(b"\n", b",\n")  # the usual form of a record is read fastest
    block = read_cells(text, rule)
    numbers[rest], faults[rest] = block.numbers, block.faults
    return numbers, faults


def _windows(buffer: Bytes, starts: Numbers, width: int) -> Bytes:
    """Copy ``width`` bytes from each of n places, shape (n, width)."""
    if not len(starts):
        return np.empty((0, width), np.uint8)
    windows = np.ndarray((len(buffer) - width + 1,), f"V{width}", buffer, strides=(1,))
    return windows[starts].view(np.uint8).reshape(-1, width)


_ENDED_BY_NUL: Final = b"\n" + bytes(range(1, 256))


def _one_a_line(buffer: Bytes, starts: Numbers, stops: Numbers) -> bytes:
    """Copy cells, each followed by a line feed, without those that are in them; a text has no zero bytes."""
    lengths = stops - starts
    width = int(lengths[0])
    if width and (lengths == width).all():
        cells = np.zeros((len(starts), width + 1), np.uint8)
        cells[:, :width] = _windows(buffer, starts, width)
        return cells.tobytes().translate(_ENDED_BY_NUL, b"\n")
    after = np.cumsum(lengths + 1)
    places = np.arange(after[-1]) + np.repeat(stops + 1 - after, lengths + 1)
    joined: Bytes = buffer[np.minimum(places, len(buffer) - 1)]
    joined[after - 1] = 0
    return joined.tobytes().translate(_ENDED_BY_NUL, b"\n")
