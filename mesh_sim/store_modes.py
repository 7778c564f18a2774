"""The sandbox's store modes: where messages are kept, and which are there at the start (section 19)."""

from __future__ import annotations

import contextlib
import gzip
import tempfile
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from mesh_sim.config import Settings, StoreMode
from mesh_sim.exchange.desk import ServiceDesk
from mesh_sim.exchange.messages import Chunk, Inline, Message, MessageType, Metadata
from mesh_sim.exchange.service import Exchange
from mesh_sim.exchange.states import Status

_BODY_BYTES: Final = 662
"""Size of the sandbox's two simple canned messages."""

_LINE: Final = b"This message was put here at the start, to be found by a test.\n"
_HALVES: Final = (b"The first half of a message in two chunks.\n" * 20, b"And this is the second.\n" * 20)


@contextlib.contextmanager
def data_folder(settings: Settings) -> Iterator[Settings]:
    """Give the settings to run with: in any mode but ``file``, with a folder that goes when this ends."""
    if settings.store_mode is StoreMode.FILE:
        yield settings
        return
    with tempfile.TemporaryDirectory(prefix="mesh-sim-", ignore_cleanup_errors=True) as folder:
        yield settings.model_copy(update={"data": Path(folder)})


async def put_canned_messages(desk: ServiceDesk, exchange: Exchange) -> None:
    """Put the sandbox's three canned messages where they belong, as if they had been sent just now.

    A mailbox that does not take part gets none.
    """
    directory = exchange.directory
    canned = [
        (message, chunks)
        for message, chunks in canned_messages(exchange.now())
        if directory.mailbox(message.recipient) and directory.mailbox(message.sender)
    ]
    await desk.put(canned)


def canned_messages(at: datetime) -> Sequence[tuple[Message, Sequence[Chunk]]]:
    """Make a message that waits, one that was not delivered, and one in two chunks of gzip."""
    text = (_LINE * (_BODY_BYTES // len(_LINE) + 1))[:_BODY_BYTES]
    halves = [gzip.compress(half, mtime=0) for half in _HALVES]
    return [
        _canned("SIMPLE_MESSAGE", ("X26ABC2", "X26ABC1"), [text], at),
        _canned("UNDELIVERED_MESSAGE", ("X26ABC2", "X26ABC1"), [text], at, status=Status.UNDELIVERABLE),
        _canned("CHUNKED_MESSAGE_GZ", ("X26ABC1", "X26ABC2"), halves, at, encoding="gzip"),
    ]


def _canned(
    message_id: str,
    parties: tuple[str, str],
    bodies: Sequence[bytes],
    at: datetime,
    *,
    status: Status = Status.ACCEPTED,
    encoding: str = "",
) -> tuple[Message, Sequence[Chunk]]:
    sender, recipient = parties
    message = Message(
        message_id=message_id,
        message_type=MessageType.DATA,
        sender=sender,
        recipient=recipient,
        workflow_id="TEST_WORKFLOW",
        status=status,
        total_chunks=len(bodies),
        created_at=at,
        accepted_at=at,
        file_size=sum(map(len, bodies)),
        metadata=Metadata(content_encoding=encoding),
    )
    return message, [Chunk(number, len(body), Inline(body)) for number, body in enumerate(bodies, 1)]
