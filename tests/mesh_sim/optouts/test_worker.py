"""The worker: exactly one answer a submission, whatever stops, fails or runs beside it."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from optout_world import NUMBERS, World, kept, opened, records

from mesh_sim.clock import real_now
from mesh_sim.exchange.errors import StorageFailed
from mesh_sim.exchange.messages import Stored
from mesh_sim.optouts.submissions import Claim, ClaimLost, Conclusion, Outcome, State
from mesh_sim.storage.files import FilePayloads
from mesh_sim.storage.submissions import SqlSubmissions

LONG = records(NUMBERS * 30)
"""A list past the inline limit, so that its body and its answer's are files."""

MINUTES = timedelta(minutes=2)
"""Longer than a lease."""


class Halting(FilePayloads):
    """Files on a disk that stops giving data after the first block of a body."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.halted = asyncio.Event()

    async def read(self, body: Stored) -> AsyncIterator[bytes]:
        """Give one block, then nothing, and no end either."""
        async for block in super().read(body):
            yield block
            self.halted.set()
            await asyncio.Event().wait()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A service whose answers are large enough for files."""
    async with opened(tmp_path) as made:
        yield made


async def test_answers_what_arrives(world: World) -> None:
    """A running worker answers what waits already and what arrives later, at once and not at its poll."""
    await world.submit(records(NUMBERS[:3]), local_id="early")
    async with world.worker(poll=timedelta(hours=1)):
        await world.until_replies(2)
        await world.submit(records(NUMBERS[:3]), local_id="late")
        replies = await world.until_replies(4)
    assert [reply.metadata.local_id for reply in replies] == ["early", "early", "late", "late"]


async def test_polls_for_what_other_processes_left(world: World) -> None:
    """A submission that nobody in this process was told of is found by polling."""
    async with world.worker(poll=timedelta(milliseconds=20)):
        elsewhere = World(world.folder, world.database, world.payloads)
        await elsewhere.submit(records(NUMBERS[:3]))
        assert len(await world.until_replies(2)) == 2


async def test_two_workers_never_answer_twice(tmp_path: Path) -> None:
    """Two workers with a connection each to one database give each of many submissions one answer."""
    async with opened(tmp_path) as one, opened(tmp_path) as two:
        two.arrivals = one.arrivals
        for number in range(60):
            await one.submit(records(NUMBERS[number : number + 5]), local_id=f"list-{number}")
        async with one.worker(), two.worker():
            replies = await one.until_replies(120)
            assert await one.waiting() == 0
    counts = Counter((reply.metadata.local_id, reply.metadata.subject) for reply in replies)
    assert set(counts.values()) == {1}
    order = {}
    for place, reply in enumerate(replies):
        order[reply.metadata.local_id, reply.metadata.subject] = place
    assert all(order[f"list-{n}", "SUCCESS"] < order[f"list-{n}", "weekly"] for n in range(60))


async def test_stopped_midway_it_gives_the_submission_back(world: World) -> None:
    """A worker that is stopped while it checks leaves nothing behind, and another may start at once."""
    sent = await world.submit(LONG)
    before = await world.payloads.keys()
    disk = Halting(world.folder / "payloads")
    async with world.worker(payloads=disk):
        await disk.halted.wait()
    assert await world.payloads.keys() == before
    assert (await world.outcome(sent)).state is State.NEW
    async with world.worker():
        replies = await world.until_replies(2)
    assert await world.body(replies[1]) == LONG
    assert (await world.outcome(sent)).attempts == 2


class Watched(SqlSubmissions):
    """Tells when a step has been begun whose end lies with the database."""

    def __init__(self, world: World) -> None:
        super().__init__(world.database)
        self.begun = asyncio.Event()

    async def claim(self, *args: Any, **kwargs: Any) -> Sequence[Claim]:
        """Claim, and tell of it."""
        self.begun.set()
        return await super().claim(*args, **kwargs)


class WatchedEnd(Watched):
    """The same, but it tells of the last step of all."""

    async def claim(self, *args: Any, **kwargs: Any) -> Sequence[Claim]:
        """Claim without a word."""
        return await SqlSubmissions.claim(self, *args, **kwargs)

    async def finish(self, claim: Claim, conclusion: Conclusion) -> bool:
        """Finish, and tell of it."""
        self.begun.set()
        return await super().finish(claim, conclusion)


async def test_stopped_while_claiming_it_gives_the_claim_back(world: World) -> None:
    """A worker that is stopped while its claim is being recorded does not keep others from it."""
    await world.submit(records(NUMBERS[:3]))
    watched = Watched(world)
    world.submissions = watched
    async with world.worker():
        await watched.begun.wait()
    assert [claim.submission.attempts for claim in await world.claim()] == [2]


async def test_stopped_while_answering_it_answers(world: World) -> None:
    """A worker that is stopped while its answer is being recorded sees to the end of it, files and all."""
    sent = await world.submit(LONG)
    watched = WatchedEnd(world)
    world.submissions = watched
    told = asyncio.create_task(world.arrivals.wait(sent.sender, 5))
    async with world.worker():
        await watched.begun.wait()
    assert await told, "whoever waits for the answer was not woken"
    assert (await world.outcome(sent)).outcome is Outcome.ANSWERED
    assert await world.body((await world.replies())[1]) == LONG


async def test_lapsed_lease_lets_another_answer(world: World) -> None:
    """A submission whose worker died is answered by another once the lease has lapsed, not before."""
    await world.submit(LONG)
    (lost,) = await world.claim("dead worker")
    assert await world.claim("early") == []
    async with world.worker(later=MINUTES):
        await world.until_replies(2)
    assert await world.claim("late", later=2 * MINUTES) == []
    keys = await world.payloads.keys()
    with pytest.raises(ClaimLost):
        await world.service().handle(lost, kept)
    assert len(await world.replies()) == 2
    assert await world.payloads.keys() == keys, "the second answer's body was not deleted"


async def test_only_one_of_two_claims_at_once_succeeds(world: World) -> None:
    """Of two workers that see the same submission at the same moment one gets it, new or lapsed."""
    await world.submit(records(NUMBERS[:3]))
    for later in (timedelta(), MINUTES):
        claims = await asyncio.gather(world.claim("one", later=later), world.claim("two", later=later))
        assert sorted(map(len, claims)) == [0, 1]


async def test_claim_that_was_taken_over_is_not_concluded(world: World) -> None:
    """A worker that was slower than its lease leaves the answer to the one that took over."""
    await world.submit(records(NUMBERS[:3]))
    (slow,) = await world.claim("slow")
    (quick,) = await world.claim("quick", later=MINUTES)
    with pytest.raises(ClaimLost):
        await world.service().handle(slow, kept)
    assert await world.replies() == []
    await world.service().handle(quick, kept)
    assert len(await world.replies()) == 2


async def test_claims_are_renewed_while_a_list_is_checked(world: World) -> None:
    """A worker that is still checking renews its claim, and stops when it finds it lost."""
    await world.submit(LONG)
    (claim,) = await world.claim("slow")
    assert await world.submissions.renew(claim, real_now() + 3 * MINUTES)
    assert await world.claim("other", later=MINUTES) == []
    assert len(await world.claim("other", later=4 * MINUTES)) == 1
    assert not await world.submissions.renew(claim, real_now() + 9 * MINUTES)


async def test_worker_finds_out_that_its_claim_is_lost(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker whose lease has run out looks before going on, and drops what another has answered."""
    caplog.set_level(logging.INFO)
    await world.submit(LONG)
    disk = _Overtaken(world)
    async with world.worker(payloads=disk, lease=timedelta(microseconds=1), poll=timedelta(hours=1)):
        await disk.overtaken.wait()
        await world.submit(records(NUMBERS[:3]))
        await world.until_replies(4)
    assert "no longer this worker's" in caplog.text


class _Overtaken(FilePayloads):
    """Files that are read while another worker answers the same submission."""

    def __init__(self, world: World) -> None:
        super().__init__(world.folder / "payloads")
        self._world = world
        self.overtaken = asyncio.Event()

    async def read(self, body: Stored) -> AsyncIterator[bytes]:
        """Have the other one answer first."""
        (claim,) = await self._world.claim("other", later=MINUTES)
        await self._world.service().handle(claim, kept)
        self.overtaken.set()
        async for block in super().read(body):
            yield block


async def test_delayed_answer_survives_a_restart(tmp_path: Path) -> None:
    """A receipt given before a restart is not given again; the answer comes when it was due."""
    async with opened(tmp_path) as world:
        slow = world.with_terms(reply_delay=timedelta(minutes=40))
        sent = await slow.submit(records(NUMBERS[:3]))
        async with slow.worker():
            await slow.until_replies(1)
    async with opened(tmp_path) as world:
        slow = world.with_terms(reply_delay=timedelta(minutes=40))
        async with slow.worker(poll=timedelta(hours=1)):
            assert await slow.claim("hand") == []
            slow.clock.advance(timedelta(minutes=40))
            replies = await slow.until_replies(2)
        assert [reply.metadata.subject for reply in replies] == ["SUCCESS", "weekly"]
        assert (await slow.outcome(sent)).outcome is Outcome.ANSWERED


async def test_advancing_the_clock_brings_the_answer_at_once(world: World) -> None:
    """A waiting worker is woken by the simulated clock, not by its poll."""
    slow = world.with_terms(reply_delay=timedelta(days=1))
    await slow.submit(records(NUMBERS[:3]))
    async with slow.worker(poll=timedelta(hours=1)):
        await slow.until_replies(1)
        slow.clock.advance(timedelta(days=1))
        assert len(await slow.until_replies(2)) == 2


async def test_one_that_cannot_be_read_holds_nothing_up(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """A submission whose body is lost is put off with the reason logged, while others are answered."""
    broken = await world.submit(LONG, local_id="broken")
    keys = await world.payloads.keys()
    (hidden,) = (world.folder / "payloads" / key for key in keys)
    elsewhere = hidden.rename(world.folder / "elsewhere")
    await world.submit(LONG, local_id="whole")
    async with world.worker(at_once=1, first_pause=timedelta(minutes=1), poll=timedelta(milliseconds=20)):
        replies = await world.until_replies(2)
    assert {reply.metadata.local_id for reply in replies} == {"whole"}
    outcome = await world.outcome(broken)
    assert (outcome.state, outcome.attempts) == (State.NEW, 1)
    (error,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert broken.message_id in error.getMessage()
    assert error.exc_info is not None
    elsewhere.rename(hidden)
    async with world.worker(later=MINUTES):
        await world.until_replies(4)
    assert (await world.outcome(broken)).outcome is Outcome.ANSWERED


async def test_full_database_loses_nothing(world: World) -> None:
    """When an answer cannot be recorded its files are deleted and the submission waits for another try."""
    world.chunk_bytes = 70_000  # one chunk in a file, one in a database that has no room for it
    sent = await world.submit(LONG)
    before = await world.payloads.keys()
    (claim,) = await world.claim()
    await _limit_pages(world, 1)
    with pytest.raises(StorageFailed):
        await world.service().handle(claim, kept)
    assert await world.payloads.keys() == before
    assert (await world.outcome(sent)).state is State.NEW
    await _limit_pages(world, 1 << 30)
    await world.service().handle(claim, kept)
    assert await world.body((await world.replies())[1]) == LONG


async def test_full_database_does_not_stop_the_worker(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A worker that cannot claim says so and goes on when it can again."""
    for number in range(60):  # so many rows that claiming them needs more room than there is
        await world.submit(records(NUMBERS[:3]), subject="" if number else "weekly")
    await _limit_pages(world, 1)
    logged = _Logged("no submissions could be claimed")
    async with logged, world.worker(at_once=60, poll=timedelta(milliseconds=20)) as running:
        await logged.seen.wait()
        assert not running.done()
        await _limit_pages(world, 1 << 30)
        await world.until_replies(2)


class _Logged(logging.Handler):
    """Waits for a line in the worker's log."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text
        self.seen = asyncio.Event()

    async def __aenter__(self) -> None:
        logging.getLogger("mesh_sim.optouts").addHandler(self)

    async def __aexit__(self, *_: object) -> None:
        logging.getLogger("mesh_sim.optouts").removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Note the line."""
        if self._text in record.getMessage():
            self.seen.set()


async def _limit_pages(world: World, count: int) -> None:
    """Let the database file grow no further, as on a full disk; a limit below its size means its size."""
    await world.database.write(lambda tx: tx.fetch(f"PRAGMA max_page_count = {count}"))
