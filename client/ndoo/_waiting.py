"""What of an inbox belongs to one submission, and waiting for the one that is the answer."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Final

from ndoo.errors import (
    AnswerPending,
    CheckError,
    ConnectionFailed,
    MessageGone,
    MessageUnknown,
    NotDelivered,
    ServerFailed,
)
from ndoo.journal import Journal, Stage, Submission
from ndoo.mailbox import Mailbox, MessageHeaders
from ndoo.protocol import INBOX_EXPIRY, RECEIPT_SUBJECT

_FAILED_LOOKS: Final = 3
"""How many looks in a row may fail before waiting is given up; each was tried several times itself."""


class Kind(Enum):
    """What a message is to a submission."""

    FOREIGN = auto()
    """It belongs to something else."""

    RECEIPT = auto()
    """The service has the list; the answer is still to come."""

    ANSWER = auto()
    """The cleaned list, the temporary cache, or the sentence that the list is invalid."""

    REPORT = auto()
    """MESH could not deliver the list."""

    UNKNOWN = auto()
    """From the service and about this submission, but nothing that is known of it."""


def classify(headers: MessageHeaders, submission: Submission) -> Kind:
    """Tell what a message is, by its headers (ndoo-service.md, "What comes back"; mesh-api.md section 20).

    A receipt has the same workflow and local id as the answer. What tells them apart is the subject, and
    the file name that only the answer has; the answer needs both to be right.
    """
    if headers.is_report:
        # Reports come from MESH itself, without a sender, and are about messages of this mailbox only.
        linked = bool(submission.message_id) and headers.linked_message_id == submission.message_id
        return Kind.REPORT if linked or headers.local_id == submission.local_id else Kind.FOREIGN
    if (
        headers.local_id != submission.local_id
        or headers.sender.upper() != submission.service_mailbox.upper()
    ):
        return Kind.FOREIGN
    if headers.subject == RECEIPT_SUBJECT:
        return Kind.RECEIPT
    return Kind.ANSWER if headers.file_name == f"{submission.local_id}.dat" else Kind.UNKNOWN


class Watch:
    """Looks through an inbox time and again; what is none of the submission's is asked about once."""

    def __init__(self, mailbox: Mailbox, submission: Submission) -> None:
        self._mailbox = mailbox
        self._submission = submission
        self._left_alone: set[str] = set()
        self.unknown: set[str] = set()

    async def look(self) -> AsyncGenerator[tuple[Kind, MessageHeaders], None]:
        """Give the receipts, answers and reports that wait now, oldest first; nothing is acknowledged.

        Ids of messages of kind UNKNOWN gather in ``unknown``.

        Raises:
            MeshError: the inbox cannot be listed or looked at.
        """
        async for message_id in self._mailbox.messages(workflow_filter=self._submission.workflow_id):
            if message_id in self._left_alone:
                continue
            try:
                headers = await self._mailbox.head(message_id)
            except (MessageGone, MessageUnknown):
                # Another program acknowledged it since it was listed.
                continue
            kind = classify(headers, self._submission)
            if kind in (Kind.FOREIGN, Kind.UNKNOWN):
                self._left_alone.add(message_id)
                if kind is Kind.UNKNOWN:
                    self.unknown.add(message_id)
            else:
                yield kind, headers


def refuse_ended(submission: Submission) -> None:
    """Refuse a submission that has ended.

    Raises:
        CheckError: it has; the text says how and when.
    """
    local_id = submission.local_id
    if submission.stage in (Stage.COLLECTED, Stage.FAILED):
        when = f" on {submission.finished_at:%d %B %Y at %H:%M} UTC" if submission.finished_at else ""
        how = "was collected" if submission.stage is Stage.COLLECTED else "ended"
        raise CheckError(local_id, f"{local_id} {how}{when}: {submission.note}")


class Waiting:
    """Waits for one answer; deals with the receipt and with reports on the way."""

    def __init__(
        self, mailbox: Mailbox, journal: Journal, submission: Submission, poll_interval: float
    ) -> None:
        self._mailbox = mailbox
        self._journal = journal
        self._submission = submission
        self._poll_interval = poll_interval
        self._watch = Watch(mailbox, submission)

    async def answer(self, timeout: float | None, on_wait: Callable[[float], None] | None) -> MessageHeaders:
        """Look at once and then every so often, the last time when the wait is over; see ``collect``.

        Raises:
            AnswerPending: there was no answer in ``timeout`` seconds.
            CheckError: another process has ended the submission, or the answer can never come.
            NotDelivered: a report came instead.
            MeshError: the inbox could not be looked into, several times in a row or at the last look.
        """
        clock = asyncio.get_running_loop().time
        begun = clock()
        failed_looks = 0
        while True:
            waited = clock() - begun
            left = math.inf if timeout is None else timeout - waited
            try:
                if (answer := await self._look()) is not None:
                    return answer
            except (ConnectionFailed, ServerFailed):
                failed_looks += 1
                if failed_looks == _FAILED_LOOKS or left <= 0:
                    raise
            else:
                failed_looks = 0
                await self._check_awaited()
                if left <= 0:
                    raise self._pending(waited)
            if on_wait is not None:
                on_wait(waited)
            await asyncio.sleep(min(self._poll_interval, left))

    async def _look(self) -> MessageHeaders | None:
        answer: MessageHeaders | None = None
        async with aclosing(self._watch.look()) as messages:
            async for kind, headers in messages:
                if kind is Kind.RECEIPT:
                    self._submission = await asyncio.to_thread(
                        self._journal.receipted, self._submission.local_id
                    )
                    await self._mailbox.acknowledge(headers.message_id)
                elif kind is Kind.REPORT:
                    await self._give_up(headers)
                elif answer is None:
                    # On to the end: a receipt that came after the answer must not stay in the inbox.
                    answer = headers
        return answer

    async def _check_awaited(self) -> None:
        """Make sure, after a look that found nothing, that there is still something to wait for."""
        recorded = await asyncio.to_thread(self._journal.get, self._submission.local_id)
        refuse_ended(recorded)
        # Where another process has written the output, it is about to end the submission itself.
        if (
            recorded.stage is Stage.SENT
            and recorded.sent_at is not None
            and datetime.now(UTC) - recorded.sent_at > INBOX_EXPIRY
        ):
            text = (
                f"no answer to {recorded.local_id} came{self._unknown()}, and five days are over: MESH keeps "
                "answers for five days only; submit the list again"
            )
            await asyncio.to_thread(self._journal.failed, recorded.local_id, text)
            raise CheckError(recorded.local_id, text)

    async def _give_up(self, report: MessageHeaders) -> None:
        local_id = self._submission.local_id
        reason = report.status_description or "the report does not say why"
        text = f"{local_id} was not delivered to {self._submission.service_mailbox}: {reason}"
        await asyncio.to_thread(self._journal.failed, local_id, text)
        await self._mailbox.acknowledge(report.message_id)
        raise NotDelivered(local_id, f"{text}; submit the list again", report.status_code)

    def _pending(self, waited: float) -> AnswerPending:
        submission = self._submission
        text = f"no answer to {submission.local_id} yet, after {waited:.0f} s"
        if submission.receipt_at is not None:
            text += " (the service has confirmed that it has the list)"
        text += f"{self._unknown()}; nothing is lost: 'ndoo collect' fetches it later"
        return AnswerPending(submission.local_id, text)

    def _unknown(self) -> str:
        if not self._watch.unknown:
            return ""
        return f"; of what came from the service, message {min(self._watch.unknown)} is not understood"
