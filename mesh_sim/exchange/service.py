"""The exchange itself: what a mailbox may do, checked in the official order, over the two ports."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mesh_sim.exchange.arrivals import Arrivals
from mesh_sim.exchange.bodies import take_in
from mesh_sim.exchange.directory import Directory, Mailbox
from mesh_sim.exchange.drafts import Draft, check
from mesh_sim.exchange.errors import (
    Ambiguous,
    ChunkBeyondTotal,
    Forbidden,
    Gone,
    NotFound,
    SendRefused,
    StorageFailed,
    UploadFinished,
)
from mesh_sim.exchange.events import Events, Kind
from mesh_sim.exchange.filters import WorkflowFilter
from mesh_sim.exchange.messages import Chunk, Inline, Message, MessageType, Stored, new_message_id
from mesh_sim.exchange.ports import Listed, MessageStore, PayloadStore
from mesh_sim.exchange.room import INBOX_FULL, Room
from mesh_sim.exchange.states import IllegalStep, Status, Step, advance
from ndoo.protocol import INBOX_EXPIRY, MAX_CHUNKS, MAX_REQUEST_BYTES, ChunkRange, Codes


@dataclass(frozen=True, slots=True)
class Rules:
    """The exchange's limits, and the relaxations of them that a tester may ask for."""

    inbox_expiry: timedelta = INBOX_EXPIRY
    max_request_bytes: int | None = MAX_REQUEST_BYTES
    max_inbox: int | None = None
    """How many messages may wait in an inbox before sends to it are refused."""
    need_all_chunks: bool = True
    download_once: bool = True


@dataclass(frozen=True, slots=True)
class Page:
    """One page of an inbox; ``more`` tells whether something follows ``listed``."""

    listed: Sequence[Listed]
    more: bool


class Exchange:
    """Mailboxes exchanging messages."""

    def __init__(
        self,
        directory: Directory,
        messages: MessageStore,
        payloads: PayloadStore,
        *,
        now: Callable[[], datetime],
        rules: Rules,
    ) -> None:
        self.directory = directory
        self.arrivals = Arrivals()
        self.events = Events()
        self.rules = rules
        self._messages = messages
        self._payloads = payloads
        self._now = now
        self._room = Room(rules.max_inbox, messages.waiting)

    def now(self) -> datetime:
        """Give the simulated time, in UTC."""
        return self._now()

    def new_message_id(self) -> str:
        """Make the id of a message that comes into being now."""
        return new_message_id(self._now())

    # -- sending (sections 12 and 13) ---------------------------------------------------------------

    async def send(self, sender: Mailbox, draft: Draft, blocks: AsyncIterable[bytes]) -> Message:
        """Take in a whole message or the first chunk of one; it is durable when this returns.

        Raises:
            Malformed, SendRefused, EncodingUnsupported: in the order of section 12.
            BodyTooLarge: the body passes the limit of one request.
            StorageFailed: it could not be kept.
        """
        chunks = check(draft, sender, self.directory)
        if not await self._room.take(draft.recipient):
            raise draft.refused(
                INBOX_FULL, f"it may hold {self.rules.max_inbox} messages (MESH_SIM_MAX_INBOX)"
            )
        body, size = await take_in(blocks, self._payloads, self.rules.max_request_bytes)
        if size == 0:
            raise draft.refused(Codes.DATA_MISSING, "the body is empty")
        whole = chunks.total == 1
        now = self._now()
        message = Message(
            message_id=draft.message_id,
            message_type=MessageType.DATA,
            sender=sender.mailbox_id,
            recipient=draft.recipient,
            workflow_id=draft.workflow_id,
            status=advance(None, Step.SEND if whole else Step.BEGIN),
            total_chunks=chunks.total,
            created_at=now,
            metadata=draft.metadata,
            accepted_at=now if whole else None,
        )
        message = await self._keep(body, self._messages.add(message, [Chunk(1, size, body)]))
        self.announce(message)
        return message

    async def send_chunk(
        self,
        sender: Mailbox,
        message_id: str,
        number: int,
        *,
        chunk_range: str,
        content_encoding: str,
        blocks: AsyncIterable[bytes],
    ) -> Message:
        """Take in a further chunk, in any order; one sent again replaces the earlier.

        Raises:
            SendRefused, NotFound, Forbidden, UploadFinished, ChunkBeyondTotal: in the order of section 13.
        """
        try:
            given = ChunkRange.parse(chunk_range)
        except ValueError as error:
            why = "Mex-Chunk-Range is not n:total within its bounds"
            raise SendRefused(Codes.INVALID_CHUNK_RANGE, message_id=message_id, why=why) from error
        if given.number != number:
            raise SendRefused(
                Codes.INVALID_CHUNK_RANGE,
                message_id=message_id,
                why="Mex-Chunk-Range and path name different chunks",
            )
        message = await self._messages.message(message_id)
        if message is None:
            raise NotFound(why="no such message")
        if message.sender != sender.mailbox_id:
            raise Forbidden(why="the message was begun by another mailbox")
        if not message.in_outbox:
            raise NotFound(why="the mailbox was reset since")
        if message.status is not Status.UPLOADING:
            raise UploadFinished(why="the message is complete already")
        if number > message.total_chunks:
            raise ChunkBeyondTotal(why="the first chunk announced fewer chunks")
        if content_encoding != message.metadata.content_encoding:
            raise SendRefused(
                "cannot change content encoding",
                message_id=message_id,
                why="Content-Encoding differs from the first chunk's",
            )
        body, size = await take_in(blocks, self._payloads, self.rules.max_request_bytes)
        chunk = Chunk(number, size, body)
        try:
            message = await self._keep(
                body,
                self._messages.add_chunk(
                    message_id, chunk, at=self._now(), need_all=self.rules.need_all_chunks
                ),
            )
        except IllegalStep as error:  # it was completed while this body came in
            raise UploadFinished(why=str(error)) from error
        self.announce(message)
        return message

    async def _keep(self, body: Inline | Stored, write: Awaitable[Message]) -> Message:
        """Await the write that names ``body``; if it says no, the body goes too."""
        try:
            return await write
        except (IllegalStep, StorageFailed):
            if isinstance(body, Stored):
                await self._payloads.delete([body])
            raise

    # -- receiving (sections 7 to 11) ---------------------------------------------------------------

    async def inbox(
        self, mailbox: Mailbox, *, after: int, limit: int, workflow_filter: WorkflowFilter | None = None
    ) -> Page:
        """List up to ``limit`` waiting messages that arrived after position ``after``."""
        listed = await self._messages.inbox(
            mailbox.mailbox_id, after=after, limit=limit + 1, workflow_filter=workflow_filter
        )
        return Page(listed[:limit], len(listed) > limit)

    async def waiting(self, mailbox: Mailbox) -> int:
        """Count the messages waiting in an inbox."""
        return await self._messages.waiting(mailbox.mailbox_id)

    async def position(self, mailbox: Mailbox, message_id: str) -> int:
        """Give the arrival position of a message in this mailbox, whatever became of it; 0 if unknown."""
        message = await self._messages.message(message_id)
        return message.position if message and message.recipient == mailbox.mailbox_id else 0

    async def download(self, mailbox: Mailbox, message_id: str, number: int) -> tuple[Message, Chunk]:
        """Give a message and one of its chunks, for its recipient.

        A REPORT has an empty body under any number.

        Raises:
            NotFound, Forbidden, Gone: by the table of section 8.
        """
        # A path may hold a number that no database takes.
        found = await self._messages.message_with_chunk(message_id, min(number, MAX_CHUNKS + 1))
        if found is None:
            raise NotFound(Codes.MESSAGE_UNKNOWN)
        message, chunk = found
        if message.recipient != mailbox.mailbox_id:
            raise Forbidden(why="only the recipient may download a message")
        if not message.in_inbox:
            raise NotFound(Codes.MESSAGE_UNKNOWN, why="the mailbox was reset since")
        self._check_available(message)
        if message.message_type is MessageType.REPORT:
            return message, Chunk(number, 0, Inline(b""))
        if chunk is None:
            raise NotFound(Codes.MESSAGE_UNKNOWN, why="no such chunk")
        return message, chunk

    async def payload(self, chunk: Chunk) -> AsyncIterator[bytes]:
        """Give a chunk's bytes as they were sent, in blocks."""
        if isinstance(chunk.body, Inline):
            yield chunk.body.data
            return
        async for block in self._payloads.read(chunk.body):
            yield block

    async def look_at(self, mailbox: Mailbox, message_id: str) -> Message:
        """Give a message's metadata: its recipient while it can be downloaded, its sender always.

        Raises:
            NotFound, Gone: by the HEAD column of section 8.
        """
        message = await self._messages.message(message_id)
        received = message is not None and message.in_inbox and message.recipient == mailbox.mailbox_id
        sent = message is not None and message.in_outbox and message.sender == mailbox.mailbox_id
        if message is None or not (received or sent):
            raise NotFound(Codes.MESSAGE_UNKNOWN, why="this mailbox has no such message")
        if received:
            self._check_available(message)
        return message

    def _check_available(self, message: Message) -> None:
        if message.status is Status.ACCEPTED:
            return
        if message.status is Status.ACKNOWLEDGED and not self.rules.download_once:
            return
        raise Gone(why=f"the message is {message.status.value}")

    async def acknowledge(self, mailbox: Mailbox, message_id: str) -> None:
        """Take a message out of the inbox; one that is not waiting there stays as it is (section 10).

        Raises:
            NotFound, Forbidden: no such message, or another mailbox's.
        """
        message = await self._messages.message(message_id)
        if message is None:
            raise NotFound(Codes.MESSAGE_UNKNOWN)
        if message.recipient != mailbox.mailbox_id:
            raise Forbidden(why="only the recipient may acknowledge a message")
        if not message.in_inbox:
            raise NotFound(Codes.MESSAGE_UNKNOWN, why="the mailbox was reset since")
        if message.status is not Status.ACCEPTED:
            return
        now = self._now()
        try:
            message = await self._messages.acknowledge(message, at=now)
        except IllegalStep:  # another request was quicker; the outcome is the same
            return
        self.events.message(Kind.ACKNOWLEDGED, now, message)

    # -- tracking (section 14) ----------------------------------------------------------------------

    async def track(self, mailbox: Mailbox, message_id: str) -> Message:
        """Give a message that this mailbox sent.

        Raises:
            NotFound: unknown, or sent by another mailbox.
        """
        message = await self._messages.message(message_id)
        if message is None or message.sender != mailbox.mailbox_id or not message.in_outbox:
            raise NotFound(why="this mailbox sent no such message")
        return message

    async def track_local_id(self, mailbox: Mailbox, local_id: str) -> Message:
        """Give the one message that this mailbox sent with this local id.

        Raises:
            NotFound: there is none.
            Ambiguous: there are several.
        """
        found = await self._messages.sent(mailbox.mailbox_id, local_id)
        if not found:
            raise NotFound(why="this mailbox sent no message with this local id")
        if len(found) > 1:
            raise Ambiguous
        return found[0]

    def announce(self, message: Message) -> None:
        """Tell whoever waits for it of a message that arrived, or has just begun to."""
        if message.status is Status.ACCEPTED:
            self.arrivals.notify(message.recipient)
            self.events.message(Kind.ACCEPTED, self._now(), message)
        elif message.status is Status.UPLOADING:
            self.events.message(Kind.UPLOADING, self._now(), message)
