"""A message's body: its first lines on the message's page, and all of it as a download."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from aiohttp import web

from mesh_sim.api.bodies import read_ahead, stream
from mesh_sim.api.header_bytes import NO_PAGE, POLICY
from mesh_sim.api.keys import DESK, EXCHANGE
from mesh_sim.exchange.errors import NotFound
from mesh_sim.exchange.messages import Message, MessageType
from mesh_sim.exchange.states import Status
from mesh_sim.gzip import Decompressor, GzipError, decompressed
from mesh_sim.web.attachments import attachment, safe_name
from mesh_sim.web.previews import PREVIEW_BYTES, Preview, preview
from mesh_sim.web.refusals import PageRefused, not_there

_GZIP: Final = "gzip"

_LOOKED_AT: Final = 20
"""Of how many chunks at most the first lines are taken: somebody may have sent it byte by byte."""

GONE: Final = "Its body is not here any more: the message was deleted meanwhile, or its file was."
UNFINISHED: Final = "It is still being uploaded: its body can be read once all of its chunks have arrived."
NO_BODY: Final = "A report has no body: what it reports is in its headers."


class BodyNotHere(Exception):
    """A body that cannot be read; the text says why, as a sentence."""


async def message_of(request: web.Request) -> Message:
    """Give the message that a path names."""
    try:
        return await request.app[DESK].message(request.match_info["message_id"].upper())
    except NotFound:
        raise not_there(
            "message",
            "It may have been deleted: messages are, some time after their delivery, and all of them when "
            "the simulator is reset. Look for it in its mailbox, or in the journal.",
            ("/journal", "Go to the journal"),
        ) from None


async def preview_of(request: web.Request, message: Message) -> Preview:
    """Read the first lines of a message's body; the rest of it is left where it is."""
    try:
        _check_readable(message)
        some = replace(message, total_chunks=min(message.total_chunks, _LOOKED_AT))
        async with aclosing(_blocks(request.app, some)) as blocks:
            gzipped = message.metadata.content_encoding == _GZIP
            start, whole = await (_unpacked_start(blocks) if gzipped else _start(blocks))
        return preview(start, whole=whole and message.total_chunks <= _LOOKED_AT)
    except BodyNotHere as error:
        return Preview(note=str(error))
    except GzipError:
        return Preview(note="Its sender declared it as gzip, but it is not, or is cut short.")


def _check_readable(message: Message) -> None:
    if message.message_type is MessageType.REPORT:
        raise BodyNotHere(NO_BODY)
    if message.status is Status.UPLOADING:
        raise BodyNotHere(UNFINISHED)


async def _blocks(app: web.Application, message: Message) -> AsyncGenerator[bytes, None]:
    """Give a body as it was sent, all of its chunks, whoever may collect it.

    Raises:
        BodyNotHere: from here on it cannot be read.
    """
    for number in range(1, message.total_chunks + 1):
        chunk = await app[DESK].chunk(message, number)
        if chunk is None:  # possible with the relaxation missing-chunks, too
            raise BodyNotHere(f"Chunk {number} of its body is not here: it was never sent, or was deleted.")
        try:
            async for block in app[EXCHANGE].payload(chunk):
                yield block
        except OSError as error:
            raise BodyNotHere(GONE) from error


async def _start(blocks: AsyncIterator[bytes]) -> tuple[bytes, bool]:
    """Give what a body begins with, and whether that is all of it."""
    start = b""
    async for block in blocks:
        start += block[: PREVIEW_BYTES + 1]
        if len(start) > PREVIEW_BYTES:
            return start[:PREVIEW_BYTES], False
    return start, True


async def _unpacked_start(blocks: AsyncIterator[bytes]) -> tuple[bytes, bool]:
    """The same of a gzip body's plain one: a little of it is unpacked, however much it stands for."""
    packed, all_packed = await _start(blocks)
    decompressor = Decompressor()
    plain = b""
    for step in decompressor.feed(packed):
        plain += step
        if len(plain) > PREVIEW_BYTES:
            return plain[:PREVIEW_BYTES], False
    if all_packed:
        plain += b"".join(decompressor.finish())
    return plain[:PREVIEW_BYTES], all_packed and len(plain) <= PREVIEW_BYTES


# -- downloads ----------------------------------------------------------------------------------------


async def download_body(request: web.Request) -> web.StreamResponse:
    """Give a body as a file: all of its chunks one after the other, unpacked, or ``packed=1`` as sent."""
    message = await message_of(request)
    unpacked = message.metadata.content_encoding == _GZIP and request.query.get("packed") != "1"
    try:
        _check_readable(message)
        await _check_all_here(request.app, message)
        async with aclosing(_blocks(request.app, message)) as blocks:
            body = decompressed(blocks) if unpacked else blocks
            # What is wrong with a body is said on a page, as long as nothing of it was sent.
            start, whole = await read_ahead(body)
            request[POLICY] = NO_PAGE
            headers = _headers(message, unpacked=unpacked)
            if whole:
                return web.Response(body=start, headers=headers)
            if not unpacked:
                headers["Content-Length"] = str(message.file_size)
            return await stream(request, 200, headers, start, body)
    except BodyNotHere as error:
        raise PageRefused(404, "There is no body to download", str(error)) from error
    except GzipError as error:
        raise PageRefused(
            409,
            "This body cannot be unpacked",
            "Its sender declared it as gzip, but it is not, or is cut short. The message's page leads to it "
            "as it was sent.",
        ) from error


async def _check_all_here(app: web.Application, message: Message) -> None:
    here = await app[DESK].chunk_count(message)
    if here < message.total_chunks:
        raise BodyNotHere(
            f"Of its {message.total_chunks} chunks {here} are here; the others were never sent, or were "
            "deleted."
        )


def _headers(message: Message, *, unpacked: bool) -> dict[str, str]:
    name = safe_name(message.file_name, f"{message.message_id}.dat")
    if message.metadata.content_encoding == _GZIP and not unpacked and not name.lower().endswith(".gz"):
        name += ".gz"
    return {"Content-Type": "application/octet-stream", "Content-Disposition": attachment(name)}
