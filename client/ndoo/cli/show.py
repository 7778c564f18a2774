"""What a command shows: short tables for people, one line of JSON for programs, and progress on a terminal.

Tables fit 80 columns and have colours on a terminal only. Text that came over the network, or is a
file's name, is never taken for markup and cannot steer the terminal.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from ndoo.cli.progress import Activity

# Rich is imported where something is drawn: a command that prints JSON does without it.

RUN: Final = logging.getLogger("ndoo.run")
"""What the run as a whole did: how it began, what went wrong, how it ended."""

# Where no log is kept, Python would print what is recorded of an error beside the line that tells of it.
logging.getLogger("ndoo").addHandler(logging.NullHandler())

_UNITS: Final = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


# -- text -------------------------------------------------------------------------------------------


def printable(text: str) -> str:
    """Replace what could steer a terminal, such as escape sequences in a file's name."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def one_line(text: str) -> str:
    """Join the lines of a text into one that can be printed."""
    return printable(" ".join(text.split()))


def moment(time: datetime) -> str:
    """Write a time as people read it, to the minute."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def span(length: timedelta) -> str:
    """Write a length of time in its two largest units."""
    minutes = int(abs(length).total_seconds()) // 60
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [(days, "day"), (hours, "hour"), (minutes, "minute")]
    written = [f"{count} {unit}{'' if count == 1 else 's'}" for count, unit in parts if count][:2]
    return " ".join(written) or "less than a minute"


def size(count: int) -> str:
    """Write a number of bytes, in decimal units."""
    for unit, name in _UNITS:
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return "1 byte" if count == 1 else f"{count} bytes"


# -- output -----------------------------------------------------------------------------------------


def write_json(values: Mapping[str, Any]) -> None:
    """Write one JSON object to standard output, on a line; times in ISO 8601, paths as text."""
    typer.echo(json.dumps(values, default=to_json))


def to_json(value: object) -> str:
    """Write what JSON has no form for: a time, a path."""
    return value.isoformat() if isinstance(value, datetime) else str(value)


def show_error(lines: Sequence[str], *, level: int = logging.ERROR, **facts: str) -> None:
    """Write an error to standard error: a first line that names the program, then details.

    The first line, with the facts, goes to the log too.
    """
    first, *rest = map(one_line, lines)
    RUN.log(level, "%s", first, extra={"facts": facts})
    typer.echo(f"ndoo: {first}", err=True)
    for line in rest:
        typer.echo(f"  {line}", err=True)


def note(text: str, *, quiet: bool = False) -> None:
    """Say something beside the result, on standard error unless asked to be quiet, and in the log."""
    RUN.info("%s", text)
    if not quiet:
        typer.echo(one_line(text), err=True)


def show_facts(rows: Iterable[tuple[str, int | str, str]], *, quiet: bool = False) -> None:
    """Show a list of facts: name, value, and a remark; counts are aligned, empty texts left out.

    Asked to be quiet, it shows nothing.
    """
    if quiet:
        return
    from rich.table import Table

    kept = [row for row in rows if row[1] != ""]
    width = max((len(f"{value:,}") for _, value, _ in kept if isinstance(value, int)), default=0)
    table = Table.grid(padding=(0, 2), pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value, remark in kept:
        shown = f"{value:>{width},}" if isinstance(value, int) else printable(value)
        table.add_row(name, _text(f"{shown}  {remark}" if remark else shown))
    _draw(table)


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Show a table; cells that are too wide are folded, the first column is kept whole."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, no_wrap=index == 0, overflow="fold")
    for row in rows:
        table.add_row(*(_text(printable(cell)) for cell in row))
    _draw(table)


def _text(text: str) -> Any:
    from rich.text import Text

    return Text(text, overflow="fold")


def _draw(table: Table) -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    # Wide terminals are no reason for long lines; narrow ones get what they can show.
    console.width = min(console.width, 80)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        typer.echo(line.rstrip())


# -- progress ---------------------------------------------------------------------------------------


@contextmanager
def progress(*, quiet: bool = False) -> Iterator[Activity]:
    """Show progress on standard error while the block runs, and nothing of it afterwards."""
    from ndoo.cli.progress import activity

    with activity(quiet=quiet) as shown:
        yield shown
