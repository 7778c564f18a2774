"""``ndoo numbers``: what it tells of a list before anything is sent."""

from __future__ import annotations

from desks import NUMBERS, Desk, Ran, facts
from openpyxl import Workbook

from ndoo.cli.boundary import ExitCode

# Nobody's: the third and fourth digit of a Scottish number, which may begin with a zero, are a month.
ZERO = 123450012
ROWS = [NUMBERS[0], f"{NUMBERS[0]}.0", NUMBERS[1], ZERO, "0123450012", "", "12"]


def test_validate_offers_the_repair(desk: Desk) -> None:
    """Duplicates and numbers that lost their zero are counted; the exit code says that it is not in order."""
    desk.write_table(numbers=ROWS)
    ran = desk.run_here("numbers", "validate", "patients.csv")
    shown = facts(ran.out)
    assert ran.code == ExitCode.FAILED
    assert shown["valid"] == "4  of them 3 different numbers"
    assert shown["duplicates"] == "1  row whose number came before; it is sent once"
    assert (shown["invalid"], shown["repairable"]) == ("2", "1  only lacks its leading zero: see --repair")
    assert "repaired" not in shown
    assert "  line 5: nine digits: spreadsheets drop a leading zero" in ran.out
    assert str(ZERO) not in ran.out


def test_validate_counts_as_if_repaired(desk: Desk) -> None:
    """With --repair only what is beyond repair remains, for people and for programs."""
    desk.write_table(numbers=ROWS)
    arguments = ("numbers", "validate", "patients.csv", "--repair")
    shown = facts(desk.run_here(*arguments).out)
    assert (shown["repaired"][0], shown["duplicates"][0], shown["invalid"]) == ("1", "2", "1")
    ran = desk.run_here(*arguments, "--json")
    assert ran.code == ExitCode.FAILED
    found = ran.json()
    assert [sample["line"] for sample in found.pop("samples")] == [8]
    assert found == {
        "rows": 7,
        "valid": 5,
        "distinct": 3,
        "duplicates": 2,
        "repaired": 1,
        "blank": 1,
        "invalid": 1,
        "repairable": 0,
    }


def test_validate_can_be_quiet(desk: Desk) -> None:
    """Of what is valid nothing is said then; of what is not, that there is some."""
    desk.write_table(numbers=ROWS)
    ran = desk.run_here("numbers", "validate", "patients.csv", "--quiet")
    assert (ran.code, ran.out, ran.err.count("\n")) == (ExitCode.FAILED, "", 1)
    desk.write_table()
    assert desk.run_here("numbers", "validate", "patients.csv", "--quiet") == Ran(ExitCode.DONE, "", "")
    desk.write_table(numbers=NUMBERS)
    assert desk.run_here("numbers", "validate", "patients.csv", "-q").code == 0
    made = desk.run_here("numbers", "generate", "--count", "5", "a.dat", "-q")
    assert (made.code, made.out, made.err) == (0, "", "")


def test_a_workbook_is_validated_by_its_rows(desk: Desk) -> None:
    """Lines are the rows of the sheet, which Excel shows at the side."""
    book = Workbook()
    for row in ([], ["Name", "NHS Number"], ["two\nlines", NUMBERS[0]], [], ["Testerton", "unknown"]):
        book.active.append(row)
    book.save(desk.folder / "patients.xlsx")
    ran = desk.run_here("numbers", "validate", "patients.xlsx", "--column", "Sheet!NHS Number")
    assert "  line 5: holds something other than digits" in ran.out
    assert facts(ran.out)["blank"] == "1  row without a number"
