"""The examples of README and docs, run as they stand against a real server."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from support import Simulator

ROOT = Path(__file__).parents[1]
ADDRESS = "http://127.0.0.1:8700"


def _block(language: str, containing: str, page: str = "README.md") -> str:
    blocks = re.findall(
        rf"^```{language}\n(.*?)^```", (ROOT / page).read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    (block,) = (block for block in blocks if containing in block)
    return str(block)


async def _run(simulator: Simulator, cwd: Path, *command: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NDOO_")}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "NDOO_URL": simulator.url,
        "NDOO_DATA": str(cwd / "ndoo-data"),
    }
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err.decode()
    return out.decode()


@pytest.mark.skipif(not shutil.which("curl") or not shutil.which("openssl"), reason="needs curl and openssl")
async def test_the_curl_example(simulator: Simulator, tmp_path: Path) -> None:
    """A message sent with the shell's own token is listed for its recipient."""
    script = _block("sh", "curl").replace(ADDRESS, simulator.url)
    out = await _run(simulator, tmp_path, "bash", "-euo", "pipefail", "-c", script)
    found = re.search(r'"messageID":"([0-9]{20}_[0-9A-F]{6})"', out)
    assert found
    assert f'{{"messages":["{found[1]}"]}}' in out


async def test_the_python_examples(simulator: Simulator, tmp_path: Path) -> None:
    """NHS's client sends, ours receives what it sent."""
    send = _block("python", "mesh_client").replace(ADDRESS, simulator.url)
    assert await _run(simulator, tmp_path, sys.executable, "-c", send) == "accepted\n"
    receive = _block("python", "asyncio").replace(ADDRESS, simulator.url)
    assert await _run(simulator, tmp_path, sys.executable, "-c", receive) == "X26ABC1 b'hello'\n"


async def test_the_ndoo_examples(simulator: Simulator, tmp_path: Path) -> None:
    """Each command of the README runs, and the two ways of filtering agree."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    script = _block("sh", "ndoo check")
    await _run(simulator, tmp_path, "bash", "-euo", "pipefail", "-c", script)
    cleaned = (tmp_path / "cleaned.csv").read_bytes()
    assert cleaned.count(b"\r\n") == 1 + 1_960
    assert (tmp_path / "filtered.csv").read_bytes() == cleaned


async def test_the_example_of_the_client_s_page(simulator: Simulator, tmp_path: Path) -> None:
    """The round trip from Python writes the table it says."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    script = _block("python", "check_opt_outs", "docs/ndoo.md").replace(ADDRESS, simulator.url)
    assert await _run(simulator, tmp_path, sys.executable, "-c", script) == "1954 0\n"
    assert (tmp_path / "checked.csv").exists()
