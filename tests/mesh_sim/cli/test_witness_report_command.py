"""``mesh-sim witness report``."""

from __future__ import annotations

import json
import os
import re
import threading
from xml.etree import ElementTree as ET

import pytest
from shell import Ran, Shell
from support import HANDSHAKE, Caller, Simulator

MAILBOX = "X26ABC1"
REPORT = ("witness", "report", "--mailbox", MAILBOX)


async def _download_twice(simulator: Simulator) -> str:
    """Do everything right but one thing; give the message that was downloaded twice."""
    await simulator.caller("X26ABC2").sent(b"12345", to=MAILBOX, workflow="TEST_WORKFLOW_2")
    return await _collect(simulator.caller(), downloads=2)


async def _collect(caller: Caller, *, downloads: int) -> str:
    assert (await caller.get("", headers=HANDSHAKE)).status == 200
    (message_id,) = await caller.inbox()
    for _ in range(downloads):
        assert (await caller.get(f"inbox/{message_id}")).status == 200
    await caller.acknowledge(message_id)
    return message_id


def _last_line(ran: Ran) -> str:
    return ran.out.splitlines()[-1]


async def test_a_failed_case_is_shown_with_its_evidence(shell: Shell, simulator: Simulator) -> None:
    """Each case's outcome; what was expected and seen, the requests around it; last the counts."""
    message_id = await _download_twice(simulator)
    ran = await shell.run(*REPORT)
    assert (ran.code, ran.err) == (1, "")
    lines = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert "mailbox X26ABC1" in lines
    assert any(line.startswith("201 not seen ") and line.endswith("required") for line in lines)
    assert any(line.startswith("202 not seen ") and line.endswith("optional") for line in lines)
    assert any(line.startswith("handshake-cadence passed ") for line in lines)
    begin = max(place for place, line in enumerate(lines) if line.startswith("download-once failed "))
    assert [line.split()[0] for line in lines[begin + 1 : begin + 3]] == ["expected", "seen"]
    assert "seen downloaded 2 times before it was acknowledged" in lines
    assert any(line.startswith("to fix ") for line in lines)
    (marked,) = (line.split() for line in lines if line.startswith(">"))
    assert (marked[2:4], marked[-1]) == (["download", "200"], message_id)
    assert re.fullmatch(
        r"\d+ passed, 1 failed, \d+ not seen; required and failed: download-once", _last_line(ran)
    )


async def test_a_kept_report_ends_well(shell: Shell, simulator: Simulator) -> None:
    """What was not seen fails nobody, unless the rehearsal is to be complete: then those are named."""
    await simulator.caller("X26ABC2").sent(b"12345", to=MAILBOX, workflow="TEST_WORKFLOW_2")
    await _collect(simulator.caller(), downloads=1)
    ran = await shell.run(*REPORT)
    assert (ran.code, ran.err) == (0, "")
    assert "0 failed" in _last_line(ran)
    assert "required and not seen: 201, 401, 601," in ran.out
    ran = await shell.run(*REPORT, "--complete")
    assert ran.code == 1
    assert ran.err.startswith("--complete: these required cases were not seen: 201, 401, 601,")
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize("options", [("--json",), ("--format", "json"), ("--json", "--format", "json")])
async def test_programs_get_json(shell: Shell, simulator: Simulator, options: tuple[str, ...]) -> None:
    """One object, as the control API has it, whatever the exit code."""
    await _download_twice(simulator)
    ran = await shell.run(*REPORT, *options)
    found = json.loads(ran.out)
    assert (ran.code, ran.err, found["required_failed"]) == (1, "", ["download-once"])
    (case,) = (case for case in found["cases"] if case["outcome"] == "failed")
    assert [line["operation"] for line in case["evidence"] if line["number"] == case["breach"]["entry"]] == [
        "download"
    ]


async def test_documents_go_to_standard_output(shell: Shell, simulator: Simulator) -> None:
    """A page and JUnit XML, and nothing beside them."""
    await _download_twice(simulator)
    ran = await shell.run(*REPORT, "--format", "html")
    assert (ran.code, ran.err) == (1, "")
    assert ran.out.startswith("<!doctype html>")
    assert ran.out.endswith("</html>\n")
    ran = await shell.run(*REPORT, "--format", "junit")
    assert (ran.code, ran.err) == (1, "")
    assert ET.fromstring(ran.out.encode()).get("failures") == "1"


@pytest.mark.parametrize(
    ("name", "options", "begins"),
    [
        ("report.html", (), "<!doctype html>"),
        ("REPORT.HTM", (), "<!doctype html>"),
        ("report.xml", (), "<?xml "),
        ("report.json", (), '{\n  "mailbox": "X26ABC1"'),
        ("report.txt", (), "mailbox   X26ABC1"),
        ("report", (), "mailbox   X26ABC1"),
        ("report.html", ("--format", "junit"), "<?xml "),
        ("report.html", ("--json",), '{\n  "mailbox": "X26ABC1"'),
    ],
)
async def test_a_file_gets_the_format_of_its_name(
    shell: Shell, simulator: Simulator, name: str, options: tuple[str, ...], begins: str
) -> None:
    """Unless --format says otherwise; what was there is replaced, nothing else is left, and where is said."""
    await _download_twice(simulator)
    (shell.folder / name).write_text("what was there, longer than any report" * 100_000)
    ran = await shell.run(*REPORT, "-o", name, *options)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(f"{name}: the report of X26ABC1; ")
    assert ran.err.endswith("required and failed: download-once\n")
    assert [path.name for path in shell.folder.iterdir()] == [name]
    text = (shell.folder / name).read_text("utf-8")
    assert text.startswith(begins)
    assert "what was there" not in text
    assert "\x1b" not in text


async def test_a_pipe_is_written_to(shell: Shell, simulator: Simulator) -> None:
    """What is no file is not replaced by one."""
    await _download_twice(simulator)
    pipe = shell.folder / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text("utf-8")))
    reader.start()
    ran = await shell.run(*REPORT, "-o", "pipe", "--format", "html")
    reader.join(10)
    assert (ran.code, read[0].startswith("<!doctype html>"), pipe.is_fifo()) == (1, True, True)


async def test_chosen_cases_are_reported_alone(shell: Shell, simulator: Simulator) -> None:
    """In every format, and the exit code is theirs."""
    await _download_twice(simulator)
    chosen = ("--case", "polling", "--case", "201", "--complete")
    ran = await shell.run(*REPORT, *chosen, "--json")
    found = json.loads(ran.out)
    assert [case["case"] for case in found["cases"]] == ["201", "polling"]
    assert (ran.code, found["required_failed"], found["required_not_seen"]) == (1, [], ["201"])
    ran = await shell.run(*REPORT, "--case", "polling", "--format", "junit")
    assert (ran.code, ET.fromstring(ran.out.encode()).get("tests")) == (0, "1")
    ran = await shell.run(*REPORT, "--case", "Download-Once")
    assert (ran.code, _last_line(ran)) == (
        1,
        "0 passed, 1 failed, 0 not seen; required and failed: download-once",
    )


@pytest.mark.parametrize("options", [(), ("--format", "html"), ("-o", "report.html"), ("--format", "junit")])
async def test_an_empty_journal_is_no_report(
    shell: Shell, simulator: Simulator, options: tuple[str, ...]
) -> None:
    """One line says so and what to do; nothing is written."""
    (await shell.run(*REPORT, *options)).assert_refused(1, "the journal has no request of mailbox X26ABC1")
    assert list(shell.folder.iterdir()) == []


async def test_an_empty_journal_for_programs(shell: Shell, simulator: Simulator) -> None:
    """They get an error object in the report's place."""
    ran = await shell.run(*REPORT, "--json")
    assert ran.code == 1
    assert json.loads(ran.out)["error"]["kind"] == "EmptyJournal"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--mailbox", "X26NONE"], "there is no mailbox X26NONE; known are X26ABC1"),
        (["--mailbox", MAILBOX, "--case", "999"], "there is no such case; known are 201, 202, 401"),
        (["--mailbox", MAILBOX, "--json", "--format", "html"], "give either --json or --format html"),
        (["--mailbox", MAILBOX, "--format", "pdf"], "'pdf' is not one of"),
        ([], "Missing option '--mailbox'"),
    ],
    ids=["mailbox", "case", "two formats", "format", "no mailbox"],
)
async def test_a_report_asked_for_wrongly(
    shell: Shell, simulator: Simulator, arguments: list[str], text: str
) -> None:
    """It is wrong usage, in one line."""
    ran = await shell.run("witness", "report", *arguments)
    assert ran.code == 2
    assert ran.err.startswith("mesh-sim: ")
    assert ran.err.count("\n") == 1
    assert text in ran.err


async def test_a_folder_that_is_not_there(shell: Shell, simulator: Simulator) -> None:
    """It is named, and not made."""
    await _download_twice(simulator)
    ran = await shell.run(*REPORT, "-o", "nowhere/report.html")
    ran.assert_refused(2, "nowhere: there is no such folder; nothing was written")
    assert list(shell.folder.iterdir()) == []


async def test_a_file_that_cannot_be_written(shell: Shell, simulator: Simulator) -> None:
    """It is named as it was given, not as it is called while it is written."""
    await _download_twice(simulator)
    name = f"{'r' * 245}.html"
    ran = await shell.run(*REPORT, "-o", name)
    assert (ran.code, ran.err) == (1, f"mesh-sim: {name}: File name too long\n")
