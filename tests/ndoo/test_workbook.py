"""Excel workbooks as input and as output, made by openpyxl as other programs make them."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openpyxl import Workbook, load_workbook

from ndoo import _workbook
from ndoo._preparing import prepare_list
from ndoo.errors import ColumnError, UnreadableList
from ndoo.filtering import FilterSummary, filter_csv
from ndoo.lists import Fault, NumberSet, generate
from ndoo.tables import open_list

POOL = next(generate(3000, seed=41)).tolist()
A, B, C = POOL[:3]
# Nobody's: the third and fourth digit of a Scottish number, which may begin with a zero, are a month.
ZERO = 123450012

SHEET = "xl/worksheets/sheet1.xml"


def make(folder: Path, *sheets: Sequence[Sequence[Any]], name: str = "patients.xlsx") -> Path:
    """Write a workbook of some sheets, called 'Sheet 1' and so on."""
    book = Workbook(write_only=True)
    for number, rows in enumerate(sheets, 1):
        sheet = book.create_sheet(f"Sheet {number}")
        for row in rows:
            sheet.append(row)
    data = io.BytesIO()
    book.save(data)
    path = folder / name
    path.write_bytes(gzip.compress(data.getvalue()) if name.endswith(".gz") else data.getvalue())
    return path


def change(path: Path, part: str, old: str, new: str) -> Path:
    """Replace a text in a part of a workbook."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    assert old.encode() in parts[part]
    parts[part] = parts[part].replace(old.encode(), new.encode())
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def rows_of(path: Path, column: str | None = None) -> list[tuple[int, int, Fault]]:
    """Row, number and fault of each."""
    return [
        (int(line), int(number), Fault(fault))
        for block in open_list(path, column)
        for line, number, fault in zip(block.lines, block.numbers, block.faults, strict=True)
    ]


def filtered(path: Path, keep: Sequence[int], **options: Any) -> tuple[bytes, FilterSummary]:
    """Filter a workbook by a set of numbers."""
    out = io.BytesIO()
    kept = NumberSet.from_arrays([np.array(keep, np.int64)])
    summary = filter_csv(path, out, kept.contains, **options)
    return out.getvalue(), summary


# -- cells ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["patients.xlsx", "PATIENTS.XLSX", "patients.xlsx.gz"])
def test_numbers_are_read_from_every_kind_of_cell(tmp_path, name):
    """Texts, whole numbers, floats, lost zeros and dates; rows are counted as Excel counts them."""
    rows = [
        ["Name", "NHS Number"],
        ["Testerton", str(A)],
        ["Sampleby", f"{str(B)[:3]} {str(B)[3:6]} {str(B)[6:]}"],
        ["Mockford", C],
        [],
        ["Alpha", float(A)],
        ["Beta", ZERO],
        ["Gamma", dt.date(1970, 1, 1)],
        ["Delta", f"{B}.0"],
        ["Epsilon"],
        ["Zeta", True],
    ]
    path = make(tmp_path, rows, name=name)
    assert rows_of(path) == [
        (2, A, Fault.NONE),
        (3, B, Fault.NONE),
        (4, C, Fault.NONE),
        (5, -1, Fault.BLANK),
        (6, A, Fault.NONE),
        (7, ZERO, Fault.LOST_ZERO),
        (8, -1, Fault.LENGTH),
        (9, B, Fault.NONE),
        (10, -1, Fault.BLANK),
        (11, -1, Fault.NOT_DIGITS),
    ]
    out = io.BytesIO()
    assert prepare_list(path, out, skip_invalid=True).duplicates == 2
    assert out.getvalue() == f"{A},\n{B},\n{C},\n".encode()


@pytest.mark.parametrize("number_format", ["0000000000", "000 000 0000", "000\\-000\\-0000"])
def test_a_zero_that_the_sheet_shows_is_not_lost(tmp_path, number_format):
    """A number whose format shows ten digits has ten, here and in the CSV made of it."""
    book = Workbook()
    book.active.append(["NHS Number"])
    book.active.append([ZERO])
    book.active["A2"].number_format = number_format
    path = tmp_path / "patients.xlsx"
    book.save(path)
    assert rows_of(path) == [(2, ZERO, Fault.NONE)]
    assert filtered(path, [ZERO])[0] == b"\xef\xbb\xbfNHS Number\r\n0123450012\r\n"


def test_many_rows_come_in_blocks_and_empty_ones_at_the_end_are_none(tmp_path):
    """Nothing is lost or repeated from block to block, and progress ends at the size of the file."""
    book = Workbook()
    book.active.append(["NHS Number"])
    for number in POOL:
        book.active.append([number])
    book.active["A3500"].number_format = "@"
    path = tmp_path / "long.xlsx"
    book.save(path)
    told: list[tuple[int, int]] = []
    blocks = list(open_list(path, progress=lambda done, total: told.append((done, total))))
    assert [number for block in blocks for number in block.numbers.tolist()] == POOL
    assert [line for block in blocks for line in block.lines.tolist()] == list(range(2, 3002))
    assert len(blocks) > 2
    assert 0 < told[0][0] < told[-1][0] <= told[-1][1] == path.stat().st_size


# -- sheets and columns -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "number"),
    [
        (None, B),
        ("NHS Number", B),
        ("3", C),
        ("Sheet 3!NHS Number", A),
        ("sheet 3!2", A),
        ("'Sheet 3'!nhs number", A),
        ("Sheet 3!", A),
        ("Other!", A),
        ("Other!!", B),
        ("Hidden!1", ZERO),
    ],
)
def test_the_sheet_is_found_or_chosen(tmp_path, column, number):
    """By default it is the first visible one with such a column; Excel's notation names another."""
    path = tmp_path / "book.xlsx"
    book = Workbook()
    book.active.title = "Sheet 1"
    book.active.append(["Export of the practice"])
    for title, rows in {
        "Hidden": [["NHS Number"], [str(ZERO).zfill(10)]],
        "Sheet 2": [[], ["Name", "NHS Number", "Other!"], ["Testerton", B, C]],
        "Sheet 3": [["Name", "NHS Number"], ["Testerton", A]],
    }.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book["Hidden"].sheet_state = "hidden"
    book.save(path)
    if column == "Other!":  # no sheet of that name: it is a column's
        number = C
    if column == "Other!!":
        with pytest.raises(ColumnError, match="its sheets are 'Sheet 1', 'Sheet 2', 'Sheet 3'; choose one"):
            open_list(path, column)
        return
    assert [found for _, found, _ in rows_of(path, column)] == [number]


def test_a_column_that_cannot_be_told_is_asked_for(tmp_path):
    """A single sheet has the error of a CSV; one without a header is known by its numbers."""
    with pytest.raises(
        ColumnError, match="no column is named like an NHS number; its columns are 'Name', 'x'"
    ):
        open_list(make(tmp_path, [["Name", "x"], ["A", 1]]))
    assert rows_of(make(tmp_path, [["Testerton", A], ["Sampleby", B]])) == [
        (1, A, Fault.NONE),
        (2, B, Fault.NONE),
    ]


# -- what is written --------------------------------------------------------------------------------

# Cells of a sheet have no time zone.
SEEN = dt.datetime.fromisoformat("2026-11-24T09:30")
FULL = [
    ["Name", "NHS Number", "Born", "Seen", "Visits", "Fee", "Note"],
    ["Zoë, A", A, dt.date(1970, 1, 2), SEEN, 3, 1.5, 'say "x"\nagain'],
    ["Sampleby", str(B), None, None, True, None, None],
    ["Mockford", float(C), dt.time(9, 30), None, None, 0.25, "end"],
    ["Unknown", "x"],
]


def test_a_csv_has_the_rows_as_text(tmp_path):
    """UTF-8 with a mark, as Excel writes and reads it: dates in ISO 8601, numbers with all their digits."""
    out, summary = filtered(make(tmp_path, FULL), [A, C])
    assert out.startswith(b"\xef\xbb\xbf")
    assert list(csv.reader(io.StringIO(out.decode("utf-8-sig"), newline=""))) == [
        FULL[0],
        ["Zoë, A", str(A), "1970-01-02", "2026-11-24 09:30:00", "3", "1.5", 'say "x"\nagain'],
        ["Mockford", str(C), "09:30:00", "", "", "0.25", "end"],
    ]
    assert summary == FilterSummary(4, 2, 1, 0, 1)


def test_a_workbook_has_values_formats_and_dates(tmp_path):
    """What is written can be read again, and is the chosen sheet's header and surviving rows."""
    book = Workbook()
    book.active.title = "Read me"
    sheet = book.create_sheet("Visits")
    for row in FULL:
        sheet.append(row)
    sheet["F2"].number_format = "£0.00"
    sheet["B2"].number_format = "000 000 0000"
    sheet.append(["=1+1", B, "", "#N/A"])
    sheet["A6"].data_type = "s"
    path = tmp_path / "visits.xlsx"
    book.save(path)
    out, summary = filtered(path, [A, B], as_workbook=True)
    written = load_workbook(io.BytesIO(out))
    assert written.sheetnames == ["Visits"]
    rows = list(written["Visits"].iter_rows())
    assert [[cell.value for cell in row[:4]] for row in rows[:3]] == [
        FULL[0][:4],
        ["Zoë, A", A, dt.datetime.fromisoformat("1970-01-02"), SEEN],
        ["Sampleby", str(B), None, None],
    ]
    assert (rows[1][1].number_format, rows[1][5].number_format) == ("000 000 0000", "£0.00")
    assert rows[1][2].is_date
    assert (rows[3][0].value, rows[3][0].data_type, rows[3][3].data_type) == ("=1+1", "s", "e")
    assert summary == FilterSummary(5, 3, 1, 0, 1)


def test_a_workbook_that_fails_half_way_leaves_nothing_behind(tmp_path, monkeypatch):
    """No temporary file with people's rows stays on the disk."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()

    def broken(numbers: Any) -> Any:
        raise RuntimeError

    class FullDisk(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(28, "No space left on device")

    for sheet in (FULL, FULL[1:]):
        with pytest.raises(RuntimeError):
            filter_csv(make(tmp_path, sheet), io.BytesIO(), broken, as_workbook=True)
        with pytest.raises(OSError, match="No space left"):
            filter_csv(make(tmp_path, sheet), FullDisk(), None, column="2", as_workbook=True)
    assert list((tmp_path / "tmp").iterdir()) == []
    filtered(make(tmp_path, FULL), [A], as_workbook=True)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_no_workbook_is_made_of_a_text(tmp_path):
    """Asking for it is a mistake that is named."""
    path = tmp_path / "patients.csv"
    path.write_text(f"NHS Number\n{A}\n")
    with pytest.raises(UnreadableList, match="is no workbook"):
        filtered(path, [A], as_workbook=True)


# -- workbooks that cannot be used ------------------------------------------------------------------


def test_a_file_that_is_no_workbook_is_refused_in_one_line(tmp_path):
    """The message says what it may be and what to do."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as written:
        written.writestr("word/document.xml", "<w/>")
    good = make(tmp_path, [["NHS Number"], [A]]).read_bytes()
    for content, says in [
        (b"", "is empty"),
        (b"NHS Number\n", "is not an Excel workbook, or is damaged"),
        (archive.getvalue(), "is not an Excel workbook, or is damaged"),
        (good[:-40], "is not an Excel workbook, or is damaged"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is protected with a password, or is an old Excel workbook"),
    ]:
        for name, data in {"x.xlsx": content, "x.xlsx.gz": gzip.compress(content)}.items():
            path = tmp_path / name
            path.write_bytes(data)
            with pytest.raises(UnreadableList) as caught:
                open_list(path)
            assert says in str(caught.value)
            assert "\n" not in str(caught.value)
    with pytest.raises(UnreadableList, match="no such file"):
        open_list(tmp_path / "none.xlsx")
    (tmp_path / "cut.xlsx.gz").write_bytes(gzip.compress(good)[:-9])
    with pytest.raises(UnreadableList, match="gzip is cut short"):
        open_list(tmp_path / "cut.xlsx.gz")


def test_empty_sheets_are_no_list(tmp_path):
    """Neither one nor several; a header alone is read, and holds no numbers."""
    with pytest.raises(UnreadableList, match="holds no NHS numbers, only empty sheets"):
        open_list(make(tmp_path, [], [[None], [" "]]))
    with pytest.raises(UnreadableList, match="holds no NHS numbers"):
        prepare_list(make(tmp_path, [["NHS Number"]]), io.BytesIO())


@pytest.mark.parametrize("limit", ["MAX_SHEET_BYTES", "MAX_OTHER_BYTES", "MAX_FILE_BYTES"])
def test_a_workbook_that_would_swell_is_not_unpacked(tmp_path, monkeypatch, limit):
    """Sizes are looked at before anything is read."""
    path = make(tmp_path, [["NHS Number"], *([number] for number in POOL)], name="x.xlsx.gz")
    monkeypatch.setattr(_workbook, limit, 900)
    with pytest.raises(UnreadableList, match="too large for a workbook; save the sheet as 'CSV UTF-8'"):
        open_list(path)


@pytest.mark.parametrize("row", ["2000000", "99999999999", "x"])
def test_rows_that_no_sheet_can_have_are_refused(tmp_path, row):
    """A number of a row that is made up keeps nobody busy for long."""
    path = make(tmp_path, [["NHS Number"], [A]])
    change(path, SHEET, 'row r="2"', f'row r="{row}"')
    with pytest.raises(UnreadableList, match="is not an Excel workbook, or is damaged"):
        rows_of(path)


def test_styles_and_names_that_are_not_quite_right_do_no_harm(tmp_path):
    """A style the workbook lacks, and a sheet's name that Excel would not allow, are read and written."""
    path = make(tmp_path, [["NHS Number", "Born"], [A, dt.date(1970, 1, 1)]])
    change(path, SHEET, 's="1"', 's="99"')
    change(path, SHEET, '<c r="A2"', '<c s="98" r="A2"')
    change(path, "xl/workbook.xml", "Sheet 1", "Visits / all the practices of the county")
    assert b"%d,25569\r\n" % A in filtered(path, [A])[0]
    written = load_workbook(io.BytesIO(filtered(path, [A], as_workbook=True)[0]))
    assert written.sheetnames == ["Visits _ all the practices of t"]
    assert written.active["A2"].value == A


def test_damage_further_down_is_found_on_the_way(tmp_path):
    """A sheet that ends too soon is no shorter list."""
    book = Workbook()
    for value in ["NHS Number", *POOL]:
        book.active.append([value])
    path = tmp_path / "patients.xlsx"
    book.save(path)
    change(path, SHEET, f"<v>{POOL[2500]}</v>", "<v>")
    numbers = open_list(path)
    with pytest.raises(UnreadableList, match="damaged"):
        list(numbers)


def test_a_formula_that_was_never_worked_out_is_refused(tmp_path):
    """It would pass for a blank cell, which one with a format but no formula is."""
    book = Workbook()
    sheet = book.active
    sheet.title = "Visits"
    for row in (["NHS Number", "Sum"], [A, "=1+1"], [None, 2]):
        sheet.append(row)
    sheet["A3"].number_format = "@"
    path = tmp_path / "formulas.xlsx"
    book.save(path)
    assert [fault for _, _, fault in rows_of(path)] == [Fault.NONE, Fault.BLANK]
    sheet["A3"] = f'=CONCAT("{B}")'
    book.save(path)
    with pytest.raises(UnreadableList, match="row 3 of sheet 'Visits' has a formula for the NHS number"):
        rows_of(path)
    change(path, SHEET, f'CONCAT("{B}")</f><v />', f'CONCAT("{B}")</f><v>{B}</v>')
    assert [number for _, number, _ in rows_of(path)] == [A, B]


def test_what_openpyxl_warns_of_is_not_heard(tmp_path):
    """Warnings are errors in this suite: extensions and dates out of range raise none."""
    path = make(tmp_path, [["NHS Number", "Born"], [A, dt.date(1970, 1, 1)]])
    extension = '<extLst><ext uri="{CCE6A557-97BC-4b89-ADB6-D9C93CAAB3DF}"/></extLst></worksheet>'
    change(path, SHEET, "</worksheet>", extension)
    change(path, SHEET, "<v>25569</v>", "<v>99999999999</v>")
    assert rows_of(path) == [(2, A, Fault.NONE)]
    assert b"#VALUE!" in filtered(path, [A])[0]
