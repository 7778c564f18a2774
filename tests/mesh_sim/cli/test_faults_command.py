"""``mesh-sim faults``."""

from __future__ import annotations

import aiohttp
import pytest
from shell import Shell
from support import Simulator


async def test_a_rule_acts_is_counted_and_removed(shell: Shell, simulator: Simulator) -> None:
    """A fault added from the shell hits the client, is counted in the list, and ends when removed."""
    added = await shell.run("faults", "add", "send", "status", "--status", "503", "--retry-after", "5s")
    assert added.rows() == [["f1", "send", "any", "status 503, retry after 5s", "always", "0", "0"]]
    caller = simulator.caller()
    refused = await caller.send()
    assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
    assert (await shell.run("faults", "list")).rows()[0][-2:] == ["1", "1"]
    removed = await shell.run("faults", "remove", "F1")
    assert removed.rows()[0][0] == "f1"
    assert removed.err == "no longer in force\n"
    assert (await caller.send()).status == 202
    assert (await shell.run("faults", "list")).err == "no faults\n"


@pytest.mark.parametrize(
    ("arguments", "does", "when"),
    [
        (["send", "status", "--status", "500", "--times", "1"], "status 500", "once"),
        (["download", "truncate"], "truncate to half", "always"),
        (["download", "truncate", "--after-bytes", "1000"], "truncate to 1,000 bytes", "always"),
        (["*", "delay", "--delay", "1m30s"], "delay 1m30s", "always"),
        (["list", "reset", "--nth", "3", "--times", "2"], "reset", "from no. 3 on, 2 times"),
        (
            ["send", "lose-response", "--probability", "0.5", "--seed", "7"],
            "lose-response",
            "chance 0.5 (seed 7)",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
async def test_every_kind_of_rule(shell: Shell, arguments: list[str], does: str, when: str) -> None:
    """Each action with its options is put in force, and the table says in words what it does and when."""
    ran = await shell.run("faults", "add", *arguments, "--mailbox", "x26abc1")
    operation = "any" if arguments[0] == "*" else arguments[0]
    assert ran.rows() == [["f1", operation, "X26ABC1", does, when, "0", "0"]]
    assert max(map(len, (await shell.run("faults", "list", COLUMNS="80")).out.splitlines())) <= 80


async def test_faults_for_programs(shell: Shell, simulator: Simulator) -> None:
    """--json gives the rule with its counters; an exhausted rule is shown as such."""
    added = (await shell.run("faults", "add", "send", "reset", "--times", "1", "--json")).json()
    assert (added["id"], added["action"], added["times"], added["hits"]) == ("f1", "reset", 1, 0)
    with pytest.raises(aiohttp.ClientError):
        await simulator.caller().send()
    assert (await shell.run("faults", "list", "--json")).json()["faults"][0]["exhausted"] is True
    assert (await shell.run("faults", "list")).rows()[0][4] == "exhausted"
    await shell.run("faults", "add", "send", "reset")
    assert len((await shell.run("faults", "clear", "--json")).json()["removed"]) == 2
    cleared = await shell.run("faults", "clear")
    assert (cleared.code, cleared.err) == (0, "no faults\n")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["add", "send", "explode"], "'explode' is not one of 'status', 'delay', 'reset'"),
        (["add", "nothing", "reset"], "operation: there is no such operation; known are"),
        (["add", "send", "status"], "status: is needed with action status: from 400 to 599"),
        (["add", "send", "status", "--status", "200"], "status: must be from 400 to 599"),
        (["add", "send", "reset", "--status", "500"], "status: goes only with action status"),
        (["add", "send", "reset", "--probability", "1.5"], "probability: must be from 0 to 1"),
        (["add", "send", "reset", "--nth", "0"], "nth: must be from 1"),
        (["add", "send", "delay", "--delay", "-3s"], "delay: a length of time cannot be negative"),
        (["add", "send", "delay", "--delay", "11m"], "delay: must be longer than 0 and at most 10 minutes"),
        (["add", "send", "reset", "--mailbox", "X26NONE"], "mailbox: there is no mailbox X26NONE"),
        (["add", "send"], "Missing argument 'ACTION'"),
        (["remove", "f9"], "there is no such rule; in force are: f1"),
        (["remove", ""], "an empty text names nothing"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
async def test_a_rule_that_makes_no_sense_is_not_added(shell: Shell, arguments: list[str], text: str) -> None:
    """Wrong usage in one line with what is allowed; the rules in force stay."""
    await shell.run("faults", "add", "download", "reset")
    (await shell.run("faults", *arguments)).assert_refused(2, text)
    assert len((await shell.run("faults", "list", "--json")).json()["faults"]) == 1
