"""Wiring: settings in, a running simulator out."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import sqlite3
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web

from mesh_sim.api import routes
from mesh_sim.api.errors import errors_to_bodies
from mesh_sim.api.header_bytes import prepare_headers
from mesh_sim.api.http_log import http_log
from mesh_sim.api.keys import EXCHANGE, SETTINGS, TOKENS
from mesh_sim.api.operations import OPERATION_NAMES
from mesh_sim.certs import CertificateError, server_context
from mesh_sim.clock import SimulatedClock
from mesh_sim.config import Relaxation, Settings, SettingsError, Tls
from mesh_sim.exchange.service import Exchange, Rules
from mesh_sim.optouts.answers import ListDesk
from mesh_sim.optouts.register import OptOutRegister
from mesh_sim.optouts.service import OptOutService, Terms
from mesh_sim.optouts.worker import SubmissionWorker
from mesh_sim.participants import load_directory
from mesh_sim.storage import sql
from mesh_sim.storage.choices import SqlChoices
from mesh_sim.storage.database import Database
from mesh_sim.storage.files import FilePayloads
from mesh_sim.storage.messages import SqlMessageStore
from mesh_sim.storage.sqlite import SqliteDatabase
from mesh_sim.storage.submissions import SqlSubmissions
from mesh_sim.storage.sweep import delete_discarded, sweep_orphans
from mesh_sim.storage.tokens import SqliteTokens
from ndoo.protocol import MAX_REQUEST_BYTES

log = logging.getLogger("mesh_sim")

T = TypeVar("T")

_READ_BUFFER_BYTES = 1024 * 1024
_MAX_HEADER_BYTES = 64 * 1024
_TIDY_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Core:
    """Everything behind the web server: the exchange and where it keeps things."""

    settings: Settings
    clock: SimulatedClock
    database: Database
    payloads: FilePayloads
    messages: SqlMessageStore
    exchange: Exchange
    register: OptOutRegister


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
async def open_core(settings: Settings, clock: SimulatedClock | None = None) -> AsyncIterator[Core]:
    """Open the storage and the exchange over it; on leaving, finish what was begun and close.

    Raises:
        SettingsError: the data folder or the mailboxes cannot be used.
    """
    clock = clock or SimulatedClock()
    directory = load_directory(settings)
    with contextlib.closing(_DataFolder(settings.data)) as folder:
        database = _opened(
            settings.data / "mesh-sim.db", lambda path: SqliteDatabase(path, sql.SCHEMA + sql.OPTOUT_SCHEMA)
        )
        try:
            payloads = FilePayloads(settings.data / "payloads")
            if folder.alone:
                await SqlSubmissions(database).release_claims()
                if count := await sweep_orphans(database, payloads):
                    log.info("swept up %d bodies that an earlier stop left unfinished", count)
            folder.share()
            messages = SqlMessageStore(database)
            exchange = Exchange(directory, messages, payloads, now=clock.now, rules=_rules(settings))
            register = OptOutRegister(
                SqlChoices(database),
                rate=settings.opt_out_rate,
                seed=settings.opt_out_seed,
                now=clock.now,
            )
            async with _background("tidying", _tidy(database, payloads)):
                yield Core(settings, clock, database, payloads, messages, exchange, register)
        finally:
            await database.close()


@contextlib.asynccontextmanager
async def working(core: Core) -> AsyncIterator[None]:
    """Answer submissions until the context is left."""
    submissions = SqlSubmissions(core.database)
    settings, exchange = core.settings, core.exchange
    service = OptOutService(
        submissions,
        ListDesk(core.messages, core.payloads),
        core.register,
        exchange.directory,
        clock=core.clock,
        arrivals=exchange.arrivals,
        terms=Terms(settings.nhs_number_rule, settings.ndoo_reply_delay, settings.cache_lifetime),
    )
    worker = SubmissionWorker(
        settings.ndoo_mailbox, service, submissions, clock=core.clock, arrivals=exchange.arrivals
    )
    async with _background("the opt-out service", worker.run()):
        yield


@contextlib.asynccontextmanager
async def running(settings: Settings, clock: SimulatedClock | None = None) -> AsyncIterator[Server]:
    """Run a simulator, server and worker, until the context is left.

    Raises:
        SettingsError: it cannot start as it is set up; the text says why.
    """
    tls = _tls(settings)  # first: a missing certificate stops the start before a folder is made
    async with open_core(settings, clock) as core, working(core):
        tokens = _opened(settings.data / "tokens.db", SqliteTokens)
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


def _rules(settings: Settings) -> Rules:
    return Rules(
        inbox_expiry=settings.inbox_expiry,
        max_request_bytes=None if Relaxation.OVERSIZE in settings.allow else MAX_REQUEST_BYTES,
        need_all_chunks=Relaxation.MISSING_CHUNKS not in settings.allow,
        download_once=Relaxation.REDOWNLOAD not in settings.allow,
    )


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.tls is Tls.OFF:
        return None
    try:
        return server_context(settings.certs, mutual=settings.tls is Tls.MUTUAL)
    except CertificateError as error:
        raise SettingsError(str(error)) from error


def _opened(path: Path, open_file: Callable[[Path], T]) -> T:
    try:
        return open_file(path)
    except (sqlite3.Error, OSError) as error:
        raise SettingsError(
            f"{path} cannot be used: {error}; restore it, or set MESH_SIM_DATA to another folder"
        ) from error


class _DataFolder:
    """The data folder, marked as in use; only whoever finds it unused may sweep it."""

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(folder / "in-use.lock", os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise SettingsError(
                f"the data folder {folder} cannot be used: {error.strerror}; "
                "set MESH_SIM_DATA to one that can"
            ) from error
        self.alone = True
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.alone = False
            self.share()

    def share(self) -> None:
        """Let others in; waits while another process is sweeping."""
        fcntl.flock(self._lock, fcntl.LOCK_SH)

    def close(self) -> None:
        """Stop using it."""
        os.close(self._lock)


async def _tidy(database: Database, payloads: FilePayloads) -> None:
    """Delete bodies that were replaced, every now and then."""
    while True:
        try:
            await delete_discarded(database, payloads)
        except Exception:
            log.exception("replaced bodies could not be deleted; trying again in %.0f s", _TIDY_EVERY_S)
        await asyncio.sleep(_TIDY_EVERY_S)


@contextlib.asynccontextmanager
async def _background(name: str, work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run something beside the context, and end it with the context."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_tell_of_its_end)
    try:
        yield
    finally:
        task.cancel()
        # gather, because it raises only if we are cancelled ourselves, not for the task's own end.
        await asyncio.gather(task, return_exceptions=True)


def _tell_of_its_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("%s ended before its time", task.get_name(), exc_info=error)
