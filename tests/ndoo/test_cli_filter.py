"""``ndoo filter`` as its user types it: Type 1 opt-outs, repairs, and files as they are."""

from __future__ import annotations

import gzip
import io
import os

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
        "blank": "1  row without a number, left out",
        "invalid": "2  rows with an invalid number, left out",
        "repairable": "1  only lacks its leading zero: see --repair",
        "written": "patients-cleaned.csv",
    }
    assert (full.folder / "patients-cleaned.csv").read_bytes() == (
        f"Name,NHS Number\r\nPerson 0,{KEPT}\r\n".encode()
    )


def test_a_table_is_not_taken_for_an_answer(full: Desk) -> None:
    """One line says which file is meant, instead of a complaint for each row."""
    ran = full.run_here("filter", "patients.csv", "--answer", "patients.csv", "-o", "x.csv")
    says = "is a table, not the bare cleaned list; --answer takes the .dat that"
    assert (ran.code, ran.err.count("\n")) == (ExitCode.FAILED, 1)
    assert says in ran.err


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
    assert "spreadsheets drop; nothing was written, for an objection must not be lost" in first
    assert lines == [
        "  line 3: nine digits: spreadsheets drop a leading zero",
        "  --repair puts the leading zeros back",
    ]
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
        (("patients.csv",), "nothing to leave out; give --cache FILE or --answer FILE"),
        (("patients.csv", "--answer", "answer.dat", "--type-1-column", "2"), "--type-1-column is the column"),
        (
            ("patients.csv", "--answer", "answer.dat", "-o", "x.xlsx"),
            ".xlsx is not made of a .csv; name the output like",
        ),
        (("patients.xlsx", "--answer", "answer.dat", "-o", "x.dat"), ".dat is not made of a .xlsx"),
        (("patients.csv", "--answer", "answer.dat", "-o", "x.dat"), ".dat is not made of a .csv"),
        (("patients.csv.gz", "--answer", "answer.dat", "-o", "x.tsv"), ".tsv is not made of a .csv"),
        (("patients.tsv", "--answer", "answer.dat", "-o", "x.csv"), ".csv is not made of a .tsv"),
        (("patients.txt", "--answer", "answer.dat", "-o", "x.csv"), ".csv is not made of a .txt"),
        (
            ("patients.csv", "--answer", "answer.dat", "-o", "x"),
            "a file without an ending is not made of a .csv",
        ),
        (("patients.csv", "--answer", "answer.dat", "-o", "x.csv.gz"), "outputs are not compressed"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(full: Desk, arguments: tuple[str, ...], says: str) -> None:
    """As wrong usage, before anything is read."""
    ran = full.run_here("filter", *arguments)
    assert ran.code == ExitCode.USAGE
    assert says in ran.err


@pytest.mark.parametrize("name", ["patients.csv", "type1.csv", "answer.csv", "caches.csv"])
@pytest.mark.parametrize("link", ["", "link.csv"])
def test_what_is_read_is_not_written_over(full: Desk, name: str, link: str) -> None:
    """Not even with --force, and whatever the name: the list, the answer, the cache, the Type 1 list."""
    full.write("answer.csv", f"{KEPT},\n")
    full.write("caches.csv", "no cache, but named as one")
    if link:
        (full.folder / link).symlink_to(name)
    by = ("--cache", "caches.csv") if name == "caches.csv" else ("--answer", "answer.csv")
    before = (full.folder / name).read_bytes()
    ran = full.run_here(
        "filter", "patients.csv", *by, "--type-1", "type1.csv", "--force", "-o", link or f"./{name}"
    )
    assert ran.code == ExitCode.USAGE
    assert f"{name}: is read here and would be lost; name another output with -o" in ran.err
    assert (full.folder / name).read_bytes() == before


def test_a_link_stays_one_and_what_it_leads_to_is_written(full: Desk) -> None:
    """As with 'cache refresh': only with --force if there is something."""
    shared = full.folder / "shared"
    shared.mkdir()
    (full.folder / "link.csv").symlink_to(shared / "cleared.csv")
    arguments = ("filter", "patients.csv", "--answer", "answer.dat", "-o", "link.csv")
    assert full.run_here(*arguments).code == 0
    assert full.run_here(*arguments).code == ExitCode.FAILED
    assert full.run_here(*arguments, "--force").code == 0
    assert (full.folder / "link.csv").is_symlink()
    assert (shared / "cleared.csv").read_bytes().startswith(b"Name,NHS Number\r\n")


@pytest.mark.parametrize(("source", "output"), [("list.txt", "out.dat"), ("list.dat.gz", "out.TXT")])
def test_plain_lists_are_of_one_kind(full: Desk, source: str, output: str) -> None:
    """What is a .txt may become a .dat, and the other way round."""
    content = f"{KEPT}\n{GONE}\n".encode()
    full.write(source, gzip.compress(content) if source.endswith(".gz") else content)
    assert full.run_here("filter", source, "--answer", "answer.dat", "-o", output).code == 0
    assert (full.folder / output).read_bytes() == f"{KEPT}\n".encode()


@pytest.mark.parametrize("option", ["source", "--answer", "--type-1"])
def test_a_pipe_is_refused_at_once(full: Desk, option: str) -> None:
    """Nobody writes into it, so that opening it would wait for ever."""
    os.mkfifo(full.folder / "pipe.csv")
    source, *others = (
        ("pipe.csv", "--answer", "answer.dat") if option == "source" else ("patients.csv", option, "pipe.csv")
    )
    ran = full.run_here("filter", source, *others, "-o", "out.csv")
    assert ran.code == ExitCode.FAILED
    assert "pipe.csv: is a pipe or a device; save the list as a file and use that" in ran.err


@pytest.mark.parametrize("written", [str(KEPT), f"{KEPT // 10**7} {KEPT // 10**4 % 1000} {KEPT % 10**4:04}"])
def test_a_number_where_a_column_is_named_is_not_shown(full: Desk, written: str) -> None:
    """Neither one that was typed, nor a sheet's name."""
    ran = full.run_here("filter", "patients.csv", "--answer", "answer.dat", "--column", written)
    assert ran.code == ExitCode.USAGE
    assert "has no column '**********'; its columns are 'Name', 'NHS Number'" in ran.err
    book = Workbook()
    book.active.title = written
    book.create_sheet("Other").append(["Surname"])
    book.active.append(["Surname"])
    book.save(full.folder / "book.xlsx")
    ran = full.run_here("numbers", "validate", "book.xlsx")
    assert ran.code == ExitCode.USAGE
    assert "its sheets are '**********', 'Other'" in ran.err


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
