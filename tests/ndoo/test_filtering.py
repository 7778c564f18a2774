from __future__ import annotations

import csv
import gzip
import io
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook, load_workbook

from ndoo._cells import parse_cell
from ndoo._preparing import prepare_list
from ndoo.errors import ColumnError, InvalidNumbers, UnreadableList
from ndoo.filtering import FilterSummary, filter_csv, read_answer, read_type_1
from ndoo.lists import Fault, Mask, NumberRule, Numbers, NumberSet, format_records, generate, parse_number

POOL = next(generate(400, seed=21))
KEPT = NumberSet.from_arrays([POOL[::2]])


def filtered(path: Path, **options: str) -> tuple[bytes, FilterSummary]:
    """Filter a file by ``KEPT``."""
    out = io.BytesIO()
    summary = filter_csv(path, out, KEPT.contains, **options)
    return out.getvalue(), summary


cells = st.one_of(
    st.sampled_from(POOL.tolist()).map(str),
    st.sampled_from(POOL.tolist()).map(
        lambda number: f"{number // 10**7} {number // 10**4 % 1000} {number % 10**4:04}"
    ),
    st.sampled_from(["", "  ", "999000001", "unknown"]),
)
notes = st.sampled_from(["", "x", '"a,b"', '"two\nlines"', '"two\r\nlines, ""quoted"""', "é", "\u2028"])
csv_rows = st.lists(st.tuples(notes, cells, st.booleans()), max_size=30)


@given(
    csv_rows,
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["utf-8", "utf-8-sig", "cp1252"]),
    st.booleans(),
)
def test_exactly_the_right_rows_are_kept_byte_for_byte(tmp_path_factory, rows, ending, encoding, ended):
    """What comes out is the header and the raw bytes of the rows with a number to keep."""
    path = tmp_path_factory.mktemp("filter") / "patients.csv"
    mark = b"\xef\xbb\xbf" if encoding == "utf-8-sig" else b""
    codec = encoding.removesuffix("-sig")
    header = mark + ("Note,NHS Number,Note" + ending).encode()
    raw = []
    for note, cell, quoted in rows:
        number = f'"{cell}"' if quoted else cell
        raw.append(f"{note},{number},{note}{ending}".encode(codec, "replace"))
    if raw and not ended:
        raw[-1] = raw[-1].removesuffix(ending.encode())
    path.write_bytes(header + b"".join(raw))

    parsed = [parse_number(cell)[0] for _, cell, _ in rows]
    expected = [
        line for line, number in zip(raw, parsed, strict=True) if number is not None and number in KEPT
    ]
    out, summary = filtered(path)
    assert out == header + b"".join(expected)
    blank = sum(not cell.strip() for _, cell, _ in rows)
    assert (summary.rows, summary.kept, summary.blank) == (len(rows), len(expected), blank)
    assert summary.removed == len([n for n in parsed if n is not None]) - len(expected)
    assert summary.rows == summary.kept + summary.removed + summary.blank + summary.invalid


def test_a_long_compressed_csv_is_filtered_over_many_blocks(tmp_path):
    """Rows that cross block boundaries come out whole, uncompressed, and in order."""
    numbers = np.concatenate(list(generate(50_000)))
    keep = NumberSet.from_arrays([numbers[::3]])
    rows = [b'%d;"Testerton\n%s";"x;y"\r\n' % (number, b"padding " * 6) for number in numbers.tolist()]
    path = tmp_path / "long.csv.gz"
    path.write_bytes(gzip.compress(b"nhs_number;Name;Note\r\n" + b"".join(rows), 1))
    out = io.BytesIO()
    summary = filter_csv(path, out, keep.contains)
    assert out.getvalue() == b"nhs_number;Name;Note\r\n" + b"".join(rows[::3])
    assert summary == FilterSummary(50_000, len(rows[::3]), 50_000 - len(rows[::3]), 0, 0)


@pytest.mark.parametrize("name", ["list.dat", "list.txt"])
def test_a_plain_list_is_filtered_too(tmp_path, name):
    """Lines are kept as they stand, spaced numbers and a missing last line feed included."""
    a, b, c = (f"{number // 10**7} {number % 10**7:07}" for number in POOL[:3].tolist())
    path = tmp_path / name
    path.write_bytes(f"\ufeff{a},\r\n{b}\n\n99\n {c}".encode())
    assert filtered(path) == (f"\ufeff{a},\r\n {c}".encode(), FilterSummary(5, 2, 1, 1, 1))


def test_the_first_patient_of_a_headerless_csv_is_filtered(tmp_path):
    """A first row with a number is a row: an opted-out patient there does not slip through."""
    path = tmp_path / "headerless.csv"
    path.write_bytes(b"\xef\xbb\xbfTesterton,%d\nSampleby,%d\n" % (POOL[1], POOL[2]))
    assert filtered(path) == (b"\xef\xbb\xbfSampleby,%d\n" % POOL[2], FilterSummary(2, 1, 1, 0, 0))
    path.write_bytes(b"01/02/1970,\n03/04/1980,%d\n" % POOL[2])
    assert filtered(path, column="2") == (b"03/04/1980,%d\n" % POOL[2], FilterSummary(2, 1, 0, 1, 0))
    path.write_bytes(b"Testerton,John,\nSampleby,Amy,%d\n" % POOL[2])
    assert filtered(path, column="3") == (b"Sampleby,Amy,%d\n" % POOL[2], FilterSummary(2, 1, 0, 1, 0))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('NHS Number,Name,Note\n{0},Amy,x\n{2},Bob,"see letter\n{1},Cid,x\n', 3),
        ('NHS Number,Name,Note\n{0},Amy,"see letter\n{1},Cid,x\n{2},"Bob" x,y\n', 2),
        ('Name,NHS Number\n"Amy,{0}\nCid,{1}\nBob,{2}\n', 2),
        ('Name,NHS Number\nAmy,{0}\n"Bob" B,{2}\nCid,{1}\n', 3),
        ('"NHS Number,Name\n{0},Amy\n{1},Cid\n', 1),
        ('{0},Amy,"see letter\n{1},Cid,x\n', 1),
    ],
)
@pytest.mark.parametrize("column", [None, "1"])
def test_stray_quotation_marks_do_not_carry_rows_along(tmp_path, text, line, column):
    """A mark that would hide the rows after it in one cell is refused, with its row's line."""
    path = tmp_path / "patients.csv"
    path.write_text(text.format(*POOL[:3].tolist()))
    says = f"line {line}: not CSV: a quotation mark that is not closed or stands inside a cell"
    filtered_rows, records = io.BytesIO(), io.BytesIO()
    with pytest.raises(UnreadableList, match=says):
        filter_csv(path, filtered_rows, KEPT.contains, column=column)
    with pytest.raises(UnreadableList, match=says):
        prepare_list(path, records, column=column)
    header = text.partition("\n")[0].encode() + b"\n"
    assert filtered_rows.getvalue() in (b"", header)
    assert records.getvalue() == b""


@pytest.mark.parametrize("stray", ["", 'Gamma "G" H,1\n'], ids=["quickly", "exactly"])
def test_a_row_with_more_cells_than_the_first_is_invalid(tmp_path, stray):
    """A comma in a name that is not quoted would make another's number the one that is judged."""
    kept, gone = POOL[0], POOL[1]
    path = tmp_path / "patients.csv"
    text = (
        "Name,NHS Number,Next of kin\n"
        f"Testerton, A,{kept},{gone}\n"
        f"Sampleby,{kept}\n"
        f"Mockford,{kept},,,\n"
        f'Alpha,{kept},x,"",\r\n'
        f'Beta,{kept},x,,"y"\n'
        f"Delta,{gone},{kept}\n"
    )
    path.write_text(text + stray, newline="")
    lines = text.splitlines(keepends=True)
    out, summary = filtered(path)
    assert out == "".join([lines[0], *lines[2:5]]).encode()
    assert (summary.kept, summary.removed, summary.invalid) == (3, 1, 2 + bool(stray))
    with pytest.raises(InvalidNumbers) as caught:
        prepare_list(path, io.BytesIO())
    reason = "more cells than the first row (a delimiter in a cell that is not quoted?)"
    assert caught.value.samples[:2] == ((2, reason), (6, reason))


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("a.tsv", 'Name\tNHS Number\tTown\nA\t{0}\tLeeds\nB\t{2}\t"\nC\t{1}\t"\nD\t{0}\tx\n', 3),
        ("a.tsv", 'Name\tTown\tNHS Number\nA\t"\t{0}\nB\t"\t{2}\n', 2),
        ("a.tsv", 'Town\tNHS Number\tName\n"\t{1}\tA\r\n"\t{2}\tB\r\n', 2),
        ("a.tsv", 'NHS Number\tName\tTown\n{0}\tA\t"\n\tB\t"\n', 2),
        ("a.csv", 'NHS Number,Name,Town\n{0},A,"\n,B,"\n', 2),
        ("a.csv", 'NHS Number,Name,Note\n{0},A,"see letter\n{1},B,x\n{2},C,or not"\n', 2),
        ("a.csv", 'NHS Number,Note\n{0},"\n{1},"\n', 2),
        ("a.csv", '{0};A;"see letter\n{3};B;the end"\n', 1),
    ],
)
@pytest.mark.parametrize("stray", ["", '"x" y{d}1\n'], ids=["quickly", "exactly"])
def test_a_row_in_a_cell_of_another_is_not_carried_along(tmp_path, name, text, line, stray):
    """Ditto marks, or two stray quotation marks, make cells of whole rows; the first such row is named."""
    path = tmp_path / name
    written = text.format(*POOL[:3].tolist(), f"{POOL[3] // 10**7} {POOL[3] % 10**7}")
    path.write_text(written + stray.format(d="\t" if name == "a.tsv" else ","), newline="")
    out = io.BytesIO()
    says = f"line {line}: a quoted cell runs over what looks like another row; take out the quotation mark"
    with pytest.raises(UnreadableList, match=says):
        filter_csv(path, out, KEPT.contains)
    assert str(POOL[1]).encode() not in out.getvalue()
    with pytest.raises(UnreadableList, match=says):
        prepare_list(path, io.BytesIO())


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize(
    "cell",
    [
        "1 High Street,\nFlat 2; left, Testerton,\r\nSampleshire; AB1 2CD",
        "\n1 High Street, Testerton\n",
        "tel. 07700 900123, after six,\n07700900456, in the morning; or at work,\n",
        "999\n000\n0018",
    ],
)
def test_a_cell_of_several_lines_is_no_row(tmp_path, cell, delimiter):
    """Addresses and notes are copied, whatever punctuation they have."""
    path = tmp_path / "patients.csv"
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows(
        [["NHS Number", "Address", "Note"], [POOL[0], cell, "x"], [POOL[1], cell, "y"], [POOL[2], cell, ""]]
    )
    path.write_text(text.getvalue(), newline="")
    out, summary = filtered(path)
    assert (summary.kept, summary.removed) == (2, 1)
    assert out.count(cell.encode()) == 2


def test_only_valid_numbers_are_asked_about(tmp_path):
    """A row without a valid number is left out even if everything were to be kept."""
    path = tmp_path / "list.csv"
    path.write_bytes(b"NHS Number\n%d\nunknown\n\n%d\n" % (POOL[0], POOL[1] + 1))
    asked: list[int] = []

    def everybody(numbers: Numbers) -> Mask:
        asked.extend(numbers.tolist())
        return np.ones(len(numbers), np.bool_)

    out = io.BytesIO()
    assert filter_csv(path, out, everybody) == FilterSummary(4, 1, 0, 1, 2)
    assert asked == POOL[:1].tolist()
    assert filter_csv(path, io.BytesIO(), everybody, rule=NumberRule.DIGITS).kept == 2


def test_a_file_that_cannot_be_used_is_refused(tmp_path):
    """The errors of reading a list are those of filtering one."""
    path = tmp_path / "patients.csv"
    with pytest.raises(UnreadableList):
        filtered(path)
    path.write_bytes(b"Surname,Forename\n")
    with pytest.raises(ColumnError):
        filtered(path)


# -- Type 1 opt-outs --------------------------------------------------------------------------------

# Nobody's: the third and fourth digit of a Scottish number, which may begin with a zero, are a month.
ZERO = 123450012


def table(folder: Path, numbers: list[int | str], name: str = "patients.csv") -> Path:
    """Write a CSV with a row a number."""
    path = folder / name
    path.write_text("Name,NHS Number\n" + "".join(f"Testerton,{number}\n" for number in numbers))
    return path


def test_the_two_removals_are_told_apart(tmp_path):
    """A row that both would remove is counted as Type 1, once, and among those that are both."""
    kept, type_1, national, both = POOL[0], POOL[2], POOL[1], POOL[3]
    path = table(tmp_path, [*map(int, (kept, type_1, national, both, both)), "", "x"])
    exclude = read_type_1(table(tmp_path, [int(type_1), int(both), ""], "type1.csv"))
    assert (len(exclude.numbers), exclude.blank, exclude.repaired) == (2, 1, 0)
    out = io.BytesIO()
    summary = filter_csv(path, out, KEPT.contains, exclude=exclude.numbers.contains)
    assert out.getvalue() == b"Name,NHS Number\nTesterton,%d\n" % kept
    assert summary == FilterSummary(7, 1, removed=1, blank=1, invalid=1, type_1=3, both=2)
    alone = filter_csv(path, io.BytesIO(), None, exclude=exclude.numbers.contains)
    assert alone == FilterSummary(7, 2, removed=0, blank=1, invalid=1, type_1=3, both=0)


def test_an_objection_is_never_lost(tmp_path):
    """One invalid number, or none at all, refuses the whole list of Type 1 opt-outs."""
    with pytest.raises(InvalidNumbers) as caught:
        read_type_1(table(tmp_path, [int(POOL[0]), ZERO, 99]))
    assert (caught.value.count, caught.value.repairable) == (2, 1)
    assert [line for line, _ in caught.value.samples] == [3, 4]
    with pytest.raises(UnreadableList, match="holds no NHS numbers"):
        read_type_1(table(tmp_path, [""]))
    repaired = read_type_1(table(tmp_path, [ZERO, "0123450012"]), repair=True)
    assert (ZERO in repaired.numbers, len(repaired.numbers), repaired.repaired) == (True, 1, 1)


def test_a_lost_zero_is_judged_as_if_it_were_there(tmp_path):
    """Only when asked for; the row itself stays as it is, and without repair it is left out."""
    path = table(tmp_path, [ZERO, "0123450012"])
    keep = NumberSet.from_arrays([np.array([ZERO])])
    out = io.BytesIO()
    assert filter_csv(path, out, keep.contains) == FilterSummary(2, 1, 0, 0, 1, repairable=1)
    assert out.getvalue() == b"Name,NHS Number\nTesterton,0123450012\n"
    out = io.BytesIO()
    assert filter_csv(path, out, keep.contains, repair=True) == FilterSummary(2, 2, 0, 0, 0, repaired=1)
    assert out.getvalue() == path.read_bytes()
    out = io.BytesIO()
    assert filter_csv(path, out, None, exclude=keep.contains, repair=True).type_1 == 2
    assert out.getvalue() == b"Name,NHS Number\n"


# -- whatever the file ------------------------------------------------------------------------------

SPELLINGS = [
    "{}",
    " {} ",
    "{}.0",
    "{:.9e}",
    "{0:010d}",
]


def written_as(kind: str, rows: list[tuple[str, str]]) -> bytes:
    """Write rows of note and number as a file of a kind."""
    if kind.startswith(".xlsx"):
        book = Workbook(write_only=True)
        sheet = book.create_sheet()
        for note, number in [("Note", "NHS Number"), *rows]:
            sheet.append([note, int(number) if number.isdigit() and number[0] != "0" else number])
        data = io.BytesIO()
        book.save(data)
        content = data.getvalue()
    elif kind.startswith((".dat", ".txt")):
        content = "".join(f"{number}\r\n" for _, number in rows).encode()
    else:
        delimiter = "\t" if kind.startswith(".tsv") else ";"
        text = io.StringIO(newline="")
        csv.writer(text, delimiter=delimiter).writerows([("Note", "NHS Number"), *rows])
        content = text.getvalue().encode("utf-16" if "16" in kind else "utf-8")
    return gzip.compress(content, 1) if kind.endswith(".gz") else content


def numbers_in(written: bytes) -> set[int]:
    """Find everything in an output that could be an NHS number, however it is written."""
    if written.startswith(b"PK"):
        cells = [cell.value for row in load_workbook(io.BytesIO(written)).active for cell in row]
        text = "\n".join(str(int(cell) if isinstance(cell, float) else cell) for cell in cells)
    else:
        text = written.decode("utf-16" if written[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    cells = re.split(r"[\n\r;\t,]", text)
    return {number for cell in cells if (number := parse_cell(cell.strip('"'))[0]) is not None}


@pytest.mark.parametrize(
    "kind",
    [
        ".dat",
        ".txt",
        ".csv",
        ".tsv",
        ".xlsx",
        "-16.csv",
        ".dat.gz",
        ".txt.gz",
        ".csv.gz",
        ".tsv.gz",
        ".xlsx.gz",
    ],
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_output_holds_anybody_who_must_not_be_in_it(tmp_path, kind, data):
    """Neither an opted-out number, nor a Type 1 one, nor one the answer lacks; and everybody else is."""
    pool = [*POOL[:12].tolist(), ZERO]
    rows = data.draw(
        st.lists(
            st.tuples(
                st.sampled_from(["x", "é", "two words"]),
                st.one_of(
                    st.builds(str.format, st.sampled_from(SPELLINGS), st.sampled_from(pool)),
                    st.sampled_from(["", "unknown", "999000001"]),
                ),
            ),
            min_size=1,
            max_size=25,
        ).filter(lambda rows: any(parse_cell(number)[0] for _, number in rows))
    )
    answer = data.draw(st.sets(st.sampled_from(pool)))
    type_1 = data.draw(st.sets(st.sampled_from(pool)))
    repair = data.draw(st.booleans())
    as_workbook = ".xlsx" in kind and data.draw(st.booleans())
    path = tmp_path / f"list{kind}"
    path.write_bytes(written_as(kind, rows))
    out = io.BytesIO()
    summary = filter_csv(
        path,
        out,
        NumberSet.from_arrays([np.array(sorted(answer), np.int64)]).contains,
        exclude=NumberSet.from_arrays([np.array(sorted(type_1), np.int64)]).contains,
        column=None if kind.startswith((".dat", ".txt")) else "NHS Number",
        repair=repair,
        as_workbook=as_workbook,
    )
    parsed = [parse_cell(number) for _, number in rows]
    usable = {
        number
        for number, fault in parsed
        if number is not None and (fault is Fault.NONE or (repair and fault is Fault.LOST_ZERO))
    }
    assert numbers_in(out.getvalue()) == usable & answer - type_1
    assert summary.rows == summary.kept + summary.removed + summary.type_1 + summary.blank + summary.invalid
    assert summary.both <= summary.type_1
    # Empty rows at the end of a sheet are no rows; those here have a note.
    assert summary.rows == len(rows)


# -- answers ----------------------------------------------------------------------------------------


def test_an_answer_is_read_as_a_set(tmp_path):
    """Its numbers are in the set, whatever their check digits; the empty answer is an empty set."""
    path = tmp_path / "answer.dat"
    path.write_bytes(format_records(np.append(POOL[:10], POOL[10] + 1)))
    answer = read_answer(path)
    assert answer.contains(POOL[:12]).tolist() == [True] * 10 + [False] * 2
    assert POOL[10] + 1 in answer
    path.write_bytes(b"\n")
    assert len(read_answer(path)) == 0


def test_what_is_no_answer_is_refused(tmp_path):
    """A refusal by the service, or any other text, is not taken for a cleaned list."""
    path = tmp_path / "answer.dat"
    path.write_bytes(format_records(POOL[:3]) + b"The file contains one or more invalid NHS Numbers.")
    with pytest.raises(InvalidNumbers) as caught:
        read_answer(path)
    assert [line for line, _ in caught.value.samples] == [4]
