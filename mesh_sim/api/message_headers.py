"""The headers that describe a message to whoever downloads or looks at it (mesh-api.md section 8)."""

from __future__ import annotations

from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache

from mesh_sim.exchange.messages import Message, MessageType
from ndoo.protocol import Codes, Header


def message_headers(message: Message, *, number: int, gzipped: bool = False) -> dict[str, str]:
    """Describe a message and the chunk that goes with it; ``gzipped``: the answer's body is gzip.

    A header without a value is left out.
    """
    report = message.message_type is MessageType.REPORT
    metadata = message.metadata
    total = 0 if report else message.total_chunks
    last_modified, timestamp = _written(last_event(message).replace(microsecond=0))
    headers = {
        Header.TO: message.intended_recipient or message.recipient,
        Header.WORKFLOW_ID: message.workflow_id,
        Header.CHUNK_RANGE: f"{number}:{total}",
        Header.TOTAL_CHUNKS: str(total),
        Header.ADDRESS_TYPE: "ALL",
        Header.FILE_NAME: message.file_name,
        Header.VERSION: "1.0",
        Header.MESSAGE_TYPE: message.message_type.value,
        Header.MESSAGE_ID: message.message_id,
        Header.CONTENT_COMPRESSED: "Y" if metadata.compressed or gzipped else "N",
        "Last-Modified": last_modified,
        "ETag": f'"{_etag(message, number, gzipped=gzipped)}"',
    }
    may_be_empty = (
        (Header.FROM, "" if report else message.sender),
        (Header.LOCAL_ID, metadata.local_id),
        (Header.PARTNER_ID, metadata.partner_id),
        (Header.SUBJECT, metadata.subject),
        (Header.CONTENT_ENCRYPTED, "Y" if metadata.encrypted else ""),
        (Header.CONTENT_CHECKSUM, metadata.checksum),
        (Header.CONTENT_TYPE, metadata.content_type),
        *_status(message, timestamp),
    )
    return headers | {name: value for name, value in may_be_empty if value}


def last_event(message: Message) -> datetime:
    """When the newest thing happened to a message."""
    failed_at = message.failure.at if message.failure else None
    return max(at for at in (message.created_at, message.accepted_at, failed_at) if at is not None)


@lru_cache(maxsize=1024)
def _written(at: datetime) -> tuple[str, str]:
    """Write a time in the two ways that these headers do."""
    return format_datetime(at, usegmt=True), f"{at:%Y%m%d%H%M%S}"


def _status(message: Message, timestamp: str) -> tuple[tuple[str, str], ...]:
    failure = message.failure
    if failure is None and message.message_type is MessageType.REPORT:
        return ((Header.STATUS_SUCCESS, "ERROR"),)
    error = failure.error if failure else Codes.TRANSFERRED
    return (
        (Header.LINKED_MESSAGE_ID, failure.linked_message_id if failure else ""),
        (Header.STATUS_CODE, error.code),
        (Header.STATUS_EVENT, error.event),
        (Header.STATUS_DESCRIPTION, error.text),
        (Header.STATUS_SUCCESS, "ERROR" if failure else "SUCCESS"),
        (Header.STATUS_TIMESTAMP, timestamp),
    )


def _etag(message: Message, number: int, *, gzipped: bool) -> str:
    # Once a message can be seen its bytes never change, so its id and the chunk's number identify them.
    return f"{message.message_id.replace('_', '')}{number:06x}{gzipped:d}"
