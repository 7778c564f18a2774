"""A connection made one step at a time, so that the step that fails can be named.

Nothing of MESH is said over it: it shows how far the way to a server is open.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from ndoo._proxy import Proxy


class Declined(Exception):
    """The proxy answered CONNECT with ``status``, or with something that is no HTTP (status 0)."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Place:
    """A host and a port."""

    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Self:
        """Take them from an address."""
        parts = urlsplit(url)
        return cls(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))

    def __str__(self) -> str:
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Probe:
    """How to get to a server: directly or through a proxy; each step within ``patience`` seconds."""

    target: Place
    proxy: Proxy | None
    patience: float

    @property
    def first(self) -> Place:
        """Where the connection goes to."""
        return Place(self.proxy.host, self.proxy.port) if self.proxy else self.target

    async def addresses(self) -> list[str]:
        """Look up the name of :attr:`first`.

        Raises:
            OSError: there is no such name, or nobody to ask (TimeoutError: nobody answers).
        """
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self.patience):
            found = await loop.getaddrinfo(self.first.host, self.first.port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(address[0]) for *_, address in found))

    @asynccontextmanager
    async def connected(
        self, *, tunnel: bool
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """Connect to :attr:`first`; with ``tunnel``, have the proxy connect on to the server.

        Raises:
            OSError: no connection (TimeoutError: not in time).
            Declined: the proxy does not connect on.
        """
        async with asyncio.timeout(self.patience):
            reader, writer = await asyncio.open_connection(self.first.host, self.first.port)
        try:
            if tunnel and self.proxy is not None:
                async with asyncio.timeout(self.patience):
                    await self._tunnel(reader, writer, self.proxy)
            yield reader, writer
        finally:
            writer.close()
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(1):
                    await writer.wait_closed()

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, proxy: Proxy) -> None:
        lines = [f"CONNECT {self.target} HTTP/1.1", f"Host: {self.target}"]
        lines += [f"{name}: {value}" for name, value in proxy.headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise Declined(0) from error
        words = head.split(None, 2)
        status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
        if status != 200:
            raise Declined(status)

    async def secured(
        self, context: ssl.SSLContext, *, listen: bool = False
    ) -> ssl.SSLObject | ssl.SSLSocket:
        """Make a TLS connection to the server and give what was agreed on.

        With ``listen``, wait after that for what the server has to say: only there does one that speaks TLS
        1.3 tell that it refuses our certificate. A server that wants nothing more says nothing.

        Raises:
            OSError: as above; ssl.SSLError where TLS fails, with the server's alert in its text.
            EOFError: with ``listen``, the server hung up.
            Declined: as above.
        """
        async with self.connected(tunnel=True) as (reader, writer):
            async with asyncio.timeout(self.patience):
                await writer.start_tls(context, server_hostname=self.target.host)
            if listen:
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(self.patience, 3.0)):
                        if not await reader.read(1):
                            raise EOFError
            agreed: ssl.SSLObject | ssl.SSLSocket = writer.get_extra_info("ssl_object")
            return agreed

    async def shown_certificate(self) -> bytes | None:
        """Give the certificate a server shows, whoever vouches for it; None where it shows none.

        Nothing but TLS's own greetings is sent: this is for telling people whose certificate they meet.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        try:
            return (await self.secured(context)).getpeercert(True)
        except (OSError, Declined):
            return None

    async def speaks_tls(self) -> bool:
        """Tell whether the server's port speaks TLS."""
        return await self.shown_certificate() is not None
