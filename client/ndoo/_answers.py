"""What a MESH server's answers say, as records: message headers, inbox pages, tracking, endpoints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ndoo._failures import Call, unexpected
from ndoo._transport import Answer
from ndoo.protocol import Header


@dataclass(frozen=True, slots=True)
class MessageHeaders:
    """What the server says about a message (section 8); empty where it says nothing.

    ``message_type`` is DATA or REPORT; a REPORT has no body and no chunks. ``status_success`` is None
    where it is not given. ``raw`` holds every response header, names in lower case.
    """

    message_id: str
    message_type: str
    sender: str
    recipient: str
    workflow_id: str
    local_id: str
    subject: str
    file_name: str
    partner_id: str
    content_type: str
    checksum: str
    total_chunks: int
    encrypted: bool
    compressed: bool
    linked_message_id: str
    status_code: str
    status_event: str
    status_description: str
    status_success: bool | None
    status_timestamp: datetime | None
    raw: Mapping[str, str] = field(repr=False)

    @property
    def is_report(self) -> bool:
        """Whether this is a report from the server itself, such as a non-delivery report."""
        return self.message_type.upper() == "REPORT"

    @classmethod
    def parse(cls, raw: Mapping[str, str], call: Call) -> MessageHeaders:
        """Read response headers, names in lower case.

        Raises:
            UnexpectedAnswer: the chunk range is not two numbers.
        """

        def text(name: str) -> str:
            return raw.get(name.lower(), "")

        return cls(
            message_id=text(Header.MESSAGE_ID) or call.message_id,
            message_type=text(Header.MESSAGE_TYPE),
            sender=text(Header.FROM),
            recipient=text(Header.TO),
            workflow_id=text(Header.WORKFLOW_ID),
            local_id=text(Header.LOCAL_ID),
            subject=text(Header.SUBJECT),
            file_name=text(Header.FILE_NAME),
            partner_id=text(Header.PARTNER_ID),
            content_type=text(Header.CONTENT_TYPE) or raw.get("content-type", ""),
            checksum=text(Header.CONTENT_CHECKSUM),
            total_chunks=_read_total(text(Header.CHUNK_RANGE), call),
            encrypted=_is_yes(text(Header.CONTENT_ENCRYPTED)),
            compressed=_is_yes(text(Header.CONTENT_COMPRESSED)),
            linked_message_id=text(Header.LINKED_MESSAGE_ID),
            status_code=text(Header.STATUS_CODE),
            status_event=text(Header.STATUS_EVENT),
            status_description=text(Header.STATUS_DESCRIPTION),
            status_success=_read_success(text(Header.STATUS_SUCCESS)),
            status_timestamp=_read_timestamp(text(Header.STATUS_TIMESTAMP)),
            raw=raw,
        )


def _read_total(chunk_range: str, call: Call) -> int:
    # Absent means one chunk; a REPORT has "1:0", which is no range anybody may send (section 8).
    total = (chunk_range or "1:1").partition(":")[2].strip()
    if not total.isdecimal():
        raise unexpected(f"the answer's chunk range is {chunk_range!r}", call).error
    return int(total)


def _read_success(value: object) -> bool | None:
    """Read a status flag: a boolean in version 2, SUCCESS or ERROR in version 1 and in headers."""
    if isinstance(value, bool):
        return value
    return {"SUCCESS": True, "ERROR": False}.get(value.upper()) if isinstance(value, str) else None


def _read_timestamp(value: object) -> datetime | None:
    """Read ``yyyyMMddHHmmss`` or ISO 8601, in UTC where no zone is given (section 14).

    None for anything else: these times only inform, and the text stays in ``raw``.
    """
    if not isinstance(value, str):
        return None
    try:
        # Digits first: ISO 8601 would read the compact form as something else.
        compact = value.isdecimal() and len(value) == 14
        moment = datetime.strptime(value, "%Y%m%d%H%M%S") if compact else datetime.fromisoformat(value)  # noqa: DTZ007 -- the next line gives it its zone
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _is_yes(flag: str) -> bool:
    return flag.strip().upper() in {"Y", "YES", "T", "TRUE", "ON", "1"}


@dataclass(frozen=True, slots=True)
class InboxPage:
    """One page of the inbox, oldest first (section 7).

    ``next`` is the link to the next page, empty on the last; ``approx_inbox_count`` ignores filter and
    paging, and is None where the server does not say.
    """

    messages: tuple[str, ...]
    next: str
    approx_inbox_count: int | None

    @classmethod
    def parse(cls, answer: Answer, call: Call) -> InboxPage:
        """Read an inbox page of version 2; one of version 1 has no link.

        Raises:
            UnexpectedAnswer: there is no list of messages in it.
        """
        fields = read_object(answer, call)
        messages, links = fields.get("messages"), fields.get("links")
        if not isinstance(messages, list) or not all(isinstance(each, str) for each in messages):
            raise unexpected("the answer has no list of messages", call).error
        link = links.get("next") if isinstance(links, dict) else None
        count = fields.get("approx_inbox_count")
        return cls(
            tuple(messages), link if isinstance(link, str) else "", count if isinstance(count, int) else None
        )


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A mailbox that receives a workflow (section 15)."""

    mailbox_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Tracking:
    """What became of a sent message (section 14); empty or None where the server does not say.

    ``status`` is in lower case: uploading, accepted, acknowledged, undeliverable or error.
    ``download_timestamp``, when the recipient acknowledged it, is given only for a local id. Times are
    in UTC. ``raw`` is the answer as it came.
    """

    message_id: str
    local_id: str
    workflow_id: str
    file_name: str
    recipient: str
    recipient_name: str
    recipient_ods_code: str
    status: str
    status_success: bool | None
    status_event: str
    status_code: str
    status_description: str
    status_timestamp: datetime | None
    upload_timestamp: datetime | None
    expiry_time: datetime | None
    download_timestamp: datetime | None
    raw: Mapping[str, Any] = field(repr=False)

    @classmethod
    def parse(cls, answer: Answer, call: Call) -> Tracking:
        """Read a tracking body of either version.

        Raises:
            UnexpectedAnswer: it is no JSON object.
        """
        fields = read_object(answer, call)

        def value(name: str, name_v1: str) -> Any:
            return fields.get(name, fields.get(name_v1))

        def text(name: str, name_v1: str) -> str:
            found = value(name, name_v1)
            return found if isinstance(found, str) else ""

        return cls(
            message_id=text("message_id", "messageId"),
            local_id=text("local_id", "localId"),
            workflow_id=text("workflow_id", "workflowId"),
            file_name=text("filename", "fileName"),
            recipient=text("recipient", "recipient"),
            recipient_name=text("recipient_name", "recipientName"),
            recipient_ods_code=text("recipient_ods_code", "meshRecipientOdsCode"),
            status=text("status", "status").lower(),
            status_success=_read_success(value("status_success", "statusSuccess")),
            status_event=text("status_event", "statusEvent"),
            status_code=text("status_code", "statusCode"),
            status_description=text("status_description", "statusDescription"),
            status_timestamp=_read_timestamp(value("status_timestamp", "statusTimestamp")),
            upload_timestamp=_read_timestamp(value("upload_timestamp", "uploadTimestamp")),
            expiry_time=_read_timestamp(value("expiry_time", "expiryTime")),
            download_timestamp=_read_timestamp(value("download_timestamp", "downloadTimestamp")),
            raw=fields,
        )


def read_object(answer: Answer, call: Call) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        UnexpectedAnswer: the body is something else.
    """
    try:
        fields = json.loads(answer.body)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise unexpected(
            f"the answer of {call.url} is not MESH's; check NDOO_URL", call, status=answer.status
        ).error
    return fields


def read_message_id(answer: Answer, call: Call) -> str:
    """Read the id given to a message just sent, under its name in either version (section 12).

    Raises:
        UnexpectedAnswer: there is none.
    """
    fields = read_object(answer, call)
    message_id = fields.get("message_id", fields.get("messageID"))
    if not isinstance(message_id, str) or not message_id:
        raise unexpected("the answer has no message id", call, status=answer.status).error
    return message_id


def read_count(answer: Answer, call: Call) -> int:
    """Read how many messages wait (section 11).

    Raises:
        UnexpectedAnswer: the answer does not say.
    """
    count = read_object(answer, call).get("count")
    if not isinstance(count, int):
        raise unexpected("the answer has no count", call).error
    return count


def read_endpoints(answer: Answer, call: Call) -> tuple[Endpoint, ...]:
    """Read the mailboxes of a lookup (section 15).

    Raises:
        UnexpectedAnswer: the body is something else.
    """
    try:
        results = read_object(answer, call)["results"]
        return tuple(Endpoint(each["mailbox_id"], each.get("mailbox_name", "")) for each in results)
    except (TypeError, KeyError, AttributeError) as error:
        raise unexpected("the answer is no list of mailboxes", call).error from error
