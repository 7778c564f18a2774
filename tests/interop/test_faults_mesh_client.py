"""Injected faults as NHS's own mesh-client meets them: what it retries, and with which token (section 22)."""

from __future__ import annotations

import json
import random
import time
from asyncio import to_thread
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from typing import Any

import pytest
import urllib3
from mesh_client import MeshClient
from requests import ConnectionError as NoAnswer
from requests import HTTPError
from support import Simulator

Connect = Callable[..., MeshClient]

TO = "X26ABC2"
WORKFLOW = "TEST_WORKFLOW"
LARGE = random.Random(3).randbytes(2_000_000)


@pytest.fixture
async def connect(simulator: Simulator) -> AsyncIterator[Connect]:
    """Make clients that retry as they come, only without the long pauses; they block."""
    with ExitStack() as clients:

        def make(mailbox: str = "X26ABC1", **options: Any) -> MeshClient:
            given = {"shared_key": b"TestKey", "retry_backoff_factor": 0.01} | options
            client = MeshClient(simulator.url, mailbox, "password", **given)
            clients.callback(client.close)
            return client

        yield make


async def fault(simulator: Simulator, operation: str, action: str, **wish: object) -> None:
    """Put a rule in force."""
    body = json.dumps({"operation": operation, "action": action, **wish}).encode()
    answer = await simulator.caller().request("POST", "/admin/faults", body=body, authorization=None)
    assert answer.status == 201, answer.body


async def counts(simulator: Simulator) -> tuple[int, int]:
    """Give the calls and hits of the one rule."""
    answer = await simulator.caller().get("/admin/faults", authorization=None)
    (rule,) = answer.json()["faults"]
    return rule["calls"], rule["hits"]


def read(client: MeshClient, message_id: str) -> bytes:
    """Download a message without acknowledging it, and let go of its connection whatever comes."""
    message = client.retrieve_message(message_id)
    try:
        return bytes(message.read())
    finally:
        message.close()


async def test_a_chunk_refused_twice_arrives_with_the_third_try(
    simulator: Simulator, connect: Connect
) -> None:
    """The client sends a chunk again with the same token, and that is not held against it."""
    await fault(simulator, "send-chunk", "status", status=503, times=2)
    sender, recipient = connect(max_chunk_size=700_000), connect(TO)
    message = await to_thread(sender.send_message, TO, LARGE, workflow_id=WORKFLOW)
    assert await to_thread(read, recipient, message) == LARGE
    assert await counts(simulator) == (4, 2)  # two chunks, one of them three times


@pytest.mark.parametrize("status", [425, 429, 502, 503, 504])
@pytest.mark.parametrize("operation", ["list", "download", "acknowledge", "handshake", "count", "track"])
@pytest.mark.filterwarnings("ignore:Call to deprecated function count_messages:DeprecationWarning")
async def test_what_the_client_retries_succeeds(
    simulator: Simulator, connect: Connect, operation: str, status: int
) -> None:
    """Refused twice with a status that it retries, every call but the first POST succeeds."""
    sender, recipient = connect(), connect(TO)
    message = await to_thread(sender.send_message, TO, b"payload", workflow_id=WORKFLOW)
    call: dict[str, Callable[[], object]] = {
        "list": recipient.list_messages,
        "download": lambda: read(recipient, message),
        "acknowledge": lambda: recipient.acknowledge_message(message),
        "handshake": sender.handshake,
        "count": recipient.count_messages,
        "track": lambda: sender.track_message(message_id=message),
    }
    await fault(simulator, operation, "status", status=status, times=2)
    await to_thread(call[operation])
    assert await counts(simulator) == (3, 2)


async def test_retry_after_is_honoured(simulator: Simulator, connect: Connect) -> None:
    """The client waits as long as it is told before it tries again."""
    await fault(simulator, "list", "status", status=429, retry_after=1, times=1)
    began = time.monotonic()
    assert await to_thread(connect().list_messages) == []
    assert time.monotonic() - began >= 1


async def test_a_refusal_is_shown_as_what_it_is(simulator: Simulator, connect: Connect) -> None:
    """A status that the client does not retry reaches its caller."""
    await fault(simulator, "list", "status", status=500, times=1)
    with pytest.raises(HTTPError, match="500"):
        await to_thread(connect().list_messages)
    assert await counts(simulator) == (1, 1)


async def test_a_reset_list_is_asked_for_again(simulator: Simulator, connect: Connect) -> None:
    """The client gets over some resets, and gives up on endless ones."""
    client = connect()
    await fault(simulator, "list", "reset", times=2)
    assert await to_thread(client.list_messages) == []
    assert await counts(simulator) == (3, 2)
    await fault(simulator, "list", "reset")
    with pytest.raises(NoAnswer, match="reset by peer"):
        await to_thread(client.list_messages)


@pytest.mark.parametrize("data", [b"9990000018,\n" * 3, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("packed", [True, False], ids=["stored packed", "stored plain"])
async def test_a_download_cut_short_is_an_error_and_can_be_repeated(
    simulator: Simulator, connect: Connect, data: bytes, packed: bool
) -> None:
    """The reader of a body that ends too early is told so; the message waits, and arrives the next time."""
    sender, recipient = connect(transparent_compress=packed), connect(TO)
    message = await to_thread(sender.send_message, TO, data, workflow_id=WORKFLOW)
    await fault(simulator, "download", "truncate", times=1)
    with pytest.raises(urllib3.exceptions.ProtocolError):
        await to_thread(read, recipient, message)
    assert await to_thread(recipient.list_messages) == [message]
    assert await to_thread(read, recipient, message) == data


@pytest.mark.parametrize("action", ["lose-response", "reset"])
async def test_a_first_post_is_never_repeated(simulator: Simulator, connect: Connect, action: str) -> None:
    """The client does not send a message twice by itself: what was accepted is there once, or not at all."""
    await fault(simulator, "send", action, times=1)
    sender, recipient = connect(), connect(TO)
    with pytest.raises(NoAnswer):
        await to_thread(sender.send_message, TO, b"payload", workflow_id=WORKFLOW)
    messages = await to_thread(recipient.list_messages)
    assert len(messages) == (1 if action == "lose-response" else 0)
    assert [await to_thread(read, recipient, message) for message in messages] == [b"payload"] * len(messages)
    assert await counts(simulator) == (1, 1)


@pytest.mark.parametrize("operation", ["list", "acknowledge", "handshake"])
async def test_a_lost_response_is_asked_for_again_with_the_same_token(
    simulator: Simulator, connect: Connect, operation: str
) -> None:
    """Although the call was carried out, the token of the next try is good."""
    sender, recipient = connect(), connect(TO)
    message = await to_thread(sender.send_message, TO, b"payload", workflow_id=WORKFLOW)
    call: dict[str, Callable[[], object]] = {
        "list": recipient.list_messages,
        "acknowledge": lambda: recipient.acknowledge_message(message),
        "handshake": sender.handshake,
    }
    await fault(simulator, operation, "lose-response", times=2)
    await to_thread(call[operation])
    assert await counts(simulator) == (3, 2)


async def test_a_chunk_whose_response_was_lost(simulator: Simulator, connect: Connect) -> None:
    """Sent again, a chunk in the middle is taken again; the last finds the message complete: 423."""
    sender, recipient = connect(max_chunk_size=4), connect(TO)
    await fault(simulator, "send-chunk", "lose-response", nth=1, times=1)
    message = await to_thread(sender.send_message, TO, b"one two three", workflow_id=WORKFLOW)
    assert await to_thread(read, recipient, message) == b"one two three"
    assert await counts(simulator) == (4, 1)
    await fault(simulator, "send-chunk", "lose-response", nth=3, times=1)
    with pytest.raises(HTTPError, match="423"):
        await to_thread(sender.send_message, TO, b"one two three", workflow_id=WORKFLOW)
    messages = await to_thread(recipient.list_messages)
    assert [await to_thread(read, recipient, message) for message in messages] == [b"one two three"] * 2


async def test_a_delay_longer_than_the_client_waits(simulator: Simulator, connect: Connect) -> None:
    """A client that gives up waiting tries again, and is answered once the delays are over."""
    await fault(simulator, "list", "delay", delay="2s", times=2)
    assert await to_thread(connect(timeout=0.2).list_messages) == []
    assert await counts(simulator) == (3, 2)
