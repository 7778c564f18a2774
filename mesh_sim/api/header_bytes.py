"""Header values are latin-1 on the wire, byte for byte (mesh-api.md section 2).

aiohttp reads and writes them as UTF-8 instead, which would lose what Python's own HTTP clients send for a
subject such as "café". Values are turned into latin-1 text on their way in, and written as such.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_writer import StreamWriter
from multidict import CIMultiDict

SERVER: Final = "mesh-sim"
"""What the server calls itself: not its version, nor what it is made of."""

POLICY = web.RequestKey("policy", Mapping[str, str])
"""Where a request notes the headers that its answer has for browsers' sake, whatever the answer will be.

MESH's own operations note none: their headers are those of the protocol and no others.
"""

NO_PAGE: Final = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
"""The policy of answers for programs: nothing in them is a page, is shown in another, or is kept."""


def as_latin1(value: str) -> str:
    """Give a header value as the latin-1 text its bytes spell."""
    return value if value.isascii() else value.encode("utf-8", "surrogateescape").decode("latin-1")


async def prepare_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Name the server, add the request's policy, and have odd values written as latin-1."""
    response.headers["Server"] = SERVER
    if (policy := request.get(POLICY)) is not None:
        response.headers.update(policy)
    writer = request.writer
    if isinstance(writer, StreamWriter) and not all(map(str.isascii, response.headers.values())):
        _write_as_latin1(writer)


def _write_as_latin1(writer: AbstractStreamWriter) -> None:
    async def write_headers(status_line: str, headers: CIMultiDict[str]) -> None:
        lines = [status_line, *(f"{name}: {value}" for name, value in headers.items())]
        if any("\r" in line or "\n" in line for line in lines):
            raise ValueError("a header value holds a line break")
        data = "\r\n".join([*lines, "", ""]).encode("latin-1")
        if writer.transport is not None:
            writer.transport.write(data)

    writer.write_headers = write_headers  # type: ignore[method-assign] # this one answer's writer only
