"""Every recipe of docs/recipes.md, and those of README, run as they stand."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from mesh_sim import Simulator

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
HEADING = "## Make it do what your tests need"
PAGE = (
    (ROOT / "docs" / "recipes.md").read_text("utf-8")
    + HEADING
    + README.partition(HEADING)[2].partition("\n## ")[0]
)
SERVING = "mesh-sim serve"


def _recipes(language: str) -> list[Any]:
    """Give the page's blocks of a language, each named by its section."""
    found = []
    section = ""
    for match in re.finditer(rf"^## ([^\n]*)$|^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        section = match[1] or section
        if match[2]:
            found.append(pytest.param(match[2], id=section))
    assert found
    return found


def _environment(**variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NDOO_", "MESH_SIM_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return kept | {"PATH": path} | variables


def _bash(script: str, folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("script", [r for r in _recipes("sh") if SERVING not in r.values[0]])
def test_the_commands_run(script: str, tmp_path: Path) -> None:
    """Each command of a recipe succeeds against a running simulator."""
    with Simulator() as sim:
        port = sim.url.rpartition(":")[2]
        shown = _bash(script, tmp_path, _environment(MESH_SIM_PORT=port))
        if "weekly-7" in script:
            (report,) = sim.messages("X26ABC1", message_type="REPORT")
            assert report.message_id in shown
        if "--count 600" in script:
            assert len(sim.messages()) == 600


@pytest.mark.parametrize("code", _recipes("python"))
def test_the_tests_pass(code: str, tmp_path: Path) -> None:
    """Each test of a recipe passes by itself."""
    (tmp_path / "test_recipe.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:asyncio", "-W", "error", "test_recipe.py"],
        cwd=tmp_path,
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


@contextmanager
def _served(command: str, folder: Path, port: int) -> Iterator[dict[str, str]]:
    """Run a command that serves, until the test is over; gives the environment that finds it."""
    environment = _environment(MESH_SIM_PORT=str(port), NDOO_URL=f"http://127.0.0.1:{port}", NDOO_DATA="ndoo")
    process = subprocess.Popen(shlex.split(command), cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    try:
        _bash("mesh-sim ready --wait 30s", folder, environment)
        yield environment
    finally:
        process.terminate()
        assert process.wait(30) == 0


def test_the_scenario_is_served(tmp_path: Path, unused_tcp_port: int) -> None:
    """The recipe's file is found where it says, and its messages wait."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    (script,) = (r.values[0] for r in _recipes("sh") if SERVING in r.values[0])
    with _served(script.strip(), tmp_path, unused_tcp_port) as environment:
        listed = json.loads(_bash("mesh-sim mailbox list --json", tmp_path, environment))
        waiting = {mailbox["mailbox_id"]: mailbox["waiting"] for mailbox in listed["mailboxes"]}
        assert waiting["X99SUP01"] == 600


def test_the_workflow_is_valid_and_its_steps_run(tmp_path: Path, unused_tcp_port: int) -> None:
    """GitHub's schema accepts the workflow, and its commands run one after the other."""
    (recipe,) = _recipes("yaml")
    workflow = tmp_path / "workflow.yml"
    workflow.write_text(recipe.values[0])
    _bash(f"check-jsonschema --builtin-schema vendor.github-workflows {workflow}", tmp_path, _environment())
    steps = YAML(typ="safe").load(workflow)["jobs"]["exchange"]["steps"]
    commands = [step["run"] for step in steps if "run" in step and not step["run"].startswith("pip ")]
    assert len(commands) == 3
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    environment = _environment(
        MESH_SIM_PORT=str(unused_tcp_port), NDOO_URL=f"http://127.0.0.1:{unused_tcp_port}", NDOO_DATA="ndoo"
    )
    # One shell for all of them: what the first step starts in the background ends with the test.
    script = "\n".join(["trap 'kill $(jobs -p)' EXIT", *commands])
    shown = _bash(script, tmp_path, environment)
    assert (tmp_path / "cleaned.csv").exists()
    assert "ready at" in shown
