"""Pages over the longest texts that clients can write are as light as others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import aiohttp
import pytest
from pages import visiting
from support import authorization

from mesh_sim import Simulator
from mesh_sim.web.page import asset

MOST_BYTES: Final = 100_000
TEXT: Final = "<a text & more of it>" * 14
REQUESTS: Final = 60


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    """A simulator that holds more long texts than a page lists."""
    with Simulator() as simulator:
        for _ in range(REQUESTS):
            simulator.put("X26ABC2", subject=TEXT, local_id=TEXT[:100], workflow_id="W" * 100)
        yield simulator


def weight(body: bytes) -> int:
    """Give what a browser fetches for a page, in bytes."""
    return len(body) + sum(len(asset(name).encode()) for name in ("live.js", "icon.svg"))


async def test_an_inbox_of_long_texts_weighs_little(simulator: Simulator) -> None:
    """What a message says of itself is cut in the list, and whole on its page."""
    (first, *_) = simulator.messages("X26ABC2", status="accepted")
    async with visiting(simulator.url) as visitor:
        listed = await visitor.get("/mailboxes/X26ABC2")
        shown = await visitor.get(f"/messages/{first.message_id}")
    assert weight(listed.body) < MOST_BYTES
    assert f"{TEXT[:80]}\N{HORIZONTAL ELLIPSIS}" in listed.text
    assert TEXT not in listed.text
    assert TEXT in shown.text


async def test_a_journal_of_long_refusals_weighs_little(simulator: Simulator) -> None:
    """Refusals for several mistakes at once, by clients with long names, are as light as others."""
    path = f"{simulator.url}/messageexchange/X26ABC1/inbox/{'M' * 100}"
    async with aiohttp.ClientSession(headers={"User-Agent": TEXT}) as client:
        for _ in range(REQUESTS):
            token = authorization("X26ABC1").replace("NHSMESH ", "nhsmesh  ").replace("X26ABC1", "x26abc1")
            async with client.get(path, headers={"Authorization": f"{token}{TEXT}"}) as answer:
                assert answer.status in (400, 403)
    async with visiting(simulator.url) as visitor:
        for address in ("/journal?refused=true", "/"):
            page = await visitor.get(address)
            assert page.text.count("What to do") >= 15, address
            assert weight(page.body) < MOST_BYTES, address
