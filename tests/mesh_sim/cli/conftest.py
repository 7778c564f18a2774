"""A shell beside a simulator of the test's own, and one beside none."""

from __future__ import annotations

from pathlib import Path

import pytest
from shell import Shell
from support import Simulator


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder to work in."""
    path = tmp_path / "shell"
    path.mkdir()
    return path


@pytest.fixture
def shell(folder: Path, simulator: Simulator) -> Shell:
    """A shell whose settings lead to a simulator."""
    return Shell(folder, simulator.url)


@pytest.fixture
def lonely(folder: Path) -> Shell:
    """A shell whose settings lead nowhere."""
    return Shell(folder)
