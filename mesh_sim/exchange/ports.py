"""What the exchange needs kept, as ports that storage implements."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from mesh_sim.exchange.filters import WorkflowFilter
from mesh_sim.exchange.messages import Chunk, Message, Stored


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of an inbox list."""

    position: int
    message_id: str


class MessageStore(Protocol):
    """Messages, their chunks and the order of arrival; every write is durable once it returns."""

    async def add(self, message: Message, chunk: Chunk) -> Message:
        """Keep a new message with its first chunk; an accepted one gets its arrival position."""

    async def add_chunk(self, message_id: str, chunk: Chunk, *, at: datetime, need_all: bool) -> Message:
        """Keep a further chunk, or one sent again; complete the message if it was the last one needed.

        ``need_all``: every chunk must be there, in any order; otherwise the last number completes it.

        Raises:
            IllegalStep: the message is no longer uploading.
        """

    async def acknowledge(self, message_id: str, *, at: datetime) -> Message:
        """Take an accepted message out of its inbox.

        Raises:
            IllegalStep: the message is not accepted.
        """

    async def message(self, message_id: str) -> Message | None:
        """Give one message, or None."""

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

    async def use(self, digest: bytes, *, minute: int, now_minute: int) -> bool:
        """Note a token as used; False if it was used before.

        ``minute`` is the token's own timestamp and ``now_minute`` the real time, both in minutes since 1970.

        Raises:
            StorageFailed: it could not be noted.
        """

    async def forget(self, digest: bytes, *, minute: int) -> None:
        """Make a token good again whose request came to nothing.

        Raises:
            StorageFailed: it could not be forgotten.
        """
