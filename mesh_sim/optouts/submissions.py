"""Submissions to the opt-out service: what is known of each, and what the worker needs kept.

A submission is claimed with a lease before anything is done with it. A lease runs on real time; when it
lapses, as after a crash, another worker may claim the submission. Whatever a worker then wants to leave
behind is guarded by its claim within one transaction, so that each submission is answered exactly once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from mesh_sim.exchange.messages import Chunk, Message
from mesh_sim.exchange.ports import Moment


class State(StrEnum):
    """How far a submission is."""

    NEW = "new"
    RECEIPTED = "receipted"
    FINISHED = "finished"


class Outcome(StrEnum):
    """How a submission ended."""

    ANSWERED = "answered"
    INVALID_LIST = "invalid list"
    SILENT = "silent"
    UNDELIVERABLE = "undeliverable"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Submission:
    """What is known of one submission; simulated times, empty texts and zeros while not yet known.

    ``reason`` says why there was no cleaned list. ``submitted`` and ``returned`` count records.
    """

    message_id: str
    mailbox: str
    local_id: str
    workflow_id: str
    received_at: datetime
    due_at: datetime
    state: State
    attempts: int
    outcome: Outcome | None = None
    reason: str = ""
    submitted: int = 0
    returned: int = 0
    receipt_message_id: str = ""
    answer_message_id: str = ""
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A submission that one worker, ``owner``, may work on until the real time ``until``."""

    submission: Submission
    message: Message
    owner: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Reply:
    """A message to the submitter, with its body."""

    message: Message
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True, slots=True)
class Conclusion:
    """How a submission ends: what is recorded of it, and what its sender gets, receipt first."""

    outcome: Outcome
    at: datetime
    reason: str = ""
    submitted: int = 0
    returned: int = 0
    receipt: Reply | None = None
    answer: Reply | None = None


class ClaimLost(Exception):
    """The lease lapsed and another worker has the submission now, or has finished it."""


class Submissions(Protocol):
    """Where submissions are kept; every write is durable once it returns."""

    async def claim(
        self, mailbox_id: str, owner: str, *, limit: int, now: datetime, real: datetime, until: datetime
    ) -> Sequence[Claim]:
        """Claim submissions of a service mailbox for one worker, those longest due first.

        Args:
            mailbox_id: the service mailbox, in whose inbox new submissions wait.
            owner: the worker's name, like no other's.
            limit: how many at the most.
            now: the simulated time, by which replies are due.
            real: the real time, by which leases lapse.
            until: the real time at which this lease lapses.
        """

    async def next_due(self, after: datetime) -> datetime | None:
        """Give the simulated time after ``after`` at which the next open submission is due, or None."""

    async def renew(self, claim: Claim, until: datetime) -> bool:
        """Let a claim lapse later; False if it is lost."""

    async def give_back(self, claim: Claim, until: datetime) -> None:
        """Let go of a claim; nobody may claim the submission before the real time ``until``."""

    async def receipt(self, claim: Claim, receipt: Reply, due_at: datetime) -> bool:
        """Deliver a receipt once, and let go of the claim until the answer is due.

        False, and nothing delivered, if the claim is lost or the submission has left the inbox.
        """

    async def finish(self, claim: Claim, conclusion: Conclusion) -> bool:
        """Record the conclusion, acknowledge the submission and deliver its replies, all or nothing.

        False, and nothing delivered, if the claim is lost or the submission has left the inbox; the
        latter is recorded as its outcome.
        """

    async def submission(self, message_id: str) -> Submission | None:
        """Give one submission by its message id, or None."""

    async def recent(
        self,
        *,
        mailbox: str = "",
        outcome: Outcome | None = None,
        open_only: bool = False,
        before: Moment | None = None,
        limit: int,
    ) -> Sequence[Submission]:
        """List submissions, those received last first.

        Args:
            mailbox: whose; '' for everybody's.
            outcome: only those that ended so.
            open_only: only those that have not ended.
            before: where an earlier page ended: the time of receipt and the id of its last submission.
            limit: how many at the most.
        """
