"""Pressing Tab: what the shells are told about the command."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from desks import Desk

from ndoo.config import Profile

BASH = shutil.which("bash")


def ndoo(desk: Desk, *arguments: str, **variables: str) -> str:
    """Run the command as a process of its own, as a shell does, and give its output."""
    ran = subprocess.run(
        [sys.executable, "-m", "ndoo", *arguments],
        capture_output=True,
        text=True,
        cwd=desk.folder,
        env={**os.environ, **desk.variables, **variables},
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


def ask(desk: Desk, *words: str, shell: str = "bash", **variables: str) -> str:
    """Ask, as a shell does, how the last word could go on."""
    line = " ".join(("ndoo", *words))
    if shell == "bash":
        asked = {"COMP_WORDS": line, "COMP_CWORD": str(len(words))}
    else:
        asked = {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    return ndoo(desk, _NDOO_COMPLETE=f"complete_{shell}", **asked, **variables)


@pytest.fixture
def waiting(shared_desk: Desk) -> str:
    """Local id of a list that waits for its answer."""
    shared_desk.write_table("weekly list.csv")
    local_id: str = shared_desk.run_here("submit", "weekly list.csv", "--json").json()["local_id"]
    return local_id


@pytest.mark.parametrize(
    ("shell", "beginning"), [("bash", "_ndoo"), ("zsh", "#compdef"), ("fish", "complete")]
)
def test_there_is_a_script_for_each_shell(desk: Desk, shell: str, beginning: str) -> None:
    """--show-completion prints what the shell reads; it asks the command by the variable it knows."""
    # As if the shell could not be told: in a test there is none.
    script = ndoo(desk, "--show-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert script.startswith(beginning)
    assert f"_NDOO_COMPLETE=complete_{shell}" in script


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_lists_that_wait_are_offered(shared_desk: Desk, waiting: str, shell: str) -> None:
    """After collect come the lists that wait for an answer; zsh and fish say what each is."""
    offered = ask(shared_desk, "collect", "X99GP", shell=shell)
    assert waiting in offered
    assert ("weekly list.csv, sent" in offered) is (shell != "bash")


def test_what_does_not_fit_is_not_offered(shared_desk: Desk, waiting: str) -> None:
    """Only what begins like the word is offered: of commands, of lists, of an option's values."""
    assert ask(shared_desk, "collect", "X26") == "\n"
    assert ask(shared_desk, "c").split() == ["check", "collect", "cache"]
    assert ask(shared_desk, "--profile", "i").split() == ["int"]
    assert ask(shared_desk, "--profile", "").split() == [profile.value for profile in Profile]
    assert ask(shared_desk, "--log-level", "").split() == ["info", "debug"]


def test_wrong_settings_offer_nothing_and_say_nothing(shared_desk: Desk, waiting: str) -> None:
    """Whoever presses Tab is not shown an error: the command will tell."""
    assert ask(shared_desk, "collect", "X", NDOO_URL="no address") == "\n"


@pytest.mark.skipif(BASH is None, reason="there is no bash here")
def test_bash_completes(shared_desk: Desk, waiting: str, tmp_path: Path) -> None:
    """A real bash with the installed script goes on with a local id."""
    command = tmp_path / "bin" / "ndoo"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m ndoo "$@"\n')
    command.chmod(0o755)
    script = (
        "source <(ndoo --show-completion bash); COMP_WORDS=(ndoo collect X9); COMP_CWORD=2; "
        '_ndoo_completion ndoo; echo "${COMPREPLY[@]}"'
    )
    variables = {
        "PATH": f"{command.parent}:{os.environ['PATH']}",
        "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1",
    }
    ran = subprocess.run(
        [str(BASH), "--norc", "-c", script],
        capture_output=True,
        text=True,
        cwd=shared_desk.folder,
        env={**os.environ, **shared_desk.variables, **variables},
        check=False,
    )
    assert (ran.stdout, ran.stderr) == (f"{waiting}\n", "")
