"""What the exchange needs kept, as ports that storage implements."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from mesh_sim.exchange.filters import WorkflowFilter
from mesh_sim.exchange.messages import Chunk, Failure, Message, MessageType, Stored
from mesh_sim.exchange.states import Status

TALLY_CAP: Final = 10_000
"""So far a mailbox's messages are counted, where counting has to look at each."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of an inbox list."""

    position: int
    message_id: str


class Side(StrEnum):
    """A mailbox's two sides."""

    INBOX = "inbox"
    OUTBOX = "outbox"


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a history goes on: the creation time and the id of the message before it."""

    created_at: datetime
    message_id: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a message must be; None, or an empty text, where anything will do."""

    recipient: str | None = None
    sender: str | None = None
    workflow_id: str | None = None
    local_id: str | None = None
    subject: str | None = None
    status: Status | None = None
    message_type: MessageType | None = None


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for on one side of a mailbox; None, or an empty text, where anything will do."""

    side: Side
    status: Status | None = None
    message_type: MessageType | None = None
    message_id: str = ""
    """What the id begins with, in upper case."""
    local_id: str = ""
    """Exactly."""
    workflow_id: str = ""
    """A part of it, in any letter case."""
    other: str = ""
    """The mailbox at the other end, exactly: whom an inbox's message is from, or an outbox's is for."""
    subject: str = ""
    """A part of it, in any letter case."""
    since: datetime | None = None
    """Created at this simulated time or later."""
    until: datetime | None = None
    """Created before this simulated time."""


@dataclass(frozen=True, slots=True)
class Found:
    """A page of what a search found."""

    messages: Sequence[Message]
    more: Moment | None = None
    """Where to go on, as ``before``: there may be more. None where that was all."""
    looked_to: datetime | None = None
    """The creation time that was reached, where a search ended before its page was full."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many messages a mailbox has; of the last two no more than :data:`TALLY_CAP` are counted."""

    waiting: int
    """For it, to be collected."""
    uploading: int
    """From it, and not complete yet."""
    uncollected: int
    """For it, and expired before it collected them."""


@dataclass(frozen=True, slots=True)
class ChunkHere:
    """A chunk that has arrived: its number from 1, its size in bytes as sent."""

    number: int
    size: int


@dataclass(frozen=True, slots=True)
class Ages:
    """When the oldest message of a kind was delivered or, unfinished, begun; None where there is none."""

    waiting_since: datetime | None
    delivered_since: datetime | None
    unfinished_since: datetime | None


MakeReport = Callable[[Message], "Message | None"]
"""Makes the report on a message that has just become undeliverable, or none."""


class MessageStore(Protocol):
    """Messages, their chunks and the order of arrival; every write is durable once it returns."""

    async def add(self, message: Message, chunks: Sequence[Chunk]) -> Message:
        """Keep a new message with the chunks it has so far; an accepted one gets its arrival position."""

    async def add_all(self, drafts: Sequence[tuple[Message, Sequence[Chunk]]]) -> Sequence[Message]:
        """Keep several new messages, all of them or none."""

    async def add_chunk(self, message_id: str, chunk: Chunk, *, at: datetime, need_all: bool) -> Message:
        """Keep a further chunk, or one sent again; complete the message if it was the last one needed.

        ``need_all``: every chunk must be there, in any order; otherwise the last number completes it.

        Raises:
            IllegalStep: the message is no longer uploading.
        """

    async def acknowledge(self, message: Message, *, at: datetime) -> Message:
        """Take an accepted message out of its inbox.

        Raises:
            IllegalStep: the message is not accepted, or is not any more.
        """

    async def message(self, message_id: str) -> Message | None:
        """Give one message, or None."""

    async def message_with_chunk(self, message_id: str, number: int) -> tuple[Message, Chunk | None] | None:
        """Give one message and one of its chunks, or None for each that is not there."""

    async def chunk(self, message_id: str, number: int) -> Chunk | None:
        """Give one chunk, or None."""

    async def inbox(
        self, mailbox_id: str, *, after: int, limit: int, workflow_filter: WorkflowFilter | None = None
    ) -> Sequence[Listed]:
        """List accepted messages with a position above ``after``, oldest arrival first."""

    async def waiting(self, mailbox_id: str) -> int:
        """Count the accepted messages of a mailbox; the cost does not grow with their number."""

    async def sent(self, mailbox_id: str, local_id: str) -> Sequence[Message]:
        """Give up to two messages that this mailbox sent with this local id."""

    async def history(
        self, mailbox_id: str, side: Side, *, since: datetime, before: Moment | None, limit: int
    ) -> Sequence[Message]:
        """List what a mailbox was sent (complete messages only) or sent, created after ``since``.

        Newest first; ``before`` continues after the last one of an earlier page.
        """

    async def find(self, wanted: Wanted, limit: int) -> Sequence[Message]:
        """List messages that are as ``wanted``, oldest first."""

    async def search(self, mailbox_id: str, wanted: Search, *, before: Moment | None, limit: int) -> Found:
        """Look for messages of any status among those of a mailbox, newest first.

        Newest by creation; but by id, which begins with the time of its making, where an id is looked for,
        and by arrival, where accepted messages of an inbox are, whatever their time. ``before`` continues
        where an earlier page ended. One search looks through so many messages and no more.
        """

    async def tally(self, mailbox_ids: Sequence[str]) -> Mapping[str, Tally]:
        """Count the messages of each of these mailboxes."""

    async def related(self, message: Message, *, limit: int) -> Sequence[Message]:
        """List the others of a message's exchange, oldest first.

        These are what the same two mailboxes sent each other under its local id, if it has one, and the
        reports on that; and the report on it, or what it reports on. Of many, those nearest in time.
        """

    async def chunks_here(self, message_id: str, *, limit: int) -> Sequence[ChunkHere]:
        """List the chunks of a message that have arrived, in their order."""

    async def chunk_count(self, message_id: str) -> int:
        """Count the chunks of a message that have arrived; the cost does not grow with their number."""


class MessageUpkeep(Protocol):
    """What happens to messages by themselves or by an administrator; every write is durable."""

    async def expire(
        self, *, delivered_by: datetime, at: datetime, limit: int, report: MakeReport
    ) -> Sequence[tuple[Message, Message | None]]:
        """Take messages that have waited since ``delivered_by`` out of their inboxes, the oldest first.

        Each becomes undeliverable, and in the same step the report that ``report`` makes of it, if it does,
        is delivered. Gives the messages and their reports.
        """

    async def delete_delivered(self, *, by: datetime, limit: int) -> Sequence[str]:
        """Delete messages delivered by then, whatever became of them; give their ids."""

    async def delete_unfinished(self, *, by: datetime, limit: int) -> Sequence[str]:
        """Delete messages begun by then and never complete; give their ids."""

    async def ages(self) -> Ages:
        """Give the oldest of each kind that time does something to."""

    async def set_status(
        self, message_id: str, status: Status, *, at: datetime, failure: Failure | None
    ) -> Message | None:
        """Put a message into any status; None if there is no such message.

        An accepted one arrives anew. ``failure`` stays with the message; None leaves what it has.
        """

    async def reset(self) -> None:
        """Forget every message."""

    async def reset_mailbox(self, mailbox_id: str) -> None:
        """Empty one mailbox's inbox and outbox; what another mailbox holds stays there."""


class PayloadStore(Protocol):
    """Large bodies, each written once under a key of the store's making."""

    async def write(self, blocks: AsyncIterable[bytes]) -> tuple[Stored, int]:
        """Keep the blocks durably; give their key and total size. Nothing is left if ``blocks`` raises."""

    def read(self, body: Stored) -> AsyncIterator[bytes]:
        """Give the body back in blocks of up to about a megabyte."""

    async def delete(self, bodies: Sequence[Stored]) -> None:
        """Forget bodies; those already gone are passed over."""


class UsedTokens(Protocol):
    """The authorization tokens of the last four hours (section 5: two hours either side)."""

    async def use(self, digest: bytes, *, minute: int, now: datetime) -> datetime | None:
        """Note a token as used; give the time of its first use if it was used before.

        ``minute`` is the token's own timestamp, in minutes since 1970; ``now`` is real time.

        Raises:
            StorageFailed: it could not be noted.
        """

    async def forget(self, digest: bytes, *, minute: int) -> None:
        """Make a token good again whose request came to nothing; where that cannot be kept, for now."""
