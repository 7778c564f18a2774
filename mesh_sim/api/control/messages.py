"""``/admin/messages``: any message, and messages put into an inbox without a send."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from aiohttp import web
from pydantic import Field

from mesh_sim.api.control.mailboxes import known_mailbox
from mesh_sim.api.control.requests import answer, read_query, read_wish
from mesh_sim.api.keys import DESK, EXCHANGE
from mesh_sim.exchange.messages import Message, MessageType
from mesh_sim.exchange.ports import Wanted
from mesh_sim.exchange.states import Status
from mesh_sim.wishes.base import Wish
from mesh_sim.wishes.mailboxes import MailboxId
from mesh_sim.wishes.messages import MessageWish


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
    made = wish.messages(request.app[EXCHANGE].now())
    return answer({"message_ids": await request.app[DESK].put_many(made)}, status=201)


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
