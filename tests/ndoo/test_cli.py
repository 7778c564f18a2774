"""The ``ndoo`` command, as its user types it: against a real simulator, and on files alone."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gzip
import os
import re
import signal
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer
from desks import NUMBERS, OPTED_OUT, Desk, Ran, ended, facts
from hypothesis import given
from hypothesis import strategies as st
from processes import NOWHERE
from support import MakeSimulator, Simulator
from typer.testing import CliRunner

from mesh_sim.certs import make_certificates
from mesh_sim.config import Tls
from ndoo import errors
from ndoo.cache import CacheHeader, TemporaryCache
from ndoo.cli.boundary import Boundary, ExitCode, exit_code
from ndoo.cli.options import Rule, default_output, parse_duration
from ndoo.cli.show import printable, span
from ndoo.config import Settings
from ndoo.journal import Stage
from ndoo.lists import NumberRule, format_records, generate

COMMANDS = [
    "",
    "check",
    "submit",
    "collect",
    "pending",
    "filter",
    "applies",
    "init",
    "doctor",
    "cache",
    "cache refresh",
    "cache status",
    "cache purge",
    "mailbox",
    "mailbox handshake",
    "mailbox list",
    "mailbox count",
    "mailbox read",
    "mailbox collect",
    "mailbox send",
    "mailbox track",
    "mailbox lookup",
    "numbers",
    "numbers validate",
    "numbers generate",
]

# -- the round trip ---------------------------------------------------------------------------------


async def test_check_takes_the_opted_out_rows_from_a_table(connected: Desk, simulator: Simulator) -> None:
    """The CSV comes back without the row of who opted out, and the numbers that matter are shown."""
    await simulator.server.core.register.opt_out(OPTED_OUT)
    source = connected.write_table(numbers=[*NUMBERS, ""])
    ran = await connected.run("check", "patients.csv")
    assert (ran.code, ran.err) == (0, "")
    kept = [
        line for line in source.read_text().splitlines() if line[-10:] != str(OPTED_OUT) and line[-1] != ","
    ]
    assert (connected.folder / "patients-cleaned.csv").read_text().splitlines() == kept
    shown = facts(ran.out)
    assert shown["submitted"].split() == ["20", "NHS", "numbers"]
    assert [shown[name].split()[0] for name in ("removed", "kept", "blank")] == ["1", "19", "1"]
    assert shown["written"] == "patients-cleaned.csv"
    assert "\x1b" not in ran.out
    assert not re.search(r"\d{10}", ran.out + ran.err)


async def test_a_cache_is_made_looked_at_and_used(connected: Desk, simulator: Simulator) -> None:
    """Check --cache, cache status and filter --cache work together, for programs as well."""
    await simulator.server.core.register.opt_out(OPTED_OUT)
    connected.write_table()
    made = await connected.run("check", "patients.csv", "--cache", "--json")
    assert (made.code, made.err) == (0, "")
    fields = made.json()
    assert (fields["submitted"], fields["removed"], fields["kept"], fields["form"]) == (20, 1, 19, "cache")
    assert fields["output"] == str(connected.folder / "patients.cache")
    left = datetime.fromisoformat(fields["cache_expires"]) - datetime.now(UTC)
    assert timedelta(days=20) < left <= timedelta(days=21)

    status = connected.run_here("cache", "status", "patients.cache", "--json").json()
    assert (status["expired"], status["verified"], status["records"]) == (False, True, 19)
    assert status["local_id"] == fields["local_id"]

    used = connected.run_here(
        "filter", "patients.csv", "--cache", "patients.cache", "-o", "used.csv", "--json"
    )
    assert used.json() == {
        "rows": 20,
        "kept": 19,
        "removed": 1,
        "blank": 0,
        "invalid": 0,
        "type_1": 0,
        "both": 0,
        "repaired": 0,
        "repairable": 0,
        "national": True,
        "output": "used.csv",
    }
    assert str(OPTED_OUT) not in (connected.folder / "used.csv").read_text()


async def test_no_answer_yet_is_exit_3_and_collected_later(
    folder: Path, make_simulator: MakeSimulator
) -> None:
    """A wait that ends too soon loses nothing: the list is pending, and collect fetches the answer."""
    simulator = await make_simulator(ndoo_reply_delay=timedelta(hours=1))
    desk = Desk(folder, simulator.url)
    desk.write_table()
    waited = await desk.run("check", "patients.csv", "--timeout", "0", "--json")
    assert waited.code == ExitCode.NOT_YET
    error = waited.json()["error"]
    assert (error["kind"], error["message"]) == ("AnswerPending", waited.err.removeprefix("ndoo: ").strip())
    assert "ndoo collect" in error["message"]

    (submission,) = desk.run_here("pending", "--json").json()["pending"]
    assert (submission["local_id"], submission["stage"]) == (error["local_id"], Stage.SENT)
    table = desk.run_here("pending").out
    assert error["local_id"] in table
    assert max(map(len, table.splitlines())) <= 80

    early = await desk.run("collect")
    assert (early.code, early.out) == (ExitCode.NOT_YET, "")
    simulator.clock.advance(timedelta(hours=2))
    later = await desk.run("collect", error["local_id"], "--timeout", "30s", "--json")
    assert later.code == 0, later.err
    assert [each["kept"] for each in later.json()["collected"]] == [20]
    assert (folder / "patients-cleaned.csv").read_bytes() == (folder / "patients.csv").read_bytes()
    nothing = desk.run_here("collect", "--json")
    assert (nothing.code, nothing.json()) == (0, {"collected": [], "pending": [], "failed": []})


async def test_ctrl_c_leaves_a_submitted_list_to_collect(folder: Path, make_simulator: MakeSimulator) -> None:
    """Interrupted while it waits, check ends with 130, says what to do, and leaves the list pending."""
    simulator = await make_simulator(ndoo_reply_delay=timedelta(hours=1))
    desk = Desk(folder, simulator.url)
    desk.write_table()
    async with desk.running("check", "patients.csv", "--timeout", "10m") as process, asyncio.timeout(30):
        while not any(each.stage is Stage.SENT for each in await asyncio.to_thread(desk.journal.pending)):
            assert process.returncode is None
        process.send_signal(signal.SIGINT)
        ran = await ended(process)
    assert (ran.code, ran.out) == (ExitCode.INTERRUPTED, "")
    assert ran.err.startswith("ndoo: interrupted; ")
    assert "'ndoo collect'" in ran.err
    assert len(desk.journal.pending()) == 1
    assert desk.files() == {"patients.csv"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    "arguments",
    [("numbers", "generate", "--count", "500000000", "made-up.dat"), ("check", "long.dat")],
    ids=["writing", "sending"],
)
async def test_a_stopped_command_leaves_no_numbers_behind(
    desk: Desk, tmp_path: Path, arguments: tuple[str, ...], number: signal.Signals
) -> None:
    """Told to end, or its terminal closed, a command removes its temporary files as with Ctrl-C."""
    desk.write("long.dat", b"".join(map(format_records, generate(2_000_000, seed=3))))
    temporary = tmp_path / "temporary"
    temporary.mkdir()

    def parts() -> list[Path]:
        folders = (desk.folder, temporary, desk.folder / "journal/journal-lists")
        return [path for folder in folders for path in folder.glob(".ndoo-*")]

    def begun() -> bool:
        with contextlib.suppress(FileNotFoundError):
            return any(path.stat().st_size for path in parts())
        return False

    async with desk.running(*arguments, TMPDIR=str(temporary)) as process, asyncio.timeout(30):
        while not await asyncio.to_thread(begun):
            assert process.returncode is None
        process.send_signal(number)
        ran = await ended(process)
    assert (ran.code, ran.out) == (ExitCode.INTERRUPTED, "")
    assert ran.err.startswith("ndoo: interrupted")
    assert ran.err.count("\n") == 1
    assert parts() == []
    assert desk.files() == {"long.dat"}


@pytest.mark.parametrize("obstacle", ["file", "folder", "ended"])
async def test_a_failure_after_the_list_was_sent_says_so(
    folder: Path, make_simulator: MakeSimulator, obstacle: str
) -> None:
    """What goes wrong once the list is away is exit 1, and the line says how to get the answer, if any."""
    simulator = await make_simulator(ndoo_reply_delay=timedelta(hours=1))
    desk = Desk(folder, simulator.url)
    desk.write_table()
    async with desk.running("check", "patients.csv", "--timeout", "10m") as process, asyncio.timeout(30):
        while not any(each.stage is Stage.SENT for each in await asyncio.to_thread(desk.journal.pending)):
            assert process.returncode is None
        (submission,) = desk.journal.pending()
        match obstacle:
            case "file":
                submission.output.touch()
            case "folder":
                submission.output.mkdir()
            case _:
                desk.journal.failed(submission.local_id, "given up")
        simulator.clock.advance(timedelta(hours=2))
        ran = await ended(process)
    assert (ran.code, ran.out) == (ExitCode.FAILED, "")
    assert ran.err.count("\n") == 1
    said = f"; the list is submitted: 'ndoo collect {submission.local_id}' goes on with it\n"
    assert ran.err.endswith(said) is (obstacle != "ended")
    if obstacle != "ended":
        later = await desk.run("collect", submission.local_id, "-o", "other.csv", "--timeout", "30s")
        assert later.code == 0, later.err
        assert (folder / "other.csv").read_bytes() == (folder / "patients.csv").read_bytes()


async def test_check_over_mutual_tls(tmp_path: Path, folder: Path, make_simulator: MakeSimulator) -> None:
    """With its certificate the list goes through; without one, or with no server, the cause is named."""
    certs = make_certificates(tmp_path / "certs", [("X99GP001", "X99")], now=datetime.now(UTC))
    simulator = await make_simulator(tls=Tls.MUTUAL, certs=certs.path)
    desk = Desk(folder, simulator.url)
    desk.write_table()
    cert, key = map(str, certs.client("X99GP001"))
    # At once, for the last tries again some seconds before it gives up; with a journal each, since only one
    # run at a time may use a mailbox.
    ran, nameless, down = await asyncio.gather(
        desk.run("check", "patients.csv", NDOO_CA=str(certs.ca), NDOO_CERT=cert, NDOO_KEY=key),
        desk.run("check", "patients.csv", "-o", "a.csv", NDOO_CA=str(certs.ca), NDOO_DATA="journal/2"),
        desk.run("check", "patients.csv", "-o", "b.csv", NDOO_URL=NOWHERE, NDOO_DATA="journal/3"),
    )
    assert (ran.code, ran.err) == (0, "")
    for refused, cause in ((nameless, "NDOO_CERT"), (down, NOWHERE)):
        assert (refused.code, refused.out) == (ExitCode.FAILED, "")
        assert cause in refused.err
        assert refused.err.count("\n") == 1
    assert desk.files() == {"patients.csv", "patients-cleaned.csv"}


# -- the server refuses, or is not there ------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "cause"),
    [
        ({"NDOO_PASSWORD": "wrong"}, "NDOO_PASSWORD"),
        ({"NDOO_SHARED_KEY": "wrong"}, "NDOO_SHARED_KEY"),
        ({"NDOO_MAILBOX": "X26ABC9"}, "NDOO_MAILBOX"),
        ({"NDOO_SERVICE_MAILBOX": "NOBODY"}, "NOBODY"),
    ],
)
def test_a_refusal_names_the_likely_cause(shared_desk: Desk, variables: dict[str, str], cause: str) -> None:
    """Wrong password, key, mailbox or recipient: exit 1, one line that says which, nothing left behind."""
    shared_desk.write_table()
    ran = shared_desk.run_here("check", "patients.csv", **variables)
    assert (ran.code, ran.out) == (ExitCode.FAILED, "")
    assert ran.err.startswith("ndoo: ")
    assert ran.err.count("\n") == 1
    assert cause in ran.err
    assert shared_desk.files() == {"patients.csv"}


def test_a_missing_setting_is_exit_2(desk: Desk) -> None:
    """A profile that lacks its secrets is wrong use, not a failure."""
    desk.write_table()
    ran = desk.run_here("--profile", "live", "check", "patients.csv")
    assert ran.code == ExitCode.USAGE
    assert "NDOO_CERT" in ran.err


# -- lists that cannot be sent ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "columns"),
    [("name,town\nA,B\n", ["name", "town"]), ("NHS Number,NHS No\n1,2\n", ["NHS Number", "NHS No"])],
    ids=["none", "two"],
)
def test_a_column_that_cannot_be_told(desk: Desk, content: str, columns: list[str]) -> None:
    """No NHS-number column, or two: exit 2, the columns found, and how to choose."""
    desk.write("list.csv", content)
    ran = desk.run_here("check", "list.csv")
    assert ran.code == ExitCode.USAGE
    assert ran.err.count("\n") == 1
    assert all(repr(name) in ran.err for name in [*columns])
    assert "--column" in ran.err


BAD = ["9990000000", "999000001", "9.43E+09", "99900000X8"]
REASONS = ["check digit", "ten digits long", "Excel", "other than digits"]


def test_a_number_that_is_a_columns_name_is_masked_for_programs_too(desk: Desk) -> None:
    """Whatever a person asked for or wrote into a header, no NHS number is in the answer to it."""
    desk.write("list.csv", f"Name,Mother\nExample,{NUMBERS[0]}\n")
    ran = desk.run_here("numbers", "validate", "list.csv", "--column", str(NUMBERS[1]), "--json")
    assert ran.code == ExitCode.USAGE
    assert ran.json()["error"]["columns"] == ["'Name'", "'Mother'"]
    assert not any(str(number) in ran.out + ran.err for number in NUMBERS)


def test_invalid_numbers_are_named_by_line(desk: Desk) -> None:
    """Exit 1 before anything is sent: the count, the lines, why, and how to leave them out."""
    desk.write_table(numbers=[*NUMBERS[:3], *BAD])
    ran = desk.run_here("check", "patients.csv")
    assert (ran.code, ran.out) == (ExitCode.FAILED, "")
    first, *rest = ran.err.splitlines()
    assert first.endswith("4 records are not valid NHS numbers")
    assert [line.split(":")[0].strip() for line in rest[:4]] == [f"line {line}" for line in (5, 6, 7, 8)]
    assert all(reason in line for reason, line in zip(REASONS, rest, strict=False))
    assert "--skip-invalid" in rest[4]
    assert not re.search(r"\d{9}", ran.err)
    assert desk.files() == {"patients.csv"}
    assert desk.journal.pending() == ()


def test_only_the_first_twenty_are_named(desk: Desk) -> None:
    """A thoroughly wrong list does not fill the screen, but its count is right; in JSON too."""
    desk.write("list.txt", "12345\n" * 1234)
    ran = desk.run_here("check", "list.txt", "--json")
    lines = ran.err.splitlines()
    assert sum(line.lstrip().startswith("line ") for line in lines) == 20
    assert "  and 1,214 more" in lines
    error = ran.json()["error"]
    assert (error["kind"], error["count"], len(error["samples"])) == ("InvalidNumbers", 1234, 20)


def test_skip_invalid_leaves_them_out_and_says_so(shared_desk: Desk) -> None:
    """With --skip-invalid the rest is checked, and how many were left out is shown."""
    shared_desk.write_table(numbers=[*NUMBERS, *BAD])
    ran = shared_desk.run_here("check", "patients.csv", "--skip-invalid")
    assert ran.code == 0, ran.err
    assert facts(ran.out)["invalid"] == " 4  rows with an invalid number, left out".strip()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.csv", b"", "is empty; export it again"),
        ("header.csv", b"NHS Number\n", "holds no NHS numbers; is it the right file and column (--column)?"),
        ("missing.csv", None, "no such file; is the name right, and are you in its folder?"),
        ("binary.dat", bytes(range(256)), "not a text file"),
        ("cut.dat.gz", gzip.compress(b"9990000018,\n" * 9000)[:-20], "cut short"),
        ("sheet.csv", b"PK\x03\x04....", "Excel"),
        ("list.pdf", b"9990000018\n", "unknown kind"),
    ],
)
def test_a_file_that_cannot_be_read(desk: Desk, name: str, content: bytes | None, said: str) -> None:
    """Exit 1 with one line; nothing sent, nothing left behind."""
    if content is not None:
        desk.write(name, content)
    before = desk.files()
    ran = desk.run_here("check", name, "-o", "out.dat")
    assert (ran.code, ran.out) == (ExitCode.FAILED, "")
    assert said in ran.err
    assert ran.err.count("\n") == 1
    assert desk.files() == before


@pytest.mark.parametrize("name", ["list.dat", "."])
def test_a_folder_is_no_list(desk: Desk, name: str) -> None:
    """So is a folder, named like a list or not."""
    (desk.folder / "list.dat").mkdir()
    ran = desk.run_here("check", name)
    assert (ran.code, ran.err.count("\n")) == (ExitCode.FAILED, 1)
    assert "is a folder" in ran.err


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_list_that_may_not_be_read(desk: Desk) -> None:
    """So is a file without permission."""
    desk.write_table().chmod(0)
    ran = desk.run_here("check", "patients.csv")
    assert (ran.code, ran.err.count("\n")) == (ExitCode.FAILED, 1)
    assert "permission denied" in ran.err


def test_an_output_that_exists_is_kept(desk: Desk) -> None:
    """Refused unless --force, before anything is sent; the file stays as it was."""
    desk.write_table()
    there = desk.write("patients-cleaned.csv", "precious")
    ran = desk.run_here("check", "patients.csv")
    assert ran.code == ExitCode.FAILED
    assert "--force" in ran.err
    assert there.read_text() == "precious"


def test_force_replaces_the_output(shared_desk: Desk) -> None:
    """With --force the output is replaced."""
    source = shared_desk.write_table()
    there = shared_desk.write("patients-cleaned.csv", "old")
    assert shared_desk.run_here("check", "patients.csv", "--force").code == 0
    assert there.read_bytes() == source.read_bytes()


def test_another_mailboxs_list_is_not_collected(shared_desk: Desk) -> None:
    """A list submitted from one mailbox is not looked for in another, and the refusal says whose it is."""
    shared_desk.write_table()
    local_id = shared_desk.run_here("submit", "patients.csv", "--json").json()["local_id"]
    ran = shared_desk.run_here("collect", local_id, NDOO_MAILBOX="X26ABC3")
    assert ran.code == ExitCode.USAGE
    assert "X99GP001" in ran.err
    assert "1 more wait" in shared_desk.run_here("collect", NDOO_MAILBOX="X26ABC3").err
    assert shared_desk.run_here("collect", local_id, "--timeout", "30s").code == 0


def test_an_output_that_is_awaited_is_not_sent_for_again(shared_desk: Desk) -> None:
    """Of two lists with one output the second is refused even with --force, and sent under another name."""
    first = shared_desk.write_table("first.csv", NUMBERS[:5])
    second = shared_desk.write_table("second.csv", NUMBERS[5:])
    submitted = shared_desk.run_here("submit", "first.csv", "-o", "out.csv", "--json").json()
    for command in ("submit", "check"):
        refused = shared_desk.run_here(command, "second.csv", "-o", "out.csv", "--force")
        assert (refused.code, refused.out) == (ExitCode.FAILED, "")
        assert f"out.csv is still awaited from {submitted['local_id']}, submitted " in refused.err
    assert shared_desk.run_here("submit", "second.csv", "-o", "other.csv").code == 0
    assert shared_desk.run_here("collect", "--timeout", "30s").code == 0
    assert (shared_desk.folder / "out.csv").read_bytes() == first.read_bytes()
    assert (shared_desk.folder / "other.csv").read_bytes() == second.read_bytes()


def test_a_list_is_collected_under_another_name(shared_desk: Desk) -> None:
    """The name given to collect is read as at the submission, and one that fits no row is refused."""
    source = shared_desk.write_table("first.csv", NUMBERS[:5])
    local_id = shared_desk.run_here("submit", "first.csv", "--json").json()["local_id"]
    assert shared_desk.run_here("collect", local_id, "-o", "names.dat").code != 0
    given = ("-o", "x/../other.csv", "--timeout", "30s", "--json")
    ran = shared_desk.run_here("collect", local_id, *given)
    assert ran.json()["collected"][0]["output"] == str(shared_desk.folder / "other.csv")
    assert (shared_desk.folder / "other.csv").read_bytes() == source.read_bytes()


def test_a_defect_with_one_list_does_not_stop_the_others(shared_desk: Desk) -> None:
    """The other answers are fetched, then the defect is owned up to; alone, it is one like any other."""
    shared_desk.write_table()
    broken = shared_desk.run_here("submit", "patients.csv", "-o", "a.csv", "--json").json()["local_id"]
    shared_desk.journal.written(broken, "what no version ever wrote")
    assert shared_desk.run_here("submit", "patients.csv", "-o", "b.csv").code == 0
    ran = shared_desk.run_here("collect", "--timeout", "30s", "--json")
    assert ran.code == ExitCode.FAILED
    assert ran.err.startswith("ndoo: this is a bug in ndoo (JSONDecodeError); ")
    assert [Path(each["output"]).name for each in ran.json()["collected"]] == ["b.csv"]
    assert [each["kind"] for each in ran.json()["failed"]] == ["Bug"]
    alone = shared_desk.run_here("collect", broken)
    assert (alone.code, alone.err) == (ExitCode.FAILED, ran.err)


# -- the mailbox ------------------------------------------------------------------------------------


def test_a_message_from_send_to_acknowledged(shared_desk: Desk) -> None:
    """send, track, list, read and acknowledge do by hand what MESH offers."""
    sender, receiver = {"NDOO_MAILBOX": "X26ABC1"}, {"NDOO_MAILBOX": "X26ABC2"}
    shared_desk.write("hello.txt", "hello\n" * 100)
    sent = shared_desk.run_here(
        "mailbox",
        "send",
        "hello.txt",
        "--to",
        "X26ABC2",
        "--workflow",
        "TEST_WORKFLOW",
        "--compress",
        **sender,
    )
    assert (sent.code, sent.err) == (0, "")
    message_id = sent.out.strip()
    track = ("mailbox", "track", message_id, "--json")
    assert shared_desk.run_here(*track, **sender).json()["status"] == "accepted"

    assert message_id in shared_desk.run_here("mailbox", "list", **receiver).out.splitlines()
    listed = shared_desk.run_here(
        "mailbox", "list", "--details", "--workflow", "TEST_*", "--json", **receiver
    ).json()
    assert {"X26ABC1"} == {each["from"] for each in listed["messages"] if each["message_id"] == message_id}
    assert shared_desk.run_here("mailbox", "count", "--json", **receiver).json()["count"] >= 1

    piped = shared_desk.run_here("mailbox", "read", message_id, "-o", "-", **receiver)
    assert piped.out == "hello\n" * 100
    refused = shared_desk.run_here("mailbox", "read", message_id, **receiver)
    assert (refused.code, "hello.txt exists already" in refused.err) == (ExitCode.FAILED, True)
    read = shared_desk.run_here("mailbox", "read", message_id, "-o", "copy", "--acknowledge", **receiver)
    assert facts(read.out)["acknowledged"] == "yes"
    assert (shared_desk.folder / "copy").read_text() == "hello\n" * 100
    assert shared_desk.run_here(*track, **sender).json()["status"] == "acknowledged"
    gone = shared_desk.run_here("mailbox", "read", message_id, "-o", "again", "--json", **receiver)
    assert (gone.code, gone.json()["error"]["kind"]) == (ExitCode.FAILED, "MessageGone")


def test_a_senders_file_name_stays_in_this_folder(shared_desk: Desk) -> None:
    """A file name is taken from a message only where it is a plain one."""
    (shared_desk.folder / "sub").mkdir()
    shared_desk.write("..x", "body")
    sent = shared_desk.run_here(
        "mailbox", "send", "..x", "--to", "X26ABC2", "--workflow", "TEST_WORKFLOW", NDOO_MAILBOX="X26ABC1"
    )
    read = shared_desk.run_here("mailbox", "read", sent.out.strip(), "--json", NDOO_MAILBOX="X26ABC2").json()
    assert (read["file_name"], read["output"]) == ("..x", f"{sent.out.strip()}.dat")


def test_handshake_and_lookup(shared_desk: Desk) -> None:
    """Handshake and lookup answer in one line each, and lookup says when there is nobody."""
    assert shared_desk.run_here("mailbox", "handshake").out.count("X99GP001") == 1
    found = shared_desk.run_here("mailbox", "lookup", "X26", "SPINE_NTT_UPHOLDING", "--json").json()
    assert [each["mailbox_id"] for each in found["mailboxes"]] == ["X26HC065"]
    nobody = shared_desk.run_here("mailbox", "lookup", "X26", "NO_SUCH_WORKFLOW")
    assert (nobody.code, nobody.out, nobody.err.count("\n")) == (0, "", 1)


def test_a_submission_by_hand_that_would_get_no_reply(desk: Desk) -> None:
    """Sending to the opt-out service without subject and local id is warned about: it never answers."""
    desk.write("list.dat", "9990000018,\n")
    ran = desk.run_here(
        *("mailbox", "send", "list.dat", "--to", "X26HC065", "--workflow", "SPINE_NTT_UPHOLDING"),
        NDOO_MAILBOX="not one",
    )
    assert ran.err.startswith("the opt-out service never answers unless")
    assert ran.code == ExitCode.USAGE


@pytest.mark.parametrize(
    "arguments",
    [
        ("mailbox", "track"),
        ("mailbox", "track", "ID", "--local-id", "x"),
        ("mailbox", "read", "ID", "-o", "-", "--json"),
        ("filter", "patients.csv"),
        ("filter", "patients.csv", "--answer", "a", "--cache", "b"),
        ("check", "patients.csv", "-o", "out.csv.gz"),
        ("check", "patients.csv", "-o", "out.cache"),
        ("collect", "-o", "out.csv"),
        ("collect", "LOCAL_ID", "-o", "out.csv.gz"),
        ("check", "patients.csv", "--timeout", "soon"),
        ("check", "patients.csv", "--number-rule", "none"),
        ("check", "patients.csv", "--profile", "int"),
        ("check",),
        ("inspect", "patients.csv"),
        ("--nonsense",),
        ("numbers", "generate", "--count", "0", "x.dat"),
        ("numbers", "generate", "--count", "1", "x.csv"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_one_line_and_exit_2(desk: Desk, arguments: tuple[str, ...]) -> None:
    """Options that do not parse or go together end in one line; with --json in one object as well."""
    desk.write_table()
    ran = desk.run_here(*arguments)
    assert ran.code == ExitCode.USAGE
    assert bool(ran.out) == ("--json" in arguments)
    assert ran.err.startswith("ndoo: ")
    assert ran.err.count("\n") == 1
    for_programs = desk.run_here(*arguments, "--json")
    assert for_programs.code == ExitCode.USAGE
    assert set(for_programs.json()["error"]) >= {"kind", "message"}
    assert desk.files() == {"patients.csv"}


# -- files alone ------------------------------------------------------------------------------------


def test_filter_by_an_answer(desk: Desk) -> None:
    """The rows of a cleaned list are kept, the others removed; outputs are not overwritten unasked."""
    desk.write_table(numbers=[*NUMBERS, "", "12"])
    desk.write("answer.dat", "".join(f"{number},\n" for number in NUMBERS if number != OPTED_OUT))
    arguments = ("filter", "patients.csv", "--answer", "answer.dat")
    shown = facts(desk.run_here(*arguments).out)
    assert [shown[name].split()[0] for name in ("rows", "kept", "removed", "blank", "invalid")] == [
        "22",
        "19",
        "1",
        "1",
        "1",
    ]
    assert shown["written"] == "patients-cleaned.csv"
    assert desk.run_here(*arguments).code == ExitCode.FAILED
    assert desk.run_here(*arguments, "--force").code == 0


def test_an_expired_cache_is_exit_1(desk: Desk) -> None:
    """An expired cache is shown for what it is, and can not be used by any means."""
    now = datetime.now(UTC)
    header = CacheHeader(now - timedelta(days=22), now - timedelta(days=1, minutes=1), "X99GP001", "weekly-1")
    TemporaryCache.create([b"9990000018,\n"], desk.folder / "old.cache", header, "password")
    status = desk.run_here("cache", "status", "old.cache")
    assert status.code == ExitCode.FAILED
    assert facts(status.out)["state"] == "expired 1 day 1 minute ago"
    desk.write_table()
    used = desk.run_here("filter", "patients.csv", "--cache", "old.cache", "--force", "--json")
    assert (used.code, used.json()["error"]["kind"]) == (ExitCode.FAILED, "CacheExpired")
    assert desk.files() == {"old.cache", "patients.csv"}


def test_another_mailboxs_cache_is_refused(desk: Desk) -> None:
    """A cache is for its own mailbox only, also where another has the same password."""
    now = datetime.now(UTC)
    header = CacheHeader(now, now + timedelta(days=21), "X26ABC1", "weekly-1")
    TemporaryCache.create([b"9990000018,\n"], desk.folder / "x.cache", header, "password")
    desk.write_table()
    arguments = ("filter", "patients.csv", "--cache", "x.cache")
    ran = desk.run_here(*arguments, "--json")
    assert (ran.code, ran.json()["error"]["kind"]) == (ExitCode.FAILED, "CacheAltered")
    assert "made for mailbox X26ABC1, and this is X99GP001; set NDOO_MAILBOX" in ran.err
    assert desk.files() == {"x.cache", "patients.csv"}
    assert desk.run_here(*arguments, NDOO_MAILBOX="X26ABC1").code == 0


def test_an_altered_cache_is_exit_1(desk: Desk) -> None:
    """A cache of our mailbox whose bytes were changed is told apart from a sound one."""
    now = datetime.now(UTC)
    path = desk.folder / "x.cache"
    header = CacheHeader(now, now + timedelta(days=21), "X99GP001", "weekly-1")
    TemporaryCache.create([b"9990000018,\n"], path, header, "password")
    assert facts(desk.run_here("cache", "status", "x.cache").out)["state"].startswith("sound; ")
    path.write_bytes(path.read_bytes().replace(b"9990000018", b"9990000026"))
    altered = desk.run_here("cache", "status", "x.cache", "--json")
    assert (altered.code, altered.json()["error"]["kind"]) == (ExitCode.FAILED, "CacheAltered")


def test_generate_then_validate(desk: Desk) -> None:
    """A list made up is valid, private, and the same for the same seed."""
    first = desk.run_here("numbers", "generate", "--count", "500", "a.dat", "--seed", "7", "--json")
    assert first.json() == {"count": 500, "seed": 7, "output": "a.dat"}
    desk.run_here("numbers", "generate", "--count", "500", "b.dat", "--seed", "7")
    assert (desk.folder / "a.dat").read_bytes() == (desk.folder / "b.dat").read_bytes()
    assert (desk.folder / "a.dat").stat().st_mode & 0o077 == 0
    found = desk.run_here("numbers", "validate", "a.dat", "--json")
    counts = found.json()
    assert (found.code, counts["rows"], counts["valid"], counts["distinct"]) == (0, 500, 500, 500)
    assert (counts["blank"], counts["invalid"], counts["samples"]) == (0, 0, [])


def test_validate_names_lines_never_numbers(desk: Desk) -> None:
    """Bad rows are exit 1 with line and reason; duplicates and blanks are counted, no number is shown."""
    desk.write_table(numbers=[NUMBERS[0], NUMBERS[0], "", *BAD])
    ran = desk.run_here("numbers", "validate", "patients.csv", "--column", "2")
    assert (ran.code, ran.err) == (ExitCode.FAILED, "")
    assert facts(ran.out)["valid"] == "2  of them 1 different number"
    assert [f"line {line}:" in ran.out for line in range(2, 9)] == [False] * 3 + [True] * 4
    assert not re.search(r"\d{9}", ran.out)
    laxer = desk.run_here("numbers", "validate", "patients.csv", "--number-rule", "digits", "--json")
    assert laxer.json()["invalid"] == 3


# -- help and start ---------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example_and_fits(desk: Desk, command: str) -> None:
    """Every command explains itself in 80 columns, with an example that starts like the command."""
    ran = desk.run_here(*command.split(), "--help")
    assert ran.code == 0
    example = ran.out.replace("--profile int ", "").replace("NDOO_MAILBOX=X26ABC1 ", "")
    assert f"Example: ndoo {command}".strip() in example
    assert max(map(len, ran.out.splitlines())) <= 80


def test_every_command_is_known_here(desk: Desk) -> None:
    """A command added later is held to the same: it must be listed above."""
    shown = {
        f"{group} {name}".strip()
        for group in ("", "cache", "mailbox", "numbers")
        for name in re.findall(r"^│ ([a-z]+)  ", desk.run_here(*group.split(), "--help").out, re.MULTILINE)
    }
    assert shown == set(COMMANDS) - {""}


def test_help_names_every_setting(desk: Desk) -> None:
    """Whoever has no manual at hand finds the variables in the help."""
    words = set(re.findall(r"NDOO_[A-Z_]+", desk.run_here("--help").out))
    assert words == {f"NDOO_{name.upper()}" for name in Settings.model_fields}


async def test_help_loads_nothing_heavy(desk: Desk) -> None:
    """Help comes at once: what commands need is loaded by the commands."""
    # The package's front page is left out: what it offers to programs is not the command's to choose.
    program = (
        "import importlib.util, sys, types\n"
        "package = types.ModuleType('ndoo')\n"
        "package.__path__ = importlib.util.find_spec('ndoo').submodule_search_locations\n"
        "sys.modules['ndoo'] = package\n"
        "import ndoo.cli\n"
        "print(*{'numpy', 'aiohttp', 'pydantic', 'rich'} & set(sys.modules), 'ndoo.cli.root' in sys.modules)"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, cwd=desk.folder, stdout=asyncio.subprocess.PIPE
    )
    assert (await process.communicate())[0].strip() == b"True"


async def test_ctrl_c_while_it_starts_is_no_traceback(desk: Desk) -> None:
    """Interrupted while its modules are loaded, the command ends as it does later on."""
    program = (
        "import sys\n"
        "class Interrupting:\n"
        "    def find_spec(name, *_):\n"
        "        if name == 'ndoo.cli.root':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupting)\n"
        "from ndoo.cli import app\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        cwd=desk.folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert await ended(process) == Ran(ExitCode.INTERRUPTED, "", "ndoo: interrupted\n")


def test_version(desk: Desk) -> None:
    """--version is one line."""
    assert re.fullmatch(r"ndoo \d+\.\d+\.\d+\S*\n", desk.run_here("--version").out)


# -- the boundary -----------------------------------------------------------------------------------


def _all_errors(kind: type[errors.NdooError]) -> Iterator[type[errors.NdooError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _all_errors(below)


def test_each_error_has_its_exit_code() -> None:
    """Wrong settings and columns are 2, no answer yet is 3, and every other error of the library 1."""
    special = {
        errors.ConfigError: ExitCode.USAGE,
        errors.ColumnError: ExitCode.USAGE,
        errors.AnswerPending: ExitCode.NOT_YET,
        errors.MailboxBusy: ExitCode.NOT_YET,
    }
    for kind in _all_errors(errors.NdooError):
        if kind.__module__ == errors.__name__:
            assert exit_code(kind.__new__(kind)) == special.get(kind, ExitCode.FAILED), kind


def test_a_full_disk_is_a_failure_whatever_it_hit() -> None:
    """What cannot be written for lack of space is no wrong setting; what may not be written is."""
    for number, code in ((errno.ENOSPC, ExitCode.FAILED), (errno.EACCES, ExitCode.USAGE)):
        error = errors.ConfigError("out.csv: cannot be written")
        error.__cause__ = OSError(number, os.strerror(number))
        assert exit_code(error) == code


@pytest.mark.parametrize("debug", [False, True])
def test_a_defect_is_owned_up_to_without_its_text(debug: bool) -> None:
    """An unforeseen exception is one line with its class; what it says may hold a number, and is not told."""
    broken = typer.Typer(cls=Boundary)

    @broken.callback()
    def root(ctx: typer.Context) -> None:
        ctx.obj.debug = debug

    @broken.command()
    def fail() -> None:
        raise RuntimeError("about 999 000 0018")

    result = CliRunner().invoke(broken, ["fail"])
    assert (result.exit_code, result.stdout) == (ExitCode.FAILED, "")
    assert "bug in ndoo (RuntimeError)" in result.stderr
    assert ("Traceback" in result.stderr) is debug
    assert "0018" not in result.stderr


def test_a_refusal_of_the_system_is_no_defect() -> None:
    """A full disk is told as one."""
    broken = typer.Typer(cls=Boundary)

    @broken.command()
    def fail() -> None:
        raise OSError(28, "No space left on device", "out.csv")

    @broken.command()
    def other() -> None:
        pass

    result = CliRunner().invoke(broken, ["fail"])
    assert (result.exit_code, result.stderr) == (
        ExitCode.FAILED,
        "ndoo: out.csv: No space left on device\n",
    )


# -- small things -----------------------------------------------------------------------------------


@given(*(st.integers(0, 99) for _ in range(4)))
def test_durations_read_back(days: int, hours: int, minutes: int, seconds: int) -> None:
    """What a person writes with units is the sum of its parts."""
    total = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds).total_seconds()
    assert parse_duration(f"{days}d{hours}h{minutes}m{seconds}s") == total
    assert parse_duration(str(seconds)) == seconds


@pytest.mark.parametrize("text", ["", " ", "m", "-1", "1.5h", "10 minutes", "9999d", "1m1h"])
def test_durations_that_are_none(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(typer.BadParameter):
        parse_duration(text)


@given(st.text())
def test_nothing_shown_steers_the_terminal(text: str) -> None:
    """Whatever a file name or a server's text holds, only printable characters are written."""
    shown = printable(text)
    assert shown.isprintable()
    assert len(shown) == len(text)


@given(st.timedeltas(timedelta(minutes=1), timedelta(days=400)))
def test_spans_are_told_to_their_second_unit(length: timedelta) -> None:
    """A length of time is told in at most two units, and never longer than it is."""
    units = {"day": timedelta(days=1), "hour": timedelta(hours=1), "minute": timedelta(minutes=1)}
    words = span(length).split()
    told = sum(
        (int(count) * units[unit.rstrip("s")] for count, unit in zip(words[::2], words[1::2], strict=True)),
        timedelta(),
    )
    assert len(words) <= 4
    assert timedelta() <= length - told < timedelta(days=1)


@pytest.mark.parametrize(
    ("source", "output", "cache"),
    [
        ("a/list.csv", "a/list-cleaned.csv", "a/list.cache"),
        ("list.CSV.GZ", "list-cleaned.csv", "list.cache"),
        ("list.2026.csv.gz", "list.2026-cleaned.csv", "list.2026.cache"),
        ("list.dat", "list-cleaned.dat", "list.cache"),
        ("list.txt", "list-cleaned.dat", "list.cache"),
    ],
)
def test_outputs_are_named_after_their_source(source: str, output: str, cache: str) -> None:
    """Without -o the output is beside the list, of the same kind, uncompressed."""
    assert str(default_output(Path(source))) == output
    assert str(default_output(Path(source), cache=True)) == cache


def test_the_rules_are_the_librarys() -> None:
    """The option offers exactly the rules there are."""
    assert {rule.value for rule in Rule} == {rule.value for rule in NumberRule}
