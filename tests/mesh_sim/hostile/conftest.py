"""What must hold after every attack: the server answers, and its log gives nothing away."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import pytest
from raw import LAST, assert_log_decent, talk


@pytest.fixture
async def target(standing_url: str, caplog: pytest.LogCaptureFixture) -> AsyncIterator[str]:
    """The address of the session's simulator; at the end it must be as well as at the beginning."""
    caplog.set_level(logging.DEBUG)
    yield standing_url
    assert (await talk(standing_url, LAST)).statuses == [200]
    assert_log_decent(caplog)
