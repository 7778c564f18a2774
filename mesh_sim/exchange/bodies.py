"""Taking in a body: small ones whole, large ones streamed to the payload store, none past the limit."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator

from mesh_sim.exchange.errors import BodyTooLarge
from mesh_sim.exchange.messages import INLINE_LIMIT, Inline, Stored
from mesh_sim.exchange.ports import PayloadStore


async def take_in(
    blocks: AsyncIterable[bytes], payloads: PayloadStore, limit: int | None
) -> tuple[Inline | Stored, int]:
    """Keep a body; give where it is and its size in bytes.

    Raises:
        BodyTooLarge: more than ``limit`` bytes came (None: no limit); nothing is left of them.
    """
    source = aiter(_limited(blocks, limit) if limit is not None else blocks)
    start = bytearray()
    async for block in source:
        start += block
        if len(start) > INLINE_LIMIT:
            return await payloads.write(_joined(bytes(start), source))
    return Inline(bytes(start)), len(start)


async def _limited(blocks: AsyncIterable[bytes], limit: int) -> AsyncIterator[bytes]:
    size = 0
    async for block in blocks:
        size += len(block)
        if size > limit:
            raise BodyTooLarge(limit)
        yield block


async def _joined(start: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield start
    async for block in rest:
        yield block
