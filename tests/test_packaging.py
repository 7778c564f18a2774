"""What is shipped: the wheel, its commands, its types, and the public face of the client."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Collection, Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import ndoo

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel_environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the built wheel; what it depends on is borrowed from ours."""
    folder = tmp_path_factory.mktemp("wheel")
    # From a copy, so that nothing the build leaves ends up in the checkout.
    source = folder / "source"
    for name in ("client", "mesh_sim", "examples"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source],
        check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = folder.glob("*.whl")
    environment = folder / "environment"
    venv.create(environment, with_pip=False)
    subprocess.run(
        [*pip, "--python", environment / "bin" / "python", "install", "--no-deps", wheel],
        check=True, capture_output=True,
    )  # fmt: skip
    return environment


@pytest.fixture(scope="module")
def fresh_environment(wheel_environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pip install` of the wheel and of pytest makes: these two, what they need, and nothing else."""
    environment = tmp_path_factory.mktemp("fresh") / "environment"
    venv.create(environment, with_pip=False)
    (wheel,) = wheel_environment.parent.glob("*.whl")
    subprocess.run(
        [
            sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check",
            "--python", environment / "bin" / "python", "install", "--no-deps", wheel,
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    packages = next((environment / "lib").glob("python*/site-packages"))
    (ours,) = metadata.distributions(name="mesh-sim", path=[str(packages)])
    for distribution in _needed("pytest", *_requirements(ours)):
        for name in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
            if not (packages / name).exists():
                (packages / name).symlink_to(Path(str(distribution.locate_file(name))))
    return environment


def _needed(*requirements: str) -> Iterator[metadata.Distribution]:
    """Find what is needed among what is installed here, and what that needs in turn."""
    waiting, found = [Requirement(text) for text in requirements], set()
    while waiting:
        requirement = waiting.pop()
        if requirement.name not in found:
            found.add(requirement.name)
            distribution = metadata.distribution(requirement.name)
            yield distribution
            waiting += map(Requirement, _requirements(distribution, requirement.extras))


def _requirements(distribution: metadata.Distribution, extras: Collection[str] = ()) -> Iterator[str]:
    for text in distribution.requires or ():
        marker = Requirement(text).marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in (*extras, "")):
            yield text


def _run(
    environment: Path, *command: str, cwd: Path, borrow: bool = True
) -> subprocess.CompletedProcess[str]:
    variables = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("NDOO_", "MESH_SIM_", "PYTEST_", "PYTHON"))
    }
    if borrow:
        # Of our own environment only its packages are on the path: the checkout is installed there by a
        # .pth file, which a path does not follow.
        variables["PYTHONPATH"] = sysconfig.get_path("purelib")
    return subprocess.run(
        [environment / "bin" / command[0], *command[1:]],
        cwd=cwd,
        env=variables | {"COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("command", ["mesh-sim", "ndoo"])
def test_each_command_of_the_wheel_runs(wheel_environment: Path, tmp_path: Path, command: str) -> None:
    """The installed commands start and show their version."""
    result = _run(wheel_environment, command, "--version", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(command)


def test_the_demo_runs_from_the_wheel(wheel_environment: Path, tmp_path: Path) -> None:
    """One real check over mutual TLS, away from any checkout, and its two files are there."""
    result = _run(wheel_environment, "mesh-sim", "demo", cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    for word in ("submitted", "removed", "kept", "duplicates", "blank", "expires", "1,954", "40"):
        assert word in result.stdout
    kept = (tmp_path / "demo-output" / "patients-cleaned.csv").read_bytes()
    assert 1_000 < kept.count(b"\r\n") < 1_960
    assert (tmp_path / "demo-output" / "patients.cache").read_bytes().startswith(b"#ndoo-temporary-cache 1\n")


def test_the_fixture_comes_with_the_wheel(fresh_environment: Path, tmp_path: Path) -> None:
    """A test file of some twenty lines that uses the fixture passes where only the wheel and pytest are."""
    example = shutil.copy(ROOT / "examples" / "test_with_mesh_sim.py", tmp_path)
    result = _run(
        fresh_environment, "python", "-m", "pytest", "-W", "error", example, cwd=tmp_path, borrow=False
    )
    assert "2 passed" in result.stdout, result.stdout + result.stderr
    (plugins,) = re.findall("^plugins: (.*)", result.stdout, re.MULTILINE)
    assert "mesh-sim-" in plugins
    assert "asyncio" not in plugins


def test_the_wheel_is_typed_and_holds_no_tests(wheel_environment: Path) -> None:
    """Both packages carry py.typed, and nothing else is installed beside them."""
    packages = next((wheel_environment / "lib").glob("python*/site-packages"))
    assert (packages / "mesh_sim" / "py.typed").exists()
    assert (packages / "ndoo" / "py.typed").exists()
    names = {path.name.partition("-")[0] for path in packages.iterdir()}
    assert names == {"mesh_sim", "ndoo"}


def test_the_client_s_face_is_sorted_re_exports_and_nothing_else() -> None:
    """ndoo/__init__.py imports names and lists all of them in order; there is nothing to read in it."""
    tree = ast.parse((ROOT / "client" / "ndoo" / "__init__.py").read_text("utf-8"))
    docstring, *statements, exported = tree.body
    assert isinstance(docstring, ast.Expr)
    assert all(isinstance(statement, ast.ImportFrom) for statement in statements)
    assert isinstance(exported, ast.Assign)
    imported = {
        alias.name
        for statement in statements
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
    assert set(ndoo.__all__) == imported
    assert ndoo.__all__ == sorted(ndoo.__all__)
