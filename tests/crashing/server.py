"""A server, or a worker alone, as a process that can be killed at any moment."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

_PATIENCE_S: Final = 60.0


class Process:
    """One ``mesh-sim serve`` or ``mesh-sim worker`` on a data folder; ``url`` is '' for a worker."""

    def __init__(self, process: asyncio.subprocess.Process, url: str = "") -> None:
        self.process = process
        self.url = url

    @classmethod
    async def spawn(
        cls,
        command: str,
        data: Path,
        *options: str,
        variables: Mapping[str, str] | None = None,
        log: Path | None = None,
        within: Sequence[str] = (),
    ) -> Process:
        """Start one, and do not wait for it.

        Args:
            command: ``serve`` or ``worker``.
            data: its data folder.
            options: further options of the command.
            variables: settings, in its environment.
            log: where its log goes; by default errors alone go to ``mesh-sim.log`` beside the data folder.
            within: a command that starts it.
        """
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MESH_SIM_")}
        options = (*options, "--log-level", "info" if log else "error")
        log = log or data.parent / "mesh-sim.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as stderr:
            return cls(
                await asyncio.create_subprocess_exec(
                    *within, sys.executable, "-m", "mesh_sim", command, "--data", str(data), *options,
                    env=environment | dict(variables or {}), stdout=asyncio.subprocess.PIPE, stderr=stderr,
                )
            )  # fmt: skip

    @classmethod
    async def start(cls, data: Path, **options: Any) -> Process:
        """Start a server and wait until it serves; the options are those of :meth:`spawn`."""
        server = await cls.spawn("serve", data, "--port", "0", **options)
        line = await server._first_line()
        found = re.search(r"http://\S+", line)
        assert found, line
        server.url = found[0]
        return server

    async def _first_line(self) -> str:
        assert self.process.stdout is not None
        try:
            return (await asyncio.wait_for(self.process.stdout.readline(), _PATIENCE_S)).decode()
        except BaseException:
            await self.kill()
            raise

    async def kill(self) -> None:
        """End it without any warning, if it has not ended."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.communicate()

    async def stop(self) -> int:
        """Ask it to end; give its exit code."""
        self.process.terminate()
        await asyncio.wait_for(self.process.communicate(), _PATIENCE_S)
        assert self.process.returncode is not None
        return self.process.returncode


async def until_claimed(data: Path, *, but: Sequence[str] = ()) -> str:
    """Wait until a worker holds a claim, other than the workers ``but``; give the worker."""
    known = ["", *but]
    marks = ", ".join("?" * len(known))
    query = f"SELECT claimed_by FROM submissions WHERE claimed_by NOT IN ({marks}) LIMIT 1"
    async with asyncio.timeout(_PATIENCE_S):
        with closing(sqlite3.connect(f"file:{data / 'mesh-sim.db'}?mode=ro", uri=True)) as database:
            while True:
                if row := database.execute(query, known).fetchone():
                    return str(row[0])
                await asyncio.sleep(0.001)
