"""Programs of other languages that tests need, and NHS's package for Node."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Final

import pytest
from platformdirs import user_cache_path

PACKAGE: Final = "nhs-mesh-client"
NODE: Final = (20, 10)
"""The oldest Node that reads ``import … with``, as the package is mended to say."""


def blocks(page: str, *languages: str) -> list[str]:
    """Give a page's blocks of these languages."""
    pattern = rf"^```(?:{'|'.join(languages)})\n(.*?)^```"
    return re.findall(pattern, page, re.MULTILINE | re.DOTALL)


def environment_of(**variables: str) -> dict[str, str]:
    """Give an environment without settings of whoever runs the tests, in which our commands are found."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MESH_", "NDOO_")) and not name.lower().endswith("_proxy")
    }
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    quick = {"JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC", "DOTNET_NOLOGO": "1"}
    return kept | quick | {"PATH": path, "DOTNET_CLI_TELEMETRY_OPTOUT": "1"} | variables


def bash(script: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a script to its end, or to the first command of it that fails."""
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
    done = bash(f"{program} --version", Path(), environment_of())
    found = re.search(r"\d+(?:\.\d+)*", done.stdout)
    if done.returncode or not found:
        pytest.skip(f"'{program} --version' fails: {done.stdout}{done.stderr}")
    return tuple(map(int, found[0].split(".")))


def need(program: str, oldest: tuple[int, ...] | None = None) -> None:
    """Skip the test unless a program is there and new enough."""
    if not shutil.which(program):
        pytest.skip(f"needs {program}, which is not installed")
    if oldest and _version(program) < oldest:
        pytest.skip(f"needs {program} {'.'.join(map(str, oldest))} or newer")


def install_package(script: str) -> Path:
    """Give ``node_modules`` as a script makes it, kept in the user's cache for the next time.

    Skips the test where Node or npm is missing, or the package cannot be had.
    """
    need("npm")
    need("node", NODE)
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
        done = bash(script, folder, environment)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not fetch {PACKAGE} within two minutes")
    if done.returncode:
        assert not (folder / "node_modules" / PACKAGE).exists(), done.stderr
        reason = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr)
        pytest.skip(f"npm cannot fetch {PACKAGE}: {reason}")
