"""The inbox of a mailbox, visited as MESH asks for it, and what of it belongs to a submission."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from enum import Enum, auto
from typing import Final
from urllib.parse import urlsplit

from ndoo.errors import MessageGone, MessageUnknown
from ndoo.journal import Journal, Submission
from ndoo.mailbox import Mailbox, MessageHeaders
from ndoo.protocol import RECEIPT_SUBJECT, WORKFLOW_CHECK

_HANDSHAKE_EVERY: Final = timedelta(hours=24)
_REAL_PAUSE: Final = 300.0
"""Seconds between two looks into an inbox of the real MESH (mesh-api.md section 2, rate rules)."""

_FIRST_PAUSE: Final = 0.05
_NO_PAUSE: Final = timedelta(0)


async def greet(mailbox: Mailbox, journal: Journal) -> None:
    """Shake hands, unless that was done from here within a day (mesh-api.md section 2, rate rules).

    Raises:
        MeshError: the server is not there or does not accept the credentials.
    """
    visits = await asyncio.to_thread(journal.visits, mailbox.url, mailbox.mailbox_id)
    last = visits.shook_hands_at
    if last is None or not _NO_PAUSE <= journal.now() - last < _HANDSHAKE_EVERY:
        await mailbox.handshake()
        await asyncio.to_thread(journal.shook_hands, mailbox.url, mailbox.mailbox_id)


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
        """Whether this process has looked."""
        self._journal = journal
        real = (urlsplit(mailbox.url).hostname or "").endswith(".nhs.uk")
        self._longest = max(poll_interval, _REAL_PAUSE) if real else poll_interval
        self._first = self._longest if self._longest >= 60 else min(self._longest, _FIRST_PAUSE)
        self._pause = self._first
        self._owed = False

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
        self._pause = min(2 * self._pause, self._longest) if self.looked else self._first
        self.looked = True
        found: dict[str, MessageHeaders] = {}
        waiting = 0
        async for page in self.mailbox.pages(workflow_filter=f"{WORKFLOW_CHECK}*"):
            waiting = page.approx_inbox_count or 0
            for message_id in page.messages:
                if message_id in self.messages:
                    found[message_id] = self.messages[message_id]
                    continue
                # Another program may acknowledge it after it is listed.
                try:
                    found[message_id] = await self.mailbox.head(message_id)
                except (MessageGone, MessageUnknown):
                    continue
        self.messages = found
        await self._count_others(max(waiting, len(found)))

    async def acknowledge(self, message_id: str) -> None:
        """Take a message out of the inbox for good.

        Raises:
            MeshError: it cannot be told to the server.
        """
        await self.mailbox.acknowledge(message_id)
        self.messages.pop(message_id, None)

    async def _count_others(self, waiting: int) -> None:
        pending = await asyncio.to_thread(self._journal.pending, self.mailbox.mailbox_id)
        ours = sum(
            any(classify(headers, submission) in _OURS for submission in pending)
            for headers in self.messages.values()
        )
        self.others = waiting - ours
