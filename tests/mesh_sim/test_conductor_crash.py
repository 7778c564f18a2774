"""Killing the server amid a rehearsal: the next one takes the case up, or has put its stage back."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any, Final

import pytest
from controls import control
from crashing.checks import check_folder
from crashing.server import Process
from support import Caller

from mesh_sim.witness.rehearsal import DORMANT, WORKFLOW

BOX: Final = "X26ABC1"
WISH: Final = "/admin/witness"
STATE: Final = f"{WISH}?mailbox={BOX}"


async def stands(url: str) -> Any:
    """Tell which case is under way and how; None where none is, or there is no rehearsal."""
    answer = await control(url, "GET", STATE)
    assert answer.status in (200, 404)
    return answer.json()["current"] if answer.status == 200 else None


@pytest.mark.parametrize(("case", "within"), [("601", 0.2), ("501", 3.0), ("701", 0.03)])
async def test_a_kill_amid_the_staging_leaves_a_whole_stage_or_none(
    tmp_path: Path, case: str, within: float
) -> None:
    """SIGKILL while it is set up: after the restart the case is under way as a whole, or nothing is left."""
    data = tmp_path / "data"
    server = await Process.start(data)
    try:
        staging = asyncio.create_task(control(server.url, "POST", WISH, {"mailbox": BOX, "case": case}))
        await asyncio.sleep(random.uniform(0.0, within))
        await server.kill()
        await asyncio.gather(staging, return_exceptions=True)
    finally:
        await server.kill()
    server = await Process.start(data)
    try:
        current = await stands(server.url)
        assert current is None or current["case"] == case
        if current is not None:
            assert (await control(server.url, "DELETE", STATE)).status == 200
        async with Caller(server.url, BOX) as caller:
            assert await caller.inbox() == []
        assert (await control(server.url, "DELETE", "/admin/reset")).status == 200
        assert await server.stop() == 0
    finally:
        await server.kill()
    check_folder(data)
    assert [path for path in (data / "payloads").rglob("*") if path.is_file()] == []


async def test_a_kill_amid_the_five_days_leaves_one_report_to_collect(tmp_path: Path) -> None:
    """SIGKILL after the send of case 703, whatever was done by then: it goes on, and its report is there."""
    data = tmp_path / "data"
    server = await Process.start(data)
    try:
        assert (await control(server.url, "POST", WISH, {"mailbox": BOX, "case": "703"})).status == 201
        async with Caller(server.url, BOX) as caller:
            await caller.sent(to=DORMANT, workflow=WORKFLOW)
            # The journal is written behind the requests' backs: a moment later the send would be forgotten.
            assert (await control(server.url, "GET", "/admin/journal")).status == 200
            await asyncio.sleep(random.uniform(0.0, 0.03))
            await server.kill()
    finally:
        await server.kill()
    server = await Process.start(data)
    try:
        async with asyncio.timeout(20):
            while (current := await stands(server.url))["step"] == 0:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.01)
        async with Caller(server.url, BOX) as caller:
            assert await caller.inbox() == [current["message_id"]]
            assert (await caller.get(f"inbox/{current['message_id']}")).status == 200
            await caller.acknowledge(current["message_id"])
            async with asyncio.timeout(20):
                while await stands(server.url) is not None:  # noqa: ASYNC110 - as above
                    await asyncio.sleep(0.01)
    finally:
        await server.kill()
