"""Section 17: ping, health and update."""

from __future__ import annotations

import pytest
from support import Callers, assert_router

PATHS = [
    "/health",
    "/_status",
    "/_ping",
    "/healthcheck",
    "/messageexchange/_ping",
    "/messageexchange/deepping",
]


@pytest.mark.parametrize("path", PATHS)
async def test_health_is_told_to_anyone(shared: Callers, path: str) -> None:
    """Every health path answers that the service runs, without a token."""
    answer = await shared.caller().get(path, authorization=None)
    assert (answer.status, answer.content_type) == (200, "application/json")
    body = answer.json()
    assert set(body) == {"env", "build_label", "status", "outcome"}
    assert (body["status"], body["outcome"]) == ("running", "Yes")


async def test_ping_ignores_a_bad_token(shared: Callers) -> None:
    """A token sent to ping is not looked at, right or wrong."""
    answer = await shared.caller().get("/messageexchange/_ping", authorization="nonsense")
    assert answer.status == 200


@pytest.mark.parametrize("path", PATHS[:4])
async def test_health_paths_only_take_get(shared: Callers, path: str) -> None:
    """POST is not allowed on them."""
    assert_router(await shared.caller().request("POST", path), 405, "Method Not Allowed")


async def test_update_does_nothing(shared: Callers) -> None:
    """Update is an empty 200 to a mailbox that proves itself, and 403 to others."""
    answer = await shared.caller().request("POST", "update")
    assert (answer.status, answer.body) == (200, b"")
    assert (await shared.caller(password="wrong").request("POST", "update")).status == 403
