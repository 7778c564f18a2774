"""The commands, the output and the workflow of docs/witness.md, as they stand."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

import pytest
from ruamel.yaml import YAML

from mesh_sim import Simulator
from mesh_sim.cli.witness_run import told
from mesh_sim.witness.catalogue import CASES, STAGED
from ndoo import Credentials, sync

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = (ROOT / "docs" / "witness.md").read_text("utf-8")
CLIENT: Final = "examples/witness/client.sh"
WIDTH: Final = "96"
"""Columns of the terminal whose output the page shows."""


def _block(language: str, containing: str) -> str:
    blocks = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (found,) = (block for block in blocks if containing in block)
    return str(found)


def _environment(**variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NDOO_", "MESH_SIM_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return kept | {"PATH": path, "COLUMNS": WIDTH, "NDOO_DATA": "ndoo"} | variables


def _of(sim: Simulator) -> dict[str, str]:
    port = sim.url.rpartition(":")[2]
    return _environment(MESH_SIM_PORT=port, NDOO_URL=sim.url, NDOO_MAILBOX="X26ABC1")


def _start(script: str, folder: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _run(script: str, folder: Path, environment: dict[str, str], *, status: int = 0) -> str:
    with _start(script, folder, environment) as process:
        shown, _ = process.communicate(timeout=60)
    assert process.returncode == status, shown
    return shown


def _constant(text: str) -> str:
    """Leave out what is another each time: ids, times, how long something took."""
    for pattern, word in (
        (r"\d{20}_[0-9A-F]{6}", "ID"),
        (r"\d\d:\d\d:\d\d\.\d{3}", "TIME"),
        (r" +\d+ ms", " MS"),
        (r"\w+day \d+ \w+ \d{4}, UTC", "DAY"),
    ):
        text = re.sub(pattern, word, text)
    return text


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the examples in it, as the page's commands expect."""
    shutil.copytree(ROOT / "examples" / "witness", tmp_path / "examples" / "witness")
    return tmp_path


def test_two_cases_by_hand(tmp_path: Path) -> None:
    """What is told, what is done in the other terminal, and what comes of it are as the page has them."""
    with Simulator() as sim:
        environment = _of(sim)
        with _start(_block("sh", "--case 201 --case 401"), tmp_path, environment) as waiting:
            assert waiting.stdout is not None
            shown = waiting.stdout.readline()
            _run(_block("sh", "ndoo mailbox handshake"), tmp_path, environment)
            while not shown.rpartition("\n\n")[2].startswith("401"):
                shown += waiting.stdout.readline()
            _run("ndoo mailbox collect -o received", tmp_path, environment)
            shown += waiting.stdout.read()
        assert waiting.returncode == 0, shown
        expected = _block("text", "(case 1 of 2)") + _block("text", "(case 2 of 2)")
        assert _constant(shown) == _constant(expected)
        (received,) = (tmp_path / "received").iterdir()
        comparing = re.sub(r"received/\S+", f"received/{received.name}", _block("sh", "witness compare"))
        compared = _run(comparing, tmp_path, environment)
        assert compared == _block("text", "equal")
        report = _run(_block("sh", "-o report.html"), tmp_path, environment)
        assert re.search(r"^401 +passed ", report, re.MULTILINE)
        assert (tmp_path / "report.html").read_text("utf-8").startswith("<!doctype html>")


def test_a_failed_case_is_told_as_shown(tmp_path: Path) -> None:
    """A client that downloads a message twice gets the report on the page."""
    with Simulator() as sim:
        environment = _of(sim)
        _run("mesh-sim witness start --mailbox X26ABC1 --case 401 --no-wait", tmp_path, environment)
        with sync.Mailbox(sim.url, Credentials(*sim.credentials("X26ABC1"))) as mailbox:
            mailbox.handshake()
            (waiting,) = mailbox.list().messages
            for _ in range(2):
                with mailbox.receive(waiting) as message:
                    message.read()
            mailbox.acknowledge(waiting)
        report = _run("mesh-sim witness report --mailbox X26ABC1", tmp_path, environment, status=1)
    assert _constant(_block("text", "downloaded 2 times")) in _constant(report)


def test_the_workflow_is_valid_and_its_steps_run(checkout: Path, unused_tcp_port: int) -> None:
    """GitHub's schema accepts the workflow, and its commands run one after the other."""
    workflow = checkout / "workflow.yml"
    workflow.write_text(_block("yaml", "jobs:"))
    _run(f"check-jsonschema --builtin-schema vendor.github-workflows {workflow}", checkout, _environment())
    steps = YAML(typ="safe").load(workflow)["jobs"]["rehearsal"]["steps"]
    commands = [step["run"] for step in steps if "run" in step and not step["run"].startswith("pip ")]
    assert len(commands) == 3
    # The page's own command for the whole of it differs in that it has the optional cases, which take longer.
    assert f"{commands[1]}\n" == _block("sh", f"--run {CLIENT}").replace(" --run", " --required --run")
    # One shell for all of them: what the first step starts in the background ends with the test.
    script = "\n".join(["trap 'kill $(jobs -p); wait' EXIT", *commands])
    shown = _run(script, checkout, _environment(MESH_SIM_PORT=str(unused_tcp_port)))
    required = sum(case.required for case in STAGED)
    assert f"{required} cases:  {required} passed" in shown
    cases = ET.parse(checkout / "witness.xml").getroot().findall(".//testcase")
    assert len(cases) == len(CASES)
    assert [case for case in cases if case.find("failure") is not None] == []
    assert (checkout / "witness.html").exists()


def test_the_client_takes_its_certificates_from_the_settings_named(
    checkout: Path, unused_tcp_port: int
) -> None:
    """Over mutual TLS a case passes with the certificates of 'mesh-sim certs' and no other change."""
    (line,) = (line for line in PAGE.splitlines() if "NDOO_CERT=" in line)
    settings = dict(re.findall(r"\b([A-Z_]+)=([\w./]+)", line))
    script = (
        "mesh-sim certs > made.log; trap 'kill $(jobs -p); wait' EXIT\n"
        "mesh-sim serve > served.log 2>&1 & mesh-sim ready --wait 30s\n"
        f"mesh-sim witness start --mailbox X26ABC1 --case 401 --run {CLIENT}"
    )
    environment = _environment(MESH_SIM_PORT=str(unused_tcp_port), **settings)
    assert settings.keys() == {"MESH_SIM_TLS", "NDOO_CA", "NDOO_CERT", "NDOO_KEY"}
    assert "1 case:  1 passed" in _run(script, checkout, environment)


def test_the_client_shown_is_the_client_run() -> None:
    """The script on the page is the example, to the letter."""
    assert _block("bash", "WITNESS_ACTION") == (ROOT / CLIENT).read_text("utf-8")


def test_the_tables_have_every_case_and_every_variable() -> None:
    """Each case and finding is explained, those that are optional in brackets; so is what --run tells."""
    rows = re.findall(r"^\| `?\(?(\d{3}|[a-z-]+)\)?`? \| ", PAGE, re.MULTILINE)
    assert [row for row in rows if row in {case.id for case in CASES}] == [case.id for case in CASES]
    optional = re.findall(r"^\| \((\d{3})\) \| ", PAGE, re.MULTILINE)
    assert optional == [case.id for case in CASES if not case.required]
    assert f"{len(STAGED)} cases:  {len(STAGED)} passed" in PAGE
    current = {
        "case": "401",
        "step": 0,
        "action": "collect",
        "to": "",
        "workflow_id": "",
        "message_id": "",
        "file": None,
    }
    with told({"mailbox": "X26ABC1", "current": current}, "") as environment:
        variables = {name for name in environment if name.startswith("WITNESS_")}
    assert set(re.findall(r"WITNESS_[A-Z_]+", PAGE)) - {"WITNESS_TEST"} == variables
