"""The commands of ``mesh-sim`` that run a server, wait for one, or make files."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from typer.testing import CliRunner

from mesh_sim.cli import app
from ndoo.lists import RecordReader


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("MESH_SIM_", "NDOO_"))}


async def _run(*arguments: str, cwd: Path, **variables: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mesh_sim", *arguments,
        cwd=cwd, env=_environment() | variables,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@asynccontextmanager
async def _served(*arguments: str, cwd: Path) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mesh_sim", "serve", "--port", "0", *arguments,
        cwd=cwd, env=_environment(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        line = (await asyncio.wait_for(process.stdout.readline(), 30)).decode()
        found = re.search(r"https?://\S+", line)
        assert found, line
        yield found[0], process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def test_the_version_is_shown() -> None:
    """--version names the program and its version."""
    result = CliRunner().invoke(app, ["--version"])
    assert re.fullmatch(r"mesh-sim \d+\.\d+\.\d+\S*\n", result.output)


async def test_serve_answers_until_it_is_interrupted(tmp_path: Path) -> None:
    """The server says where it is, is ready, and ends in peace with its data kept."""
    async with _served(cwd=tmp_path) as (url, process):
        code, out, err = await _run("ready", "--wait", "10s", "--url", url, "--json", cwd=tmp_path)
        assert (code, json.loads(out)["ready"], err) == (0, True, "")
        process.send_signal(signal.SIGINT)
        out_bytes, err_bytes = await process.communicate()
        assert process.returncode == 0
        assert b"what it accepted is kept" in out_bytes
        assert b"Traceback" not in err_bytes
    assert (tmp_path / "mesh-sim-data" / "mesh-sim.db").stat().st_mode & 0o077 == 0


async def test_mutual_tls_from_the_shell(tmp_path: Path) -> None:
    """With `certs` made, `serve --tls mutual` is ready for who has a certificate, for nobody else."""
    code, out, _ = await _run("certs", cwd=tmp_path)
    assert code == 0
    assert "client   certs/X99GP001.crt" in out
    async with _served("--tls", "mutual", cwd=tmp_path) as (url, _process):
        assert url.startswith("https://")
        code, out, err = await _run(
            "ready", "--wait", "10s", "--url", url, cwd=tmp_path, MESH_SIM_TLS="mutual"
        )
        assert (code, err) == (0, "")
        code, out, err = await _run("ready", "--url", url, cwd=tmp_path, MESH_SIM_TLS="on")
        assert code == 1
        assert "not ready" in err


async def test_a_worker_of_its_own_answers_beside_the_server(tmp_path: Path) -> None:
    """`mesh-sim worker` starts on a data folder that a server has open, and ends in peace."""
    async with _served(cwd=tmp_path):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "mesh_sim", "worker",
            cwd=tmp_path, env=_environment(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        assert b"answering submissions" in await asyncio.wait_for(process.stdout.readline(), 30)
        process.send_signal(signal.SIGTERM)
        _, err = await asyncio.wait_for(process.communicate(), 30)
        assert (process.returncode, b"Traceback" in err) == (0, False)


@pytest.mark.parametrize(
    ("arguments", "variables", "code", "expected"),
    [
        (["serve", "--tls", "mutual"], {}, 2, "mesh-sim certs"),
        (["serve"], {"MESH_SIM_PORT": "http"}, 2, "MESH_SIM_PORT = 'http'"),
        (["serve", "--data", "/proc/nothing"], {}, 2, "set MESH_SIM_DATA"),
        (["ready", "--url", "nonsense"], {}, 2, "write it like http://127.0.0.1:8700"),
        (["ready", "--wait", "soon"], {}, 2, "is not a duration"),
        (["population", "--count", "5", "there.dat"], {}, 1, "replace it with --force"),
        (["population", "--count", "0", "list.dat"], {}, 2, "--count"),
    ],
)
async def test_misuse_is_answered_in_words(
    tmp_path: Path, arguments: list[str], variables: dict[str, str], code: int, expected: str
) -> None:
    """Each mistake ends with its exit code and a message that says what to do, not in a traceback."""
    (tmp_path / "there.dat").write_text("")
    ended, out, err = await _run(*arguments, cwd=tmp_path, **variables)
    assert (ended, out) == (code, "")
    assert expected in " ".join(err.split())
    assert "Traceback" not in err


async def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    """When something else listens there, the message says so and how to choose another port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, err = await _run("serve", "--port", str(port), cwd=tmp_path)
    assert code == 2
    assert f"port {port}" in err
    assert "--port" in err


async def test_nothing_answering_is_not_ready(tmp_path: Path) -> None:
    """`ready` ends with 1 and the reason when nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    code, out, err = await _run("ready", "--url", url, cwd=tmp_path)
    assert (code, out) == (1, "")
    assert "Connection refused" in err


def test_a_population_is_a_valid_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list has the records asked for, all valid, all in the test range, for its owner only."""
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["population", "--count", "12345", "list.dat", "--json"])
    assert json.loads(result.output) == {"file": "list.dat", "records": 12345}
    data = (tmp_path / "list.dat").read_bytes()
    blocks = list(RecordReader().read([data]))
    assert sum(len(block) for block in blocks) == 12345
    assert all(block.valid.all() for block in blocks)
    assert all(line.startswith(b"999") for line in data.splitlines())
    assert (tmp_path / "list.dat").stat().st_mode & 0o077 == 0


async def test_in_memory_nothing_is_kept_and_it_says_so(tmp_path: Path) -> None:
    """A server in the sandbox's mode memory tells that what it accepted is gone, and leaves no folder."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mesh_sim", "serve", "--port", "0",
        cwd=tmp_path, env=_environment() | {"STORE_MODE": "memory"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert b"(in memory)" in await asyncio.wait_for(process.stdout.readline(), 30)
    process.send_signal(signal.SIGTERM)
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, out) == (0, b"mesh-sim has stopped; what it accepted is gone\n")
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - one look at an empty folder


async def test_a_worker_needs_a_folder_to_share(tmp_path: Path) -> None:
    """A worker beside servers that keep everything in memory has nothing to work on, and says so."""
    code, _, complaint = await _run("worker", cwd=tmp_path, STORE_MODE="memory")
    assert code == 2
    assert "set it to 'file'" in complaint


@pytest.mark.parametrize(("listening", "open_there"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "localhost")])
async def test_people_are_told_where_to_look(tmp_path: Path, listening: str, open_there: str) -> None:
    """On a terminal `serve` says which address to open in a browser, and there are the pages."""
    ours, theirs = os.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mesh_sim", "serve", "--port", "0", "--host", listening,
        cwd=tmp_path, env=_environment() | {"MESH_SIM_ADMIN_TOKEN": "an admin token"},
        stdout=theirs, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    os.close(theirs)
    try:
        with open(ours) as terminal:  # noqa: ASYNC230, PTH123 - nothing else is to be done meanwhile
            serving, where = terminal.readline(), terminal.readline()
            found = re.search(r"Open (http://\S+/) to see", where)
            assert found, where
            assert found[1].replace(open_there, listening).rstrip("/") + " " in serving
            async with aiohttp.ClientSession() as session, session.get(found[1]) as answer:
                assert (answer.status, answer.content_type) == (200, "text/html")
            process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(process.communicate(), 30)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
