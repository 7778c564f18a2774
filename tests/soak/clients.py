"""The clients of the mixed run, as ``python -m soak.clients URL SECONDS SEED FOLDER``.

Every few seconds a line of JSON says what requests took; the last one says what the run came to. Each
message must be drained whole, or be reported to its sender once its time is over; each list must come back
as the rule has it. Anything else ends the run with a traceback.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from controls import control
from crashing import lists
from crashing.told import digest
from support import Answer, Caller

from ndoo import Credentials, Journal, Mailbox, Service, check_opt_outs
from soak.latencies import Latencies
from soak.rude import Rude

EVERY_S: Final = 5.0
"""How often a line is printed."""

SENDER: Final = "X26ABC1"
RECIPIENT: Final = "X26ABC2"
PRACTICE: Final = "X99GP001"

DRAINED: Final = "MIXED"
LEFT: Final = "LEFT"
"""Workflow of the messages that nobody collects."""

_SIZES: Final = (1, 300, 300, 5_000, 5_000, 70_000, 400_000)
_CHUNK: Final = 1_500_000


class Mix:
    """What the clients share."""

    def __init__(self, url: str, seconds: float, seed: int, folder: Path) -> None:
        self.url = url
        self._folder = folder
        self.latencies = Latencies()
        self._seconds = seconds
        self._seed = seed
        self._over = asyncio.Event()
        self._pending: dict[str, list[bytes]] = {}
        """The digests of every message's chunks that was neither drained nor reported."""
        self._recent: deque[str] = deque(maxlen=50)
        self._ended: Counter[str] = Counter()
        self._reported: set[str] = set()

    async def run(self) -> None:
        """Keep all clients at it for the time given, then have everything come to its end."""
        rude = Rude(self.url, random.Random(f"{self._seed}/rude"))
        producers = [self._send, self._send, self._send, self._upload, self._check, self._track]
        others = [self._drain, self._collect_reports, self._look, self._advance, self._mistake, rude.bother]
        async with asyncio.TaskGroup() as tasks:
            begun = [tasks.create_task(self._until_over(work, place)) for place, work in enumerate(producers)]
            going = [tasks.create_task(work()) for work in (*others, self._print)]
            await asyncio.sleep(self._seconds)
            self._over.set()
            await asyncio.wait(begun)
            await self._come_to_the_end()
            for task in going:
                task.cancel()
        await self._all_deleted()
        print(json.dumps({"ended": self._ended, "operations": self.latencies.whole()}), flush=True)  # noqa: T201

    async def _print(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            print(json.dumps({"lately": self.latencies.lately()}), flush=True)  # noqa: T201

    async def _until_over(
        self, work: Callable[[random.Random], Coroutine[Any, Any, None]], place: int
    ) -> None:
        chance = random.Random(f"{self._seed}/{place}")
        while not self._over.is_set():
            await work(chance)

    async def _ask(self, name: str, request: Awaitable[Answer], *statuses: int) -> Answer:
        with self.latencies.timed(name):
            answer = await request
        assert answer.status in statuses, (name, answer.status, answer.body)
        return answer

    # -- those who send -----------------------------------------------------------------------------

    async def _send(self, chance: random.Random) -> None:
        async with Caller(self.url, SENDER) as caller:
            for _ in range(20):
                body = chance.randbytes(chance.choice(_SIZES))
                workflow = LEFT if chance.random() < 0.1 else DRAINED
                answer = await self._ask("send", caller.send(body, workflow=workflow), 202)
                message_id = answer.json()["messageID"]
                self._pending[message_id] = [digest(body)]
                self._recent.append(message_id)
                await asyncio.sleep(chance.uniform(0, 0.15))

    async def _upload(self, chance: random.Random) -> None:
        chunks = [chance.randbytes(_CHUNK) for _ in range(3)]
        async with Caller(self.url, SENDER) as caller:
            answer = await self._ask(
                "send chunk",
                caller.send(_pieces(chunks[0]), workflow=DRAINED, headers={"Mex-Chunk-Range": "1:3"}),
                202,
            )
            message_id = answer.json()["messageID"]
            self._pending[message_id] = [digest(chunk) for chunk in chunks]
            for number in (3, 3, 2) if chance.random() < 0.5 else (2, 3):
                sending = caller.send_chunk(message_id, number, f"{number}:3", _pieces(chunks[number - 1]))
                await self._ask("send chunk", sending, 202)
        await asyncio.sleep(1)

    async def _check(self, chance: random.Random) -> None:
        """Check a list for opt-outs with our own client."""
        numbers = chance.sample(lists.pool(), 5000)
        kept = {number for number in numbers if not lists.opted_out(number, rate=0.054, seed=1)}
        folder = self._folder
        (folder / "list.dat").write_bytes(b"".join(b"%d,\n" % number for number in numbers))
        async with Mailbox(self.url, Credentials(PRACTICE, "password", "TestKey")) as mailbox:
            with self.latencies.timed("opt-out check"):
                await check_opt_outs(
                    mailbox,
                    folder / "list.dat",
                    folder / "answer.dat",
                    journal=Journal(folder / "journal.db"),
                    service=Service(poll_interval=0.2),
                    force=True,
                    timeout=60,
                )
        found = {int(line[:10]) for line in (folder / "answer.dat").read_bytes().splitlines()}
        assert found == kept
        self._ended["lists checked"] += 1
        await asyncio.sleep(2)

    async def _track(self, chance: random.Random) -> None:
        async with Caller(self.url, SENDER) as caller:
            for message_id in list(self._recent):
                request = caller.get(f"outbox/tracking?messageID={message_id}", version=2)
                await self._ask("track", request, 200, 404)  # 404: deleted since
                await asyncio.sleep(chance.uniform(0, 0.2))
        await asyncio.sleep(0.2)

    # -- those who receive --------------------------------------------------------------------------

    async def _drain(self) -> None:
        async with Caller(self.url, RECIPIENT) as caller:
            while True:
                path = f"inbox?max_results=50&workflow_filter={DRAINED}"
                listed = (await self._ask("list", caller.get(path), 200)).json()["messages"]
                for message_id in listed:
                    await self._take(caller, message_id)
                await asyncio.sleep(0.05)

    async def _take(self, caller: Caller, message_id: str) -> None:
        number, status = 1, 206
        while status == 206:
            answer = await self._ask("get", caller.get(f"inbox/{message_id}/{number}"), 200, 206, 410)
            status = answer.status
            if status == 410:  # its time was over in this moment; there will be a report
                return
            # The message can be here before its sender has read that it is.
            while message_id not in self._pending:  # noqa: ASYNC110 - it is a matter of moments
                await asyncio.sleep(0.01)
            assert digest(answer.body) == self._pending[message_id][number - 1]
            number += 1
        assert number == len(self._pending[message_id]) + 1
        await self._ask("acknowledge", caller.acknowledge(message_id), 200)
        self._pending.pop(message_id, None)
        self._ended["messages drained"] += 1

    async def _collect_reports(self) -> None:
        async with Caller(self.url, SENDER) as caller:
            while True:
                for report_id in await caller.inbox("max_results=100"):
                    answer = await self._ask("report", caller.get(f"inbox/{report_id}"), 200, 410)
                    if answer.status == 200:
                        linked = answer.mex()["mex-linkedmsgid"]
                        assert linked not in self._reported, "a message was reported twice"
                        self._reported.add(linked)
                        self._pending.pop(linked, None)
                        self._ended["messages reported"] += 1
                        await self._ask("acknowledge", caller.acknowledge(report_id), 200)
                await asyncio.sleep(0.5)

    # -- those who look on --------------------------------------------------------------------------

    async def _look(self) -> None:
        paths = (
            "/admin/messages?limit=100",
            "/admin/journal?limit=100",
            "/metrics",
            "/admin/optouts/statistics",
        )
        while True:
            for path in paths:
                await self._ask("control", control(self.url, "GET", path), 200)
                await asyncio.sleep(0.25)

    async def _advance(self) -> None:
        day_s = 4.0 if self._seconds > 300 else 2.0
        while True:
            await asyncio.sleep(day_s)
            await self._ask(
                "advance a day", control(self.url, "POST", "/admin/clock", {"advance": "1d"}), 200
            )

    async def _mistake(self) -> None:
        """Call with a wrong password, with a used token, and for what is not there."""
        async with Caller(self.url, SENDER) as caller, Caller(self.url, SENDER, "wrong") as stranger:
            while True:
                token = caller.sign()
                await self._ask("refused", stranger.get("inbox"), 403)
                await self._ask("count", caller.get("count", authorization=token), 200)
                await self._ask("refused", caller.get("count", authorization=token), 403)
                await self._ask("refused", caller.get("inbox/NOTHING"), 404)
                await asyncio.sleep(0.3)

    # -- the end ------------------------------------------------------------------------------------

    async def _come_to_the_end(self) -> None:
        """Let what is left expire, and wait until each message was drained or reported."""
        for _ in range(6):  # day by day, or reports would be over before anybody could collect them
            answer = await control(self.url, "POST", "/admin/clock", {"advance": "1d"})
            assert answer.status == 200, answer.body
            await asyncio.sleep(1)
        with suppress(TimeoutError):
            async with asyncio.timeout(60):
                while self._pending:  # noqa: ASYNC110 - the others go on emptying it
                    await asyncio.sleep(0.1)
        assert not self._pending, f"{len(self._pending)} messages were neither drained nor reported"

    async def _all_deleted(self) -> None:
        answer = await control(self.url, "POST", "/admin/clock", {"advance": "31d"})
        assert answer.status == 200, answer.body
        answer = await control(self.url, "GET", "/admin/messages")
        assert answer.json()["messages"] == []


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 65_536):
        yield data[start : start + 65_536]


if __name__ == "__main__":
    asyncio.run(Mix(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])).run())
