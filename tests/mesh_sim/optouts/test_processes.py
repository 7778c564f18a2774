"""Several workers as processes of their own, on one data folder: one receipt and one answer each."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

from support import Caller, Simulator

RECORD = b"9990000018,\n"
SUBMISSIONS = 30


async def _worker(data: Path, stack: AsyncExitStack) -> asyncio.subprocess.Process:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MESH_SIM_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mesh_sim", "worker", "--data", str(data),
        env=environment | {"MESH_SIM_OPT_OUT_RATE": "0"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip

    async def stop() -> None:
        process.terminate()
        await process.communicate()

    stack.push_async_callback(stop)
    assert process.stdout is not None
    await asyncio.wait_for(process.stdout.readline(), 30)
    return process


async def _submit(caller: Caller, number: int) -> None:
    headers = {"Mex-Subject": "s", "Mex-LocalID": f"list-{number}"}
    await caller.sent(RECORD, to="X26HC065", workflow="SPINE_NTT_UPHOLDING", headers=headers)


async def test_three_workers_give_each_submission_one_receipt_and_one_answer(simulator: Simulator) -> None:
    """Two processes and the server's own worker share the work and never answer twice."""
    core = simulator.server.core
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await _worker(core.settings.data, stack)
        caller = simulator.caller("X26ABC1")
        await asyncio.gather(*(_submit(caller, number) for number in range(SUBMISSIONS)))
        async with asyncio.timeout(60):
            while len(ids := await caller.inbox()) < 2 * SUBMISSIONS:
                await core.exchange.arrivals.wait("X26ABC1", 0.2)
        seen = Counter()
        for message_id in ids:
            headers = (await caller.get(f"inbox/{message_id}")).mex()
            kind = "receipt" if headers["mex-subject"] == "SUCCESS" else "answer"
            seen[headers["mex-localid"], kind] += 1
        assert await simulator.caller("X26HC065").inbox() == []
        expected = {
            (f"list-{number}", kind) for number in range(SUBMISSIONS) for kind in ("receipt", "answer")
        }
        assert seen == Counter(expected)
