"""The round trip: a list of NHS numbers is submitted, and the list less the opted out comes back.

>>> journal = Journal(Path("journal.db"))
>>> async with Mailbox("http://127.0.0.1:8700", credentials) as mailbox:
...     result = await check_opt_outs(mailbox, Path("patients.csv"), Path("cleared.csv"), journal=journal)
...     print(result.submitted, result.removed, result.output)

:func:`submit` and :func:`collect` are its two halves, hours apart or in different processes. At every
moment the journal holds what is certain, so that a round trip broken off anywhere can be gone on with: a
list is never sent twice by itself, and an answer is acknowledged only once the output is on the disk.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from ndoo._answer_file import AnswerBody, NotAnAnswer, Outcome, Target, check_output, spool
from ndoo._sending import choose_form, prepare, send, settle, take_local_id
from ndoo._waiting import Kind, Waiting, classify, refuse_ended
from ndoo.errors import ConfigError, ListRejected, MessageGone, MessageUnknown, UnexpectedAnswer
from ndoo.filtering import FilterSummary
from ndoo.journal import Draft, Form, Journal, Stage, Submission
from ndoo.lists import NumberRule
from ndoo.mailbox import Mailbox, MessageHeaders
from ndoo.protocol import WORKFLOW_CACHE, WORKFLOW_CHECK

__all__ = ["CheckResult", "Form", "Service", "check_opt_outs", "choose_form", "collect", "submit"]

SUBJECT: Final = "NDOO_CHECK"
"""``Mex-Subject`` of submissions: with another character than letters, digits, - and _ no reply comes."""

_COMPRESS_FROM: Final = 1_000_000
"""Lists of more bytes than this are compressed on the way: ten million numbers to about half."""


@dataclass(frozen=True, slots=True)
class Service:
    """The opt-out service, as the profiles know it.

    Args:
        mailbox_id: where lists are sent to.
        poll_interval: seconds between two looks into the inbox; MESH asks for 300 or more when it is the
            real one (mesh-api.md section 2).
        cache_workflow: whether the service itself makes temporary caches, as the simulator does; else
            they are made here from the cleaned list.
        cache_lifetime: how long a cache made here may be used.
    """

    mailbox_id: str = "X26HC065"
    poll_interval: float = 1.0
    cache_workflow: bool = True
    cache_lifetime: timedelta = timedelta(days=21)


SIMULATED: Final = Service()
"""The simulator's service, with its default settings."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a round trip came to.

    ``submitted``, ``returned`` and ``removed`` count records; ``table`` counts the rows where a table was
    filtered. ``cache_expires`` is when a temporary cache stops working (UTC). ``notes`` are sentences for
    people: what was left out, and what else is not as they may expect.
    """

    submission: Submission
    submitted: int
    returned: int
    removed: int
    table: FilterSummary | None
    output: Path
    cache_expires: datetime | None
    notes: tuple[str, ...]


async def check_opt_outs(  # noqa: PLR0913 -- the optional ones are keywords
    mailbox: Mailbox,
    source: Path,
    output: Path,
    *,
    journal: Journal,
    service: Service = SIMULATED,
    form: Form | None = None,
    column: str | None = None,
    rule: NumberRule = NumberRule.CHECKSUM,
    skip_invalid: bool = False,
    force: bool = False,
    timeout: float | None = None,
    progress: Callable[[int, int], None] | None = None,
    on_wait: Callable[[float], None] | None = None,
) -> CheckResult:
    """Submit a list, wait for the answer and write the output: :func:`submit`, then :func:`collect`.

    Raises:
        AnswerPending: no answer within ``timeout``; :func:`collect` fetches it later.
        NdooError: whatever the two raise.
    """
    submission = await submit(
        mailbox,
        journal,
        source,
        output,
        service=service,
        form=form,
        column=column,
        rule=rule,
        skip_invalid=skip_invalid,
        force=force,
        progress=progress,
    )
    return await collect(
        mailbox, journal, submission, service=service, timeout=timeout, force=force, on_wait=on_wait
    )


# -- submitting -------------------------------------------------------------------------------------


async def submit(  # noqa: PLR0913 -- the optional ones are keywords
    mailbox: Mailbox,
    journal: Journal,
    source: Path,
    output: Path,
    *,
    service: Service = SIMULATED,
    form: Form | None = None,
    column: str | None = None,
    rule: NumberRule = NumberRule.CHECKSUM,
    skip_invalid: bool = False,
    force: bool = False,
    compress: bool | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Submission:
    """Send a list to the opt-out service. Nothing is sent unless the whole list and the output are in order.

    Args:
        mailbox: where the answer is to come to.
        journal: where the submission is recorded.
        source: a .csv, .dat or .txt, each also .gz.
        output: the file the answer is to become.
        service: the service.
        form: what the answer is to become; by default ``output``'s name decides, see :func:`choose_form`.
        column: the NHS-number column of a CSV, by name or by position from 1.
        rule: what counts as a valid number.
        skip_invalid: leave out rows with invalid numbers, instead of refusing the list.
        force: ``output`` may exist, and will be replaced.
        compress: compress the list on the way; by default, if it is long.
        progress: called with the bytes of the list sent so far and all the bytes to send; the former goes
            back when something is sent again.

    Raises:
        OutputExists: ``output`` exists, and ``force`` is not given.
        InvalidNumbers: there are invalid numbers, and ``skip_invalid`` is not given.
        ListError: the list cannot be read, or its NHS-number column not be told.
        ConfigError: the output or the journal cannot be written, or no form fits the output's name.
        MeshError: the list was refused, or the server could not be reached: nothing was sent.
        CheckError: the list did not arrive; or the server's answer was lost, and it cannot be asked now.
            The text says which; in the latter case :func:`collect` finds out.
    """
    source, output = _absolute(source), _absolute(output)
    form = form or choose_form(source, output)
    await asyncio.to_thread(check_output, source, output, force)
    with spool(Path(tempfile.gettempdir())) as (file, path):
        prepared = await asyncio.to_thread(prepare, source, file, column, rule, skip_invalid)
        draft = Draft(
            subject=SUBJECT,
            url=mailbox.url,
            mailbox=mailbox.mailbox_id,
            service_mailbox=service.mailbox_id,
            workflow_id=WORKFLOW_CACHE if form is Form.CACHE and service.cache_workflow else WORKFLOW_CHECK,
            source=source,
            output=output,
            form=form,
            column=column,
            rule=rule,
            records=prepared.records,
            blank=prepared.blank,
            skipped=prepared.invalid,
        )
        await mailbox.handshake_if_due()
        submission = await take_local_id(mailbox, journal, draft)
        size = file.tell()
        return await send(
            mailbox,
            journal,
            submission,
            path,
            compress=size > _COMPRESS_FROM if compress is None else compress,
            progress=(lambda done: progress(done, size)) if progress is not None else None,
        )


def _absolute(path: Path) -> Path:
    # Not resolve(): a name that is a link is to stay one.
    return Path(os.path.abspath(path))  # noqa: PTH100 -- Path.absolute() would keep "..", unlike the user


# -- collecting -------------------------------------------------------------------------------------


async def collect(
    mailbox: Mailbox,
    journal: Journal,
    submission: Submission,
    *,
    service: Service = SIMULATED,
    timeout: float | None = None,
    force: bool = False,
    on_wait: Callable[[float], None] | None = None,
) -> CheckResult:
    """Wait for the answer to a submission, write the output, then acknowledge.

    Whatever interrupted an earlier try, this one goes on from there. Other messages in the inbox stay as
    they are.

    Args:
        mailbox: the mailbox that the list was submitted from.
        journal: where the submission is recorded.
        submission: as the journal gave it; its ``output`` may have been replaced by another.
        service: the service; how often to look, and how long a cache made here lasts.
        timeout: longest wait in seconds; 0 looks once, None waits for ever.
        force: replace the output if it exists. An output left by an earlier try is replaced anyway.
        on_wait: called after each look that found no answer, with the seconds waited so far.

    Raises:
        AnswerPending: no answer within ``timeout``; nothing is lost.
        ListRejected: the service found an invalid number and checked nothing.
        NotDelivered: MESH could not deliver the list.
        UnexpectedAnswer: the answer is not one to this list; it was not acknowledged.
        CheckError: the list never arrived, no answer came while MESH keeps one, or the submission has ended
            already, be it by another process during the wait.
        OutputExists: the output exists, and ``force`` is not given; nothing was acknowledged.
        ConfigError: the output or the journal cannot be written, or this is another mailbox.
        MeshError: the server cannot be reached or refuses; nothing is lost.
    """
    recorded = await asyncio.to_thread(journal.get, submission.local_id)
    _check_open(recorded, mailbox)
    submission = replace(recorded, output=submission.output)
    await mailbox.handshake_if_due()
    if submission.stage is Stage.PREPARED:
        submission = replace(await settle(mailbox, journal, submission), output=submission.output)
    if submission.stage is Stage.WRITTEN:
        outcome = Outcome.from_json(submission.outcome)
    else:
        # Once an answer is recorded, what stands under the output's name is what an earlier try left there.
        force = force or (bool(submission.answer_id) and submission.output == recorded.output)
        await asyncio.to_thread(check_output, submission.source, submission.output, force)
        waiting = Waiting(mailbox, journal, submission, service.poll_interval)
        answer = await waiting.answer(timeout, on_wait)
        target = Target(submission, mailbox.credentials.password, service.cache_lifetime, force)
        submission, outcome = await _fetch(mailbox, journal, answer.message_id, target)
    # Out of the inbox is all that it has to be, and a try before the last may have got it there.
    with suppress(MessageGone, MessageUnknown):
        await mailbox.acknowledge(submission.answer_id)
    note = (
        f"{outcome.returned:,} of {submission.records:,} records returned, written to {outcome.output.name}"
    )
    submission = await asyncio.to_thread(journal.collected, submission.local_id, note)
    return CheckResult(
        submission=submission,
        submitted=submission.records,
        returned=outcome.returned,
        removed=submission.records - outcome.returned,
        table=outcome.table,
        output=outcome.output,
        cache_expires=outcome.cache_expires,
        notes=outcome.notes,
    )


def _check_open(submission: Submission, mailbox: Mailbox) -> None:
    """Refuse a submission that has ended, or one that this mailbox can learn nothing about.

    Raises:
        CheckError: it has ended.
        ConfigError: it was made elsewhere.
    """
    local_id = submission.local_id
    refuse_ended(submission)
    if submission.mailbox != mailbox.mailbox_id:
        raise ConfigError(
            f"{local_id} was submitted from mailbox {submission.mailbox}, and this is {mailbox.mailbox_id}; "
            "set NDOO_MAILBOX"
        )
    # A server that never saw the list would say that it did not arrive.
    if submission.stage is Stage.PREPARED and submission.url != mailbox.url:
        raise ConfigError(
            f"whether {local_id} was sent only {submission.url} can tell, and this is {mailbox.url}; "
            "set NDOO_URL"
        )


def _recognise(headers: MessageHeaders, submission: Submission) -> None:
    """Look again at what is being received, since what was listed and what comes are two answers."""
    if classify(headers, submission) is not Kind.ANSWER:
        raise NotAnAnswer("is not what it was announced as")


async def _fetch(
    mailbox: Mailbox, journal: Journal, answer_id: str, target: Target
) -> tuple[Submission, Outcome]:
    """Receive the answer, check it and write the output; it is not acknowledged here."""
    submission = target.submission
    local_id = submission.local_id
    with spool(submission.output.parent) as (file, path):
        body = AnswerBody(file, path, submission)
        try:
            async with mailbox.receive(answer_id) as message:
                _recognise(message.headers, submission)
                await message.save(_Intake(body))
            if await asyncio.to_thread(body.is_rejection):
                await _reject(mailbox, journal, local_id, answer_id)
            returned = await asyncio.to_thread(body.finish, target.password)
        except NotAnAnswer as error:
            raise UnexpectedAnswer(
                f"message {answer_id}, the answer to {local_id}, {error}; no output was written, and the "
                "message is still in the inbox",
                mailbox=submission.mailbox,
                message_id=answer_id,
            ) from error
        except MessageGone as error:
            raise MessageGone(
                f"message {answer_id}, the answer to {local_id}, was in the inbox and is gone: another "
                "program has collected it, or it has just expired; look for its output, or submit again",
                mailbox=submission.mailbox,
                message_id=answer_id,
                status=error.status,
                event=error.event,
                code=error.code,
            ) from error
        # A file that appeared during the wait is somebody else's; once "answered" it would pass for our own.
        await asyncio.to_thread(check_output, submission.source, submission.output, target.force)
        await asyncio.to_thread(journal.answered, local_id, answer_id)
        outcome = await asyncio.to_thread(target.write, path, returned)
        return await asyncio.to_thread(journal.written, local_id, outcome.to_json()), outcome


class _Intake:
    """Takes a message's body as a file would, away from the event loop."""

    def __init__(self, body: AnswerBody) -> None:
        self._body = body

    async def write(self, data: bytes, /) -> None:
        """Take the next bytes."""
        await asyncio.to_thread(self._body.take, data)


async def _reject(mailbox: Mailbox, journal: Journal, local_id: str, answer_id: str) -> None:
    await asyncio.to_thread(
        journal.failed, local_id, "the service found an invalid NHS number and checked nothing"
    )
    await mailbox.acknowledge(answer_id)
    raise ListRejected(
        local_id,
        f"the service found one or more invalid NHS numbers in {local_id} and checked nothing; "
        "'ndoo numbers validate FILE' shows which lines, then submit the list again",
    )
