"""The command as a whole: its help, its start, and that nothing of the API is out of its reach."""

from __future__ import annotations

import asyncio
import re
import sys

import pytest
from commands import COMMANDS, EVERY
from shell import Ran, Shell, ended

from mesh_sim.api.routes import ROUTES

REACHED = {
    ("GET", "/admin/ready"): "ready",
    ("GET", "/admin/clock"): "clock show",
    ("POST", "/admin/clock"): "clock advance",
    ("GET", "/admin/mailboxes"): "mailbox list",
    ("POST", "/admin/mailboxes"): "mailbox create",
    ("PATCH", "/admin/mailboxes"): "mailbox set",
    ("GET", "/admin/mailbox/{mailbox_id}"): "mailbox list",
    ("GET", "/admin/messages"): "message list",
    ("POST", "/admin/messages"): "message put",
    ("GET", "/admin/message/{message_id}"): "message show",
    ("POST", "/admin/message/{message_id}/event"): "message status",
    ("POST", "/messageexchange/admin/report"): "message report",
    ("GET", "/admin/wait"): "wait",
    ("GET", "/admin/faults"): "faults list",
    ("POST", "/admin/faults"): "faults add",
    ("DELETE", "/admin/faults"): "faults clear",
    ("DELETE", "/admin/faults/{rule_id}"): "faults remove",
    ("GET", "/admin/optouts"): "optouts list",
    ("PUT", "/admin/optouts"): "optouts add",
    ("PATCH", "/admin/optouts"): "optouts rate",
    ("DELETE", "/admin/optouts"): "optouts forget",
    ("POST", "/admin/optouts/load"): "optouts load",
    ("GET", "/admin/optouts/statistics"): "optouts statistics",
    ("GET", "/admin/optouts/{nhs_number}"): "optouts show",
    ("PUT", "/admin/optouts/{nhs_number}"): "optouts add",
    ("DELETE", "/admin/optouts/{nhs_number}"): "optouts withdraw",
    ("GET", "/admin/journal"): "journal",
    ("DELETE", "/admin/journal"): "journal",
    ("GET", "/admin/events"): "events",
    ("GET", "/admin/witness/cases"): "witness cases",
    ("POST", "/admin/witness"): "witness start",
    ("GET", "/admin/witness"): "witness status",
    ("POST", "/admin/witness/finish"): "witness start",
    ("POST", "/admin/witness/compare"): "witness compare",
    ("DELETE", "/admin/witness"): "witness stop",
    ("GET", "/admin/witness/report"): "witness report",
    ("DELETE", "/admin/reset"): "reset",
    ("DELETE", "/admin/reset/{mailbox_id}"): "reset",
    ("GET", "/metrics"): "metrics",
}
"""Which command does what the control API does."""


def test_everything_the_api_does_a_command_does() -> None:
    """No control path is without its command, under either of the prefixes it has."""
    control = {
        (route.method, route.path.removeprefix("/messageexchange"))
        for route in ROUTES
        if "/admin/" in route.path or route.path == "/metrics"
    }
    assert control == {(method, path.removeprefix("/messageexchange")) for method, path in REACHED}
    assert {f"mesh-sim {command}" for command in REACHED.values()} <= set(COMMANDS)


@pytest.mark.parametrize("command", EVERY)
async def test_help_shows_what_a_command_does_with_an_example(lonely: Shell, command: str) -> None:
    """Each command's help fits a terminal and ends in an example of that command."""
    ran = await lonely.run(*command.split()[1:], "--help", COLUMNS="80")
    assert (ran.code, ran.err) == (0, "")
    assert f"Example: {command} " in " ".join(ran.out.split()) + " "
    assert max(map(len, ran.out.splitlines())) <= 80


@pytest.mark.parametrize("command", [path for path in EVERY if path not in COMMANDS])
async def test_a_group_alone_shows_its_help(lonely: Shell, command: str) -> None:
    """Without a command a group shows what there is, and that is wrong usage."""
    ran = await lonely.run(*command.split()[1:])
    assert ran.code == 2
    assert "Usage:" in ran.out
    assert ran.err == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_every_answer_is_to_be_had_in_json(command: str) -> None:
    """Programs get JSON from every command that answers with something."""
    options = {option for parameter in EVERY[command].params for option in parameter.opts}
    assert ("--json" in options) is (command not in {"mesh-sim serve", "mesh-sim worker", "mesh-sim demo"})


@pytest.mark.parametrize("command", COMMANDS)
def test_no_secret_is_an_option(command: str) -> None:
    """Passwords, keys and tokens do not go on the command line, where others can read them."""
    taking_values = [
        option
        for parameter in EVERY[command].params
        if not getattr(parameter, "is_flag", False)
        for option in parameter.opts
    ]
    assert not [option for option in taking_values if re.search("password|token|key|secret", option)]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["clok"], "No such command 'clok'"),
        (["clock", "shwo"], "see 'mesh-sim clock --help'"),
        (["clock", "show", "--verbose"], "No such option: --verbose"),
        (["clock", "advance"], "Missing argument 'TIME'; see 'mesh-sim clock advance --help'"),
        (["faults", "add", "send", "reset", "--nth", "often"], "--nth"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
async def test_a_slip_of_the_keyboard_is_a_line(lonely: Shell, arguments: list[str], text: str) -> None:
    """What does not parse is wrong usage in one line, which says where the help is."""
    (await lonely.run(*arguments)).assert_refused(2, text)


async def test_a_wrong_setting_is_told_before_anything_is_asked(lonely: Shell) -> None:
    """A setting that makes no sense stops a command as it stops the server."""
    ran = await lonely.run("clock", "show", MESH_SIM_TLS="sometimes")
    ran.assert_refused(2, "MESH_SIM_TLS = 'sometimes'")


async def test_help_loads_nothing_heavy(lonely: Shell) -> None:
    """Help comes at once: what commands need is loaded by the commands."""
    program = (
        "import sys, mesh_sim.cli\n"
        "print(*{'numpy', 'aiohttp', 'pydantic', 'rich', 'cryptography'} & set(sys.modules), 'done')"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, cwd=lonely.folder, stdout=asyncio.subprocess.PIPE
    )
    assert (await process.communicate())[0].strip() == b"done"


async def test_ctrl_c_while_it_starts_is_no_traceback(lonely: Shell) -> None:
    """Interrupted while its modules are loaded, the command ends as it does later on."""
    program = (
        "import sys\n"
        "class Interrupting:\n"
        "    def find_spec(name, *_):\n"
        "        if name == 'mesh_sim.cli.root':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupting)\n"
        "from mesh_sim.cli import app\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        cwd=lonely.folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert await ended(process) == Ran(130, "", "mesh-sim: interrupted\n")
