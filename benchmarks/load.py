"""The driver from the side of a benchmark: it is started, given jobs, and asked how fast it can be itself."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from processes import Failed, Server, free_port, mesh_sandbox, mesh_sim, sandbox_name, serving, stop

FOLDER = Path(__file__).parent


class Driver:
    """A running driver."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def do(self, server: Server, job: str, **fields: Any) -> dict[str, Any]:
        """Have a job done; the names of jobs and their fields are those of ``driver.py``.

        Raises:
            Failed: the server did not answer as it should have.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": job, "port": server.port, **fields}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise Failed("the driver ended")
        outcome: dict[str, Any] = json.loads(line)
        if "failed" in outcome:
            raise Failed(f"{server.name}, {job}: {outcome['failed']}")
        return outcome

    def seconds(self, server: Server, job: str, **fields: Any) -> float:
        """Have a job done; give the seconds it took."""
        return float(self.do(server, job, **fields)["seconds"])


@contextlib.contextmanager
def driving() -> Iterator[Driver]:
    """Run a driver in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, str(FOLDER / "driver.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield Driver(process)
    finally:
        stop(process)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


@contextlib.contextmanager
def mesh_servers(driver: Driver, folder: Path) -> Iterator[tuple[list[Server], list[str]]]:
    """Run ours and both modes of the sandbox, in this order, each of which has answered a handshake.

    A peer that does not start is left out, with a line among the notes.
    """
    with ExitStack() as stack:
        running, notes = [stack.enter_context(mesh_sim(folder / "ours"))], []
        for files in (folder / "sandbox", None):
            try:
                running.append(stack.enter_context(mesh_sandbox(files)))
            except Failed as failure:
                notes.append(f"{sandbox_name(files=files is not None)} was left out: {failure}")
        for server in running:
            # The sandbox makes its store anew for each of the first requests that come at the same time.
            driver.do(server, "handshake", mailbox="X26ABC2", at_once=1)
        yield running, notes


@contextlib.contextmanager
def answerer() -> Iterator[Server]:
    """Run the least an HTTP server can be."""
    port = free_port()
    command = [sys.executable, str(FOLDER / "answerer.py"), str(port)]
    with serving("a bare answerer", command, port, "/", {}) as server:
        yield server
