"""``mesh-sim reset`` and ``mesh-sim metrics``."""

from __future__ import annotations

import asyncio
import os
import pty
import sys

import pytest
from shell import Shell
from support import Simulator


async def _there(shell: Shell) -> int:
    return len((await shell.run("message", "list", "--json")).json()["messages"])


async def test_a_reset_forgets_every_message(shell: Shell) -> None:
    """All messages are gone; opt-outs, faults and the clock stay."""
    await shell.run("message", "put", "X26ABC2", "--count", "3")
    await shell.run("clock", "advance", "1d")
    await shell.run("faults", "add", "send", "reset")
    assert (await shell.run("reset", "--yes")).out == "all mailboxes reset\n"
    assert await _there(shell) == 0
    assert (await shell.run("clock", "show", "--json")).json()["offset_s"] == 86400
    assert len((await shell.run("faults", "list", "--json")).json()["faults"]) == 1


async def test_a_reset_of_everything(shell: Shell, simulator: Simulator) -> None:
    """--everything takes opt-outs, faults, the journal and the clock along."""
    await simulator.caller().sent()
    await shell.run("clock", "advance", "1d")
    await shell.run("faults", "add", "send", "reset")
    await shell.run("optouts", "add", "9990000018")
    assert (await shell.run("reset", "--everything", "--yes")).code == 0
    assert await _there(shell) == 0
    assert (await shell.run("clock", "show", "--json")).json()["offset_s"] == 0
    assert (await shell.run("faults", "list", "--json")).json()["faults"] == []
    assert (await shell.run("optouts", "statistics", "--json")).json()["opted_out"] == 0
    assert (await shell.run("journal", "--json")).json()["entries"] == []


async def test_one_mailbox_is_reset(shell: Shell) -> None:
    """Its inbox is empty; what others hold, they keep."""
    await shell.run("message", "put", "X26ABC2")
    await shell.run("message", "put", "X26ABC3")
    assert "X26ABC2" in (await shell.run("reset", "x26abc2", "--yes", "--json")).json()["message"]
    rows = {row[0]: row[-1] for row in (await shell.run("mailbox", "list")).rows()}
    assert (rows["X26ABC2"], rows["X26ABC3"]) == ("0", "1")


@pytest.mark.parametrize(("answer", "code", "left"), [(b"n\n", 1, 1), (b"y\n", 0, 0)])
async def test_on_a_terminal_it_is_asked_first(shell: Shell, answer: bytes, code: int, left: int) -> None:
    """A reset is confirmed; no is no, and nothing is done."""
    await shell.run("message", "put", "X26ABC2")
    ours, theirs = pty.openpty()
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "mesh_sim", "reset",
            cwd=shell.folder,
            env={"PATH": os.environ["PATH"], "MESH_SIM_PORT": shell.url.rpartition(":")[2], "TERM": "dumb"},
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        )  # fmt: skip
        shown = b""
        async with asyncio.timeout(30):
            while b"[y/N]" not in shown:
                shown += await asyncio.to_thread(os.read, ours, 1024)
            os.write(ours, answer)
            assert await process.wait() == code
    finally:
        os.close(theirs)
        os.close(ours)
    assert b"Forget every message" in shown
    assert await _there(shell) == left


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--everything"], "this needs --yes"),
        (["X26NONE", "--yes"], "there is no mailbox X26NONE; 'mesh-sim mailbox list' shows"),
        (["X26ABC2", "--everything", "--yes"], "leave one of the two out"),
        (["", "--yes"], "an empty text names nothing"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
async def test_a_reset_that_cannot_be_meant_forgets_nothing(
    shell: Shell, arguments: list[str], text: str
) -> None:
    """Without --yes where nobody can be asked, or of a mailbox that does not exist, nothing happens."""
    await shell.run("message", "put", "X26ABC2")
    (await shell.run("reset", *arguments)).assert_refused(2, text)
    assert await _there(shell) == 1


async def test_metrics_are_printed_as_prometheus_reads_them(shell: Shell, simulator: Simulator) -> None:
    """The text is that of /metrics; --json has the same samples."""
    await simulator.caller().sent()
    text = (await shell.run("metrics")).out
    assert 'mesh_sim_requests_total{operation="send",status="202"} 1.0' in text
    samples = (await shell.run("metrics", "--json")).json()["metrics"]
    assert {
        "name": "mesh_sim_requests_total",
        "labels": {"operation": "send", "status": "202"},
        "value": 1.0,
    } in samples
