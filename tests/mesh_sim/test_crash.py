"""Killing the server loses nothing that it answered 202, and leaves nothing half-done."""

from __future__ import annotations

import asyncio
import os
import random
import re
import sqlite3
import sys
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from controls import control
from support import Caller

ROUNDS = 3
SENDERS = 8


@dataclass
class Told:
    """What the server told its clients."""

    accepted: dict[str, bytes] = field(default_factory=dict)
    """Message id and body of every send that was answered 202."""
    acknowledged: set[str] = field(default_factory=set)
    uncertain: set[str] = field(default_factory=set)
    """Acknowledgements whose answer never came."""


class Process:
    """A server process on a data folder."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.process = process
        self.url = url

    @classmethod
    async def start(cls, data: Path) -> Process:
        """Start one and wait until it serves."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MESH_SIM_")}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "mesh_sim", "serve", "--port", "0", "--data", str(data),
            "--log-level", "error",
            env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), 30)).decode()
        found = re.search(r"http://\S+", line)
        assert found, line
        return cls(process, found[0])

    async def kill(self) -> None:
        """End it without any warning."""
        self.process.kill()
        await self.process.communicate()


def _body(chance: random.Random) -> bytes:
    # Small ones live in the database, large ones in files: both must survive.
    return chance.randbytes(chance.choice([1, 300, 5_000, 70_000, 400_000]))


async def _send_until_it_breaks(url: str, told: Told, chance: random.Random, enough: asyncio.Event) -> None:
    async with Caller(url, "X26ABC1") as sender, Caller(url, "X26ABC2") as recipient:
        while True:
            body = _body(chance)
            try:
                answer = await sender.send(body, workflow="CRASH")
            except (aiohttp.ClientError, ConnectionError):
                return
            assert answer.status == 202, answer.body
            message_id = answer.json()["messageID"]
            told.accepted[message_id] = body
            if len(told.accepted) % 40 == 0:
                enough.set()
            if chance.random() < 0.3:
                told.uncertain.add(message_id)
                try:
                    answer = await recipient.acknowledge(message_id)
                except (aiohttp.ClientError, ConnectionError):
                    return
                assert answer.status == 200
                told.uncertain.discard(message_id)
                told.acknowledged.add(message_id)


async def _check(url: str, told: Told) -> None:
    async with Caller(url, "X26ABC2") as recipient:
        listed = set(await recipient.inbox("max_results=5000"))
        count = (await recipient.get("count")).json()["count"]
        assert count == len(listed)
        assert not listed & told.acknowledged
        assert set(told.accepted) - told.acknowledged - told.uncertain <= listed
        for message_id, body in told.accepted.items():
            answer = await recipient.get(f"inbox/{message_id}")
            if message_id in listed:
                assert (answer.status, answer.body) == (200, body)
            else:
                assert answer.status == 410


def _check_folder(data: Path) -> None:
    """The database is sound, every file in the payload store has its row, and none is half-written."""
    with closing(sqlite3.connect(data / "mesh-sim.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        keys = {key for (key,) in database.execute("SELECT payload_key FROM chunks WHERE payload_key <> ''")}
    files = {
        str(path.relative_to(data / "payloads")) for path in (data / "payloads").rglob("*") if path.is_file()
    }
    assert files == keys


@pytest.mark.parametrize("seed", range(ROUNDS))
async def test_a_kill_under_load_loses_nothing_that_was_accepted(tmp_path: Path, seed: int) -> None:
    """SIGKILL amid sends and acknowledgements, twice over: after each restart all that was said holds."""
    told = Told()
    for life in range(2):
        server = await Process.start(tmp_path / "data")
        try:
            await _check(server.url, told)
            enough = asyncio.Event()
            async with asyncio.TaskGroup() as senders:
                for number in range(SENDERS):
                    chance = random.Random(f"{seed}/{life}/{number}")
                    senders.create_task(_send_until_it_breaks(server.url, told, chance, enough))
                await enough.wait()
                await server.kill()
        finally:
            if server.process.returncode is None:
                await server.kill()
    assert len(told.accepted) >= 80
    assert told.acknowledged
    server = await Process.start(tmp_path / "data")
    try:
        await _check(server.url, told)
    finally:
        await server.kill()
    _check_folder(tmp_path / "data")


READ_AND_CLOSE = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1])
database.execute("SELECT COUNT(*) FROM messages").fetchone()
database.close()
"""


async def test_another_process_that_opens_and_closes_the_database_takes_nothing_with_it(
    tmp_path: Path,
) -> None:
    """The server keeps its hold on the file: what it accepts after another process left is still there."""
    data = tmp_path / "data"
    server = await Process.start(data)
    sent: list[str] = []
    try:
        for _ in range(2):
            async with Caller(server.url, "X26ABC1") as sender:
                sent += [await sender.sent(workflow="CRASH") for _ in range(5)]
            other = await asyncio.create_subprocess_exec(
                sys.executable, "-c", READ_AND_CLOSE, str(data / "mesh-sim.db")
            )
            assert await other.wait() == 0
    finally:
        await server.kill()
    server = await Process.start(data)
    try:
        async with Caller(server.url, "X26ABC2") as recipient:
            assert await recipient.inbox() == sent
    finally:
        await server.kill()


@pytest.mark.parametrize("seed", range(ROUNDS))
async def test_a_kill_amid_an_advance_leaves_one_report_a_message(tmp_path: Path, seed: int) -> None:
    """SIGKILL while thousands expire: after the restart each has exactly one report, and time goes on."""
    data, count = tmp_path / "data", 3000
    chance = random.Random(seed)
    server = await Process.start(data)
    try:
        wish = {"to": "X26ABC2", "from": "X26ABC1", "count": count}
        put = (await control(server.url, "POST", "/admin/messages", wish)).json()["message_ids"]
        async with Caller(server.url, "X26ABC1") as sender:
            large = await sender.sent(b"x" * 100_000, workflow="CRASH")
        advancing = asyncio.create_task(control(server.url, "POST", "/admin/clock", {"advance": "5d"}))
        await asyncio.sleep(chance.uniform(0.005, 0.15))
        await server.kill()
        await asyncio.gather(advancing, return_exceptions=True)
    finally:
        if server.process.returncode is None:
            await server.kill()
    server = await Process.start(data)
    try:
        # The kill may have come before the offset was kept; ten days are past the five in any case.
        assert (await control(server.url, "POST", "/admin/clock", {"advance": "5d"})).status == 200
        query = "/admin/messages?mailbox=X26ABC1&type=REPORT&limit=5000"
        reports = (await control(server.url, "GET", query)).json()["messages"]
        linked = [report["failure"]["linked_message_id"] for report in reports]
        assert sorted(linked) == sorted([*put, large])
        async with Caller(server.url, "X26ABC2") as recipient:
            assert await recipient.inbox() == []
            assert (await recipient.get("count")).json()["count"] == 0
        assert (await control(server.url, "POST", "/admin/clock", {"advance": "30d"})).status == 200
    finally:
        await server.kill()
    server = await Process.start(data)
    try:
        assert (await control(server.url, "GET", "/admin/messages?limit=5000")).json()["messages"] == []
    finally:
        await server.kill()
    _check_folder(data)
