"""Bodies on their way out: which encoding and content type the caller gets (mesh-api.md section 8)."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

from aiohttp import web

from mesh_sim import gzip
from mesh_sim.api.details import leaving
from mesh_sim.api.message_headers import message_headers
from mesh_sim.exchange.messages import Chunk, Inline, Message, MessageType
from ndoo.protocol import ApiVersion

log = logging.getLogger("mesh_sim.api")

_WHOLE_BYTES = gzip.STEP_BYTES
"""A decompressed body up to this size is sent with its length, a longer one in pieces as it comes."""


async def send_body(
    request: web.Request, version: ApiVersion, message: Message, chunk: Chunk, blocks: AsyncIterator[bytes]
) -> web.StreamResponse:
    """Answer with one chunk of a message: 206 while more follow, 200 for the last."""
    if message.message_type is MessageType.REPORT:
        return web.Response(headers=message_headers(message, number=chunk.number))
    stored_gzip = message.metadata.content_encoding == "gzip"
    accepts_gzip = "gzip" in request.headers.get("Accept-Encoding", "")
    gzipped = accepts_gzip and (stored_gzip or version is ApiVersion.V2)
    headers = message_headers(message, number=chunk.number, gzipped=gzipped)
    headers["Content-Type"] = _content_type(version, message)
    if gzipped:
        headers["Content-Encoding"] = "gzip"
    status = 206 if chunk.number < message.total_chunks else 200

    if stored_gzip and not accepts_gzip:
        return await _send_decompressed(request, status, headers, blocks)
    blocks = leaving(request, blocks, gzip=stored_gzip)
    if isinstance(chunk.body, Inline):
        body = b"".join([block async for block in blocks])
        compress = gzipped and not stored_gzip
        return web.Response(status=status, headers=headers, body=gzip.compress(body) if compress else body)
    if gzipped and not stored_gzip:
        return await _stream(request, status, headers, gzip.compressed(blocks))
    headers["Content-Length"] = str(chunk.size)
    return await _stream(request, status, headers, blocks)


def _content_type(version: ApiVersion, message: Message) -> str:
    stored = message.metadata.content_type
    if version is ApiVersion.V1 or message.total_chunks > 1 or not stored:
        return "application/octet-stream"
    if stored.lower().startswith("text/") and "charset" not in stored.lower():
        return f"{stored}; charset=utf-8"
    return stored


async def _send_decompressed(
    request: web.Request, status: int, headers: dict[str, str], blocks: AsyncIterator[bytes]
) -> web.StreamResponse:
    """Send a gzip body plain; one that is not gzip after all is a 406, as long as nothing was sent."""
    plain = leaving(request, gzip.decompressed(blocks), gzip=False)
    # Errors up to here are the caller's to see as a status; a whole small body also gets its length.
    start, whole = await read_ahead(plain)
    if whole:
        return web.Response(status=status, headers=headers, body=start)
    return await stream(request, status, headers, start, plain)


async def read_ahead(blocks: AsyncIterator[bytes]) -> tuple[bytes, bool]:
    """Give up to two megabytes of a body, and whether that is all of it; the rest is left in ``blocks``."""
    start = bytearray()
    async for block in blocks:
        start += block
        if len(start) > _WHOLE_BYTES:
            return bytes(start), False
    return bytes(start), True


async def _stream(
    request: web.Request, status: int, headers: dict[str, str], blocks: AsyncIterator[bytes]
) -> web.StreamResponse:
    # The first block is read before the status goes out, while a body that cannot be read is still a 500.
    return await stream(request, status, headers, await anext(blocks, b""), blocks)


async def stream(
    request: web.Request, status: int, headers: dict[str, str], first: bytes, rest: AsyncIterator[bytes]
) -> web.StreamResponse:
    """Answer with a body as it comes; one that cannot be read to its end breaks the connection."""
    response = web.StreamResponse(status=status, headers=headers)
    await response.prepare(request)
    try:
        await _copy(first, rest, response)
    except Exception as error:  # noqa: BLE001 - whatever it is, the status is out already:
        # breaking the connection is the only honest end of a body.
        if request.transport is not None and not request.transport.is_closing():
            log.error("a download was broken off: %r", error)  # noqa: TRY400 - its type says enough
            request.transport.abort()
        return response
    await response.write_eof()
    return response


async def _copy(first: bytes, rest: AsyncIterator[bytes], response: web.StreamResponse) -> None:
    await response.write(first)
    sent = len(first)
    async for block in rest:
        await response.write(block)
        sent += len(block)
    announced = response.content_length
    if announced is not None and sent != announced:
        raise BodyCutShort(f"{sent} of {announced} bytes could be read")


class BodyCutShort(Exception):
    """A stored body is shorter than its message says."""
