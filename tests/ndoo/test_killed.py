"""``ndoo check`` killed at every step in turn: ``ndoo collect`` ends with exactly one answer each time."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from controls import control
from support import MakeSimulator, Simulator

from ndoo.cache import TemporaryCache
from ndoo.cli.boundary import ExitCode
from ndoo.journal import Journal, Stage
from ndoo.lists import generate

NUMBERS: Final = [int(number) for batch in generate(12, seed=5) for number in batch]
OPTED_OUT: Final = frozenset(NUMBERS[::4])
HERE: Final = "X99GP001"
SERVICE: Final = "X26HC065"
MOST_STEPS: Final = 120
"""More than a round trip has; it has some seventy."""


@dataclass
class Forge:
    """The process whose children are the commands."""

    process: asyncio.subprocess.Process

    async def run(self, folder: Path, url: str, *arguments: str, kill_at: int = 0) -> dict[str, Any]:
        """Run one command."""
        order = {
            "arguments": arguments,
            "environment": {"NDOO_URL": url, "NDOO_DATA": str(folder.parent / "data"), "NO_COLOR": "1"},
            "folder": str(folder),
            "kill_at": kill_at,
        }
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        async with asyncio.timeout(30):
            report: dict[str, Any] = json.loads(await self.process.stdout.readline())
        return report


@asynccontextmanager
async def forge() -> AsyncIterator[Forge]:
    """Start it, and end it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).parents[1] / "forking.py"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Forge(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


def table() -> bytes:
    """Write the numbers as a practice's CSV."""
    rows = [f"Example {row},{number}\r\n" for row, number in enumerate(NUMBERS)]
    return "".join(["Name,NHS Number\r\n", *rows]).encode()


async def submitted(simulator: Simulator, status: str = "") -> list[str]:
    """Name the lists that have reached the service, all or those of a status."""
    query = f"sender={HERE}&limit=5000" + (status and f"&status={status}")
    found = (await control(simulator.url, "GET", f"/admin/messages?{query}")).json()["messages"]
    return [message["local_id"] for message in found]


def assert_output(folder: Path, name: str) -> None:
    """Check that the output is what the list should become, and the only new file."""
    kept = [number for number in NUMBERS if number not in OPTED_OUT]
    if name.endswith(".cache"):
        cache = TemporaryCache.load(folder / name, "password")
        assert [number in cache for number in NUMBERS] == [number in kept for number in NUMBERS]
    else:
        header, *rows = table().splitlines(True)
        left = [row for row in rows if int(row.split(b",")[1]) in kept]
        assert (folder / name).read_bytes() == b"".join([header, *left])
    assert {path.name for path in folder.iterdir()} == {"patients.csv", name}


@pytest.mark.parametrize(
    ("name", "delay"),
    [
        ("cleared.csv", timedelta(0)),
        ("cleared.csv", timedelta(minutes=40)),
        ("cleared.cache", timedelta(0)),
    ],
    ids=["table", "table-later", "cache"],
)
async def test_killed_at_any_step_it_is_collected_once(
    tmp_path: Path, make_simulator: MakeSimulator, name: str, delay: timedelta
) -> None:
    """Whichever step a check is killed before, the list is submitted and answered once, and nothing stays."""
    simulator = await make_simulator(ndoo_reply_delay=delay)
    await simulator.server.core.register.load(OPTED_OUT)
    journal = Journal(tmp_path / "data" / "journal.db")
    arguments = ["check", "patients.csv", "-o", name, "--timeout", "0" if delay else "20s"]
    if name.endswith(".cache"):
        arguments.append("--cache")
    stages: set[str] = set()
    async with forge() as forged:
        for kill_at in range(1, MOST_STEPS):
            before = await submitted(simulator)
            folder = tmp_path / f"desk-{kill_at}"
            folder.mkdir()
            (folder / "patients.csv").write_bytes(table())
            killed = await forged.run(folder, simulator.url, *arguments, kill_at=kill_at)
            waiting = journal.pending()
            stages.update(submission.stage for submission in waiting)
            simulator.clock.advance(delay)
            if waiting:
                again = await forged.run(
                    folder, simulator.url, "collect", "--timeout", "0" if delay else "20s"
                )
                if delay and again["status"] == ExitCode.NOT_YET:  # it was sent only now
                    simulator.clock.advance(delay)
                    again = await forged.run(folder, simulator.url, "collect", "--timeout", "20s")
                assert again["status"] == 0, again
            elif not (folder / name).exists():  # before anything was recorded
                assert await submitted(simulator) == before
                continue
            assert_output(folder, name)
            (mine,) = [local_id for local_id in await submitted(simulator) if local_id not in before]
            assert journal.get(mine).stage is Stage.COLLECTED
            assert await submitted(simulator, "acknowledged") == [*before, mine]
            assert await simulator.caller(HERE).inbox() == []
            if killed["status"] in (0, ExitCode.NOT_YET):
                break
    assert killed["status"] in (0, ExitCode.NOT_YET)
    assert kill_at > 15
    assert stages >= {Stage.PREPARED, Stage.SENT, *([] if delay else [Stage.WRITTEN])}
    assert list(journal.folder.iterdir()) == []
