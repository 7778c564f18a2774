"""``mesh-sim message`` and ``mesh-sim wait``."""

from __future__ import annotations

import asyncio
import time

import pytest
from shell import Shell
from support import UNKNOWN_ID, Simulator


async def test_messages_put_into_an_inbox_are_there(shell: Shell, simulator: Simulator) -> None:
    """What `put` says becomes of each message; with several, ids and local ids are counted."""
    ran = await shell.run(
        "message", "put", "X26ABC2", "--from", "X26ABC3", "--workflow", "W", "--count", "3", "--body", "text",
        "--subject", "Subject", "--local-id", "batch", "--file-name", "a.txt", "--content-type", "text/plain",
    )  # fmt: skip
    facts = ran.facts()
    assert facts["put"].split()[0] == "3"
    receiver = simulator.caller("X26ABC2")
    assert await receiver.inbox() == [facts["first"], *(await receiver.inbox())[1:2], facts["last"]]
    answer = await receiver.get(f"inbox/{facts['last']}", version=2)
    assert answer.body == b"text"
    assert str(answer.content_type).startswith("text/plain")
    mex = answer.mex()
    assert (mex["mex-from"], mex["mex-workflowid"], mex["mex-localid"]) == ("X26ABC3", "W", "batch-3")
    assert (mex["mex-subject"], mex["mex-filename"]) == ("Subject", "a.txt")


@pytest.mark.parametrize("source", ["body.bin", "-"])
async def test_a_body_comes_from_a_file_or_standard_input(
    shell: Shell, simulator: Simulator, source: str
) -> None:
    """The bytes of a file, whatever they are, are the body."""
    body = bytes(range(256))
    (shell.folder / "body.bin").write_bytes(body)
    ran = await shell.run("message", "put", "X26ABC2", "--body-file", source, "--json", stdin=body)
    (message_id,) = ran.json()["message_ids"]
    assert (await simulator.caller("X26ABC2").get(f"inbox/{message_id}")).body == body


async def test_one_message_is_its_id(shell: Shell, simulator: Simulator) -> None:
    """Putting one message prints its id and nothing else, for use in a script."""
    ran = await shell.run("message", "put", "X26ABC2")
    assert await simulator.caller("X26ABC2").inbox() == [ran.out.strip()]


@pytest.mark.parametrize("columns", ["80", "100"])
async def test_messages_are_listed_by_what_they_are(shell: Shell, columns: str) -> None:
    """The options choose, and the table fits the terminal."""
    await shell.run("message", "put", "X26ABC2", "--local-id", "one", "--subject", "s1")
    await shell.run("message", "put", "X26ABC3", "--local-id", "two", "--workflow", "W2", "--from", "X26ABC2")
    await shell.run("clock", "advance", "5d")

    async def listed(*arguments: str) -> list[str]:
        body = (await shell.run("message", "list", *arguments, "--json")).json()
        return sorted(each["local_id"] for each in body["messages"])

    assert await listed() == ["one", "one", "two", "two"]
    assert await listed("--mailbox", "x26abc2") == ["one", "two"]
    assert await listed("--sender", "X26ABC2") == ["two"]
    assert await listed("--workflow", "W2") == ["two", "two"]
    assert await listed("--local-id", "one", "--type", "data") == ["one"]
    assert await listed("--subject", "s1") == ["one"]
    assert await listed("--status", "undeliverable") == ["one", "two"]
    assert await listed("--limit", "1") == ["one"]
    ran = await shell.run("message", "list", COLUMNS=columns)
    assert max(map(len, ran.out.splitlines())) <= int(columns)
    assert all(text in ran.out for text in ("undeliverable", "report", "one", "two"))
    few = await shell.run("message", "list", "--limit", "2")
    assert len(few.rows()) == 2
    assert "--limit shows more" in few.err
    none = await shell.run("message", "list", "--workflow", "W9")
    assert (none.code, none.out, none.err) == (0, "", "no messages\n")


async def test_a_message_is_shown(shell: Shell) -> None:
    """Everything that matters of one message is shown, whatever became of it; so is its report."""
    message_id = (await shell.run("message", "put", "X26ABC2", "--local-id", "one")).out.strip()
    await shell.run("clock", "advance", "5d")
    facts = (await shell.run("message", "show", message_id.lower())).facts()
    assert (facts["message id"], facts["status"]) == (message_id, "undeliverable")
    assert facts["to"].split() == ["X26ABC2", "TESTMB2", "X26"]
    assert facts["local id"] == "one"
    assert "not collected" in facts["reason"]
    body = (await shell.run("message", "show", message_id, "--json")).json()
    assert (body["message_id"], body["status"]) == (message_id, "Undeliverable")
    listed = await shell.run("message", "list", "--type", "report", "--json")
    report = (await shell.run("message", "show", listed.json()["messages"][0]["message_id"])).facts()
    assert (report["type"], report["about"]) == ("Report", message_id)
    assert "not collected" in report["reason"]


async def test_a_message_is_put_into_any_status(shell: Shell, simulator: Simulator) -> None:
    """An acknowledged message can be accepted again; a failure says what failed."""
    message_id = (await shell.run("message", "put", "X26ABC2")).out.strip()
    done = await shell.run("message", "status", message_id, "acknowledged")
    assert done.out == f"{message_id} is now acknowledged\n"
    assert await simulator.caller("X26ABC2").inbox() == []
    again = await shell.run("message", "status", message_id, "accepted", "--json")
    assert again.json() == {"message_id": message_id, "status": "accepted"}
    assert await simulator.caller("X26ABC2").inbox() == [message_id]
    failed = await shell.run(
        "message", "status", message_id, "error", "--code", "21", "--event", "SEND", "--description", "Lost",
        "--linked", UNKNOWN_ID,
    )  # fmt: skip
    assert failed.code == 0, failed.err
    tracked = await simulator.caller("X26ABC1").track(message_id)
    assert (tracked["status"], tracked["status_code"]) == ("error", "21")
    assert tracked["status_description"] == "Lost"


async def test_reports_are_put_into_an_inbox(shell: Shell, simulator: Simulator) -> None:
    """Without a code the report is of a message that nobody collected, with one of an error."""
    lost = await shell.run(
        "message", "report", "X26ABC1", "--local-id", "b1", "--subject", "S", "--linked", UNKNOWN_ID
    )
    assert lost.code == 0, lost.err
    mex = (await simulator.caller().get(f"inbox/{lost.out.strip()}")).mex()
    assert (mex["mex-messagetype"], mex["mex-statuscode"], mex["mex-localid"]) == ("REPORT", "14", "b1")
    assert (mex["mex-subject"], mex["mex-linkedmsgid"]) == ("NDR: S", UNKNOWN_ID)
    broken = await shell.run(
        "message", "report", "X26ABC1", "--code", "99", "--description", "Broken", "--workflow", "W",
        "--file-name", "a.txt", "--json",
    )  # fmt: skip
    mex = (await simulator.caller().get(f"inbox/{broken.json()['message_id']}")).mex()
    assert (mex["mex-statuscode"], mex["mex-statusdescription"]) == ("99", "Broken")
    assert mex["mex-workflowid"] == "W"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["list", "--mailbox", "X26NONE"], "there is no mailbox X26NONE"),
        (["list", "--status", "lost"], "'lost' is not one of 'uploading', 'accepted'"),
        (["list", "--type", "letter"], "type: must be 'DATA' or 'REPORT'"),
        (["list", "--limit", "0"], "limit: must be at least 1"),
        (["show", UNKNOWN_ID], f"there is no message {UNKNOWN_ID}; 'mesh-sim message list' shows"),
        (["show", ".."], "there is no message ..;"),
        (["show", " "], "an empty text names nothing"),
        (["status", UNKNOWN_ID, "accepted"], "there is no message"),
        (["status", UNKNOWN_ID, "lost"], "'lost' is not one of"),
        (["status", UNKNOWN_ID, "error", "--code", "x" * 501], "at most 500 characters"),
        (["put", "X26NONE"], "to: there is no mailbox X26NONE"),
        (["put", "X26ABC2", "--from", "X26NONE"], "from: there is no mailbox X26NONE"),
        (["put", "X26ABC2", "--count", "0"], "count: must be at least 1"),
        (["put", "X26ABC2", "--count", "100001"], "count: must be at most 100000"),
        (["put", "X26ABC2", "--body", ""], "a body has 1 to 65536 bytes"),
        (["put", "X26ABC2", "--body", "x", "--body-file", "y"], "either --body or --body-file"),
        (["put", "X26ABC2", "--body-file", "large"], "large: has more than 65,536 bytes"),
        (["report", "X26NONE"], "there is no mailbox X26NONE"),
        (["report", "X26ABC1", "--description", "x"], "give both"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
async def test_misuse_is_answered_in_a_line(shell: Shell, arguments: list[str], text: str) -> None:
    """What makes no sense is wrong usage, and no message comes into being."""
    (shell.folder / "large").write_bytes(bytes(65537))
    (await shell.run("message", *arguments)).assert_refused(2, text)
    assert (await shell.run("message", "list", "--json")).json() == {"messages": []}


async def test_a_file_that_is_not_there_is_named(lonely: Shell) -> None:
    """A body that cannot be read is told as what it is, before anybody is asked."""
    ran = await lonely.run("message", "put", "X26ABC2", "--body-file", "nothing.txt")
    ran.assert_refused(1, "nothing.txt: No such file or directory")


# -- waiting ------------------------------------------------------------------------------------------


async def test_wait_ends_when_the_message_is_there(shell: Shell, simulator: Simulator) -> None:
    """A wait in one terminal ends with the message that is sent from another."""
    async with shell.running("wait", "--local-id", "late", "--timeout", "30s", "--json") as process:
        async with asyncio.timeout(30):
            while not simulator.server.exchange.events._watchers:  # noqa: ASYNC110 -- nothing tells
                await asyncio.sleep(0.02)
        message_id = await simulator.caller().sent(headers={"Mex-LocalID": "late"})
        out, err = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, err) == (0, b"")
    assert message_id in out.decode()


async def test_wait_lists_what_is_there(shell: Shell) -> None:
    """What is there already is given at once, as a table or for programs."""
    await shell.run("message", "put", "X26ABC2", "--count", "2", "--subject", "s", "--local-id", "l")
    options = ["--mailbox", "X26ABC2", "--sender", "X26ABC1", "--workflow", "TEST_WORKFLOW", "--subject", "s"]
    options += ["--status", "accepted", "--type", "data", "--count", "2"]
    assert len((await shell.run("wait", *options)).rows()) == 2
    assert len((await shell.run("wait", *options, "--json")).json()["messages"]) == 2


async def test_not_in_time_is_exit_3(shell: Shell) -> None:
    """Too few in time: exit 3, saying how many of how many were there and what to do."""
    await shell.run("message", "put", "X26ABC2")
    begun = time.monotonic()
    ran = await shell.run("wait", "--mailbox", "X26ABC2", "--count", "2", "--timeout", "0.2s")
    ran.assert_refused(3, "1 of 2 matching messages were there after 0.2s; wait longer with --timeout")
    assert "mesh-sim journal --refused" in ran.err
    assert time.monotonic() - begun < 5
    machine = await shell.run("wait", "--mailbox", "X26ABC1", "--timeout", "0", "--json")
    assert machine.code == 3
    assert '"kind": "NotInTime"' in machine.out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--mailbox", "X26NONE"], "there is no mailbox X26NONE"),
        (["--timeout", "11m"], "timeout: must be at most 10 min"),
        (["--timeout", "-1s"], "cannot be negative"),
        (["--timeout", "later"], "is not a duration"),
        (["--count", "0"], "count: must be at least 1"),
    ],
)
async def test_a_wait_for_nothing_is_refused(shell: Shell, arguments: list[str], text: str) -> None:
    """A wait that cannot be meant is refused at once."""
    (await shell.run("wait", *arguments)).assert_refused(2, text)
