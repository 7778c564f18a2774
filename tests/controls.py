"""Control requests as a test makes them, and the one shape of their refusals."""

from __future__ import annotations

import io
from typing import Any

import aiohttp
from support import Answer


async def control(url: str, method: str, path: str, body: Any = None, **options: Any) -> Answer:
    """Make one control request; ``body`` is sent as JSON unless it is bytes."""
    if isinstance(body, bytes):
        options["data"] = io.BytesIO(body)
    elif body is not None:
        options["json"] = body
    async with aiohttp.ClientSession() as session, session.request(method, url + path, **options) as answer:
        return Answer(answer.status, answer.headers, await answer.read())


def assert_control_refused(answer: Answer, status: int, *, field: str | None = None, text: str = "") -> None:
    """Check a refusal: its status, its one shape, the field it names and what it says."""
    assert answer.status == status, answer.body
    assert answer.content_type == "application/json"
    body = answer.json()
    assert set(body) == {"error", "problems"}
    assert isinstance(body["error"], str)
    assert body["error"]
    assert all(set(problem) == {"field", "problem"} for problem in body["problems"])
    if field is not None:
        assert field in [problem["field"] for problem in body["problems"]], body
    assert text in body["error"], body
