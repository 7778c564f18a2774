"""``ndoo filter`` as its user types it: Type 1 opt-outs, repairs, and files as they are."""

from __future__ import annotations

import gzip
import io

import pytest
from desks import NUMBERS, Desk, facts
from openpyxl import Workbook, load_workbook

from ndoo.cli.boundary import ExitCode
from ndoo.cli.options import default_output

KEPT, GONE, OBJECTS, BOTH = NUMBERS[:4]
# Nobody's: the third and fourth digit of a Scottish number, which may begin with a zero, are a month.
ZERO = 123450012


@pytest.fixture
def full(desk: Desk) -> Desk:
    """A desk with a table of four people, the answer for it, and a list of Type 1 opt-outs."""
    desk.write_table(numbers=[KEPT, GONE, OBJECTS, BOTH, ZERO, "", "12"])
    desk.write("answer.dat", f"{KEPT},\n{OBJECTS},\n{ZERO:010d},\n")
    desk.write("type1.csv", f"Patient,NHS No\nA,{OBJECTS}\nB,{BOTH}\n")
    return desk


def test_the_closing_table_tells_the_removals_apart(full: Desk) -> None:
    """National and Type 1 opt-outs have a line each, and so have repairs on offer."""
    ran = full.run_here("filter", "patients.csv", "--answer", "answer.dat", "--type-1", "type1.csv")
    assert (ran.code, ran.err) == (0, "")
    assert facts(ran.out) == {
        "rows": "7",
        "kept": "1",
        "removed": "1  not in the answer",
        "type 1": "2  on the practice's own list, 1 of them not in the answer either",
        "blank": "1  rows without a number, left out",
        "invalid": "2  rows with an invalid number, left out",
        "repairable": "1  only lack their leading zero: see --repair",
        "written": "patients-cleaned.csv",
    }
    assert (full.folder / "patients-cleaned.csv").read_bytes() == (
        f"Name,NHS Number\r\nPerson 0,{KEPT}\r\n".encode()
    )


def test_a_repair_is_made_when_asked_for(full: Desk) -> None:
    """The row is judged by its whole number, and written as it was."""
    ran = full.run_here("filter", "patients.csv", "--answer", "answer.dat", "--repair", "-o", "out.csv")
    shown = facts(ran.out)
    assert (shown["kept"], shown["invalid"][0], shown["repaired"][0]) == ("3", "1", "1")
    assert b",123450012\r\n" in (full.folder / "out.csv").read_bytes()


def test_type_1_alone_says_that_the_national_opt_out_was_not_applied(full: Desk) -> None:
    """In the table for people, and as a field for programs."""
    arguments = ("filter", "patients.csv", "--type-1", "type1.csv")
    shown = facts(full.run_here(*arguments).out)
    assert (shown["kept"], shown["type 1"]) == ("2", "2  on the practice's own list")
    assert shown["national"].startswith("not applied")
    assert "removed" not in shown
    assert full.run_here(*arguments, "--force", "--json").json() == {
        "rows": 7,
        "kept": 2,
        "removed": 0,
        "blank": 1,
        "invalid": 2,
        "type_1": 2,
        "both": 0,
        "repaired": 0,
        "repairable": 1,
        "national": False,
        "output": "patients-cleaned.csv",
    }


def test_a_bad_type_1_list_stops_everything(full: Desk) -> None:
    """Lines are named, numbers never, and nothing is written."""
    full.write("bad.csv", f"NHS Number\n{OBJECTS}\n{ZERO}\n")
    arguments = ("filter", "patients.csv", "--answer", "answer.dat", "--type-1", "bad.csv")
    ran = full.run_here(*arguments)
    assert (ran.code, ran.out) == (ExitCode.FAILED, "")
    first, *lines = ran.err.splitlines()
    assert "--repair puts it back; nothing was written, for an objection must not be lost" in first
    assert lines == ["  line 3: nine digits: spreadsheets drop a leading zero (--repair puts it back)"]
    assert str(ZERO) not in ran.err
    assert full.files() == {"patients.csv", "answer.dat", "type1.csv", "bad.csv"}
    repaired = full.run_here(*arguments, "--repair", "--json").json()
    assert (repaired["type_1"], repaired["kept"]) == (2, 1)


def test_rows_without_a_number_in_a_type_1_list_are_mentioned(full: Desk) -> None:
    """They do no harm, but somebody may be missing."""
    full.write("type1.csv", f"NHS No,Name\n{OBJECTS},A\n,B\n")
    arguments = ("filter", "patients.csv", "--answer", "answer.dat", "--type-1", "type1.csv", "--force")
    assert full.run_here(*arguments).err == (
        "type1.csv: 1 row holds no NHS number, so that nobody was removed for them\n"
    )
    assert full.run_here(*arguments, "--quiet").err == ""


def test_quiet_shows_nothing(full: Desk) -> None:
    """The file is written all the same."""
    ran = full.run_here("filter", "patients.csv", "--answer", "answer.dat", "-q", "-o", "out.csv")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert "out.csv" in full.files()


def test_the_column_of_a_type_1_list_can_be_chosen(full: Desk) -> None:
    """The error names the option for that list, not the one for the other."""
    full.write("type1.csv", f"Id,Other\n1,{OBJECTS}x\n")
    arguments = ("filter", "patients.csv", "--type-1", "type1.csv", "-o", "out.csv")
    assert "choose one with --type-1-column NAME" in full.run_here(*arguments).err
    full.write("type1.csv", f"Id,Other\n1,{OBJECTS}\n")
    assert full.run_here(*arguments, "--type-1-column", "Other", "--json").json()["type_1"] == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("patients.csv",), "give --answer FILE or --cache FILE, or --type-1 FILE, or both"),
        (("patients.csv", "--answer", "answer.dat", "--type-1-column", "2"), "--type-1-column is the column"),
        (("patients.csv", "--answer", "answer.dat", "-o", "x.xlsx"), "an .xlsx is made of an .xlsx only"),
        (("patients.xlsx", "--answer", "answer.dat", "-o", "x.dat"), "of a workbook an .xlsx or a .csv"),
        (("patients.csv", "--answer", "answer.dat", "-o", "x.csv.gz"), "outputs are not compressed"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(full: Desk, arguments: tuple[str, ...], says: str) -> None:
    """As wrong usage, before anything is read."""
    ran = full.run_here("filter", *arguments)
    assert ran.code == ExitCode.USAGE
    assert says in ran.err


def test_a_workbook_is_filtered_into_a_workbook_or_a_csv(full: Desk) -> None:
    """By default into the first; compressed ones are read too."""
    book = Workbook()
    for row in (["NHS Number", "Name"], [KEPT, "Testerton"], [GONE, "Sampleby"], [OBJECTS, "Mockford"]):
        book.active.append(row)
    data = io.BytesIO()
    book.save(data)
    full.write("visits.xlsx.gz", gzip.compress(data.getvalue()))
    arguments = ("filter", "visits.xlsx.gz", "--answer", "answer.dat", "--type-1", "type1.csv")
    assert facts(full.run_here(*arguments).out)["written"] == "visits-cleaned.xlsx"
    written = load_workbook(full.folder / "visits-cleaned.xlsx").active
    assert list(written.values) == [("NHS Number", "Name"), (KEPT, "Testerton")]
    assert full.run_here(*arguments, "--column", "Sheet!1", "-o", "out.csv").code == 0
    assert (full.folder / "out.csv").read_text("utf-8-sig") == f"NHS Number,Name\n{KEPT},Testerton\n"


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("a/visits.csv", "a/visits-cleaned.csv"),
        ("visits.TSV.gz", "visits-cleaned.tsv"),
        ("visits.xlsx", "visits-cleaned.xlsx"),
        ("visits.xlsx.gz", "visits-cleaned.xlsx"),
        ("list.txt", "list-cleaned.dat"),
    ],
)
def test_the_output_is_of_the_kind_of_the_table(desk: Desk, source: str, output: str) -> None:
    """A table stays one under its own ending, uncompressed."""
    assert default_output(desk.folder / source) == desk.folder / output


def test_a_tsv_is_filtered_as_it_is(full: Desk) -> None:
    """Tabs, quotes and an unusual encoding stay."""
    content = f'NHS No\tName\r\n{KEPT}\t"Zoë\tA"\r\n{GONE}\tSampleby\r\n'.encode("utf-16")
    full.write("visits.tsv.gz", gzip.compress(content))
    full.write("answer.dat", f"{KEPT},\n")
    assert full.run_here("filter", "visits.tsv.gz", "--answer", "answer.dat").code == 0
    written = (full.folder / "visits-cleaned.tsv").read_bytes()
    assert written == f'NHS No\tName\r\n{KEPT}\t"Zoë\tA"\r\n'.encode("utf-16")
