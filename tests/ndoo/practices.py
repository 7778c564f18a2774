"""A practice at a simulator: what the tests of the round trip work with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp import web
from support import Simulator
from yarl import URL

from ndoo.check import CheckResult, Service, check_opt_outs, collect, submit
from ndoo.journal import Journal, Submission
from ndoo.lists import generate
from ndoo.mailbox import Credentials, Mailbox
from ndoo.progress import Progress

POOL: Final = [int(number) for batch in generate(60, seed=7) for number in batch]
"""Distinct valid numbers of the test range."""

OPTED_OUT: Final = frozenset(POOL[::3])

QUICK: Final = Service(poll_interval=0.01)
HERE: Final = "X26ABC1"
SERVICE: Final = "X26HC065"


def records(numbers: list[int]) -> bytes:
    """Write numbers as the service exchanges them."""
    return b"".join(b"%010d,\n" % number for number in numbers)


def table(numbers: list[int]) -> bytes:
    """Write numbers as the rows of a CSV."""
    rows = [b"%d,%010d,Example" % row for row in enumerate(numbers)]
    return b"\r\n".join([b"Row,NHS Number,Name", *rows, b""])


def staying(numbers: list[int]) -> list[int]:
    """Leave out the opted out."""
    return [number for number in numbers if number not in OPTED_OUT]


class Told(Progress):
    """Remembers what it was told; ``then`` is called at each wait, with their number so far."""

    def __init__(self, then: Callable[[int], None] = lambda _waits: None) -> None:
        self.then = then
        self.waits: list[tuple[float, float]] = []
        self.said: list[str] = []
        self.steps: list[str] = []
        self.bytes: dict[str, list[tuple[int, int]]] = {}

    def waiting(self, waited: float, next_look: float) -> None:
        """Remember a wait."""
        self.waits.append((waited, next_look))
        self.then(len(self.waits))

    def say(self, sentence: str) -> None:
        """Remember a sentence."""
        self.said.append(sentence)

    def step(self, name: str, **_facts: str | int) -> None:
        """Remember a step."""
        self.steps.append(name)

    def validating(self, done: int, total: int) -> None:
        """Remember how far it is."""
        self.bytes.setdefault("validating", []).append((done, total))

    def sending(self, done: int, total: int) -> None:
        """Remember how far it is."""
        self.bytes.setdefault("sending", []).append((done, total))

    def receiving(self, done: int, total: int) -> None:
        """Remember how far it is."""
        self.bytes.setdefault("receiving", []).append((done, total))


# -- what a test works with -------------------------------------------------------------------------


@dataclass
class World:
    """A simulator, and a practice that has a journal and a folder of its own."""

    simulator: Simulator
    folder: Path
    stack: AsyncExitStack = field(repr=False)
    journal: Journal
    mailbox: Mailbox

    async def open(self, mailbox: str, url: str = "", **options: Any) -> Mailbox:
        """Open a mailbox, which is closed with the test; nothing is tried again."""
        credentials = Credentials(mailbox, "password", "TestKey")
        return await self.stack.enter_async_context(
            Mailbox(url or self.simulator.url, credentials, **{"retries": 0} | options)
        )

    def source(self, content: bytes = records(POOL), name: str = "list.dat") -> Path:
        """Write a source."""
        path = self.folder / name
        path.write_bytes(content)
        return path

    async def submit(self, output: str = "out.dat", **options: Any) -> Submission:
        """Submit ``list.dat``, which is made if there is none."""
        source = self.folder / "list.dat"
        if not source.exists():
            self.source()
        given: dict[str, Any] = {"service": QUICK} | options
        return await submit(self.mailbox, self.journal, source, self.folder / output, **given)

    async def collect(self, submission: Submission, **options: Any) -> CheckResult:
        """Collect, waiting for ten seconds at most."""
        given: dict[str, Any] = {"service": QUICK, "timeout": 10.0} | options
        return await collect(self.mailbox, self.journal, submission, **given)

    async def check(self, source: Path, output: str, **options: Any) -> CheckResult:
        """Do the whole round trip."""
        given: dict[str, Any] = {"service": QUICK, "timeout": 10.0, "journal": self.journal} | options
        return await check_opt_outs(self.mailbox, source, self.folder / output, **given)

    async def waiting(self, mailbox: str = HERE) -> list[str]:
        """List what is in an inbox."""
        return await self.simulator.caller(mailbox).inbox()

    async def answered(self) -> None:
        """Wait until the service has answered."""
        exchange = self.simulator.server.exchange
        async with asyncio.timeout(20):
            while not await self.waiting():
                await exchange.arrivals.wait(HERE, 1.0)

    def kept(self) -> list[str]:
        """Name the files that the journal keeps."""
        return [path.name for path in self.journal.folder.iterdir()]

    def leftovers(self) -> list[str]:
        """Name the hidden files that are left in the folder."""
        return [path.name for path in self.folder.iterdir() if path.name.startswith(".")]


async def make_world(simulator: Simulator, folder: Path, stack: AsyncExitStack) -> World:
    """Put a practice beside a simulator in which OPTED_OUT have opted out."""
    await simulator.server.core.register.load(OPTED_OUT)
    mailbox = await stack.enter_async_context(
        Mailbox(simulator.url, Credentials(HERE, "password", "TestKey"), retries=0)
    )
    journal = Journal(folder.parent / "state" / "journal.db")
    return World(simulator, folder, stack, journal, mailbox)


@dataclass
class Staged:
    """A practice, and a service whose part the test plays."""

    world: World
    service: Mailbox

    async def send(self, submission: Submission, body: bytes, **headers: str) -> str:
        """Send what the service would, as the answer unless told otherwise."""
        given: dict[str, Any] = {
            "local_id": submission.local_id,
            "subject": submission.subject,
            "file_name": f"{submission.local_id}.dat",
        } | headers
        return await self.service.send(submission.mailbox, submission.workflow_id, body, **given)

    async def receipt(self, submission: Submission, **headers: str) -> str:
        """Send a receipt."""
        return await self.send(
            submission, b'{"status": "pending"}', **{"subject": "SUCCESS", "file_name": ""} | headers
        )


Meddle = Callable[[web.Request], Awaitable[bool]]
"""Asked before a request is passed on; tells whether its answer is to be lost."""


@dataclass
class Relay:
    """A server in front of the simulator, which passes requests on and loses what a test tells it to."""

    url: str
    target: str
    session: aiohttp.ClientSession
    before: Callable[[web.Request], bool] = lambda _request: False
    after: Callable[[web.Request], bool] = lambda _request: False
    meanwhile: Callable[[web.Request], Awaitable[None]] | None = None
    seen: list[tuple[str, str]] = field(default_factory=list)
    encodings: list[str] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Pass one request on."""
        self.seen.append((request.method, request.path.partition(f"/{HERE}")[2]))
        self.encodings.append(request.headers.get("Content-Encoding", ""))
        if self.before(request):
            return self._lose(request)
        body = await request.read()
        if self.meanwhile is not None:
            await self.meanwhile(request)
        given = request.headers.copy()
        given.popall("Transfer-Encoding", None)
        async with self.session.request(
            request.method,
            URL(self.target + request.raw_path, encoded=True),
            headers=given,
            data=body,
        ) as answer:
            content = await answer.read()
        if self.after(request):
            return self._lose(request)
        headers = answer.headers.copy()
        if request.method != "HEAD":
            headers.popall("Content-Length", None)
        headers.popall("Transfer-Encoding", None)
        return web.Response(status=answer.status, body=content or None, headers=headers)

    def heal(self) -> None:
        """Lose nothing from now on."""
        self.before = self.after = lambda _request: False

    def _lose(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()


@asynccontextmanager
async def relay_to(target: str) -> AsyncIterator[Relay]:
    """Run a relay."""
    async with aiohttp.ClientSession(
        auto_decompress=False, skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type")
    ) as session:
        relay = Relay("", target, session)
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{tail:.*}", relay.handle)
        runner = web.AppRunner(app, access_log=None, auto_decompress=False)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            host, port = runner.addresses[0][:2]
            relay.url = f"http://{host}:{port}"
            yield relay
        finally:
            await runner.cleanup()


def matching(method: str, part: str, first: int = 1) -> Callable[[web.Request], bool]:
    """Match requests of a method whose path has this part, from the ``first`` on.

    All of them, for aiohttp itself repeats a request that ended without an answer.
    """
    count = 0

    def match(request: web.Request) -> bool:
        nonlocal count
        if request.method != method or part not in request.path:
            return False
        count += 1
        return count >= first

    return match
