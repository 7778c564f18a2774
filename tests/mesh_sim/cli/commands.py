"""Every command there is, as the command itself says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import typer

from mesh_sim.cli import app


def _walk(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from _walk(below, f"{path} {name}")


EVERY: Final = dict(_walk(typer.main.get_command(app), "mesh-sim"))
"""Groups and commands, by how they are typed."""

COMMANDS: Final = [path for path, command in EVERY.items() if not hasattr(command, "commands")]
"""Those that do something."""
