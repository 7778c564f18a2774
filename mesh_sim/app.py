"""Wiring: settings in, a running simulator with its web server out."""

from __future__ import annotations

import contextlib
import logging
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TypeVar

from aiohttp import web

from mesh_sim.api import routes
from mesh_sim.api.errors import errors_to_bodies
from mesh_sim.api.header_bytes import prepare_headers
from mesh_sim.api.http_log import http_log
from mesh_sim.api.keys import EXCHANGE, SETTINGS, TOKENS
from mesh_sim.api.operations import OPERATION_NAMES
from mesh_sim.certs import CertificateError, server_context
from mesh_sim.clock import SimulatedClock
from mesh_sim.config import Settings, SettingsError, Tls
from mesh_sim.core import Core, open_core, opened, working
from mesh_sim.exchange.service import Exchange
from mesh_sim.storage.tokens import SqliteTokens

log = logging.getLogger("mesh_sim")

T = TypeVar("T")

_READ_BUFFER_BYTES = 1024 * 1024
_MAX_HEADER_BYTES = 64 * 1024
_TIDY_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Server:
    """A running simulator and the address it answers at."""

    url: str
    core: Core

    @property
    def exchange(self) -> Exchange:
        """The exchange behind it."""
        return self.core.exchange

    @property
    def clock(self) -> SimulatedClock:
        """Its simulated clock."""
        return self.core.clock


@contextlib.asynccontextmanager
async def running(settings: Settings, clock: SimulatedClock | None = None) -> AsyncIterator[Server]:
    """Run a simulator, server and worker, until the context is left.

    Raises:
        SettingsError: it cannot start as it is set up; the text says why.
    """
    tls = _tls(settings)  # first: a missing certificate stops the start before a folder is made
    async with open_core(settings, clock) as core, working(core):
        tokens = opened(settings.data / "tokens.db", SqliteTokens)
        try:
            app = web.Application(middlewares=[errors_to_bodies])
            app[EXCHANGE] = core.exchange
            app[SETTINGS] = settings
            app[TOKENS] = tokens
            app[OPERATION_NAMES] = routes.OPERATION_NAMES
            app.add_routes(routes.ROUTES)
            app.on_response_prepare.append(prepare_headers)
            async with _listening(app, settings, tls) as url:
                yield Server(url, core)
        finally:
            tokens.close()


@contextlib.asynccontextmanager
async def _listening(
    app: web.Application, settings: Settings, tls: ssl.SSLContext | None
) -> AsyncIterator[str]:
    # Bodies pass through as they were sent, so the server must not decompress them (design.md).
    runner = web.AppRunner(
        app,
        access_log=None,
        auto_decompress=False,
        logger=http_log,
        # Beyond the longest header that is answered as too long, so that this is said in the usual form.
        max_field_size=_MAX_HEADER_BYTES,
        max_line_size=_MAX_HEADER_BYTES,
        read_bufsize=_READ_BUFFER_BYTES,
        shutdown_timeout=10.0,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, settings.port, ssl_context=tls)
        try:
            await site.start()
        except OSError as error:
            raise SettingsError(
                f"cannot listen on {settings.host} port {settings.port}: {error.strerror or error}; "
                "is it in use? choose another with --port or MESH_SIM_PORT"
            ) from error
        host, port = runner.addresses[0][:2]
        shown = f"[{host}]" if ":" in host else host
        yield f"{'https' if tls else 'http'}://{shown}:{port}"
    finally:
        await runner.cleanup()


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.tls is Tls.OFF:
        return None
    try:
        return server_context(settings.certs, mutual=settings.tls is Tls.MUTUAL)
    except CertificateError as error:
        raise SettingsError(str(error)) from error
