"""What of an inbox belongs to one submission: the receipt, the answer, or a report that it failed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from enum import Enum, auto

from ndoo.errors import MessageGone, MessageUnknown
from ndoo.journal import Submission
from ndoo.mailbox import Mailbox, MessageHeaders
from ndoo.protocol import RECEIPT_SUBJECT


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
        # MESH itself reports, and only about messages this mailbox sent: a report names no sender.
        linked = headers.linked_message_id == submission.message_id if submission.message_id else False
        return Kind.REPORT if linked or headers.local_id == submission.local_id else Kind.FOREIGN
    if headers.local_id != submission.local_id or headers.sender.upper() != submission.service_mailbox.upper():
        return Kind.FOREIGN
    if headers.subject == RECEIPT_SUBJECT:
        return Kind.RECEIPT
    return Kind.ANSWER if headers.file_name == f"{submission.local_id}.dat" else Kind.UNKNOWN


class Watch:
    """Looks through an inbox time and again; a message is asked about once."""

    def __init__(self, mailbox: Mailbox, submission: Submission) -> None:
        self._mailbox = mailbox
        self._submission = submission
        self._seen: set[str] = set()

    async def look(self) -> AsyncIterator[tuple[Kind, MessageHeaders]]:
        """Give what is new in the inbox and not foreign, oldest first; nothing is acknowledged.

        Raises:
            MeshError: the inbox cannot be listed or looked at.
        """
        async for message_id in self._mailbox.messages(workflow_filter=self._submission.workflow_id):
            if message_id in self._seen:
                continue
            try:
                headers = await self._mailbox.head(message_id)
            except (MessageGone, MessageUnknown):
                # Another program acknowledged it since it was listed, so that it was not for us.
                self._seen.add(message_id)
                continue
            self._seen.add(message_id)
            kind = classify(headers, self._submission)
            if kind is not Kind.FOREIGN:
                yield kind, headers
