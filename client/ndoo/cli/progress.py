"""The moving lines on a terminal: what a command is doing, how far it is, and how long it has taken.

They are drawn on standard error, on a terminal only, and are gone when the command ends: what is worth
keeping stands in the closing table. Lines fit 80 columns, and fewer.
"""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final

from ndoo.cli.show import RUN, note, one_line, printable, size
from ndoo.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.live import Live
    from rich.text import Text

# Rich is imported where something is drawn: a command in a script does without it.

STEPS: Final = logging.getLogger("ndoo.steps")
"""Where each complete step of a round trip is recorded; its facts are the record's ``facts``."""

WIDEST: Final = 80
"""Columns used of a wide terminal."""

_CALM_SECONDS: Final = 0.3
"""What is over sooner than this is not worth a line that comes and goes."""

_STEADY_SECONDS: Final = 1.0
"""How long bytes must have flowed before their speed says something."""

_REDRAWN_PER_SECOND: Final = 8
_BAR_COLUMNS: Final = 24
_ROOM_FOR_BAR: Final = 66
_NAME_COLUMNS: Final = 9
_SPINNER: Final = {False: "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", True: "|/-\\"}
_TICK: Final = {False: "✓", True: "*"}
_BAR: Final = {False: ("━", "─"), True: ("#", ".")}

_Seconds = Callable[[], float]


# -- lines ------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Line:
    """One thing that is being done, or has been."""

    name: str
    begun: float
    afterwards: str = ""
    """Its name once it is done, such as Sent of Sending."""
    flows: bool = False
    """Whether its bytes go over the network, so that their speed is of interest."""
    done: int = 0
    total: int = 0
    ended: float | None = None
    remark: str = ""
    next_look: float | None = None
    """When the inbox is looked into again, of a wait; by the same clock as ``begun``."""

    def through(self, done: int, total: int) -> None:
        """Note how many bytes are through; the total may not be known."""
        self.done, self.total = done, total

    @property
    def share(self) -> float | None:
        """How much of it is done, from 0 to 1, if that is known."""
        return min(self.done / self.total, 1.0) if self.total > 0 else None

    def figures(self, now: float, *, wide: bool) -> str:
        """Say how far it is in a few words."""
        if self.ended is not None:
            size_or_time = size(self.total or self.done) if self.done else minutes(self.ended - self.begun)
            return "  ".join(filter(None, (size_or_time, self.remark if wide else "")))
        spent = minutes(now - self.begun)
        if self.next_look is not None:
            left = self.next_look - now
            look = f"next look in {minutes(math.ceil(left))}" if left > 0 else "looking now"
            return "  ".join(filter(None, (f"{spent}, {look}", self.remark if wide else "")))
        if not self.done and self.share is None:
            return spent
        words = [_amount(self.done, self.total)]
        if wide:
            if (share := self.share) is not None:
                words.insert(0, f"{share:4.0%}".replace("%", " %"))
            if self.flows and now - self.begun >= _STEADY_SECONDS:
                words.append(f"{size(int(self.done / (now - self.begun)))}/s")
        return "  ".join(words)


def minutes(seconds: float) -> str:
    """Write a length of time as a clock does: ``0:05``, ``3:20``, ``1:02:03``."""
    whole = int(max(seconds, 0))
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def _amount(done: int, total: int) -> str:
    """Write bytes of all bytes, the unit once where it is the same."""
    if total <= 0:
        return size(done)
    (number, unit), whole = size(done).split(" "), size(total)
    return f"{number if unit == whole.split(' ')[1] else f'{number} {unit}'} of {whole}"


@dataclass(slots=True)
class Board:
    """The lines as they are drawn: anew some times a second, whatever the command is busy with."""

    clock: _Seconds = time.monotonic
    calm_seconds: float = _CALM_SECONDS
    lines: list[Line] = field(default_factory=list)
    begun: float = field(init=False)

    def __post_init__(self) -> None:
        self.begun = self.clock()

    def begin(self, line: Line) -> None:
        """Add a line; those before it are done with."""
        for before in self.lines:
            before.ended = self.clock() if before.ended is None else before.ended
        # A new list: whoever draws at the moment goes on with the one it has.
        self.lines = [*self.lines, line]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw, for Rich."""
        now = self.clock()
        if now - self.begun < self.calm_seconds:
            return
        lines = self.lines
        names = max((len(line.name) for line in lines), default=0)
        for line in lines:
            yield _draw(
                line, now, width=min(options.max_width, WIDEST), names=names, ascii_only=_is_plain(console)
            )


def _is_plain(console: Console) -> bool:
    return console.legacy_windows or console.options.ascii_only


def _draw(line: Line, now: float, *, width: int, names: int, ascii_only: bool) -> Text:
    from rich.text import Text

    wide = width >= _ROOM_FOR_BAR
    figures = line.figures(now, wide=wide)
    bar = _BAR_COLUMNS if wide and line.ended is None and line.share is not None else 0
    room = width - 4 - len(figures) - (bar + 2 if bar else 0)
    if bar and room < min(names, _NAME_COLUMNS):
        bar, room = 0, room + bar + 2
    name = Text(printable(line.name if line.ended is None else line.afterwards or line.name))
    name.truncate(max(min(max(names, _NAME_COLUMNS), room), 1), overflow="crop", pad=True)
    if line.ended is None:
        spinner = _SPINNER[ascii_only]
        mark = (spinner[int(now * _REDRAWN_PER_SECOND) % len(spinner)], "cyan")
    else:
        mark = (_TICK[ascii_only], "green")
    text = Text(no_wrap=True, overflow="crop")
    text.append(*mark)
    text.append(" ").append(name).append("  ")
    if bar:
        full, empty = _BAR[ascii_only]
        filled = round((line.share or 0.0) * bar)
        text.append(full * filled, "cyan").append(empty * (bar - filled), "bright_black").append("  ")
    return text.append(figures, "" if line.ended is None else "dim")


# -- the display ------------------------------------------------------------------------------------


@contextmanager
def display(board: Board) -> Iterator[Live | None]:
    """Draw a board while the block runs, if standard error is a terminal that can be drawn on."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True, highlight=False, markup=False)
    if not console.is_interactive:  # nor is a dumb one, which cannot move its cursor
        yield None
        return
    # Standard output is the result's: it may be another file, and nothing is written there meanwhile.
    with Live(
        board,
        console=console,
        refresh_per_second=_REDRAWN_PER_SECOND,
        transient=True,
        redirect_stdout=False,
    ) as live:
        yield live


class Activity:
    """One thing that goes on at the moment."""

    def start(self, text: str) -> None:
        """Say what begins."""

    def bytes(self, done: int, total: int = 0) -> None:
        """Say how many bytes of it are through, and of how many if that is known."""


class _DrawnActivity(Activity):
    def __init__(self, board: Board) -> None:
        self._board = board

    def start(self, text: str) -> None:
        self._board.lines = [Line(text, self._board.clock())]

    def bytes(self, done: int, total: int = 0) -> None:
        self._board.lines[-1].through(done, total)


@contextmanager
def activity(*, quiet: bool = False) -> Iterator[Activity]:
    """Show what goes on on standard error while the block runs, and nothing of it afterwards."""
    if quiet:
        yield Activity()
        return
    board = Board()
    with display(board) as live:
        yield Activity() if live is None else _DrawnActivity(board)


# -- the round trip ---------------------------------------------------------------------------------


class Phase(Enum):
    """The parts of a round trip, in their order: what each is called, and whether it is on the network."""

    CHECKING = ("Checking", "Checked", False)
    SENDING = ("Sending", "Sent", True)
    WAITING = ("Waiting", "Waited", False)
    RECEIVING = ("Receiving", "Received", True)
    FILTERING = ("Filtering", "Filtered", False)


_ORDER: Final = list(Phase)


class _Recorded(Progress):
    """Records steps and sentences in the log, and shows the sentences unless it is to be quiet."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet

    def step(self, name: str, **facts: str | int) -> None:
        """Record it."""
        STEPS.info("%s", name, extra={"facts": facts})

    def say(self, sentence: str) -> None:
        """Record it, and show it."""
        note(sentence, quiet=self._quiet)


class _Drawn(_Recorded):
    """Shows on a terminal how far the round trip is."""

    def __init__(self, board: Board, live: Live) -> None:
        super().__init__(quiet=False)
        self._board = board
        self._live = live
        self._phase: Phase | None = None
        self._local_id = ""

    def validating(self, done: int, total: int) -> None:
        """Show it."""
        self._line(Phase.CHECKING).through(done, total)

    def sending(self, done: int, total: int) -> None:
        """Show it."""
        self._line(Phase.SENDING).through(done, total)

    def waiting(self, waited: float, next_look: float) -> None:
        """Show it, and count on to the next look."""
        line = self._line(Phase.WAITING)
        now = self._board.clock()
        line.begun, line.next_look = now - waited, now + next_look

    def receiving(self, done: int, total: int) -> None:
        """Show it."""
        self._line(Phase.RECEIVING).through(done, total)

    def filtering(self, done: int, total: int) -> None:
        """Show it."""
        self._line(Phase.FILTERING).through(done, total)

    def step(self, name: str, **facts: str | int) -> None:
        """Record it, and remember what the list is called."""
        super().step(name, **facts)
        self._local_id = str(facts.get("local_id", self._local_id))

    def _line(self, phase: Phase) -> Line:
        board = self._board
        if phase is not self._phase:
            if self._phase is not None and _ORDER.index(phase) < _ORDER.index(self._phase):
                board.lines = []  # the next of several lists
            self._phase = phase
            name, afterwards, flows = phase.value
            # What the list is called stands on the line that is looked at longest.
            remark = self._local_id if phase is Phase.WAITING else ""
            board.begin(Line(name, board.clock(), afterwards, flows, remark=remark))
        return board.lines[-1]

    def say(self, sentence: str) -> None:
        """Record it, and show it above the lines."""
        from rich.text import Text

        RUN.info("%s", sentence)
        console = self._live.console
        console.print(Text(one_line(sentence)), width=min(console.width, WIDEST))


@contextmanager
def round_trip_progress(*, quiet: bool, json: bool) -> Iterator[Progress]:
    """Show a round trip on standard error while the block runs.

    Args:
        quiet: show nothing at all; steps and sentences still go to the log.
        json: draw nothing, as for any program; sentences are written to standard error.
    """
    if quiet or json:
        yield _Recorded(quiet=quiet)
        return
    board = Board()
    with display(board) as live:
        yield _Recorded(quiet=False) if live is None else _Drawn(board, live)
