"""An address that the server listens on.

Under TLS the event loop would take in any number of connections, and tell of none before its handshake is
over. So they are accepted plain, and counted, and each is given to TLS from here.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from typing import Final, cast

from aiohttp import web

from mesh_sim.api.connections import Connection, Connections, Handshake

_BACKLOG: Final = 1024
"""How many may connect at once before some have to try again after a second."""


class Site(web.BaseSite):
    """An address that a runner listens on; a handshake of TLS may take as long as a header."""

    def __init__(
        self,
        runner: web.AppRunner,
        host: str,
        port: int,
        *,
        connections: Connections,
        tls: ssl.SSLContext | None,
    ) -> None:
        super().__init__(runner, ssl_context=tls)
        self._host = host
        self._port = port
        self._connections = connections
        self._handshakes: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        """The address."""
        return f"{self._host}:{self._port}"

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            OSError: the address cannot be had.
        """
        await super().start()
        tls = self._ssl_context
        made = cast("web.Server", self._runner.server)  # there is one, or the line above had raised
        factory = made if tls is None else lambda: _Gate(self, tls)
        self._server = await asyncio.get_running_loop().create_server(
            factory, self._host, self._port, backlog=_BACKLOG
        )

    async def stop(self) -> None:
        """Listen no more."""
        await super().stop()
        for task in self._handshakes:
            task.cancel()
        await asyncio.gather(*self._handshakes, return_exceptions=True)

    def begin_handshake(self, accepted: socket.socket, tls: ssl.SSLContext) -> None:
        """Agree on TLS with whoever has connected, unless there are too many already."""
        connection = cast("Connection", cast("web.Server", self._runner.server)())
        loop = asyncio.get_running_loop()
        if not self._connections.await_handshake(connection, Handshake(loop.time(), accepted)):
            accepted.close()  # nothing can be said before TLS is agreed on
            return
        task = loop.create_task(self._shake_hands(connection, accepted, tls))
        self._handshakes.add(task)
        task.add_done_callback(lambda ended: self._end_handshake(ended, connection, accepted))

    def _end_handshake(
        self, task: asyncio.Task[None], connection: Connection, accepted: socket.socket
    ) -> None:
        self._handshakes.discard(task)
        self._connections.end_handshake(connection)
        if task.cancelled():  # before its first step, maybe, with nobody else to close it
            accepted.close()

    async def _shake_hands(
        self, connection: Connection, accepted: socket.socket, tls: ssl.SSLContext
    ) -> None:
        # Whatever makes a handshake fail is the client's to see.
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection,
                accepted,
                ssl=tls,
                ssl_handshake_timeout=self._connections.terms.header_s,
            )


class _Gate(asyncio.Protocol):
    """Takes the socket of a connection from the event loop before anything is read from it."""

    def __init__(self, site: Site, tls: ssl.SSLContext) -> None:
        self._site = site
        self._tls = tls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        held = cast("asyncio.Transport", transport)
        try:
            accepted = socket.socket(fileno=os.dup(held.get_extra_info("socket").fileno()))
        except OSError:  # no descriptor is left
            return
        finally:
            held.abort()
        accepted.setblocking(False)
        self._site.begin_handshake(accepted, self._tls)
