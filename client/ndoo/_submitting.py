"""Making up a submission: what its output is to be, its list, and its local id."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import BinaryIO, Final

from ndoo._answer_file import writing_errors
from ndoo._delivery import find_sent
from ndoo._preparing import ListSummary, prepare_list
from ndoo.errors import ConfigError, LocalIdTaken, MeshError, RequestRefused
from ndoo.filtering import refuse_other_kind
from ndoo.journal import Draft, Form, Journal, Submission
from ndoo.lists import NumberRule
from ndoo.mailbox import Mailbox
from ndoo.progress import Progress

_MOST_ASKED: Final = 14


def choose_form(source: Path, output: Path) -> Form:
    """Tell by its name what an output is to be: .dat the cleaned list, others the rows of the source.

    Raises:
        ConfigError: it is another name, or such rows cannot be made of this source.
    """
    if output.suffix.lower() == ".dat":
        return Form.LIST
    try:
        refuse_other_kind(source, output)
    except ConfigError as error:
        error.args = (f"{error}, or .dat for the cleaned list (a temporary cache may have any name)",)
        raise
    return Form.TABLE


def prepare(
    source: Path,
    file: BinaryIO,
    path: Path,
    column: str | None,
    rule: NumberRule,
    *,
    skip_invalid: bool,
    repair: bool,
    progress: Progress,
) -> ListSummary:
    """Write the list to submit into ``file``, whose name is ``path``, and to the disk.

    Raises:
        ListError: the source is not in order; see ``prepare_list``.
        ConfigError: the file cannot be written.
    """
    with writing_errors(path.parent):
        summary = prepare_list(
            source,
            file,
            column=column,
            rule=rule,
            skip_invalid=skip_invalid,
            repair=repair,
            progress=progress.validating,
        )
        file.flush()
        os.fsync(file.fileno())
    return summary


async def take_local_id(mailbox: Mailbox, journal: Journal, draft: Draft, part: Path) -> Submission:
    """Record a draft under a local id that this mailbox has never sent anything with.

    A journal that was lost, or kept on another computer, counts from one again: an answer to an earlier
    list would then be taken for that to this one.

    Args:
        mailbox: the mailbox.
        journal: the journal.
        draft: what is about to be submitted.
        part: the list, in the journal's folder; it is the journal's from here on.

    Raises:
        MeshError: the server cannot be asked; nothing is recorded.
        ConfigError: the journal cannot be written, or all that were tried are taken.
    """
    skip = 0
    for _ in range(_MOST_ASKED):
        # The server first: what is recorded may be looked for there under its local id.
        local_id = await asyncio.to_thread(journal.next_local_id, mailbox.mailbox_id, skip)
        try:
            taken = await _was_used(mailbox, local_id)
        except MeshError as error:
            error.args = (f"{error}; nothing was sent",)
            raise
        if taken:
            skip = 2 * skip + 1  # in ever wider steps: MESH does not want to be asked often
            continue
        try:
            return await asyncio.to_thread(journal.prepare, draft, part, local_id)
        except LocalIdTaken:
            continue
    raise ConfigError(
        f"local ids of mailbox {mailbox.mailbox_id} have been used for the {skip:,} after the last "
        "before; does another computer send from it? use one journal for all of them"
    )


async def _was_used(mailbox: Mailbox, local_id: str) -> bool:
    try:
        return await find_sent(mailbox, local_id) is not None
    except RequestRefused:
        # The official text promises no 404 here, so a refusal is a "no" too.
        return False
