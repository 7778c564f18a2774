"""How a case is judged from made-up traffic, for the tables of the cases' tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from traces import Tape

from mesh_sim.witness.cases.base import Case, Outcome, judge
from mesh_sim.witness.trace import Trace


@dataclass(frozen=True)
class Flaw:
    """Traffic that breaks one rule of a case, and the request that does so; None for one that never came."""

    case: Case
    rule: int
    entry: int | None
    why: str
    """How the breach is put, or the part of it that has the figures."""
    tape: Callable[[], Tape]


def found(case: Case, tape: Tape) -> tuple[Outcome, list[tuple[int, int | None]]]:
    """Judge a case; give which of its rules were broken, and by which request."""
    verdict = judge(case, tape.trace())
    broken = [
        (place, ruling.breach.entry.number if ruling.breach.entry is not None else None)
        for place, ruling in enumerate(verdict.rulings)
        if ruling.breach is not None
    ]
    return verdict.outcome, broken


def check(flaw: Flaw) -> None:
    """See that a flaw breaks its rule only, at its request, which is shown, and is put in words."""
    tape = flaw.tape()
    assert found(flaw.case, tape) == (Outcome.FAILED, [(flaw.rule, flaw.entry)])
    verdict = judge(flaw.case, tape.trace())
    breach = verdict.rulings[flaw.rule].breach
    assert breach is not None
    assert flaw.why in breach.why
    assert breach.entry is None or breach.entry in verdict.evidence
    times = [entry.at for entry in verdict.evidence]
    assert times == sorted(times)


def without_flaw(cases: Iterable[Case], flaws: Iterable[Flaw]) -> list[tuple[str, str]]:
    """Give the rules that no flaw breaks."""
    flawed = {(flaw.case.id, flaw.rule) for flaw in flaws}
    return [
        (case.id, rule.expected)
        for case in cases
        for place, rule in enumerate(case.rules)
        if (case.id, place) not in flawed
    ]


def repeat(times: int, tape: Tape, requests: Callable[[Tape], object]) -> Tape:
    """Make the same requests so often; give the tape."""
    for _ in range(times):
        requests(tape)
    return tape


def faulty(tape: Tape) -> Tape:
    """Have the last request acted on by an injected fault."""
    tape.entries[-1] = replace(tape.entries[-1], fault="1")
    return tape


def started() -> Tape:
    """A client that has shaken hands."""
    return Tape().handshake()


def staged(tape: Tape) -> Tape:
    """Have something set up for the tester."""
    tape.stagings.append(tape.now)
    return tape.wait(seconds=1)


def collected(tape: Tape, *messages: str) -> Tape:
    """Download and acknowledge messages one after the other."""
    for message in messages:
        tape.download(message).acknowledge(message)
    return tape


def try_everything(case: Case, trace: Trace) -> None:
    """Run all that a case has on a trace: nothing of it may raise, and no more is shown than fits."""
    assert len(judge(case, trace).evidence) <= 50
    for rule in case.rules:
        rule.check(trace)
    for step in case.steps:
        assert step.done(trace) in (True, False)
