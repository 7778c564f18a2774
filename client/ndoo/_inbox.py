"""The inbox of a mailbox, visited as MESH asks for it, and what of it belongs to a submission."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from enum import Enum, auto
from typing import Final
from urllib.parse import urlsplit

from ndoo.errors import MeshError, MessageGone, MessageUnknown, RequestRefused, UnexpectedAnswer
from ndoo.journal import Journal, Stage, Submission
from ndoo.mailbox import Mailbox, MessageHeaders
from ndoo.protocol import HANDSHAKE_EVERY, RECEIPT_SUBJECT, WORKFLOW_CHECK

_REAL_PAUSE: Final = 300.0
"""Seconds between two looks into an inbox of the real MESH (mesh-api.md section 2, rate rules)."""

_FIRST_PAUSE: Final = 0.05
_NO_PAUSE: Final = timedelta(0)


async def greet(mailbox: Mailbox, journal: Journal, *, always: bool = False) -> bool:
    """Shake hands, unless that was done from here within a day (mesh-api.md section 2, rate rules).

    Args:
        mailbox: the mailbox.
        journal: where it is recorded.
        always: shake hands in any case.

    Returns:
        Whether that was done.

    Raises:
        MeshError: the server is not there or does not accept the credentials.
    """
    visits = await asyncio.to_thread(journal.visits, mailbox.url, mailbox.mailbox_id)
    last = visits.shook_hands_at
    if not always and last is not None and _NO_PAUSE <= journal.now() - last < HANDSHAKE_EVERY:
        return False
    await mailbox.handshake()
    await asyncio.to_thread(journal.shook_hands, mailbox.url, mailbox.mailbox_id)
    return True


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


_OURS: Final = (Kind.RECEIPT, Kind.ANSWER, Kind.REPORT)


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


class Inbox:
    """What waits in a mailbox of the opt-out service's workflows, as at the last look.

    One serves all the submissions that are collected together. When the next look may be depends on the
    last that any process took, by the journal.

    Args:
        mailbox: the mailbox.
        journal: where looks are recorded.
        poll_interval: seconds between two looks; with a server of the NHS at least five minutes. A shorter
            one than a minute is grown into from a twentieth of a second, doubling.
    """

    def __init__(self, mailbox: Mailbox, journal: Journal, poll_interval: float) -> None:
        self.mailbox = mailbox
        self.messages: dict[str, MessageHeaders] = {}
        """Headers by message id, oldest first."""
        self.others = 0
        """How many messages, of whatever workflow, belong to no submission that is pending here."""
        self.looked = False
        """Whether this process has looked, and seen all of it."""
        self.failure: MeshError | None = None
        """Why the last look failed, if it did."""
        self._journal = journal
        real = (urlsplit(mailbox.url).hostname or "").endswith(".nhs.uk")
        self._longest = max(poll_interval, _REAL_PAUSE) if real else poll_interval
        self._first = self._longest if self._longest >= 60 else min(self._longest, _FIRST_PAUSE)
        self._pause = self._first
        self._owed = False
        self._has_tried = False

    def owe_a_look(self) -> None:
        """A list was sent, after which the inbox is looked into at once (witness-tests.md, case 201)."""
        self._owed = True
        self._pause = self._first

    async def due_in(self) -> float:
        """Tell in how many seconds the next look may be; 0 for now."""
        if self._owed:
            return 0.0
        visits = await asyncio.to_thread(self._journal.visits, self.mailbox.url, self.mailbox.mailbox_id)
        if visits.looked_at is None:
            return 0.0
        since = self._journal.now() - visits.looked_at
        # A look that is still to come says only that the clock was set back.
        return max(0.0, self._pause - since.total_seconds()) if since >= _NO_PAUSE else 0.0

    async def look(self) -> None:
        """List what waits, all pages of it, and ask for the headers of what was not there before.

        Raises:
            MeshError: the inbox cannot be listed or looked at.
        """
        await asyncio.to_thread(self._journal.looked, self.mailbox.url, self.mailbox.mailbox_id)
        self._owed = False
        self._pause = min(2 * self._pause, self._longest) if self._has_tried else self._first
        self._has_tried = True
        try:
            await self._read()
        except MeshError as error:
            self.failure = error
            raise
        self.failure = None
        self.looked = True

    async def _read(self) -> None:
        place = (self.mailbox.url, self.mailbox.mailbox_id)
        known = await asyncio.to_thread(self._journal.strangers, *place)
        found: dict[str, MessageHeaders] = {}
        listed = waiting = 0
        strangers: set[str] = set()
        async for page in self.mailbox.pages(workflow_filter=f"{WORKFLOW_CHECK}*"):
            waiting = page.approx_inbox_count or 0
            listed += len(page.messages)
            for message_id in page.messages:
                if message_id in known:
                    strangers.add(message_id)
                elif message_id in self.messages:
                    found[message_id] = self.messages[message_id]
                elif (headers := await self._head(message_id)) is not None:
                    found[message_id] = headers
        recorded = await asyncio.to_thread(
            self._journal.find, [headers.local_id for headers in found.values()]
        )
        strangers |= {
            message_id
            for message_id, headers in found.items()
            if not headers.linked_message_id and headers.local_id not in recorded
        }
        if strangers != known:
            await asyncio.to_thread(self._journal.set_strangers, *place, frozenset(strangers))
        self.messages = {
            message_id: headers for message_id, headers in found.items() if message_id not in strangers
        }
        await self._tidy(recorded, max(waiting, listed))

    async def _head(self, message_id: str) -> MessageHeaders | None:
        """Ask for headers; None for a message that is gone, or that must not keep the others from coming."""
        try:
            return await self.mailbox.head(message_id)
        except (MessageGone, MessageUnknown, RequestRefused, UnexpectedAnswer):
            return None

    async def _tidy(self, recorded: Mapping[str, Submission], waiting: int) -> None:
        """Acknowledge what is left of submissions that have ended, and count what is not ours.

        Args:
            recorded: the submissions that messages name, by local id.
            waiting: how many messages there are, of whatever workflow.
        """
        pending = await asyncio.to_thread(self._journal.pending, self.mailbox.mailbox_id)
        ours = 0
        for headers in tuple(self.messages.values()):
            if any(classify(headers, submission) in _OURS for submission in pending):
                ours += 1
            elif _is_left_over(headers, recorded.get(headers.local_id)):
                ours += 1
                with suppress(MeshError):
                    await self.acknowledge(headers.message_id)
        self.others = max(0, waiting - ours)

    async def take_note(self, message_id: str) -> None:
        """Receive a message that is only to be known of, and acknowledge it (witness-tests.md, case 803).

        One that is gone already needs neither.

        Raises:
            MeshError: it cannot be had, or not be acknowledged.
        """
        with suppress(MessageGone, MessageUnknown):
            async with self.mailbox.receive(message_id) as message:
                await message.read()
            await self.mailbox.acknowledge(message_id)
        self.messages.pop(message_id, None)

    async def acknowledge(self, message_id: str) -> None:
        """Take a message out of the inbox for good.

        Raises:
            MeshError: it cannot be told to the server.
        """
        await self.mailbox.acknowledge(message_id)
        self.messages.pop(message_id, None)


def _is_left_over(headers: MessageHeaders, recorded: Submission | None) -> bool:
    """Tell whether a process ended a submission over this message, and could not acknowledge it."""
    if recorded is None or recorded.stage not in (Stage.COLLECTED, Stage.FAILED):
        return False
    match classify(headers, recorded):
        case Kind.RECEIPT | Kind.REPORT:
            return True
        case Kind.ANSWER:
            return headers.message_id == recorded.answer_id
        case _:
            return False
