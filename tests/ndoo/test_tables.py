from __future__ import annotations

import csv
import gzip
import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ndoo._cells import parse_cell
from ndoo._preparing import prepare_list
from ndoo.errors import ColumnError, InvalidNumbers, ListError, UnreadableList
from ndoo.lists import Fault, NumberRule, format_records, generate
from ndoo.tables import open_list

POOL = next(generate(500, seed=11)).tolist()
A, B, C = POOL[:3]


def spaced(number: int) -> str:
    """Write a number as it stands in most exports."""
    text = str(number)
    return f"{text[:3]} {text[3:6]} {text[6:]}"


def make(folder: Path, content: str | bytes, name: str = "patients.csv") -> Path:
    """Write a file, gzipped if its name says so."""
    data = content.encode() if isinstance(content, str) else content
    path = folder / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def rows_of(path: Path, column: str | None = None) -> list[tuple[int, int, Fault]]:
    """Line, number and fault of each row."""
    return [
        (int(line), int(number), Fault(fault))
        for block in open_list(path, column)
        for line, number, fault in zip(block.lines, block.numbers, block.faults, strict=True)
    ]


def prepared(path: Path, **options: Any) -> bytes:
    """Give the records that a file would be submitted as."""
    out = io.BytesIO()
    prepare_list(path, out, **options)
    return out.getvalue()


# -- every kind of file -----------------------------------------------------------------------------


@pytest.mark.parametrize("compressed", ["", ".gz"])
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "bom"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        (".dat", ["{a},", "{b},"]),
        (".txt", ["{a}", "{b_spaced}"]),
        (".TXT", [" {a_spaced}\t", "{b}"]),
        (".csv", ["Name,NHS Number", '"Testerton, A",{a}', "Sampleby,{b_spaced}"]),
        (".csv", ["nhs_no;Name", "{a_spaced};Testerton", '"{b}";"Sampleby\nB"']),
        (".csv", ["Name\tNHSNumber", "Testerton\t{a}", "Sampleby\t{b}"]),
        (".csv", ["Testerton,{a}", "Sampleby,{b}"]),
    ],
)
def test_every_kind_of_file_gives_the_same_records(tmp_path, kind, lines, ending, mark, compressed):
    """Format, spacing, byte-order mark, line endings and gzip make no difference to what is submitted."""
    text = ending.join(lines).format(a=A, b=B, a_spaced=spaced(A), b_spaced=spaced(B))
    for last in ("", ending):
        path = make(tmp_path, mark + text + last, f"patients{kind}{compressed}")
        assert prepared(path) == format_records(np.array([A, B]))


cells = st.one_of(
    st.sampled_from(POOL).map(str),
    st.sampled_from(POOL).map(spaced),
    st.sampled_from(
        ["", " ", "-", "n/a", "999000001", "9.99E+09", "9990000019", "999\n000\n0018", "999\u00a0000 0018,"]
    ),
    st.text(max_size=8).filter(lambda text: "\0" not in text and "\r" not in text and text.isprintable()),
)


@given(
    st.lists(
        st.tuples(st.sampled_from(["x", "a,b", 'a"b', "two\nlines", ""]), cells), min_size=1, max_size=30
    )
)
def test_each_csv_row_is_read_like_its_cell_alone(tmp_path_factory, rows):
    """Every row has the number, the fault and the line that its cell has, whatever surrounds it."""
    path = tmp_path_factory.mktemp("csv") / "list.csv"
    expected, line = [], 2
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Note", "NHS number"])
        for note, cell in rows:
            writer.writerow([note, cell])
            number, fault = parse_cell(cell)
            expected.append((line, number if fault is Fault.NONE else None, fault))
            line += 1 + note.count("\n") + cell.count("\n")
    found = [(line, number if not fault else None, fault) for line, number, fault in rows_of(path)]
    assert found == expected


@given(
    st.lists(
        st.tuples(cells.filter(lambda cell: "\n" not in cell), st.sampled_from(["\n", "\r\n", ",\n"])),
        min_size=1,
    )
)
def test_each_text_line_is_read_like_itself_alone(tmp_path_factory, rows):
    """The same holds for text files, where every line is a row."""
    path = make(tmp_path_factory.mktemp("txt"), "".join(cell + ending for cell, ending in rows), "list.txt")
    expected = [(line, *parse_cell(cell + ending.rstrip())) for line, (cell, ending) in enumerate(rows, 1)]
    found = [(line, number if not fault else None, fault) for line, number, fault in rows_of(path)]
    assert found == expected


def test_a_file_of_many_blocks_is_read_in_order(tmp_path):
    """Block and batch boundaries, also inside quoted cells, lose and repeat nothing."""
    numbers = np.concatenate(list(generate(60_000)))
    rows = "".join(f'"Testerton\n{"padding " * 5}",{number}\r\n' for number in numbers.tolist())
    path = make(tmp_path, "Name,NHS Number\r\n" + rows, "long.csv.gz")
    blocks = list(open_list(path))
    assert np.array_equal(np.concatenate([block.numbers for block in blocks]), numbers)
    assert np.array_equal(np.concatenate([block.lines for block in blocks]), np.arange(60_000) * 2 + 2)
    assert b"".join(block.data for block in blocks) == rows.encode()
    assert len(blocks) > 3


def test_a_list_can_be_read_twice(tmp_path):
    """Iterating starts again from the beginning of the file."""
    numbers = open_list(make(tmp_path, f"{A}\n{B}\n", "list.txt"))
    assert [len(block) for block in numbers] == [len(block) for block in numbers] == [2]


def test_windows_1252_is_read_where_utf_8_fails(tmp_path):
    """An accented name as old Excel writes it does not get in the way, and can name the column."""
    path = make(tmp_path, f"Prénom,Numéro NHS\r\nZoë,{spaced(A)}\r\n".encode("cp1252"))
    assert rows_of(path, "numéro nhs") == [(2, A, Fault.NONE)]


def test_gzip_is_read_without_isal_too(tmp_path):
    """Where isal has no wheel the standard library reads the same, and finds the same damage."""
    good = make(tmp_path, f"{A}\n", "good.txt.gz")
    bad = tmp_path / "bad.txt.gz"
    bad.write_bytes(good.read_bytes()[:-9])
    script = (
        "import sys; sys.modules['isal'] = None\n"
        "from pathlib import Path; from ndoo.tables import open_list\n"
        "print([len(block) for block in open_list(Path(sys.argv[1]))])\n"
        "list(open_list(Path(sys.argv[2])))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, good, bad], capture_output=True, text=True, check=False
    )
    assert run.stdout == "[1]\n"
    assert "gzip is cut short" in run.stderr


# -- the column -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "NHS Number",
        "nhsnumber",
        "NHS_No.",
        "nhs no",
        "NHS-Num",
        " NHS ",
        "Patient NHS number",
        "Patient's NHS No",
    ],
)
def test_the_column_is_known_by_its_usual_names(tmp_path, name):
    """Letter case, blanks and punctuation of a header do not matter."""
    assert rows_of(make(tmp_path, f'Id,"{name}",Practice\n1,{A},2\n')) == [(2, A, Fault.NONE)]


@pytest.mark.parametrize(
    ("header", "column", "says"),
    [
        ("Surname,Forename", None, "'Surname', 'Forename'; choose one with --column"),
        ("NHS Number,nhs_no", None, "several columns may hold the NHS number: 'NHS Number', 'nhs_no'"),
        ("Surname,NHS number status", None, "no column is named like an NHS number"),
        (
            "Surname,,NHS number",
            "Number",
            "no column 'Number'; its columns are 'Surname', column 2, 'NHS number'",
        ),
        ("Surname,NHS number", "3", "no column '3'"),
        ("Surname,NHS number", "0", "no column '0'"),
        ("Id,id,NHS number", "ID", "2 columns are called 'ID'; give its position"),
    ],
)
def test_a_column_that_cannot_be_told_is_asked_for(tmp_path, header, column, says):
    """The error names the columns found and how to choose."""
    path = make(tmp_path, f"{header}\nx,y,z\n")
    with pytest.raises(ColumnError, match="patients") as caught:
        open_list(path, column)
    assert says in str(caught.value)
    assert len(caught.value.columns) == header.count(",") + 1


@pytest.mark.parametrize("column", ["GMS id", "gms ID ", "2"])
def test_a_column_is_chosen_by_name_or_position(tmp_path, column):
    """The choice wins over a column whose name looks right."""
    path = make(tmp_path, f"NHS Number,GMS id\n{A},{B}\n")
    assert rows_of(path, column) == [(2, B, Fault.NONE)]


def test_a_csv_without_a_header_is_known_by_its_numbers(tmp_path):
    """One column with a valid number in the first row is the one, and the first row is a row."""
    assert rows_of(make(tmp_path, f"Testerton,{A}\nSampleby,\n")) == [
        (1, A, Fault.NONE),
        (2, -1, Fault.BLANK),
    ]


def test_a_first_row_with_a_patient_is_never_taken_for_a_header_nor_shown(tmp_path):
    """In a headerless CSV a chosen column is read from the first row, and errors name no one."""
    path = make(tmp_path, f"Testerton,01/02/1970,{A},\nSampleby,03/04/1980,,{B}\n")
    assert rows_of(path, "4") == [(1, -1, Fault.BLANK), (2, B, Fault.NONE)]
    two = make(tmp_path, f"Testerton,{A},{B}\n", "two.csv")
    with pytest.raises(ColumnError, match="column 2, column 3;") as caught:
        open_list(two)
    assert "Testerton" not in str(caught.value)
    assert str(A) not in repr(caught.value.columns)


@pytest.mark.parametrize("cell", ["", " ", "-", "12345", "1234"])
def test_a_first_row_without_a_name_in_the_chosen_column_is_a_row(tmp_path, cell):
    """By position, only a word in the chosen cell makes a header; a blank or half a number does not."""
    assert open_list(make(tmp_path, f"Testerton,John,{cell}\nSampleby,Amy,{A}\n"), "3").header == b""
    assert open_list(make(tmp_path, f"Surname,,GMS id\nSampleby,Amy,{A}\n"), "3").header != b""


def test_a_position_is_not_looked_for_among_the_cells(tmp_path):
    """A first row that happens to hold the digit chosen is still a row, read at that position."""
    assert rows_of(make(tmp_path, f"{A},1,M\n{B},1,F\n"), "1") == [(1, A, Fault.NONE), (2, B, Fault.NONE)]


def test_a_patient_of_the_nhs_is_no_header(tmp_path):
    """The word NHS in a row with a valid number does not make it a row of names."""
    assert rows_of(make(tmp_path, f"Testerton,NHS,{A}\n")) == [(1, A, Fault.NONE)]


def test_a_first_row_with_a_blank_cell_and_no_number_is_not_shown(tmp_path):
    """It may be a patient without a number, so the error gives positions instead of what it says."""
    with pytest.raises(ColumnError, match="its columns are column 1, column 2, column 3;") as caught:
        open_list(make(tmp_path, "Testerton,John,\n"))
    assert caught.value.columns == ("column 1", "column 2", "column 3")


def test_only_a_csv_has_columns(tmp_path):
    """Choosing a column of a text file is a mistake worth naming."""
    with pytest.raises(ColumnError, match="leave out --column"):
        open_list(make(tmp_path, f"{A}\n", "list.txt"), "1")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_quoted_cells_may_hold_other_delimiters(tmp_path, delimiter):
    """The delimiter is the one that leaves the quotation marks at the edges of cells."""
    names = delimiter.join(['"NHS Number"', '"a,b;c\td,e;f\tg"', '"say ""x"""'])
    assert rows_of(make(tmp_path, f"{names}\n{A}\n")) == [(2, A, Fault.NONE)]


@pytest.mark.parametrize(
    ("header", "column"),
    [
        ('Name,NHS Number,"Notes (a; b; c; d)"', None),
        ('Name,Ref,"Notes (a; b; c; d)"', "Ref"),
        ('Name,Ref,"Notes (a; b; c; d)"', "2"),
        ("A,{a},c;d;e;f;g", None),
        ("Name|NHS No|Notes, remarks, and, the, rest", None),
        ("sep=;\nName (a, b, c);NHS Number", None),
        ("SEP=^\r\nName (a, b, c)^NHS Number", None),
        ('"sep=\t"\nName (a, b, c)\tRef', "2"),
        ("sep=;\n1, 2, 3;{a}", None),
    ],
)
def test_the_delimiter_is_the_one_that_makes_sense(tmp_path, header, column):
    """More cells are worth less than a column of NHS numbers; and Excel's line that tells it is no row."""
    header = header.format(a=A)
    told, _, names = header.rpartition("\n")
    delimiter = re.search(r"[,;|\t^]", told or names.replace(" (a, b, c)", ""))[0]
    path = make(tmp_path, f"{header}\n" + delimiter.join(["x", str(B), "z"][: names.count(delimiter) + 1]))
    has_names = str(A) not in header
    rows = rows_of(path, column)
    first = 2 + header.count("\n")
    assert rows == [(first - 1, A, Fault.NONE)] * (not has_names) + [(first, B, Fault.NONE)]
    above = header if has_names else told
    assert open_list(path, column).header == (above + "\n").encode() * bool(above)


@pytest.mark.parametrize(
    ("header", "column", "is_header"),
    [
        ("Visits 2025/2026,NHS Number", "2", True),
        ("2025/2026,NHS Number", "2", True),
        ("Visits 2025/2026,GMS id", "2", True),
        ("visits_2025_2026,GMS id", "2", True),
        ("01/02/1970,unknown", "2", False),
        ("1 February 1970,unknown", "2", False),
        ("1970-02-01T00:00:00,unknown", "2", False),
        ("AB123456C,unknown", "2", False),
        ("07700 900123,unknown", "2", False),
        (f"{A},NHS", "2", False),
        (f"{A},Visits 2025/2026", "2", False),
    ],
)
def test_a_year_in_a_name_makes_no_patient(tmp_path, header, column, is_header):
    """Whole cells that are numbers or dates make a first row a patient's; words with years in them do not."""
    path = make(tmp_path, f"{header}\nx,{B}\n")
    assert open_list(path, column).header == f"{header}\n".encode() * is_header


# -- files that cannot be used ----------------------------------------------------------------------

_GZIPPED = gzip.compress(b"NHS Number\n" + b"9990000018\n" * 1000)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.csv", b"", "is empty"),
        ("empty.csv.gz", gzip.compress(b""), "is empty"),
        ("blank.csv", b"\n,,\n", "only empty rows"),
        ("book.csv", b"PK\x03\x04rest", "Excel workbook"),
        ("book.xlsx", b"PK\x03\x04rest", "Excel workbook"),
        ("book.xls", b"\xd0\xcf\x11\xe0rest", "old Excel workbook"),
        ("wide.csv", "NHS Number\n9990000018\n".encode("utf-16-le"), "without a byte-order mark"),
        ("wide.txt", "9990000018\n".encode("utf-16-be"), "without a byte-order mark"),
        ("wider.csv", "NHS Number\n9990000018\n".encode("utf-32"), "UTF-32"),
        ("binary.dat", b"9990000018\0", "not a text file"),
        ("list.doc", b"9990000018\n", "must end in .dat, .txt, .csv, .tsv or .xlsx"),
        ("packed.csv", _GZIPPED, "name that ends in .gz"),
        ("cut.csv.gz", _GZIPPED[:-9], "cut short"),
        ("cut.csv.gz", _GZIPPED[:5], "cut short"),
        ("plain.csv.gz", b"NHS Number\n", "not sound gzip"),
        ("sum.csv.gz", _GZIPPED[:-6] + b"\0\0" + _GZIPPED[-4:], "not sound gzip"),
        ("block.csv.gz", _GZIPPED[:12] + b"\xff" * 20 + _GZIPPED[32:], "gzip"),
        ("endless.csv", b"NHS Number" * 400_000, "more than a megabyte"),
        ("mac.csv", b"Name,NHS Number\rTesterton,9990000018\r", "line 1: not CSV: a carriage return"),
        ("mac.csv", b"Name,NHS Number\nA,9990000018\rB,9990000018\n", "line 2: not CSV: a carriage return"),
        ("open.csv", b'NHS Number\n9990000018\n"' + b"9990000018\n" * 20_000, "is a quotation mark missing"),
        (
            "open.csv",
            b'NHS Number,Note\n9990000018,x\n\n9990000018,"y\nz\n',
            "line 4: not CSV: a quotation mark",
        ),
        ("open.csv", b'NHS Number,"Note\n9990000018,x\n', "line 1: not CSV: a quotation mark"),
        ("header.csv", b"NHS Number\n", "holds no NHS numbers"),
        ("blanks.txt", b"\n\n", "holds no NHS numbers"),
    ],
)
def test_a_file_that_is_no_list_is_refused_in_one_line(tmp_path, name, content, says):
    """The message names the file, what is wrong and what to do."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UnreadableList) as caught:
        prepared(path)
    message = str(caught.value)
    assert says in message
    assert message.startswith(f"{path}: ")
    assert "\n" not in message


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    """Both are told apart, whatever their names end in."""
    with pytest.raises(UnreadableList, match="no such file"):
        open_list(tmp_path / "none.csv")
    with pytest.raises(UnreadableList, match="is a folder"):
        open_list(tmp_path)
    with pytest.raises(UnreadableList, match="cannot be read"):
        open_list(make(tmp_path, "x", "list.txt") / "below.csv")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(tmp_path):
    """The cause is named."""
    path = make(tmp_path, f"{A}\n", "list.txt")
    path.chmod(0)
    with pytest.raises(UnreadableList, match="permission denied"):
        open_list(path)


# -- a list to submit -------------------------------------------------------------------------------

MESSY = f"""Name,NHS Number
Testerton,{A}
Sampleby,
Mockford,999000001
Alpha,9.99E+09
Beta,{B + 1}
Gamma,unknown
Delta,{spaced(C)}
"""


def test_invalid_numbers_are_counted_and_named_by_line_and_reason(tmp_path):
    """The count is that of the whole file; the numbers themselves are not shown."""
    with pytest.raises(InvalidNumbers) as caught:
        prepared(make(tmp_path, MESSY))
    faults = [Fault.LENGTH, Fault.SCIENTIFIC, Fault.CHECK_DIGIT, Fault.NOT_DIGITS]
    assert caught.value.count == 4
    assert caught.value.samples == tuple((line, fault.reason) for line, fault in enumerate(faults, 4))


def test_invalid_numbers_can_be_left_out(tmp_path):
    """What is written is the valid numbers in order; the summary says what is missing."""
    out = io.BytesIO()
    summary = prepare_list(make(tmp_path, MESSY), out, skip_invalid=True)
    assert out.getvalue() == format_records(np.array([A, C]))
    assert (summary.records, summary.blank, summary.invalid, len(summary.samples)) == (2, 1, 4, 4)


def test_no_more_than_twenty_lines_are_named(tmp_path):
    """A file with nothing but rubbish, over several blocks, is counted without naming every line."""
    path = make(tmp_path, "NHS Number\n" + "rubbish\n" * 50_000)
    with pytest.raises(InvalidNumbers, match="50,000 records") as caught:
        prepared(path)
    assert [line for line, _ in caught.value.samples] == list(range(2, 22))


def test_the_rule_decides_what_is_valid(tmp_path):
    """Dummy numbers with wrong check digits pass under the laxer rule."""
    path = make(tmp_path, f"{A + 1}\n", "list.txt")
    assert prepared(path, rule=NumberRule.DIGITS) == format_records(np.array([A + 1]))
    with pytest.raises(ListError):
        prepared(path)
