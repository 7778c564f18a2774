"""Random sequences of everything a mailbox and time can do, compared with a simple model of the rules.

The model knows sections 7 to 14 and 20 of mesh-api.md and nothing of how they are kept. Each step takes a
second of real time, so that no two messages arrive at the same moment; only an advance or a restart makes
anything due.
"""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support import Answer, Caller

from mesh_sim.app import running
from mesh_sim.clock import SimulatedClock
from mesh_sim.config import Settings

MAILBOXES = ("X26ABC1", "X26ABC2", "X26ABC3")
INBOX, LIFE = timedelta(days=5), timedelta(days=30)

mailboxes = st.sampled_from(MAILBOXES)
places = st.integers(0, 1000)
bodies = st.binary(min_size=1, max_size=8)


@dataclass
class Expected:
    """What the rules say of one message."""

    message_id: str
    sender: str
    recipient: str
    total: int
    begun_at: datetime
    chunks: dict[int, bytes]
    status: str = "uploading"
    delivered_at: datetime | None = None
    about: str = ""
    """Of a report: the message that was not collected."""


@dataclass
class Model:
    """Messages by id, and each inbox in its order of arrival."""

    messages: dict[str, Expected] = field(default_factory=dict)
    inboxes: dict[str, list[Expected]] = field(default_factory=lambda: {mailbox: [] for mailbox in MAILBOXES})
    deleted: list[Expected] = field(default_factory=list)

    def deliver(self, message: Expected, now: datetime) -> None:
        """Put a complete message into its inbox."""
        message.status, message.delivered_at = "accepted", now
        self.inboxes[message.recipient].append(message)

    def leave(self, message: Expected, status: str) -> None:
        """Take a message out of its inbox."""
        message.status = status
        self.inboxes[message.recipient].remove(message)

    def pass_time(self, now: datetime) -> None:
        """Do what five and thirty days do (section 20)."""
        waiting = [message for inbox in self.inboxes.values() for message in inbox]
        for message in sorted(waiting, key=lambda message: message.delivered_at or now):
            if message.delivered_at is not None and message.delivered_at + INBOX <= now:
                self.leave(message, "undeliverable")
                if not message.about:
                    report = Expected("", "", message.sender, 0, now, {}, about=message.message_id)
                    self.deliver(report, now)
        for message in list(self.messages.values()):
            old = message.delivered_at is not None and message.delivered_at + LIFE <= now
            abandoned = message.delivered_at is None and message.begun_at + INBOX <= now
            if old or abandoned:
                del self.messages[message.message_id]
                self.deleted.append(message)
                if message.status == "accepted":
                    self.leave(message, "deleted")


class Exchange(RuleBasedStateMachine):
    """A real server on one data folder, and the model beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.stack = AsyncExitStack()
        self.model = Model()
        self.real = datetime(2026, 1, 1, tzinfo=UTC)
        self.offset = timedelta()

    # -- the server -------------------------------------------------------------------------------

    @initialize()
    def start(self) -> None:
        """Start the server on the folder."""

        async def start() -> None:
            given = Settings(port=0, data=Path(self.folder.name) / "data", opt_out_rate=0.0)
            clock = SimulatedClock(lambda: self.real)
            self.server = await self.stack.enter_async_context(running(given, clock))
            self.callers = {
                mailbox: await self.stack.enter_async_context(Caller(self.server.url, mailbox))
                for mailbox in MAILBOXES
            }
            await self.server.core.housekeeper.do_what_is_due()

        self.runner.run(start())
        self.model.pass_time(self.now)

    def teardown(self) -> None:
        """Stop the server."""
        self.runner.run(self.stack.aclose())
        self.runner.close()
        self.folder.cleanup()

    @property
    def now(self) -> datetime:
        """The simulated time."""
        return self.real + self.offset

    def get(self, mailbox: str, path: str) -> Answer:
        """GET a path of a mailbox."""
        return self.runner.run(self.callers[mailbox].get(path, version=2))

    def pick(self, place: int) -> Expected:
        """Choose one of the messages there are or were."""
        there = [*self.model.messages.values(), *self.model.deleted]
        return there[place % len(there)]

    def has_messages(self) -> bool:
        """Whether there is one to choose."""
        return bool(self.model.messages or self.model.deleted)

    # -- what can be done -------------------------------------------------------------------------

    @rule(
        sender=mailboxes, recipient=mailboxes, total=st.integers(1, 3), body=st.binary(min_size=1, max_size=8)
    )
    def send(self, sender: str, recipient: str, total: int, body: bytes) -> None:
        """Send a message, or begin one."""
        self.real += timedelta(seconds=1)
        headers = {"Mex-Chunk-Range": f"1:{total}"}
        message_id = self.runner.run(
            self.callers[sender].sent(body, to=recipient, workflow="MODEL", headers=headers)
        )
        message = Expected(message_id, sender, recipient, total, self.now, {1: body})
        self.model.messages[message_id] = message
        if total == 1:
            self.model.deliver(message, self.now)

    @precondition(has_messages)
    @rule(place=places, number=st.integers(1, 4), body=bodies)
    def chunk(self, place: int, number: int, body: bytes) -> None:
        """Send a chunk of any message, in any order, again or too late."""
        self.real += timedelta(seconds=1)
        message = self.pick(place)
        if message.about:
            return
        answer = self.runner.run(
            self.callers[message.sender].send_chunk(message.message_id, number, f"{number}:4", body)
        )
        if message.message_id not in self.model.messages:
            assert answer.status == 404
        elif message.status != "uploading":
            assert answer.status == 423
        elif number > message.total:
            assert answer.status == 406
        else:
            assert answer.status == 202
            message.chunks[number] = body
            if len(message.chunks) == message.total:
                self.model.deliver(message, self.now)

    @precondition(has_messages)
    @rule(place=places, mailbox=mailboxes, number=st.integers(1, 4))
    def download(self, place: int, mailbox: str, number: int) -> None:
        """Download a chunk of any message as anybody."""
        message = self.pick(place)
        answer = self.get(mailbox, f"inbox/{message.message_id}/{number}")
        if message.message_id not in self.model.messages:
            assert answer.status == 404
        elif mailbox != message.recipient:
            assert answer.status == 403
        elif message.status != "accepted":
            assert answer.status == 410
        elif message.about:
            assert (answer.status, answer.body) == (200, b"")
        elif number > message.total:
            assert answer.status == 404
        else:
            assert answer.status == (206 if number < message.total else 200)
            assert answer.body == message.chunks[number]

    @precondition(has_messages)
    @rule(place=places, mailbox=mailboxes)
    def acknowledge(self, place: int, mailbox: str) -> None:
        """Acknowledge any message as anybody."""
        self.real += timedelta(seconds=1)
        message = self.pick(place)
        answer = self.runner.run(self.callers[mailbox].acknowledge(message.message_id))
        if message.message_id not in self.model.messages:
            assert answer.status == 404
        elif mailbox != message.recipient:
            assert answer.status == 403
        else:
            assert answer.status == 200
            if message.status == "accepted":
                self.model.leave(message, "acknowledged")

    @precondition(has_messages)
    @rule(place=places, mailbox=mailboxes)
    def track(self, place: int, mailbox: str) -> None:
        """Track any message as anybody."""
        message = self.pick(place)
        answer = self.get(mailbox, f"outbox/tracking?messageID={message.message_id}")
        if message.message_id not in self.model.messages or mailbox != message.sender:
            assert answer.status == 404
        else:
            assert answer.json()["status"] == message.status

    @rule(hours=st.sampled_from([1, 24, 119, 120, 600, 720]))
    def advance(self, hours: int) -> None:
        """Move the clock."""
        self.real += timedelta(seconds=1)
        self.offset += timedelta(hours=hours)
        self.runner.run(self.server.core.time.advance(timedelta(hours=hours)))
        self.model.pass_time(self.now)

    @rule(hours=st.sampled_from([0, 0, 0, 200]))
    def restart(self, hours: int) -> None:
        """Stop the server, and start it again at once or after more than a week."""
        self.runner.run(self.stack.aclose())
        self.real += timedelta(hours=hours, seconds=1)
        self.start()

    @rule()
    def page(self) -> None:
        """Read every inbox by pages of ten."""
        for mailbox, expected in self.model.inboxes.items():
            path, read = "inbox?max_results=10", list[str]()
            while path:
                body = self.get(mailbox, path).json()
                read += body["messages"]
                path = body["links"].get("next", "").removeprefix(f"/messageexchange/{mailbox}/")
            assert read == [message.message_id for message in expected]

    # -- what always holds ------------------------------------------------------------------------

    @invariant()
    def inboxes_are_as_expected(self) -> None:
        """Each inbox lists what waits in it, in its order; reports are known by what they are about."""
        for mailbox, expected in self.model.inboxes.items():
            body = self.get(mailbox, "inbox").json()
            assert body["approx_inbox_count"] == len(body["messages"]) == len(expected)
            for message_id, message in zip(body["messages"], expected, strict=True):
                if message.about and not message.message_id:
                    headers = self.get(mailbox, f"inbox/{message_id}").mex()
                    assert headers["mex-messagetype"] == "REPORT"
                    assert headers["mex-linkedmsgid"] == message.about
                    message.message_id = message_id
                    self.model.messages[message_id] = message
                assert message_id == message.message_id


Exchange.TestCase.settings = settings(
    max_examples=20, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestExchange = Exchange.TestCase
