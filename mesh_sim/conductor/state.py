"""How a rehearsal stands, as values: for people, scripts and tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mesh_sim.witness.cases.base import Action, Case, Outcome
from mesh_sim.witness.rehearsal import WORKFLOW, Attempt, Original, Rehearsal

_SENDING: Final = (Action.SEND, Action.SEND_COMPRESSED, Action.SEND_CHUNKED)


@dataclass(frozen=True, slots=True)
class Cue:
    """What the client is to do now."""

    case: str
    title: str
    step: int
    """From 0."""
    steps: int
    action: str
    """In one word: ``send``, ``send-compressed``, ``send-chunked``, ``collect`` or ``download``."""
    tell: str
    """In plain words."""
    to: str
    """Whom to send to; '' where nothing is to be sent."""
    workflow_id: str
    message_id: str
    """The first message that waits, or the one to download; '' where there is none."""
    count: int
    """How many messages wait."""
    file: Original | None
    """The file to send, where it has to be a certain one."""
    done: bool = False
    """Whether the client has done it."""
    settling: bool = False
    """Whether the client is watched on before the next step, or the end."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What one mailbox's rehearsal has come to, before it is judged; ``version`` grows with each change."""

    rehearsal: Rehearsal
    version: int
    cue: Cue | None
    """None while no case is under way."""


@dataclass(frozen=True, slots=True)
class State(Standing):
    """How one mailbox's rehearsal stands."""

    outcomes: tuple[Outcome | None, ...]
    """Of each attempt, in order; None for the one that is under way."""


def cue_of(mailbox: str, case: Case, attempt: Attempt, *, done: bool) -> Cue:
    """Say what the client is to do in the step of a case that was set up last."""
    number = len(attempt.steps_at) - 1
    step = case.steps[number]
    message_id = next(iter(attempt.message_ids), attempt.report_id)
    count = max(1, len(attempt.message_ids))
    return Cue(
        case=case.id,
        title=case.title,
        step=number,
        steps=len(case.steps),
        action=step.action.value,
        tell=step.tell.format(
            mailbox=mailbox,
            recipient=attempt.recipient,
            message_id=message_id,
            workflow=WORKFLOW,
            count=count,
        ),
        to=attempt.recipient,
        workflow_id=WORKFLOW,
        message_id=message_id,
        count=count,
        file=attempt.original if step.action in _SENDING else None,
        done=done,
        settling=done and bool(step.settle),
    )
