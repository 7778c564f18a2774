"""One run at a time on a mailbox: the second is told who holds it, and nobody is kept out for ever."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import stat
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from desks import Desk
from support import MakeSimulator

from ndoo._lock import hold_mailbox
from ndoo.cli.boundary import ExitCode
from ndoo.errors import ConfigError, MailboxBusy
from ndoo.journal import Stage


def hold(folder: Path, told: Connection) -> None:
    """Hold the mailbox until killed."""
    with hold_mailbox(folder, "X26ABC1", "ndoo check"):
        told.send(os.getpid())
        signal.pause()


@pytest.fixture
def holder(tmp_path: Path) -> multiprocessing.Process:
    """Another process, which holds the mailbox."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=hold, args=(tmp_path, there), daemon=True)
    process.start()
    assert here.poll(20)
    assert here.recv() == process.pid
    return process  # type: ignore[return-value] -- the context's class is another one


def test_the_second_is_told_who_is_first_until_that_is_gone(
    tmp_path: Path, holder: multiprocessing.Process
) -> None:
    """The error names command and process; a process that is killed lets go."""
    with (
        pytest.raises(MailboxBusy, match=rf"in use by 'ndoo check' \(process {holder.pid}, since ") as raised,
        hold_mailbox(tmp_path, "X26ABC1", "ndoo collect"),
    ):
        pass
    assert raised.value.mailbox == "X26ABC1"
    with hold_mailbox(tmp_path, "X26ABC2", ""):  # another mailbox is free
        pass
    holder.kill()
    holder.join()
    with hold_mailbox(tmp_path, "X26ABC1", "ndoo collect"):
        pass


def test_a_holder_that_cannot_be_read_is_another_run(tmp_path: Path, holder: multiprocessing.Process) -> None:
    """Whatever stands where the holder signs, the mailbox is just as taken."""
    (sign,) = tmp_path.glob("*.holder")
    for content in (b"", b"[1]", b'{"process": "x"}', b"\xff"):
        sign.write_bytes(content)
        with (
            pytest.raises(MailboxBusy, match="in use by another run of ndoo"),
            hold_mailbox(tmp_path, "X26ABC1", ""),
        ):
            pass
    holder.kill()
    holder.join()


def test_its_files_are_private_and_the_sign_goes(tmp_path: Path) -> None:
    """Nobody else reads the folder, and a run that has ended has left no sign."""
    folder = tmp_path / "data"
    with hold_mailbox(folder, "X26ABC1", "ndoo check"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert [path.suffix for path in sorted(folder.iterdir())] == [".holder", ".lock"]
    assert [path.suffix for path in folder.iterdir()] == [".lock"]


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    """Where no lock can be made the error names the folder."""
    (tmp_path / "data").write_text("a file")
    with pytest.raises(ConfigError, match="data"), hold_mailbox(tmp_path / "data", "X26ABC1", ""):
        pass


@pytest.mark.parametrize(
    "second",
    [("check", "patients.csv", "-o", "b.csv"), ("submit", "patients.csv", "-o", "c.csv"), ("collect",)],
)
async def test_two_runs_never_overlap(
    folder: Path, make_simulator: MakeSimulator, second: tuple[str, ...]
) -> None:
    """While a check waits, the next command is exit 3, names it, and does nothing; then it works."""
    simulator = await make_simulator(ndoo_reply_delay=timedelta(hours=1))
    desk = Desk(folder, simulator.url)
    desk.write_table()
    check = desk.running("check", "patients.csv", "-o", "a.csv", "--timeout", "10m")
    async with check as first, asyncio.timeout(30):
        while not any(each.stage is Stage.SENT for each in await asyncio.to_thread(desk.journal.pending)):
            assert first.returncode is None
        ran = await desk.run(*second)
        assert (ran.code, ran.out) == (ExitCode.NOT_YET, "")
        assert f"in use by 'ndoo check' (process {first.pid}, since " in ran.err
        assert ran.err.count("\n") == 1
        assert len(desk.journal.pending()) == 1
        simulator.clock.advance(timedelta(hours=2))
        assert await first.wait() == 0
