"""``mesh-sim journal``."""

from __future__ import annotations

import asyncio
import json
import re
import signal

import pytest
from shell import Ran, Shell, ended
from support import Simulator

LINE = re.compile(r"\d\d:\d\d:\d\d  (\S+) +(\S+) +(\d{3}|---) +.*?\d ms(?:  (\d{20}_[0-9A-F]{6}))?")


def _requests(ran: Ran) -> list[tuple[str, ...]]:
    assert ran.code == 0, ran.err
    return [match.groups("") for line in ran.out.splitlines() if (match := LINE.fullmatch(line))]


async def _traffic(simulator: Simulator) -> str:
    """Make three requests: one accepted, one with a wrong key, one without a token."""
    message_id = await simulator.caller().sent(b"12345")
    await simulator.caller("X26ABC2", shared_key="Banana").get("inbox")
    await simulator.caller("X26ABC3").get("inbox", authorization=None)
    return message_id


async def test_a_request_is_a_line_and_a_refusal_says_why(shell: Shell, simulator: Simulator) -> None:
    """Oldest first, the day once, and under a refusal its reason and its near misses."""
    message_id = await _traffic(simulator)
    ran = await shell.run("journal")
    assert _requests(ran) == [
        ("X26ABC1", "send", "202", message_id),
        ("X26ABC2", "list", "403", ""),
        ("X26ABC3", "list", "403", ""),
    ]
    lines = ran.out.splitlines()
    assert re.fullmatch(r"\w+day \d\d \w+ \d{4}, UTC", lines[0])
    assert "5 B in" in lines[1]
    assert lines[3].startswith("          the hash does not match")
    assert any(
        "hash is right for the shared key 'Banana'" in line and line[:12] == " " * 10 + "- " for line in lines
    )


async def test_a_narrow_terminal_keeps_a_request_on_its_line(shell: Shell, simulator: Simulator) -> None:
    """At 80 columns the sizes are left out, and nothing else."""
    message_id = await _traffic(simulator)
    ran = await shell.run("journal", "--status", "2xx", COLUMNS="80")
    assert _requests(ran) == [("X26ABC1", "send", "202", message_id)]
    assert " in " not in ran.out
    assert max(map(len, ran.out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--mailbox", "x26abc2"], ["X26ABC2"]),
        (["--operation", "send"], ["X26ABC1"]),
        (["--status", "403"], ["X26ABC2", "X26ABC3"]),
        (["--status", "4xx", "--limit", "1"], ["X26ABC3"]),
        (["--refused"], ["X26ABC2", "X26ABC3"]),
        (["--since", "10m"], ["X26ABC1", "X26ABC2", "X26ABC3"]),
        (["--since", "2100-01-01T00:00:00Z"], []),
    ],
    ids=" ".join,
)
async def test_the_options_choose(
    shell: Shell, simulator: Simulator, arguments: list[str], expected: list[str]
) -> None:
    """People and programs get the requests that the options say; nothing found is no error."""
    await _traffic(simulator)
    ran = await shell.run("journal", *arguments)
    assert [mailbox for mailbox, *_ in _requests(ran)] == expected
    if not expected:
        assert ran.err == "no requests\n"
    entries = (await shell.run("journal", *arguments, "--json")).json()["entries"]
    assert [entry["mailbox"] for entry in reversed(entries)] == expected


async def test_a_message_and_a_fault_are_followed_up(shell: Shell, simulator: Simulator) -> None:
    """The requests about one message are found by its id; what a fault did is said."""
    message_id = await _traffic(simulator)
    await shell.run("faults", "add", "acknowledge", "status", "--status", "503", "--times", "1")
    await simulator.caller("X26ABC2").acknowledge(message_id)
    ran = await shell.run("journal", "--message-id", message_id)
    assert [(operation, status) for _, operation, status, _ in _requests(ran)] == [
        ("send", "202"),
        ("acknowledge", "503"),
    ]
    assert "fault f1 acted on it" in ran.out


async def test_the_journal_is_emptied(shell: Shell, simulator: Simulator) -> None:
    """--clear forgets every entry, once it is confirmed."""
    await _traffic(simulator)
    (await shell.run("journal", "--clear")).assert_refused(2, "this needs --yes")
    assert (await shell.run("journal", "--clear", "--yes")).out == "3 entries forgotten\n"
    assert (await shell.run("journal", "--clear", "--yes", "--json")).json() == {"deleted": 0}
    assert (await shell.run("journal", "--json")).json()["entries"] == []


@pytest.mark.parametrize("options", [(), ("--json",)])
async def test_following_shows_what_comes(
    shell: Shell, simulator: Simulator, options: tuple[str, ...]
) -> None:
    """The latest requests first, then each new one once, until Ctrl-C."""
    await _traffic(simulator)
    arguments = ("journal", "--follow", "--operation", "send", *options)
    async with shell.running(*arguments) as process, asyncio.timeout(30):
        assert process.stdout is not None
        seen = [await _line_with(process.stdout, "send")]
        for _ in range(2):
            await simulator.caller("X26ABC3").send()
            seen.append(await _line_with(process.stdout, "send"))
        process.send_signal(signal.SIGINT)
        ran = await ended(process)
    assert (ran.code, ran.out, ran.err) == (130, "", "")
    assert ["X26ABC1" in line for line in seen] == [True, False, False]
    if options:
        assert len({json.loads(line)["number"] for line in seen}) == 3


async def _line_with(stream: asyncio.StreamReader, text: str) -> str:
    while text not in (line := (await stream.readline()).decode()):
        assert line, "it ended too soon"
    return line


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--status", "9xx9"], "status: must be a status such as 403, a class such as 4xx"),
        (["--operation", "nothing"], "operation: there is no such operation; known are"),
        (["--since", "never"], "since: must be a time such as"),
        (["--limit", "0"], "limit: must be at least 1"),
        (["--clear", "--follow"], "give it alone"),
        (["--clear", "--refused"], "give it alone"),
    ],
)
async def test_a_journal_asked_for_wrongly(shell: Shell, arguments: list[str], text: str) -> None:
    """What makes no sense is wrong usage, in one line."""
    (await shell.run("journal", *arguments)).assert_refused(2, text)
