"""Non-delivery reports: what a sender gets when a message was not collected (mesh-api.md section 20)."""

from __future__ import annotations

from datetime import datetime

from mesh_sim.exchange.messages import Failure, Message, MessageType, Metadata, new_message_id
from mesh_sim.exchange.states import Step, advance
from ndoo.protocol import Codes, ErrorCode

PREFIX = "NDR"
"""What the subject of a report on an undelivered message begins with."""


def non_delivery(message: Message, at: datetime) -> Message | None:
    """Make the report on a message that nobody collected; a report makes none of its own."""
    if message.message_type is MessageType.REPORT:
        return None
    return make_report(
        recipient=message.sender,
        intended_recipient=message.recipient,
        workflow_id=message.workflow_id,
        metadata=Metadata(subject=ndr_subject(message.metadata.subject), local_id=message.metadata.local_id),
        error=Codes.NOT_COLLECTED,
        linked_message_id=message.message_id,
        at=at,
    )


def ndr_subject(subject: str) -> str:
    """Mark a subject as that of a report on an undelivered message."""
    return f"{PREFIX}: {subject}" if subject else PREFIX


def make_report(
    *,
    recipient: str,
    intended_recipient: str,
    workflow_id: str,
    metadata: Metadata,
    error: ErrorCode,
    linked_message_id: str,
    at: datetime,
) -> Message:
    """Make a report, to be delivered: it has no sender, no body and no chunks."""
    return Message(
        message_id=new_message_id(at),
        message_type=MessageType.REPORT,
        sender="",
        recipient=recipient,
        intended_recipient=intended_recipient,
        workflow_id=workflow_id,
        status=advance(None, Step.SEND),
        total_chunks=0,
        created_at=at,
        accepted_at=at,
        metadata=metadata,
        failure=Failure(error, at, linked_message_id),
        in_outbox=False,
    )
