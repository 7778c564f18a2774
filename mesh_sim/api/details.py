"""What the journal notes of a request beside its outcome, for the witness test (witness-tests.md)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Final

from aiohttp import web

from mesh_sim.api.keys import EXCHANGE
from mesh_sim.exchange.messages import Message
from mesh_sim.exchange.states import Status
from mesh_sim.witness.cases.selections import SENDS
from mesh_sim.witness.digests import Digest, PayloadDigest, Reassemblies
from mesh_sim.witness.journal import WITNESSED, Details
from mesh_sim.witness.rehearsal import NOBODY
from ndoo.protocol import ChunkRange, Header

_NOTHING: Final = Details()

_COMPRESSED: Final = "Mex-Content-Compressed: Y"
_COMPRESSED_TOO: Final = "Mex-Content-Compress: Y"
"""The catalogue's own spelling of it."""

_THREAD_BYTES: Final = 128 * 1024
"""From this size on a block is worth a switch of threads: MD5 takes two milliseconds a megabyte."""
_THREAD_BYTES_GZIP: Final = 4 * 1024
"""The same for gzip, which may stand for a thousand times as much."""


class Noted:
    """What handlers know of their request."""

    __slots__ = ("chunk", "listed", "message_type", "more", "payload", "reassemblies", "whole")

    def __init__(self) -> None:
        self.listed: int | None = None
        self.more = False
        self.message_type = ""
        self.chunk = ""
        self.payload: PayloadDigest | None = None
        self.whole: Digest | None = None
        self.reassemblies: Reassemblies | None = None
        """None where the mailbox does not rehearse: then no digest is taken."""


_NOTED: Final = web.RequestKey("noted", Noted)


def noting(request: web.Request) -> Noted:
    """Give what is noted of a request so far, to be added to."""
    noted = request.get(_NOTED)
    if noted is None:
        noted = request[_NOTED] = Noted()
    return noted


def details_of(
    request: web.Request, operation: str, response: web.StreamResponse | None, *, others: int, whole: bool
) -> Details:
    """Put together what is known of a request that has ended.

    ``others`` of its mailbox were being answered when it began; ``whole``: its answer, if any, went out to
    the end.
    """
    chunk = recipient = ""
    if operation in SENDS:
        chunk = str(_chunk_sent(request) or "")
        recipient = _recipient(request) if operation == "send" else ""
    noted = request.get(_NOTED)
    if noted is None:
        if not (others or chunk or recipient):
            return _NOTHING
        return _common(others, None, False, "", chunk, recipient)
    details = _common(others, noted.listed, noted.more, noted.message_type, chunk or noted.chunk, recipient)
    if noted.reassemblies is None:
        return details
    travelled = request.headers if operation in SENDS else _headers_of_body(request, response)
    gzip = _has(travelled, "Content-Encoding: gzip")
    details = replace(details, headers=_witnessed(request.headers), gzip=gzip)
    done = whole and response is not None and 200 <= response.status < 300
    return _with_digests(details, noted) if done else details


@lru_cache(maxsize=256)
def _common(
    others: int, listed: int | None, more: bool, message_type: str, chunk: str, recipient: str
) -> Details:
    # Most are like others before, and a dozen fields take a microsecond to fill.
    return Details(others, listed, more, message_type, chunk, recipient)


def _with_digests(details: Details, noted: Noted) -> Details:
    if noted.payload is None or noted.payload.digest is None:
        return details
    payload, message = noted.payload.digest, noted.whole
    return replace(
        details,
        payload_bytes=payload.size,
        md5=payload.md5,
        whole_bytes=message.size if message is not None else None,
        whole_md5=message.md5 if message is not None else "",
    )


# -- what is in the headers -------------------------------------------------------------------------


def _chunk_sent(request: web.Request) -> ChunkRange | None:
    """Give which chunk of how many a send says it is of, where there are several."""
    text = request.headers.get(Header.CHUNK_RANGE)
    if text is None:
        return None
    try:
        chunk = ChunkRange.parse(text)
    except ValueError:
        return None
    return chunk if chunk.total > 1 else None


def _recipient(request: web.Request) -> str:
    """Give whom a send is for; text that is no mailbox's id may be about a person, and is not noted."""
    mailbox_id = request.headers.get(Header.TO, "").strip().upper()
    known = mailbox_id == NOBODY or request.app[EXCHANGE].directory.mailbox(mailbox_id) is not None
    return mailbox_id if known else ""


def _headers_of_body(request: web.Request, response: web.StreamResponse | None) -> Mapping[str, str]:
    return {} if response is None or request.method == "HEAD" else response.headers


def _witnessed(headers: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(
        wanted
        for wanted in WITNESSED
        if _has(headers, wanted) or (wanted == _COMPRESSED and _has(headers, _COMPRESSED_TOO))
    )


def _has(headers: Mapping[str, str], wanted: str) -> bool:
    """Tell whether a header is there and, after a colon, whether that value is among its own."""
    name, _, value = wanted.partition(": ")
    text = headers.get(name, "")
    if not value:
        return bool(text.strip())
    return value.lower() in (part.partition(";")[0].strip().lower() for part in text.split(","))


# -- bodies on their way ----------------------------------------------------------------------------


def arriving(request: web.Request, blocks: AsyncIterator[bytes], message_id: str) -> AsyncIterator[bytes]:
    """Give the body of a send on as it comes in; its digest is noted where the mailbox rehearses."""
    noted = request.get(_NOTED)
    if noted is None or noted.reassemblies is None:
        return blocks
    chunk = _chunk_sent(request)
    whole = noted.reassemblies.begin(message_id, chunk.number) if chunk is not None else None
    gzip = _has(request.headers, "Content-Encoding: gzip")
    noted.payload = PayloadDigest(gzip=gzip, whole=whole)
    return _passing(blocks, noted.payload, gzip=gzip)


def arrived(request: web.Request, message: Message) -> None:
    """Note that the body of a send was taken in as all of a message, or a chunk of it."""
    noted = request.get(_NOTED)
    if noted is None or noted.reassemblies is None or noted.payload is None:
        return
    chunk = _chunk_sent(request)
    if chunk is None:
        return
    noted.reassemblies.take(message.message_id, chunk.number, noted.payload)
    if message.status is not Status.UPLOADING:
        noted.whole = noted.reassemblies.complete(message.message_id, message.total_chunks)


def leaving(request: web.Request, blocks: AsyncIterator[bytes], *, gzip: bool) -> AsyncIterator[bytes]:
    """Give a body on that goes out, gzip or plain; its digest is noted where the mailbox rehearses."""
    noted = request.get(_NOTED)
    if noted is None or noted.reassemblies is None:
        return blocks
    noted.payload = PayloadDigest(gzip=gzip)
    return _passing(blocks, noted.payload, gzip=gzip)


async def _passing(
    blocks: AsyncIterator[bytes], payload: PayloadDigest, *, gzip: bool
) -> AsyncIterator[bytes]:
    # Block by block, one after the other; threads keep the time that it takes from everybody else.
    threshold = _THREAD_BYTES_GZIP if gzip else _THREAD_BYTES
    async for block in blocks:
        if len(block) >= threshold:
            await asyncio.to_thread(payload.feed, block)
        else:
            payload.feed(block)
        yield block
    payload.end()
