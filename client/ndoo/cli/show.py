"""What a command shows: short tables for people, one line of JSON for programs, and progress on a terminal.

Tables fit 80 columns and have colours on a terminal only. Text that came over the network, or is a
file's name, is never taken for markup and cannot steer the terminal.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from ndoo.cli.progress import Activity

# Rich is imported where something is drawn: a command that prints JSON does without it.

RUN: Final = logging.getLogger("ndoo.run")
"""What the run as a whole did: how it began, what went wrong, how it ended."""

# Where no log is kept, Python would print what is recorded of an error beside the line that tells of it.
logging.getLogger("ndoo").addHandler(logging.NullHandler())

_GAP: Final = r"[\s\-\u00ad\u200b\u2010-\u2015\u2212\ufeff\ufffd]"
_NUMBER: Final = re.compile(rf"(?<!\d)(?:\d{{10}}|\d{{3}}{_GAP}\d{{3}}{_GAP}\d{{4}})(?!\d)")
"""Ten digits in a row, or as people write them. Message ids have more in a row, local ids fewer."""
_TOKEN: Final = re.compile(r"(NHSMESH\s+)[^\s'\",>]+")

_WIDEST: Final = 80
_ROOM_FOR_TABLE: Final = 60
"""Columns from which on a table is one, whatever must be folded."""

_UNITS: Final = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


# -- text -------------------------------------------------------------------------------------------


def printable(text: str) -> str:
    """Replace what could steer a terminal, such as escape sequences in a file's name."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def one_line(text: str) -> str:
    """Join the lines of a text into one that can be printed."""
    return printable(" ".join(text.split()))


def mask(text: str) -> str:
    """Take out of a text what looks like an NHS number or an authorization token."""
    return _TOKEN.sub(r"\1***", _NUMBER.sub("**********", text))


def moment(time: datetime, beside: datetime | None = None) -> str:
    """Write a time as people read it, to the minute; to the second within an hour of another beside it."""
    is_near = beside is not None and abs(time - beside) < timedelta(hours=1)
    return f"{time.astimezone(UTC):{'%Y-%m-%d %H:%M:%S' if is_near else '%Y-%m-%d %H:%M'}} UTC"


def span(length: timedelta) -> str:
    """Write a length of time in its two largest units."""
    minutes = int(abs(length).total_seconds()) // 60
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [(days, "day"), (hours, "hour"), (minutes, "minute")]
    written = [f"{count} {unit}{'' if count == 1 else 's'}" for count, unit in parts if count][:2]
    return " ".join(written) or "less than a minute"


def near(path: Path, room: int = 0) -> str:
    """Write a path from the current folder where it is inside; without its beginning if ``room`` is short."""
    here = Path.cwd()
    shown = str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
    return f"...{shown[3 - room :]}" if 3 < room < len(shown) else shown


def noun(count: int, one: str, many: str = "") -> str:
    """Give the word for one thing or for several, by default with an s."""
    return one if count == 1 else many or f"{one}s"


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

    The first line, with the facts, goes to the log too. What looks like an NHS number is masked: the name
    of a sheet or column may hold one, and so may what was typed.
    """
    first, *rest = (mask(one_line(line)) for line in lines)
    RUN.log(level, "%s", first, extra={"facts": facts})
    _tell(first, head="ndoo: ")
    for line in rest:
        _tell(line, head="  ")


def note(text: str, *, quiet: bool = False) -> None:
    """Say something beside the result, on standard error unless asked to be quiet, and in the log."""
    RUN.info("%s", text)
    if not quiet:
        _tell(one_line(text))


def _tell(text: str, *, head: str = "") -> None:
    """Write a line to standard error; on a terminal broken between words, and indented below its head."""
    if not sys.stderr.isatty():
        typer.echo(f"{head}{text}", err=True)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table.grid(pad_edge=False)
    table.add_column(style="bold red", width=len(head))
    table.add_column()
    table.add_row(head, _text(text))
    _draw(table if head else _text(text), Console(stderr=True, highlight=False, markup=False), err=True)


def show_facts(rows: Iterable[tuple[str, int | str, str]], *, quiet: bool = False) -> None:
    """Show a list of facts: name, value, and a remark; counts are aligned, empty texts left out.

    Asked to be quiet, it shows nothing.
    """
    if quiet:
        return
    from rich.console import Console
    from rich.table import Table

    kept = [row for row in rows if row[1] != ""]
    width = max((len(f"{value:,}") for _, value, _ in kept if isinstance(value, int)), default=0)
    table = Table.grid(padding=(0, 2), pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value, remark in kept:
        shown = f"{value:>{width},}" if isinstance(value, int) else printable(value)
        table.add_row(name, _text(f"{shown}  {remark}" if remark else shown))
    _draw(table, Console(highlight=False, markup=False))


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Show a table; cells that are too wide are folded, the first column is kept whole.

    On a narrow terminal that has no room for it, each row becomes a list of facts.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    kept = list(rows)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, no_wrap=index == 0, overflow="fold")
    for row in kept:
        table.add_row(*(_text(printable(cell)) for cell in row))
    console = Console(highlight=False, markup=False)
    wanted = console.measure(table, options=console.options.update(width=_WIDEST)).maximum
    if console.width >= min(wanted, _ROOM_FOR_TABLE):
        _draw(table, console)
        return
    for index, row in enumerate(kept):
        if index:
            typer.echo()
        show_facts([(name, cell, "") for name, cell in zip(columns, row, strict=True)])


def _text(text: str) -> Any:
    from rich.text import Text

    return Text(text, overflow="fold")


def _draw(drawn: RenderableType, console: Console, *, err: bool = False) -> None:
    # Wide terminals are no reason for long lines; narrow ones get what they can show.
    console.width = min(console.width, _WIDEST)
    with console.capture() as captured:
        console.print(drawn)
    for line in captured.get().splitlines():
        typer.echo(line.rstrip(), err=err)


# -- progress ---------------------------------------------------------------------------------------


@contextmanager
def progress(*, quiet: bool = False) -> Iterator[Activity]:
    """Show progress on standard error while the block runs, and nothing of it afterwards."""
    from ndoo.cli.progress import activity

    with activity(quiet=quiet) as shown:
        yield shown
