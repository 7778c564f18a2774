"""A desk: a folder to work in, and the ``ndoo`` command as its user runs it there."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processes import COLOURS, NOWHERE, running_command
from typer.testing import CliRunner

from ndoo.cli import app
from ndoo.journal import Journal
from ndoo.lists import generate

NUMBERS = [int(number) for number in next(generate(20, seed=3))]
OPTED_OUT = NUMBERS[4]


@dataclass(frozen=True, slots=True)
class Ran:
    """How one run of the command ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Read standard output, which must hold one JSON object on one line and nothing else."""
        assert self.out.count("\n") == 1
        return json.loads(self.out)


class Desk:
    """A folder to work in, and the command as it runs there."""

    def __init__(self, folder: Path, url: str = NOWHERE) -> None:
        self.folder = folder
        self.variables = {"NDOO_URL": url, "NDOO_DATA": str(folder / "journal"), "COLUMNS": "80"}

    @property
    def journal(self) -> Journal:
        """The journal the command keeps."""
        return Journal(self.folder / "journal/journal.db")

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file in the folder."""
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def write_table(self, name: str = "patients.csv", numbers: Sequence[int | str] = NUMBERS) -> Path:
        """Write a CSV with two columns, one row a number."""
        rows = "".join(f"Person {index},{number}\r\n" for index, number in enumerate(numbers))
        return self.write(name, f"Name,NHS Number\r\n{rows}")

    def files(self) -> set[str]:
        """Name what is in the folder, the journal left out."""
        return {path.name for path in self.folder.iterdir()} - {"journal"}

    def run_here(self, *arguments: str, **variables: str) -> Ran:
        """Run the command in this process."""
        with contextlib.chdir(self.folder):
            result = CliRunner().invoke(app, arguments, env=self.variables | variables)
        # Where the environment asks for colours (FORCE_COLOR), help comes with them.
        return Ran(result.exit_code, COLOURS.sub("", result.stdout), COLOURS.sub("", result.stderr))

    def running(
        self, *arguments: str, **variables: str
    ) -> contextlib.AbstractAsyncContextManager[asyncio.subprocess.Process]:
        """Start the command as a process."""
        return running_command("ndoo", arguments, self.folder, self.variables | variables)

    async def run(self, *arguments: str, **variables: str) -> Ran:
        """Run the command as a process of its own, while this one may be the server."""
        async with self.running(*arguments, **variables) as process:
            return await ended(process)


async def ended(process: asyncio.subprocess.Process) -> Ran:
    """Wait for a process and give how it ended."""
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))


def facts(text: str) -> dict[str, str]:
    """Read a table of facts: name and value, two blanks apart."""
    return {
        cells[0].strip(): cells[1].strip() for line in text.splitlines() if (cells := line.split("  ", 1))[1:]
    }
