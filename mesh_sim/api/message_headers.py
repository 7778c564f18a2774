"""The headers that describe a message to whoever downloads or looks at it (mesh-api.md section 8)."""

from __future__ import annotations

import hashlib
from datetime import datetime
from email.utils import format_datetime

from mesh_sim.exchange.messages import Message, MessageType
from ndoo.protocol import ChunkRange, Codes, Header


def message_headers(message: Message, *, number: int, gzipped: bool = False) -> dict[str, str]:
    """Describe a message and the chunk that goes with it; ``gzipped``: the answer's body is gzip.

    A header without a value is left out.
    """
    report = message.message_type is MessageType.REPORT
    metadata = message.metadata
    total = 0 if report else message.total_chunks
    headers: dict[str, str] = {
        Header.FROM: "" if report else message.sender,
        Header.TO: message.intended_recipient or message.recipient,
        Header.WORKFLOW_ID: message.workflow_id,
        Header.CHUNK_RANGE: str(ChunkRange(number, total)),
        Header.TOTAL_CHUNKS: str(total),
        Header.ADDRESS_TYPE: "ALL",
        Header.LOCAL_ID: metadata.local_id,
        Header.PARTNER_ID: metadata.partner_id,
        Header.SUBJECT: metadata.subject,
        Header.FILE_NAME: message.file_name,
        Header.VERSION: "1.0",
        Header.MESSAGE_TYPE: message.message_type.value,
        Header.MESSAGE_ID: message.message_id,
    }
    headers |= _status(message)
    headers |= {
        Header.CONTENT_COMPRESSED: "Y" if metadata.compressed or gzipped else "N",
        Header.CONTENT_ENCRYPTED: "Y" if metadata.encrypted else "",
        Header.CONTENT_CHECKSUM: metadata.checksum,
        Header.CONTENT_TYPE: metadata.content_type,
        "Last-Modified": format_datetime(last_event(message), usegmt=True),
        "ETag": f'"{_etag(message, number, gzipped=gzipped)}"',
    }
    return {name: value for name, value in headers.items() if value}


def last_event(message: Message) -> datetime:
    """When the newest thing happened to a message."""
    failed_at = message.failure.at if message.failure else None
    return max(at for at in (message.created_at, message.accepted_at, failed_at) if at is not None)


def _status(message: Message) -> dict[str, str]:
    failure = message.failure
    error = failure.error if failure else Codes.TRANSFERRED
    if failure is None and message.message_type is MessageType.REPORT:
        return {Header.STATUS_SUCCESS: "ERROR"}
    return {
        Header.LINKED_MESSAGE_ID: failure.linked_message_id if failure else "",
        Header.STATUS_CODE: error.code,
        Header.STATUS_EVENT: error.event,
        Header.STATUS_DESCRIPTION: error.text,
        Header.STATUS_SUCCESS: "ERROR" if failure else "SUCCESS",
        Header.STATUS_TIMESTAMP: f"{last_event(message):%Y%m%d%H%M%S}",
    }


def _etag(message: Message, number: int, *, gzipped: bool) -> str:
    # Once a message can be seen its bytes never change, so its id and the chunk's number identify them.
    return hashlib.sha256(f"{message.message_id}/{number}/{gzipped}".encode()).hexdigest()[:40]
