"""``mesh-sim mailbox``."""

from __future__ import annotations

import asyncio
import os
import pty
import sys

import pytest
from shell import Ran, Shell
from support import Simulator

PASSWORD = "correct-horse-battery"


async def _can_sign(simulator: Simulator, mailbox: str, password: str) -> bool:
    return (await simulator.caller(mailbox, password).get("inbox")).status == 200


async def test_mailboxes_are_listed_with_what_waits(shell: Shell) -> None:
    """The table has a row a mailbox; programs get the same."""
    await shell.run("message", "put", "X26ABC2", "--count", "3")
    rows = {row[0]: row for row in (await shell.run("mailbox", "list")).rows()}
    assert rows["X26ABC2"] == ["X26ABC2", "TESTMB2", "X26", "yes", "3"]
    listed = (await shell.run("mailbox", "list", "--json")).json()["mailboxes"]
    assert {each["mailbox_id"]: each["waiting"] for each in listed} == {
        name: int(rows[name][-1]) for name in rows
    }


async def test_a_mailbox_is_created_changed_disabled_and_enabled(shell: Shell, simulator: Simulator) -> None:
    """Each step shows the mailbox as it then is, and holds for MESH at once."""
    created = (
        await shell.run("mailbox", "create", "x26new1", "--ods-code", "X99", "--name", "A new one")
    ).facts()
    assert (created["mailbox"], created["ODS code"], created["name"]) == ("X26NEW1", "X99", "A new one")
    assert await _can_sign(simulator, "X26NEW1", "password")
    changed = await shell.run(
        "mailbox",
        "set",
        "X26NEW1",
        "--org-code",
        "O1",
        "--org-name",
        "Org",
        "--billing-entity",
        "B",
        "--json",
    )
    body = changed.json()
    assert (body["org_code"], body["org_name"], body["billing_entity"]) == ("O1", "Org", "B")
    assert (body["mailbox_name"], body["ods_code"]) == ("A new one", "X99")
    assert (await shell.run("mailbox", "disable", "X26NEW1")).facts()["active"].startswith("no")
    assert not await _can_sign(simulator, "X26NEW1", "password")
    assert [row for row in (await shell.run("mailbox", "list")).rows() if "no" in row]
    assert (await shell.run("mailbox", "enable", "X26NEW1", "--json")).json()["active"] is True
    assert await _can_sign(simulator, "X26NEW1", "password")
    assert (await shell.run("mailbox", "create", "X26NEW2", "--disabled", "--json")).json()["active"] is False


async def test_a_password_comes_from_the_environment_or_standard_input(
    shell: Shell, simulator: Simulator
) -> None:
    """With --password-prompt the password is the variable's, else standard input's; it is never shown."""
    named = {"MESH_SIM_NEW_PASSWORD": PASSWORD}
    ran = await shell.run("mailbox", "create", "X26NEW1", "--password-prompt", **named)
    assert ran.code == 0, ran.err
    assert await _can_sign(simulator, "X26NEW1", PASSWORD)
    piped = await shell.run("mailbox", "set", "X26NEW1", "--password-prompt", stdin="another\r\n")
    assert piped.code == 0, piped.err
    assert await _can_sign(simulator, "X26NEW1", "another")
    assert PASSWORD not in ran.out + ran.err
    assert "another" not in piped.out + piped.err


async def test_the_variable_alone_changes_nothing(shell: Shell, simulator: Simulator) -> None:
    """A password left in the environment disturbs no command, and is used only where it is asked for."""
    named = {"MESH_SIM_NEW_PASSWORD": PASSWORD}
    assert (await shell.run("mailbox", "set", "X26ABC1", "--name", "Other", **named)).code == 0
    assert await _can_sign(simulator, "X26ABC1", "password")
    assert (await shell.run("clock", "show", **named)).code == 0


async def test_a_password_typed_on_a_terminal_stays_hidden(shell: Shell, simulator: Simulator) -> None:
    """On a terminal it is asked for twice and not echoed."""
    ours, theirs = pty.openpty()
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "mesh_sim", "mailbox", "set", "X26ABC1", "--password-prompt",
            cwd=shell.folder,
            env={"PATH": os.environ["PATH"], "MESH_SIM_PORT": shell.url.rpartition(":")[2], "TERM": "dumb"},
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        )  # fmt: skip
        shown = b""
        async with asyncio.timeout(30):
            for prompt in (b"New password of X26ABC1: ", b"Repeat for confirmation: "):
                while prompt not in shown:
                    shown += await asyncio.to_thread(os.read, ours, 1024)
                os.write(ours, PASSWORD.encode() + b"\n")
            assert await process.wait() == 0
        shown += os.read(ours, 4096)
    finally:
        os.close(theirs)
        os.close(ours)
    assert PASSWORD.encode() not in shown
    assert await _can_sign(simulator, "X26ABC1", PASSWORD)


async def test_a_name_cannot_steer_the_terminal(shell: Shell) -> None:
    """What came over the network is shown without escape sequences, and is not taken for markup."""
    await shell.run("mailbox", "set", "X26ABC1", "--name", "\x1b]0;title\x07[red]name")
    ran = await shell.run("mailbox", "list")
    assert "\N{REPLACEMENT CHARACTER}]0;title\N{REPLACEMENT CHARACTER}[red]name" in ran.out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["set", "X26NONE", "--name", "x"], "there is no mailbox X26NONE; known are X26ABC1"),
        (["disable", "X26NONE"], "there is no mailbox X26NONE"),
        (["enable", "X26NONE"], "there is no mailbox X26NONE"),
        (["create", "X26ABC1"], "is there already; change it with 'mesh-sim mailbox set'"),
        (["create", "two words"], "mailbox_id"),
        (["create", "X26NEW1", "--name", "x" * 201], "must have at most 200 characters"),
        (["set", "X26ABC1"], "nothing is to change; say what"),
        (["set", "X26ABC1", "--password-prompt"], "the password is empty"),
        (["set"], "Missing argument 'MAILBOX'"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
async def test_misuse_changes_nothing(shell: Shell, arguments: list[str], text: str) -> None:
    """What makes no sense is wrong usage, said in one line; the mailboxes stay as they were."""
    before = await shell.run("mailbox", "list", "--json")
    ran: Ran = await shell.run("mailbox", *arguments)
    ran.assert_refused(2, text)
    assert (await shell.run("mailbox", "list", "--json")).out == before.out
