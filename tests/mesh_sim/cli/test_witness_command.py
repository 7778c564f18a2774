"""``mesh-sim witness``, all but waiting for a client, and the report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from shell import Shell
from stages import MAILBOX, OF_IT, START, collect, md5, to_send, watching
from support import Caller, Simulator


@pytest.fixture
async def caller(simulator: Simulator) -> Caller:
    """The client that rehearses."""
    return simulator.caller(MAILBOX)


# -- the catalogue ------------------------------------------------------------------------------------


async def test_the_cases_are_listed(shell: Shell) -> None:
    """One line each: whether it is required, what it checks, its set, and whether it moves the clock."""
    rows = {row[0]: row[1:] for row in (await shell.run("witness", "cases")).rows()}
    assert rows["201"][0::2] == ["required", "sending"]
    assert rows["202"][0] == "optional"
    assert rows["703"][-2:] == ["errors", "moves"]
    assert rows["polling"][-1] == "findings"
    assert [case["case"] for case in (await shell.run("witness", "cases", "--json")).json()["cases"]] == list(
        rows
    )


# -- one case for a script ----------------------------------------------------------------------------


async def test_a_case_is_set_up_for_a_script_which_sees_how_it_stands(
    shell: Shell, simulator: Simulator, caller: Caller
) -> None:
    """--no-wait says what to do and leaves; status shows it under way, and its outcome when it is done."""
    told = await shell.run(*START, "--case", "401", "--no-wait")
    assert (told.code, told.err) == (0, "")
    shown = (await shell.run("witness", "status", *OF_IT)).out
    assert told.out.splitlines()[1] in shown
    assert "401   under way" in shown
    async with watching(simulator) as stages:
        await collect(caller)
        await stages.until("ended", "401")
    assert "401   passed" in (await shell.run("witness", "status", *OF_IT)).out
    state = (await shell.run(*START, "--case", "601", "--no-wait", "--json")).json()
    assert (state["current"]["case"], state["current"]["count"]) == ("601", 600)
    assert (await shell.run("witness", "status", *OF_IT, "--json")).json() == state


async def test_a_new_rehearsal_forgets_the_one_before(shell: Shell) -> None:
    """With --fresh only the new attempt is there."""
    for _ in range(2):
        await shell.run(*START, "--case", "201", "--no-wait")
    assert len((await shell.run("witness", "status", *OF_IT, "--json")).json()["attempts"]) == 2
    state = (await shell.run(*START, "--case", "201", "--no-wait", "--fresh", "--json")).json()
    assert len(state["attempts"]) == 1


async def test_status_shows_the_latest_attempt_at_each_case(
    shell: Shell, simulator: Simulator, caller: Caller
) -> None:
    """However often a case was tried, it has one line, with the outcome that counts."""
    for case in ("401", "201", "401"):
        await shell.run(*START, "--case", case, "--no-wait")
    async with watching(simulator) as stages:
        await collect(caller)
        await stages.until("ended", "401")
    rows = (await shell.run("witness", "status", *OF_IT)).rows()
    shown = [(row[0], row[1], row[-1]) for row in rows if row[0].isdigit()]
    assert shown == [("201", "not seen", "1"), ("401", "passed", "2")]


async def test_stop_says_what_was_put_back(shell: Shell) -> None:
    """The mailbox that was disabled is enabled again; with no case under way there is nothing to do."""
    await shell.run(*START, "--case", "701", "--no-wait")
    stopped = await shell.run("witness", "stop", *OF_IT)
    put_back = f"  - mailbox {MAILBOX} is enabled again, if it was before"
    assert stopped.out.splitlines() == ["case 701 ended", put_back]
    nothing = await shell.run("witness", "stop", *OF_IT)
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "no case was under way\n")


# -- files --------------------------------------------------------------------------------------------


async def test_the_file_to_send_is_written_without_a_server(lonely: Shell, folder: Path) -> None:
    """It is the one that the case waits for; an existing file is kept unless --force is given."""
    shown = (await lonely.run("witness", "file", "201", "to-send.dat")).facts()
    written = (folder / "to-send.dat").read_bytes()
    assert written == to_send("201")
    digest = md5(written)
    assert shown == {"file": "to-send.dat", "bytes": "2,000", "MD5": digest}
    (await lonely.run("witness", "file", "202", "to-send.dat")).assert_refused(
        1, "to-send.dat exists already; replace it with --force"
    )
    again = (await lonely.run("witness", "file", "202", "to-send.dat", "--force", "--json")).json()
    assert again["md5"] == md5((folder / "to-send.dat").read_bytes())
    assert (folder / "to-send.dat").read_bytes() == to_send("202")


async def test_a_folder_is_no_file_to_write(lonely: Shell, folder: Path) -> None:
    """It is said so, rather than that --force would help."""
    (folder / "out").mkdir()
    (await lonely.run("witness", "file", "201", "out")).assert_refused(
        2, "out is a folder; name the file to write in it, such as out/to-send.dat"
    )


async def test_a_case_without_a_file_names_those_that_have_one(lonely: Shell, folder: Path) -> None:
    """Nothing is written for a case in which the client sends no file of ours, or for none."""
    for case in ("401", "999"):
        (await lonely.run("witness", "file", case, "out.dat")).assert_refused(
            2, f"there is no file to send in a case '{case}'; there is one in 201, 202, 502"
        )
    assert not (folder / "out.dat").exists()


async def test_what_the_client_received_is_compared(
    shell: Shell, simulator: Simulator, caller: Caller, folder: Path
) -> None:
    """Equal is exit 0; another file is exit 1, with both sizes and digests."""
    await shell.run(*START, "--case", "401", "--no-wait")
    (message_id,) = await caller.inbox()
    received = (await caller.get(f"inbox/{message_id}")).body
    (folder / "received").write_bytes(received)
    (folder / "other").write_bytes(received[:-1])
    same = await shell.run("witness", "compare", "401", "received", *OF_IT)
    digest = md5(received)
    assert (same.code, same.out) == (0, f"equal  2,000 bytes, MD5 {digest}\n")
    other = await shell.run("witness", "compare", "401", "other", *OF_IT)
    assert other.code == 1
    assert other.out.splitlines()[0] == "not equal"
    assert f"2,000 bytes, MD5 {digest}" in other.out
    assert "1,999 bytes" in other.out
    found = await shell.run("witness", "compare", "401", "other", *OF_IT, "--json")
    assert (found.code, json.loads(found.out)["equal"]) == (1, False)


async def test_there_may_be_nothing_to_compare_with(shell: Shell, folder: Path) -> None:
    """Before anything was sent, for a case that never started, or without the file, it is one line."""
    (folder / "sent").write_bytes(b"sent")
    compare = ("witness", "compare", "201", "sent", *OF_IT)
    (await shell.run(*compare)).assert_refused(2, "has no rehearsal")
    await shell.run(*START, "--case", "201", "--no-wait")
    (await shell.run(*compare)).assert_refused(2, "case 201 has nothing to compare with")
    (await shell.run("witness", "compare", "201", "not-there", *OF_IT)).assert_refused(
        1, "not-there: No such file"
    )


# -- what makes no sense ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["start", "--mailbox", "X26NOBODY"], "X26NOBODY"),
        (["start", "--mailbox", "X26HC065", "--case", "201"], "X26HC065"),
        (["start", *OF_IT, "--case", "999"], "there is no case '999'; 'mesh-sim witness cases' shows"),
        (["start", *OF_IT, "--case", "801"], "801 is judged by the whole traffic and needs no start"),
        (["start", *OF_IT, "--case", "801", "--no-wait"], "801 is judged by the whole traffic"),
        (["start", *OF_IT, "--case", "201", "--required"], "give either --case or --required"),
        (["start", *OF_IT, "--no-wait"], "--no-wait sets up one case and leaves"),
        (["start", *OF_IT, "--no-wait", "--case", "201", "--run", "true"], "give one --case, no --run"),
        (["start", *OF_IT, "--pause"], "--pause waits for Enter, which needs a terminal"),
        (["start", *OF_IT, "--timeout", "soon"], "write it like 5d, 12h, 40m, 30s or 1h30m"),
        (["start"], "Missing option '--mailbox'"),
        (["status", "--mailbox", "X26ABC2"], "X26ABC2"),
        (["stop", "--mailbox", "X26ABC2"], "X26ABC2"),
        (["compare", "999", __file__, *OF_IT], "there is no such case"),
    ],
    ids=lambda value: " ".join(value).replace(__file__, "FILE") if isinstance(value, list) else "",
)
async def test_what_makes_no_sense_is_one_line(shell: Shell, arguments: list[str], text: str) -> None:
    """Mailboxes and cases that there are not, and options that do not go together, are wrong usage."""
    (await shell.run("witness", *arguments)).assert_refused(2, text)


async def test_a_case_that_needs_the_clock_of_another_is_refused(shell: Shell) -> None:
    """The line names the case and the mailbox that have the clock, and how to end that."""
    await shell.run(*START, "--case", "703", "--no-wait")
    refused = await shell.run("witness", "start", "--mailbox", "X26ABC2", "--case", "201")
    refused.assert_refused(2, f"mesh-sim witness stop --mailbox {MAILBOX}")
    assert "703" in refused.err
