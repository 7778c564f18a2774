"""Mailboxes and messages as the sandbox's admin paths describe them (mesh-api.md section 18).

What is not known is left out; times are ISO 8601 in UTC, without zone.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from mesh_sim.api.answers import iso
from mesh_sim.exchange.directory import Directory, Mailbox
from mesh_sim.exchange.messages import Message, MessageType

CENTRAL_SYSTEM: Final = Mailbox(
    mailbox_id="",
    mailbox_name="Central System Mailbox",
    ods_code="X26",
    org_code="X26",
    org_name="NHS England",
)
"""Whom a report is from."""


def party(directory: Directory, mailbox_id: str) -> Mailbox:
    """Give a message's sender or recipient; one that is gone from the directory has its id only."""
    return directory.mailbox(mailbox_id) or Mailbox(mailbox_id, "") if mailbox_id else CENTRAL_SYSTEM


def mailbox_details(mailbox: Mailbox) -> dict[str, Any]:
    """Describe a mailbox; its password is nobody's to read."""
    body: dict[str, Any] = {"mailbox_id": mailbox.mailbox_id, "mailbox_name": mailbox.mailbox_name}
    if mailbox.billing_entity:
        body["billing_entity"] = mailbox.billing_entity
    return body | {
        "ods_code": mailbox.ods_code,
        "org_code": mailbox.org_code,
        "org_name": mailbox.org_name,
        "active": mailbox.active,
    }


def message_details(message: Message, directory: Directory, lifetime: timedelta) -> dict[str, Any]:
    """Describe a message; ``lifetime`` is its time in the inbox."""
    recipient, sender = party(directory, message.recipient), party(directory, message.sender)
    metadata, failure = message.metadata, message.failure
    data = message.message_type is MessageType.DATA
    body: dict[str, Any] = {"checksum": metadata.checksum, "chunk_count": message.total_chunks}
    if data:
        body["content_encoding"] = metadata.content_encoding
    if message.acknowledged_at is not None:
        body["download_timestamp"] = iso(message.acknowledged_at)
    body["expiry_time"] = iso(message.expires_at(lifetime))
    if data and failure is not None:
        body["failure_date"] = iso(failure.at)
        body["failure_diagnostic"] = failure.error.text
    body |= {"filename": message.file_name, "file_size": message.file_size}
    if data:
        body |= {"is_compressed": metadata.compressed, "is_encrypted": metadata.encrypted}
    if failure is not None and failure.linked_message_id:
        body["linked_msg_id"] = failure.linked_message_id
    if data or metadata.local_id:
        body["local_id"] = metadata.local_id
    body |= {
        "message_id": message.message_id,
        "message_type": message.message_type.value.capitalize(),
        "recipient": message.recipient,
        "recipient_name": recipient.mailbox_name,
        "recipient_ods_code": recipient.ods_code,
        "recipient_org_code": recipient.org_code,
        "recipient_org_name": recipient.org_name,
        "sender": message.sender,
        "sender_name": sender.mailbox_name,
        "sender_ods_code": sender.ods_code,
        "sender_org_code": sender.org_code,
        "sender_org_name": sender.org_name,
        "status": message.status.value.capitalize(),
    }
    if not data and failure is not None:
        body |= {
            "status_code": failure.error.code,
            "status_description": failure.error.text,
            "status_event": failure.error.event,
        }
    body["status_success"] = "SUCCESS" if data and failure is None else "ERROR"
    if not data and failure is not None:
        body["status_timestamp"] = iso(failure.at)
    if data or metadata.subject:
        body["subject"] = metadata.subject
    return body | {"upload_timestamp": iso(message.created_at), "workflow_id": message.workflow_id}
