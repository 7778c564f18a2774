from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ndoo._cells import parse_cell
from ndoo._csv import CsvLayout, Rows, _cut_quickly, cut_rows, read_column
from ndoo.errors import UnreadableList
from ndoo.lists import Fault, NumberRule

PATH = Path("list.csv")

# Few letters, so that marks, delimiters and line ends often stand next to each other.
texts = st.text(st.sampled_from('x1"",,;\n\n\r'), max_size=40).map(str.encode)
layouts = st.builds(CsvLayout, st.sampled_from(",;"), st.integers(0, 2), st.integers(1, 4))


def pieces_of(data: bytes, cuts: list[bool]) -> list[bytes]:
    """Cut text after some of its lines, as often as ``cuts`` says."""
    pieces = [b""]
    for index, line in enumerate(lines_of(data)):
        pieces[-1] += line
        if cuts[index % len(cuts)]:
            pieces.append(b"")
    return [piece for piece in pieces if piece]


def lines_of(data: bytes) -> list[bytes]:
    """Split after line feeds only."""
    return io.BytesIO(data).readlines()


def swallows_rows(row: list[str], layout: CsvLayout) -> bool:
    """Tell whether a cell begins and ends as a row's cells do, and has as many delimiters over its lines."""
    edge = f"(?:{layout.delimiter}|\r?\n)"
    return layout.width > 1 and any(
        "\n" in cell
        and cell.count(layout.delimiter) > layout.width - 2
        and re.fullmatch(f"{edge}(?:.*{edge})?", cell, re.DOTALL)
        for cell in row
    )


def is_extra(row: list[str], layout: CsvLayout) -> bool:
    """Tell whether a row has anything past the last cell it may have."""
    return re.search(rf'[^ \t\r\n"{layout.delimiter}]', "".join(row[layout.width :])) is not None


def read_by_the_standard_library(
    data: bytes, layout: CsvLayout
) -> tuple[list[tuple[bytes, int, str, bool]], int | None]:
    """Give each row's bytes, first line, cell, and if it has more; and the line of the row that is wrong."""
    lines = lines_of(data)
    reader = csv.reader(io.StringIO(data.decode()), delimiter=layout.delimiter, strict=True)
    rows, before = [], 0
    try:
        for row in reader:
            raw = b"".join(lines[before : reader.line_num])
            if swallows_rows(row, layout):
                return rows, before + 1
            cell = row[layout.index] if layout.index < len(row) else ""
            rows.append((raw, before + 1, cell, is_extra(row, layout)))
            before = reader.line_num
    except csv.Error:
        return rows, before + 1
    return rows, None


def cells_of(rows: Rows) -> list[str]:
    """Take the cells out of their text."""
    bounds = zip(rows.starts, rows.stops, strict=True)
    return [single_marks(rows.text[start:stop].decode()) for start, stop in bounds]


def single_marks(cell: str) -> str:
    """Make one of neighbouring quotation marks: in cells that are cut quickly they are still doubled."""
    return re.sub('"+', '"', cell)


def cut(data: bytes, layout: CsvLayout, cuts: list[bool]) -> tuple[list[tuple[bytes, int, str, bool]], str]:
    """Give what ``cut_rows`` finds, in the form of ``read_by_the_standard_library``, and its error."""
    found = []
    try:
        for rows in cut_rows(PATH, pieces_of(data, cuts), layout, 1):
            start = 0
            for end, line, cell, extra in zip(rows.ends, rows.lines, cells_of(rows), rows.extra, strict=True):
                found.append((rows.data[start:end], int(line), cell, bool(extra)))
                start = end
            assert start == len(rows.data)
    except UnreadableList as error:
        return found, str(error)
    return found, ""


@given(texts, layouts, st.lists(st.booleans(), min_size=1, max_size=5))
@example(b'1,x\n"\n1,x\n"\n1,x\n', CsvLayout(",", 0, 2), [True])
@example(b'1,x,x,\n1,x,,\n1,x,x\n1,,,"x"\n', CsvLayout(",", 0, 2), [True])
@example(b'a,"b\n', CsvLayout(",", 1, 9), [True])
@example(b'a,"b""\n",c\nd', CsvLayout(",", 1, 9), [True])
@example(b'"a"x,1\n', CsvLayout(",", 0, 9), [True])
@example(b'1,5" pipe\n2,"x"\n', CsvLayout(",", 0, 9), [True, False])
@example(b"a\r\nb\rc\n", CsvLayout(",", 0, 9), [True])
def test_any_text_is_cut_as_the_standard_library_cuts_it(data, layout, cuts):
    """Rows, lines, cells and the line of what is wrong are the same, however the text comes in pieces."""
    expected, wrong = read_by_the_standard_library(data, layout)
    found, error = cut(data, layout, cuts)
    plain = [(raw, line, single_marks(cell), extra) for raw, line, cell, extra in expected]
    if wrong is None:
        assert (found, error) == (plain, "")
    else:
        assert found == plain[: len(found)]
        assert error.startswith((f"{PATH}: line {wrong}: not CSV: ", f"{PATH}: line {wrong}: a quoted cell "))


cells = st.one_of(
    st.text(st.sampled_from('x1" ,;\n'), max_size=6), st.sampled_from(["two\r\nlines", '""', "", "é"])
)


@given(
    st.lists(st.lists(cells, min_size=1, max_size=4), min_size=1, max_size=6),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    st.sampled_from(["\n", "\r\n"]),
    layouts,
)
def test_what_a_csv_writer_writes_is_cut_at_once(rows, quoting, ending, layout):
    """Regular CSV, whatever its cells hold, never takes the slow way."""
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=layout.delimiter, quoting=quoting, lineterminator=ending).writerows(rows)
    data = text.getvalue().encode()
    found = _cut_quickly(data, layout, 1, ended=True)
    if any(swallows_rows(row, layout) for row in rows):
        assert found is None  # what is wrong is put into words elsewhere
        return
    assert found is not None
    expected, _ = read_by_the_standard_library(data, layout)
    assert found.lines.tolist() == [line for _, line, _, _ in expected]
    assert found.extra.tolist() == [extra for _, _, _, extra in expected]
    wanted = [row[layout.index] if layout.index < len(row) else "" for row in rows]
    assert cells_of(found) == [single_marks(cell) for cell in wanted]


def test_a_stray_mark_slows_down_its_own_piece_only():
    """The pieces before and after it are cut at once, and all rows come in order."""
    layout = CsvLayout(",", 0, 9)
    regular, stray = b'1,"x"\n2,y\n', b'3,5" pipe\n'
    assert _cut_quickly(regular, layout, 1, ended=False) is not None
    assert _cut_quickly(stray, layout, 1, ended=False) is None
    blocks = list(cut_rows(PATH, [regular, stray, regular], layout, 1))
    assert [block.lines.tolist() for block in blocks] == [[1, 2], [3], [4, 5]]


@pytest.mark.parametrize("mark", ['"', ""])
def test_a_cell_that_is_too_long_is_refused_and_a_long_one_is_not(mark):
    """The limit is that of the standard library, in characters, whether the cell is quoted or not."""
    layout = CsvLayout(",", 0, 9)
    limit = csv.field_size_limit()
    fits = f"1,{mark}{'é' * limit}{mark}\n2,y\n".encode()
    assert [len(block.ends) for block in cut_rows(PATH, [fits], layout, 1)] == [2]
    with pytest.raises(UnreadableList, match=r"line 2: not CSV: a cell of more than 131,072 characters"):
        list(cut_rows(PATH, [b"0,x\n", f"1,{mark}{'x' * limit}x{mark}\n".encode()], layout, 1))


def test_a_mark_that_is_never_closed_does_not_fill_the_memory():
    """Rows that go on and on are refused after a few megabytes, with the line on which they start."""
    read = []

    def pieces():
        yield b'1,x\n2,"\n'
        for _ in range(1000):
            read.append(1)
            yield b'","\n' * 50_000

    with pytest.raises(UnreadableList, match=r"line 2: not CSV: a row of more than 4 MB; is a quotation"):
        list(cut_rows(PATH, pieces(), CsvLayout(",", 0, 9), 1))
    assert len(read) < 100


written = st.one_of(
    st.sampled_from(["9990000018", "999 000 0018", "999-000-0018", "9990000018.0", "9990000019", "99900001"]),
    st.sampled_from(
        ["not known!", "999000001x", "9990 00018", "99900\n0018", "          "]
    ),  # ten bytes each
    st.text(st.sampled_from("90 -.,x\n\u00a0\u2013é"), max_size=12),
)


@given(st.lists(written, min_size=1, max_size=20), st.sampled_from(list(NumberRule)))
def test_each_cell_is_read_as_if_it_were_alone(column, rule):
    """Its number and fault do not depend on its neighbours, their lengths or their encoding."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([cell, "x"] for cell in column)
    (rows,) = cut_rows(PATH, [text.getvalue().encode()], CsvLayout(",", 0, 9), 1)
    numbers, faults = read_column(rows, rule)
    for cell, number, fault in zip(column, numbers.tolist(), faults.tolist(), strict=True):
        alone, reason = parse_cell(cell, rule)
        assert Fault(fault) is reason
        if reason is Fault.NONE:
            assert number == alone
