"""Wiring: settings in, a running simulator with its web server out."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiohttp import web

from mesh_sim.api import routes
from mesh_sim.api.connections import Connections, Terms, http_log
from mesh_sim.api.errors import errors_to_bodies
from mesh_sim.api.fault_actions import FAULT_LISTENERS, add_faults, inject_faults
from mesh_sim.api.header_bytes import prepare_headers
from mesh_sim.api.http_server import Runner
from mesh_sim.api.journal import Recorder, add_journal, journaled
from mesh_sim.api.keys import (
    CONDUCTOR,
    DESK,
    EXCHANGE,
    FRESH_START,
    MAILBOXES,
    REGISTER,
    RULE,
    SETTINGS,
    SUBMISSIONS,
    TIME,
    TOKENS,
)
from mesh_sim.api.limits import MAX_JSON_BYTES, at_most
from mesh_sim.api.listening import Site
from mesh_sim.api.metrics import METRICS, Metrics
from mesh_sim.api.operations import OPERATION_NAMES
from mesh_sim.clock import SimulatedClock
from mesh_sim.conductor.conductor import Conductor
from mesh_sim.conductor.stagehand import Stagehand
from mesh_sim.conductor.traffic import Traffic
from mesh_sim.config import Settings, SettingsError, Tls, refuse_open_control
from mesh_sim.core import Core, background, open_core, opened, working
from mesh_sim.exchange.events import Kind
from mesh_sim.exchange.ports import UsedTokens
from mesh_sim.exchange.service import Exchange
from mesh_sim.faults import FaultRule, Faults
from mesh_sim.fresh_start import FreshStart
from mesh_sim.storage.journal import SqliteJournal
from mesh_sim.storage.tokens import SqliteTokens
from mesh_sim.store_modes import data_folder
from mesh_sim.web.routes import add_pages
from mesh_sim.witness.journal import Entry, Journal

_READ_BUFFER_BYTES = 1024 * 1024
_PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class Server:
    """A running simulator and the address it answers at."""

    url: str
    core: Core
    faults: Faults
    journal: Journal
    fresh_start: FreshStart
    conductor: Conductor

    @property
    def exchange(self) -> Exchange:
        """The exchange behind it."""
        return self.core.exchange

    @property
    def clock(self) -> SimulatedClock:
        """Its simulated clock."""
        return self.core.clock


@contextlib.asynccontextmanager
async def running(
    settings: Settings, clock: SimulatedClock | None = None, *, patience_s: float = _PATIENCE_S
) -> AsyncIterator[Server]:
    """Run a simulator, server and worker, until the context is left.

    Args:
        settings: how it is set up.
        clock: the simulated time; None for a clock of its own.
        patience_s: in stopping, how long requests may go on before they are broken off; above 0.

    Raises:
        SettingsError: it cannot start as it is set up; the text says why.
    """
    refuse_open_control(settings)
    tls = _tls(settings)  # first: a missing certificate stops the start before a folder is made
    with data_folder(settings) as placed:
        async with (
            open_core(placed, clock) as core,
            working(core),
            _serving(placed, core, tls, patience_s) as server,
        ):
            yield server


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.tls is Tls.OFF:
        return None
    # Only now, as its cryptography takes a good part of the time of a start.
    from mesh_sim.server_tls import server_tls  # noqa: PLC0415

    return server_tls(settings)


@contextlib.asynccontextmanager
async def _serving(
    settings: Settings, core: Core, tls: ssl.SSLContext | None, patience_s: float
) -> AsyncIterator[Server]:
    tokens = opened(settings.data / "tokens.db", SqliteTokens)
    journal = SqliteJournal(
        settings.data / "journal.db", most=settings.journal_entries, longest=settings.journal_time
    )
    try:
        faults = Faults(routes.OPERATIONS, of_mailboxes=routes.OF_MAILBOXES)
        conductor = _conductor(settings, core, journal)
        fresh_start = FreshStart(core, faults, journal, conductor)
        await fresh_start.set_up()
        await conductor.open()
        recorder = Recorder(journal, core.clock.now, rehearsing=conductor.rehearsing)
        recorder.listeners.append(conductor.heard)
        app = _application(settings, core, tokens, faults, recorder)
        app[FRESH_START] = fresh_start
        app[CONDUCTOR] = conductor
        async with (
            background("the rehearsal", conductor.run()),
            _listening(app, settings, tls, patience_s) as url,
        ):
            yield Server(url, core, faults, journal, fresh_start, conductor)
    finally:
        tokens.close()
        await journal.close()


def _conductor(settings: Settings, core: Core, journal: Journal) -> Conductor:
    stagehand = Stagehand(
        core.desk,
        core.mailboxes,
        core.exchange.directory,
        core.time,
        core.payloads,
        inbox_expiry=settings.inbox_expiry,
    )
    traffic = Traffic(journal, most=settings.journal_entries)
    return Conductor(stagehand, traffic, core.documents, core.exchange.events, service=settings.ndoo_mailbox)


def _application(
    settings: Settings, core: Core, tokens: UsedTokens, faults: Faults, recorder: Recorder
) -> web.Application:
    app = web.Application(
        middlewares=[journaled, errors_to_bodies, at_most(settings.max_in_flight), inject_faults],
        client_max_size=MAX_JSON_BYTES,
    )
    app[SETTINGS] = settings
    app[EXCHANGE] = core.exchange
    app[TOKENS] = tokens
    app[DESK] = core.desk
    app[MAILBOXES] = core.mailboxes
    app[REGISTER] = core.register
    app[RULE] = core.rule
    app[SUBMISSIONS] = core.submissions
    app[TIME] = core.time
    app[METRICS] = Metrics()
    app[OPERATION_NAMES] = routes.OPERATION_NAMES
    app.add_routes(routes.ROUTES)
    add_pages(app)
    app.on_response_prepare.append(prepare_headers)
    add_journal(app, recorder)
    add_faults(app, faults)
    news = _News(core.exchange)
    app.on_shutdown.append(news.end)
    recorder.listeners += [app[METRICS].count, news.request]
    app[FAULT_LISTENERS].append(news.fault)
    return app


class _News:
    """Publishes what the API saw to whoever watches the exchange."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def request(self, entry: Entry) -> None:
        self._exchange.events.publish(
            Kind.REQUEST,
            entry.simulated_at,
            number=entry.number,
            mailbox=entry.mailbox,
            operation=entry.operation,
            status=entry.status,
            message_id=entry.message_id,
            reason=entry.reason,
        )

    async def end(self, _app: web.Application) -> None:
        self._exchange.events.end()

    def fault(self, rule: FaultRule, operation: str) -> None:
        self._exchange.events.publish(
            Kind.FAULT, self._exchange.now(), rule=rule.id, action=rule.action.value, operation=operation
        )


@contextlib.asynccontextmanager
async def _listening(
    app: web.Application, settings: Settings, tls: ssl.SSLContext | None, patience_s: float
) -> AsyncIterator[str]:
    # Bodies pass through as they were sent, so the server must not decompress them (design.md).
    connections = Connections(Terms.of(settings))
    runner = Runner(
        app,
        connections,
        access_log=None,
        auto_decompress=False,
        logger=http_log,
        max_field_size=settings.max_header_bytes,
        max_line_size=settings.max_header_bytes,
        max_headers=settings.max_headers,
        keepalive_timeout=settings.idle_time.total_seconds(),
        read_bufsize=_READ_BUFFER_BYTES,
        shutdown_timeout=patience_s,
    )
    await runner.setup()
    connections.start()
    try:
        site = Site(runner, settings.host, settings.port, connections=connections, tls=tls)
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
        connections.stop()
        await runner.cleanup()
