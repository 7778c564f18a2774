"""Everything behind the web server: the exchange, the opt-out service, and where they keep things."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mesh_sim.clock import SimulatedClock
from mesh_sim.config import Relaxation, Settings, SettingsError
from mesh_sim.exchange.desk import ServiceDesk
from mesh_sim.exchange.directory import Directory, Mailbox
from mesh_sim.exchange.events import Kind
from mesh_sim.exchange.housekeeping import Housekeeper, Lifetimes
from mesh_sim.exchange.service import Exchange, Rules
from mesh_sim.mailboxes import MailboxRegister
from mesh_sim.optouts.answers import ListDesk
from mesh_sim.optouts.register import OptOutRegister
from mesh_sim.optouts.rule import SharedRule
from mesh_sim.optouts.service import OptOutService, Terms
from mesh_sim.optouts.snapshot import SyntheticRule
from mesh_sim.optouts.worker import SubmissionWorker
from mesh_sim.participants import load_directory
from mesh_sim.scenario import Scenario, Stage, load_scenario
from mesh_sim.shared import Followers, SharedClock
from mesh_sim.storage import sql
from mesh_sim.storage.choices import SqlChoices
from mesh_sim.storage.database import Database
from mesh_sim.storage.documents import SqlDocuments
from mesh_sim.storage.files import FilePayloads
from mesh_sim.storage.messages import SqlMessageStore
from mesh_sim.storage.sqlite import SqliteDatabase
from mesh_sim.storage.submissions import SqlSubmissions
from mesh_sim.storage.sweep import delete_discarded, sweep_orphans
from mesh_sim.storage.upkeep import SqlMessageUpkeep
from mesh_sim.timekeeper import TimeKeeper

log = logging.getLogger("mesh_sim")

T = TypeVar("T")

_TIDY_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Core:
    """A simulator without its web server."""

    settings: Settings
    clock: SimulatedClock
    shared_clock: SharedClock
    time: TimeKeeper
    database: Database
    documents: SqlDocuments
    payloads: FilePayloads
    messages: SqlMessageStore
    mailboxes: MailboxRegister
    exchange: Exchange
    desk: ServiceDesk
    housekeeper: Housekeeper
    rule: SharedRule
    register: OptOutRegister
    submissions: SqlSubmissions
    stage: Stage | None


@contextlib.asynccontextmanager
async def open_core(settings: Settings, clock: SimulatedClock | None = None) -> AsyncIterator[Core]:
    """Open the storage and the exchange over it; on leaving, finish what was begun and close.

    Raises:
        SettingsError: the data folder or the mailboxes cannot be used.
    """
    clock = clock or SimulatedClock()
    directory = load_directory(settings)
    scenario = None
    if settings.scenario is not None:
        scenario = load_scenario(settings.scenario, directory, settings.nhs_number_rule)
    with contextlib.closing(_DataFolder(settings.data)) as folder:
        database = opened(
            settings.data / "mesh-sim.db",
            lambda path: SqliteDatabase(path, sql.SCHEMA + sql.OPTOUT_SCHEMA, sql.VERSION),
        )
        try:
            payloads = FilePayloads(settings.data / "payloads")
            submissions = SqlSubmissions(database)
            if folder.alone:
                await submissions.release_claims()
                if count := await sweep_orphans(database, payloads):
                    log.info("swept up %d bodies that an earlier stop left unfinished", count)
            folder.share()
            core = _assemble(settings, clock, directory, database, payloads, submissions, scenario)
            followers = Followers(core.documents, core.shared_clock, core.mailboxes, core.rule)
            await followers.catch_up()
            async with (
                background("following other processes", followers.run()),
                background("tidying", _tidy(database, payloads)),
                background("housekeeping", core.housekeeper.run()),
            ):
                yield core
        finally:
            await database.close()


def _assemble(
    settings: Settings,
    clock: SimulatedClock,
    directory: Directory,
    database: Database,
    payloads: FilePayloads,
    submissions: SqlSubmissions,
    scenario: Scenario | None,
) -> Core:
    documents = SqlDocuments(database)
    messages, upkeep = SqlMessageStore(database), SqlMessageUpkeep(database)
    exchange = Exchange(directory, messages, payloads, now=clock.now, rules=_rules(settings))

    async def deleted() -> None:
        await delete_discarded(database, payloads)

    def mailbox_changed(mailbox: Mailbox) -> None:
        exchange.events.publish(Kind.MAILBOX, clock.now(), mailbox=mailbox.mailbox_id, active=mailbox.active)

    shared_clock = SharedClock(clock, documents)
    housekeeper = Housekeeper(
        upkeep,
        directory,
        clock=clock,
        lifetimes=Lifetimes(settings.inbox_expiry, settings.deletion),
        arrivals=exchange.arrivals,
        events=exchange.events,
        deleted=deleted,
    )
    rule = SyntheticRule(settings.opt_out_rate, settings.opt_out_seed)
    if scenario is not None:
        rule = scenario.rule(rule)
    register = OptOutRegister(
        SqlChoices(database),
        rate=rule.rate,
        seed=rule.seed,
        now=clock.now,
        changed=lambda: exchange.events.publish(Kind.OPT_OUTS, clock.now()),
    )
    time = TimeKeeper(clock, shared_clock, housekeeper, exchange.events)
    desk = ServiceDesk(
        messages,
        upkeep,
        now=clock.now,
        announce=exchange.announce,
        events=exchange.events,
        deleted=deleted,
    )
    stage = None
    if scenario is not None:
        stage = Stage(scenario, desk=desk, register=register, time=time, documents=documents)
    return Core(
        settings=settings,
        clock=clock,
        shared_clock=shared_clock,
        time=time,
        database=database,
        documents=documents,
        payloads=payloads,
        messages=messages,
        mailboxes=MailboxRegister(directory, documents, changed=mailbox_changed),
        exchange=exchange,
        desk=desk,
        housekeeper=housekeeper,
        rule=SharedRule(register, documents),
        register=register,
        submissions=submissions,
        stage=stage,
    )


@contextlib.asynccontextmanager
async def working(core: Core) -> AsyncIterator[None]:
    """Answer submissions until the context is left."""
    settings, exchange, submissions = core.settings, core.exchange, core.submissions
    service = OptOutService(
        submissions,
        ListDesk(core.messages, core.payloads),
        core.register,
        exchange.directory,
        clock=core.clock,
        announce=exchange.announce,
        events=exchange.events,
        terms=Terms(settings.nhs_number_rule, settings.ndoo_reply_delay, settings.cache_lifetime),
    )
    worker = SubmissionWorker(
        settings.ndoo_mailbox, service, submissions, clock=core.clock, arrivals=exchange.arrivals
    )
    async with background("the opt-out service", worker.run()):
        yield


def _rules(settings: Settings) -> Rules:
    return Rules(
        inbox_expiry=settings.inbox_expiry,
        max_request_bytes=None if Relaxation.OVERSIZE in settings.allow else settings.max_request_bytes,
        max_inbox=settings.max_inbox,
        need_all_chunks=Relaxation.MISSING_CHUNKS not in settings.allow,
        download_once=Relaxation.REDOWNLOAD not in settings.allow,
    )


def opened(path: Path, open_file: Callable[[Path], T]) -> T:
    """Open a file of the data folder.

    Raises:
        SettingsError: it cannot be used; the text says why and what to do.
    """
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
async def background(name: str, work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
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
