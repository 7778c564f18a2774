"""``mesh-sim witness start``: told, waited for, judged; by hand, by a command, on a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import shlex
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import COLOURS
from shell import Shell, ended
from stages import MAILBOX, OF_IT, START, collect, md5, send, shake_hands, to_send, watching
from support import OCTET_STREAM, Caller, MakeSimulator, Simulator

from mesh_sim.witness.rehearsal import COUNTERPART, WORKFLOW

CLIENT = shlex.join([sys.executable, str(Path(__file__).with_name("driven_client.py"))])


@pytest.fixture
async def caller(simulator: Simulator) -> Caller:
    """The client that rehearses."""
    return simulator.caller(MAILBOX)


# -- telling, waiting, judging ------------------------------------------------------------------------


async def test_a_case_is_told_and_judged_when_the_client_has_done_it(
    shell: Shell, simulator: Simulator, caller: Caller
) -> None:
    """What to do is said with every fact it needs; the outcome comes by itself, and where to read on."""
    async with watching(simulator) as stages:
        running = asyncio.create_task(shell.run(*START, "--case", "401", "--case", "201", COLUMNS="80"))
        await stages.until("staged", "201")
        await send(caller, to_send("201"))
        await stages.until("staged", "401")
        await collect(caller)
        ran = await running
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("201  ")
    assert lines[0].endswith("  (case 1 of 2)")
    digest = md5(to_send("201"))
    facts = [line.split("  ", 2)[1:] for line in lines if line.startswith("  ")]
    for fact in (
        ["send to", COUNTERPART],
        ["workflow id", WORKFLOW],
        ["file", f"2,000 bytes, MD5 {digest}"],
        ["made by", "mesh-sim witness file 201 FILE"],
    ):
        assert [each.strip() for each in fact] in [[each.strip() for each in found] for found in facts]
    assert "201 passed" in lines
    assert lines[-4:] == [
        "401 passed",
        "",
        "2 cases:  2 passed  0 failed  0 not seen",
        f"Go on with: mesh-sim witness report --mailbox {MAILBOX}",
    ]


async def test_a_broken_rule_is_shown_at_once(shell: Shell, simulator: Simulator, caller: Caller) -> None:
    """Under a case that failed stand what was expected, what was seen instead, and what to fix; exit 1."""
    async with watching(simulator) as stages:
        running = asyncio.create_task(shell.run(*START, "--case", "201", COLUMNS="300"))
        await stages.until("staged", "201")
        await send(caller, b"something else")
        ran = await running
    assert ran.code == 1
    told = ran.out[ran.out.index("201 failed") :].splitlines()
    assert [line.split()[0] for line in told[1:3]] == ["expected", "seen"]
    assert told[3].split()[:2] == ["to", "fix"]
    assert "1 case:  0 passed  1 failed  0 not seen" in told


async def test_each_step_is_told_when_its_turn_comes(
    shell: Shell, simulator: Simulator, caller: Caller
) -> None:
    """A case of two steps says the second once the first is done; programs get an object a line."""
    async with watching(simulator) as stages:
        running = asyncio.create_task(shell.run(*START, "--case", "703", "--json"))
        await stages.until("staged", "703")
        await shake_hands(caller)
        await caller.sent(to="X26WIT02", workflow=WORKFLOW, headers={"Content-Type": OCTET_STREAM})
        await caller.inbox()
        await stages.until("staged", "703")
        await collect(caller)
        ran = await running
    first, second, outcome, summary = map(json.loads, ran.out.splitlines())
    assert [(each["told"], each["mailbox"]) for each in (first, second, outcome, summary)] == [
        ("stage", MAILBOX),
        ("stage", MAILBOX),
        ("outcome", MAILBOX),
        ("summary", MAILBOX),
    ]
    assert [first["step"], second["step"]] == [0, 1]
    assert (first["to"], first["number"], first["of"]) == ("X26WIT02", 1, 1)
    assert (outcome["case"], outcome["outcome"], outcome["breach"]) == ("703", "passed", None)
    assert (summary["passed"], summary["failed"], summary["not_seen"]) == (1, 0, 0)


async def test_what_failed_elsewhere_fails_the_run_too(
    shell: Shell, simulator: Simulator, caller: Caller
) -> None:
    """The exit code is the report's: what broke in the rest of the traffic is named, and is exit 1."""
    async with watching(simulator) as stages:
        running = asyncio.create_task(shell.run(*START, "--case", "401"))
        await stages.until("staged", "401")
        await shake_hands(caller)
        await caller.get("inbox/a-malformed-id")
        await collect(caller)
        ran = await running
    assert ran.code == 1
    assert "1 case:  1 passed  0 failed  0 not seen" in ran.out
    assert "failed besides these:  802" in ran.out


# -- a command that drives the client -----------------------------------------------------------------


async def test_a_command_drives_the_client_through_cases(folder: Path, make_simulator: MakeSimulator) -> None:
    """For each step it learns what to do, and has the file to send; the control API's token it never sees."""
    simulator = await make_simulator(admin_token="a-token-for-tests")
    shell = Shell(folder, simulator.url, {"MESH_SIM_ADMIN_TOKEN": "a-token-for-tests"})
    await shell.run(*START, "--case", "402", "--no-wait")
    cases = ("--case", "201", "--case", "401")
    ran = await shell.run(*START, *cases, "--fresh", "--run", f"{CLIENT} noting notes")
    assert (ran.code, ran.err) == (0, ""), ran
    assert "2 cases:  2 passed  0 failed  0 not seen" in ran.out
    assert "made by" not in ran.out
    assert "line" not in ran.out
    state = (await shell.run("witness", "status", *OF_IT, "--json")).json()
    assert [attempt["case"] for attempt in state["attempts"]] == ["201", "401"]
    environment = json.loads((folder / "notes").read_text())["environment"]
    assert "MESH_SIM_ADMIN_TOKEN" not in environment
    told = {name: value for name, value in environment.items() if name.startswith("WITNESS_")}
    assert told.pop("WITNESS_MESSAGE_ID")
    assert told == {
        "WITNESS_CASE": "401",
        "WITNESS_STEP": "0",
        "WITNESS_ACTION": "collect",
        "WITNESS_MAILBOX": MAILBOX,
        "WITNESS_TO": "",
        "WITNESS_WORKFLOW": WORKFLOW,
        "WITNESS_FILE": "",
        "WITNESS_URL": simulator.url,
    }


async def test_a_command_whose_case_fails_is_heard(shell: Shell, folder: Path) -> None:
    """Exit 1, and the last twenty lines of its output; the file that it had to send is gone."""
    ran = await shell.run(*START, "--case", "201", "--run", f"{CLIENT} careless noting notes")
    assert (ran.code, ran.err) == (1, "")
    told = ran.out[ran.out.index("201 failed") :].splitlines()
    heard = [line.strip() for line in told if line.startswith("    line")]
    assert heard == [f"line {number}" for number in range(10, 30)]
    notes = json.loads((folder / "notes").read_text())
    assert notes["md5"] == md5(to_send("201"))
    assert not Path(notes["environment"]["WITNESS_FILE"]).parent.exists()


async def test_a_command_that_does_nothing_has_not_passed(shell: Shell) -> None:
    """A required case that saw no request is exit 1; the output is there for programs too."""
    ran = await shell.run(*START, "--case", "401", "--run", "echo cannot connect", "--json")
    _, outcome, summary = map(json.loads, ran.out.splitlines())
    assert (ran.code, outcome["outcome"], outcome["output"]) == (1, "not seen", ["cannot connect"])
    assert (summary["not_seen"], summary["required_failed"]) == (1, [])
    assert outcome["exit_status"] == 0


async def test_how_a_command_ended_is_told(shell: Shell) -> None:
    """One that fails without a word is seen to have failed."""
    ran = await shell.run(*START, "--case", "704", "--run", "sh -c 'exit 7'")
    told = ran.out[ran.out.index("704 not seen") :].splitlines()
    assert told[1:3] == [
        "  no request came that this case is about",
        "  the command ended with exit status 7",
    ]


async def test_a_command_that_does_not_end_is_stopped(
    shell: Shell, simulator: Simulator, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 3 in one line; what it started is gone with it, and the case has ended."""
    monkeypatch.setattr("mesh_sim.cli.witness_run._GRACE_S", 0.1)
    with _long_script(folder, "trap '' TERM") as pipe:
        ran = await shell.run(*START, "--case", "701", "--run", "sh long.sh", "--timeout", "0.5s")
        assert await _read(pipe) == b"started\n"
        assert await _read(pipe) == b""
    assert (ran.code, ran.err.count("\n")) == (3, 1)
    assert "case 701: the command had not ended after 0.5s and was stopped" in ran.err
    state = (await shell.run("witness", "status", *OF_IT, "--json")).json()
    assert state["current"] is None
    assert (await simulator.caller(MAILBOX).inbox()) == []


@contextlib.contextmanager
def _long_script(folder: Path, first: str = "") -> Iterator[int]:
    """Write a script that starts another process, and runs for long.

    Gives a pipe that both hold open: it says ``started``, and ends when neither is there any more.
    """
    os.mkfifo(folder / "alive")
    (folder / "long.sh").write_text(f"{first}\nexec 3> alive\nsleep 60 & echo started >&3\nwait\n")
    pipe = os.open(folder / "alive", os.O_RDONLY | os.O_NONBLOCK)  # else it waits for who writes
    os.set_blocking(pipe, True)
    try:
        yield pipe
    finally:
        os.close(pipe)


async def _read(pipe: int) -> bytes:
    async with asyncio.timeout(20):
        return await asyncio.to_thread(os.read, pipe, 100)


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("no-such-command --now", "there is no command 'no-such-command'; give its path"),
        ("plain.txt", "there is no command 'plain.txt'; a program in this folder is './plain.txt'"),
        ("./plain.txt", "'./plain.txt' is not executable; make it so with chmod +x"),
        ("'unbalanced", "No closing quotation"),
        (" ", "an empty text is no command"),
    ],
)
async def test_what_cannot_be_run_is_told_before_anything_is_staged(
    shell: Shell, folder: Path, command: str, text: str
) -> None:
    """Wrong usage in one line, and no rehearsal has begun."""
    (folder / "plain.txt").write_text("no program")
    (await shell.run(*START, "--run", command)).assert_refused(2, text)
    (await shell.run("witness", "status", *OF_IT)).assert_refused(2, "has no rehearsal")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (
            b"\x7fELF is how programs begin",
            "(Exec format error); if it is a script, its first line has",
        ),
        (
            b"#!/no/such/shell\n",
            "(No such file or directory); if it is a script, see whether",
        ),
    ],
)
async def test_what_the_system_does_not_run_puts_the_stage_back(
    shell: Shell, folder: Path, content: bytes, text: str
) -> None:
    """A file that is executable but no program is seen only when it is run."""
    (folder / "odd").write_bytes(content)
    (folder / "odd").chmod(0o755)
    ran = await shell.run(*START, "--case", "701", "--run", "./odd")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert f"'./odd' cannot be run {text}" in ran.err
    assert (await shell.run("witness", "status", *OF_IT, "--json")).json()["current"] is None


# -- ends of another kind -----------------------------------------------------------------------------


async def test_a_client_that_does_not_come_is_not_waited_for_for_ever(shell: Shell) -> None:
    """When the time is up it is exit 3 in one line that says how to go on; the case stays open."""
    ran = await shell.run(*START, "--case", "201", "--timeout", "0.3s")
    assert (ran.code, ran.err.count("\n")) == (3, 1)
    assert "case 201 was not done in 0.3s; it stays open" in ran.err
    assert f"'mesh-sim witness stop --mailbox {MAILBOX}' puts everything back" in ran.err
    state = (await shell.run("witness", "status", *OF_IT, "--json")).json()
    assert state["current"]["case"] == "201"


async def test_a_case_that_is_stopped_elsewhere_is_not_waited_for(
    shell: Shell, simulator: Simulator, caller: Caller
) -> None:
    """Another shell may end the case: it was not seen."""
    async with watching(simulator) as stages:
        running = asyncio.create_task(shell.run(*START, "--case", "701"))
        await stages.until("staged", "701")
        assert (await caller.request("DELETE", f"/admin/witness?mailbox={MAILBOX}")).status == 200
        ran = await running
    assert ran.code == 1
    assert "701 not seen" in ran.out


async def test_a_case_set_up_elsewhere_ends_the_run(
    shell: Shell, simulator: Simulator, caller: Caller
) -> None:
    """Two rehearsals of a mailbox do not take its stage from each other in turn: the earlier one leaves."""
    async with watching(simulator) as stages:
        running = asyncio.create_task(shell.run(*START, "--case", "201", "--case", "401"))
        await stages.until("staged", "201")
        wish = json.dumps({"mailbox": MAILBOX, "case": "402"}).encode()
        assert (await caller.request("POST", "/admin/witness", body=wish)).status == 201
        ran = await running
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert f"case 402 of {MAILBOX} was set up elsewhere, which ended case 201" in ran.err
    state = (await shell.run("witness", "status", *OF_IT, "--json")).json()
    assert state["current"]["case"] == "402"


async def test_a_rehearsal_begun_anew_elsewhere_is_noticed(
    shell: Shell, simulator: Simulator, caller: Caller
) -> None:
    """Whoever waits for a case that the server has forgotten is told so."""
    async with watching(simulator) as stages:
        running = asyncio.create_task(shell.run(*START, "--case", "201"))
        await stages.until("staged", "201")
        wish = json.dumps({"mailbox": MAILBOX, "case": "401", "fresh": True}).encode()
        assert (await caller.request("POST", "/admin/witness", body=wish)).status == 201
        ran = await running
    assert ran.code == 2
    assert f"case 201: the rehearsal of {MAILBOX} was begun anew elsewhere" in ran.err


async def test_ctrl_c_says_which_case_stays_open(shell: Shell, simulator: Simulator, folder: Path) -> None:
    """Exit 130, and how to go on; the command that was driving the client is gone."""
    arguments = (*START, "--case", "201", "--run", "sh long.sh")
    with _long_script(folder) as pipe:
        async with watching(simulator) as stages, shell.running(*arguments) as process:
            await stages.until("staged", "201")
            while await _read(pipe) != b"started\n":  # noqa: ASYNC110 -- nothing tells
                await asyncio.sleep(0.02)
            process.send_signal(signal.SIGINT)
            ran = await ended(process)
        assert await _read(pipe) == b""
    assert ran.code == 130
    assert ran.err.startswith("case 201 stays open: ")
    assert ran.err.count("\n") == 1


# -- a terminal ---------------------------------------------------------------------------------------


class Terminal:
    """A command on a terminal of 80 columns."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.seen = ""

    async def until(self, text: str) -> None:
        """Read on until a text was shown."""
        async with asyncio.timeout(20):
            while text not in self.seen:
                self.seen += COLOURS.sub(
                    "", (await asyncio.to_thread(os.read, self._descriptor, 65_536)).decode()
                )

    def press(self, keys: str) -> None:
        """Type something."""
        os.write(self._descriptor, keys.encode())


@contextlib.asynccontextmanager
async def _on_a_terminal(shell: Shell, *arguments: str) -> AsyncIterator[tuple[Terminal, Any]]:
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "mesh_sim",
        *arguments,
        cwd=shell.folder,
        env=os.environ | shell._environment({"COLUMNS": "80", "TERM": "xterm"}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    try:
        yield Terminal(ours), process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(ours)


async def test_a_person_at_a_terminal_sees_the_waiting_and_goes_on_with_enter(
    shell: Shell, simulator: Simulator, caller: Caller
) -> None:
    """It says what it waits for, and for how long; --pause waits for Enter before the next case."""
    arguments = (*START, "--case", "401", "--case", "701", "--pause")
    async with watching(simulator) as stages, _on_a_terminal(shell, *arguments) as (terminal, process):
        await terminal.until("Waiting for your client 0:00:0")
        await collect(caller)
        await terminal.until("401 passed")
        await terminal.until("Enter goes on to the next case")
        assert "701" not in terminal.seen
        terminal.press("\n")
        await stages.until("staged", "701")
        assert (await caller.get("inbox")).status == 403
        await terminal.until("Done; watching on for a moment")
        process.send_signal(signal.SIGINT)
        await terminal.until("case 701 stays open")
        assert await process.wait() == 130
