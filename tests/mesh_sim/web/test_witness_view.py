"""What a witness page says of the cases, from a rehearsal and its report as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from mesh_sim.conductor.state import Standing
from mesh_sim.web.witness_view import Row, failures_of, next_of, rows_of
from mesh_sim.witness.cases.base import Outcome
from mesh_sim.witness.catalogue import CASES, STAGED
from mesh_sim.witness.journal import Entry
from mesh_sim.witness.rehearsal import Attempt, Rehearsal
from mesh_sim.witness.report import Report, report_of
from mesh_sim.witness.report.evidence import lines_of
from mesh_sim.witness.report.model import Checked

BOX: Final = "X26ABC1"
BEGUN: Final = datetime(2026, 11, 24, 9, tzinfo=UTC)
A_MINUTE: Final = timedelta(minutes=1)
BY_ID: Final = {case.id: case for case in CASES}

ENDED: Final = Attempt("201", (BEGUN,), BEGUN + A_MINUTE)
AGAIN: Final = Attempt("201", (BEGUN + 2 * A_MINUTE,), BEGUN + 3 * A_MINUTE)
OPEN: Final = Attempt("201", (BEGUN + 2 * A_MINUTE,))


def standing(*attempts: Attempt) -> Standing:
    """Make a rehearsal of these attempts."""
    return Standing(Rehearsal(BOX, BEGUN, attempts), 1, None)


def report(*attempts: Attempt, **outcomes: Outcome) -> Report:
    """Make its report, with the outcomes of cases given as ``case_201``."""
    made = report_of(BOX, standing(*attempts).rehearsal, (), BEGUN + 4 * A_MINUTE, "1", None)
    cases = [replace(case, outcome=outcomes.get(f"case_{case.case}", case.outcome)) for case in made.cases]
    return replace(made, cases=tuple(cases))


def rows(stands: Standing | None, made: Report | None) -> Sequence[Row]:
    """Give the rows of every case."""
    return [row for _, some in rows_of(BY_ID, stands, made) for row in some]


@pytest.mark.parametrize(
    ("attempts", "made", "word", "count"),
    [
        ((), None, "not seen", 0),
        ((), report(case_201=Outcome.FAILED), "not seen", 0),
        ((ENDED,), None, "being judged", 1),
        ((ENDED,), report(ENDED, case_201=Outcome.PASSED), "passed", 1),
        ((ENDED,), report(ENDED, case_201=Outcome.FAILED), "failed", 1),
        ((ENDED,), report(replace(ENDED, ended_at=None), case_201=Outcome.PASSED), "being judged", 1),
        ((ENDED, AGAIN), report(ENDED, case_201=Outcome.PASSED), "being judged", 2),
        ((ENDED, OPEN), report(ENDED, case_201=Outcome.FAILED), "under way", 2),
        ((ENDED, OPEN), report(ENDED, OPEN, case_201=Outcome.PASSED), "under way", 2),
        ((ENDED, OPEN), report(ENDED, OPEN, case_201=Outcome.FAILED), "failed so far", 2),
    ],
)
def test_what_became_of_a_case(
    attempts: tuple[Attempt, ...], made: Report | None, word: str, count: int
) -> None:
    """A report counts for the very attempt that it has judged; until there is one, it is being judged."""
    (row,) = [row for row in rows(standing(*attempts), made) if row.case.id == "201"]
    assert (row.word, row.attempts) == (word, count)
    assert row.started_at == (attempts[-1].steps_at[0] if attempts else None)
    assert row.failed == word.startswith("failed")
    assert row.tone


def test_what_needs_no_start_is_as_the_report_says() -> None:
    """Without one it is being judged, whether or not there is a rehearsal."""
    (row,) = [row for row in rows(None, None) if row.case.id == "802"]
    assert row.word == "being judged"
    (row,) = [row for row in rows(standing(), report(case_802=Outcome.FAILED)) if row.case.id == "802"]
    assert row.word == "failed"


def test_every_case_is_listed_under_its_set() -> None:
    """In the catalogue's order."""
    sets = rows_of(BY_ID, None, None)
    assert [row.case for _, some in sets for row in some] == list(CASES)
    assert [name for name, _ in sets] == list(dict.fromkeys(case.set for case in CASES))


def test_the_next_case() -> None:
    """The first that was never started, then the first that has not passed, and none once all have."""
    every = {case.id: Attempt(case.id, (BEGUN,), BEGUN) for case in STAGED}
    passed = {f"case_{case}": Outcome.PASSED for case in every}

    def following(attempts: dict[str, Attempt], **outcomes: Outcome) -> str | None:
        some = tuple(attempts.values())
        case = next_of(rows(standing(*some), report(*some, **outcomes)))
        return None if case is None else case.id

    assert following({}) == "201"
    assert following({"201": every["201"]}, case_201=Outcome.FAILED) == "202"
    assert following({case: every[case] for case in every if case != "401"}, **passed) == "401"
    assert following(every, **passed | {"case_703": Outcome.FAILED}) == "703"
    assert following(every, **passed) is None
    under_way = every | {"703": replace(every["703"], ended_at=None)}
    assert following(under_way, **passed | {"case_703": Outcome.NOT_SEEN}) is None


def entry(number: int) -> Entry:
    """Make a request."""
    at = BEGUN + number * timedelta(seconds=1)
    return Entry(number, at, at, BOX, "list", "GET", 200, 0, 0, 0.01)


def test_what_shows_a_failure_is_little_on_one_page() -> None:
    """Of each case the requests around what broke a rule, of all together no more than fit a page."""
    lines = lines_of([entry(number) for number in range(50)], ())
    marked = tuple(replace(line, broke=line.number in (20, 40)) for line in lines)
    broken = (Checked("second", False, "do", "was"), Checked("first", False, "do", "was", 20))
    attempts = tuple(Attempt(case.id, (BEGUN,), BEGUN) for case in STAGED)
    made = report(*attempts)
    cases = [
        replace(
            case, outcome=Outcome.FAILED, evidence=marked, evidence_left_out=7, rules=broken, breach=broken[1]
        )
        for case in made.cases
    ]
    made = replace(made, cases=tuple(cases))
    failures = failures_of(rows(standing(*attempts), made), made)
    assert len(failures) == len(CASES)
    first, *_, last = failures
    assert [line.number for line in first.lines] == [18, 19, 20, 21, 22, 38, 39, 40, 41, 42]
    assert first.left_out == 47
    assert [rule.expected for rule in first.broken] == ["first", "second"]
    assert sum(len(failure.lines) for failure in failures) == 80
    assert (list(last.lines), last.left_out) == ([], 57)


def test_what_was_started_again_has_not_failed() -> None:
    """The failure of an attempt is not shown once the case was started anew."""
    made = report(ENDED, case_201=Outcome.FAILED)
    assert [failure.found.case for failure in failures_of(rows(standing(ENDED), made), made)] == ["201"]
    assert failures_of(rows(standing(ENDED, OPEN), made), made) == ()
