"""A command of either package as a process of its own, as its user starts it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Final

NOWHERE: Final = "http://127.0.0.1:9"
"""Nothing answers there: what is refused before it is sent is refused without a connection."""

FORCING: Final = {"FORCE_COLOR", "TTY_COMPATIBLE", "GITHUB_ACTIONS", "PY_COLORS"}
"""Variables that ask for colours also where the output is no terminal."""

COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")


@contextlib.asynccontextmanager
async def running_command(
    package: str, arguments: Sequence[str], folder: Path, variables: Mapping[str, str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a package's command in a folder, and end it if it has not ended by itself."""
    kept = {name: value for name, value in os.environ.items() if name not in FORCING}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        package,
        *arguments,
        cwd=folder,
        env=kept | dict(variables),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
