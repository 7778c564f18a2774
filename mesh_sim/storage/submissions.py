"""The opt-out service's submissions in a database: claims with a lease, and one answer each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from mesh_sim.exchange.messages import Message
from mesh_sim.exchange.ports import Moment
from mesh_sim.exchange.states import Status
from mesh_sim.optouts.submissions import Claim, Conclusion, Outcome, Reply, State, Submission
from mesh_sim.storage import sql
from mesh_sim.storage.database import Database, Row, Transaction
from mesh_sim.storage.messages import acknowledge, fetch, insert
from mesh_sim.storage.times import from_micros, micros

_NEVER: Final = 2**63 - 1
"""Later than any submission."""

_OPEN: Final = ""
"""What the outcome is until there is one."""

_LEFT = "the submission left the inbox before it was answered: it expired, or somebody acknowledged it"


class SqlSubmissions:
    """The Submissions port over a database that holds the messages too."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(
        self, mailbox_id: str, owner: str, *, limit: int, now: datetime, real: datetime, until: datetime
    ) -> Sequence[Claim]:
        """Claim submissions of a service mailbox for one worker, those longest due first."""

        async def candidates(tx: Transaction) -> tuple[list[str], list[str]]:
            again = await tx.fetch(sql.OPEN_SUBMISSIONS, micros(now), micros(real), limit)
            new = await tx.fetch(sql.NEW_SUBMISSIONS, mailbox_id, limit - len(again))
            return [row[0] for row in again], [row[0] for row in new]

        again, new = await self._database.read(candidates)
        if not again and not new:  # the usual case, which thus writes nothing
            return []

        async def take(tx: Transaction) -> list[Claim]:
            claims = []
            for message_id in (*again, *new):
                message = await fetch(tx, message_id)
                if message is None:
                    continue
                if message_id in again:
                    changed = await tx.execute(
                        sql.CLAIM_AGAIN, message_id, owner, micros(until), micros(real)
                    )
                else:
                    changed = await _claim_new(tx, message, owner, until)
                submission = await _fetch_submission(tx, message_id)
                if changed and submission:
                    claims.append(Claim(submission, message, owner, until))
            return claims

        return await self._database.write(take)

    async def next_due(self, after: datetime) -> datetime | None:
        """Give the simulated time after ``after`` at which the next open submission is due, or None."""
        row = await self._database.read(lambda tx: tx.fetch_row(sql.NEXT_DUE, micros(after)))
        return from_micros(row[0]) if row else None

    async def renew(self, claim: Claim, until: datetime) -> bool:
        """Let a claim lapse later; False if it is lost."""
        values = (claim.message.message_id, claim.owner, micros(until))
        return await self._database.write(lambda tx: tx.execute(sql.RENEW_CLAIM, *values)) > 0

    async def give_back(self, claim: Claim, until: datetime) -> None:
        """Let go of a claim; nobody may claim the submission before the real time ``until``."""
        values = (claim.message.message_id, claim.owner, micros(until))
        await self._database.write(lambda tx: tx.execute(sql.GIVE_BACK_CLAIM, *values))

    async def release_claims(self) -> None:
        """Let go of every claim: for a process that is alone, these are a killed one's."""
        await self._database.write(lambda tx: tx.execute(sql.RELEASE_CLAIMS))

    async def receipt(self, claim: Claim, receipt: Reply, due_at: datetime) -> bool:
        """Deliver a receipt once, and let go of the claim until the answer is due."""
        message_id = claim.message.message_id

        async def deliver(tx: Transaction) -> bool:
            if not await _waits(tx, message_id):
                return False
            receipt_id = receipt.message.message_id
            if not await tx.execute(sql.SET_RECEIPTED, message_id, claim.owner, receipt_id, micros(due_at)):
                return False
            await insert(tx, receipt.message, receipt.chunks)
            return True

        return await self._database.write(deliver)

    async def finish(self, claim: Claim, conclusion: Conclusion) -> bool:
        """Record the conclusion, acknowledge the submission and deliver its replies, all or nothing."""
        message_id = claim.message.message_id

        async def conclude(tx: Transaction) -> bool:
            message = await fetch(tx, message_id)
            waits = message is not None and message.status is Status.ACCEPTED
            final = conclusion if waits else Conclusion(Outcome.GONE, conclusion.at, _LEFT)
            changed = await tx.execute(
                sql.SET_FINISHED,
                message_id,
                claim.owner,
                final.outcome.value,
                final.reason,
                final.submitted,
                final.returned,
                final.receipt.message.message_id if final.receipt else "",
                final.answer.message.message_id if final.answer else "",
                micros(final.at),
            )
            if not changed or message is None or not waits:
                return False
            await acknowledge(tx, message, final.at)
            for reply in (final.receipt, final.answer):
                if reply is not None:
                    await insert(tx, reply.message, reply.chunks)
            return True

        return await self._database.write(conclude)

    async def submission(self, message_id: str) -> Submission | None:
        """Give one submission by its message id, or None."""
        return await self._database.read(lambda tx: _fetch_submission(tx, message_id))

    async def recent(
        self,
        *,
        mailbox: str = "",
        outcome: Outcome | None = None,
        open_only: bool = False,
        before: Moment | None = None,
        limit: int,
    ) -> Sequence[Submission]:
        """List submissions, those received last first."""
        place = (micros(before.created_at), before.message_id) if before else (_NEVER, "")
        page = (*place, limit)

        async def select(tx: Transaction) -> list[Submission]:
            if not mailbox and outcome is None and not open_only:
                return [_submission(row) for row in await tx.fetch(sql.RECENT_SUBMISSIONS, *page)]
            statement = sql.RECENT_OF_MAILBOX if mailbox else sql.RECENT_WITH_OUTCOME
            whose = [mailbox] if mailbox else []
            # One index has them in order outcome by outcome; the newest of each are the newest of all.
            rows = [
                row
                for each in _outcomes(outcome, open_only=open_only)
                for row in await tx.fetch(statement, *page, each, *whose)
            ]
            found = sorted(map(_submission, rows), key=_received, reverse=True)
            return found[:limit]

        return await self._database.read(select)


def _outcomes(outcome: Outcome | None, *, open_only: bool) -> Sequence[str]:
    """Give what the outcomes asked for are in the database."""
    if open_only:
        return [] if outcome else [_OPEN]
    return [outcome.value] if outcome else [_OPEN, *Outcome]


def _received(submission: Submission) -> tuple[datetime, str]:
    return submission.received_at, submission.message_id


async def _claim_new(tx: Transaction, message: Message, owner: str, until: datetime) -> int:
    return await tx.execute(
        sql.CLAIM_NEW,
        message.message_id,
        message.sender,
        message.metadata.local_id,
        message.workflow_id,
        micros(message.accepted_at or message.created_at),
        owner,
        micros(until),
    )


async def _waits(tx: Transaction, message_id: str) -> bool:
    message = await fetch(tx, message_id)
    return message is not None and message.status is Status.ACCEPTED


async def _fetch_submission(tx: Transaction, message_id: str) -> Submission | None:
    row = await tx.fetch_row(sql.SUBMISSION, message_id)
    return _submission(row) if row else None


def _submission(row: Row) -> Submission:
    """Read a row of :data:`mesh_sim.storage.sql.SUBMISSION_COLUMNS`."""
    return Submission(
        message_id=row[0],
        mailbox=row[1],
        local_id=row[2],
        workflow_id=row[3],
        received_at=from_micros(row[4]),
        due_at=from_micros(row[5]),
        state=State(row[6]),
        attempts=row[7],
        outcome=Outcome(row[8]) if row[8] else None,
        reason=row[9],
        submitted=row[10],
        returned=row[11],
        receipt_message_id=row[12],
        answer_message_id=row[13],
        finished_at=from_micros(row[14]),
    )
