"""Messages and their bodies, as values."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from mesh_sim.exchange.states import Status
from ndoo.protocol import ErrorCode, message_id

INLINE_LIMIT: Final = 64 * 1024
"""Bodies up to this many bytes are kept beside their message, larger ones in the payload store."""


def new_message_id(at: datetime) -> str:
    """Make the id of a message that comes into being at ``at``."""
    return message_id(at, secrets.token_hex(3).upper())


class MessageType(StrEnum):
    """``Mex-MessageType``."""

    DATA = "DATA"
    REPORT = "REPORT"


@dataclass(frozen=True, slots=True)
class Inline:
    """A small body, kept whole."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """A body in the payload store, by its key there."""

    key: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk as uploaded: its number from 1, its size in bytes as sent (compressed, if it was)."""

    number: int
    size: int
    body: Inline | Stored


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a sender said of a message; an empty string where nothing was said (section 12)."""

    subject: str = ""
    local_id: str = ""
    partner_id: str = ""
    file_name: str = ""
    checksum: str = ""
    content_type: str = ""
    content_encoding: str = ""
    encrypted: bool = False
    compressed: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong with a message, or with the one a report speaks of."""

    error: ErrorCode
    at: datetime
    linked_message_id: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """A message without its body. Times are aware, in UTC, on the simulated clock.

    ``position`` is its arrival number in the recipient's inbox, from 1; 0 while it is uploading.
    ``file_size`` is the sum of its chunks' sizes once complete, 0 before. ``accepted_at`` is when it was
    delivered. ``intended_recipient`` is, on a report, whom the undelivered message was for. ``in_inbox`` and
    ``in_outbox`` end when the recipient's or the sender's mailbox is reset.
    """

    message_id: str
    message_type: MessageType
    sender: str
    recipient: str
    workflow_id: str
    status: Status
    total_chunks: int
    created_at: datetime
    metadata: Metadata = Metadata()
    file_size: int = 0
    position: int = 0
    accepted_at: datetime | None = None
    acknowledged_at: datetime | None = None
    failure: Failure | None = None
    intended_recipient: str = ""
    in_inbox: bool = True
    in_outbox: bool = True

    @property
    def file_name(self) -> str:
        """The file name as sent, or the message id with ``.dat`` (section 12)."""
        return self.metadata.file_name or f"{self.message_id}.dat"

    @property
    def waiting(self) -> bool:
        """Whether it is in its recipient's inbox, to be listed and collected."""
        return self.status is Status.ACCEPTED and self.in_inbox

    def expires_at(self, lifetime: timedelta) -> datetime:
        """When it leaves the inbox uncollected, ``lifetime`` after its delivery (section 20)."""
        return (self.accepted_at or self.created_at) + lifetime
