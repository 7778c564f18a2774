"""Messages that somebody wants in an inbox."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Final

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from mesh_sim.exchange.messages import (
    INLINE_LIMIT,
    Chunk,
    Inline,
    Message,
    MessageType,
    Metadata,
    new_message_id,
)
from mesh_sim.exchange.states import Step, advance
from mesh_sim.wishes.base import Wish, header_safe
from mesh_sim.wishes.mailboxes import MailboxId

MOST: Final = 100_000
"""How many messages one wish may put into an inbox."""

_MICROSECOND: Final = timedelta(microseconds=1)

HeaderText = Annotated[str, StringConstraints(max_length=300), AfterValidator(header_safe)]
"""Text that can travel in a header."""


class MessageWish(Wish):
    """Messages to be put into an inbox, all alike; with several, each local id gets its number."""

    to: MailboxId
    sender: MailboxId = Field("X26ABC1", alias="from")
    workflow_id: HeaderText = Field("TEST_WORKFLOW", min_length=1)
    count: int = Field(1, ge=1, le=MOST)
    body: str | None = Field(None, max_length=INLINE_LIMIT)
    body_base64: str | None = Field(None, max_length=INLINE_LIMIT * 4 // 3 + 4)
    subject: HeaderText = ""
    local_id: HeaderText = ""
    file_name: HeaderText = ""
    content_type: HeaderText = ""

    @model_validator(mode="after")
    def _one_body(self) -> MessageWish:
        if self.body is not None and self.body_base64 is not None:
            raise ValueError("say either body or body_base64")
        if not 0 < len(self.payload()) <= INLINE_LIMIT:
            raise ValueError(f"a body has 1 to {INLINE_LIMIT} bytes; send a larger one through a client")
        return self

    def payload(self) -> bytes:
        """The body's bytes."""
        if self.body_base64 is None:
            return (self.body if self.body is not None else "a message for testing").encode()
        try:
            return base64.b64decode(self.body_base64, validate=True)
        except binascii.Error as error:
            raise ValueError("body_base64 is not base64") from error

    def messages(self, at: datetime) -> Iterator[tuple[Message, tuple[Chunk, ...]]]:
        """Make them, as if each had been sent a microsecond after the other."""
        payload = self.payload()
        for number in range(self.count):
            moment = at + number * _MICROSECOND
            suffix = f"-{number + 1}" if self.local_id and self.count > 1 else ""
            message = Message(
                message_id=new_message_id(moment),
                message_type=MessageType.DATA,
                sender=self.sender,
                recipient=self.to,
                workflow_id=self.workflow_id,
                status=advance(None, Step.SEND),
                total_chunks=1,
                created_at=moment,
                accepted_at=moment,
                metadata=Metadata(
                    subject=self.subject,
                    local_id=self.local_id + suffix,
                    file_name=self.file_name,
                    content_type=self.content_type,
                ),
            )
            yield message, (Chunk(1, len(payload), Inline(payload)),)
