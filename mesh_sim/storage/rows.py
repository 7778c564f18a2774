"""Rows read as what they keep."""

from __future__ import annotations

from typing import Final

from mesh_sim.exchange.messages import Chunk, Failure, Inline, Message, MessageType, Metadata, Stored
from mesh_sim.exchange.states import Status
from mesh_sim.storage.database import Row
from mesh_sim.storage.times import from_micros
from ndoo.protocol import ErrorCode

# A dictionary finds a member several times faster than its class does, and every request reads a message.
_TYPES: Final = {member.value: member for member in MessageType}
_STATUSES: Final = {member.value: member for member in Status}


def as_message(row: Row) -> Message:
    """Read a row of :data:`mesh_sim.storage.sql.MESSAGE_COLUMNS`."""
    failure = None
    if row[21] is not None:
        failure = Failure(ErrorCode(row[22], row[23], row[24]), from_micros(int(row[21])), row[25])
    return Message(
        message_id=row[0],
        message_type=_TYPES[row[1]],
        sender=row[2],
        recipient=row[3],
        workflow_id=row[4],
        status=_STATUSES[row[5]],
        total_chunks=row[6],
        created_at=from_micros(int(row[7])),
        metadata=Metadata(
            subject=row[8],
            local_id=row[9],
            partner_id=row[10],
            file_name=row[11],
            checksum=row[12],
            content_type=row[13],
            content_encoding=row[14],
            encrypted=bool(row[15]),
            compressed=bool(row[16]),
        ),
        file_size=row[17],
        position=row[18],
        accepted_at=from_micros(row[19]),
        acknowledged_at=from_micros(row[20]),
        failure=failure,
        intended_recipient=row[26],
        in_inbox=bool(row[27]),
        in_outbox=bool(row[28]),
    )


def as_chunk(row: Row) -> Chunk:
    """Read a row of ``number``, ``size``, ``inline`` and ``payload_key``."""
    number, size, inline, payload_key = row
    return Chunk(number, size, Stored(payload_key) if inline is None else Inline(bytes(inline)))
