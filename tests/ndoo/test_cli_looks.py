"""What a person sees of a run: moving lines on a terminal, sentences beside them, and calm elsewhere."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import struct
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest
from desks import Desk
from hypothesis import given
from hypothesis import strategies as st
from processes import FORCING
from rich.console import Console
from support import MakeSimulator

from ndoo.cli.progress import Board, Line, activity, minutes, round_trip_progress
from ndoo.cli.show import note, show_facts, write_json
from ndoo.journal import Stage
from ndoo.progress import Progress

LONGEST = "X99GP001-241126-0001"


class Clock:
    """Seconds that pass when the test says so."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def drawn(board: Board, width: int, encoding: str = "utf-8") -> list[str]:
    """Draw a board once, on something that is no terminal."""
    out = BytesIO()
    file = TextIOWrapper(out, encoding, write_through=True)
    Console(file=file, width=width, highlight=False, markup=False).print(board)
    return [line.rstrip() for line in out.getvalue().decode(encoding).splitlines()]


def a_board(clock: Clock) -> Board:
    """A board of a round trip that waits for its answer."""
    board = Board(clock, calm_seconds=0)
    board.begin(Line("Checking", clock.now, "Checked"))
    board.lines[-1].through(1_200_000, 1_200_000)
    board.begin(Line("Sending", clock.now, "Sent", flows=True))
    clock.now += 2
    return board


# -- lines ------------------------------------------------------------------------------------------


def test_what_is_under_way_has_a_bar_bytes_and_a_speed() -> None:
    """What is done has a tick, what goes over the network a bar, a share, its bytes and their speed."""
    clock = Clock()
    board = a_board(clock)
    board.lines[-1].through(1_500_000, 3_000_000)
    done, going = drawn(board, 80)
    assert done == "✓ Checked    1.2 MB"
    assert going.endswith("Sending    " + "━" * 12 + "─" * 12 + "   50 %  1.5 of 3.0 MB  750.0 kB/s")
    board.lines[-1].through(900, 3_000_000)
    assert drawn(board, 80)[1].endswith("    0 %  900 bytes of 3.0 MB  450 bytes/s")


def test_a_wait_counts_both_ways() -> None:
    """Between two looks into the inbox the time waited goes up and the time to the next look down."""
    clock = Clock()
    board = a_board(clock)
    board.begin(Line("Waiting", clock.now - 200, "Waited", remark=LONGEST, next_look=clock.now + 100))
    assert drawn(board, 80)[2][2:] == f"Waiting    3:20, next look in 1:40  {LONGEST}"
    clock.now += 99.5
    assert drawn(board, 80)[2][2:] == f"Waiting    4:59, next look in 0:01  {LONGEST}"
    clock.now += 0.5
    assert drawn(board, 80)[2][2:] == f"Waiting    5:00, looking now  {LONGEST}"
    board.begin(Line("Receiving", clock.now, "Received", flows=True))
    assert drawn(board, 80)[2] == f"✓ Waited     5:00  {LONGEST}"


@pytest.mark.parametrize("width", [20, 40, 60, 66, 80, 200])
def test_lines_fit_and_use_no_more_than_eighty_columns(width: int) -> None:
    """Whatever the terminal's width, a line is one line; at forty columns nothing that matters is lost."""
    clock = Clock()
    board = a_board(clock)
    board.lines[-1].through(999_900_000, 99_999_000_000)
    board.begin(Line("Waiting", clock.now - 2 * 86_400, "Waited", remark=LONGEST, next_look=clock.now + 300))
    board.begin(Line("Receiving", clock.now, "Received", flows=True))
    board.lines[-1].through(999_900_000, 99_999_000_000)
    lines = drawn(board, width)
    assert len(lines) == 4
    assert max(map(len, lines)) <= min(width, 80)
    if width >= 40:
        assert lines[3].endswith("999.9 MB of 100.0 GB")


def test_long_names_give_way_to_what_moves() -> None:
    """A file with a long name, or a name that would steer the terminal, does not push the figures out."""
    clock = Clock()
    board = Board(clock, calm_seconds=0)
    board.begin(Line("Filtering \x1b[31m" + "long" * 40, clock.now))
    board.lines[-1].through(1_500_000, 3_000_000)
    for width in (40, 80, 200):
        (line,) = drawn(board, width)
        assert len(line) <= min(width, 80)
        assert line.endswith("1.5 of 3.0 MB")
        assert "\x1b" not in line


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_terminals_without_the_signs_get_others(encoding: str) -> None:
    """Where a terminal has no ticks and bars there are stars and crosses, and nothing fails."""
    clock = Clock()
    board = a_board(clock)
    board.lines[-1].through(1_500_000, 3_000_000)
    done, going = drawn(board, 80, encoding)
    assert done == "* Checked    1.2 MB"
    assert "#" * 12 + "." * 12 in going
    assert going[0] in "|/-\\"


def test_what_is_over_at_once_is_not_shown() -> None:
    """A line that would be gone before it is read is not drawn."""
    clock = Clock()
    board = Board(clock)
    board.begin(Line("Reading patients.csv", clock.now))
    assert drawn(board, 80) == []
    clock.now += 1
    assert drawn(board, 80)[0].endswith("Reading patients.csv  0:01")


@given(st.integers(0, 10**6))
def test_times_read_back(seconds: int) -> None:
    """A length of time is written as a clock does, and means what it says."""
    total = 0
    for part in minutes(seconds + 0.9).split(":"):
        total = total * 60 + int(part)
    assert total == seconds


# -- on a terminal ----------------------------------------------------------------------------------


class Terminal:
    """A terminal of 24 lines; what is written to it is read when it is asked for."""

    def __init__(self, columns: int = 80) -> None:
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def close(self) -> bytes:
        """Close it, and give all that was written and not read yet."""
        os.close(self.slave)
        return b"".join(self._blocks())

    def _blocks(self) -> Iterator[bytes]:
        with suppress(OSError):  # EIO: there is nobody left who could write
            while block := os.read(self.master, 65_536):
                yield block
        os.close(self.master)


@contextmanager
def standard_error(patch: pytest.MonkeyPatch, **variables: str) -> Iterator[list[bytes]]:
    """Make standard error a terminal while the block runs; the list then holds what was written."""
    for name in (*FORCING, "NO_COLOR", "COLUMNS", "TTY_INTERACTIVE"):
        patch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", **variables}.items():
        patch.setenv(name, value)
    terminal, written = Terminal(), list[bytes]()
    with os.fdopen(os.dup(terminal.slave), "w") as stream, patch.context() as here:
        here.setattr(sys, "stderr", stream)
        yield written
    written.append(terminal.close())


def everything(progress: Progress) -> None:
    """Tell of a whole round trip."""
    progress.validating(500_000, 1_000_000)
    progress.sending(500_000, 1_000_000)
    progress.step("submitted", local_id=LONGEST)
    progress.say("the list was sent again")
    progress.waiting(200.0, 100.0)


COLOUR = re.compile(rb"\x1b\[(?:[0-9;]*;)?(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;[0-9;]*)?m")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw also what is over at once."""
    monkeypatch.setattr("ndoo.cli.progress.Board", lambda: Board(Clock(), calm_seconds=0))


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("variables", [{}, {"NO_COLOR": "1"}], ids=["coloured", "NO_COLOR"])
def test_a_terminal_shows_how_far_it_is_and_keeps_the_sentences(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    """The lines are drawn, and wiped away at the end; sentences stay; colours only where they are wanted."""
    with standard_error(monkeypatch, **variables) as written:
        with round_trip_progress(quiet=False, json=False) as progress:
            everything(progress)
        sys.stderr.write("after\n")
    shown = COLOUR.sub(b"", written[0]).replace(b"\x1b[0m", b"").replace(b"\x1b[2m", b"")
    assert bool(COLOUR.search(written[0])) is (not variables)
    assert b"Sent       1.0 MB" in shown
    assert f"Waiting    3:20, next look in 1:40  {LONGEST}".encode() in shown
    assert shown.count(b"the list was sent again") == 1
    # Three lines were drawn last: each is wiped, the cursor is back, and what follows begins a line.
    end = shown[shown.rindex(b"next look") :]
    assert end.count(b"\x1b[1A\x1b[2K") == 3
    assert b"\x1b[?25h" in end
    assert end.endswith(b"\x1b[2Kafter\r\n")


@pytest.mark.usefixtures("at_once")
def test_a_dumb_terminal_gets_sentences_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that cannot move its cursor, such as an editor's, is not filled with signs."""
    with (
        standard_error(monkeypatch, TERM="dumb") as written,
        round_trip_progress(quiet=False, json=False) as progress,
    ):
        everything(progress)
    assert written == [b"the list was sent again\r\n"]


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    ("quiet", "json", "said"),
    [(True, False, b""), (True, True, b""), (False, True, b"the list was sent again\r\n")],
)
def test_asked_to_be_quiet_or_by_a_program_nothing_is_drawn(
    monkeypatch: pytest.MonkeyPatch, quiet: bool, json: bool, said: bytes
) -> None:
    """With --quiet a terminal stays empty; with --json only sentences are written beside the result."""
    with standard_error(monkeypatch) as written, round_trip_progress(quiet=quiet, json=json) as progress:
        everything(progress)
    assert written == [said]


def test_where_there_is_no_terminal_only_sentences_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    """In a file or a scheduled job's mail nothing moves; what a person should know is there."""
    with round_trip_progress(quiet=False, json=False) as progress:
        everything(progress)
    assert capsys.readouterr().err == "the list was sent again\n"


@pytest.mark.usefixtures("at_once")
def test_other_work_looks_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes on is shown with its bytes, whatever the name says, and taken away; quietly, not at all."""
    with standard_error(monkeypatch) as written:
        with activity(quiet=True) as quiet:
            quiet.start("nothing of this")
        with activity() as seen:
            seen.start("Submitting [list]")
            seen.bytes(1_500_000, 3_000_000)
        sys.stderr.write("after\n")
    text = COLOUR.sub(b"", written[0]).replace(b"\x1b[0m", b"")
    assert b"Submitting [list]  " in text
    assert b" 50 %  1.5 of 3.0 MB" in text
    assert b"nothing of this" not in text
    assert text.endswith(b"\x1b[2Kafter\r\n")


@pytest.mark.usefixtures("at_once")
def test_the_next_of_several_lists_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """When one list is done and the next is waited for, the lines are about the next only."""
    with standard_error(monkeypatch) as written, round_trip_progress(quiet=False, json=False) as progress:
        progress.waiting(0, 300)
        progress.filtering(1, 1)
        progress.step("receipt", local_id=LONGEST)
        progress.waiting(0, 300)
    last = written[0][written[0].rindex(b"Waiting") :]
    assert b"Filter" not in last
    assert last.count(b"\x1b[1A\x1b[2K") == 1


async def test_check_on_a_terminal(folder: Path, make_simulator: MakeSimulator) -> None:
    """A whole check at forty columns: the wait is shown with its end, then the table alone is left."""
    simulator = await make_simulator(ndoo_reply_delay=timedelta(hours=1))
    desk = Desk(folder, simulator.url)
    desk.write_table()
    terminal = Terminal(columns=40)
    kept = {
        name: value for name, value in os.environ.items() if name not in (*FORCING, "NO_COLOR", "COLUMNS")
    }
    variables = {name: value for name, value in desk.variables.items() if name != "COLUMNS"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ndoo", "check", "patients.csv"),
        cwd=folder,
        env=kept | variables | {"TERM": "xterm-256color"},
        stdin=terminal.slave,
        stdout=terminal.slave,
        stderr=terminal.slave,
    )
    shown = b""
    async with asyncio.timeout(30):
        while not re.search(rb"Waiting.*looking now|Waiting.*next look", shown):
            shown += await asyncio.to_thread(os.read, terminal.master, 65_536)
        assert [each.stage for each in desk.journal.pending()] == [Stage.SENT]
        simulator.clock.advance(timedelta(hours=2))
        await process.wait()
    shown += terminal.close()
    assert process.returncode == 0
    table = COLOUR.sub(b"", shown[shown.rindex(b"\x1b[?25h") :]).decode()
    assert table.count("submitted") == table.count("patients-cleaned.csv") == 1
    assert "Waiting" not in table
    assert max(map(len, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", table).split("\r\n"))) <= 40


# -- the result -------------------------------------------------------------------------------------


def test_quiet_silences_notes_and_tables(capsys: pytest.CaptureFixture[str]) -> None:
    """Asked to be quiet, a command shows neither its table nor what it would say beside it."""
    show_facts([("submitted", 20, "NHS numbers")], quiet=True)
    note("something else", quiet=True)
    assert capsys.readouterr() == ("", "")
    show_facts([("submitted", 20, "NHS numbers")])
    note("something else")
    assert capsys.readouterr() == ("submitted  20  NHS numbers\n", "something else\n")


async def test_letters_a_terminal_lacks_do_not_stop_a_run(desk: Desk) -> None:
    """A file whose name cannot be written in the terminal's encoding is used all the same, and named."""
    desk.write_table("\u0141\u00f3d\u017a.csv")
    desk.write("answer.dat", "9990000018,\n")
    arguments = ("filter", "\u0141\u00f3d\u017a.csv", "--answer", "answer.dat")
    ran = await desk.run(*arguments, PYTHONIOENCODING="cp1252", PYTHONUTF8="0")
    assert (ran.code, ran.err) == (0, "")
    assert "\\u0141" in ran.out


@given(st.dictionaries(st.text(), st.text() | st.integers()))
def test_an_object_for_programs_is_one_line(values: dict[str, str | int]) -> None:
    """Whatever is in it, an object takes one line, so that a file of runs can be read line by line."""
    with pytest.MonkeyPatch.context() as patch:
        out = BytesIO()
        patch.setattr(sys, "stdout", stdout := TextIOWrapper(out, "ascii", write_through=True))
        write_json(values)
        stdout.detach()
    assert out.getvalue().endswith(b"}\n")
    assert len(out.getvalue().splitlines()) == 1
