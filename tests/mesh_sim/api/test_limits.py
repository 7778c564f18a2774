"""Limits of requests: what is too much, too long or too slow is answered, with its reason noted."""

from __future__ import annotations

import asyncio
import io
import socket
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import urlsplit

import pytest
from controls import assert_control_refused, control
from multidict import CIMultiDict, CIMultiDictProxy
from support import Answer, Callers, MakeSimulator, Simulator, assert_refused, request_head, speak
from wires import PATIENCE_S, SHORT, UPLOAD, connected

from mesh_sim.api.patience import Patience
from mesh_sim.witness.journal import Entry, JournalFilter

LONG: Final = 20_000_000
"""More than the system's buffers take in for a client that does not read."""


async def until_noted(simulator: Simulator, operation: str) -> Entry:
    """Wait for the journal's first entry of an operation."""
    async with asyncio.timeout(PATIENCE_S):
        while not (found := await simulator.server.journal.entries(JournalFilter(operation=operation))):
            await simulator.server.exchange.arrivals.wait("nobody", 0.01)
    entry: Entry = found[0]
    return entry


# -- bodies -----------------------------------------------------------------------------------------


async def test_a_body_that_stands_still_is_refused(make_simulator: MakeSimulator) -> None:
    """408 in the shape of the path; nothing of it is kept, and the journal names the setting."""
    simulator = await make_simulator(stall_time=SHORT)
    sender = simulator.caller()
    async with connected(simulator.url) as first, connected(simulator.url) as second:
        for version, line in ((1, first), (2, second)):
            accept = b"Accept: application/vnd.mesh.v%d+json" % version
            await line.upload(sender, accept, b"Mex-LocalID: slow")
            line.say(b"half of it")
        for version, line in ((1, first), (2, second)):
            assert_refused(_as_answer(*await line.answer()), version, 408, "Request Timeout")
            assert await line.is_ended()
    entry = await until_noted(simulator, "send")
    assert (entry.status, entry.received_bytes) == (408, 10)
    assert "nothing more of the body came for 0.15 s (MESH_SIM_STALL_TIME)" in entry.reason
    assert (await sender.get("outbox/tracking/slow")).status == 404


async def test_a_body_that_the_server_does_not_read_is_not_late(make_simulator: MakeSimulator) -> None:
    """While the server itself takes its time before it wants a body, or more of it, nobody is slow."""
    simulator = await make_simulator(stall_time=SHORT)
    fault = {"operation": "send", "action": "delay", "delay": "0.3s"}
    assert (await control(simulator.url, "POST", "/admin/faults", fault)).status == 201
    async with connected(simulator.url) as unasked, connected(simulator.url) as unread:
        length = b"Content-Length: 8000000"
        unread.say(request_head(simulator.caller(), "POST", "outbox", *UPLOAD, length) + b"x" * 8_000_000)
        await unasked.upload(simulator.caller())
        unasked.say(b"x" * 1000)
        for line in (unasked, unread):
            assert (await line.answer())[0] == 202


async def test_a_large_body_that_stands_still_leaves_no_file(make_simulator: MakeSimulator) -> None:
    """What was written of it to the disk is gone with it."""
    simulator = await make_simulator(stall_time=SHORT)
    async with connected(simulator.url) as line:
        await line.upload(simulator.caller(), length=3_000_000)
        line.say(b"x" * 2_000_000)
        assert (await line.answer())[0] == 408
    payloads = simulator.server.core.settings.data / "payloads"
    assert [path for path in payloads.rglob("*") if path.is_file()] == []


async def test_a_body_that_trickles_is_refused(make_simulator: MakeSimulator) -> None:
    """Bytes that keep coming, but far too few, do not keep a request for ever."""
    simulator = await make_simulator(stall_time=SHORT, min_rate=1_000_000)
    async with connected(simulator.url) as line:
        await line.upload(simulator.caller())
        answered = asyncio.create_task(line.answer())
        while not answered.done():
            line.say(b"x")
            await asyncio.sleep(0.01)
        assert (await answered)[0] == 408
    assert "(MESH_SIM_MIN_RATE)" in (await until_noted(simulator, "send")).reason


def test_a_slow_line_has_all_the_time_it_needs() -> None:
    """100 MB at twice the least rate pass, with a pause of almost the longest; a bit less is too slow."""
    for rate, wrong in ((20_000, ""), (9_000, "MESH_SIM_MIN_RATE")):
        patience = Patience(60.0, 10_000)
        found = ""
        for second in range(1, 100_000_000 // rate):
            found = found or patience.look(second * rate, 1.0)
            if second == 1000:
                found = found or patience.look(second * rate, 59.0)
        assert wrong in found
        assert bool(wrong) == bool(found)


def test_what_stands_still_is_told_from_what_is_slow() -> None:
    """A body of which nothing comes any more is not called slow, however little of it there is."""
    patience = Patience(60.0, 10_000)
    found = [patience.look(1, 1.0) for _ in range(61)]
    assert found[:-1] == [""] * 60
    assert "MESH_SIM_STALL_TIME" in found[-1]


async def test_a_slow_body_of_a_control_request_is_refused(make_simulator: MakeSimulator) -> None:
    """In the control API's own shape."""
    simulator = await make_simulator(stall_time=SHORT)
    async with connected(simulator.url) as line:
        line.say(b"POST /admin/clock HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n{")
        answer = _as_answer(*await line.answer())
    assert_control_refused(answer, 408, text="MESH_SIM_STALL_TIME")
    assert answer.headers["Connection"] == "close"


async def test_an_answer_that_nobody_reads_is_broken_off(
    make_simulator: MakeSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """A download ends when its reader takes nothing for too long, and says so."""
    simulator = await make_simulator(stall_time=SHORT)
    message_id = await simulator.caller().sent(io.BytesIO(b"x" * LONG))
    address = urlsplit(simulator.url)
    with socket.socket() as narrow:
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        narrow.connect((address.hostname, address.port))
        narrow.sendall(request_head(simulator.caller("X26ABC2"), "GET", f"inbox/{message_id}"))
        entry = await until_noted(simulator, "download")
    assert entry.sent_bytes < LONG
    assert "broken off before the whole answer was sent" in entry.reason
    assert "MESH_SIM_STALL_TIME" in caplog.text
    assert (await simulator.caller("X26ABC2").get(f"inbox/{message_id}")).status == 200


def _as_answer(status: int, headers: dict[str, str], body: bytes) -> Answer:
    return Answer(status, CIMultiDictProxy(CIMultiDict(headers)), body)


# -- sizes ------------------------------------------------------------------------------------------


async def test_the_longest_body_can_be_set(make_simulator: MakeSimulator) -> None:
    """The limit is allowed; more is 413, whether announced or not, and the journal names the setting."""
    simulator = await make_simulator(max_request_bytes=1000)
    sender = simulator.caller()
    assert (await sender.send(b"x" * 1000)).status == 202
    text = "Request body is larger than 1000 bytes; send it in chunks"
    assert_refused(await sender.send(b"x" * 1001), 1, 413, text)
    assert_refused(await sender.send(_pieces(1001)), 1, 413, text)
    message_id = await sender.sent(b"x", headers={"Mex-Chunk-Range": "1:2"})
    assert (await sender.send_chunk(message_id, 2, "2:2", _pieces(1001))).status == 413
    assert "(MESH_SIM_MAX_REQUEST_BYTES)" in (await until_noted(simulator, "send-chunk")).reason


async def _pieces(length: int) -> AsyncIterator[bytes]:
    for _ in range(length):
        yield b"x"


@pytest.mark.parametrize("status", [413, 403, 417])
async def test_a_body_that_will_be_refused_is_not_asked_for(shared: Callers, status: int) -> None:
    """With ``Expect: 100-continue`` the refusal comes first, and the connection ends with it."""
    caller = shared.caller(password="password" if status != 403 else "another")
    to = b"Mex-To: NOBODY" if status == 417 else b"Mex-To: X26ABC2"
    length = b"Content-Length: %d" % (200_000_000 if status == 413 else 10)
    lines = (to, b"Mex-WorkflowID: TEST_WORKFLOW", length, b"Expect: 100-Continue")
    head = request_head(caller, "POST", "outbox", *lines).replace(b"Connection: close\r\n", b"")
    given, headers, _ = await speak(shared.url, head)
    assert given == status
    assert b"Connection: close" in headers


async def test_expectations_that_do_not_exist_are_passed_over(shared: Callers) -> None:
    """An Expect header that no standard knows is no reason to refuse."""
    assert (await shared.caller().send(headers={"Expect": "the best"})).status == 202


async def test_a_body_where_none_belongs_is_passed_over(shared: Callers) -> None:
    """A GET with a body is answered, and the connection goes on after it."""
    caller = shared.caller()
    async with connected(shared.url) as line:
        for _ in range(2):
            head = request_head(caller, "GET", "count", b"Content-Length: 5")
            line.say(head.replace(b"Connection: close\r\n", b"") + b"GET /")
            assert (await line.answer())[0] == 200


async def test_a_list_of_opt_outs_has_a_longest_length(make_simulator: MakeSimulator) -> None:
    """More than ``max_list_bytes`` is refused in the control API's shape, and nothing is loaded."""
    simulator = await make_simulator(max_list_bytes=24)
    numbers = b"9990000018\n9990000026\n9990000034\n"
    refused = await control(simulator.url, "POST", "/admin/optouts/load", numbers)
    assert_control_refused(refused, 413, text="MESH_SIM_MAX_LIST_BYTES")
    assert (await control(simulator.url, "GET", "/admin/optouts/statistics")).json()["opted_out"] == 0
    assert (await control(simulator.url, "POST", "/admin/optouts/load", numbers[:22])).json()["loaded"] == 2


# -- numbers ----------------------------------------------------------------------------------------


async def test_too_many_requests_at_once_are_put_off(make_simulator: MakeSimulator) -> None:
    """503 with Retry-After; the token stays good for the next try, and the journal names the setting."""
    simulator = await make_simulator(max_in_flight=1)
    caller = simulator.caller("X26ABC2")
    token = caller.sign()
    async with connected(simulator.url) as busy:
        await busy.upload(simulator.caller())
        for version in (1, 2):
            answer = await caller.get("inbox", authorization=token, version=version)
            assert_refused(answer, version, 503, "Service Unavailable")
            assert answer.headers["Retry-After"] == "1"
        busy.say(b"x" * 1000)
        assert (await busy.answer())[0] == 202
    assert (await caller.get("inbox", authorization=token)).status == 200
    noted = await simulator.server.journal.entries(JournalFilter(operation="list", lowest_status=503))
    assert "(MESH_SIM_MAX_IN_FLIGHT)" in noted[0].reason


async def test_who_controls_the_simulator_is_not_counted(make_simulator: MakeSimulator) -> None:
    """Long polls take no mailbox's place, and the control API answers while every place is taken."""
    simulator = await make_simulator(max_in_flight=1)
    waiting = asyncio.create_task(control(simulator.url, "GET", "/admin/wait?mailbox=X26ABC2"))
    async with connected(simulator.url) as busy:
        await busy.upload(simulator.caller())
        assert (await control(simulator.url, "GET", "/admin/journal")).status == 200
        busy.say(b"x" * 1000)
        assert (await busy.answer())[0] == 202
    assert (await waiting).status == 200


async def test_an_inbox_can_be_full(make_simulator: MakeSimulator) -> None:
    """A send to it is refused like any other that cannot be delivered, until something is collected."""
    simulator = await make_simulator(max_inbox=2)
    sender, recipient = simulator.caller(), simulator.caller("X26ABC2")
    first = await sender.sent()
    await sender.sent()
    for version in (1, 2):
        refused = await sender.send(version=version)
        assert_refused(refused, version, 417, "The recipient's inbox is full", event="SEND")
    noted = await simulator.server.journal.entries(JournalFilter(lowest_status=417))
    assert "(MESH_SIM_MAX_INBOX)" in noted[0].reason
    assert (await sender.send(to="X26ABC1", workflow="TEST_WORKFLOW2")).status == 202
    await recipient.acknowledge(first)
    assert (await sender.send()).status == 202
    assert (await sender.send()).status == 417


async def test_the_journal_keeps_so_many_requests(make_simulator: MakeSimulator) -> None:
    """The size of the journal is a setting."""
    simulator = await make_simulator(journal_entries=3)
    for _ in range(5):
        await simulator.caller().get("count")
    assert [entry.number for entry in await simulator.server.journal.entries(JournalFilter())] == [5, 4, 3]
