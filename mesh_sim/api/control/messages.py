"""``/admin/messages``: any message, and messages put into an inbox without a send."""

from __future__ import annotations

import base64
import binascii
import itertools
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from aiohttp import web
from pydantic import Field, StringConstraints, model_validator

from mesh_sim.api.control.mailboxes import MailboxId, known_mailbox
from mesh_sim.api.control.requests import Wish, answer, read_query, read_wish
from mesh_sim.api.keys import DESK, EXCHANGE
from mesh_sim.exchange.messages import (
    INLINE_LIMIT,
    Chunk,
    Inline,
    Message,
    MessageType,
    Metadata,
    new_message_id,
)
from mesh_sim.exchange.ports import Wanted
from mesh_sim.exchange.states import Status, Step, advance

MOST: Final = 100_000
"""How many messages one request may put into an inbox."""

_BATCH: Final = 500
_MICROSECOND: Final = timedelta(microseconds=1)

HeaderText = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=300)]
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


class MessageQuery(Wish):
    """Which messages are asked for."""

    mailbox: MailboxId | None = None
    sender: MailboxId | None = None
    workflow: str | None = None
    local_id: str | None = None
    subject: str | None = None
    status: Status | None = None
    type: MessageType | None = None
    limit: int = Field(100, ge=1, le=5000)

    def wanted(self) -> Wanted:
        """The same for the service desk."""
        return Wanted(
            recipient=self.mailbox,
            sender=self.sender,
            workflow_id=self.workflow,
            local_id=self.local_id,
            subject=self.subject,
            status=self.status,
            message_type=self.type,
        )


async def put_messages(request: web.Request) -> web.Response:
    """Put messages into an inbox; give their ids in order of arrival."""
    wish = await read_wish(request, MessageWish)
    known_mailbox(request, "to", wish.to)
    known_mailbox(request, "from", wish.sender)
    exchange, desk = request.app[EXCHANGE], request.app[DESK]
    made = wish.messages(exchange.now())
    ids: list[str] = []
    while batch := list(itertools.islice(made, _BATCH)):
        ids += [message.message_id for message in await desk.put(batch)]
    return answer({"message_ids": ids}, status=201)


async def list_messages(request: web.Request) -> web.Response:
    """List messages by recipient, sender, workflow id, local id, subject, status and type, oldest first."""
    query = read_query(request, MessageQuery)
    check_mailboxes(request, query)
    found = await request.app[DESK].find(query.wanted(), query.limit)
    return answer({"messages": [message_json(message, request) for message in found]})


def check_mailboxes(request: web.Request, query: MessageQuery) -> None:
    """Refuse a query about a mailbox that does not exist: it is a slip of the pen, and would find nothing."""
    for field, mailbox_id in (("mailbox", query.mailbox), ("sender", query.sender)):
        if mailbox_id is not None:
            known_mailbox(request, field, mailbox_id)


def message_json(message: Message, request: web.Request) -> dict[str, Any]:
    """Describe a message; times are ISO 8601 with their zone, null where something has not happened."""
    failure = message.failure
    lifetime = request.app[EXCHANGE].rules.inbox_expiry
    return {
        "message_id": message.message_id,
        "message_type": message.message_type.value,
        "status": message.status.value,
        "sender": message.sender,
        "recipient": message.recipient,
        "workflow_id": message.workflow_id,
        "local_id": message.metadata.local_id,
        "subject": message.metadata.subject,
        "file_name": message.file_name,
        "file_size": message.file_size,
        "total_chunks": message.total_chunks,
        "created_at": message.created_at.isoformat(),
        "accepted_at": _iso(message.accepted_at),
        "acknowledged_at": _iso(message.acknowledged_at),
        "expires_at": message.expires_at(lifetime).isoformat(),
        "failure": {
            "code": failure.error.code,
            "event": failure.error.event,
            "description": failure.error.text,
            "at": failure.at.isoformat(),
            "linked_message_id": failure.linked_message_id,
        }
        if failure
        else None,
    }


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
