"""Bodies in bounded blocks: where an outgoing one comes from, and gzip in both directions.

Nothing here holds a whole chunk: files are read a block at a time, and compressed data grows a block at
a time however much it would grow to.
"""

from __future__ import annotations

import asyncio
import os
import stat
import tempfile
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol

from ndoo.errors import UnreadableList

if TYPE_CHECKING:
    import zlib
else:
    try:
        # Several times as fast as the standard library's, with the same interface.
        from isal import isal_zlib as zlib
    except ImportError:
        import zlib

BLOCK: Final = 1 << 20
"""The most bytes read, compressed or decompressed in one step."""

_SEND_BLOCK: Final = 1 << 18
"""What is handed to the network at once: of more than a socket takes, asyncio moves the rest in memory with
each piece that goes out, which halves the speed at a megabyte."""

_GZIP: Final = 31
"""``wbits`` for a gzip wrapper around a 32 KiB window."""

_SMALL: Final = 1 << 16
"""Blocks up to this size are compressed at once: handing them to a thread takes longer."""


Body = bytes | bytearray | memoryview | Path | AsyncIterable[bytes]
"""What can be sent."""


class Source(Protocol):
    """Bytes of a known size that can be read again, so that a chunk can be sent again."""

    @property
    def size(self) -> int:
        """How many bytes there are."""
        ...

    async def read(self, start: int, size: int) -> bytes | memoryview:
        """Read up to ``size`` bytes from ``start``."""
        ...


class BytesSource:
    """A body in memory; its blocks are views, not copies."""

    __slots__ = ("_view", "size")

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._view = memoryview(data).cast("B")
        self.size = self._view.nbytes

    async def read(self, start: int, size: int) -> bytes | memoryview:
        """Read up to ``size`` bytes from ``start``."""
        return self._view[start : start + size]


class FileSource:
    """A body in a file, which must stay as it was when it was opened."""

    __slots__ = ("_file", "_lock", "_name", "_stamp", "size")

    def __init__(self, file: BinaryIO, name: Path) -> None:
        self._file = file
        self._name = name
        # A try that was given up may still be reading in its thread while the next one begins: seek and
        # read are one step under a lock, or the second try could send bytes from the wrong place.
        self._lock = threading.Lock()
        self._stamp = self._read_stamp()
        self.size = self._stamp[0]

    async def read(self, start: int, size: int) -> bytes | memoryview:
        """Read up to ``size`` bytes from ``start``.

        Raises:
            UnreadableList: reading failed, or the file is not what it was when sending began (chunks of
                two versions must not be delivered as one message).
        """
        return await asyncio.to_thread(self._read_at, start, size)

    def _read_at(self, start: int, size: int) -> bytes:
        with self._lock:
            try:
                self._file.seek(start)
                block = self._file.read(size)
                changed = self._read_stamp() != self._stamp
            except OSError as error:
                raise UnreadableList(self._name, f"cannot be read: {error.strerror}") from error
        if changed:
            raise UnreadableList(self._name, "changed while it was being sent; send it again")
        return block

    def _read_stamp(self) -> tuple[int, int]:
        status = os.fstat(self._file.fileno())
        return status.st_size, status.st_mtime_ns


@asynccontextmanager
async def open_source(body: Body) -> AsyncIterator[Source]:
    """Make a body re-readable and find its size, which the chunk range needs before anything is sent.

    A stream, or a path that is not a regular file, is first copied: up to one block in memory, beyond
    that to a temporary file without a name, which no other user can open and a crash does not leave.

    Raises:
        UnreadableList: the path cannot be opened or read.
    """
    if isinstance(body, bytes | bytearray | memoryview):
        yield BytesSource(body)
    elif isinstance(body, Path):
        file = await asyncio.to_thread(_open, body)
        try:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                yield FileSource(file, body)
            else:
                async with _spool(_file_blocks(file, body), body) as source:
                    yield source
        finally:
            await asyncio.to_thread(file.close)
    else:
        async with _spool(body, Path("the stream")) as source:
            yield source


def _open(path: Path) -> BinaryIO:
    try:
        # Unbuffered: blocks are large, and a buffer could hide that the file changed.
        return path.open("rb", buffering=0)
    except OSError as error:
        raise UnreadableList(path, f"cannot be read: {error.strerror}") from error


async def _file_blocks(file: BinaryIO, path: Path) -> AsyncIterator[bytes]:
    try:
        while block := await asyncio.to_thread(file.read, BLOCK):
            yield block
    except OSError as error:
        raise UnreadableList(path, f"cannot be read: {error.strerror}") from error


@asynccontextmanager
async def _spool(stream: AsyncIterable[bytes], name: Path) -> AsyncIterator[Source]:
    head = bytearray()
    file: BinaryIO | None = None
    try:
        async for block in stream:
            if file is None:
                head += block
                if len(head) > BLOCK:
                    file = await asyncio.to_thread(_temporary, bytes(head))
                    head.clear()
            else:
                await asyncio.to_thread(file.write, block)
        if file is None:
            yield BytesSource(head)
        else:
            await asyncio.to_thread(file.flush)
            yield FileSource(file, name)
    finally:
        if file is not None:
            await asyncio.to_thread(file.close)


def _temporary(data: bytes) -> BinaryIO:
    file = tempfile.TemporaryFile()  # noqa: SIM115 -- closed by _spool, which outlives this function
    file.write(data)
    return file


async def read_blocks(
    source: Source, start: int, end: int, progress: Callable[[int], None] | None = None
) -> AsyncIterator[bytes | memoryview]:
    """Read the bytes from ``start`` up to ``end`` in blocks.

    ``progress`` is told the position reached each time a block has been taken; on another try it starts
    again from ``start``.
    """
    while start < end:
        block = await source.read(start, min(_SEND_BLOCK, end - start))
        start += len(block)
        yield block
        if progress is not None:
            progress(start)


async def gzip_blocks(blocks: AsyncIterable[bytes | memoryview]) -> AsyncIterator[bytes]:
    """Compress blocks into one gzip member, off the event loop where that is worth it."""
    # isal's levels end at 3; its 2 is about as tight as zlib's 6.
    level = 6 if zlib.__name__ == "zlib" else 2
    member = zlib.compressobj(level, zlib.DEFLATED, _GZIP)
    async for block in blocks:
        small = len(block) <= _SMALL
        packed = member.compress(block) if small else await asyncio.to_thread(member.compress, block)
        if packed:
            yield packed
    yield member.flush()


class DamagedGzip(Exception):
    """Data said to be gzip is not, or is cut short."""


class Gunzip:
    """Decompress a gzip stream, of one member or several, in steps of at most one block.

    No bytes at all count as an empty stream: MESH accepts an empty chunk (section 13).
    """

    __slots__ = ("_begun", "_member")

    def __init__(self) -> None:
        self._member: zlib._Decompress | None = None
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Give what ``data`` adds, lazily, so that a small input never becomes a large output at once.

        Raises:
            DamagedGzip: this is not gzip.
        """
        waiting = False
        while data or waiting:
            if self._member is None:
                # Zeros may pad the space after a member, and only there.
                data = data.lstrip(b"\0") if self._begun else data
                if not data:
                    return
                self._member = zlib.decompressobj(wbits=_GZIP)
                self._begun = True
            member = self._member
            try:
                block = member.decompress(data, BLOCK)
            except zlib.error as error:
                raise DamagedGzip("not gzip data, though declared so") from error
            if member.eof:
                data, waiting, self._member = member.unused_data, False, None
            else:
                # A full step may leave output inside although its input is used up.
                data, waiting = member.unconsumed_tail, len(block) == BLOCK
            if block:
                yield block

    def finish(self) -> None:
        """Check that the stream ended where a member ends.

        Raises:
            DamagedGzip: it is cut short.
        """
        if self._member is not None:
            raise DamagedGzip("gzip data cut short")
