"""Real proxies for tests: one that serves everybody, one that wants a password, one that refuses."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path


@contextmanager
def proxy(folder: Path, *options: str) -> Iterator[str]:
    """Run proxy.py on a free port; gives host and port."""
    port_file = folder / "port"
    command = [
        sys.executable,
        "-m",
        "proxy",
        "--hostname",
        "127.0.0.1",
        "--port",
        "0",
        "--log-level",
        "ERROR",
    ]
    command += ["--port-file", str(port_file), "--num-workers", "1", "--num-acceptors", "1", *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until = time.monotonic() + 30
            while not (port_file.exists() and port_file.read_text().strip()):
                assert process.poll() is None
                assert time.monotonic() < until
                time.sleep(0.02)
            yield f"127.0.0.1:{port_file.read_text().strip()}"
        finally:
            process.terminate()


@asynccontextmanager
async def answering(head: bytes, heard: list[bytes] | None = None) -> AsyncIterator[str]:
    """Run what answers every request with ``head`` and hangs up; gives host and port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, OSError):
            request = await reader.readuntil(b"\r\n\r\n")
            if heard is not None:
                heard.append(request)
            writer.write(head)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()[:2]
        yield f"{host}:{port}"


def refusal(status: str) -> bytes:
    """Make an answer of a proxy that does not serve."""
    return f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
