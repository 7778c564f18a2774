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
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from ndoo._answer_file import Outcome, Target, check_output
from ndoo._delivery import Delivery
from ndoo._fetching import fetch
from ndoo._inbox import Inbox, greet
from ndoo._submitting import choose_form, prepare, take_local_id
from ndoo._waiting import Waiting, refuse_ended
from ndoo.errors import ConfigError, MeshError, MessageGone, MessageUnknown
from ndoo.filtering import FilterSummary
from ndoo.journal import Draft, Form, Journal, Stage, Submission
from ndoo.lists import RECORD_BYTES, NumberRule
from ndoo.mailbox import Mailbox
from ndoo.output import absolute, open_part
from ndoo.progress import SILENT, Progress
from ndoo.protocol import WORKFLOW_CACHE, WORKFLOW_CHECK

__all__ = ["CheckResult", "Form", "Inbox", "Service", "check_opt_outs", "choose_form", "collect", "submit"]

SUBJECT: Final = "NDOO_CHECK"
"""``Mex-Subject`` of submissions: with another character than letters, digits, - and _ no reply comes."""

_COMPRESS_FROM: Final = 1_000_000
"""Lists of more bytes than this are compressed on the way: ten million numbers to about half."""


@dataclass(frozen=True, slots=True)
class Service:
    """The opt-out service, as the profiles know it.

    Args:
        mailbox_id: where lists are sent to.
        poll_interval: seconds between two looks into the inbox. It is 300 at least when the server is one
            of the NHS (mesh-api.md section 2); one under a minute is only reached after some shorter ones.
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
    repair: bool = False,
    force: bool = False,
    timeout: float | None = None,
    progress: Progress = SILENT,
) -> CheckResult:
    """Submit a list, wait for the answer and write the output: :func:`submit`, then :func:`collect`.

    Raises:
        AnswerPending: no answer within ``timeout`` seconds; :func:`collect` fetches it later.
        NdooError: whatever the two raise.
    """
    inbox = Inbox(mailbox, journal, service.poll_interval)
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
        repair=repair,
        force=force,
        progress=progress,
        inbox=inbox,
    )
    return await collect(
        mailbox,
        journal,
        submission,
        service=service,
        timeout=timeout,
        force=force,
        progress=progress,
        inbox=inbox,
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
    repair: bool = False,
    force: bool = False,
    renew: bool = False,
    progress: Progress = SILENT,
    inbox: Inbox | None = None,
) -> Submission:
    """Send a list to the opt-out service. Nothing is sent unless the whole list and the output are in order.

    Each NHS number is sent once, however often it is in the list. The inbox is looked into at once
    afterwards, as MESH's assurance team expects it.

    Args:
        mailbox: where the answer is to come to.
        journal: where the submission is recorded, and the list kept until the answer is there.
        source: a .csv, .tsv, .xlsx, .dat or .txt, each also .gz.
        output: the file the answer is to become.
        service: the service.
        form: what the answer is to become; by default ``output``'s name decides, see :func:`choose_form`.
        column: the NHS-number column of a table, by name or by position from 1.
        rule: what counts as a valid number.
        skip_invalid: leave out rows with invalid numbers, instead of refusing the list.
        repair: give numbers of nine digits the leading zero that a spreadsheet took from them.
        force: ``output`` may exist, and will be replaced, by whichever run collects the answer.
        renew: the same, but only if it still is a temporary cache of this mailbox when the answer is here.
        progress: told how much of the list has been read and sent; see :mod:`ndoo.progress`.
        inbox: the inbox that others collect from too; by default its own.

    Raises:
        OutputExists: ``output`` exists, and ``force`` is not given.
        InvalidNumbers: there are invalid numbers, and ``skip_invalid`` is not given.
        ListError: the list cannot be read, or its NHS-number column not be told.
        ConfigError: the output or the journal cannot be written, or no form fits the output's name.
        MeshError: the list was refused, or the server could not be reached: nothing was sent.
        CheckError: the list did not arrive; or the server's answer was lost, and it cannot be asked now.
            The text says which; in the latter case :func:`collect` finds out.
    """
    source, output = absolute(source), absolute(output)
    form = form or choose_form(source, output)
    await asyncio.to_thread(check_output, source, output, force or renew)
    with open_part(journal.folder / f"{mailbox.mailbox_id}.dat") as (file, part):
        prepared = await asyncio.to_thread(
            prepare,
            source,
            file,
            part,
            column,
            rule,
            skip_invalid=skip_invalid,
            repair=repair,
            progress=progress,
        )
        progress.step("validated", records=prepared.records, duplicates=prepared.duplicates)
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
            duplicates=prepared.duplicates,
            repaired=prepared.repaired,
            repair=repair,
            replace=force,
            renew=renew,
            chunk_size=mailbox.chunk_size,
            compress=prepared.records * RECORD_BYTES > _COMPRESS_FROM,
        )
        if sys.platform == "win32":
            file.close()  # a file that is open cannot be renamed there
        await greet(mailbox, journal)
        submission = await take_local_id(mailbox, journal, draft, part)
    submission = await Delivery(mailbox, journal, submission, progress, service.poll_interval).send()
    inbox = inbox or Inbox(mailbox, journal, service.poll_interval)
    inbox.owe_a_look()
    # The list is away: whatever is wrong with the inbox is for collecting to say.
    with suppress(MeshError):
        await inbox.look()
        await Waiting(inbox, journal, submission, progress).take_receipt()
    return await asyncio.to_thread(journal.get, submission.local_id)


# -- collecting -------------------------------------------------------------------------------------


async def collect(
    mailbox: Mailbox,
    journal: Journal,
    submission: Submission,
    *,
    service: Service = SIMULATED,
    timeout: float | None = None,
    force: bool = False,
    progress: Progress = SILENT,
    inbox: Inbox | None = None,
) -> CheckResult:
    """Wait for the answer to a submission, write the output, then acknowledge.

    Whatever interrupted an earlier try, this one goes on from there, and sends the list if it proves not to
    have arrived. Other messages in the inbox stay as they are, and are mentioned in the result's notes.

    Args:
        mailbox: the mailbox that the list was submitted from.
        journal: where the submission is recorded.
        submission: as the journal gave it; its ``output`` may have been replaced by another.
        service: the service; how often to look, and how long a cache made here lasts.
        timeout: longest wait in seconds; 0 looks once, None waits for ever.
        force: replace the output if it exists. One that was allowed to be replaced at the submission, or was
            left by an earlier try, is replaced anyway.
        progress: told of waiting, receiving and filtering; see :mod:`ndoo.progress`.
        inbox: one for several submissions that are collected after each other, so that they share looks into
            the inbox; by default its own.

    Raises:
        AnswerPending: no answer within ``timeout``, or no look into the inbox may be taken yet; nothing is
            lost.
        ListRejected: the service found an invalid number and checked nothing.
        NotDelivered: MESH could not deliver the list.
        UnexpectedAnswer: the answer is not one to this list; it was not acknowledged, and is kept aside.
        CheckError: the list did not arrive, no answer came while MESH keeps one, or the submission has ended
            already, be it by another process during the wait.
        OutputExists: the output exists, and ``force`` is not given; nothing was acknowledged.
        ConfigError: the output or the journal cannot be written, its name does not fit, or this is another
            mailbox.
        MeshError: the server cannot be reached or refuses; nothing is lost.
    """
    recorded = await asyncio.to_thread(journal.get, submission.local_id)
    _check_open(recorded, mailbox)
    output = submission.output
    if output != recorded.output and recorded.form is not Form.CACHE:
        _check_form(recorded, output)
    submission = replace(recorded, output=output)
    inbox = inbox or Inbox(mailbox, journal, service.poll_interval)
    await greet(mailbox, journal)
    if submission.stage is Stage.PREPARED:
        delivery = Delivery(mailbox, journal, submission, progress, service.poll_interval)
        submission = replace(await delivery.settle(), output=output)
        inbox.owe_a_look()
    if (written := _written(submission, recorded)) is not None:
        outcome = written
    else:
        # Once an answer is recorded, what stands under the output's name is what an earlier try left there.
        ours = recorded.replace or recorded.renew or bool(submission.answer_id)
        force = force or (ours and output == recorded.output)
        await asyncio.to_thread(check_output, submission.source, output, force)
        if submission.stage is Stage.WRITTEN:  # and the output is not there any more, but the message is
            answer_id = submission.answer_id
        else:
            answer_id = (await Waiting(inbox, journal, submission, progress).answer(timeout)).message_id
        target = Target(submission, mailbox.credentials.password, service.cache_lifetime, force, progress)
        submission, outcome = await fetch(mailbox, journal, answer_id, target)
        progress.step("written", local_id=submission.local_id, output=outcome.output.name)
    # Out of the inbox is all that it has to be, and a try before the last may have got it there.
    with suppress(MessageGone, MessageUnknown):
        await inbox.acknowledge(submission.answer_id)
    note = (
        f"{outcome.returned:,} of {submission.records:,} records returned, written to {outcome.output.name}"
    )
    submission = await asyncio.to_thread(journal.collected, submission.local_id, note)
    progress.step("collected", local_id=submission.local_id, message_id=submission.answer_id)
    return CheckResult(
        submission=submission,
        submitted=submission.records,
        returned=outcome.returned,
        removed=submission.records - outcome.returned,
        table=outcome.table,
        output=outcome.output,
        cache_expires=outcome.cache_expires,
        notes=(*submission.remarks, *outcome.notes, *_mention(inbox)),
    )


def _written(submission: Submission, recorded: Submission) -> Outcome | None:
    """Give what an earlier try has written, if it is still there and was to be written there."""
    if submission.stage is not Stage.WRITTEN or submission.output != recorded.output:
        return None
    outcome = Outcome.from_json(submission.outcome)
    return outcome if os.path.lexists(outcome.output) else None


def _mention(inbox: Inbox) -> tuple[str, ...]:
    if not inbox.others:
        return ()
    what = "1 other message waits" if inbox.others == 1 else f"{inbox.others:,} other messages wait"
    where = f"in the inbox of {inbox.mailbox.mailbox_id}"
    return (f"{what} {where}, left as found: 'ndoo mailbox list --details' tells more",)


def _check_form(submission: Submission, output: Path) -> None:
    """Refuse a name that promises something else than the answer was to be made into.

    Raises:
        ConfigError: it does.
    """
    if choose_form(submission.source, output) is not submission.form:
        wanted = "the cleaned list" if submission.form is Form.LIST else "the rows of the list"
        raise ConfigError(
            f"{output}: {submission.local_id} was to become {wanted}, as in {submission.output.name}; give "
            "the name the same ending"
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
