"""A report as one page that needs nothing else: without scripts, fonts or pictures, fit to send on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, Final

from mesh_sim.witness.cases.base import Outcome
from mesh_sim.witness.report.evidence import Line
from mesh_sim.witness.report.model import CaseReport, Report
from mesh_sim.witness.report.wording import (
    REHEARSAL,
    clock,
    day,
    fit,
    forgotten,
    lasted,
    listed,
    moment,
    result,
    unseen,
)

if TYPE_CHECKING:
    from jinja2 import Template

_TONES: Final = {Outcome.PASSED: "good", Outcome.FAILED: "bad", Outcome.NOT_SEEN: "none"}
"""The style sheet's class for each outcome."""


@dataclass(frozen=True, slots=True)
class _Day:
    """The lines of evidence of one day."""

    name: str
    lines: Sequence[Line]


def as_html(report: Report) -> str:
    """Write the report as a page."""
    text = _template().render(
        report=report,
        result=result(report),
        tone=_tone(report),
        forgotten=forgotten(report),
        rehearsal=REHEARSAL,
        counts=[(outcome, report.count(outcome)) for outcome in Outcome],
        sets=[(name, list(cases)) for name, cases in groupby(report.cases, key=lambda case: case.set)],
    )
    return fit(text)


def _tone(report: Report) -> str:
    if report.ids(Outcome.FAILED, required=True):
        return "bad"
    if report.missing:
        return "none"
    return "good"


def _days(case: CaseReport) -> Iterator[_Day]:
    for name, lines in groupby(case.evidence, key=lambda line: day(line.at)):
        yield _Day(name, list(lines))


def _breaking_line(case: CaseReport) -> Line | None:
    """Give the line that broke the first broken rule; None where one that never came broke it."""
    number = None if case.breach is None else case.breach.entry
    return next((line for line in case.evidence if line.number == number), None)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


@cache
def _template() -> Template:
    # Not before a page is asked for: a server's start does without Jinja.
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 -- see above

    environment = Environment(
        loader=PackageLoader("mesh_sim.witness", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "breaking_line": _breaking_line,
        "clock": clock,
        "day": day,
        "days": _days,
        "lasted": lasted,
        "listed": listed,
        "moment": moment,
        "sentence": _sentence,
        "tone": _TONES.__getitem__,
    }
    environment.globals |= {"unseen": unseen}
    return environment.get_template("page.html")
