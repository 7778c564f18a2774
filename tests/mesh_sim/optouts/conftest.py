"""One opt-out service a test, nobody opted out unless the test says so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from optout_world import World, opened


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A service with answers in chunks of 1,000 bytes, over its own folder."""
    async with opened(tmp_path, chunk_bytes=1000) as made:
        yield made
