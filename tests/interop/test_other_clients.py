"""Every example of docs/clients.md, run as it stands: clients in JavaScript, Java and .NET.

Each needs a program of its own language, and is skipped, with the reason, where that is missing.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from platformdirs import user_cache_path

from mesh_sim import Simulator

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "clients.md").read_text("utf-8")
CODE = ROOT / "examples" / "clients"
ADDRESS = "127.0.0.1:8700"
PACKAGE = "nhs-mesh-client"

EXCHANGE = ["handshake", "send", "list", "download", "acknowledge"]
"""What each example does, by the journal's names."""

COMPILER = {"java": "javac"}
"""What must be there too: a runtime alone does not run a program from its source."""

OLDEST = {"node": (18,), "javac": (17,), "dotnet": (6,)}
"""The oldest version that each program may have; ``dotnet --version`` is the SDK's."""

NHS_PACKAGE_NODE = (20, 10)
"""The oldest Node that reads ``import … with``, as the page's second command has it."""


def _blocks(*languages: str) -> list[str]:
    pattern = rf"^```(?:{'|'.join(languages)})\n(.*?)^```"
    return re.findall(pattern, PAGE, re.MULTILINE | re.DOTALL)


def _block(containing: str) -> str:
    (found,) = (block for block in _blocks("sh") if containing in block)
    return found


def _programs(script: str) -> list[str]:
    return re.findall(r"^(?:MESH_URL=\S+ )?(\w+) ", script, re.MULTILINE)


def _examples() -> list[Any]:
    """Give the page's commands that run an example, each named by the program and how it calls."""
    found = []
    for script in _blocks("sh"):
        if "client" in script and "npm" not in script:
            package = f" {PACKAGE}" if "nhs_mesh_client" in script else ""
            tls = ", mutual TLS" if "https:" in script else ""
            found.append(pytest.param(script, id=_programs(script)[-1] + package + tls))
    return found


# -- running them -----------------------------------------------------------------------------------


def _environment(**variables: str) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MESH_", "NDOO_")) and not name.lower().endswith("_proxy")
    }
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    quick = {"JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC", "DOTNET_NOLOGO": "1"}
    return kept | quick | {"PATH": path, "DOTNET_CLI_TELEMETRY_OPTOUT": "1"} | variables


def _bash(script: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@cache
def _version(program: str) -> tuple[int, ...]:
    done = _bash(f"{program} --version", Path(), _environment())
    found = re.search(r"\d+(?:\.\d+)*", done.stdout)
    if done.returncode or not found:
        pytest.skip(f"'{program} --version' fails: {done.stdout}{done.stderr}")
    return tuple(map(int, found[0].split(".")))


def _need(program: str, oldest: tuple[int, ...] | None = None) -> None:
    """Skip the test unless a program is there and new enough."""
    if not shutil.which(program):
        pytest.skip(f"needs {program}, which is not installed")
    if oldest and _version(program) < oldest:
        pytest.skip(f"needs {program} {'.'.join(map(str, oldest))} or newer")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the examples in it, as the page's commands expect, to be littered."""
    shutil.copytree(CODE, tmp_path / "examples" / "clients")
    return tmp_path


@pytest.fixture
def modules() -> Path:
    """``node_modules`` as the page's commands make it, kept in the user's cache for the next time.

    Skips the test where Node or npm is missing, or the package cannot be had.
    """
    _need("npm")
    _need("node", NHS_PACKAGE_NODE)
    script = _block(f"npm install {PACKAGE}")
    cache = user_cache_path("mesh-sim") / "tests"
    kept = cache / f"{PACKAGE}-{hashlib.sha256(script.encode()).hexdigest()[:12]}"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            made = Path(folder) / "made"
            made.mkdir()
            _install(script, made)
            try:
                made.rename(kept)
            except OSError:  # another run was faster
                assert kept.exists()
    return kept / "node_modules"


def _install(script: str, folder: Path) -> None:
    quick = {"fetch_retries": "0", "fetch_timeout": "20000", "audit": "false", "fund": "false"}
    # Here the proxies count: they are how the package is reached.
    environment = dict(os.environ) | {f"npm_config_{name}": value for name, value in quick.items()}
    try:
        done = _bash(script, folder, environment)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not fetch {PACKAGE} within two minutes")
    if done.returncode:
        assert not (folder / "node_modules" / PACKAGE).exists(), done.stderr
        reason = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr)
        pytest.skip(f"npm cannot fetch {PACKAGE}: {reason}")


# -- the page ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", _examples())
def test_the_examples_run(script: str, checkout: Path, request: pytest.FixtureRequest) -> None:
    """Each example sends and receives its message, every request of it good under the strict rules."""
    for program in _programs(script):
        needed = COMPILER.get(program, program)
        _need(needed, OLDEST.get(needed))
    if "nhs_mesh_client" in script:
        (checkout / "node_modules").symlink_to(request.getfixturevalue("modules"))
        shutil.copy(CODE / "nhs_mesh_client.mjs", checkout)
    mutual = "https:" in script
    with Simulator(tls="mutual" if mutual else "off") as sim:
        if mutual:
            certificate, _ = sim.certificate("X26ABC1")
            shutil.copytree(certificate.parent, checkout / "certs")
        environment = _environment(MESH_URL=sim.url, DOTNET_CLI_HOME=str(checkout))
        done = _bash(script.replace(f"https://{ADDRESS}", sim.url), checkout, environment)
        refused = sim.refusals()
        assert done.returncode == 0, done.stdout + done.stderr + refused
        assert "X26ABC1 hello" in done.stdout.splitlines()
        assert refused == ""
        assert [entry.operation for entry in sim.journal] == EXCHANGE
        assert [message.status for message in sim.messages("X26ABC2")] == ["acknowledged"]


def test_the_code_shown_is_the_code_run() -> None:
    """Each piece of code on the page stands, line by line, in a file that the page names."""
    files = [_lines(path.read_text("utf-8")) for path in CODE.iterdir()]
    pieces = _blocks("js", "java", "csharp")
    assert {path.name for path in CODE.iterdir()} == set(
        re.findall(r"\]\(\.\./examples/clients/(.+?)\)", PAGE)
    )
    assert len(pieces) == 6
    for piece in map(_lines, pieces):
        assert any(_holds(file, piece) for file in files), "\n".join(piece)


def _lines(text: str) -> list[str]:
    return text.rstrip("\n").split("\n")


def _holds(file: list[str], piece: list[str]) -> bool:
    """Tell whether the lines stand in the file, one after another and all indented by as much."""
    for start in range(len(file) - len(piece) + 1):
        indent = file[start][: len(file[start]) - len(file[start].lstrip())]
        if [indent + line if line else "" for line in piece] == file[start : start + len(piece)]:
            return True
    return False


def test_the_journal_says_why(tmp_path: Path) -> None:
    """The page's command shows a refused request with the reason."""
    with Simulator() as sim:
        with pytest.raises(HTTPError, match="403") as refused:
            urlopen(sim.url + "/messageexchange/X26ABC1/inbox")
        refused.value.close()
        done = _bash(_block("mesh-sim journal"), tmp_path, _environment(**sim.environment("X26ABC1")))
    assert done.returncode == 0, done.stderr
    assert "the Authorization header is absent or blank" in done.stdout


LIMITS = """
import * as mesh from "nhs-mesh-client";
const url = process.env.MESH_URL;
const { senderAgent: agent } = await mesh.loadConfig({ url, logLevel: "SILENT" });
const account = { url, agent, sharedKey: "TestKey", mailboxPassword: "password" };
const sender = { ...account, mailboxID: "X26ABC1" };
const recipient = { ...account, mailboxID: "X26ABC2" };
const mailboxTarget = "X26ABC2";

const wrong = { ...sender, mailboxPassword: "wrong" };
const returned = await mesh.handShake(wrong);
const thrown = await mesh.sendMessage({ ...wrong, mailboxTarget, message: "a" }).catch((e) => e.status);

async function received(options) {
  const sent = await mesh.sendMessage({ ...sender, mailboxTarget, workFlowId: "TEST_WORKFLOW", ...options });
  return (await mesh.readMessage({ ...recipient, messageID: sent.data.message_id })).data;
}
const read = [await received({ message: '{"a": 1}' }), await received({ message: Buffer.from([0xff]) })];
await received({ message: "a", compressed: true });
await mesh.sendChunkedMessage({ ...sender, mailboxTarget, fileContent: Buffer.from("a") });
console.log(JSON.stringify([returned instanceof Error, returned.status, thrown, read]));
"""


def test_the_limits_of_nhs_mesh_client(tmp_path: Path, modules: Path) -> None:
    """What the page says that NHS's package for Node does, it does."""
    (tmp_path / "node_modules").symlink_to(modules)
    (tmp_path / "limits.mjs").write_text(LIMITS)
    with Simulator() as sim:
        done = _bash("node limits.mjs", tmp_path, _environment(MESH_URL=sim.url))
        assert done.returncode == 0, done.stderr
        messages = sim.messages("X26ABC2")
        *_, packed, chunked = messages
        assert json.loads(done.stdout) == [True, 403, 403, [{"a": 1}, "\ufffd"]]
        assert {(message.subject, message.local_id) for message in messages} == {("", "")}
        assert sim.body(packed) == b'"a"'
        assert (chunked.workflow_id, chunked.file_name) == ("API-DOCS-TEST", "message.txt.gz")
