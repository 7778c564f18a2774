"""One message on its way in: its headers, and its body streamed through all chunks."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Final, Protocol

import aiofiles
import aiohttp

from ndoo._answers import MessageHeaders
from ndoo._bodies import BLOCK, DamagedGzip, Gunzip
from ndoo._failures import Failure, unexpected
from ndoo._transport import Request, Transport, decode_headers, is_gzip
from ndoo.errors import OutputExists, UnexpectedAnswer
from ndoo.protocol import Header

_FLOW: Final = 16 << 20
"""How much of a file may wait in memory, in bytes, before it begins to go to the disk."""

READ_LIMIT: Final = 16 << 20
"""Default limit of :meth:`Message.read`, in bytes."""


class AsyncWriter(Protocol):
    """A file to write to without blocking, such as ``aiofiles.open`` gives."""

    async def write(self, data: bytes, /) -> Any:
        """Write all of ``data``."""
        ...


class Message:
    """A message being received; iterate it for the decompressed body, once.

    Reading does not acknowledge. A connection that breaks is opened again and reading goes on where it
    was.
    """

    headers: MessageHeaders

    def __init__(self, transport: Transport, chunk_request: Callable[[int], Request]) -> None:
        self._transport = transport
        self._chunk_request = chunk_request
        self._chunk = 1
        self._request = chunk_request(1)
        self._response: aiohttp.ClientResponse | None = None
        self._gunzip: Gunzip | None = None
        self._blocks: Iterator[bytes] = iter(())
        self._delivered = 0

    async def open(self) -> None:
        """Ask for the first chunk and read the headers.

        Raises:
            MeshError: there is no such message, or it cannot be had.
        """
        response = await self._transport.retrying(self._open_chunk, retries=self._transport.retries)
        self.headers = MessageHeaders.parse(decode_headers(response), self._request.call)

    def close(self) -> None:
        """Let go of the connection, whatever is left unread."""
        if self._response is not None:
            self._response.close()

    async def _open_chunk(self, tries: int) -> aiohttp.ClientResponse:
        self.close()
        async with self._transport.turn:
            response = await self._transport.attempt(self._request, tries)
        self._response = response
        self._gunzip = Gunzip() if is_gzip(response) else None
        self._blocks = iter(())
        return response

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """Give the next block of the body, at most about one MiB.

        Raises:
            MeshError: the rest cannot be had, or is damaged; never a silently shorter body.
        """
        while not (block := await self._next_block()):
            if self._chunk >= self.headers.total_chunks:
                raise StopAsyncIteration
            await self._next_chunk()
        self._delivered += len(block)
        return block

    async def _next_chunk(self) -> None:
        self._chunk += 1
        self._delivered = 0
        self._request = self._chunk_request(self._chunk)
        response = await self._transport.retrying(self._open_chunk, retries=self._transport.retries)
        given = response.headers.get(Header.CHUNK_RANGE, "")
        if given and given.partition(":")[0].strip() != str(self._chunk):
            raise unexpected(f"the answer is chunk {given}", self._request.call).error

    async def _next_block(self) -> bytes:
        try:
            return await self._read(1)
        except Failure as failure:
            if failure.retry is False or not self._transport.retries:
                raise failure.error from failure.__cause__
        # The failed reading was the first try; those that follow count as the retries.
        return await self._transport.retrying(self._resume, retries=self._transport.retries - 1)

    async def _resume(self, tries: int) -> bytes:
        await self._open_chunk(tries)
        skip = self._delivered
        while block := await self._read(tries):
            if len(block) > skip:
                return block[skip:]
            skip -= len(block)
        if skip:
            raise unexpected("a chunk was shorter when asked for again", self._request.call)
        return b""

    async def _read(self, tries: int) -> bytes:
        if self._response is None:
            raise RuntimeError("receive a message with: async with mailbox.receive(message_id) as message")
        call = self._request.call
        try:
            while True:
                for block in self._blocks:
                    return block
                data = await self._transport.read(self._response, call, tries)
                if not data:
                    break
                self._blocks = self._gunzip.feed(data) if self._gunzip else iter((data,))
            if self._gunzip is not None:
                self._gunzip.finish()
        except DamagedGzip as error:
            raise unexpected(f"chunk {self._chunk} is damaged: {error}", call) from error
        return b""

    async def read(self, limit: int = READ_LIMIT) -> bytes:
        """Read the rest of a body that is known to be small.

        Raises:
            UnexpectedAnswer: it has more than ``limit`` bytes.
        """
        body = bytearray()
        async for block in self:
            body += block
            if len(body) > limit:
                raise UnexpectedAnswer(
                    f"message {self.headers.message_id} has more than the {limit:,} bytes expected of it",
                    mailbox=self._request.call.mailbox,
                    message_id=self.headers.message_id,
                )
        return bytes(body)

    async def save(self, target: Path | AsyncWriter, *, replace: bool = False) -> int:
        """Write the rest of the body to a file and give its size in bytes.

        A path gets the whole body or nothing: it is written under another name in the same folder with
        mode 0600, flushed to the disk, then renamed.

        Raises:
            OutputExists: the path exists and ``replace`` is False.
            MeshError: the body cannot be had whole.
        """
        if not isinstance(target, Path):
            return await self._write(target)
        if not replace and await asyncio.to_thread(os.path.lexists, target):
            raise OutputExists(target)
        part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        try:
            async with aiofiles.open(part, "xb", opener=_private) as file:
                size = await self._write(_Flowing(file))
                await file.flush()
                await asyncio.to_thread(os.fsync, file.fileno())
            await asyncio.to_thread(part.replace, target)
        except BaseException:
            await asyncio.to_thread(part.unlink, missing_ok=True)
            raise
        return size

    async def _write(self, file: AsyncWriter) -> int:
        """Write each block while the next is being received."""
        size = 0
        # Blocks come as small as the network cuts them; each write is a trip to a thread.
        gathered: list[bytes] = []
        written_to = 0
        writing: asyncio.Future[Any] | None = None
        try:
            async for block in self:
                gathered.append(block)
                size += len(block)
                if size - written_to >= BLOCK:
                    if writing is not None:
                        await writing
                    writing = asyncio.ensure_future(file.write(b"".join(gathered)))
                    written_to = size
                    gathered.clear()
        finally:
            if writing is not None:
                # Whatever happened: nobody may close the file under it. Its own error is raised below.
                await asyncio.gather(writing, return_exceptions=True)
        if writing is not None:
            writing.result()
        await file.write(b"".join(gathered))
        return size


class _Flowing:
    """Writes to a file, and has the system begin to write it to the disk long before it is asked to end.

    A long body goes to the disk while the rest is still coming in, rather than all of it afterwards.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self._begun = 0
        self._written = 0

    async def write(self, data: bytes, /) -> None:
        """Write all of ``data``."""
        await self._file.write(data)
        self._written += len(data)
        if self._written - self._begun >= _FLOW and sys.platform == "linux":
            await self._file.flush()
            # Linux takes this for leave to write these pages out now; elsewhere it means something else.
            part = (self._begun, self._written - self._begun)
            await asyncio.to_thread(os.posix_fadvise, self._file.fileno(), *part, os.POSIX_FADV_DONTNEED)
            self._begun = self._written


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
