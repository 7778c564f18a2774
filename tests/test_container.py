"""Dockerfile and docker-compose.yml, followed step by step without an engine; their form is linted.

Every command and every variable comes from the two files themselves. Only what an engine would provide is
replaced: folders of the test stand for volumes and for the image's file system, and a free port for 8700.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from dockerfile_parse import DockerfileParser
from ruamel.yaml import YAML
from support import HANDSHAKE, Caller

import ndoo.config
from mesh_sim.config import Settings

ROOT = Path(__file__).parents[1]
PORT = "8700"
COMPOSE_FILE = (ROOT / "docker-compose.yml").read_text("utf-8")
SERVICES: dict[str, Any] = YAML(typ="safe").load(COMPOSE_FILE)["services"]
SANDBOX_DATA = "/app/mesh_sandbox/store/data"
"""Where NHS's image keeps its mailboxes and workflows (mesh-api.md section 19)."""


class Image:
    """What the Dockerfile says of the image."""

    def __init__(self) -> None:
        file = DockerfileParser(path=str(ROOT / "Dockerfile"))
        self.instructions = [(step["instruction"], step["value"]) for step in file.structure]
        self.environment = dict(file.envs)

    def last(self, instruction: str) -> str:
        """Give what the last instruction of that name says."""
        return [value for name, value in self.instructions if name == instruction][-1]

    def array(self, instruction: str) -> list[str]:
        """Give the command of an instruction in its JSON form."""
        text = self.last(instruction)
        return list(json.loads(text[text.index("[") :]))

    @cached_property
    def copied(self) -> list[str]:
        """What is copied from the checkout."""
        copies = [value.split()[:-1] for name, value in self.instructions if name == "COPY"]
        return [source for sources in copies if not sources[0].startswith("--from") for source in sources]


IMAGE = Image()


@dataclass
class Engine:
    """What an engine would do, done with processes and folders."""

    folder: Path
    running: AsyncExitStack
    variables: dict[str, str] = field(default_factory=dict)
    port: str = "0"
    """Stands for 8700 once the server has one."""

    @property
    def project(self) -> Path:
        """The folder of the compose file."""
        return self.folder / "project"

    def check_out(self) -> None:
        """Have what the services mount of a checkout."""
        for name in ("certs", "examples"):
            (self.project / name).mkdir(parents=True)
        shutil.copy(ROOT / "examples" / "patients.csv", self.project / "examples")

    def set_up(self) -> None:
        """Run what the compose file says is to be run once, and read the variables that it leaves."""
        commands = [line[4:] for line in COMPOSE_FILE.splitlines() if line.startswith("#   ")]
        first = next(at for at, line in enumerate(commands) if line.startswith("docker compose"))
        subprocess.run(["sh", "-euc", "\n".join(commands[:first])], cwd=self.project, check=True)
        self.variables = dict(
            line.split("=", 1) for line in (self.project / ".env").read_text("utf-8").splitlines()
        )

    def build(self) -> None:
        """Run the step that lays files out in the image; installing is left to the test's own environment."""
        (step,) = (value for name, value in IMAGE.instructions if name == "RUN" and "install -m" in value)
        subprocess.run(["sh", "-euc", step.replace(" /app/", f" {self.folder}/app/")], cwd=ROOT, check=True)
        (self.folder / "data").mkdir()

    # -- services

    def interpolated(self, text: str) -> str:
        """Fill in ``${NAME:-default}`` and ``${NAME:?complaint}``."""

        def value(found: re.Match[str]) -> str:
            name, kind, rest = found.groups()
            if not (given := self.variables.get(name, "")) and kind == "?":
                raise LookupError(f"{name}: {rest}")
            return given or rest

        return re.sub(r"\$\{(\w+):([-?])([^}]*)\}", value, text)

    def mounts(self, service: dict[str, Any]) -> dict[str, Path]:
        """Give the real place of each folder that a service sees."""
        places = {"/opt/mesh-sim": Path(sys.prefix)}
        places |= {name: self.folder / name[1:] for name in ("/app", "/data")}
        for mount in service.get("volumes", []):
            if isinstance(mount, dict):
                source, target = mount["source"], mount["target"]
            else:
                source, target = mount.split(":")[:2]
            place = self.project / source if source.startswith(".") else self.folder / "volumes" / source
            if not source.startswith("."):
                place.mkdir(parents=True, exist_ok=True)
            assert place.is_dir(), f"{source} would be made by the engine, as root"
            places[target] = place
        return places

    def environment(self, service: dict[str, Any], places: dict[str, Path]) -> dict[str, str]:
        """Give a service's whole environment."""
        given = {name: self.interpolated(str(text)) for name, text in service.get("environment", {}).items()}
        here = {name: _placed(value, places) for name, value in (IMAGE.environment | given).items()}
        for name, value in here.items():
            here[name] = value.replace(f":{PORT}", f":{self.port}")
        ours = {
            name: text for name, text in os.environ.items() if not name.startswith(("MESH_SIM_", "NDOO_"))
        }
        return ours | here | {"PATH": here["PATH"] + os.environ["PATH"], "MESH_SIM_PORT": self.port}

    async def start(self, service: dict[str, Any], *command: str) -> asyncio.subprocess.Process:
        """Start a service as the files say, or another command in its place."""
        places = self.mounts(service)
        if not command:
            arguments = service.get("command", [] if "entrypoint" in service else IMAGE.array("CMD"))
            command = (*service.get("entrypoint", IMAGE.array("ENTRYPOINT")), *arguments)
        return await asyncio.create_subprocess_exec(
            *(_placed(word, places) for word in command),
            cwd=places[IMAGE.last("WORKDIR")],
            env=self.environment(service, places),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def run(self, service: dict[str, Any], *command: str) -> tuple[int | None, str, str]:
        """Run a service, or a command in its place, to its end."""
        process = await self.start(service, *command)
        try:
            out, err = await asyncio.wait_for(process.communicate(), 60)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return process.returncode, out.decode(), err.decode()

    async def serve(self, service: dict[str, Any]) -> str:
        """Start a server, find its port, and give its address; it must end in peace when the test does."""
        process = await self.start(service)
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), 30)).decode()
        found = re.search(r"(https?)://\S+:(\d+)", line)
        if found is None:
            if process.returncode is None:
                process.kill()
            _, err = await process.communicate()
            pytest.fail(f"the server did not start: {line}{err.decode()}")
        self.running.push_async_callback(_stopped, process)
        self.port = found[2]
        return f"{found[1]}://127.0.0.1:{self.port}"

    async def need(self, service: dict[str, Any]) -> None:
        """Bring about what a service depends on, in order."""
        for name, how in service.get("depends_on", {}).items():
            needed = SERVICES[name]
            await self.need(needed)
            if how["condition"] == "service_completed_successfully":
                code, _, err = await self.run(needed)
                assert (code, err) == (0, "")
            else:
                assert how["condition"] == "service_healthy"
                await self.serve(needed)
                kind, *probe = needed["healthcheck"]["test"]
                assert kind == "CMD"
                code, _, err = await self.run(needed, *probe)
                assert (code, err) == (0, "")


def _placed(text: str, places: dict[str, Path]) -> str:
    for target in sorted(places, key=len, reverse=True):
        if text == target or text.startswith(f"{target}/"):
            return f"{places[target]}{text.removeprefix(target)}"
    return text


async def _stopped(process: asyncio.subprocess.Process) -> None:
    process.terminate()
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, err.decode()
    assert b"what it accepted is kept" in out


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    """An engine with the image built and nothing running; what runs at the end is stopped."""
    async with AsyncExitStack() as running:
        engine = Engine(tmp_path, running)
        engine.check_out()
        engine.build()
        yield engine


@pytest.mark.skipif(not shutil.which("openssl"), reason="the set-up commands need openssl")
async def test_compose_s_check_runs_from_a_fresh_checkout(engine: Engine) -> None:
    """The set-up commands, certificates, the server over mutual TLS, its health, and one check, in order."""
    engine.set_up()
    check = SERVICES["check"]
    await engine.need(check)
    certificates = engine.project / "certs"
    assert (certificates / "ca.crt").exists()
    assert (certificates / "server.key").stat().st_mode & 0o077 == 0

    code, out, err = await engine.run(check)
    assert (code, err) == (0, ""), err
    assert "1,954" in out
    rows = (engine.project / "demo-output" / "patients-cleaned.csv").read_bytes().count(b"\r\n")
    assert 1_000 < rows < 1_960
    assert list((engine.folder / "volumes" / "data").rglob("mesh-sim.db"))

    # Who shows no certificate is not let in.
    server = SERVICES["mesh-sim"]
    stranger = server | {"environment": server["environment"] | {"MESH_SIM_TLS": "on"}}
    code, _, err = await engine.run(stranger, *IMAGE.array("HEALTHCHECK"))
    assert (code, "not ready" in err) == (1, True)
    # The image's probe and compose's are one.
    assert server["healthcheck"]["test"] == ["CMD", *IMAGE.array("HEALTHCHECK")]


async def test_the_control_api_is_never_open(engine: Engine) -> None:
    """Without a token compose stops at its own file, and the image by itself does not start."""
    with pytest.raises(LookupError, match="MESH_SIM_ADMIN_TOKEN"):
        await engine.run(SERVICES["mesh-sim"])
    code, _, err = await engine.run({})
    assert code == 2
    assert "MESH_SIM_ADMIN_TOKEN" in err


async def test_what_was_written_for_the_sandbox_s_image_runs_in_this_one(engine: Engine) -> None:
    """By itself the image serves over HTTP, to mailboxes of a mounted file, with data where it is told."""
    mailbox = {"mailbox_id": "X26NEW1", "mailbox_name": "MOUNTED", "password": "mounted"}
    mounted = engine.folder / SANDBOX_DATA[1:] / "mailboxes.jsonl"
    mounted.write_text(f"{json.dumps(mailbox)}\n", "utf-8")
    alone = {
        "environment": {"MESH_SIM_ADMIN_TOKEN": "some-secret-word", "MAILBOXES_DATA_DIR": "/store"},
        "volumes": ["store:/store"],
    }
    url = await engine.serve(alone)
    code, _, err = await engine.run(alone, *IMAGE.array("HEALTHCHECK"))
    assert (code, err) == (0, "")
    async with Caller(url, "X26NEW1", "mounted") as caller:
        assert (await caller.get("", headers=HANDSHAKE)).status == 200
    assert (engine.folder / "volumes" / "store" / "mesh-sim.db").exists()


def test_the_sandbox_s_files_are_there_to_be_mounted_over(engine: Engine) -> None:
    """Both files are built in where NHS's image has them, readable by everybody, and are the ones read."""
    for setting, name in (("MESH_SIM_MAILBOXES", "mailboxes"), ("MESH_SIM_WORKFLOWS", "workflows")):
        assert IMAGE.environment[setting] == f"{SANDBOX_DATA}/{name}.jsonl"
        file = engine.folder / IMAGE.environment[setting][1:]
        assert file.stat().st_mode & 0o777 == 0o644
        assert file.read_bytes() == (ROOT / "mesh_sim" / "builtin" / file.name).read_bytes()
    assert f"--from=build /{SANDBOX_DATA.split('/')[1]} /app" in [value for _, value in IMAGE.instructions]


def test_each_variable_is_a_setting() -> None:
    """Dockerfile and compose file set nothing that neither program knows."""
    known = {f"MESH_SIM_{name.upper()}" for name in Settings.model_fields}
    known |= {f"NDOO_{name.upper()}" for name in ndoo.config.Settings.model_fields}
    used = {name for service in SERVICES.values() for name in service.get("environment", {})}
    assert used | set(IMAGE.environment) <= known | {"PATH"}


def test_nobody_is_root_and_all_may_do_their_part() -> None:
    """The services share one user, to whom keys and output belong; the data folder opens to its group."""
    user, group = IMAGE.last("USER").split(":")
    assert (user, group) == ("10001", "10001")
    (made,) = (value for name, value in IMAGE.instructions if name == "RUN" and "useradd" in value)
    assert f"--uid {user} --user-group" in made
    assert shlex.split(made)[-2:] == ["0770", IMAGE.last("VOLUME")]
    assert {service["user"] for service in SERVICES.values()} == {"${RUN_AS:-1000:1000}"}
    assert all(service["group_add"] == [group] for service in SERVICES.values())


def test_all_that_the_wheel_is_built_from_reaches_the_build() -> None:
    """What pyproject.toml names is copied by the Dockerfile, and let through by .dockerignore."""
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert lines.index("*") < lines.index("!pyproject.toml")
    let_through = [line[1:] for line in lines if line.startswith("!")]
    assert set(IMAGE.copied) <= set(let_through)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = ["pyproject.toml", project["project"]["readme"], *project["project"]["license-files"]]
    for path in (*needed, *wheel["packages"], *wheel["force-include"]):
        assert any(Path(path).is_relative_to(source) for source in IMAGE.copied), path
