"""What the opt-out service does with one submission: nothing, a receipt, or receipt and answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from mesh_sim.clock import SimulatedClock
from mesh_sim.exchange.directory import Directory, Mailbox
from mesh_sim.exchange.errors import StorageFailed
from mesh_sim.exchange.events import Events, Kind
from mesh_sim.exchange.messages import Chunk, Inline, Message, MessageType, Metadata, new_message_id
from mesh_sim.exchange.states import Status, Step, advance
from mesh_sim.optouts.answers import GZIP, CheckedList, Fingerprint, KeepClaim, ListDesk
from mesh_sim.optouts.checker import ListChecker
from mesh_sim.optouts.receipts import receipt_body
from mesh_sim.optouts.register import OptOutRegister
from mesh_sim.optouts.silence import why_no_reply
from mesh_sim.optouts.submissions import Claim, ClaimLost, Conclusion, Outcome, Reply, State, Submissions
from ndoo.cache import CacheHeader, CacheWriter
from ndoo.lists import NumberRule
from ndoo.protocol import RECEIPT_SUBJECT, WORKFLOW_CACHE

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Terms:
    """How the service judges and when it answers; the lengths of time are simulated ones."""

    number_rule: NumberRule = NumberRule.CHECKSUM
    reply_delay: timedelta = timedelta()
    cache_lifetime: timedelta = timedelta(days=21)


class OptOutService:
    """Deals with submissions, one at a time or several at once."""

    def __init__(
        self,
        submissions: Submissions,
        desk: ListDesk,
        register: OptOutRegister,
        directory: Directory,
        *,
        clock: SimulatedClock,
        announce: Callable[[Message], None],
        events: Events,
        terms: Terms,
    ) -> None:
        """Make one; ``announce`` is told of each message delivered, ``events`` of each submission's fate."""
        self._submissions = submissions
        self._desk = desk
        self._register = register
        self._directory = directory
        self._clock = clock
        self._announce = announce
        self._events = events
        self._terms = terms

    async def handle(self, claim: Claim, keep_claim: KeepClaim) -> None:
        """Do what is to be done with a claimed submission now.

        Cancelled, it leaves nothing half done: what is being committed is committed, all else is dropped.

        Raises:
            ClaimLost: another worker has it now; nothing was left behind.
            StorageFailed: nothing was recorded; trying again may help.
        """
        message, submission = claim.message, claim.submission
        now = self._clock.now()
        sender = self._directory.mailbox(message.sender)
        due_at = submission.received_at + self._terms.reply_delay
        if ending := _without_reply(message, now):
            await _to_its_end(self._conclude(claim, ending))
        elif sender is None or not sender.active:
            reason = "the mailbox that sent it no longer exists or is inactive"
            await _to_its_end(self._conclude(claim, Conclusion(Outcome.UNDELIVERABLE, now, reason)))
        elif submission.state is State.NEW and due_at > now:
            await self._give_receipt(claim, due_at, keep_claim)
        else:
            await self._answer(claim, sender, keep_claim)

    async def _give_receipt(self, claim: Claim, due_at: datetime, keep_claim: KeepClaim) -> None:
        fingerprint = await self._desk.inspect(claim.message, keep_claim)
        receipt = self._receipt(claim.message, fingerprint)

        async def deliver() -> None:
            if not await self._submissions.receipt(claim, receipt, due_at):
                raise ClaimLost
            self._announce(receipt.message)
            self._publish(claim.message, "receipted", due_at=due_at.isoformat())

        await _to_its_end(deliver())
        log.info(
            "submission %s from %s got its receipt; its answer is due at %s",
            claim.message.message_id,
            claim.message.sender,
            due_at.isoformat(timespec="seconds"),
        )

    async def _answer(self, claim: Claim, sender: Mailbox, keep_claim: KeepClaim) -> None:
        message = claim.message
        at = self._clock.now()
        checker = ListChecker(await self._register.snapshot(at), self._terms.number_rule)
        checked = await self._desk.check(message, checker, self._cache(message, sender, at), keep_claim)
        # The bodies written belong to _conclude from here on, which runs to its end even if cancelled.
        receipt = None
        if claim.submission.state is State.NEW:
            receipt = self._receipt(message, checked.fingerprint)
        valid = not checked.fault
        conclusion = Conclusion(
            Outcome.ANSWERED if valid else Outcome.INVALID_LIST,
            self._clock.now(),
            checked.fault,
            submitted=checker.submitted if valid else 0,
            returned=checker.kept if valid else 0,
            receipt=receipt,
            answer=self._answer_message(message, checked),
        )
        await _to_its_end(self._conclude(claim, conclusion))

    async def _conclude(self, claim: Claim, conclusion: Conclusion) -> None:
        message = claim.message
        answer = conclusion.answer
        written = answer.chunks if answer else ()
        try:
            finished = await self._submissions.finish(claim, conclusion)
        except StorageFailed:
            # A commit whose confirmation was lost may have been made: then the bodies are in use.
            recorded = await self._submissions.submission(message.message_id)
            if not (recorded and answer and recorded.answer_message_id == answer.message.message_id):
                await self._desk.discard(written)
            raise
        if not finished:
            await self._desk.discard(written)
            recorded = await self._submissions.submission(message.message_id)
            if recorded is None or recorded.outcome is not Outcome.GONE:
                raise ClaimLost
            self._tell(message, Conclusion(Outcome.GONE, self._clock.now(), recorded.reason))
            return
        for reply in (conclusion.receipt, answer):
            if reply:
                self._announce(reply.message)
        acknowledged = replace(message, status=Status.ACKNOWLEDGED)
        self._events.message(Kind.ACKNOWLEDGED, conclusion.at, acknowledged)
        self._tell(message, conclusion)

    def _tell(self, message: Message, conclusion: Conclusion) -> None:
        """Say how a submission ended, in the log and to who watches, without a word of what it held."""
        self._publish(
            message,
            conclusion.outcome.value,
            reason=conclusion.reason,
            submitted=conclusion.submitted,
            returned=conclusion.returned,
        )
        if conclusion.answer is None:
            log.warning(
                "submission %s from %s gets no reply: %s",
                message.message_id,
                message.sender,
                conclusion.reason,
            )
            return
        log.info(
            "submission %s from %s: %s, %d records submitted, %d returned%s",
            message.message_id,
            message.sender,
            conclusion.outcome,
            conclusion.submitted,
            conclusion.returned,
            f" ({conclusion.reason})" if conclusion.reason else "",
        )

    def _publish(self, message: Message, outcome: str, **data: str | int) -> None:
        self._events.publish(
            Kind.SUBMISSION,
            self._clock.now(),
            message_id=message.message_id,
            sender=message.sender,
            workflow_id=message.workflow_id,
            local_id=message.metadata.local_id,
            outcome=outcome,
            **data,
        )

    def _cache(self, message: Message, sender: Mailbox, at: datetime) -> CacheWriter | None:
        if message.workflow_id != WORKFLOW_CACHE:
            return None
        header = CacheHeader(
            created=at,
            expires=at + self._terms.cache_lifetime,
            mailbox=sender.mailbox_id,
            local_id=message.metadata.local_id,
        )
        return CacheWriter(header, sender.password)

    def _receipt(self, submission: Message, fingerprint: Fingerprint) -> Reply:
        body = receipt_body(submission, fingerprint, self._clock.now())
        metadata = Metadata(
            subject=RECEIPT_SUBJECT,
            local_id=submission.metadata.local_id,
            content_type="application/json",
        )
        return self._reply(submission, metadata, (Chunk(1, len(body), Inline(body)),))

    def _answer_message(self, submission: Message, checked: CheckedList) -> Reply:
        local_id = submission.metadata.local_id
        gzipped = submission.metadata.content_encoding == GZIP
        metadata = Metadata(
            subject=submission.metadata.subject,
            local_id=local_id,
            file_name=f"{local_id}.dat",
            content_encoding=GZIP if gzipped else "",
            compressed=gzipped,
        )
        return self._reply(submission, metadata, checked.chunks)

    def _reply(self, submission: Message, metadata: Metadata, chunks: tuple[Chunk, ...]) -> Reply:
        """Address a message from the service back to the submitter."""
        now = self._clock.now()
        message = Message(
            message_id=new_message_id(now),
            message_type=MessageType.DATA,
            sender=submission.recipient,
            recipient=submission.sender,
            workflow_id=submission.workflow_id,
            status=advance(None, Step.SEND),
            total_chunks=len(chunks),
            created_at=now,
            metadata=metadata,
            accepted_at=now,
        )
        return Reply(message, chunks)


def _without_reply(message: Message, now: datetime) -> Conclusion | None:
    """Conclude a message that gets no reply, whoever sent it; None if it does."""
    if message.status is not Status.ACCEPTED:
        return Conclusion(Outcome.GONE, now)
    silence = why_no_reply(message)
    return Conclusion(Outcome.SILENT, now, silence) if silence else None


async def _to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Await work that a cancellation must not tear apart; the cancellation is raised after it."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled() and task.exception() is not None:
            log.warning("a submission was dropped while its worker stopped: %s", task.exception())
        raise
