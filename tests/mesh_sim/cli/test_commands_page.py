"""docs/commands.md says what there is, all of it, and its examples work."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from commands import COMMANDS, EVERY
from shell import Shell
from support import Simulator

PAGE = (Path(__file__).parents[3] / "docs" / "commands.md").read_text()

COMMON = {"--url", "--json", "--help", "-h"}
"""What is said once for all commands."""

ROWS = {
    match[1]: set(re.findall(r"--[a-z-]+", match[2]))
    for match in re.finditer(r"^\| `(mesh-sim(?: [a-z]+)+)([^`]*)` \|", PAGE, re.MULTILINE)
}
"""The options in the table, by command."""

EXAMPLES = [
    line
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]


def _long_options(command: str) -> set[str]:
    options = {option for parameter in EVERY[command].params for option in parameter.opts}
    return {option for option in options if option.startswith("--")} - COMMON


def test_every_command_is_on_the_page() -> None:
    """The tables name every command there is, and none that there is not."""
    assert sorted(ROWS) == sorted(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_on_the_page(command: str) -> None:
    """A command's row names its options, but for those that all of them have."""
    assert ROWS[command] == _long_options(command)


def test_every_group_has_its_examples() -> None:
    """Each command but those that run for long is shown in use, or its group is."""
    shown = {command for command in COMMANDS for example in EXAMPLES if command in example}
    assert set(COMMANDS) - shown <= {
        "mesh-sim serve",
        "mesh-sim worker",
        "mesh-sim demo",
        "mesh-sim mailbox enable",
        "mesh-sim message show",
        "mesh-sim optouts list",
        "mesh-sim optouts withdraw",
        "mesh-sim faults remove",
        "mesh-sim witness compare",
        "mesh-sim witness report",
    }


async def test_the_examples_run_from_top_to_bottom(shell: Shell, simulator: Simulator) -> None:
    """Typed one after the other into a shell, every example succeeds."""
    await simulator.caller().sent()
    for example in EXAMPLES:
        # What needs a shell of the operating system gets one; the rest need not wait for a process.
        words = shlex.split(example)
        plain = words[0] == "mesh-sim" and not {"|", "$("} & {word[:2].strip() for word in words}
        ran = await (shell.run(*words[1:]) if plain else shell.run_script(f"set -e -o pipefail; {example}"))
        assert ran.code == 0, (example, ran.err)
