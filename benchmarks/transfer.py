"""Sending and receiving one long message with `ndoo` and with NHS's `mesh-client`, and their peak memories.

Both clients in processes of their own, in turns, against one `mesh-sim serve` with its default settings,
plain HTTP over loopback. A new message for each, which is first read and thrown away, then received into a
file that is on the disk before the message is acknowledged: there the disk is what is measured. Nothing is
asserted, since times belong to the machine.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from itertools import chain
from statistics import median

from processes import installed, mesh_sim, run, temporary_folder
from results import Comparison, Findings, Target, finish, options

_NDOO = """
import asyncio, sys, time
from pathlib import Path
from ndoo import Credentials, Mailbox

async def main(url, action, path):
    mailbox = "X26ABC1" if action == "send" else "X26ABC2"
    async with Mailbox(url, Credentials(mailbox, "password", "TestKey")) as client:
        await client.handshake()
        began = time.perf_counter()
        if action == "send":
            await client.send("X26ABC2", "TEST_WORKFLOW", Path(path))
        else:
            (message_id,) = [each async for each in client.messages()]
            async with client.receive(message_id) as message:
                if action == "receive":
                    await message.save(Path(path), replace=True)
                else:
                    async for _ in message:
                        pass
            if action == "receive":
                await client.acknowledge(message_id)
        print(time.perf_counter() - began)

asyncio.run(main(*sys.argv[1:]))
"""

_MESH_CLIENT = """
import os, shutil, sys, time
from mesh_client import MeshClient

url, action, path = sys.argv[1:]
mailbox = "X26ABC1" if action == "send" else "X26ABC2"
with MeshClient(url, mailbox, "password", shared_key=b"TestKey") as client:
    client.handshake()
    began = time.perf_counter()
    if action == "send":
        with open(path, "rb") as body:
            client.send_message("X26ABC2", body, workflow_id="TEST_WORKFLOW")
    else:
        (message_id,) = client.list_messages()
        message = client.retrieve_message(message_id)
        if action == "receive":
            with open(path, "wb") as out:
                shutil.copyfileobj(message, out, 1 << 20)
                out.flush()
                os.fsync(out.fileno())
            client.acknowledge_message(message_id)
        else:
            while message.read(1 << 20):
                pass
    print(time.perf_counter() - began)
"""

ACTIONS = {"send": "send", "read": "receive and throw away", "receive": "receive into a file"}

Runs = dict[tuple[str, str], list[tuple[float, float]]]
"""Seconds by the client's own watch, and its peak memory in MB, by action and program."""


def main() -> None:
    """Run both clients in turns, and print what they took."""
    parser = options(__doc__)
    parser.add_argument("--megabytes", type=int, help="size of the message (1000; quick: 100)")
    parser.add_argument("--rounds", type=int, help="messages of each client (5; quick: 1)")
    arguments = parser.parse_args()
    megabytes = arguments.megabytes or (100 if arguments.quick else 1000)
    runs = _runs(megabytes, arguments.rounds or (1 if arguments.quick else 5))
    notes = () if installed("mesh_client") else ("mesh-client was left out: it is not installed",)
    finish("transfer", Findings(tuple(_comparisons(megabytes, runs)), notes), arguments)


def _runs(megabytes: int, rounds: int) -> Runs:
    runs: Runs = {}
    programs = [_NDOO, _MESH_CLIENT] if installed("mesh_client") else [_NDOO]
    with temporary_folder() as folder, mesh_sim(folder / "data") as server:
        body, received = folder / "body", folder / "received"
        with body.open("wb") as file:
            for _ in range(megabytes):
                file.write(os.urandom(1_000_000))
        for number in range(rounds):
            # Each begins as often as the other, so that what one leaves behind slows neither more.
            for program in programs if number % 2 else reversed(programs):
                for action, path in (("send", body), ("read", received), ("receive", received)):
                    os.sync()  # what others have written is not this run's to wait for
                    ended = run([sys.executable, "-c", program, server.url, action, str(path)])
                    runs.setdefault((action, program), []).append((float(ended.output), ended.peak_mb))
                if received.stat().st_size != megabytes * 1_000_000:
                    raise SystemExit("what was received is not what was sent")
    return runs


def _spread(megabytes: int, runs: Runs, action: str, programs: dict[str, str]) -> str:
    """Say how far the rounds were apart: with a gigabyte a time, the disk has a say in it."""
    spans = []
    for name, program in programs.items():
        speeds = sorted(megabytes / seconds for seconds, _ in runs[action, program])
        spans.append(f"{name} {speeds[0]:.0f} to {speeds[-1]:.0f}")
    return f"rounds from {', '.join(spans)} MB/s"


def _comparisons(megabytes: int, runs: Runs) -> Iterator[Comparison]:
    programs = {"ndoo": _NDOO, "mesh-client": _MESH_CLIENT}
    for action, what in ACTIONS.items():
        speeds = {
            name: megabytes / median(seconds for seconds, _ in runs[action, program])
            for name, program in programs.items()
            if (action, program) in runs
        }
        ours, target = speeds.pop("ndoo"), Target(1, "mesh-client")
        reason = _spread(megabytes, runs, action, programs) if speeds else "mesh-client was left out"
        yield Comparison(f"client: {what}, {megabytes} MB", "MB/s", ours, speeds, "higher", target, reason)
    peaks = {
        name: max(peak for _, peak in chain.from_iterable(every))
        for name, program in programs.items()
        if (every := [found for (_, by), found in runs.items() if by == program])
    }
    what = f"client: peak memory, {megabytes} MB"
    yield Comparison(what, "MB", peaks.pop("ndoo"), peaks, "lower", Target(100))


if __name__ == "__main__":
    main()
