"""A small real server for the client's tests: it misbehaves as each test lists, and keeps what it got."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import stamina
import stamina.instrumentation
from aiohttp import web

from ndoo.mailbox import Credentials, Mailbox

CREDENTIALS = Credentials("X26ABC1", "hush-password", "hush-key")

Step = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def reply(status: int = 200, body: bytes = b"{}", **headers: str) -> Step:
    """Answer with a whole body; ``_`` in header names stands for ``-``."""

    async def step(request: web.BaseRequest) -> web.StreamResponse:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, body=body, headers=given)

    return step


def drop() -> Step:
    """Close the connection without an answer."""

    async def step(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    return step


def cut(
    body: bytes, after: int, headers: Mapping[str, str] | None = None, *, gate: asyncio.Event | None = None
) -> Step:
    """Promise a body, send part of it and close the connection, once the gate is open if there is one."""

    async def step(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers=headers)
        response.content_length = len(body)
        await response.prepare(request)
        await response.write(body[:after])
        if gate is not None:
            await gate.wait()
        assert request.transport is not None
        request.transport.close()
        return response

    return step


@dataclass
class Seen:
    """One request the server got."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def token(self) -> str:
        return self.headers["authorization"]


@dataclass
class Scripted:
    """A server that takes the listed steps, one a request."""

    url: str
    seen: list[Seen] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    def mailbox(self, *, retries: int = 3, timeout: float = 30, chunk_size: int = 1000) -> Mailbox:
        return Mailbox(self.url, CREDENTIALS, retries=retries, timeout=timeout, chunk_size=chunk_size)


@asynccontextmanager
async def serving(*steps: Step, tls: ssl.SSLContext | None = None) -> AsyncIterator[Scripted]:
    """Run the server on a free port; once the steps are used up it fails.

    Retries come at once meanwhile; how long they would wait is tested where it is computed.
    """
    script = Scripted("", steps=list(steps))

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.read()
        script.seen.append(Seen(request.method, request.path_qs, headers, body))
        return await script.steps.pop(0)(request)

    runner = web.ServerRunner(web.Server(handle, auto_decompress=False), shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        port = runner.addresses[0][1]
        script.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        with stamina.set_testing(True, attempts=100, cap=True):
            yield script
    finally:
        await runner.cleanup()


@asynccontextmanager
async def silent() -> AsyncIterator[str]:
    """A server that accepts connections and neither reads nor answers."""
    writers = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=1024)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()


SENT = reply(202, b'{"message_id": "M1"}')
