"""A message's body on its way out, cut into chunks (mesh-api.md sections 12 and 13)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from ndoo import protocol
from ndoo._bodies import Source, gzip_blocks, read_blocks
from ndoo._failures import Call
from ndoo._transport import Request
from ndoo.protocol import Header

CHUNK_SIZE: Final = 75_000_000
"""Default size of a chunk before compression, in bytes."""

MAX_GZIP_CHUNK: Final = 99_000_000
"""Incompressible data grows a little; a chunk this size still fits into one request (section 2)."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A body cut into chunks of ``step`` bytes before compression (section 13)."""

    source: Source
    step: int
    compress: bool
    progress: Callable[[int], None] | None

    @property
    def total(self) -> int:
        """How many chunks there are."""
        return protocol.chunk_count(self.source.size, self.step)

    def request(
        self, number: int, call: Call, target: str, headers: Mapping[str, str], content_type: str
    ) -> Request:
        """Make the POST of one chunk; its bytes are read from the source again on each try."""
        start = (number - 1) * self.step
        end = min(start + self.step, self.source.size)

        def body() -> AsyncIterator[bytes | memoryview]:
            blocks = read_blocks(self.source, start, end, self.progress)
            return gzip_blocks(blocks) if self.compress else blocks

        headers = {
            **headers,
            "Content-Type": content_type,
            Header.CHUNK_RANGE: str(protocol.ChunkRange(number, self.total)),
        }
        if self.compress:
            # On every chunk or on none: the server refuses a change (section 13).
            headers["Content-Encoding"] = "gzip"
            if number == 1:
                # The assurance team looks for it (witness-tests.md, case 202). Mex-Content-Compressed would
                # tell the recipient that the body that arrives is itself a compressed one.
                headers[Header.CONTENT_COMPRESS] = "Y"
        return Request(
            call,
            "POST",
            target,
            headers,
            body,
            size=None if self.compress else end - start,
            # Locked: the last chunk was complete at an earlier try whose answer was lost.
            done_status=423 if number == self.total > 1 else None,
        )
