"""What the commands of ``ndoo mailbox`` show of a message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ndoo.mailbox import MessageHeaders, Tracking


def reason(told: MessageHeaders | Tracking) -> str:
    """Say on a line why a message was not delivered: the step, the code and the text."""
    return " ".join(filter(None, (told.status_event, told.status_code, told.status_description)))


def header_facts(headers: MessageHeaders) -> list[tuple[str, int | str, str]]:
    """Give a message's headers as they are shown to people."""
    return [
        ("message id", headers.message_id, ""),
        ("type", headers.message_type, ""),
        ("from", headers.sender, ""),
        ("workflow", headers.workflow_id, ""),
        ("local id", headers.local_id, ""),
        ("subject", headers.subject, ""),
        ("file", headers.file_name, ""),
        ("about", headers.linked_message_id, ""),
        ("reason", reason(headers) if headers.is_report else "", ""),
    ]


def header_fields(headers: MessageHeaders) -> dict[str, Any]:
    """Give a message's headers as they are printed for programs."""
    return {
        "message_id": headers.message_id,
        "message_type": headers.message_type,
        "from": headers.sender,
        "to": headers.recipient,
        "workflow_id": headers.workflow_id,
        "local_id": headers.local_id,
        "subject": headers.subject,
        "file_name": headers.file_name,
        "chunks": headers.total_chunks,
        "linked_message_id": headers.linked_message_id,
        "status_code": headers.status_code,
        "status_event": headers.status_event,
        "status_description": headers.status_description,
    }


def tracking_fields(found: Tracking) -> dict[str, Any]:
    """Give what became of a message as it is printed for programs."""
    return {
        "message_id": found.message_id,
        "local_id": found.local_id,
        "workflow_id": found.workflow_id,
        "file_name": found.file_name,
        "recipient": found.recipient,
        "recipient_name": found.recipient_name,
        "recipient_ods_code": found.recipient_ods_code,
        "status": found.status,
        "status_success": found.status_success,
        "status_event": found.status_event,
        "status_code": found.status_code,
        "status_description": found.status_description,
        "sent_at": found.upload_timestamp,
        "collected_at": found.download_timestamp,
        "expires_at": found.expiry_time,
    }
