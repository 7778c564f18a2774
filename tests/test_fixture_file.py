"""The pages on testing with the fixture mesh_sim: each of their examples, run as people would run it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def _run(folder: Path, *command: str | Path) -> str:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", *command],
        cwd=folder,
        env=variables | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout


def _pytest(folder: Path) -> str:
    plugins = ("-p", "mesh_sim.pytest_plugin", "-p", "pytest_asyncio.plugin")
    settings = ("-o", "asyncio_default_fixture_loop_scope=function", "-p", "no:cacheprovider")
    return _run(folder, "-m", "pytest", "-W", "error", "--strict-markers", *plugins, *settings, folder)


def test_the_example_file(tmp_path: Path) -> None:
    """The example of some twenty lines passes."""
    shutil.copy(ROOT / "examples" / "test_with_mesh_sim.py", tmp_path)
    assert "2 passed" in _pytest(tmp_path)


def test_every_python_block_of_the_page(tmp_path: Path) -> None:
    """Each block of docs/testing.md is a test file that passes, or a program that runs."""
    page = (ROOT / "docs" / "testing.md").read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) == page.count("```") // 2
    tests = [block for block in blocks if "def test_" in block]
    for number, block in enumerate(tests):
        (tmp_path / f"test_block_{number}.py").write_text(block, "utf-8")
    assert f"{''.join(tests).count('def test_')} passed" in _pytest(tmp_path)
    (program,) = (block for block in blocks if block not in tests)
    assert _run(tmp_path, "-c", program) == "600 messages are waiting\n"
