"""The opt-out service over a real database and real files, without a web server in front."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from mesh_sim.clock import SimulatedClock, real_now
from mesh_sim.exchange.arrivals import Arrivals
from mesh_sim.exchange.bodies import take_in
from mesh_sim.exchange.directory import Directory, Mailbox
from mesh_sim.exchange.events import Events
from mesh_sim.exchange.messages import Chunk, Inline, Message, MessageType, Metadata
from mesh_sim.exchange.states import Status
from mesh_sim.optouts.answers import ANSWER_CHUNK_BYTES, ListDesk
from mesh_sim.optouts.register import OptOutRegister
from mesh_sim.optouts.service import OptOutService, Terms
from mesh_sim.optouts.submissions import Claim, Submission
from mesh_sim.optouts.worker import Pace, SubmissionWorker
from mesh_sim.storage import sql
from mesh_sim.storage.choices import SqlChoices
from mesh_sim.storage.files import FilePayloads
from mesh_sim.storage.messages import SqlMessageStore, insert
from mesh_sim.storage.sqlite import SqliteDatabase
from mesh_sim.storage.submissions import SqlSubmissions
from ndoo.lists import generate
from ndoo.protocol import WORKFLOW_CHECK

SERVICE = "X26HC065"
PRACTICE = Mailbox("X26ABC1", "TESTMB1", password="password")
CLOSED = Mailbox("X26ABC9", "CLOSED", password="password", active=False)

NUMBERS: list[int] = np.concatenate(list(generate(300, seed=11))).tolist()
"""Three hundred different valid numbers of the test range."""


def records(numbers: Iterable[int]) -> bytes:
    """Write a list as the service takes it."""
    return b"".join(b"%010d,\n" % number for number in numbers)


@dataclass
class World:
    """Everything around the service; several workers may stand on the same one."""

    folder: Path
    database: SqliteDatabase
    payloads: FilePayloads
    rate: float = 0.0
    terms: Terms = field(default_factory=Terms)
    chunk_bytes: int = ANSWER_CHUNK_BYTES
    clock: SimulatedClock = field(default_factory=SimulatedClock)
    arrivals: Arrivals = field(default_factory=Arrivals)

    def __post_init__(self) -> None:
        self.messages = SqlMessageStore(self.database)
        self.submissions = SqlSubmissions(self.database)
        self.register = OptOutRegister(SqlChoices(self.database), rate=self.rate, seed=1, now=self.clock.now)
        self._serial = itertools.count(1)

    def service(self, payloads: FilePayloads | None = None) -> OptOutService:
        """Make a service as one process would have it."""
        return OptOutService(
            self.submissions,
            ListDesk(self.messages, payloads or self.payloads, self.chunk_bytes),
            self.register,
            Directory([Mailbox(SERVICE, "NDOO"), PRACTICE, CLOSED], []),
            clock=self.clock,
            announce=self.announce,
            events=Events(),
            terms=self.terms,
        )

    def announce(self, message: Message) -> None:
        """Wake whoever waits on the message's inbox, as the exchange does."""
        self.arrivals.notify(message.recipient)

    @asynccontextmanager
    async def worker(
        self, *, payloads: FilePayloads | None = None, later: timedelta = timedelta(), **pace: Any
    ) -> AsyncIterator[asyncio.Task[None]]:
        """Run a worker; ``later`` is how much further its real clock is, as after a time without one."""
        task = asyncio.create_task(
            SubmissionWorker(
                SERVICE,
                self.service(payloads),
                self.submissions,
                clock=self.clock,
                arrivals=self.arrivals,
                pace=Pace(**pace),
                real=lambda: real_now() + later,
            ).run()
        )
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled(), task.exception()

    async def submit(self, *bodies: bytes, sender: str = PRACTICE.mailbox_id, **message: Any) -> Message:
        """Put a submission in the service mailbox, one chunk a body, and say so."""
        metadata = Metadata(
            subject=message.pop("subject", "weekly"),
            local_id=message.pop("local_id", f"list-{next(self._serial)}"),
            content_encoding=message.pop("content_encoding", ""),
            file_name="list.dat",
        )
        now = self.clock.now()
        sent = Message(
            message_id=f"{now:%Y%m%d%H%M%S%f}_{next(self._serial):06X}",
            message_type=message.pop("message_type", MessageType.DATA),
            sender=sender,
            recipient=SERVICE,
            workflow_id=message.pop("workflow_id", WORKFLOW_CHECK),
            status=Status.ACCEPTED,
            total_chunks=message.pop("total_chunks", len(bodies)),
            created_at=now,
            metadata=metadata,
            accepted_at=now,
        )
        assert not message, f"unknown: {message}"
        chunks = []
        for number, data in enumerate(bodies, 1):
            body, size = await take_in(_one(data), self.payloads, None)
            chunks.append(Chunk(number, size, body))
        sent = await self.database.write(lambda tx: insert(tx, sent, chunks))
        self.arrivals.notify(SERVICE)
        return sent

    async def claim(self, owner: str = "hand", *, later: timedelta = timedelta()) -> Sequence[Claim]:
        """Claim what can be claimed, for a minute."""
        real = real_now() + later
        return await self.submissions.claim(
            SERVICE, owner, limit=100, now=self.clock.now(), real=real, until=real + timedelta(minutes=1)
        )

    async def work(self) -> None:
        """Deal with everything that can be claimed now, as a worker would, but in this task."""
        service = self.service()
        for claim in await self.claim():
            await service.handle(claim, kept)

    async def outcome(self, message: Message) -> Submission:
        """Give what was recorded of a submission."""
        submission = await self.submissions.submission(message.message_id)
        assert submission is not None
        return submission

    async def replies(self, sender: str = PRACTICE.mailbox_id) -> list[Message]:
        """List the replies in a practice's inbox, in the order of their arrival."""
        listed = await self.messages.inbox(sender, after=0, limit=1000)
        found = [await self.messages.message(line.message_id) for line in listed]
        return [message for message in found if message is not None]

    async def until_replies(self, count: int) -> list[Message]:
        """Wait until there are so many replies."""
        async with asyncio.timeout(10):
            while len(replies := await self.replies()) < count:
                await self.arrivals.wait(PRACTICE.mailbox_id, 10)
        return replies

    async def chunks(self, message: Message) -> list[bytes]:
        """Give a message's chunks as they are stored."""
        bodies = []
        for number in range(1, message.total_chunks + 1):
            chunk = await self.messages.chunk(message.message_id, number)
            assert chunk is not None
            if isinstance(chunk.body, Inline):
                data = chunk.body.data
            else:
                data = b"".join([block async for block in self.payloads.read(chunk.body)])
            assert len(data) == chunk.size > 0
            bodies.append(data)
        return bodies

    async def body(self, message: Message) -> bytes:
        """Give a message's body, decompressed."""
        chunks = await self.chunks(message)
        if message.metadata.content_encoding == "gzip":
            chunks = [gzip.decompress(chunk) for chunk in chunks]
        return b"".join(chunks)

    async def waiting(self) -> int:
        """Count what still lies in the service's inbox."""
        return await self.messages.waiting(SERVICE)

    def with_terms(self, **terms: Any) -> World:
        """Give the same world under other terms, as after a restart with other settings."""
        return replace(self, terms=replace(self.terms, **terms))


@asynccontextmanager
async def opened(folder: Path, **world: Any) -> AsyncIterator[World]:
    """Open a world in a folder, which may be one that was used before."""
    database = SqliteDatabase(folder / "mesh-sim.db", sql.SCHEMA + sql.OPTOUT_SCHEMA)
    try:
        yield World(folder, database, FilePayloads(folder / "payloads"), **world)
    finally:
        await database.close()


def receipt(body: bytes) -> Any:
    """Read a receipt."""
    return json.loads(body)


def utc_stamp(at: datetime) -> int:
    """Write a time as receipts do."""
    return int(at.strftime("%Y%m%d%H%M%S%f"))


async def _one(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def kept() -> None:
    """Nothing to renew: work done by hand takes no minute."""
