"""A pseudo-terminal: the command as somebody types at it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import struct
import sys
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

_ON_THE_TERMINAL: Final = (
    "import os, runpy\n"
    # A session takes the first terminal it opens for its own; hidden questions and Ctrl-C go by that.
    "os.close(os.open(os.ttyname(0), os.O_RDWR))\n"
    "runpy.run_module('ndoo', run_name='__main__', alter_sys=True)\n"
)
_WIDTH: Final = 80
_KEYS: Final = ("\x03", "\x04")
_ASKS: Final = re.compile(rb"(: |\]: ?)$")
_STYLES: Final = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


async def typed(
    folder: Path,
    arguments: Sequence[str],
    answers: Sequence[str],
    variables: Mapping[str, str],
    *,
    width: int = _WIDTH,
) -> tuple[int, str]:
    """Run ``ndoo`` on a terminal, answer its questions one by one, and give code and screen.

    Ctrl-C and Ctrl-D as an answer are typed without Enter. Answers left over, or questions without one, end
    the test.
    """
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    environment = {**os.environ, "TERM": "xterm", **variables}
    environment.pop("COLUMNS", None)  # the terminal itself says how wide it is
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _ON_THE_TERMINAL,
        *arguments,
        cwd=folder,
        env=environment,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
    )
    os.close(follower)
    left, screen, asked_at = list(answers), b"", 0
    try:
        async with asyncio.timeout(30):
            while data := await asyncio.to_thread(_read, leader):
                screen += data
                if _ASKS.search(screen[asked_at:]):
                    asked_at = len(screen)
                    # A hidden question is asked before the terminal stops echoing.
                    await asyncio.sleep(0.05)
                    answer = left.pop(0)
                    os.write(leader, (answer if answer in _KEYS else f"{answer}\n").encode())
            code = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(leader)
    assert left == []
    return code, _STYLES.sub("", screen.decode()).replace("\r\n", "\n")


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # nobody holds the other end any more
        return b""
