"""Sending a list: its form, its local id, and whether it has arrived."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

from ndoo._answer_file import writing_errors
from ndoo.errors import (
    CertificateRefused,
    CheckError,
    ConfigError,
    MeshError,
    MessageUnknown,
    NdooError,
    NotDelivered,
    RequestRefused,
    RequestTimeout,
)
from ndoo.journal import Draft, Form, Journal, Submission
from ndoo.lists import NumberRule
from ndoo.mailbox import Mailbox
from ndoo.tables import ListSummary, prepare_list

_MOST_TAKEN: Final = 100
_SEVERAL: Final = 300
"""Status of tracking a local id that several messages have (mesh-api.md section 14)."""


def choose_form(source: Path, output: Path) -> Form:
    """Tell by its name what an output is to be: .dat a cleaned list; .csv, .tsv or .txt the source's rows.

    Raises:
        ConfigError: it is another name, or a table is to be made of a source that is none.
    """
    is_table = Path(source.name.lower().removesuffix(".gz")).suffix == ".csv"
    match output.suffix.lower():
        case ".dat":
            return Form.LIST
        case ".txt":
            return Form.TABLE
        case ".csv" | ".tsv" if is_table:
            return Form.TABLE
        case ".csv" | ".tsv":
            raise ConfigError(f"{output}: a .csv is made of a .csv only; name the output .dat or .txt")
        case _:
            raise ConfigError(
                f"{output}: name the output .dat for the cleaned list, or .csv for the rows of a .csv source "
                "(or ask for a temporary cache, under any name)"
            )


def prepare(
    source: Path, file: BinaryIO, column: str | None, rule: NumberRule, skip_invalid: bool
) -> ListSummary:
    """Write the list to submit into ``file``.

    Raises:
        ListError: the source is not in order; see ``prepare_list``.
        ConfigError: the file cannot be written.
    """
    with writing_errors(Path(tempfile.gettempdir())):
        summary = prepare_list(source, file, column=column, rule=rule, skip_invalid=skip_invalid)
        file.flush()
    return summary


async def take_local_id(mailbox: Mailbox, journal: Journal, draft: Draft) -> Submission:
    """Record a draft under a local id that this mailbox has never sent anything with.

    A journal that was lost, or kept on another computer, counts from one again: an answer to an earlier
    list would then be taken for that to this one.

    Raises:
        MeshError: the server cannot be asked; the submission is recorded as failed.
        ConfigError: the journal cannot be written, or a hundred local ids in a row are taken.
    """
    for _ in range(_MOST_TAKEN):
        submission = await asyncio.to_thread(journal.prepare, draft)
        try:
            if not await _was_used(mailbox, submission.local_id):
                return submission
        except NdooError as error:
            await asyncio.to_thread(journal.failed, submission.local_id, f"nothing was sent: {error}")
            raise
        await asyncio.to_thread(
            journal.failed, submission.local_id, "nothing was sent: this local id had been used before"
        )
    raise ConfigError(
        f"the next {_MOST_TAKEN} local ids of mailbox {mailbox.mailbox_id} have all been used before; does "
        "another computer send from it? use one journal for all, or try again to go on counting"
    )


async def _was_used(mailbox: Mailbox, local_id: str) -> bool:
    try:
        await mailbox.track(local_id=local_id)
    except MessageUnknown:
        return False
    except RequestRefused as error:
        # The official text promises no 404 here, so any other refusal is a "no" too.
        return error.status == _SEVERAL
    return True


async def send(
    mailbox: Mailbox,
    journal: Journal,
    submission: Submission,
    path: Path,
    *,
    compress: bool,
    progress: Callable[[int], None] | None,
) -> Submission:
    """Send a prepared list, ``path``, and record whether it arrived.

    Raises:
        CheckError: it did not arrive; or its answer was lost, and the server cannot be asked now.
        NdooError: it was refused, and is recorded as failed.
    """
    local_id = submission.local_id
    try:
        message_id = await mailbox.send(
            submission.service_mailbox,
            submission.workflow_id,
            path,
            local_id=local_id,
            subject=submission.subject,
            file_name=f"{local_id}.dat",
            compress=compress,
            progress=progress,
        )
    except NdooError as error:
        if not _may_have_arrived(error):
            await asyncio.to_thread(journal.failed, local_id, f"nothing was sent: {error}")
            raise
        if isinstance(error, RequestTimeout):
            # The server may still be taking the list in, so that tracking would not find it yet.
            raise CheckError(
                local_id,
                f"no answer came in time while {local_id} was sent, and whether it arrived cannot be told "
                "yet; do not submit it again: 'ndoo collect' finds out and fetches the answer",
            ) from error
        try:
            return await settle(mailbox, journal, submission)
        except MeshError as unknown:
            raise CheckError(
                local_id,
                f"the connection broke while {local_id} was sent, and whether it arrived cannot be told yet "
                f"({unknown}); do not submit it again: 'ndoo collect' finds out and fetches the answer",
            ) from error
    return await asyncio.to_thread(journal.sent, local_id, message_id)


def _may_have_arrived(error: NdooError) -> bool:
    """Tell whether a send that ended in ``error`` may have delivered the list all the same."""
    if not isinstance(error, MeshError) or isinstance(error, CertificateRefused):
        return False
    return error.status is None or not 400 <= error.status < 500


async def settle(mailbox: Mailbox, journal: Journal, submission: Submission) -> Submission:
    """Find out, by tracking its local id, whether a list has arrived whose sending was not confirmed.

    Returns:
        The submission as sent.

    Raises:
        CheckError: it did not arrive, or not whole, and is recorded as failed.
        NotDelivered: MESH could not deliver it; recorded as failed.
        MeshError: this cannot be told now; nothing is recorded.
    """
    local_id = submission.local_id
    try:
        tracking = await mailbox.track(local_id=local_id)
    except MessageUnknown as error:
        text = f"{local_id} did not reach the server, so nothing was sent: submit the list again"
        await asyncio.to_thread(journal.failed, local_id, text)
        raise CheckError(local_id, text) from error
    match tracking.status:
        case "uploading":
            text = f"only a part of {local_id} reached the server, so nothing was sent: submit the list again"
            await asyncio.to_thread(journal.failed, local_id, text)
            raise CheckError(local_id, text)
        case "undeliverable" | "error":
            reason = tracking.status_description or f"its status is {tracking.status}"
            text = f"{local_id} was not delivered: {reason}; submit the list again"
            await asyncio.to_thread(journal.failed, local_id, text)
            raise NotDelivered(local_id, text, tracking.status_code)
        case _:
            return await asyncio.to_thread(journal.sent, local_id, tracking.message_id)
