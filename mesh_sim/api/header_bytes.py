"""Header values are latin-1 on the wire, byte for byte (mesh-api.md section 2).

aiohttp reads and writes them as UTF-8 instead, which would lose what Python's own HTTP clients send for a
subject such as "café". Values are turned into latin-1 text on their way in, and written as such.
"""

from __future__ import annotations

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_writer import StreamWriter
from multidict import CIMultiDict


def as_latin1(value: str) -> str:
    """Give a header value as the latin-1 text its bytes spell."""
    return value if value.isascii() else value.encode("utf-8", "surrogateescape").decode("latin-1")


async def prepare_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Name the server, without the versions of what it is made of, and have odd values written as latin-1."""
    response.headers["Server"] = "mesh-sim"
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
