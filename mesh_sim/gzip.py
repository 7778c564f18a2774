"""Gzip as a stream in bounded steps: a bomb costs time on the wire, never memory."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from typing import Final, cast

_CODEC_ERRORS: tuple[type[Exception], ...]
try:
    from isal import isal_zlib as codec
    from isal.igzip_lib import IsalError

    _LEVEL = 2
    _CODEC_ERRORS = (cast("type[Exception]", IsalError),)
except ImportError:  # no build for this platform; the standard library's is slower, not different
    import zlib as codec  # type: ignore[no-redef] # the same interface

    _LEVEL = 6
    _CODEC_ERRORS = (zlib.error,)

STEP_BYTES: Final = 1024 * 1024
"""The most that one step gives out."""

_THREAD_BYTES: Final = 128 * 1024
"""From this size on a step is worth a switch of threads."""

_PIECE_BYTES: Final = 16 * 1024
"""How much the codec is given at once. What follows a member it copies, so that in a block of a megabyte with
fifty thousand members, as somebody may make it, that would be gigabytes."""

_GZIP: Final = 16 + zlib.MAX_WBITS


class GzipError(Exception):
    """Bytes that are not gzip, or stop before its end."""


class Decompressor:
    """Takes compressed blocks, gives out plain ones of at most a megabyte; joined members are one body."""

    def __init__(self) -> None:
        self._member = codec.decompressobj(wbits=_GZIP)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decompress one block, a step at a time; members of a few bytes each make one step together.

        Raises:
            GzipError: it is not gzip.
        """
        ready: list[bytes] = []
        room = STEP_BYTES
        for start in range(0, len(data), _PIECE_BYTES):
            piece = data[start : start + _PIECE_BYTES]
            while piece:
                if self._member.eof:
                    self._member = codec.decompressobj(wbits=_GZIP)
                plain = self._step(piece, room)
                piece = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
                if plain:
                    ready.append(plain)
                    room -= len(plain)
                if not room:
                    yield b"".join(ready)
                    ready.clear()
                    room = STEP_BYTES
        if ready:
            yield b"".join(ready)

    def finish(self) -> Iterator[bytes]:
        """Give out what is held back.

        Raises:
            GzipError: the last member is cut short, or there was none.
        """
        while not self._member.eof and (plain := self._step(b"", STEP_BYTES)):
            yield plain
        if not self._member.eof:
            raise GzipError("the gzip data is cut short")

    def _step(self, data: bytes, most: int) -> bytes:
        try:
            return self._member.decompress(data, most)
        except _CODEC_ERRORS as error:
            raise GzipError(f"it is not gzip, or is broken ({error})") from error


async def decompressed(blocks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Give a gzip body plain.

    Raises:
        GzipError: it is not gzip, or is cut short.
    """
    decompressor = Decompressor()
    async for block in blocks:
        steps = decompressor.feed(block)
        while True:
            if len(block) >= _THREAD_BYTES:
                plain = await asyncio.to_thread(next, steps, None)
            else:
                plain = next(steps, None)
            if plain is None:
                break
            yield plain
    for plain in decompressor.finish():
        yield plain


async def compressed(blocks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Give a plain body as gzip."""
    compressor = codec.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    async for block in blocks:
        if len(block) >= _THREAD_BYTES:
            data = await asyncio.to_thread(compressor.compress, block)
        else:
            data = compressor.compress(block)
        if data:
            yield data
    yield compressor.flush()


def compress(data: bytes) -> bytes:
    """Compress a small body in one go."""
    compressor = codec.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    return compressor.compress(data) + compressor.flush()
