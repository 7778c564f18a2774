"""The log of a run: what it tells, how it is kept, and what never gets into it."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from controls import control
from desks import NUMBERS, OPTED_OUT, Desk, Ran
from hypothesis import given
from hypothesis import strategies as st
from support import MESSAGE_ID, MakeSimulator

from ndoo.cli.boundary import ExitCode
from ndoo.cli.log import Context, Level, RunLog
from ndoo.cli.show import mask

PASSWORD = "hush-Passwort-17"
SHARED_KEY = "hush-Schluessel-18"
BAD = ["9990000000", "999000001", "99900000X8"]
"""Not NHS numbers, but near enough to somebody's to be kept to oneself."""

LINE = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (debug|info|warning|error) (\S+) ([a-z ]+|-): (.+)", re.ASCII
)


def writings(number: str) -> set[str]:
    """All the ways to write a number that the tests look for."""
    parts = (number[:3], number[3:6], number[6:])
    return {gap.join(parts) for gap in ("", " ", "-", "\u00a0", "\u2011", ".", "  ")}


def lines_of(path: Path) -> list[tuple[str, str, str, str]]:
    """Read a log; every line of it must be one."""
    found = [LINE.fullmatch(line) for line in path.read_text().splitlines()]
    assert None not in found
    return [match.groups() for match in found if match is not None]  # type: ignore[misc]


# -- what it tells ----------------------------------------------------------------------------------


async def test_a_run_is_told_step_by_step(folder: Path, make_simulator: MakeSimulator) -> None:
    """The log has the run's beginning, steps, requests and exit code, one line each, and is private."""
    simulator = await make_simulator()
    desk = Desk(folder, simulator.url)
    desk.write_table()
    ran = await desk.run("--log", "ndoo.log", "check", "patients.csv", "--quiet")
    assert ran == Ran(0, "", "")
    log = folder / "ndoo.log"
    assert log.stat().st_mode & 0o777 == 0o600
    lines = lines_of(log)
    assert {level for level, *_ in lines} == {"info"}
    assert [mailbox for _, mailbox, *_ in lines] == ["-", *["X99GP001"] * (len(lines) - 1)]
    assert {command for _, _, command, _ in lines} == {"check"}
    said = [what for *_, what in lines]
    assert said[0].startswith("begins version=")
    assert re.fullmatch(r"ends exit_code=0 seconds=\d+\.\d+", said[-1])
    assert any(re.fullmatch(r"POST to send a message to X26HC065: 202 in \d+\.\d+ s", what) for what in said)
    (local_id,) = {match[1] for what in said if (match := re.search(r"local_id=(\S+)", what))}
    assert re.fullmatch(r"X99GP001-\d{6}-0001", local_id)
    assert MESSAGE_ID.search(" ".join(said))

    failed = await desk.run("--log", "ndoo.log", "check", "patients.csv", "--quiet")
    assert (failed.code, failed.out) == (ExitCode.FAILED, "")
    more = lines_of(log)
    assert more[: len(lines)] == lines
    assert [level for level, *_ in more[len(lines) :]] == ["info", "error", "info"]
    assert more[-2][3].startswith(failed.err.removeprefix("ndoo: ").strip())
    assert more[-2][3].endswith("error=OutputExists")
    assert more[-1][3].startswith("ends exit_code=1 ")


def test_with_json_each_line_is_an_object(shared_desk: Desk) -> None:
    """A program reads the log as it reads the result; what differs from run to run has its own names."""
    ran = shared_desk.run_here("--log", "ndoo.jsonl", "mailbox", "count", "--json")
    assert ran.code == 0
    lines = [json.loads(line) for line in (shared_desk.folder / "ndoo.jsonl").read_text().splitlines()]
    assert all(list(line)[:5] == ["time", "level", "mailbox", "command", "what"] for line in lines)
    assert [line["what"] for line in lines][0::2] == ["begins", "ends"]
    assert (lines[-1]["exit_code"], lines[-1]["mailbox"], lines[-1]["command"]) == (
        0,
        "X99GP001",
        "mailbox count",
    )


def test_debug_tells_more(shared_desk: Desk) -> None:
    """At level debug other packages are heard too, and nothing of info is missing."""
    for level in ("info", "debug"):
        assert (
            shared_desk.run_here("--log", f"{level}.log", "--log-level", level, "mailbox", "count").code == 0
        )
    info, debug = (lines_of(shared_desk.folder / f"{level}.log") for level in ("info", "debug"))
    assert {level for level, *_ in debug} == {"info", "debug"}
    assert [len(info), "python" in debug[1][3]] == [sum(level == "info" for level, *_ in debug), True]


@pytest.mark.parametrize("path", [".", "missing/ndoo.log"])
def test_a_log_that_cannot_be_kept_is_wrong_usage(desk: Desk, path: str) -> None:
    """Before anything is done the run ends with exit 2 and says which file, why, and what to do."""
    desk.write_table()
    ran = desk.run_here("--log", path, "check", "patients.csv")
    assert (ran.code, ran.out, ran.err.count("\n")) == (ExitCode.USAGE, "", 1)
    assert ran.err.startswith(f"ndoo: {path}: the log cannot be written: ")
    assert "--log" in ran.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_stops_the_log_only(shared_desk: Desk) -> None:
    """Where there is no space for the log the run goes on, and that the log is incomplete is said once."""
    ran = shared_desk.run_here("--log", "/dev/full", "mailbox", "handshake")
    assert ran.code == 0
    assert ran.err == "/dev/full: the log is not complete: No space left on device\n"


def test_the_log_goes_before_the_command(desk: Desk) -> None:
    """Given after the command, where it is not known, --log is explained."""
    ran = desk.run_here("check", "patients.csv", "--log", "x.log")
    assert (ran.code, ran.err.count("\n")) == (ExitCode.USAGE, 1)
    assert "--log goes before the command" in ran.err


def test_loggers_are_left_as_they_were(tmp_path: Path) -> None:
    """When a log is closed, what others record goes where it went before."""
    root = logging.getLogger()
    before = (root.level, list(root.handlers), logging.getLogger("ndoo._transport").level)
    log = RunLog(tmp_path / "x.log", Level.DEBUG, Context(), as_json=False)
    assert root.level == logging.DEBUG
    log.close()
    assert (root.level, root.handlers, logging.getLogger("ndoo._transport").level) == before


# -- what never gets into it ------------------------------------------------------------------------


async def test_no_number_and_no_secret_gets_out(
    tmp_path: Path, folder: Path, make_simulator: MakeSimulator
) -> None:
    """Through every way a run can end, log at level debug, output and errors hold no number and no secret."""
    mailboxes = tmp_path / "mailboxes.jsonl"
    mailboxes.write_text(
        "".join(
            json.dumps({"mailbox_id": mailbox, "mailbox_name": mailbox, "password": PASSWORD}) + "\n"
            for mailbox in ("X99GP001", "X26HC065")
        )
    )
    simulator = await make_simulator(
        shared_key=SHARED_KEY, mailboxes=mailboxes, ndoo_reply_delay=timedelta(hours=1)
    )
    await simulator.server.core.register.opt_out(OPTED_OUT)
    desk = Desk(folder, simulator.url)
    desk.variables |= {"NDOO_PASSWORD": PASSWORD, "NDOO_SHARED_KEY": SHARED_KEY}
    written = [("{}", "{:3.3} {:.3} {}", "{}-{}-{}")[index % 3] for index in range(len(NUMBERS))]
    digits = [f"{number:010d}" for number in NUMBERS]
    desk.write_table(
        numbers=[
            form.format(*((one,) if form == "{}" else (one[:3], one[3:6], one[6:])))
            for form, one in zip(written, digits, strict=True)
        ]
    )
    desk.write_table("bad.csv", [*digits, *BAD])
    desk.write("answer.dat", "".join(f"{number},\n" for number in NUMBERS[1:]))
    ran: list[Ran] = []

    async def run(*arguments: str, code: int, log: str = "ndoo.log", **variables: str) -> Ran:
        ended = await desk.run("--log", log, "--log-level", "debug", "--debug", *arguments, **variables)
        assert ended.code == code, ended
        ran.append(ended)
        return ended

    async def fault(operation: str, action: str) -> None:
        rule = {"operation": operation, "action": action, "times": 1}
        assert (await control(simulator.url, "POST", "/admin/faults", rule)).status < 300

    check = ("check", "patients.csv", "--timeout", "0")
    # Refused, broken off, invalid.
    await run(*check, "-o", "a.csv", code=ExitCode.FAILED, NDOO_PASSWORD="hush-other-19")
    await run(*check, "-o", "a.csv", code=ExitCode.FAILED, NDOO_SHARED_KEY="hush-other-19")
    await run("check", "bad.csv", code=ExitCode.FAILED)
    await run("numbers", "validate", "bad.csv", code=ExitCode.FAILED)
    await fault("send", "lose-response")
    await run(*check, "-o", "a.csv", code=ExitCode.NOT_YET)
    # An answer that cannot be read.
    pending = await run("pending", "--json", code=0, log="ndoo.jsonl")
    local_id = pending.json()["pending"][0]["local_id"]
    answer = {
        "to": "X99GP001",
        "from": "X26HC065",
        "workflow_id": "SPINE_NTT_UPHOLDING",
        "body": f"{digits[0]},\nMrs Example 999 000 0026\n",
        "local_id": local_id,
        "subject": "NDOO_CHECK",
        "file_name": f"{local_id}.dat",
    }
    assert (await control(simulator.url, "POST", "/admin/messages", answer)).status < 300
    await run("collect", local_id, code=ExitCode.FAILED)
    # What works.
    await run(*check, "-o", "b.csv", "--json", code=ExitCode.NOT_YET, log="ndoo.jsonl")
    simulator.clock.advance(timedelta(hours=2))
    await fault("download", "truncate")
    second = json.loads(ran[-1].out)["error"]["local_id"]
    await run("collect", second, "--timeout", "30s", code=0)
    await run("filter", "patients.csv", "--answer", "answer.dat", code=0)

    log = "".join((folder / name).read_text() for name in ("ndoo.log", "ndoo.jsonl"))
    assert {"check", "collect", "filter"} <= {command for _, _, command, _ in lines_of(folder / "ndoo.log")}
    assert second in log
    everything = "\n".join([log, *(each.out + each.err for each in ran)])
    assert "Traceback" not in everything
    assert "*****" not in everything, "something was masked that should not have been recorded"
    found = [
        text
        for number in {*digits, *BAD, "9990000026", f"{OPTED_OUT:010d}"}
        for text in writings(number)
        if text in everything
    ]
    assert found == []
    for secret in (PASSWORD, SHARED_KEY, "hush", "NHSMESH", "Mrs Example"):
        assert secret not in everything, secret
    assert not re.search(r"[0-9a-f]{40}", everything)


def test_what_a_defect_says_is_masked(tmp_path: Path) -> None:
    """A traceback asked for with --debug, and the log, say where it happened and hold no number or token."""
    program = (
        "import typer\n"
        "from ndoo.cli.boundary import App, Boundary\n"
        "app = App(cls=Boundary, pretty_exceptions_enable=False)\n"
        "@app.callback()\n"
        "def root(ctx: typer.Context) -> None:\n"
        "    ctx.obj.debug = True\n"
        "    from pathlib import Path\n"
        "    from ndoo.cli.log import Level\n"
        "    ctx.obj.open_log(Path('ndoo.log'), Level.DEBUG)\n"
        "@app.command()\n"
        "def fail() -> None:\n"
        "    raise RuntimeError('about 999 000 0018, 9990000018 and NHSMESH X26:aa:1:bb')\n"
        "app()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, "fail"], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert ran.returncode == ExitCode.FAILED
    assert "Traceback" in ran.stderr
    log = (tmp_path / "ndoo.log").read_text()
    assert "this is a bug in ndoo (RuntimeError)" in log
    assert "at=" in log
    for text in (ran.stderr, log):
        assert not re.search(r"0018|X26:aa", text)


async def test_what_other_packages_record_is_masked(tmp_path: Path) -> None:
    """An error that asyncio reports of a lost task is a line that says where, not what."""
    log = RunLog(tmp_path / "x.log", Level.INFO, Context("check", "X99GP001"), as_json=False)
    try:
        error = ValueError("9990000018 of Mrs Example")
        asyncio.get_running_loop().call_exception_handler(
            {"message": "Task about 999-000-0018\nwas lost", "exception": error}
        )
    finally:
        log.close()
    ((level, _, _, what),) = lines_of(tmp_path / "x.log")
    assert level == "error"
    assert what.startswith("Task about ********** was lost")
    assert "error=ValueError" in what
    assert "Example" not in what


_GAPS = st.sampled_from(["", " ", "-", "\u00a0", "\u2011", "\u2009"])


@given(st.integers(0, 10**10 - 1), _GAPS, st.sampled_from(["", "x", "'", "(", ":", "="]))
def test_numbers_are_masked_however_they_are_written(number: int, gap: str, before: str) -> None:
    """Ten digits are masked wherever they stand, in a row or as people write them."""
    digits = f"{number:010d}"
    written = gap.join((digits[:3], digits[3:6], digits[6:]))
    assert mask(f"row {before}{written}, next") == f"row {before}**********, next"


@given(st.integers(0, 10**20 - 1), st.integers(0, 0xFFFFFF), st.integers(0, 999_999), st.integers(0, 9999))
def test_ids_stay_readable(stamp: int, suffix: int, day: int, count: int) -> None:
    """Message ids and local ids are what a log is searched for."""
    line = f"message_id={stamp:020d}_{suffix:06X} local_id=X99GP001-{day:06d}-{count:04d}"
    assert mask(line) == line
