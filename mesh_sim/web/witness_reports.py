"""The reports that witness pages show: made in the background, one at a time, and kept until there is more.

Judging a mailbox that has made a hundred thousand requests takes a second. A page shows the latest report at
once, says from when it is, and is told when there is a newer one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from aiohttp import web

from mesh_sim.api.keys import CONDUCTOR, EXCHANGE
from mesh_sim.clock import real_now
from mesh_sim.conductor.conductor import Conductor
from mesh_sim.exchange.events import Kind
from mesh_sim.exchange.service import Exchange

if TYPE_CHECKING:
    from mesh_sim.witness.report import Report

log = logging.getLogger("mesh_sim.web")

MOST_KEPT: Final = 100
"""Of how many mailboxes the latest report is kept."""

_PATIENCE_S: Final = 0.05
"""How long a page waits for a report: most are made by then, and nobody sees one of a moment ago."""

_RESTING: Final = 4.0
"""How much longer than making a report the pause after it is, so that requests have their time."""
_LONGEST_REST_S: Final = 5.0

_GOOD_FOR: Final = timedelta(minutes=1)
"""How long a report is good although nothing happened: some rules are broken by what does not come."""

_Position = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Made:
    """A report, and where the rehearsal stood when it was begun."""

    report: Report
    position: _Position
    took_s: float
    """How long making it took; a page does not wait for the next one of those that take long."""


@dataclass(frozen=True, slots=True)
class _Making:
    """A report that is being made."""

    mailbox: str
    position: _Position
    made: asyncio.Future[Report | None]


class WitnessReports:
    """Makes and keeps the reports of one simulator. To be used from one event loop."""

    def __init__(self, conductor: Conductor, exchange: Exchange) -> None:
        self._conductor = conductor
        self._exchange = exchange
        self._kept: OrderedDict[str, _Made] = OrderedDict()
        self._wanted: dict[str, asyncio.Future[Report | None]] = {}
        self._making: _Making | None = None
        self._gone_without: set[str] = set()
        """Of which mailboxes somebody left without the current report."""
        self._hurry = asyncio.Event()
        self._work: asyncio.Task[None] | None = None

    async def latest(self, mailbox_id: str, *, patience_s: float = _PATIENCE_S) -> Report | None:
        """Give the latest report of the mailbox's rehearsal, or of its traffic; None where there is none yet.

        Where it is not the current one, that is made; whoever watches is told of it as of a step of the
        rehearsal.
        """
        known = self._kept.get(mailbox_id)
        if not self.is_current(mailbox_id):
            made = self._ask(mailbox_id)
            if known is None or known.took_s < patience_s:
                await asyncio.wait([made], timeout=patience_s)
            if not made.done():
                self._gone_without.add(mailbox_id)
        known = self._kept.get(mailbox_id)
        if known is None or known.report.begun_at != self._begun_at(mailbox_id):
            return None
        return known.report

    async def current(self, mailbox_id: str) -> Report | None:
        """Wait for a report of all that has happened by now; None where it cannot be made."""
        if self.is_current(mailbox_id):
            return self._kept[mailbox_id].report
        made = self._ask(mailbox_id)
        self._hurry.set()
        return await asyncio.shield(made)

    def is_current(self, mailbox_id: str) -> bool:
        """Tell whether the latest report has everything."""
        known = self._kept.get(mailbox_id)
        return (
            known is not None
            and known.position == self._conductor.position(mailbox_id)
            and known.report.begun_at == self._begun_at(mailbox_id)
            and real_now() - known.report.made_at < _GOOD_FOR
        )

    async def close(self) -> None:
        """Make no more of them."""
        if self._work is not None:
            self._work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._work
        for made in self._wanted.values():
            made.cancel()

    def _begun_at(self, mailbox_id: str) -> datetime | None:
        if mailbox_id not in self._conductor.rehearsing:
            return None
        return self._conductor.standing(mailbox_id).rehearsal.begun_at

    def _ask(self, mailbox_id: str) -> asyncio.Future[Report | None]:
        making, wanted = self._making, (mailbox_id, self._conductor.position(mailbox_id))
        if making is not None and (making.mailbox, making.position) == wanted:
            return making.made
        made = self._wanted.get(mailbox_id)
        if made is None:
            made = self._wanted[mailbox_id] = asyncio.get_running_loop().create_future()
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._make_all())
        return made

    async def _make_all(self) -> None:
        while self._wanted:
            self._hurry.clear()
            mailbox_id = next(iter(self._wanted))
            position = self._conductor.position(mailbox_id)
            making = self._making = _Making(mailbox_id, position, self._wanted.pop(mailbox_id))
            began = time.perf_counter()
            try:
                making.made.set_result(await self._make(making))
            finally:
                self._making = None
                making.made.cancel()
            rest = min(_RESTING * (time.perf_counter() - began), _LONGEST_REST_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(rest):
                    await self._hurry.wait()

    async def _make(self, making: _Making) -> Report | None:
        began = time.perf_counter()
        try:
            report = await self._conductor.report(making.mailbox)
        except Exception:
            log.exception("the report of mailbox %s cannot be made", making.mailbox)
            self._gone_without.discard(making.mailbox)  # told of it, they would ask for it again and again
            return None
        self._kept[making.mailbox] = _Made(report, making.position, time.perf_counter() - began)
        self._kept.move_to_end(making.mailbox)
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        if making.mailbox in self._gone_without:
            self._gone_without.discard(making.mailbox)
            at = self._exchange.now()
            self._exchange.events.publish(Kind.WITNESS, at, mailbox=making.mailbox, state="judged")
        return report


REPORTS = web.AppKey("witness_reports", WitnessReports)


async def witness_reports(app: web.Application) -> AsyncIterator[None]:
    """Have reports made while an application runs."""
    app[REPORTS] = reports = WitnessReports(app[CONDUCTOR], app[EXCHANGE])
    yield
    await reports.close()
