"""What the log says of refused requests, and what it must never say."""

from __future__ import annotations

import asyncio
import logging
from urllib.parse import urlsplit

import pytest
from support import Simulator, request_head, speak

SECRET = "TOKEN-THAT-MUST-NOT-BE-LOGGED"


async def test_a_refusal_is_explained_without_the_token(
    simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says why a token was refused, and holds neither the token nor the password."""
    caplog.set_level(logging.DEBUG)
    caller = simulator.caller("X26ABC1", password="not-the-password")
    answer = await caller.get("inbox", authorization=caller.sign())
    assert answer.status == 403
    assert "the hash does not match" in caplog.text
    assert "NHSMESH" not in caplog.text
    assert "not-the-password" not in caplog.text


@pytest.mark.parametrize(
    ("line", "refused", "why"),
    [
        (f"Authorization: NHSMESH X26ABC1:{SECRET}:0:202611220000:\x01".encode(), 400, "not proper HTTP"),
        (f"Authorization: {SECRET}{'a' * 70_000}".encode(), 431, "MESH_SIM_MAX_HEADER_BYTES"),
    ],
    ids=["a control character", "far too long"],
)
async def test_a_request_that_is_not_http_leaves_no_trace_of_its_content(
    simulator: Simulator, caplog: pytest.LogCaptureFixture, line: bytes, refused: int, why: str
) -> None:
    """A request that the HTTP parser refuses is logged by kind; its headers are not repeated."""
    caplog.set_level(logging.DEBUG)
    request = b"GET /messageexchange/X26ABC1/inbox HTTP/1.1\r\nHost: x\r\n" + line + b"\r\n\r\n"
    status, _, _ = await speak(simulator.url, request)
    assert status == refused
    assert why in caplog.text
    assert SECRET not in caplog.text


async def test_an_upload_that_breaks_off_is_no_error_of_the_server(
    simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    """A sender that goes away in the middle of its body is logged as that, without a traceback."""
    caplog.set_level(logging.INFO)
    caller = simulator.caller("X26ABC1")
    head = request_head(
        caller,
        "POST",
        "outbox",
        b"Mex-To: X26ABC2",
        b"Mex-WorkflowID: TEST_WORKFLOW",
        b"Content-Length: 1000",
    )
    address = urlsplit(simulator.url)
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(head + b"only this")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    while "the connection broke" not in caplog.text:
        await simulator.server.exchange.arrivals.wait("nobody", 0.01)
    assert "Traceback" not in caplog.text
    assert await simulator.caller("X26ABC2").inbox() == []
