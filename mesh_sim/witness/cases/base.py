"""What a case of the catalogue is made of, and how one is judged. Pure: no clock, no files, no server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final, TypeAlias

from mesh_sim.witness.journal import Entry
from mesh_sim.witness.trace import Trace

# -- what is set up --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Waiting:
    """Messages from the counterpart wait in the client's inbox; ``size`` is of each, in bytes."""

    count: int = 1
    size: int = 2_000
    chunks: int = 1
    gzip: bool = False


@dataclass(frozen=True, slots=True)
class SendTo:
    """The client is told whom to send to; with a ``size``, and which file of so many bytes."""

    mailbox: str
    size: int | None = None


@dataclass(frozen=True, slots=True)
class NoSuchMessage:
    """The client is told of a message id that no message has."""


@dataclass(frozen=True, slots=True)
class Disabled:
    """The client's mailbox is disabled, until the step has ended."""


@dataclass(frozen=True, slots=True)
class Expiry:
    """Simulated time passes until what waits in an inbox has expired: five days, unless set otherwise."""


Prop: TypeAlias = Waiting | SendTo | NoSuchMessage | Disabled | Expiry


FINDINGS: Final = "findings"
"""The set of the defects that assurance found in suppliers' traffic; they are in no catalogue."""


class Action(StrEnum):
    """What the client is to do, in one word for scripts (``WITNESS_ACTION``)."""

    SEND = "send"
    SEND_COMPRESSED = "send-compressed"
    SEND_CHUNKED = "send-chunked"
    COLLECT = "collect"
    """Handshake where due, then check the inbox, download and acknowledge until it is empty."""
    DOWNLOAD = "download"
    """Download one message by its id."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing for the client to do.

    ``tell`` says it in plain words; ``{mailbox}``, ``{recipient}``, ``{message_id}``, ``{workflow}`` and
    ``{count}`` are filled in.
    """

    action: Action
    tell: str
    done: Callable[[Trace], bool]
    """Whether the requests during this step are all that it takes; judging them is the rules' part."""
    props: tuple[Prop, ...] = ()
    settle: timedelta = timedelta()
    """How long to watch on, in real time, after it is done."""


# -- how it is judged ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Breach:
    """How a rule was broken, and by which request; None where the trouble is one that never came."""

    why: str
    entry: Entry | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that is checked of a case: what is expected, and what to mend where it is not so."""

    expected: str
    check: Callable[[Trace], Breach | None]
    fix: str


@dataclass(frozen=True, slots=True)
class Case:
    """One case of the catalogue, or one finding of the assurance team over the whole traffic.

    ``evidence`` picks the requests that the case is about; with none, it was not seen.
    """

    id: str
    set: str
    title: str
    rules: tuple[Rule, ...]
    evidence: Callable[[Trace], Sequence[Entry]]
    steps: tuple[Step, ...] = ()
    """Empty for one that is judged by the whole traffic and needs nothing set up."""
    required: bool = True

    @property
    def moves_clock(self) -> bool:
        """Whether simulated time passes in it."""
        return any(isinstance(prop, Expiry) for step in self.steps for prop in step.props)


class Outcome(StrEnum):
    """What became of a case."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_SEEN = "not seen"


@dataclass(frozen=True, slots=True)
class Ruling:
    """One rule as it was found: kept, where ``breach`` is None."""

    rule: Rule
    breach: Breach | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A case as it was found, with its evidence in order."""

    case: Case
    outcome: Outcome
    evidence: tuple[Entry, ...] = ()
    rulings: tuple[Ruling, ...] = ()

    @property
    def breach(self) -> Ruling | None:
        """The ruling on the first rule that was broken: by the earliest request, else the first listed."""
        broken = [ruling for ruling in self.rulings if ruling.breach is not None]
        return min(broken, key=_place, default=None)


def judge(case: Case, trace: Trace) -> Verdict:
    """Judge one case by the requests that were seen."""
    evidence = tuple(case.evidence(trace))
    if not evidence:
        return Verdict(case, Outcome.NOT_SEEN)
    rulings = tuple(Ruling(rule, rule.check(trace)) for rule in case.rules)
    broken = any(ruling.breach is not None for ruling in rulings)
    return Verdict(case, Outcome.FAILED if broken else Outcome.PASSED, evidence, rulings)


def _place(ruling: Ruling) -> tuple[bool, float]:
    entry = ruling.breach.entry if ruling.breach is not None else None
    return (True, 0.0) if entry is None else (False, entry.at.timestamp())
