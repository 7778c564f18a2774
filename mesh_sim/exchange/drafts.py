"""A send before it is accepted, and the checks it must pass in their official order (section 12)."""

from __future__ import annotations

from dataclasses import dataclass

from mesh_sim.exchange.directory import Directory, Mailbox
from mesh_sim.exchange.errors import EncodingUnsupported, Malformed, SendRefused
from mesh_sim.exchange.messages import MessageType, Metadata
from ndoo.protocol import ChunkRange, Codes, ErrorCode


@dataclass(frozen=True, slots=True)
class Draft:
    """A send as its headers describe it.

    ``message_id`` is the id it will have, named in refusals too. ``chunk_range`` is the header's text,
    empty for an unchunked message; ``sent_from`` and ``message_type`` are empty where nothing was said.
    """

    message_id: str
    recipient: str
    workflow_id: str
    metadata: Metadata
    chunk_range: str = ""
    sent_from: str = ""
    message_type: str = ""

    def refused(self, code: ErrorCode, why: str) -> SendRefused:
        """Make the refusal of this draft for a coded reason."""
        return SendRefused(code, message_id=self.message_id, why=why)


def check(draft: Draft, sender: Mailbox, directory: Directory) -> ChunkRange:
    """Check a draft before its body is read; give the chunk range it begins with.

    Raises:
        Malformed, SendRefused, EncodingUnsupported: for the first rule that it breaks.
    """
    _check_control(draft, sender)
    chunks = _first_chunk(draft)
    _check_route(draft, sender, directory)
    return chunks


def _check_control(draft: Draft, sender: Mailbox) -> None:
    if not draft.recipient:
        raise Malformed(Codes.TO_MISSING, why="Mex-To is blank")
    if draft.sent_from and draft.sent_from != sender.mailbox_id:
        raise draft.refused(Codes.INVALID_FROM, "Mex-From is not the mailbox of the token")
    if draft.message_type and draft.message_type != MessageType.DATA:
        raise draft.refused(Codes.INVALID_MESSAGE_TYPE, "Mex-MessageType is not DATA")
    if draft.metadata.content_encoding not in ("", "gzip"):
        raise EncodingUnsupported(why="Content-Encoding may only be gzip")


def _first_chunk(draft: Draft) -> ChunkRange:
    if not draft.chunk_range:
        return ChunkRange(1, 1)
    try:
        chunks = ChunkRange.parse(draft.chunk_range)
    except ValueError as error:
        why = "Mex-Chunk-Range is not n:total within its bounds"
        raise draft.refused(Codes.INVALID_CHUNK_RANGE, why) from error
    if chunks.number != 1:
        raise draft.refused(Codes.INVALID_CHUNK_RANGE, "a message begins with its chunk 1")
    return chunks


def _check_route(draft: Draft, sender: Mailbox, directory: Directory) -> None:
    recipient = directory.mailbox(draft.recipient)
    if recipient is None:
        raise draft.refused(Codes.UNREGISTERED_RECIPIENT, "the recipient mailbox is unknown")
    if not recipient.active:
        raise draft.refused(Codes.UNREGISTERED_RECIPIENT, "the recipient mailbox is inactive")
    workflow = directory.workflow(draft.workflow_id)
    if workflow is None:  # unrestricted
        return
    if not workflow.allows_sender(sender.mailbox_id):
        raise draft.refused(Codes.SENDER_NOT_ALLOWED, "the sender is not among the workflow's senders")
    if draft.recipient not in workflow.receivers:
        raise draft.refused(
            Codes.WORKFLOW_NOT_REGISTERED, "the recipient is not among the workflow's receivers"
        )
