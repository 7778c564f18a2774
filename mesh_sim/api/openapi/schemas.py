"""The bodies of MESH's answers, and the shapes of every refusal (mesh-api.md sections 4 to 16)."""

from __future__ import annotations

from typing import Final

from mesh_sim.api.openapi.parts import COUNT, FLAG, TEXT, WHOLE, Schema, choice, list_of, record, ref
from mesh_sim.exchange.errors import INTERNAL
from mesh_sim.exchange.messages import MessageType
from mesh_sim.exchange.states import Status

STATUSES: Final = tuple(Status)
TYPES: Final = tuple(MessageType)

MESSAGE_ID: Final[Schema] = {"type": "string", "examples": ["20261124101530123456_3FA9C0"]}
_ISO: Final[Schema] = {"type": "string", "description": "ISO 8601, in UTC without a zone"}
_COMPACT: Final[Schema] = {
    "type": "string",
    "pattern": "^([0-9]{14})?$",
    "description": "yyyyMMddHHmmss, UTC",
}
_YES: Final[Schema] = choice("Y", "")

MESH: Final[dict[str, Schema]] = {
    "MeshErrorV1": record(
        {"errorEvent": TEXT, "errorCode": TEXT, "errorDescription": TEXT}, {"messageID": MESSAGE_ID}
    ),
    "MeshErrorV2": record(
        {"detail": list_of(record({"event": TEXT, "code": TEXT, "msg": TEXT}))},
        {"message_id": MESSAGE_ID, "internal_id": TEXT},
    ),
    "FormError": record(
        {
            "detail": list_of(
                record(
                    {"type": TEXT, "loc": list_of({"type": ["string", "integer"]}), "msg": TEXT},
                    {"input": TEXT, "ctx": {"type": "object"}},
                )
            )
        }
    ),
    "GenericError": record({"message": {"const": INTERNAL}}),
    "RouterError": record({"detail": choice("Not Found", "Method Not Allowed", "Incomplete request body")}),
    "Handshake": record({"mailboxId": TEXT}),
    "InboxV1": record({"messages": list_of(MESSAGE_ID)}),
    "InboxV2": record(
        {
            "messages": list_of(MESSAGE_ID),
            "links": record({"self": TEXT}, {"next": TEXT}),
            "approx_inbox_count": COUNT,
        }
    ),
    "CountV1": record({"count": COUNT, "internalID": TEXT, "allResultsIncluded": FLAG}),
    "CountV2": record({"count": COUNT}),
    "AcknowledgedV1": record({"messageId": MESSAGE_ID}),
    "SentV1": record({"messageID": MESSAGE_ID}),
    "SentV2": record({"message_id": MESSAGE_ID}),
    "ChunkSentV1": record({"messageID": MESSAGE_ID, "blockID": WHOLE}),
    "EndpointsV1": record(
        {
            "query_id": TEXT,
            "results": list_of(
                record({"address": TEXT, "description": TEXT, "endpoint_type": {"const": "MESH"}})
            ),
        }
    ),
    "Mailboxes": record({"results": list_of(record({"mailbox_id": TEXT, "mailbox_name": TEXT}))}),
    "TrackingV1": record(
        {
            **dict.fromkeys(
                (
                    *("addressType", "checksum", "contentEncoding", "dtsId", "fileName", "localId"),
                    *("meshRecipientOdsCode", "messageId", "partnerId", "recipient", "recipientName"),
                    *("recipientOrgCode", "recipientOrgName", "recipientSmtp", "sender", "senderName"),
                    *("senderOdsCode", "senderOrgCode", "senderOrgName", "senderSmtp", "subject", "version"),
                    "workflowId",
                ),
                TEXT,
            ),
            **dict.fromkeys(("downloadTimestamp", "expiryTime", "uploadTimestamp"), _COMPACT),
            **dict.fromkeys(("compressFlag", "encryptedFlag", "isCompressed"), _YES),
            **dict.fromkeys(("chunkCount", "fileSize"), COUNT),
            "messageType": choice(*TYPES),
            "status": choice(*(status.capitalize() for status in STATUSES)),
            "statusSuccess": choice("SUCCESS", "ERROR"),
        },
        {
            **dict.fromkeys(
                ("failureDiagnostic", "linkedMsgId", "statusCode", "statusDescription", "statusEvent"), TEXT
            ),
            **dict.fromkeys(("failureDate", "statusTimestamp"), _COMPACT),
        },
    ),
    "TrackingV2": record(
        {
            **dict.fromkeys(
                (
                    *("message_id", "local_id", "workflow_id", "filename", "recipient", "recipient_name"),
                    *("recipient_ods_code", "recipient_org_code", "recipient_org_name"),
                ),
                TEXT,
            ),
            "expiry_time": _ISO,
            "upload_timestamp": _ISO,
            "status_success": FLAG,
            "status": choice(*STATUSES),
        },
        {
            **dict.fromkeys(("status_event", "status_description", "status_code"), TEXT),
            "status_timestamp": _ISO,
        },
    ),
    "RichList": record(
        {
            "valid_at": _ISO,
            "messages": list_of(ref("RichMessage")),
            "links": record({"self": TEXT}, {"next": TEXT}),
        }
    ),
    "RichMessage": record(
        {
            **dict.fromkeys(
                ("message_id", "recipient", "recipient_name", "sender", "sender_name", "workflow_id"), TEXT
            ),
            "expiry_timestamp": _ISO,
            "message_type": choice(*TYPES),
            "status": choice(*STATUSES),
            "total_chunks": COUNT,
        },
        {"local_id": TEXT, "sent_date": _ISO, "status_code": TEXT},
    ),
    "Health": record({"env": TEXT, "build_label": TEXT, "status": TEXT, "outcome": TEXT}),
    "MailboxDetails": record(
        {
            **dict.fromkeys(("mailbox_id", "mailbox_name", "ods_code", "org_code", "org_name"), TEXT),
            "active": FLAG,
        },
        {"billing_entity": TEXT},
    ),
    "MessageDetails": record(
        {
            **dict.fromkeys(
                (
                    *("checksum", "filename", "message_id", "recipient", "recipient_name"),
                    *("recipient_ods_code", "recipient_org_code", "recipient_org_name", "sender"),
                    *("sender_name", "sender_ods_code", "sender_org_code", "sender_org_name", "workflow_id"),
                ),
                TEXT,
            ),
            **dict.fromkeys(("chunk_count", "file_size"), COUNT),
            **dict.fromkeys(("expiry_time", "upload_timestamp"), _ISO),
            "message_type": choice(*(kind.capitalize() for kind in TYPES)),
            "status": choice(*(status.capitalize() for status in STATUSES)),
            "status_success": choice("SUCCESS", "ERROR"),
        },
        {
            **dict.fromkeys(
                (
                    *("content_encoding", "failure_diagnostic", "linked_msg_id", "local_id", "status_code"),
                    *("status_description", "status_event", "subject"),
                ),
                TEXT,
            ),
            **dict.fromkeys(("download_timestamp", "failure_date", "status_timestamp"), _ISO),
            **dict.fromkeys(("is_compressed", "is_encrypted"), FLAG),
        },
    ),
    "Done": record({"message": TEXT}),
}
"""Named schemas of MESH's own answers and of the sandbox's, by their names in the document."""
