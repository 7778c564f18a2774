"""What a command shows: short tables for people, JSON for programs, and progress on a terminal.

Colours are for terminals only. Text that came over the network, or is a file's name, is never taken for
markup and cannot steer the terminal.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol, TypeAlias

import typer

if TYPE_CHECKING:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

# Rich is imported where something is drawn: a command that prints JSON does without it.

_UNITS: Final = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
WIDE: Final = 100
"""From so many columns on there is room for what is worth less."""

_WHOLE: Final = 2
"""How many columns of a table are never folded."""

_PIPED: Final = 200
"""Where nobody looks at columns, lines are not broken."""


class Styled(NamedTuple):
    """A text with its colour."""

    text: str
    style: str


Cell: TypeAlias = str | Styled


# -- text -------------------------------------------------------------------------------------------


def printable(text: str) -> str:
    """Replace what could steer a terminal, such as escape sequences in a message's subject."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def one_line(text: str) -> str:
    """Join the lines of a text into one that can be printed."""
    return printable(" ".join(text.split()))


def moment(time: str | None) -> str:
    """Write a time of the API (ISO 8601, UTC where it names no zone) as people read it, to the second."""
    if not time:
        return ""
    at = datetime.fromisoformat(time)
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def size(count: int) -> str:
    """Write a number of bytes, in decimal units."""
    for unit, name in _UNITS:
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} B"


def duration(length: timedelta) -> str:
    """Write how long something took."""
    seconds = length.total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds:.0f} s"


def status_style(status: int) -> str:
    """Give the colour of an HTTP status; 0 is a connection that broke."""
    if 200 <= status < 300:
        return "green"
    return "yellow" if 300 <= status < 400 else "bold red" if status >= 500 else "red"


# -- output -----------------------------------------------------------------------------------------


def write_json(values: Mapping[str, Any]) -> None:
    """Write one JSON object to standard output."""
    typer.echo(json.dumps(values, default=str, indent=2))


def write_json_line(values: Mapping[str, Any]) -> None:
    """Write one of several JSON objects to standard output, one a line."""
    typer.echo(json.dumps(values, default=str))


def show_error(text: str) -> None:
    """Write an error to standard error: a first line that names the program, then what else there is."""
    first, *rest = map(one_line, text.splitlines() or [""])
    typer.echo(f"mesh-sim: {first}", err=True)
    for line in rest:
        typer.echo(f"  {line}", err=True)


def note(text: str) -> None:
    """Say something beside the result, on standard error."""
    typer.echo(one_line(text), err=True)


def show_facts(rows: Iterable[tuple[str, int | Cell, str]], *, indent: int = 0) -> None:
    """Show a list of facts: name, value, and a remark; counts are aligned, empty texts left out."""
    from rich.padding import Padding
    from rich.table import Table

    kept = [row for row in rows if row[1] != ""]
    width = max((len(f"{value:,}") for _, value, _ in kept if isinstance(value, int)), default=0)
    table = Table.grid(padding=(0, 2), pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value, remark in kept:
        text = _text(f"{value:>{width},}" if isinstance(value, int) else value)
        if remark:
            text.append(f"  {printable(remark)}")
        table.add_row(name, text)
    _draw(Padding(table, (0, 0, 0, indent)))


def show_table(columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, right: Sequence[str] = ()) -> None:
    """Show a table; columns that are empty are left out.

    ``right`` names the columns of figures. Cells that are too wide are folded, but not in the first columns:
    ids and statuses are kept whole.
    """
    from rich import box
    from rich.table import Table

    cells = [[_text(cell) for cell in row] for row in rows]
    shown = [index for index in range(len(columns)) if any(row[index].plain for row in cells)]
    gap = 1 if width() < WIDE else 2  # the box has one of its own
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, gap - 1, 0, 0))
    for index in shown:
        justify: Literal["right", "left"] = "right" if columns[index] in right else "left"
        table.add_column(columns[index], no_wrap=index < _WHOLE, overflow="fold", justify=justify)
    for row in cells:
        table.add_row(*(row[index] for index in shown))
    _draw(table)


def show_line(cells: Iterable[tuple[Cell, int]]) -> None:
    """Show one line of cells side by side, each filled up to its width; a negative width is for figures."""
    from rich.text import Text

    line = Text()
    for cell, width in cells:
        text = _text(cell)
        gap = " " * (abs(width) - text.cell_len)
        line.append_text(Text(gap).append_text(text) if width < 0 else text.append(gap))
        line.append("  ")
    line.rstrip()
    _draw(line)


def show_indented(cell: Cell, indent: int) -> None:
    """Show a text under a line, as many columns in; one that is too wide goes on below, as far in."""
    from rich.padding import Padding

    _draw(Padding(_text(cell), (0, 0, 0, indent)))


class Days:
    """Says the day where it changes, so that lines need only the time of the day."""

    def __init__(self) -> None:
        self._day = ""

    def time(self, time: str, *, exact: bool = False) -> Cell:
        """Write the time of the day, in UTC, of a time of the API: to the second, or to the millisecond."""
        at = datetime.fromisoformat(time).astimezone(UTC)
        if (day := f"{at:%A %d %B %Y}, UTC") != self._day:
            self._day = day
            show_line([(Styled(day, "dim"), 0)])
        return f"{at:%H:%M:%S.%f}"[:-3] if exact else f"{at:%H:%M:%S}"


def width() -> int:
    """Give how many columns there are to fill."""
    from rich.console import Console

    console = Console()
    piped = not console.is_terminal and "COLUMNS" not in os.environ
    return _PIPED if piped else console.width


def _text(cell: Cell) -> Text:
    from rich.text import Text

    text, style = cell if isinstance(cell, Styled) else (cell, "")
    return Text("\n".join(printable(line) for line in text.split("\n")), style=style, overflow="fold")


def _draw(shown: Table | Text | Padding) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, markup=False, width=width())
    with console.capture() as captured:
        console.print(shown, soft_wrap=isinstance(shown, Text))
    for line in captured.get().splitlines():
        typer.echo(line.rstrip())


# -- progress ---------------------------------------------------------------------------------------


class Progress(Protocol):
    """What goes on at the moment; shown, with the time it takes, on a terminal only."""

    def advance(self, count: int) -> None:
        """Say that so many bytes more are through."""
        ...


class _Silent:
    def advance(self, count: int) -> None:
        """Show nothing."""


class _Bar:
    def __init__(self, bar: Any, task: Any) -> None:
        self._bar = bar
        self._task = task

    def advance(self, count: int) -> None:
        self._bar.advance(self._task, count)


@contextmanager
def progress(text: str, *, total: int | None = None, quiet: bool = False) -> Iterator[Progress]:
    """Show progress on standard error while the block runs, and nothing of it afterwards.

    Args:
        text: what goes on.
        total: of how many bytes, if that is known.
        quiet: show nothing, as a program reads along.
    """
    if quiet or not sys.stderr.isatty():
        yield _Silent()
        return
    from rich import progress as bars
    from rich.console import Console

    columns: list[bars.ProgressColumn] = [
        bars.SpinnerColumn(),
        bars.TextColumn("{task.description}", markup=False),
        bars.TimeElapsedColumn(),
    ]
    if total is not None:
        columns[2:2] = [bars.BarColumn(), bars.DownloadColumn()]
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield _Bar(bar, bar.add_task(printable(text), total=total))
