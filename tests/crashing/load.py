"""Clients that keep a server busy until it breaks, and note what it tells them.

Mailbox X26ABC1 sends to X26ABC2, which acknowledges some; X26ABC3 submits lists and collects the replies.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, Final

import aiohttp
from controls import control
from support import Answer, Caller

from crashing.lists import check_reply, long_list, made_up, packed
from crashing.told import Asked, Submission, Told

SENDER: Final = "X26ABC1"
RECIPIENT: Final = "X26ABC2"
PRACTICE: Final = "X26ABC3"
SERVICE: Final = "X26HC065"
PASSWORD: Final = "password"

_BUSY: Final = 60
"""So many answers, and a life is one amid work."""

BROKEN: Final = (aiohttp.ClientError, ConnectionError)
"""What a client sees when a server dies."""

_SIZES: Final = (1, 300, 5_000, 70_000, 400_000)
"""Small ones live in the database, large ones in files: both must survive."""

_PIECE: Final = 256 * 1024

Work = Callable[[random.Random], Coroutine[Any, Any, None]]


class Load:
    """All the clients of one server's life."""

    def __init__(self, url: str, told: Told, seed: str) -> None:
        self.url = url
        self.told = told
        self.answered = 0
        self._seed = seed
        self._busy = asyncio.Event()

    async def run(self) -> None:
        """Keep every client at work until the server breaks; raises what a client found wrong."""
        works: list[Work] = [self._send, self._send, self._send, self._upload, self._submit, self._collect]
        if self.told.ticking:
            works.append(self._tick)
        async with asyncio.TaskGroup() as clients:
            for number, work in enumerate(works):
                chance = random.Random(f"{self._seed}/{number}")
                clients.create_task(_until_it_breaks(work(chance)))

    async def busy(self) -> None:
        """Wait until the clients have had their first answers."""
        async with asyncio.timeout(60):
            await self._busy.wait()

    async def send_half(self) -> None:
        """Begin to send a large body; returns when half of it is on its way, which never ends."""
        parcel = self.told.begin("half")
        under_way = asyncio.Event()

        async def body() -> AsyncIterator[bytes]:
            for _ in range(5):
                yield bytes(65_536)
            under_way.set()
            await asyncio.Event().wait()

        async def send() -> None:
            async with Caller(self.url, SENDER) as caller:
                await caller.send(body(), workflow="CRASH", headers={"Mex-LocalID": parcel.local_id})

        self._half = asyncio.create_task(_until_it_breaks(send()))
        async with asyncio.timeout(60):
            await under_way.wait()

    async def submit_long(self, times: int = 1) -> None:
        """Submit a list that a worker has to work on for a while, several times at once."""
        made, chance = long_list(self._seed), random.Random(f"{self._seed}/long")
        async with Caller(self.url, PRACTICE) as caller:
            await asyncio.gather(*(self.submit(caller, chance, made) for _ in range(times)))

    async def submit(
        self, caller: Caller, chance: random.Random, made: tuple[Submission, bytes] | None = None
    ) -> None:
        """Submit one list, made up if it is not given."""
        submission, data = made or made_up(chance)
        headers = {}
        if chance.random() < 0.25:
            data = packed(data)
            headers["Content-Encoding"] = "gzip"
        parcel = self.told.begin("list")
        self.told.submissions[parcel.local_id] = submission
        parcel.offer(1, data)
        answer = await self._ask(
            caller,
            lambda token: caller.send(
                _pieces(data) if len(data) > _PIECE else data,
                to=SERVICE,
                workflow=submission.workflow,
                headers=headers | {"Mex-LocalID": parcel.local_id, "Mex-Subject": "CRASH"},
                authorization=token,
            ),
        )
        assert answer.status == 202, answer.body
        parcel.message_id = answer.json()["messageID"]
        parcel.accept(1)

    # -- the clients --------------------------------------------------------------------------------

    async def _send(self, chance: random.Random) -> None:
        async with Caller(self.url, SENDER) as sender, Caller(self.url, RECIPIENT) as recipient:
            while True:
                parcel = self.told.begin("message")
                body = chance.randbytes(chance.choice(_SIZES))
                parcel.offer(1, body)
                answer = await self._ask(
                    sender,
                    lambda token, body=body, parcel=parcel: sender.send(
                        body,
                        workflow="CRASH",
                        headers={"Mex-LocalID": parcel.local_id},
                        authorization=token,
                    ),
                )
                assert answer.status == 202, answer.body
                parcel.message_id = answer.json()["messageID"]
                parcel.accept(1)
                if chance.random() < 0.3:
                    parcel.acknowledged = Asked.UNANSWERED
                    answer = await recipient.acknowledge(parcel.message_id)
                    assert answer.status == 200, answer.body
                    parcel.acknowledged = Asked.ANSWERED
                    self._note()

    async def _upload(self, chance: random.Random) -> None:
        """Send chunks in any order, some of them twice, the second time with another body."""
        async with Caller(self.url, SENDER) as sender:
            while True:
                total = chance.randint(2, 5)
                later = list(range(2, total + 1))
                chance.shuffle(later)
                order = [1, *(number for each in later[:-1] for number in [each] * chance.choice((1, 1, 2)))]
                parcel = self.told.begin("upload", total)
                for number in (*order, later[-1]):
                    body = chance.randbytes(chance.choice(_SIZES))
                    parcel.offer(number, body)
                    wanted = f"{number}:{total}"
                    if number == 1:
                        headers = {"Mex-LocalID": parcel.local_id, "Mex-Chunk-Range": wanted}
                        answer = await sender.send(body, workflow="CRASH", headers=headers)
                    else:
                        answer = await sender.send_chunk(parcel.message_id, number, wanted, body)
                    if self.told.ticking and number > 1 and answer.status in (404, 423):
                        break  # it had taken too long: an upload that nobody completes is deleted
                    assert answer.status == 202, answer.body
                    parcel.message_id = answer.json()["messageID"]
                    parcel.accept(number)
                    self._note()

    async def _submit(self, chance: random.Random) -> None:
        async with Caller(self.url, PRACTICE) as caller:
            while True:
                await self.submit(caller, chance)
                await asyncio.sleep(chance.uniform(0, 0.02))

    async def _collect(self, chance: random.Random) -> None:
        async with Caller(self.url, PRACTICE) as caller:
            while True:
                for message_id in await caller.inbox("max_results=100"):
                    await collect(caller, self.told, message_id)
                    if chance.random() < 0.7:
                        answer = await caller.acknowledge(message_id)
                        assert answer.status == 200, answer.body
                        self.told.collected.add(message_id)
                    self._note()
                await asyncio.sleep(0.02)

    async def _tick(self, chance: random.Random) -> None:
        while True:
            await asyncio.sleep(chance.uniform(0.02, 0.1))
            answer = await control(self.url, "POST", "/admin/clock", {"advance": "10m"})
            assert answer.status == 200, answer.body

    # -- what they share ----------------------------------------------------------------------------

    async def _ask(self, caller: Caller, request: Callable[[str], Awaitable[Answer]]) -> Answer:
        """Make a request with a token that is remembered once it was answered."""
        token = caller.sign()
        answer = await request(token)
        self.told.tokens.append((caller.mailbox, token))
        self._note()
        return answer

    def _note(self) -> None:
        self.answered += 1
        if self.answered == _BUSY:
            self._busy.set()


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), _PIECE):
        yield data[start : start + _PIECE]


async def collect(caller: Caller, told: Told, message_id: str) -> None:
    """Read a reply of the opt-out service and compare it with what is right."""
    answer = await caller.get(f"inbox/{message_id}")
    if answer.status == 410 and told.ticking:  # it expired since it was listed
        return
    assert answer.status == 200, answer.body
    headers = answer.mex()
    if headers["mex-messagetype"] == "REPORT":
        return
    local_id = headers["mex-localid"]
    kind = "receipt" if headers["mex-subject"] == "SUCCESS" else "answer"
    check_reply(told.submissions[local_id], local_id, kind, answer.body, password=PASSWORD)
    told.replies[message_id] = (local_id, kind)


async def _until_it_breaks(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except BROKEN:
        return
