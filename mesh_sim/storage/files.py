"""Bodies as files: streamed to a temporary name, fsynced, renamed, and only then named by a row.

A key is ``ab/abcdef…``: random, so that a chunk sent again never writes over the one being read, and
spread over 256 folders. What a crash leaves under a temporary name, or renamed but never named by a row, is
swept up at the next start.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Final

import aiofiles
from aiofiles.threadpool.binary import AsyncFileIO

from mesh_sim.exchange.errors import StorageFailed
from mesh_sim.exchange.messages import Stored

BLOCK_BYTES: Final = 1024 * 1024


class FilePayloads:
    """The payload store over a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._incoming = folder / "incoming"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # by itself: a parent would not get the mode
        self._incoming.mkdir(exist_ok=True, mode=0o700)

    async def write(self, blocks: AsyncIterable[bytes]) -> tuple[Stored, int]:
        """Keep the blocks durably; give their key and total size. Nothing is left if ``blocks`` raises."""
        name = secrets.token_hex(16)
        temporary = self._incoming / name
        key = f"{name[:2]}/{name}"
        size = 0
        try:
            file = await _create(temporary)
            try:
                async for block in _gathered(blocks):
                    await _write_all(file, block)
                    size += len(block)
                with _refusal():
                    await asyncio.to_thread(os.fsync, file.fileno())
            finally:
                await file.close()
            with _refusal():
                await asyncio.to_thread(self._publish, temporary, self._folder / key)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        return Stored(key), size

    async def read(self, body: Stored) -> AsyncIterator[bytes]:
        """Give the body back in blocks of a megabyte."""
        async with aiofiles.open(self._folder / body.key, "rb", buffering=0) as file:
            while block := await file.read(BLOCK_BYTES):
                yield block

    async def delete(self, bodies: Sequence[Stored]) -> None:
        """Forget bodies; those already gone are passed over."""
        await asyncio.to_thread(self._delete, [body.key for body in bodies])

    async def keys(self) -> list[str]:
        """List every body there is, for the sweep at the start."""
        return await asyncio.to_thread(lambda: list(self._keys()))

    async def drop_unfinished(self) -> None:
        """Delete what a crash left half-written; only for the process that holds the folder alone."""

        def drop() -> None:
            for leftover in self._incoming.iterdir():
                leftover.unlink(missing_ok=True)

        await asyncio.to_thread(drop)

    def _publish(self, temporary: Path, final: Path) -> None:
        try:
            final.parent.mkdir(mode=0o700)
        except FileExistsError:
            pass
        else:
            _sync_folder(self._folder)
        temporary.rename(final)
        _sync_folder(final.parent)

    def _delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            (self._folder / key).unlink(missing_ok=True)

    def _keys(self) -> Iterator[str]:
        for folder in self._folder.iterdir():
            if folder != self._incoming and folder.is_dir():
                for file in folder.iterdir():
                    yield f"{folder.name}/{file.name}"


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


@contextlib.contextmanager
def _refusal() -> Iterator[None]:
    """Turn what the file system says into the exchange's own error; a broken sender's is left alone."""
    try:
        yield
    except OSError as error:
        raise StorageFailed(why=f"the body could not be stored: {error}") from error


async def _create(path: Path) -> AsyncFileIO:
    opening = asyncio.ensure_future(_open(path))
    try:
        with _refusal():
            return await asyncio.shield(opening)
    except asyncio.CancelledError:
        # The thread opens the file all the same; it must not stay open.
        await (await opening).close()
        raise


async def _open(path: Path) -> AsyncFileIO:
    return await aiofiles.open(path, "xb", buffering=0, opener=_private)


async def _write_all(file: AsyncFileIO, block: bytes) -> None:
    """Write a whole block: an unbuffered file may take only part of it, as when the disk fills."""
    view = memoryview(block)
    while view:
        with _refusal():
            written = await file.write(view)
        view = view[written:]


async def _gathered(blocks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Join small blocks into ones of about a megabyte: each write costs a switch of threads."""
    pending: list[bytes] = []
    size = 0
    async for block in blocks:
        pending.append(block)
        size += len(block)
        if size >= BLOCK_BYTES:
            yield b"".join(pending)
            pending.clear()
            size = 0
    if pending:
        yield b"".join(pending)


def _sync_folder(folder: Path) -> None:
    """Make a rename in this folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
