"""The load: a program of its own that sends requests to a server and says how long they took.

Each line it reads is a job as JSON, each line it writes the job's outcome. Requests, with a fresh token each,
are made before the clock starts, and travel over keep-alive connections, each of which has one request under
way. An unexpected answer ends the job: ``{"failed": …}``.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import http.client
import itertools
import json
import os
import re
import sys
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import uvloop

from ndoo.protocol import Token

SENDER, RECIPIENT, WORKFLOW = "X26ABC1", "X26ABC2", "TEST_WORKFLOW"
SHARED_KEY, PASSWORD = "TestKey", "password"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered."""

    status: int
    body: bytes


Steps = Generator[bytes, Answer, None]
"""The requests of one piece of work, each made when the answer to the last is there."""


class Unexpected(Exception):
    """A server did not answer as it should have."""


# -- small requests ---------------------------------------------------------------------------------


class Connection(asyncio.Protocol):
    """One keep-alive connection, which carries out pieces of work until there are no more."""

    def __init__(self) -> None:
        self._received = b""
        self._steps: Steps | None = None
        self._work: Iterator[Steps] = iter(())
        self._done: asyncio.Future[None] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where requests go."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are not derived from it

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up what is under way."""
        self._fail(Unexpected(f"the server closed the connection ({exc})"))

    async def carry_out(self, work: Iterator[Steps]) -> None:
        """Do pieces of work until there are no more."""
        self._work, self._done = work, asyncio.get_running_loop().create_future()
        self._begin()
        await self._done

    def data_received(self, data: bytes) -> None:
        """Take in an answer, and go on once it is whole."""
        received = self._received + data if self._received else data
        end = received.find(b"\r\n\r\n")
        length = _LENGTH.search(received, 0, end) if end > 0 else None
        if end > 0 and length is None:
            if b" 204 " not in received[:16]:
                self._fail(Unexpected(f"an answer without a length: {received[:200]!r}"))
                return
            size = 0
        else:
            size = int(length[1]) if length else 0
        if end < 0 or len(received) < end + 4 + size:
            self._received = received
            return
        self._received = b""
        self._go_on(Answer(int(received[9:12]), received[end + 4 :]))

    def _begin(self) -> None:
        assert self.transport is not None
        self._steps = next(self._work, None)
        if self._steps is not None:
            self.transport.write(next(self._steps))
        elif self._done is not None and not self._done.done():
            self._done.set_result(None)

    def _go_on(self, answer: Answer) -> None:
        assert self.transport is not None
        assert self._steps is not None
        try:
            self.transport.write(self._steps.send(answer))
        except StopIteration:
            self._begin()
        except Unexpected as failure:
            self._fail(failure)

    def _fail(self, failure: Exception) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(failure)


def checked(answer: Answer, *statuses: int) -> Answer:
    """Pass an answer on.

    Raises:
        Unexpected: its status is none of those.
    """
    if answer.status not in statuses:
        raise Unexpected(f"answered {answer.status}: {answer.body[:300]!r}")
    return answer


def single(request: bytes, taken: Callable[[Answer], None] | None = None) -> Steps:
    """One request, whose answer may be of use."""
    answer = checked((yield request), 200, 202)
    if taken is not None:
        taken(answer)


def tokens(mailbox: str) -> Iterator[str]:
    """Make fresh tokens, each for one request."""
    while True:
        yield str(Token.sign(mailbox, PASSWORD, SHARED_KEY, now=datetime.now(UTC)))


def request(method: str, path: str, token: str | None, headers: str = "", body: bytes | None = None) -> bytes:
    """Write a request as it travels."""
    authorization = f"Authorization: {token}\r\n" if token else ""
    length = f"Content-Length: {len(body)}\r\n" if body is not None else ""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: mesh-sim-benchmarks\r\n"
        f"Accept: application/vnd.mesh.v2+json\r\n{authorization}{headers}{length}\r\n"
    )
    return head.encode() + (body or b"")


def send_headers(number: str, chunks: str = "1:1") -> str:
    """The headers of a message as NHS's own client sends them."""
    return (
        f"Mex-To: {RECIPIENT}\r\nMex-WorkflowID: {WORKFLOW}\r\nMex-FileName: message-{number}.dat\r\n"
        f"Mex-LocalID: {number}\r\nMex-Subject: benchmark\r\nMex-Chunk-Range: {chunks}\r\n"
        "Content-Type: application/octet-stream\r\n"
    )


class Small:
    """Jobs of many small requests, some at a time."""

    def __init__(self, port: int, at_once: int) -> None:
        self._port, self._at_once = port, at_once
        self._connections: list[Connection] = []

    async def __aenter__(self) -> Small:
        loop = asyncio.get_running_loop()
        for _ in range(self._at_once):
            _, connection = await loop.create_connection(Connection, "127.0.0.1", self._port)
            self._connections.append(connection)
        return self

    async def __aexit__(self, *_error: object) -> None:
        for connection in self._connections:
            assert connection.transport is not None
            connection.transport.abort()

    async def plain(self, *, count: int, path: str) -> dict[str, Any]:
        """Ask for the same page again and again."""
        asked = request("GET", path, None)
        return {"seconds": await self._timed(single(asked) for _ in range(count))}

    async def send(self, *, count: int, body_bytes: int) -> dict[str, Any]:
        """Send messages; their ids are part of the outcome."""
        run, body, ids = uuid.uuid4().hex[:8], os.urandom(body_bytes), list[str]()
        path = f"/messageexchange/{SENDER}/outbox"
        asked = [
            request("POST", path, token, send_headers(f"{run}-{number}"), body)
            for number, token in zip(range(count), tokens(SENDER), strict=False)
        ]

        def taken(answer: Answer) -> None:
            ids.append(json.loads(answer.body)["message_id"])

        seconds = await self._timed(single(each, taken) for each in asked)
        return {"seconds": seconds, "ids": ids}

    async def get(self, *, ids: list[str], body_bytes: int) -> dict[str, Any]:
        """Download messages."""

        def taken(answer: Answer) -> None:
            if len(answer.body) != body_bytes:
                raise Unexpected(f"{len(answer.body)} bytes came of {body_bytes}")

        asked = [self._get(each, token) for each, token in zip(ids, tokens(RECIPIENT), strict=False)]
        return {"seconds": await self._timed(single(each, taken) for each in asked)}

    async def acknowledge(self, *, ids: list[str]) -> dict[str, Any]:
        """Acknowledge messages."""
        asked = [self._acknowledge(each, token) for each, token in zip(ids, tokens(RECIPIENT), strict=False)]
        return {"seconds": await self._timed(single(each) for each in asked)}

    async def drain(self, *, count: int) -> dict[str, Any]:
        """List the inbox, download and acknowledge what is in it, until it is empty."""
        made = list(itertools.islice(tokens(RECIPIENT), 2 * count + count // 10 + 10))
        left = iter(made)
        listed: list[str] = []

        def taken(answer: Answer) -> None:
            listed[:] = json.loads(answer.body)["messages"]

        def read(message_id: str) -> Steps:
            checked((yield self._get(message_id, next(left))), 200)
            checked((yield self._acknowledge(message_id, next(left))), 200)

        total, began = 0, time.perf_counter()
        while True:
            await self._connections[0].carry_out(iter([single(self._list(next(left)), taken)]))
            if not listed:
                break
            total += len(listed)
            await self._all(read(each) for each in list(listed))
        seconds = time.perf_counter() - began
        if total != count:
            raise Unexpected(f"{total} messages were in the inbox, not {count}")
        return {"seconds": seconds}

    async def handshake(self, *, mailbox: str) -> dict[str, Any]:
        """Shake hands once."""
        headers = (
            "Mex-ClientVersion: 1\r\nMex-OSName: Linux\r\nMex-OSVersion: 1\r\nMex-OSArchitecture: any\r\n"
        )
        headers += "Mex-JavaVersion: N/A\r\n"
        asked = request("POST", f"/messageexchange/{mailbox}", next(tokens(mailbox)), headers, b"")
        return {"seconds": await self._timed([single(asked)])}

    async def list(self, *, count: int, max_results: int, mailbox: str) -> dict[str, Any]:
        """List the first messages of an inbox again and again."""

        def taken(answer: Answer) -> None:
            if len(json.loads(answer.body)["messages"]) != max_results:
                raise Unexpected("another number of messages was listed")

        made = itertools.islice(tokens(mailbox), count)
        asked = [self._list(token, mailbox, f"?max_results={max_results}") for token in made]
        return {"seconds": await self._timed(single(each, taken) for each in asked)}

    async def pace(self, *, count: int, rate: float, max_results: int, mailbox: str) -> dict[str, Any]:
        """List an inbox so many times a second; give the milliseconds from when each request was due."""
        made = itertools.islice(tokens(mailbox), count)
        asked = [self._list(token, mailbox, f"?max_results={max_results}") for token in made]
        waits: list[float] = []
        began = time.perf_counter()

        async def in_turn(connection: Connection, first: int) -> None:
            for number in range(first, count, len(self._connections)):
                due = began + number / rate
                await asyncio.sleep(due - time.perf_counter())
                await connection.carry_out(iter([single(asked[number])]))
                waits.append((time.perf_counter() - due) * 1000)

        await asyncio.gather(*(in_turn(each, first) for first, each in enumerate(self._connections)))
        return {"waits_ms": waits}

    async def look(self, *, kinds: str, path: str, seconds: float) -> dict[str, Any]:
        """Keep pages open, one a connection, as their script does: told of changes, they fetch themselves.

        At most once a second each; how often all of them did is part of the outcome.
        """
        asked, looks = request("GET", path, None), 0

        async def live(connection: Connection) -> None:
            nonlocal looks
            told, writer = await asyncio.open_connection("127.0.0.1", self._port)
            writer.write(request("GET", f"/live?kinds={kinds}", None))
            try:
                while True:
                    while b"event: changed" not in await told.readline():
                        pass
                    await connection.carry_out(iter([single(asked)]))
                    looks += 1
                    await asyncio.sleep(1)
            finally:
                writer.close()

        watching = [asyncio.create_task(live(each)) for each in self._connections]
        await asyncio.wait(
            [*watching, asyncio.create_task(asyncio.sleep(seconds))], return_when="FIRST_COMPLETED"
        )
        for each in watching:
            if each.done():
                each.result()
            each.cancel()
        return {"looks": looks}

    async def _timed(self, work: Iterable[Steps]) -> float:
        began = time.perf_counter()
        await self._all(work)
        return time.perf_counter() - began

    async def _all(self, work: Iterable[Steps]) -> None:
        shared = iter(work)
        await asyncio.gather(*(connection.carry_out(shared) for connection in self._connections))

    def _list(self, token: str, mailbox: str = RECIPIENT, query: str = "") -> bytes:
        return request("GET", f"/messageexchange/{mailbox}/inbox{query}", token)

    def _get(self, message_id: str, token: str) -> bytes:
        return request("GET", f"/messageexchange/{RECIPIENT}/inbox/{message_id}", token)

    def _acknowledge(self, message_id: str, token: str) -> bytes:
        path = f"/messageexchange/{RECIPIENT}/inbox/{message_id}/status/acknowledged"
        return request("PUT", path, token, body=b"")


# -- large bodies -----------------------------------------------------------------------------------


class Large:
    """Jobs of a few large bodies over one connection, one after the other."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        self._into = bytearray(1 << 20)

    def put(self, *, paths: list[str], body_bytes: int) -> dict[str, Any]:
        """Upload the same body to some paths of a plain server."""
        body = memoryview(_random(body_bytes))
        began = time.perf_counter()
        for path in paths:
            self._ask("PUT", path, {}, body)
        return {"seconds": time.perf_counter() - began}

    def upload(self, *, chunks: int, body_bytes: int) -> dict[str, Any]:
        """Send one message in chunks of the same size; its id is part of the outcome."""
        body, message_id = memoryview(_random(body_bytes)), ""
        made = tokens(SENDER)
        began = time.perf_counter()
        for number in range(1, chunks + 1):
            path = f"/messageexchange/{SENDER}/outbox" + (f"/{message_id}/{number}" if number > 1 else "")
            headers = _as_dict(send_headers("large", f"{number}:{chunks}"))
            answer = self._ask("POST", path, headers | {"Authorization": next(made)}, body)
            message_id = message_id or json.loads(answer)["message_id"]
        return {"seconds": time.perf_counter() - began, "id": message_id}

    def download(self, *, id: str, chunks: int, body_bytes: int) -> dict[str, Any]:  # noqa: A002 - the job's field
        """Download a message's chunks, and throw them away."""
        made, received = tokens(RECIPIENT), 0
        began = time.perf_counter()
        for number in range(1, chunks + 1):
            path = f"/messageexchange/{RECIPIENT}/inbox/{id}" + (f"/{number}" if number > 1 else "")
            received += self._take(path, {"Authorization": next(made)})
        seconds = time.perf_counter() - began
        if received != chunks * body_bytes:
            raise Unexpected(f"{received} bytes came of {chunks * body_bytes}")
        return {"seconds": seconds}

    def fetch(self, *, paths: list[str]) -> dict[str, Any]:
        """Download some paths of a plain server, and throw them away."""
        began = time.perf_counter()
        received = sum(self._take(path, {}) for path in paths)
        return {"seconds": time.perf_counter() - began, "bytes": received}

    def reset(self) -> dict[str, Any]:
        """Have a server forget every message, by the control path that both have."""
        self._connection.request("DELETE", "/admin/reset")
        response = self._connection.getresponse()
        checked(Answer(response.status, response.read()), 200)
        return {}

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def _take(self, path: str, headers: dict[str, str]) -> int:
        received = 0
        self._connection.request("GET", path, headers=headers)
        response = self._connection.getresponse()
        checked(Answer(response.status, b""), 200, 206)
        while count := response.readinto(self._into):
            received += count
        return received

    def _ask(self, method: str, path: str, headers: dict[str, str], body: memoryview) -> bytes:
        accept = {"Accept": "application/vnd.mesh.v2+json"}
        self._connection.request(method, path, body=body, headers=accept | headers)
        response = self._connection.getresponse()
        return checked(Answer(response.status, response.read()), 200, 201, 202, 204).body


@functools.cache
def _random(size: int) -> bytes:
    """Give bytes that do not compress; made once, before any clock starts."""
    return os.urandom(size)


def _as_dict(headers: str) -> dict[str, str]:
    pairs = (line.split(": ", 1) for line in headers.splitlines())
    return dict(pair for pair in pairs if len(pair) == 2)


# -- jobs -------------------------------------------------------------------------------------------


async def carry_out(job: dict[str, Any]) -> dict[str, Any]:
    """Do one job; its other fields are those of the method that it names."""
    name, port = job.pop("do"), job.pop("port")
    if hasattr(Large, name):
        large = Large(port)
        try:
            return getattr(large, name)(**job)  # type: ignore[no-any-return]
        finally:
            large.close()
    async with Small(port, job.pop("at_once")) as small:
        return await getattr(small, name)(**job)  # type: ignore[no-any-return]


def main() -> None:
    """Do jobs until there are no more."""
    gc.freeze()
    gc.disable()
    for line in sys.stdin:
        try:
            outcome = uvloop.run(carry_out(json.loads(line)))
        except (Unexpected, OSError, http.client.HTTPException) as failure:
            outcome = {"failed": f"{type(failure).__name__}: {failure}"}
        gc.collect()
        print(json.dumps(outcome), flush=True)


if __name__ == "__main__":
    main()
