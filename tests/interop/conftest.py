"""What clients in JavaScript need."""

from __future__ import annotations

from pathlib import Path

import pytest
from programs import PACKAGE, blocks, install_package

PAGE = Path(__file__).parents[2] / "docs" / "clients.md"


@pytest.fixture
def modules() -> Path:
    """``node_modules`` with NHS's package, as the commands of docs/clients.md make it.

    Skips the test where Node or npm is missing, or the package cannot be had.
    """
    (script,) = (
        block for block in blocks(PAGE.read_text("utf-8"), "sh") if f"npm install {PACKAGE}" in block
    )
    return install_package(script)
