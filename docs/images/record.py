"""Record a real ``ndoo check`` on a terminal, for the practices' page: ``python docs/images/record.py``.

A simulator is started, the command runs on a pseudo-terminal against it, and what stands on the screen is
drawn twice: while it waits, and at the end. Nobody in ``examples/patients.csv`` exists.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.text import Text

from mesh_sim import Simulator

HERE = Path(__file__).parent
COMMAND = ("check", "patients.csv")
COLUMNS = 72


class Screen:
    """As much of a terminal as is needed: a line is written on, wiped, or gone up to."""

    _PARTS = re.compile(r"(\x1b\[[0-9;?]*[A-Za-z]|\r|\n)")

    def __init__(self) -> None:
        self.lines = [""]
        self._row = 0
        self._begun = ""

    def write(self, text: str) -> None:
        """Show what the command writes."""
        text, self._begun = self._begun + text, ""
        if unfinished := re.search(r"\x1b\[?[0-9;?]*$", text):
            text, self._begun = text[: unfinished.start()], unfinished[0]
        for part in self._PARTS.split(text):
            match part:
                case "\n":
                    self._row += 1
                    self.lines += [""] * (self._row + 1 - len(self.lines))
                case "\x1b[1A":
                    self._row -= 1
                case "\x1b[2K":
                    self.lines[self._row] = ""
                case _ if part.endswith("m") or not part.startswith(("\x1b", "\r")):
                    self.lines[self._row] += part

    def picture(self) -> Text:
        """Give what is on the screen, below the line that was typed."""
        typed = Text.assemble(("$ ", "bold green"), " ".join(("ndoo", *COMMAND)))
        shown = [Text.from_ansi(line) for line in self.lines]
        while shown and not shown[-1].plain.strip():
            shown.pop()
        return Text("\n").join([typed, *shown])


def main() -> None:
    """Record, and write the two pictures and the text of the second."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Simulator(ndoo_reply_delay="40m", opt_out_rate=0.054) as sim,
    ):
        shutil.copy(HERE.parents[1] / "examples" / "patients.csv", folder)
        screen = Screen()
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
        variables = {"NDOO_URL": sim.url, "NDOO_DATA": f"{folder}/journal", "TERM": "xterm-256color"}
        kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
        process = subprocess.Popen(  # noqa: S603 -- our own command
            [sys.executable, "-m", "ndoo", *COMMAND],
            cwd=folder,
            env=kept | variables,
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)
        # Until it has waited for a while, and says when it looks again.
        read_until(master, screen, lambda text: re.search(r"Waiting +0:0[3-9], next look", text) is not None)
        save(screen.picture(), "check-waiting")
        sim.advance("1h")
        read_until(master, screen, lambda _text: False)
        process.wait()
        save(screen.picture(), "check")


def read_until(master: int, screen: Screen, enough: Callable[[str], bool]) -> None:
    """Show what the command writes, until it is enough or the command has ended."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not enough(screen.picture().plain):
        if select.select([master], [], [], 0.2)[0]:
            try:
                screen.write(os.read(master, 65_536).decode())
            except OSError:  # the terminal has been closed
                return


def save(picture: Text, name: str) -> None:
    """Write a picture as SVG and as text."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(picture)
    drawing = console.export_svg(title="ndoo check", unique_id=name)
    # The fonts that it would fetch from elsewhere are left out: the reader's own will do.
    drawing = re.sub(r"@font-face \{.*?\}\s*", "", drawing, flags=re.DOTALL)
    (HERE / f"{name}.svg").write_text(drawing, encoding="utf-8")
    lines = (line.rstrip() for line in picture.plain.splitlines())
    (HERE / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
