"""``/admin/messages`` and ``/admin/wait``."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from controls import assert_control_refused, control
from support import MESSAGE_ID, Simulator

PATH = "/admin/messages"


async def test_messages_are_put_into_an_inbox(simulator: Simulator) -> None:
    """Six hundred messages are listed by the recipient in the order given, each with its own local id."""
    wish = {"to": "X26ABC2", "from": "X26ABC1", "count": 600, "local_id": "seed", "body": "hello"}
    answer = await control(simulator.url, "POST", PATH, wish)
    assert answer.status == 201
    ids = answer.json()["message_ids"]
    recipient = simulator.caller("X26ABC2")
    assert await recipient.inbox("max_results=600") == ids
    assert all(MESSAGE_ID.fullmatch(message_id) for message_id in ids)
    last = await recipient.get(f"inbox/{ids[-1]}")
    assert (last.body, last.mex()["mex-localid"], last.mex()["mex-from"]) == (b"hello", "seed-600", "X26ABC1")
    assert (await simulator.caller().track(ids[0]))["local_id"] == "seed-1"


async def test_a_body_may_be_bytes(simulator: Simulator) -> None:
    """Base64 carries what text cannot; a single message keeps its local id as given."""
    wish = {"to": "X26ABC2", "body_base64": "AP8K", "local_id": "one", "content_type": "application/pdf"}
    (message_id,) = (await control(simulator.url, "POST", PATH, wish)).json()["message_ids"]
    answer = await simulator.caller("X26ABC2").get(f"inbox/{message_id}", version=2)
    assert (answer.body, answer.mex()["mex-localid"]) == (b"\x00\xff\n", "one")
    assert answer.content_type == "application/pdf"


@pytest.mark.parametrize(
    ("wish", "status", "field"),
    [
        ({"to": "X26ABC9"}, 404, "to"),
        ({"to": "X26ABC2", "from": "X26ABC9"}, 404, "from"),
        ({}, 400, "to"),
        ({"to": "X26ABC2", "count": 0}, 400, "count"),
        ({"to": "X26ABC2", "count": 100_001}, 400, "count"),
        ({"to": "X26ABC2", "body": ""}, 400, None),
        ({"to": "X26ABC2", "body_base64": "?"}, 400, None),
        ({"to": "X26ABC2", "body": "x", "body_base64": "AA=="}, 400, None),
        ({"to": "X26ABC2", "subject": "a\nb"}, 400, "subject"),
        ({"to": "X26ABC2", "subject": "Δ"}, 400, "subject"),
        ({"to": "X26ABC2", "workflow_id": ""}, 400, "workflow_id"),
    ],
    ids=str,
)
async def test_bad_wishes_put_nothing(
    simulator: Simulator, wish: Any, status: int, field: str | None
) -> None:
    """What cannot be delivered is refused as a whole."""
    assert_control_refused(await control(simulator.url, "POST", PATH, wish), status, field=field)
    assert (await control(simulator.url, "GET", PATH)).json() == {"messages": []}


async def test_messages_are_found_by_what_they_are(simulator: Simulator) -> None:
    """Each criterion selects; together they must all hold; the oldest comes first."""
    caller = simulator.caller()
    first = await caller.sent(headers={"Mex-LocalID": "a", "Mex-Subject": "s"})
    second = await caller.sent(workflow="OTHER", to="X26ABC3")
    await simulator.caller("X26ABC2").acknowledge(first)

    async def found(query: str) -> list[str]:
        answer = await control(simulator.url, "GET", f"{PATH}?{query}")
        return [message["message_id"] for message in answer.json()["messages"]]

    assert await found("") == [first, second]
    assert await found("sender=x26abc1&limit=1") == [first]
    for query, expected in (
        ("mailbox=X26ABC2", first),
        ("workflow=OTHER", second),
        ("local_id=a", first),
        ("subject=s", first),
        ("status=acknowledged", first),
        ("status=accepted&type=DATA", second),
    ):
        assert await found(query) == [expected], query
    assert await found("local_id=a&workflow=OTHER") == []


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ("mailbox=X26ABC9", 404, "mailbox"),
        ("sender=X26ABC9", 404, "sender"),
        ("status=lost", 400, "status"),
        ("type=LETTER", 400, "type"),
        ("limit=0", 400, "limit"),
        ("mailbx=X26ABC1", 400, "mailbx"),
        ("status=accepted&status=error", 400, "status"),
    ],
)
@pytest.mark.parametrize("path", [PATH, "/admin/wait"])
async def test_bad_queries(simulator: Simulator, path: str, query: str, status: int, field: str) -> None:
    """A query that could find nothing is refused with what is wrong with it."""
    assert_control_refused(await control(simulator.url, "GET", f"{path}?{query}"), status, field=field)


async def test_waiting_ends_when_the_message_is_there(simulator: Simulator) -> None:
    """A long poll answers as soon as a matching message is accepted, and passes over all others."""
    waiting = asyncio.create_task(
        control(simulator.url, "GET", "/admin/wait?mailbox=X26ABC2&local_id=mine&status=accepted&timeout=20s")
    )
    await simulator.caller().sent(headers={"Mex-LocalID": "another"})
    chunked = await simulator.caller().sent(headers={"Mex-LocalID": "mine", "Mex-Chunk-Range": "1:2"})
    await asyncio.sleep(0.05)
    assert not waiting.done()
    began = time.monotonic()
    await simulator.caller().send_chunk(chunked, 2, "2:2")
    (message,) = (await waiting).json()["messages"]
    assert (message["message_id"], message["status"]) == (chunked, "accepted")
    assert time.monotonic() - began < 5


async def test_waiting_for_several_and_for_a_status(simulator: Simulator) -> None:
    """It waits for as many as are asked for, and for a message to reach a status."""
    first = asyncio.create_task(
        control(simulator.url, "GET", "/admin/wait?mailbox=X26ABC2&count=2&timeout=20s")
    )
    ids = [await simulator.caller().sent() for _ in range(2)]
    assert [message["message_id"] for message in (await first).json()["messages"]] == ids
    second = asyncio.create_task(
        control(simulator.url, "GET", "/admin/wait?sender=X26ABC1&status=acknowledged&timeout=20s")
    )
    await asyncio.sleep(0.05)
    await simulator.caller("X26ABC2").acknowledge(ids[1])
    assert [message["message_id"] for message in (await second).json()["messages"]] == [ids[1]]


async def test_waiting_in_vain(simulator: Simulator) -> None:
    """When nothing comes in time the answer is 408 and says how much was there."""
    await simulator.caller().sent()
    answer = await control(simulator.url, "GET", "/admin/wait?mailbox=X26ABC2&count=2&timeout=0.1s")
    assert_control_refused(answer, 408, text="1 of 2")


async def test_a_wait_has_a_limit(simulator: Simulator) -> None:
    """Nobody waits for longer than ten minutes, or for a negative time."""
    for timeout in ("11m", "-1s", "soon"):
        answer = await control(simulator.url, "GET", f"/admin/wait?timeout={timeout}")
        assert_control_refused(answer, 400, field="timeout")
