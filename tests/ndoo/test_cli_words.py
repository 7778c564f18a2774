"""What the command says to somebody who mistypes, on terminals wide and narrow, and in its help."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from desks import NUMBERS, Desk, facts
from terminals import typed

from ndoo.cli.boundary import ExitCode
from ndoo.cli.show import moment, near, noun, show_table
from ndoo.lists import parse_number

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


# -- wrong usage ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed_words", "says"),
    [
        ("check my patients.csv", "(patients.csv); a name with blanks needs quotation marks"),
        ("check a.csv --cache b.cache", "here --cache takes no name; name the cache with -o b.cache"),
        ("check --cache b.cache a.csv", "here --cache takes no name; name the cache with -o b.cache"),
        ("submit a.csv --cache=b", "here --cache takes no name; name the cache with -o b"),
        ("filter a.csv b.csv --cache c", "a name with blanks needs quotation marks"),
        ("check a.csv -o", "Option '-o' requires an argument; see 'ndoo check --help'"),
        ("cache refresh a.csv -o", "Option '-o' requires an argument; see 'ndoo cache refresh --help'"),
        ("check a.csv --log x.log", "as in: ndoo --log ndoo.log check LIST"),
        ("check a.csv --profile int", "as in: ndoo --profile int check LIST"),
        ("check a.csv --log-level info", "as in: ndoo --log-level debug check LIST"),
        ("check a.csv --debug", "as in: ndoo --debug check LIST"),
        ("--log", "Option '--log' requires an argument; see 'ndoo --help'"),
        ("numbers generate o.dat --count x", "'--count': must be a whole number, 1 or more; see"),
        ("numbers generate o.dat --count 0", "'--count': must be a whole number, 1 or more; see"),
        ("numbers generate o.dat --count 1 --seed x", "'--seed': must be a whole number; see"),
        ("check a.csv --number-rule x", "'--number-rule': 'x' is not one of"),
    ],
)
def test_wrong_usage_is_told_in_our_words(desk: Desk, typed_words: str, says: str) -> None:
    """One line without the parser's jargon, which says what to type instead or where to read on."""
    ran = desk.run_here(*typed_words.split())
    assert (ran.code, ran.err.count("\n")) == (ExitCode.USAGE, 1)
    assert says in ran.err
    assert not re.search("Value error|Input should", ran.err)


def test_help_has_no_types_of_python(desk: Desk) -> None:
    """Flags have nothing behind them, and arguments are called what messages call them."""
    for words in ("", "check", "collect", "numbers generate", "cache status", "mailbox send"):
        shown = desk.run_here(*words.split(), "--help").out
        assert not re.search("<[a-z]+>|[{}]", shown), words
    assert "[FILE]..." in desk.run_here("cache", "status", "-h").out
    assert "130 interrupted" in desk.run_here("--help").out


# -- invalid numbers --------------------------------------------------------------------------------


def test_quiet_validation_still_says_that_there_are_some(desk: Desk) -> None:
    """A job that fails says why, in a line without a number."""
    desk.write_table(numbers=[*NUMBERS, 123, 456])
    ran = desk.run_here("numbers", "validate", "patients.csv", "--quiet")
    says = (
        "ndoo: patients.csv: 2 records are not valid NHS numbers; run it without --quiet to see their lines\n"
    )
    assert (ran.code, ran.out, ran.err) == (ExitCode.FAILED, "", says)
    assert desk.run_here("numbers", "validate", "patients.csv", "--quiet", "--json").err == ""


def test_advice_goes_by_what_can_be_repaired(desk: Desk) -> None:
    """Where only zeros are lost there is one way to go on, and it is named once."""
    zero = next(n for n in range(199_000_000, 200_000_000) if parse_number(f"{n:010d}")[0] is not None)
    desk.write_table(numbers=[*NUMBERS, zero])
    ran = desk.run_here("check", "patients.csv")
    last = "  nothing was sent; compare a few with your system, then run it again with --repair"
    assert (ran.code, ran.err.splitlines()[-1]) == (ExitCode.FAILED, last)
    assert ran.err.count("--repair") == 1
    desk.write_table(numbers=[*NUMBERS, zero, 12])
    mixed = desk.run_here("check", "patients.csv").err.splitlines()[-1]
    assert "put the leading zeros back with --repair, or leave these rows out with --skip-invalid" in mixed
    desk.write_table(numbers=[*NUMBERS, 12])
    assert "--repair" not in desk.run_here("check", "patients.csv").err


# -- on a terminal ----------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [80, 40])
async def test_errors_break_between_words(desk: Desk, width: int) -> None:
    """On a terminal they are indented below the program's name; elsewhere they are one line."""
    arguments = ["check", "my", "patients.csv"]
    _, screen = await typed(desk.folder, arguments, [], desk.variables, width=width)
    plain = (await desk.run(*arguments)).err
    assert plain.count("\n") == 1
    first, *rest = screen.splitlines()
    assert first.startswith("ndoo: Got unexpected extra")
    assert rest
    assert [line for line in rest if not re.match(" {6}[^ ]", line) or len(line) > width] == []
    assert screen.split() == plain.split()


async def test_a_question_of_applies_broken_off_ends_its_line(desk: Desk) -> None:
    """The last word stands on a line of its own."""
    code, screen = await typed(desk.folder, ["applies"], ["1", "\x03"], desk.variables)
    assert code == ExitCode.INTERRUPTED
    assert screen.endswith("\nndoo: interrupted\n")


async def test_a_blank_line_parts_questions_from_advice(desk: Desk) -> None:
    """The advice stands apart; its next steps have numbers, and no two of its lines one name."""
    answers = ["research", "confidential", "researcher", "section-251"]
    code, screen = await typed(desk.folder, ["applies"], answers, desk.variables)
    assert code == ExitCode.DONE, screen
    advice = screen.rpartition("\n\n")[2]
    assert advice.startswith("national data opt-out  applies")
    named = re.findall(r"^([a-zA-Z][a-zA-Z0-9 -]*?)  ", advice, re.MULTILINE)
    assert len(named) == len(set(named))
    assert re.findall(r"  (\d)\. ", advice) == ["1", "2"]


def test_a_narrow_terminal_gets_facts_for_a_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What has no room beside each other stands below each other, row by row."""
    rows = [("a-file-with-a-name.csv", "usable", "20 days"), ("b.csv", "expired", "")]
    shown = {}
    for width in ("80", "30"):
        monkeypatch.setenv("COLUMNS", width)
        show_table(("file", "state", "left"), rows)
        shown[width] = capsys.readouterr().out
    assert len(shown["80"].splitlines()) == 4
    first, second = shown["30"].split("\n\n")
    assert facts(first) == {"file": "a-file-with-a-name.csv", "state": "usable", "left": "20 days"}
    assert facts(second) == {"file": "b.csv", "state": "expired"}


# -- small words ------------------------------------------------------------------------------------


def test_times_close_to_each_other_have_seconds() -> None:
    """Two that would look the same do not."""
    assert moment(NOON) == "2026-11-24 12:00 UTC"
    assert moment(NOON, NOON + timedelta(hours=1)) == "2026-11-24 12:00 UTC"
    assert moment(NOON, NOON + timedelta(seconds=20)) == "2026-11-24 12:00:00 UTC"


def test_one_thing_has_a_word_of_its_own() -> None:
    """One is not several, and none are."""
    assert [noun(count, "row") for count in (0, 1, 2)] == ["rows", "row", "rows"]
    assert noun(3, "its line", "their lines") == "their lines"


def test_paths_lose_their_beginning_first(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name in the current folder stands alone; of a long one the end is kept, which tells it apart."""
    monkeypatch.chdir(desk.folder)
    assert near(Path.cwd() / "a.csv") == "a.csv"
    assert near(Path("/some/where/patients-cleaned.csv"), 16) == "...s-cleaned.csv"
    assert near(Path("/a.csv"), 16) == "/a.csv"
