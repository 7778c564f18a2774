"""Every example of docs/clients.md, run as it stands: clients in JavaScript, Java and .NET.

Each needs a program of its own language, and is skipped, with the reason, where that is missing.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from programs import PACKAGE, bash, blocks, environment_of, need

from mesh_sim import Simulator

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "clients.md").read_text("utf-8")
CODE = ROOT / "examples" / "clients"
ADDRESS = "127.0.0.1:8700"

EXCHANGE = ["handshake", "send", "list", "download", "acknowledge"]
"""What each example does, by the journal's names."""

COMPILER = {"java": "javac"}
"""What must be there too: a runtime alone does not run a program from its source."""

OLDEST = {"node": (18,), "javac": (17,), "dotnet": (6,)}
"""The oldest version that each program may have; ``dotnet --version`` is the SDK's."""


def _block(containing: str) -> str:
    (found,) = (block for block in blocks(PAGE, "sh") if containing in block)
    return found


def _programs(script: str) -> list[str]:
    return re.findall(r"^(?:MESH_URL=\S+ )?(\w+) ", script, re.MULTILINE)


def _examples() -> list[Any]:
    """Give the page's commands that run an example, each named by the program and how it calls."""
    found = []
    for script in blocks(PAGE, "sh"):
        if "client" in script and "npm" not in script:
            package = f" {PACKAGE}" if "nhs_mesh_client" in script else ""
            tls = ", mutual TLS" if "https:" in script else ""
            found.append(pytest.param(script, id=_programs(script)[-1] + package + tls))
    return found


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the examples in it, as the page's commands expect, to be littered."""
    shutil.copytree(CODE, tmp_path / "examples" / "clients")
    return tmp_path


# -- the page ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", _examples())
def test_the_examples_run(script: str, checkout: Path, request: pytest.FixtureRequest) -> None:
    """Each example sends and receives its message, every request of it good under the strict rules."""
    for program in _programs(script):
        needed = COMPILER.get(program, program)
        need(needed, OLDEST.get(needed))
    if "nhs_mesh_client" in script:
        (checkout / "node_modules").symlink_to(request.getfixturevalue("modules"))
        shutil.copy(CODE / "nhs_mesh_client.mjs", checkout)
    mutual = "https:" in script
    with Simulator(tls="mutual" if mutual else "off") as sim:
        if mutual:
            certificate, _ = sim.certificate("X26ABC1")
            shutil.copytree(certificate.parent, checkout / "certs")
        environment = environment_of(MESH_URL=sim.url, DOTNET_CLI_HOME=str(checkout))
        done = bash(script.replace(f"https://{ADDRESS}", sim.url), checkout, environment)
        refused = sim.refusals()
        assert done.returncode == 0, done.stdout + done.stderr + refused
        assert "X26ABC1 hello" in done.stdout.splitlines()
        assert refused == ""
        assert [entry.operation for entry in sim.journal] == EXCHANGE
        assert [message.status for message in sim.messages("X26ABC2")] == ["acknowledged"]


def test_the_code_shown_is_the_code_run() -> None:
    """Each piece of code on the page stands, line by line, in a file that the page names."""
    files = [_lines(path.read_text("utf-8")) for path in CODE.iterdir()]
    pieces = blocks(PAGE, "js", "java", "csharp")
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
        done = bash(_block("mesh-sim journal"), tmp_path, environment_of(**sim.environment("X26ABC1")))
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
        done = bash("node limits.mjs", tmp_path, environment_of(MESH_URL=sim.url))
        assert done.returncode == 0, done.stderr
        messages = sim.messages("X26ABC2")
        *_, packed, chunked = messages
        assert json.loads(done.stdout) == [True, 403, 403, [{"a": 1}, "\ufffd"]]
        assert {(message.subject, message.local_id) for message in messages} == {("", "")}
        assert sim.body(packed) == b'"a"'
        assert (chunked.workflow_id, chunked.file_name) == ("API-DOCS-TEST", "message.txt.gz")
