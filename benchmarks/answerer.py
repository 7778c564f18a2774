"""The least an HTTP server can do: swallow each request and answer it with the same 300 bytes.

What the driver reaches against it is the driver's own ceiling. Run as ``answerer.py PORT``.
"""

from __future__ import annotations

import asyncio
import re
import sys
from typing import cast

import uvloop

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 300\r\n\r\n" + b"x" * 300
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Answerer(asyncio.BufferedProtocol):
    """One connection; headers come in one piece, as the driver sends them."""

    def __init__(self) -> None:
        self._buffer = bytearray(1 << 18)
        self._left = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where the answers go."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are not derived from it

    def get_buffer(self, _sizehint: int) -> bytearray:
        """Have everything put into one place."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Answer once a request's body is in."""
        assert self._transport is not None
        if not self._left:
            head, _, rest = bytes(memoryview(self._buffer)[:nbytes]).partition(b"\r\n\r\n")
            found = _LENGTH.search(head)
            self._left = (int(found[1]) if found else 0) - len(rest)
        else:
            self._left -= nbytes
        if not self._left:
            self._transport.write(ANSWER)


async def main(port: int) -> None:
    """Answer until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Answerer, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
