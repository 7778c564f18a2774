"""What a witness page says of the cases: what became of each, what is wrong with it, which is next. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Final

from mesh_sim.conductor.state import Standing
from mesh_sim.witness.cases.base import Case, Outcome

if TYPE_CHECKING:
    from mesh_sim.witness.report.evidence import Line
    from mesh_sim.witness.report.model import CaseReport, Checked, Report

FAILED_SO_FAR: Final = "failed so far"
UNDER_WAY: Final = "under way"
BEING_JUDGED: Final = "being judged"

_TONES: Final = {
    Outcome.PASSED.value: "good",
    Outcome.FAILED.value: "bad",
    Outcome.NOT_SEEN.value: "none",
    FAILED_SO_FAR: "bad",
    UNDER_WAY: "busy",
    BEING_JUDGED: "busy",
}
"""The style sheet's class for what became of a case."""

_REACH: Final = 2
"""How many requests are shown on either side of one that broke a rule."""
_MOST_OF_CASE: Final = 10
_MOST_IN_ALL: Final = 80
"""How many requests are shown, of one case and on one page; the report has more."""


@dataclass(frozen=True, slots=True)
class Row:
    """One case, and what became of it."""

    case: Case
    word: str
    attempts: int
    started_at: datetime | None
    """The latest of them, in real time; None where there was none."""

    @property
    def tone(self) -> str:
        """The style sheet's class."""
        return _TONES[self.word]

    @property
    def failed(self) -> bool:
        """Whether it broke a rule."""
        return self.word in (Outcome.FAILED.value, FAILED_SO_FAR)


@dataclass(frozen=True, slots=True)
class Failure:
    """A case that broke a rule, and the requests that show it."""

    found: CaseReport
    broken: Sequence[Checked]
    """The rules, that which was broken first at the top."""
    lines: Sequence[Line]
    left_out: int
    """How many requests of its evidence are not among ``lines``."""


def rows_of(
    cases: Mapping[str, Case], standing: Standing | None, report: Report | None
) -> tuple[tuple[str, Sequence[Row]], ...]:
    """Give every case by its set, as it is known at once or, where it had to be judged, by ``report``."""
    found = {} if report is None else {case.case: case for case in report.cases}
    rows = [_row(case, standing, found.get(case.id)) for case in cases.values()]
    return tuple((name, tuple(some)) for name, some in groupby(rows, key=lambda row: row.case.set))


def _row(case: Case, standing: Standing | None, found: CaseReport | None) -> Row:
    attempts = () if standing is None else standing.rehearsal.attempts
    tries = [attempt for attempt in attempts if attempt.case == case.id]
    if not tries:
        return Row(case, _untried(case, found), 0, None)
    latest = tries[-1]
    begun_at = latest.steps_at[0]
    judged = found is not None and (found.started_at, found.ended_at) == (begun_at, latest.ended_at)
    if latest.ended_at is None:
        failed = judged and found is not None and found.outcome is Outcome.FAILED
        word = FAILED_SO_FAR if failed else UNDER_WAY
    else:
        word = found.outcome.value if judged and found is not None else BEING_JUDGED
    return Row(case, word, len(tries), begun_at)


def _untried(case: Case, found: CaseReport | None) -> str:
    if case.steps:
        return Outcome.NOT_SEEN.value
    return BEING_JUDGED if found is None else found.outcome.value


def next_of(rows: Sequence[Row]) -> Case | None:
    """Give the case to go on with: the first never started, else the first that has not passed."""
    open_rows = [row for row in rows if row.case.steps and row.word not in (UNDER_WAY, FAILED_SO_FAR)]
    untried = [row.case for row in open_rows if not row.attempts]
    unpassed = [row.case for row in open_rows if row.word in (Outcome.FAILED.value, Outcome.NOT_SEEN.value)]
    return next(iter([*untried, *unpassed]), None)


def failures_of(rows: Sequence[Row], report: Report) -> tuple[Failure, ...]:
    """Give what is wrong with the cases that failed, in their order."""
    failed = {row.case.id for row in rows if row.failed}
    failures: list[Failure] = []
    room = _MOST_IN_ALL
    for found in report.cases:
        if found.case in failed:
            failure = _failure(found, min(room, _MOST_OF_CASE))
            room -= len(failure.lines)
            failures.append(failure)
    return tuple(failures)


def _failure(found: CaseReport, most: int) -> Failure:
    # Only where there is a report, and so its module: most simulators are asked for none.
    from mesh_sim.witness.report.evidence import around  # noqa: PLC0415

    places = around([line.broke for line in found.evidence], reach=_REACH, most=most)
    broken = [rule for rule in found.rules if not rule.kept]
    return Failure(
        found,
        sorted(broken, key=lambda rule: rule != found.breach),
        [found.evidence[place] for place in places],
        len(found.evidence) + found.evidence_left_out - len(places),
    )
