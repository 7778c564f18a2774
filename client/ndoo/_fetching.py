"""Fetching an answer: received, judged, and made into the output; everything but its acknowledgement."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from ndoo._answer_file import AnswerBody, NotAnAnswer, Outcome, Target, check_output, read_submitted
from ndoo._inbox import Kind, classify
from ndoo.cache import check_replaceable
from ndoo.errors import ListRejected, MeshError, MessageGone, UnexpectedAnswer
from ndoo.journal import Journal, Stage, Submission
from ndoo.mailbox import Mailbox, MessageHeaders
from ndoo.output import open_part
from ndoo.progress import Progress


async def fetch(
    mailbox: Mailbox, journal: Journal, answer_id: str, target: Target
) -> tuple[Submission, Outcome]:
    """Receive the answer, check it and write the output; it is not acknowledged here.

    Returns:
        The submission, whose output is on the disk, and what was written.

    Raises:
        ListRejected: the service found an invalid number; acknowledged, for there is nothing to fetch again.
        UnexpectedAnswer: it is not the answer to this list; its content is kept aside.
        MessageGone: it was there at the last look, and is not any more.
        OutputExists: the output exists, and may not be replaced.
        CacheError: a cache was to be renewed, and the output is something else by now.
        ConfigError: the answer or the output cannot be written.
        MeshError: it cannot be had.
    """
    submission = target.submission
    local_id = submission.local_id
    aside = journal.refused(local_id, answer_id)
    if await asyncio.to_thread(aside.exists):
        raise _refused(submission, answer_id, "was looked at before and refused", aside)
    submitted = await asyncio.to_thread(read_submitted, journal.list_of(local_id))
    with open_part(journal.answer_of(local_id)) as (file, part):
        body = AnswerBody(file, part, submission, submitted)
        try:
            async with mailbox.receive(answer_id) as message:
                _recognise(message.headers, submission)
                await message.save(_Intake(body, target.progress))
            if await asyncio.to_thread(body.is_rejection):
                await _reject(mailbox, journal, local_id, answer_id)
            numbers = await asyncio.to_thread(body.finish, target.password)
        except NotAnAnswer as error:
            await asyncio.to_thread(body.keep, aside)
            raise _refused(submission, answer_id, str(error), aside) from error
        except MessageGone as error:
            if submission.stage is Stage.WRITTEN:
                text = f"its answer was collected, and {submission.output} is not there any more"
                await asyncio.to_thread(journal.failed, local_id, f"{text}; submit the list again")
            raise MessageGone(
                f"message {answer_id}, the answer to {local_id}, was in the inbox and is gone: another "
                "program has collected it, or it has just expired; look for its output, or submit again",
                mailbox=submission.mailbox,
                message_id=answer_id,
                status=error.status,
                event=error.event,
                code=error.code,
            ) from error
        target.progress.step("received", local_id=local_id, message_id=answer_id, bytes=body.size)
        # A file that appeared during the wait is somebody else's; once "answered" it would pass for our own.
        await asyncio.to_thread(check_output, submission.source, submission.output, target.force)
        if submission.renew:
            await asyncio.to_thread(check_replaceable, submission.output, submission.mailbox)
        await asyncio.to_thread(journal.answered, local_id, answer_id)
        outcome = await asyncio.to_thread(target.write, part, numbers)
        return await asyncio.to_thread(journal.written, local_id, outcome.to_json()), outcome


def _recognise(headers: MessageHeaders, submission: Submission) -> None:
    """Look again at what is being received, since what was listed and what comes are two answers."""
    if classify(headers, submission) is not Kind.ANSWER:
        raise NotAnAnswer("is not what it was announced as")


def _refused(submission: Submission, answer_id: str, reason: str, aside: Path) -> UnexpectedAnswer:
    return UnexpectedAnswer(
        f"message {answer_id}, the answer to {submission.local_id}, {reason}; no output was written, and the "
        f"message is still in the inbox, and its content is kept in {aside} for you to look at",
        mailbox=submission.mailbox,
        message_id=answer_id,
    )


class _Intake:
    """Takes a message's body as a file would, away from the event loop."""

    def __init__(self, body: AnswerBody, progress: Progress) -> None:
        self._body = body
        self._progress = progress

    async def write(self, data: bytes, /) -> None:
        """Take the next bytes."""
        await asyncio.to_thread(self._body.take, data)
        self._progress.receiving(self._body.size, 0)


async def _reject(mailbox: Mailbox, journal: Journal, local_id: str, answer_id: str) -> None:
    await asyncio.to_thread(journal.answered, local_id, answer_id)
    await asyncio.to_thread(
        journal.failed, local_id, "the service found an invalid NHS number and checked nothing"
    )
    with suppress(MeshError):  # the next look makes up for it
        await mailbox.acknowledge(answer_id)
    raise ListRejected(
        local_id,
        f"the service found one or more invalid NHS numbers in {local_id} and checked nothing; "
        "'ndoo numbers validate FILE' shows which lines, then submit the list again",
    )
