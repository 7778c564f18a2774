"""Tracking of sent messages (mesh-api.md section 14)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from aiohttp import web

from mesh_sim.api.answers import iso, json_answer, wanted_version
from mesh_sim.api.keys import EXCHANGE
from mesh_sim.api.message_headers import last_event
from mesh_sim.api.validation import Validator
from mesh_sim.exchange.directory import Directory, Mailbox
from mesh_sim.exchange.messages import Message, MessageType
from mesh_sim.exchange.states import Status
from ndoo.protocol import ApiVersion, ErrorCode

_DELIVERED: Final = ErrorCode("TRANSFER", "01", "Success")
"""What the official example shows for a message that was delivered."""


async def track_message(request: web.Request, mailbox: Mailbox) -> web.Response:
    """Tell the sender where a message is, by its message id."""
    version = wanted_version(request)
    validator = Validator(request)
    message_id = validator.required_query("messageID")
    validator.check()
    exchange = request.app[EXCHANGE]
    message = await exchange.track(mailbox, message_id.upper())
    lifetime = exchange.rules.inbox_expiry
    if version is ApiVersion.V1:
        return json_answer(version, tracking_v1(message, exchange.directory, lifetime))
    return json_answer(version, tracking_v2(message, exchange.directory, lifetime))


async def track_local_id(request: web.Request, mailbox: Mailbox) -> web.Response:
    """Tell the sender where a message is, by its local id (deprecated): always a version 1 body."""
    exchange = request.app[EXCHANGE]
    message = await exchange.track_local_id(mailbox, request.match_info["local_id"])
    body = tracking_v1(message, exchange.directory, exchange.rules.inbox_expiry)
    return json_answer(ApiVersion.V1, body)


def tracking_v2(message: Message, directory: Directory, lifetime: timedelta) -> dict[str, Any]:
    """The version 2 body. Times are ISO 8601 in UTC, without zone."""
    recipient = _mailbox(directory, message.recipient)
    body: dict[str, Any] = {
        "message_id": message.message_id,
        "local_id": message.metadata.local_id,
        "workflow_id": message.workflow_id,
        "filename": message.file_name,
        "expiry_time": iso(message.expires_at(lifetime)),
        "upload_timestamp": iso(message.created_at),
        "recipient": message.recipient,
        "recipient_name": recipient.mailbox_name,
        "recipient_ods_code": recipient.ods_code,
        "recipient_org_code": recipient.org_code,
        "recipient_org_name": recipient.org_name,
        "status_success": message.failure is None,
        "status": message.status.value,
    }
    if (event := _status_event(message)) is not None:
        body |= {
            "status_event": event.event,
            "status_timestamp": iso(_newest(message)),
            "status_description": event.text,
            "status_code": event.code,
        }
    return body


def tracking_v1(message: Message, directory: Directory, lifetime: timedelta) -> dict[str, Any]:
    """The version 1 body. Times are ``yyyyMMddHHmmss`` in UTC; flags are ``Y`` or empty."""
    sender, recipient = _mailbox(directory, message.sender), _mailbox(directory, message.recipient)
    metadata, failure = message.metadata, message.failure
    compressed = "Y" if metadata.compressed else ""
    body: dict[str, Any] = {
        "addressType": "ALL",
        "checksum": metadata.checksum,
        "chunkCount": message.total_chunks,
        "compressFlag": compressed,
        "contentEncoding": metadata.content_encoding,
        "downloadTimestamp": _compact(message.acknowledged_at),
        "dtsId": message.message_id,
        "encryptedFlag": "Y" if metadata.encrypted else "",
        "expiryTime": _compact(message.expires_at(lifetime)),
    }
    if failure is not None and message.message_type is MessageType.DATA:
        body |= {"failureDate": _compact(failure.at), "failureDiagnostic": failure.error.text}
    body |= {"fileName": message.file_name, "fileSize": message.file_size, "isCompressed": compressed}
    if failure is not None and failure.linked_message_id:
        body["linkedMsgId"] = failure.linked_message_id
    body |= {
        "localId": metadata.local_id,
        "meshRecipientOdsCode": recipient.ods_code,
        "messageId": message.message_id,
        "messageType": message.message_type.value,
        "partnerId": metadata.partner_id,
        "recipient": message.recipient,
        "recipientName": recipient.mailbox_name,
        "recipientOrgCode": recipient.org_code,
        "recipientOrgName": recipient.org_name,
        "recipientSmtp": "",
        "sender": message.sender,
        "senderName": sender.mailbox_name,
        "senderOdsCode": sender.ods_code,
        "senderOrgCode": sender.org_code,
        "senderOrgName": sender.org_name,
        "senderSmtp": "",
        "status": message.status.value.capitalize(),
        "statusSuccess": "SUCCESS" if failure is None else "ERROR",
    }
    if (event := _status_event(message)) is not None:
        body |= {
            "statusCode": event.code,
            "statusDescription": event.text,
            "statusEvent": event.event,
            "statusTimestamp": _compact(_newest(message)),
        }
    body |= {
        "subject": metadata.subject,
        "uploadTimestamp": _compact(message.created_at),
        "version": "1.0",
        "workflowId": message.workflow_id,
    }
    return body


def _status_event(message: Message) -> ErrorCode | None:
    if message.failure is not None:
        return message.failure.error
    return _DELIVERED if message.status in (Status.ACCEPTED, Status.ACKNOWLEDGED) else None


def _newest(message: Message) -> datetime:
    return max(last_event(message), message.acknowledged_at or message.created_at)


def _mailbox(directory: Directory, mailbox_id: str) -> Mailbox:
    """Give the mailbox's record; one that is gone from the directory reads as an unnamed one."""
    return directory.mailbox(mailbox_id) or Mailbox(mailbox_id, "")


def _compact(at: datetime | None) -> str:
    return f"{at:%Y%m%d%H%M%S}" if at else ""
