"""Waiting for the message that is the answer to a submission."""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

from ndoo._inbox import Inbox, Kind, classify
from ndoo.errors import (
    AnswerPending,
    CheckError,
    ConnectionFailed,
    MeshError,
    NotDelivered,
    ServerFailed,
)
from ndoo.journal import Journal, Stage, Submission
from ndoo.mailbox import MessageHeaders
from ndoo.progress import Progress
from ndoo.protocol import INBOX_EXPIRY

_FAILED_LOOKS: Final = 3
"""How many looks in a row may fail before waiting is given up; each was tried several times itself."""

_GRACE: Final = 1.0
"""Seconds that even a look asked for at once may be put off, until it is due."""


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

    def __init__(self, inbox: Inbox, journal: Journal, submission: Submission, progress: Progress) -> None:
        self._inbox = inbox
        self._journal = journal
        self._submission = submission
        self._progress = progress

    async def answer(self, timeout: float | None) -> MessageHeaders:
        """Look into the inbox as often as may be, until the answer is there; see ``collect``.

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
            if await self._inbox.due_in() <= 0:
                try:
                    await self._inbox.look()
                except (ConnectionFailed, ServerFailed):
                    failed_looks += 1
                    if failed_looks == _FAILED_LOOKS or left <= 0:
                        raise
                else:
                    failed_looks = 0
            if self._inbox.failure is None:
                if (answer := await self.take()) is not None:
                    return answer
                await self._check_awaited()
            elif left <= 0:  # the look that failed was taken for another list
                raise self._inbox.failure
            due_in = await self._inbox.due_in()
            patience = left if self._inbox.looked else max(left, _GRACE)
            if left <= 0 and due_in > patience:
                raise self._pending(waited, due_in)
            self._progress.waiting(waited, due_in)
            await asyncio.sleep(min(due_in, patience))

    async def take(self) -> MessageHeaders | None:
        """Deal with what the last look has found; give the answer if it is there.

        Raises:
            NotDelivered: a report is there.
            MeshError: a receipt or report cannot be acknowledged.
        """
        # A receipt that came after the answer must not stay in the inbox.
        await self.take_receipt()
        answer: MessageHeaders | None = None
        for headers in self._of_kind(Kind.ANSWER):
            if answer is None or self._was_refused(answer):
                answer = headers
        for report in self._of_kind(Kind.REPORT):
            await self._give_up(report)
        return answer

    async def take_receipt(self) -> None:
        """Record and acknowledge the service's receipt, if the last look has found it.

        Raises:
            MeshError: it cannot be acknowledged.
        """
        local_id = self._submission.local_id
        for headers in self._of_kind(Kind.RECEIPT):
            self._submission = await asyncio.to_thread(self._journal.receipted, local_id)
            await self._inbox.take_note(headers.message_id)
            self._progress.step("receipt", local_id=local_id, message_id=headers.message_id)

    def _of_kind(self, kind: Kind) -> list[MessageHeaders]:
        messages = self._inbox.messages.values()
        return [headers for headers in messages if classify(headers, self._submission) is kind]

    def _was_refused(self, answer: MessageHeaders) -> bool:
        return self._journal.refused(self._submission.local_id, answer.message_id).exists()

    async def _check_awaited(self) -> None:
        """Make sure, after a look that found nothing, that there is still something to wait for."""
        recorded = await asyncio.to_thread(self._journal.get, self._submission.local_id)
        refuse_ended(recorded)
        # Where another process has written the output, it is about to end the submission itself.
        if (
            self._inbox.looked
            and recorded.stage is Stage.SENT
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
        with suppress(MeshError):  # the next look makes up for it
            await self._inbox.take_note(report.message_id)
        self._progress.step("not delivered", local_id=local_id, message_id=report.message_id)
        raise NotDelivered(local_id, f"{text}; submit the list again", report.status_code)

    def _pending(self, waited: float, due_in: float) -> AnswerPending:
        submission = self._submission
        sent = submission.sent_at or submission.prepared_at
        if self._inbox.looked:
            waiting = f", after {waited:.0f} s" if waited >= 1 else ""
            text = f"no answer to {submission.local_id}, submitted {sent:%d %B %H:%M} UTC, yet{waiting}"
        else:
            when = f"{datetime.now(UTC) + timedelta(seconds=due_in):%H:%M:%S} UTC"
            text = (
                f"no answer to {submission.local_id} is known of yet, and the inbox was looked into a moment "
                f"ago: MESH allows one look in five minutes, the next at {when}"
            )
        if submission.receipt_at is not None:
            text += " (the service has confirmed that it has the list)"
        text += f"{self._unknown()}; nothing is lost: 'ndoo collect' fetches it later"
        return AnswerPending(submission.local_id, text)

    def _unknown(self) -> str:
        unknown = [headers.message_id for headers in self._of_kind(Kind.UNKNOWN)]
        if not unknown:
            return ""
        return f"; of what came from the service, message {min(unknown)} is not understood"
