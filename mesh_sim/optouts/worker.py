"""The worker that answers submissions, inside the server or alone beside a shared database."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from mesh_sim.clock import SimulatedClock, real_now
from mesh_sim.exchange.arrivals import Arrivals
from mesh_sim.exchange.errors import StorageFailed
from mesh_sim.optouts.answers import KeepClaim
from mesh_sim.optouts.service import OptOutService
from mesh_sim.optouts.submissions import Claim, ClaimLost, Submissions

log = logging.getLogger(__name__)

_LONGEST_PAUSE: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Pace:
    """How a worker goes about it; these lengths of time are real ones.

    Args:
        lease: how long a claim holds without being renewed.
        poll: how often to look for what nobody told of: other processes' messages, lapsed leases.
        at_once: how many submissions are worked on at the same time.
        first_pause: how long a submission is left alone after its first failure; it doubles each time.
    """

    lease: timedelta = timedelta(seconds=60)
    poll: timedelta = timedelta(seconds=2)
    at_once: int = 4
    first_pause: timedelta = timedelta(seconds=1)


class SubmissionWorker:
    """Claims what waits in the service mailbox and has the service deal with it."""

    def __init__(
        self,
        mailbox_id: str,
        service: OptOutService,
        submissions: Submissions,
        *,
        clock: SimulatedClock,
        arrivals: Arrivals,
        pace: Pace | None = None,
        real: Callable[[], datetime] = real_now,
    ) -> None:
        self._mailbox_id = mailbox_id
        self._service = service
        self._submissions = submissions
        self._clock = clock
        self._arrivals = arrivals
        self._pace = pace or Pace()
        self._real = real
        self._owner = secrets.token_hex(8)
        self._news = asyncio.Event()
        self._active = 0

    async def run(self) -> None:
        """Work until cancelled; then finish or give back what was claimed."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            await asyncio.sleep(0)  # it listens now, so that nothing can arrive unnoticed
            while True:
                self._news.clear()
                claims = await self._claim()
                for claim in claims:
                    self._active += 1
                    tasks.create_task(self._handle(claim))
                if not claims:
                    await self._rest()

    async def _listen(self) -> None:
        while True:
            await self._arrivals.wait(self._mailbox_id, self._pace.poll.total_seconds())
            self._news.set()

    async def _claim(self) -> Sequence[Claim]:
        """Claim as much as may be worked on; nothing if the storage fails, which the next look retries."""
        room = self._pace.at_once - self._active
        if room == 0:
            return []
        real = self._real()
        claiming = asyncio.ensure_future(
            self._submissions.claim(
                self._mailbox_id,
                self._owner,
                limit=room,
                now=self._clock.now(),
                real=real,
                until=real + self._pace.lease,
            )
        )
        try:
            return await asyncio.shield(claiming)
        except StorageFailed as error:
            log.error("no submissions could be claimed: %s", error)  # noqa: TRY400 - not a fault of the code
            return []
        except Exception:
            log.exception("no submissions could be claimed; trying again")
            return []
        except asyncio.CancelledError:
            with contextlib.suppress(StorageFailed):
                for claim in await claiming:
                    await self._give_back(claim, timedelta())
            raise

    async def _rest(self) -> None:
        """Wait for news, or for the simulated time at which the next answer is due."""
        due_at = None
        # What made this fail fails the next claim too, which says so in the log.
        with contextlib.suppress(Exception):
            due_at = await self._submissions.next_due(self._clock.now())
        waiting: list[asyncio.Task[Any]] = [asyncio.create_task(self._news.wait())]
        if due_at is not None:
            waiting.append(asyncio.create_task(self._clock.sleep_until(due_at)))
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()

    async def _handle(self, claim: Claim) -> None:
        try:
            await self._service.handle(claim, self._lease(claim))
        except asyncio.CancelledError:
            await self._give_back(claim, timedelta())
            raise
        except ClaimLost:
            log.info("submission %s is no longer this worker's to answer", claim.message.message_id)
        except Exception:
            pause = min(self._pace.first_pause * 2 ** min(claim.submission.attempts - 1, 30), _LONGEST_PAUSE)
            log.exception(
                "submission %s from %s could not be dealt with (attempt %d); trying again in %d s",
                claim.message.message_id,
                claim.message.sender,
                claim.submission.attempts,
                pause.total_seconds(),
            )
            await self._give_back(claim, pause)
        finally:
            self._active -= 1
            self._news.set()

    def _lease(self, claim: Claim) -> KeepClaim:
        """Make what renews a claim once half of its lease is gone."""
        until = claim.until

        async def keep() -> None:
            nonlocal until
            real = self._real()
            if until - real > self._pace.lease / 2:
                return
            until = real + self._pace.lease
            if not await self._submissions.renew(claim, until):
                raise ClaimLost

        return keep

    async def _give_back(self, claim: Claim, pause: timedelta) -> None:
        try:
            await self._submissions.give_back(claim, self._real() + pause)
        except StorageFailed as error:
            log.warning("a claim could not be given back and will lapse by itself: %s", error)
