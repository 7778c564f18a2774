"""The service desk: what only an administrator may do to messages (mesh-api.md sections 18 and 20)."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from mesh_sim.exchange.directory import Mailbox
from mesh_sim.exchange.errors import NotFound
from mesh_sim.exchange.events import Events, Kind
from mesh_sim.exchange.messages import Chunk, Failure, Message, Metadata
from mesh_sim.exchange.ports import (
    ChunkHere,
    Found,
    MessageStore,
    MessageUpkeep,
    Moment,
    Search,
    Side,
    Tally,
    Wanted,
)
from mesh_sim.exchange.reports import make_report
from mesh_sim.exchange.states import Status
from ndoo.protocol import ErrorCode

_BATCH: Final = 500
"""How many messages are delivered in one transaction."""

_KIND: Final = {
    Status.UPLOADING: Kind.UPLOADING,
    Status.ACCEPTED: Kind.ACCEPTED,
    Status.ACKNOWLEDGED: Kind.ACKNOWLEDGED,
    Status.UNDELIVERABLE: Kind.UNDELIVERABLE,
    Status.ERROR: Kind.ERROR,
}


class ServiceDesk:
    """Looks at and changes any message, whoever it belongs to."""

    def __init__(
        self,
        messages: MessageStore,
        upkeep: MessageUpkeep,
        *,
        now: Callable[[], datetime],
        announce: Callable[[Message], None],
        events: Events,
        deleted: Callable[[], Awaitable[object]],
    ) -> None:
        """Make one; ``announce`` tells of a message that arrived, ``deleted`` is awaited after deletions."""
        self._messages = messages
        self._upkeep = upkeep
        self._now = now
        self._announce = announce
        self._events = events
        self._deleted = deleted

    async def message(self, message_id: str) -> Message:
        """Give any message.

        Raises:
            NotFound: there is none with this id.
        """
        message = await self._messages.message(message_id)
        if message is None:
            raise NotFound(why="no such message")
        return message

    async def find(self, wanted: Wanted, limit: int) -> Sequence[Message]:
        """List messages that are as ``wanted``, oldest first."""
        return await self._messages.find(wanted, limit)

    async def history(
        self, mailbox: Mailbox, side: Side, *, since: datetime, before: Moment | None, limit: int
    ) -> Sequence[Message]:
        """List what a mailbox received (complete messages only) or sent after ``since``, newest first."""
        return await self._messages.history(mailbox.mailbox_id, side, since=since, before=before, limit=limit)

    async def search(self, mailbox: Mailbox, wanted: Search, *, before: Moment | None, limit: int) -> Found:
        """Look for messages of any status among those of a mailbox, newest first."""
        return await self._messages.search(mailbox.mailbox_id, wanted, before=before, limit=limit)

    async def tally(self, mailboxes: Iterable[Mailbox]) -> Mapping[str, Tally]:
        """Count the messages of each of these mailboxes, by its id."""
        return await self._messages.tally([mailbox.mailbox_id for mailbox in mailboxes])

    async def related(self, message: Message, limit: int = 20) -> Sequence[Message]:
        """List the others of a message's exchange, oldest first."""
        return await self._messages.related(message, limit=limit)

    async def chunks_here(self, message: Message, limit: int = 1000) -> Sequence[ChunkHere]:
        """List the chunks of a message that have arrived, in their order."""
        return await self._messages.chunks_here(message.message_id, limit=limit)

    async def chunk_count(self, message: Message) -> int:
        """Count the chunks of a message that have arrived."""
        return await self._messages.chunk_count(message.message_id)

    async def chunk(self, message: Message, number: int) -> Chunk | None:
        """Give one chunk of any message, or None while it is not here."""
        return await self._messages.chunk(message.message_id, number)

    async def put(self, drafts: Sequence[tuple[Message, Sequence[Chunk]]]) -> Sequence[Message]:
        """Deliver messages without asking whether their senders may send them, all of them or none."""
        kept = await self._messages.add_all(drafts)
        for message in kept:
            self._announce(message)
        return kept

    async def put_many(self, drafts: Iterable[tuple[Message, Sequence[Chunk]]]) -> list[str]:
        """Deliver any number of messages, in batches that nobody waits for long; give their ids in order.

        Raises:
            StorageFailed: a batch could not be kept; the batches before it are delivered.
        """
        waiting = iter(drafts)
        ids: list[str] = []
        while batch := list(itertools.islice(waiting, _BATCH)):
            ids += [message.message_id for message in await self.put(batch)]
        return ids

    async def put_report(
        self,
        recipient: Mailbox,
        *,
        error: ErrorCode,
        workflow_id: str,
        metadata: Metadata,
        linked_message_id: str = "",
    ) -> Message:
        """Deliver a report; it names whom the message it is about was for, where that is known."""
        about = await self._messages.message(linked_message_id) if linked_message_id else None
        report = make_report(
            recipient=recipient.mailbox_id,
            intended_recipient=about.recipient if about else recipient.mailbox_id,
            workflow_id=workflow_id,
            metadata=metadata,
            error=error,
            linked_message_id=linked_message_id,
            at=self._now(),
        )
        (kept,) = await self.put([(report, ())])
        return kept

    async def set_status(
        self, message_id: str, status: Status, *, error: ErrorCode | None = None, linked_message_id: str = ""
    ) -> Message:
        """Put a message into any status; an accepted one arrives in its inbox anew.

        ``error`` says what failed, and stays with the message whatever its status becomes later.

        Raises:
            NotFound: there is no such message.
        """
        now = self._now()
        failure = Failure(error, now, linked_message_id) if error else None
        message = await self._upkeep.set_status(message_id, status, at=now, failure=failure)
        if message is None:
            raise NotFound(why="no such message")
        if status is Status.ACCEPTED:
            self._announce(message)
        else:
            self._events.message(_KIND[status], now, message)
        return message

    async def reset(self) -> None:
        """Forget every message, its body and what the opt-out service knows of it."""
        await self._upkeep.reset()
        await self._deleted()
        self._events.publish(Kind.RESET, self._now(), mailbox="")

    async def reset_mailbox(self, mailbox: Mailbox) -> None:
        """Empty one mailbox's inbox and outbox; what other mailboxes hold, they keep."""
        await self._upkeep.reset_mailbox(mailbox.mailbox_id)
        await self._deleted()
        self._events.publish(Kind.RESET, self._now(), mailbox=mailbox.mailbox_id)
