"""A report as values: every case judged by the journal, and its evidence. Pure: no clock, no files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from mesh_sim.witness.cases.base import FINDINGS, Case, Outcome, Ruling, Verdict, judge
from mesh_sim.witness.cases.common import counted
from mesh_sim.witness.catalogue import CASES
from mesh_sim.witness.journal import Entry
from mesh_sim.witness.rehearsal import Attempt, Rehearsal
from mesh_sim.witness.report.evidence import Line, began, lines_of
from mesh_sim.witness.trace import Trace

_MOST_CLIENTS: Final = 5
"""How many different ``User-Agent`` texts are named."""


@dataclass(frozen=True, slots=True)
class Checked:
    """One rule of a case as it was found."""

    expected: str
    kept: bool
    fix: str
    why: str = ""
    """How it was broken."""
    entry: int | None = None
    """The number of the request that broke it; None where it was kept, or one that never came broke it."""


@dataclass(frozen=True, slots=True)
class CaseReport:
    """One case as it was found; times are real, in UTC, of the latest attempt at it."""

    case: str
    set: str
    title: str
    required: bool
    staged: bool
    """Whether it has to be started; the others are judged by the whole traffic."""
    outcome: Outcome
    attempts: int
    started_at: datetime | None
    ended_at: datetime | None
    """None also while the attempt is under way."""
    expected: tuple[str, ...]
    """What its rules ask for, whether or not it was seen."""
    rules: tuple[Checked, ...]
    """As they were found; none where the case was not seen."""
    breach: Checked | None
    """The first rule that was broken: by the earliest request, else the first listed."""
    evidence: tuple[Line, ...]
    evidence_left_out: int

    @property
    def under_way(self) -> bool:
        """Whether it was started and has not ended."""
        return self.started_at is not None and self.ended_at is None


@dataclass(frozen=True, slots=True)
class Report:
    """What the journal shows of one mailbox; times are real, in UTC."""

    mailbox: str
    made_at: datetime
    version: str
    """Of the program."""
    begun_at: datetime | None
    """When the rehearsal began; None where there was none, and all that the journal has was judged."""
    requests: int
    first_request_at: datetime | None
    last_request_at: datetime | None
    journal_complete: bool
    """Whether the journal still has everything since the rehearsal began."""
    clients: tuple[str, ...]
    """What the requests named as their ``User-Agent``, the first few."""
    cases: tuple[CaseReport, ...]

    def ids(self, outcome: Outcome, *, required: bool | None = None) -> list[str]:
        """Name the cases with this outcome."""
        return [
            case.case for case in self.cases if case.outcome is outcome and required in (None, case.required)
        ]

    @property
    def missing(self) -> list[str]:
        """Name the required cases that were not seen; a finding that had nothing to judge lacks nothing."""
        return [
            case.case
            for case in self.cases
            if case.outcome is Outcome.NOT_SEEN and case.required and case.set != FINDINGS
        ]

    def count(self, outcome: Outcome) -> int:
        """Count the cases with this outcome."""
        return len(self.ids(outcome))


def report_of(
    mailbox: str,
    rehearsal: Rehearsal | None,
    entries: Sequence[Entry],
    now: datetime,
    version: str,
    oldest_kept: datetime | None,
    *,
    cases: Sequence[Case] = CASES,
) -> Report:
    """Judge every case: those that are staged by their latest attempt, the others by the whole traffic.

    Args:
        mailbox: whose requests are judged.
        rehearsal: what was set up for it; requests from before it are left out, but for the last handshake.
        entries: the journal's, in any order; those of other mailboxes are left out.
        now: real time, UTC.
        version: the program's.
        oldest_kept: since when the journal has everything; None if it never forgot an entry.
        cases: what to judge.
    """
    begun_at = None if rehearsal is None else rehearsal.begun_at
    seen = sorted((entry for entry in entries if entry.mailbox.upper() == mailbox.upper()), key=began)
    judged = seen if begun_at is None else counted(seen, begun_at)
    attempts = () if rehearsal is None else rehearsal.attempts
    whole = Trace(tuple(judged), now, None, () if rehearsal is None else rehearsal.stagings)
    return Report(
        mailbox=mailbox,
        made_at=now,
        version=version,
        begun_at=begun_at,
        requests=len(judged),
        first_request_at=judged[0].at if judged else None,
        last_request_at=judged[-1].at if judged else None,
        journal_complete=oldest_kept is None or begun_at is None or oldest_kept <= begun_at,
        clients=_clients(judged),
        cases=tuple(_case(case, whole, attempts) for case in cases),
    )


def _clients(entries: Sequence[Entry]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(entry.user_agent for entry in entries if entry.user_agent))[:_MOST_CLIENTS]


def _case(case: Case, whole: Trace, attempts: Sequence[Attempt]) -> CaseReport:
    tries = [attempt for attempt in attempts if attempt.case == case.id]
    latest = tries[-1] if tries else None
    if case.steps and latest is None:
        verdict = Verdict(case, Outcome.NOT_SEEN)
    else:
        verdict = judge(case, replace(whole, attempt=latest))
    if latest is not None and latest.ended_at is None:
        verdict = _so_far(verdict)
    lines = lines_of(verdict.evidence, [ruling.breach for ruling in verdict.rulings if ruling.breach])
    return CaseReport(
        case=case.id,
        set=case.set,
        title=case.title,
        required=case.required,
        staged=bool(case.steps),
        outcome=verdict.outcome,
        attempts=len(tries),
        started_at=latest.steps_at[0] if latest and latest.steps_at else None,
        ended_at=latest.ended_at if latest else None,
        expected=tuple(rule.expected for rule in case.rules),
        rules=tuple(map(_checked, verdict.rulings)),
        breach=None if verdict.breach is None else _checked(verdict.breach),
        evidence=lines,
        evidence_left_out=sum(line.left_out_before for line in lines),
    )


def _so_far(verdict: Verdict) -> Verdict:
    """Blame nobody for what may yet come: an attempt under way fails only by a request that was seen."""
    breaches = [ruling.breach for ruling in verdict.rulings if ruling.breach is not None]
    if not breaches or any(breach.entry is not None for breach in breaches):
        return verdict
    return replace(verdict, outcome=Outcome.NOT_SEEN, rulings=())


def _checked(ruling: Ruling) -> Checked:
    rule, breach = ruling.rule, ruling.breach
    if breach is None:
        return Checked(rule.expected, True, rule.fix)
    number = None if breach.entry is None else breach.entry.number
    return Checked(rule.expected, False, rule.fix, breach.why, number)
