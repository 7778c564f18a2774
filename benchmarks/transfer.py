"""Sending and receiving one long message with `ndoo` and with NHS's `mesh-client`, and their peak memories.

Both clients in processes of their own, in turns, against one `mesh-sim serve` with its default settings,
plain HTTP over loopback. A new message for each, which is first read and thrown away, then received into a
file that is on the disk before the message is acknowledged: there the disk is what is measured. Prints the
medians; nothing is asserted, since times belong to the machine.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

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


def main() -> None:
    """Run both clients in turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000, help="size of the message")
    parser.add_argument("--rounds", type=int, default=3, help="messages of each client")
    arguments = parser.parse_args()
    size = arguments.megabytes * 1_000_000
    table = Table(title=f"a message of {arguments.megabytes:,} MB", title_justify="left")
    for heading in ("", "ndoo", "mesh-client", "ratio", "ndoo peak", "mesh-client peak"):
        table.add_column(heading, justify="right" if heading else "left")
    with tempfile.TemporaryDirectory(prefix="mesh-sim-bench-") as name:
        folder = Path(name)
        body, received = folder / "body", folder / "received"
        with body.open("wb") as file:
            for _ in range(arguments.megabytes):
                file.write(os.urandom(1_000_000))
        runs: dict[tuple[str, str], list[tuple[float, float]]] = {}
        with _Server(folder / "data") as url:
            for number in range(arguments.rounds):
                # Each begins as often as the other, so that what one leaves behind slows neither more.
                for program in (_NDOO, _MESH_CLIENT) if number % 2 else (_MESH_CLIENT, _NDOO):
                    for action, path in (("send", body), ("read", received), ("receive", received)):
                        runs.setdefault((action, program), []).append(_run(program, url, action, path))
                    if received.stat().st_size != size:
                        raise SystemExit("what was received is not what was sent")
        for action in ("send", "read", "receive"):
            ours, theirs = runs[action, _NDOO], runs[action, _MESH_CLIENT]
            speed, their_speed = (size / 1e6 / median(each[0] for each in every) for every in (ours, theirs))
            table.add_row(
                action,
                f"{speed:,.0f} MB/s",
                f"{their_speed:,.0f} MB/s",
                f"{speed / their_speed:.2f}",
                *(f"{max(each[1] for each in every):.0f} MB" for every in (ours, theirs)),
            )
    Console().print(table)


class _Server:
    """`mesh-sim serve` in a process of its own."""

    def __init__(self, data: Path) -> None:
        command = [sys.executable, "-m", "mesh_sim", "serve", "--port", "0", "--log-level", "error"]
        self._process = subprocess.Popen([*command, "--data", str(data)], stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> str:
        assert self._process.stdout is not None
        found = re.search(r"http://\S+", self._process.stdout.readline())
        assert found is not None
        return found[0]

    def __exit__(self, *_error: object) -> None:
        self._process.terminate()
        self._process.wait()


def _run(program: str, url: str, action: str, path: Path) -> tuple[float, float]:
    """Run a client once; give the seconds it took by its own watch, and its peak memory in MB."""
    os.sync()  # what others have written is not this run's to wait for
    with tempfile.TemporaryFile() as out:
        client = subprocess.Popen([sys.executable, "-c", program, url, action, str(path)], stdout=out)
        _, status, usage = os.wait4(client.pid, 0)
        client.returncode = os.waitstatus_to_exitcode(status)
        if client.returncode != 0:
            raise SystemExit(f"{action} ended with {client.returncode}")
        out.seek(0)
        seconds = float(out.read())
    return seconds, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
