"""What time does to messages: expiry with its report, deletion (mesh-api.md section 20)."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from mesh_sim.exchange.arrivals import Arrivals
from mesh_sim.exchange.directory import Directory
from mesh_sim.exchange.errors import StorageFailed
from mesh_sim.exchange.events import Events, Kind
from mesh_sim.exchange.messages import Message
from mesh_sim.exchange.ports import MessageUpkeep
from mesh_sim.exchange.reports import non_delivery

log = logging.getLogger(__name__)

_BATCH: Final = 200
"""How many messages one transaction deals with: senders wait for it no longer than for a large send."""

_LOOK_EVERY_S: Final = 60.0
_TRY_AGAIN_S: Final = 5.0


class Clock(Protocol):
    """The simulated time."""

    def now(self) -> datetime:
        """Give it, in UTC."""

    async def sleep_until(self, when: datetime) -> None:
        """Sleep until it has come to ``when``."""


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long messages last, in simulated time.

    Args:
        inbox: from delivery until an uncollected message becomes undeliverable; also how long an upload may
            take before it counts as abandoned and is deleted.
        message: from delivery until a message is deleted, whatever became of it.
    """

    inbox: timedelta
    message: timedelta


class Housekeeper:
    """Expires and deletes messages as soon as their time has come."""

    def __init__(
        self,
        upkeep: MessageUpkeep,
        directory: Directory,
        *,
        clock: Clock,
        lifetimes: Lifetimes,
        arrivals: Arrivals,
        events: Events,
        deleted: Callable[[], Awaitable[object]],
    ) -> None:
        """Make one.

        Args:
            upkeep: where the messages are.
            directory: who can be sent a report.
            clock: the simulated time.
            lifetimes: how long messages last.
            arrivals: told of reports delivered.
            events: told of everything.
            deleted: awaited after messages were deleted, to delete their bodies too.
        """
        self._upkeep = upkeep
        self._directory = directory
        self._clock = clock
        self._lifetimes = lifetimes
        self._arrivals = arrivals
        self._events = events
        self._deleted = deleted
        self._busy = asyncio.Lock()

    async def run(self) -> None:
        """Do what is due, whenever it is, until cancelled."""
        while True:
            try:
                await self.do_what_is_due()
                pause = await self._pause()
            except StorageFailed as error:
                log.error("housekeeping waits for the storage: %s", error)  # noqa: TRY400 - not the code's fault
                pause = _TRY_AGAIN_S
            except Exception:
                log.exception("housekeeping failed; trying again in %.0f s", _TRY_AGAIN_S)
                pause = _TRY_AGAIN_S
            await self._clock.sleep_until(self._clock.now() + timedelta(seconds=pause))

    async def do_what_is_due(self) -> None:
        """Expire and delete whatever has reached its time, before this returns.

        Raises:
            StorageFailed: not all of it could be done; it is done next time.
        """
        async with self._busy:
            now = self._clock.now()
            await self._expire(now)
            await self._delete(now)

    async def _expire(self, now: datetime) -> None:
        # A microsecond for each: six hex digits alone would not tell the ids of thousands apart.
        moments = (now + timedelta(microseconds=number) for number in itertools.count())

        def report(message: Message) -> Message | None:
            known = self._directory.mailbox(message.sender) is not None
            return non_delivery(message, next(moments)) if known else None

        more = True
        while more:
            expired = await self._upkeep.expire(
                delivered_by=now - self._lifetimes.inbox, at=now, limit=_BATCH, report=report
            )
            for message, made in expired:
                self._tell(message, made, now)
            more = len(expired) == _BATCH

    def _tell(self, message: Message, report: Message | None, now: datetime) -> None:
        log.info(
            "message %s to %s was not collected in time%s",
            message.message_id,
            message.recipient,
            f"; {message.sender} gets the report {report.message_id}" if report else "",
        )
        self._events.message(Kind.UNDELIVERABLE, now, message)
        if report is not None:
            self._arrivals.notify(report.recipient)
            self._events.message(Kind.ACCEPTED, now, report)

    async def _delete(self, now: datetime) -> None:
        total = 0
        for delete, by in (
            (self._upkeep.delete_delivered, now - self._lifetimes.message),
            (self._upkeep.delete_unfinished, now - self._lifetimes.inbox),
        ):
            more = True
            while more:
                ids: Sequence[str] = await delete(by=by, limit=_BATCH)
                for message_id in ids:
                    self._events.publish(Kind.DELETED, now, message_id=message_id)
                total += len(ids)
                more = len(ids) == _BATCH
        if total:
            log.info("%d messages were deleted: their time was over", total)
            await self._deleted()

    async def _pause(self) -> float:
        """How long nothing is due, in seconds; a minute at most, for what other processes bring."""
        ages = await self._upkeep.ages()
        now = self._clock.now()
        dues = [
            since + lifetime - now
            for since, lifetime in (
                (ages.waiting_since, self._lifetimes.inbox),
                (ages.delivered_since, self._lifetimes.message),
                (ages.unfinished_since, self._lifetimes.inbox),
            )
            if since is not None
        ]
        return min([_LOOK_EVERY_S, *(max(due.total_seconds(), 0.0) for due in dues)])
