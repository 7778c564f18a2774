"""The ``mesh-sim`` command as its user types it, in this process or in one of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from processes import COLOURS, NOWHERE, running_command
from typer.testing import CliRunner

from mesh_sim.cli import app


@dataclass(frozen=True, slots=True)
class Ran:
    """How one run of the command ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Read standard output, which must hold one JSON value and nothing else."""
        assert self.code == 0, self.err
        return json.loads(self.out)

    def facts(self) -> dict[str, str]:
        """Read a table of facts: name and value, two blanks apart."""
        assert self.code == 0, self.err
        return {
            cells[0].strip(): cells[1].strip()
            for line in self.out.splitlines()
            if (cells := line.split("  ", 1))[1:]
        }

    def rows(self) -> list[list[str]]:
        """Read a table, its head left out."""
        assert self.code == 0, self.err
        return [re.split(r" {2,}", line.strip()) for line in self.out.splitlines()[2:]]

    def assert_refused(self, code: int, text: str) -> None:
        """Check that it ended with one line that says what was wrong, and nothing on standard output."""
        assert (self.code, self.out) == (code, ""), self
        assert self.err.startswith("mesh-sim: ")
        assert self.err.count("\n") == 1, self.err
        assert text in self.err


@dataclass(slots=True)
class Shell:
    """Where commands are typed: a folder, and the simulator that they find by their variables."""

    folder: Path
    url: str = NOWHERE
    variables: dict[str, str] = field(default_factory=dict)

    def _environment(self, variables: dict[str, str]) -> dict[str, str]:
        port = self.url.rpartition(":")[2]
        return {"MESH_SIM_PORT": port, "COLUMNS": "120"} | self.variables | variables

    async def run(self, *arguments: str, stdin: str | bytes = "", **variables: str) -> Ran:
        """Run the command in this process, in a thread beside the server."""

        def invoke() -> Ran:
            with contextlib.chdir(self.folder):
                result = CliRunner().invoke(app, arguments, input=stdin, env=self._environment(variables))
            if result.exception is not None and not isinstance(result.exception, SystemExit):
                raise result.exception
            return Ran(result.exit_code, COLOURS.sub("", result.stdout), COLOURS.sub("", result.stderr))

        return await asyncio.to_thread(invoke)

    async def run_script(self, script: str) -> Ran:
        """Run a script of commands, as installed, in a shell of the operating system."""
        process = await asyncio.create_subprocess_exec(
            "bash",
            "-c",
            script,
            cwd=self.folder,
            env=os.environ
            | self._environment({"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        return await ended(process)

    def running(
        self, *arguments: str, **variables: str
    ) -> contextlib.AbstractAsyncContextManager[asyncio.subprocess.Process]:
        """Start the command as a process, and end it if it has not ended by itself."""
        return running_command("mesh_sim", arguments, self.folder, self._environment(variables))


async def ended(process: asyncio.subprocess.Process) -> Ran:
    """Wait for a process and give how it ended."""
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())
