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

from ndoo import _workbook_xml
from ndoo._preparing import prepare_list
from ndoo.errors import ColumnError, UnreadableList
from ndoo.filtering import FilterSummary, filter_csv, read_type_1
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
        ("Sheet 2!3", C),
        ("Sheet 2!", B),
        ("Sheet 3!NHS Number", A),
        ("sheet 3!2", A),
        ("'Sheet 3'!nhs number", A),
        ("Sheet 3!", A),
        ("Sheet 2!Other!", C),
        ("Hidden!1", ZERO),
    ],
)
def test_the_sheet_is_found_or_chosen(tmp_path, column, number):
    """One that is the only visible one with such a column need not be named; Excel's notation names any."""
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
    assert [found for _, found, _ in rows_of(path, column)] == [number]


@pytest.mark.parametrize("column", ["3", "Other!", "other!"])
def test_a_column_may_be_called_like_a_sheet_is_named(tmp_path, column):
    """An exclamation mark ends a sheet's name only where there is such a sheet."""
    path = make(tmp_path, [["Export"]], [["Name", "NHS Number", "Other!"], ["Testerton", B, C]])
    assert [found for _, found, _ in rows_of(path, column)] == [C]


@pytest.mark.parametrize(
    ("second", "column"),
    [
        ([["NHS Number"], [B]], None),
        ([["NHS Number"], [B]], "nhs number"),
        ([["Name", "NHS Number"], ["Testerton", B]], "2"),
        ([["Testerton", B]], None),
        ([["NHS Number", "Patient NHS No"], [B, C]], None),  # a list, though its column cannot be told
        ([["Opt-outs of 2025"], ["NHS Number"], [B]], None),
        ([[], ["=1+1"], [f'="{B}"']], None),
    ],
)
def test_no_sheet_that_may_hold_the_list_is_left_out_in_silence(tmp_path, second, column):
    """With several, one is to be named: the rows of the others would be missed, and may be objections."""
    path = make(tmp_path, [["NHS Number", "Date"], [A, 2024]], second, [["Read me"], ["made in", 2025]])
    says = r"several sheets may hold the list: 'Sheet 1', 'Sheet 2'; choose one with --column 'SHEET!'"
    with pytest.raises(ColumnError, match=says):
        open_list(path, column)
    with pytest.raises(ColumnError, match=says):
        read_type_1(path, column=column)
    assert read_type_1(path, column="Sheet 1!1").numbers.contains(np.array([A])).all()


def test_a_sheet_without_numbers_is_no_list(tmp_path):
    """Notes and empty sheets beside the list need no choice; without the list all are named."""
    notes = [["Field", "Meaning"], ["NHS Number", "ten digits"]]
    assert rows_of(make(tmp_path, notes, [], [["NHS Number"], [A]], [["Read me"]])) == [(2, A, Fault.NONE)]
    with pytest.raises(ColumnError, match="its sheets are 'Sheet 1', 'Sheet 2'; choose one"):
        open_list(make(tmp_path, notes, [["Read me"]]))


@pytest.mark.parametrize("state", ["hidden", "veryHidden"])
def test_a_hidden_sheet_of_objections_is_asked_about(tmp_path, state):
    """It is not part of a list that is asked about, but of the practice's own opt-outs it may be."""
    book = Workbook()
    for title, rows in {"Shown": [["NHS Number"], [A]], "Old": [["NHS Number"], [B]]}.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book["Old"].sheet_state = state
    path = tmp_path / "book.xlsx"
    book.save(path)
    assert rows_of(path) == [(2, A, Fault.NONE)]
    with pytest.raises(ColumnError, match="hidden sheets may hold more of the list: 'Old'; choose a sheet"):
        read_type_1(path)
    assert len(read_type_1(path, column="Old!").numbers) == 1
    book["Shown"].delete_rows(1, 2)
    book.save(path)
    with pytest.raises(ColumnError, match=r"only hidden sheets may hold the list: 'Old' \(hidden\)"):
        open_list(path)


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
    monkeypatch.setattr(_workbook_xml, limit, 900)
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


def put_rows(folder: Path, rows: str, part: str = SHEET) -> Path:
    """Write a workbook whose only sheet has these rows in its XML, in a part of that name."""
    path = make(folder, [["x"]])
    with zipfile.ZipFile(path) as archive:
        sheet = archive.read(SHEET).decode()
    start, end = sheet.index("<row"), sheet.rindex("</sheetData>")
    change(path, SHEET, sheet[start:end], rows)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            # Other parts name it from the archive's root, or from xl.
            renamed = content.replace(SHEET[3:].encode(), part[3:].encode())
            archive.writestr(part if name == SHEET else name, renamed)
    return path


def row_of(number: int, *cells: str) -> str:
    """Write a row of cells as XML."""
    return f'<row r="{number}">{"".join(cells)}</row>'


HEADER = row_of(1, '<c r="A1" t="inlineStr"><is><t>NHS Number</t></is></c>')


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


@pytest.mark.parametrize(
    "rows", [["NHS Number", "=1", A], ["NHS Number", A, "=1"], ["=1", A], [A, "=1", "=2"]]
)
def test_rows_that_are_formulas_only_are_no_empty_rows(tmp_path, rows):
    """In a list of one column, also in the last row and in the first."""
    path = make(tmp_path, [[cell] for cell in rows])
    row = rows.index("=1") + 1
    with pytest.raises(
        UnreadableList, match=f"row {row} of sheet 'Sheet 1' has a formula for the NHS number"
    ):
        rows_of(path)


def test_a_sheet_of_formulas_without_results_is_not_called_empty(tmp_path):
    """What it holds nobody can tell before it was saved in Excel."""
    with pytest.raises(
        UnreadableList, match="sheet 'Sheet 1' has only formulas whose results were not saved"
    ):
        open_list(make(tmp_path, [["=1"], ["=2"]]))


def test_a_formula_is_found_wherever_its_sheet_is(tmp_path):
    """The workbook says which part a sheet is; its name is free."""
    rows = HEADER + row_of(2, f'<c r="A2"><v>{A}</v></c>') + row_of(3, f'<c r="A3"><f>"{B}"</f></c>')
    with pytest.raises(UnreadableList, match="row 3 of sheet 'Sheet 1' has a formula"):
        rows_of(put_rows(tmp_path, rows, "xl/pages/one.xml"))


@pytest.mark.parametrize("value", ["<v></v>", "<v/>"])
def test_a_formula_that_gives_an_empty_text_is_a_blank_cell(tmp_path, value):
    """Excel saves it so, and saving it again would change nothing."""
    formula = f'<c r="A3" t="str"><f>IF(B3="","",B3)</f>{value}</c><c r="B3"><v>7</v></c>'
    path = put_rows(tmp_path, HEADER + row_of(2, f'<c r="A2"><v>{A}</v></c>') + row_of(3, formula))
    assert rows_of(path) == [(2, A, Fault.NONE), (3, -1, Fault.BLANK)]
    change(path, SHEET, value, "")
    with pytest.raises(UnreadableList, match="row 3 of sheet 'Sheet 1' has a formula"):
        rows_of(path)


@pytest.mark.parametrize(
    "rows",
    [
        [(2, ["A2"]), (2, ["A2"])],
        [(3, ["A3"]), (2, ["A2"])],
        [(2, ["A2"]), (3, ["A2"])],
        [(2, ["B2", "A2"])],
        [(2, ["A2", "A2"])],
        [(0, ["A2"])],
    ],
)
def test_rows_and_cells_out_of_order_are_refused(tmp_path, rows):
    """They are damage that some programs leave, and what is read next would take the place of what was."""
    written = [row_of(row, *(f'<c r="{cell}"><v>{A}</v></c>' for cell in cells)) for row, cells in rows]
    with pytest.raises(UnreadableList, match=r"out of order, or twice, at row .*; open it in Excel and"):
        rows_of(put_rows(tmp_path, HEADER + "".join(written)))


def test_rows_and_cells_need_no_number(tmp_path):
    """They are counted on; gaps are as wide as the numbers say."""
    rows = ["<row><c><v>1</v></c></row>", row_of(4, f'<c r="B4"><v>{A}</v></c>', f"<c><v>{B}</v></c>")]
    path = put_rows(tmp_path, "".join(rows))
    assert filtered(path, [A, B], column="1")[0] == b"\xef\xbb\xbf"
    path = put_rows(tmp_path, HEADER + "".join(rows).replace("B4", "A4"))
    assert filtered(path, [A, B])[0].endswith(b"%d,%d\r\n" % (A, B))
    assert [row[0] for row in rows_of(path)] == [2, 3, 4]


def test_wide_rows_come_in_smaller_blocks(tmp_path):
    """A stray cell in the last column costs no more memory than many rows."""
    stray = [row_of(n, f'<c r="A{n}"><v>{A}</v></c><c r="XFD{n}"><v>1</v></c>') for n in range(2, 42)]
    sizes = [len(block) for block in open_list(put_rows(tmp_path, HEADER + "".join(stray)))]
    assert (sum(sizes), max(sizes)) == (40, 8)


def test_what_openpyxl_warns_of_is_not_heard(tmp_path):
    """Warnings are errors in this suite: extensions and dates out of range raise none."""
    path = make(tmp_path, [["NHS Number", "Born"], [A, dt.date(1970, 1, 1)]])
    extension = '<extLst><ext uri="{CCE6A557-97BC-4b89-ADB6-D9C93CAAB3DF}"/></extLst></worksheet>'
    change(path, SHEET, "</worksheet>", extension)
    change(path, SHEET, "<v>25569</v>", "<v>99999999999</v>")
    assert rows_of(path) == [(2, A, Fault.NONE)]
    assert b"%d,99999999999\r\n" % A in filtered(path, [A])[0]


def test_a_number_under_a_date_format_is_still_the_number(tmp_path):
    """Excel shows it as hash signs; what is written has it as it was, errors too."""
    book = Workbook()
    for row in (["NHS Number", "x"], [A, "#VALUE!"], [float(B), 5_000_000.5]):
        book.active.append(row)
    for cell in ("A2", "A3", "B3"):
        book.active[cell].number_format = "yyyy-mm-dd"
    path = tmp_path / "dates.xlsx"
    book.save(path)
    assert rows_of(path) == [(2, A, Fault.NONE), (3, B, Fault.NONE)]
    assert filtered(path, [A, B])[0].endswith(b"%d,#VALUE!\r\n%d,5000000.5\r\n" % (A, B))
    (tmp_path / "again.xlsx").write_bytes(filtered(path, [A, B], as_workbook=True)[0])
    assert rows_of(tmp_path / "again.xlsx") == rows_of(path)


@pytest.mark.parametrize(
    ("value", "number_format", "text"),
    [
        (dt.timedelta(hours=30, minutes=5), "[h]:mm", "30:05:00"),
        (dt.timedelta(hours=1000, seconds=2.5), "[h]:mm:ss", "1000:00:02.5"),
        (dt.timedelta(hours=-2), "[h]:mm", "-02:00:00"),
        (dt.timedelta(0), "[mm]:ss", "00:00:00"),
        (dt.time(1, 2, 3, 678_000), "hh:mm:ss", "01:02:03.678"),
        (dt.time(1, 20), "hh:mm", "01:20:00"),
        (dt.datetime.fromisoformat("2026-11-24T09:30:10.25"), "yyyy-mm-dd hh:mm", "2026-11-24 09:30:10.25"),
        (dt.datetime.fromisoformat("2026-11-24T09:30"), "yyyy-mm-dd hh:mm", "2026-11-24 09:30:00"),
    ],
)
def test_times_are_written_whole(tmp_path, value, number_format, text):
    """Durations in hours, as Excel shows them, and fractions of a second where there are some."""
    book = Workbook()
    for row in (["NHS Number", "x"], [A, value]):
        book.active.append(row)
    book.active["B2"].number_format = number_format
    path = tmp_path / "times.xlsx"
    book.save(path)
    assert filtered(path, [A])[0].decode().splitlines()[1] == f"{A},{text}"
