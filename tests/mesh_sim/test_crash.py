"""Killing the server loses nothing that it answered 202, and leaves nothing half-done.

``make soak`` has hundreds of kills more; see the package ``crashing``.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from controls import control
from crashing.checks import check_folder
from crashing.lives import End, live, outlive_workers
from crashing.server import Process
from support import Caller


@pytest.mark.parametrize(
    "ends",
    [(End.ANY, End.BODY, End.CLAIM), (End.ANY, End.START, End.STOP, End.ASKED)],
    ids=["in its work", "coming and going"],
)
async def test_a_kill_under_load_loses_nothing_that_was_accepted(tmp_path: Path, ends: Sequence[End]) -> None:
    """Amid sends, chunks, lists and more: after each restart what was said holds, and the disk is tidy."""
    lived = await live(tmp_path, ends, "suite")
    assert lived.messages > 40
    assert lived.submissions > 5


async def test_a_kill_while_time_passes_leaves_one_report_or_one_answer(tmp_path: Path) -> None:
    """Answers delayed, messages expiring: each is reported once or still there, each list answered once."""
    lived = await live(tmp_path, (End.ANY, End.ADVANCE), "suite", ticking=True)
    assert lived.messages > 40
    assert lived.submissions > 5


async def test_killed_workers_leave_each_submission_one_answer(tmp_path: Path) -> None:
    """Two workers alone on the folder, each killed with claims in hand: every list is answered once."""
    assert (await outlive_workers(tmp_path, "suite")).submissions == 20


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


async def test_a_kill_amid_an_advance_leaves_one_report_a_message(tmp_path: Path) -> None:
    """SIGKILL while thousands expire: after the restart each has exactly one report, and time goes on."""
    data, count = tmp_path / "data", 3000
    server = await Process.start(data)
    try:
        wish = {"to": "X26ABC2", "from": "X26ABC1", "count": count}
        put = (await control(server.url, "POST", "/admin/messages", wish)).json()["message_ids"]
        async with Caller(server.url, "X26ABC1") as sender:
            large = await sender.sent(b"x" * 100_000, workflow="CRASH")
        advancing = asyncio.create_task(control(server.url, "POST", "/admin/clock", {"advance": "5d"}))
        await asyncio.sleep(random.uniform(0.005, 0.15))
        await server.kill()
        await asyncio.gather(advancing, return_exceptions=True)
    finally:
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
    check_folder(data)
