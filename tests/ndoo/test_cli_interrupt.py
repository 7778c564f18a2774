"""Ctrl-C, at any moment and more than once: the command cleans up, says one line, and leaves."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import pytest
import typer
from desks import Desk, ended
from support import MakeSimulator

from ndoo.cli.boundary import App, Boundary, ExitCode
from ndoo.cli.running import STOPPING, run, stoppable
from ndoo.journal import Stage


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """What a stopped command leaves behind, signals that are ignored, ends with the test."""
    before = {number: signal.getsignal(number) for number in STOPPING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


# -- a coroutine ------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_coroutine_cleans_up_however_often_it_is_stopped(number: signal.Signals) -> None:
    """The first signal cancels, those that follow do not break the cleaning up, then it is an interrupt."""
    done: list[str] = []

    async def work() -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            signal.raise_signal(number)
            # Amid a step nothing is cancelled: the loop's bookkeeping is not to be broken into.
            done.append("told" if task.cancelling() == 0 else "cancelled at once")
            await asyncio.sleep(60)
        finally:
            for again in (signal.SIGINT, number):
                signal.raise_signal(again)
                await asyncio.sleep(0)
            await asyncio.to_thread(time.sleep, 0.01)
            done.append("cleaned up")

    with stoppable(), pytest.raises(KeyboardInterrupt):
        run(work())
    assert done == ["told", "cleaned up"]


def test_what_comes_to_an_end_is_not_stopped() -> None:
    """A coroutine gives its result, and raises what it raises; signals do what they did before."""
    before = signal.getsignal(signal.SIGINT)

    async def fail() -> NoReturn:
        raise LookupError

    assert run(asyncio.sleep(0, "result")) == "result"
    with pytest.raises(LookupError):
        run(fail())
    assert signal.getsignal(signal.SIGINT) is before


def test_a_cancellation_of_its_own_is_no_interrupt() -> None:
    """A coroutine that ends as cancelled without a signal is not taken for stopped."""

    async def cancelled() -> NoReturn:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        run(cancelled())


def test_stopped_before_it_begins_it_does_not_begin() -> None:
    """A signal between the call and the first step is not lost, and the coroutine is not left dangling."""

    async def work() -> None:
        raise AssertionError

    class Policy(asyncio.DefaultEventLoopPolicy):
        def new_event_loop(self) -> asyncio.AbstractEventLoop:
            signal.raise_signal(signal.SIGINT)
            return super().new_event_loop()

    asyncio.set_event_loop_policy(Policy())
    try:
        with stoppable(), pytest.raises(KeyboardInterrupt):
            run(work())
    finally:
        asyncio.set_event_loop_policy(None)


def test_in_another_thread_there_are_no_signals() -> None:
    """A coroutine runs in any thread; only the main one may say what signals do."""
    found: list[str] = []

    def work() -> None:
        with stoppable():
            found.append(run(asyncio.sleep(0, "result")))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == ["result"]


def test_a_signal_at_any_moment_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Wherever the event loop is when it is hit, it reports no error of its own and is closed in order."""
    main = threading.get_ident()

    async def work(timer: threading.Timer) -> None:
        loop = asyncio.get_running_loop()
        timer.start()  # not before: what comes earlier would hit the test and not what it tests
        while True:  # futures that are made, and made known to be done by other threads, all the time
            await asyncio.gather(*(loop.run_in_executor(None, int) for _ in range(3)))

    for trial in range(30):
        timer = threading.Timer(0.002 + trial * 0.0007, signal.pthread_kill, (main, signal.SIGINT))
        with pytest.raises(KeyboardInterrupt), stoppable():
            run(work(timer))
        timer.join()
        for number in STOPPING:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    assert caplog.records == []


# -- a command --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_second_of_two_signals_breaks_no_cleaning_up(number: signal.Signals) -> None:
    """Where no event loop runs, too, the first signal interrupts and the second changes nothing."""
    done: list[str] = []

    def work() -> None:
        try:
            signal.raise_signal(number)
        finally:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
            done.append("cleaned up")

    with pytest.raises(KeyboardInterrupt), stoppable():
        work()
    assert done == ["cleaned up"]


def test_what_is_ignored_stays_ignored() -> None:
    """A command under nohup(1), or in the background of a script, is not stopped by what it must not see."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with stoppable():
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGINT)

        async def work() -> str:
            signal.raise_signal(signal.SIGINT)
            await asyncio.sleep(0)
            return "result"

        assert run(work()) == "result"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_ctrl_c_while_options_are_read_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before there is a command that could be told of it, Ctrl-C ends it in the same words."""
    app = App(cls=Boundary)

    @app.command()
    def work() -> None:
        raise AssertionError

    @app.callback()
    def root() -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(sys, "argv", ["ndoo", "work"])
    with pytest.raises(SystemExit) as left:
        app()
    assert (left.value.code, *capsys.readouterr()) == (ExitCode.INTERRUPTED, "", "ndoo: interrupted\n")

    def interrupted(_app: typer.Typer) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr("typer.main.get_command", interrupted)
    with pytest.raises(SystemExit) as left:
        app()
    assert (left.value.code, *capsys.readouterr()) == (ExitCode.INTERRUPTED, "", "ndoo: interrupted\n")


async def test_a_burst_of_ctrl_c_is_one_line(folder: Path, make_simulator: MakeSimulator) -> None:
    """An impatient user gets one line, the list stays pending, and nothing is left in the folder."""
    simulator = await make_simulator(ndoo_reply_delay=timedelta(hours=1))
    desk = Desk(folder, simulator.url)
    desk.write_table()
    async with desk.running("check", "patients.csv", "--timeout", "10m") as process, asyncio.timeout(30):
        while not any(each.stage is Stage.SENT for each in await asyncio.to_thread(desk.journal.pending)):
            assert process.returncode is None
        for _ in range(5):
            process.send_signal(signal.SIGINT)
            await asyncio.sleep(0.003)
        ran = await ended(process)
    # Python gives the signals back at its very end, and whoever is hit there has nothing more to do.
    assert ran.code in (ExitCode.INTERRUPTED, -signal.SIGINT)
    assert (ran.out, ran.err.count("\n")) == ("", 1)
    assert ran.err.startswith("ndoo: interrupted; ")
    assert desk.files() == {"patients.csv"}


def test_interrupted_where_it_starts_the_command_says_so(desk: Desk) -> None:
    """From the moment its own code runs, no Ctrl-C shows where in Python it hit."""
    # Interrupted at the import of ever later modules, which a clock could not be set to.
    program = (
        "import sys\n"
        "interrupted, *sys.argv[1:] = sys.argv[1:]\n"
        "class Interrupting:\n"
        "    def find_spec(name, *_):\n"
        "        if name == interrupted:\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupting)\n"
        "from ndoo.cli import app\n"
        "app()\n"
    )
    environment = {**os.environ, **desk.variables}
    for module in ("ndoo.cli.checking", "ndoo.config"):
        ran = subprocess.run(
            [sys.executable, "-c", program, module, "mailbox", "count"],
            capture_output=True,
            text=True,
            cwd=desk.folder,
            env=environment,
            check=False,
        )
        assert (ran.returncode, ran.stdout, ran.stderr) == (130, "", "ndoo: interrupted\n"), module
