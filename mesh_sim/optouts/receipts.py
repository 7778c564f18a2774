"""The receipt: what the service says on getting a submission, long before its answer.

Its fields are those of a real one (ndoo-service.md, "What comes back", 1). A client that takes it for
the cleaned list is broken, and this is where it finds out.
"""

from __future__ import annotations

import json
import zlib
from datetime import datetime
from typing import Any, Final

from mesh_sim.exchange.messages import Message
from mesh_sim.optouts.answers import Fingerprint

_VERSION: Final = 10
_AGENT: Final = 1
_DATASET: Final = "mesh_to_pos"


def receipt_body(message: Message, fingerprint: Fingerprint, checked_at: datetime) -> bytes:
    """Write the JSON body of the receipt for a submission.

    Ids are numbers that stay the same: the submission's is its arrival number in the service mailbox, the
    sender's is worked out from the mailbox id. Times carry no zone, like the real ones; they are UTC.

    Args:
        message: the submission.
        fingerprint: size and SHA-256 of its file, decompressed.
        checked_at: the simulated time at which the file had been looked at.
    """
    received_at = message.accepted_at or message.created_at
    metadata = message.metadata
    sender_id = zlib.crc32(message.sender.encode())
    file_name = message.file_name
    body = {
        "version": _VERSION,
        "id": message.position,
        "status": "pending",
        "received": _iso(received_at),
        "submitted": _iso(checked_at),
        "finished": None,
        "stages": [
            _stage("validate_non_empty_file", checked_at, passed=fingerprint.size > 0),
            _stage("validate_is_unique_upload", checked_at),
            _stage("validate_in_order", checked_at),
        ],
        "runs": [],
        "sender_id": sender_id,
        "agent_id": _AGENT,
        "dataset_id": _DATASET,
        "dataset_version": None,
        "workspace": None,
        "metadata": {
            "submission_id": message.position,
            "sender_id": sender_id,
            "test_submission": True,
            "received_timestamp": _stamp(received_at),
            "file_type": "csv",
            "filename": file_name,
            "filesize": fingerprint.size,
            "file_hash": fingerprint.sha256,
            "request": {
                "extra": {
                    "sending_mailbox": message.sender,
                    "landing_mailbox": message.recipient,
                    "message_id": message.message_id,
                    "filename": file_name,
                    "local_id": metadata.local_id,
                    "message_type": message.message_type.value,
                    "subject": metadata.subject,
                    "encrypted": metadata.encrypted,
                    "compressed": metadata.compressed,
                }
            },
        },
    }
    return json.dumps(body).encode()


def _stage(name: str, at: datetime, *, passed: bool = True) -> dict[str, Any]:
    return {"stage": name, "ts": _stamp(at), "passed": passed, "details": None}


def _stamp(at: datetime) -> int:
    """Write a time as the number yyyymmddHHMMSSffffff."""
    return int(f"{at:%Y%m%d%H%M%S%f}")


def _iso(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S.%f}"
