"""The way of a list through the service: read in blocks, checked, and written as the answer's chunks.

Nothing here holds a whole list. The answer is compressed if the submission was, each chunk on its own
(mesh-api.md section 13), and chunked where it is long.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, TypeVar

from mesh_sim.exchange.bodies import take_in
from mesh_sim.exchange.messages import Chunk, Inline, Message, Stored
from mesh_sim.exchange.ports import MessageStore, PayloadStore
from mesh_sim.gzip import GzipError, compressed, decompressed
from mesh_sim.optouts.checker import ListChecker
from ndoo.cache import CacheWriter
from ndoo.lists import EMPTY_ANSWER
from ndoo.protocol import INVALID_LIST_ANSWER

ANSWER_CHUNK_BYTES: Final = 50_000_000
"""How many bytes of an answer, before compression, travel in one chunk."""

GZIP: Final = "gzip"

T = TypeVar("T")

KeepClaim = Callable[[], Awaitable[None]]
"""Awaited between blocks, so that a long list does not outlast its lease; raises ``ClaimLost``."""

_THREAD_BYTES: Final = 32 * 1024
"""From this size on a block is worth a switch of threads."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Size in bytes and SHA-256 (hex) of a submitted file, as much of it as could be decompressed."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class CheckedList:
    """A checked submission: its file, the body of its answer, and why its list is invalid, if it is."""

    fingerprint: Fingerprint
    chunks: tuple[Chunk, ...]
    fault: str


class ListDesk:
    """Reads submitted lists and writes answers, over the exchange's two stores."""

    def __init__(
        self, messages: MessageStore, payloads: PayloadStore, chunk_bytes: int = ANSWER_CHUNK_BYTES
    ) -> None:
        self._messages = messages
        self._payloads = payloads
        self._chunk_bytes = chunk_bytes

    async def inspect(self, message: Message, keep_claim: KeepClaim) -> Fingerprint:
        """Read a submission only for what its receipt says of it."""
        reading = _Reading()
        async with aclosing(self._blocks(message, reading)) as blocks:
            async for block in blocks:
                await keep_claim()
                await _apart(block, reading.note)
        return reading.fingerprint()

    async def check(
        self,
        message: Message,
        checker: ListChecker,
        cache: CacheWriter | None,
        keep_claim: KeepClaim,
    ) -> CheckedList:
        """Check a submission and write its answer's body.

        The chunks are durable but belong to nothing yet: whoever does not send them discards them. If
        this raises, there are none.

        Args:
            message: the submission.
            checker: a fresh one.
            cache: turns the kept records into a temporary-cache file; None for a cleaned list.
            keep_claim: see ``KeepClaim``.
        """
        gzipped = message.metadata.content_encoding == GZIP
        reading = _Reading()
        chunks: list[Chunk] = []
        try:
            async with aclosing(self._kept(message, reading, checker, cache, keep_claim)) as kept:
                await self._write(kept, gzipped, chunks)
            fault = reading.fault or _fault(checker)
            if fault:
                await self.discard(chunks)
                chunks.clear()
                await self._write(_single(INVALID_LIST_ANSWER), gzipped, chunks)
            elif not chunks:
                await self._write(_single(EMPTY_ANSWER), gzipped, chunks)
        except BaseException:
            await self.discard(chunks)
            raise
        return CheckedList(reading.fingerprint(), tuple(chunks), fault)

    async def discard(self, chunks: Sequence[Chunk]) -> None:
        """Delete the bodies of chunks that are not going to be sent."""
        stored = [chunk.body for chunk in chunks if isinstance(chunk.body, Stored)]
        if stored:
            await self._payloads.delete(stored)

    async def _kept(
        self,
        message: Message,
        reading: _Reading,
        checker: ListChecker,
        cache: CacheWriter | None,
        keep_claim: KeepClaim,
    ) -> AsyncGenerator[bytes, None]:
        def check(block: bytes) -> list[bytes]:
            reading.note(block)
            kept = checker.feed(block)
            return kept if cache is None else [cache.records(records) for records in kept]

        if cache is not None:
            yield cache.start()
        async with aclosing(self._blocks(message, reading)) as blocks:
            async for block in blocks:
                await keep_claim()
                for records in await _apart(block, check):
                    yield records
        for records in checker.finish():
            yield records if cache is None else cache.records(records)
        if cache is not None:
            yield cache.finish()

    async def _blocks(self, message: Message, reading: _Reading) -> AsyncGenerator[bytes, None]:
        """Give a submission's file, decompressed; it ends early where it cannot be read on."""
        gzipped = message.metadata.content_encoding == GZIP
        for number in range(1, message.total_chunks + 1):
            chunk = await self._messages.chunk(message.message_id, number)
            if chunk is None:  # possible with the relaxation missing-chunks
                reading.fault = f"chunk {number} was never sent"
                return
            stored = self._body(chunk)
            try:
                async for block in decompressed(stored) if gzipped else stored:
                    yield block
            except GzipError:
                reading.fault = f"chunk {number} was declared as gzip, but is not, or is cut short"
                return

    def _body(self, chunk: Chunk) -> AsyncIterator[bytes]:
        if isinstance(chunk.body, Inline):
            return _single(chunk.body.data)
        return self._payloads.read(chunk.body)

    async def _write(self, blocks: AsyncIterator[bytes], gzipped: bool, chunks: list[Chunk]) -> None:
        """Write an answer's body, adding each chunk to ``chunks`` as it becomes durable."""
        splitter = _Splitter(blocks, self._chunk_bytes)
        while await splitter.more():
            piece = splitter.chunk()
            body, size = await take_in(compressed(piece) if gzipped else piece, self._payloads, None)
            chunks.append(Chunk(len(chunks) + 1, size, body))


class _Reading:
    """What is learnt of a file while it is read."""

    def __init__(self) -> None:
        self._size = 0
        self._hash = hashlib.sha256()
        self.fault = ""

    def note(self, block: bytes) -> None:
        self._size += len(block)
        self._hash.update(block)

    def fingerprint(self) -> Fingerprint:
        return Fingerprint(self._size, self._hash.hexdigest())


class _Splitter:
    """Cuts a stream of blocks into chunks of a size, each a stream that is read to its end."""

    def __init__(self, blocks: AsyncIterator[bytes], size: int) -> None:
        self._blocks = blocks
        self._size = size
        self._left = b""

    async def more(self) -> bool:
        """Tell whether anything is left: a chunk is never empty, for MESH refuses empty bodies."""
        while not self._left:
            block = await anext(self._blocks, None)
            if block is None:
                return False
            self._left = block
        return True

    async def chunk(self) -> AsyncIterator[bytes]:
        room = self._size
        while room and await self.more():
            piece, self._left = self._left[:room], self._left[room:]
            room -= len(piece)
            yield piece


def _fault(checker: ListChecker) -> str:
    if checker.first_invalid is not None:
        return f"line {checker.first_invalid} is not a valid record"
    return "" if checker.acceptable else "the list holds no records"


async def _apart(block: bytes, work: Callable[[bytes], T]) -> T:
    """Do heavy work on a large block in a thread, so that the event loop goes on."""
    return await asyncio.to_thread(work, block) if len(block) >= _THREAD_BYTES else work(block)


async def _single(data: bytes) -> AsyncIterator[bytes]:
    yield data
