"""NHS's own mesh-client from PyPI, unchanged, with every strict rule on (section 22)."""

from __future__ import annotations

import asyncio
import random
from asyncio import to_thread
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from mesh_client import MeshClient, MeshError
from requests import HTTPError
from support import MESSAGE_ID, Simulator

Connect = Callable[..., MeshClient]


@pytest.fixture
async def connect(simulator: Simulator) -> AsyncIterator[Connect]:
    """Make clients for mailboxes of the test's simulator; they block, so they are called in a thread."""
    with ExitStack() as clients:

        def make(mailbox: str = "X26ABC1", password: str = "password", **options: Any) -> MeshClient:
            given = {"shared_key": simulator.shared_key.encode()} | options
            client = MeshClient(simulator.url, mailbox, password, **given)
            clients.callback(client.close)
            return client

        yield make


TO = "X26ABC2"
WORKFLOW = "TEST_WORKFLOW"


def some_bytes(count: int) -> bytes:
    """Bytes that gzip cannot shorten, the same each time."""
    return random.Random(count).randbytes(count)


def collect(client: MeshClient, message_id: str) -> bytes:
    """Read a message and acknowledge it, as the client does by itself."""
    with client.retrieve_message(message_id) as message:
        return bytes(message.read())


def status_of(call: Callable[..., object], *arguments: object) -> int:
    """Make a call that must fail, and give the HTTP status it failed with."""
    with pytest.raises(HTTPError) as failure:
        call(*arguments)
    response = failure.value.response
    assert response is not None
    response.close()  # the client leaves the connection of a refused download open
    return response.status_code


async def test_ping_and_handshake(connect: Connect) -> None:
    """The client reaches the server and proves its mailbox, as often as it likes."""
    client = connect()
    assert (await to_thread(client.ping))["status"] == "running"
    for _ in range(3):
        assert await to_thread(client.handshake) == b"hello"


async def test_a_small_message_is_sent_read_and_acknowledged(connect: Connect) -> None:
    """A message arrives with all it was sent with, and leaves the inbox once it was read."""
    sender, recipient = connect(), connect(TO)
    sent: dict[str, Any] = {
        "workflow_id": WORKFLOW,
        "filename": "list.dat",
        "local_id": "local-1",
        "subject": "a subject",
        "partner_id": "partner",
        "checksum": "sha256 abc",
        "content_type": "text/csv",
    }

    def exchange() -> None:
        message_id = sender.send_message(TO, b"9990000018,\n", encrypted=True, compressed=False, **sent)
        assert MESSAGE_ID.fullmatch(message_id)
        assert recipient.list_messages() == [message_id]
        with recipient.retrieve_message(message_id) as message:
            assert message.read() == b"9990000018,\n"
            assert {name: getattr(message, name) for name in sent} == sent
            assert (message.sender, message.recipient) == ("X26ABC1", TO)
            assert (message.id(), message.message_id, message.message_type) == (
                message_id,
                message_id,
                "DATA",
            )
            assert message.encrypted is True
            assert message.mex_header("statussuccess") == "SUCCESS"
        assert recipient.list_messages() == []

    await to_thread(exchange)


async def test_a_message_not_read_to_the_end_stays(connect: Connect) -> None:
    """A reader that fails half-way does not acknowledge, and reads the message again."""
    sender, recipient = connect(), connect(TO)

    def exchange() -> None:
        message_id = sender.send_message(TO, b"line 1\nline 2\n", workflow_id=WORKFLOW)
        with pytest.raises(ZeroDivisionError), recipient.retrieve_message(message_id) as message:
            raise ZeroDivisionError(message.readline())
        assert recipient.list_messages() == [message_id]
        with recipient.retrieve_message(message_id) as message:
            assert message.readlines() == [b"line 1\n", b"line 2\n"]
        assert recipient.list_messages() == []

    await to_thread(exchange)


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "compressed"])
@pytest.mark.parametrize(
    ("size", "max_chunk_size"),
    [(1, 10), (100, 100), (100, 99), (1000, 10), (300_000, 70_000), (300_000, 75 * 1024 * 1024)],
)
async def test_chunked_messages(connect: Connect, size: int, max_chunk_size: int, compress: bool) -> None:
    """Cut small or not at all, packed chunk by chunk or not, the data comes back the same."""
    sender, recipient = connect(max_chunk_size=max_chunk_size), connect(TO)
    data = some_bytes(size)

    def exchange() -> None:
        message_id = sender.send_message(TO, data, workflow_id=WORKFLOW, compress=compress)
        assert collect(recipient, message_id) == data
        assert recipient.list_messages() == []

    await to_thread(exchange)


async def test_transparent_compression(connect: Connect) -> None:
    """A client that always packs stores less than it sent, and a reader notices nothing."""
    sender, recipient = connect(transparent_compress=True, max_chunk_size=50_000), connect(TO)
    data = b"9990000018,\n" * 10_000

    def exchange() -> str:
        message_id = sender.send_message(TO, data, workflow_id=WORKFLOW)
        assert collect(recipient, message_id) == data
        return message_id

    assert (await to_thread(lambda: sender.track_message(exchange())))["status"] == "acknowledged"


async def test_a_stream_is_sent(connect: Connect, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Data may come from an open file, cut and packed as it is read."""
    sender, recipient = connect(transparent_compress=True, max_chunk_size=1000), connect(TO)
    path = tmp_path_factory.mktemp("input") / "list.dat"
    path.write_bytes(some_bytes(5500))

    def exchange() -> None:
        with path.open("rb") as stream:
            message_id = sender.send_message(TO, stream, workflow_id=WORKFLOW)
        assert collect(recipient, message_id) == path.read_bytes()

    await to_thread(exchange)


# -- listing ----------------------------------------------------------------------------------------


async def fill(simulator: Simulator, count: int, workflow: str = WORKFLOW) -> set[str]:
    """Put messages into the recipient's inbox, sixteen at a time."""
    sender = simulator.caller()
    limit = asyncio.Semaphore(16)

    async def send(number: int) -> str:
        async with limit:
            return await sender.sent(b"%d" % number, workflow=workflow)

    return set(await asyncio.gather(*map(send, range(count))))


@pytest.mark.parametrize("batch_size", [None, 10, 500])
async def test_iterating_over_more_than_600_messages(
    simulator: Simulator, connect: Connect, batch_size: int | None
) -> None:
    """Whatever the size of a page, every message is listed once."""
    sent = await fill(simulator, 620)
    recipient = connect(TO)
    listed = await to_thread(lambda: list(recipient.iterate_message_ids(batch_size=batch_size)))
    assert len(listed) == 620
    assert set(listed) == sent


async def test_draining_an_inbox_page_by_page(simulator: Simulator, connect: Connect) -> None:
    """Acknowledging each message as it is read loses none and repeats none."""
    await fill(simulator, 45)
    recipient = connect(TO)

    def drain() -> list[bytes]:
        bodies = []
        for message in recipient.iterate_messages(batch_size=10):
            with message:
                bodies.append(message.read())
        return bodies

    bodies = await to_thread(drain)
    assert sorted(map(int, bodies)) == list(range(45))
    assert await to_thread(recipient.list_messages) == []


async def test_filtering_by_workflow(simulator: Simulator, connect: Connect) -> None:
    """The client's filter gives the messages of the workflows asked for, over several pages too."""
    first, other = await fill(simulator, 25, "WF_A"), await fill(simulator, 15, "OTHER_ACK")
    recipient = connect(TO)

    def listed(workflow_filter: str) -> set[str]:
        return set(recipient.iterate_message_ids(workflow_filter=workflow_filter, batch_size=10))

    for workflow_filter, expected in (("WF_*", first), ("!WF_*", other), ("*_ACK*", other), ("NONE", set())):
        assert await to_thread(listed, workflow_filter) == expected
    assert len(await to_thread(recipient.list_messages, 10, "WF_A")) == 10


@pytest.mark.filterwarnings("ignore:Call to deprecated function count_messages:DeprecationWarning")
async def test_counting(simulator: Simulator, connect: Connect) -> None:
    """The deprecated count works."""
    await fill(simulator, 3)
    assert await to_thread(connect(TO).count_messages) == 3


# -- tracking and lookup ----------------------------------------------------------------------------


async def test_tracking(connect: Connect) -> None:
    """A message is followed from accepted to acknowledged."""
    sender, recipient = connect(), connect(TO)

    def exchange() -> None:
        message_id = sender.send_message(TO, b"data", workflow_id=WORKFLOW, local_id="mine")
        tracked = sender.track_message(message_id)
        assert tracked["message_id"] == message_id
        assert (tracked["status"], tracked["local_id"], tracked["recipient"]) == ("accepted", "mine", TO)
        collect(recipient, message_id)
        assert sender.track_message(message_id)["status"] == "acknowledged"

    await to_thread(exchange)


async def test_looking_up_a_mailbox(connect: Connect) -> None:
    """A mailbox is found by ODS code and workflow."""
    found = await to_thread(connect().lookup_endpoint, "X26", WORKFLOW)
    assert found["results"] == [{"mailbox_id": TO, "mailbox_name": "TESTMB2"}]


# -- errors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{"password": "wrong"}, {"shared_key": b"wrong"}], ids=["password", "key"]
)
async def test_wrong_credentials(connect: Connect, options: dict[str, object]) -> None:
    """A wrong password or key is 403 on every call, and on sending an error with its text."""
    client = connect(**options)

    def attempt() -> None:
        assert status_of(client.handshake) == 403
        assert status_of(client.list_messages) == 403
        with pytest.raises(MeshError, match="Invalid Authentication Token"):
            client.send_message(TO, b"data", workflow_id=WORKFLOW)

    await to_thread(attempt)


async def test_a_lower_case_mailbox(connect: Connect) -> None:
    """The mailbox must be typed in upper case."""
    assert await to_thread(status_of, connect("x26abc1").handshake) == 403


@pytest.mark.parametrize(
    ("to", "data", "options", "text"),
    [
        ("X26ZZZ9", b"data", {"workflow_id": WORKFLOW}, "Unregistered to address"),
        (TO, b"", {"workflow_id": WORKFLOW}, "Data file is missing or inaccessible."),
        ("X26ABC3", b"data", {"workflow_id": WORKFLOW}, "Workflow ID not registered for mailbox"),
        (TO, b"data", {}, "Field required"),
        (TO, b"data", {"workflow_id": WORKFLOW, "checksum": "_"}, "Invalid checksum"),
    ],
    ids=["unknown recipient", "empty body", "workflow of others", "no workflow", "bad checksum"],
)
async def test_sends_that_are_refused(
    connect: Connect, to: str, data: bytes, options: dict[str, Any], text: str
) -> None:
    """The client raises its own error with the server's text, and nothing is sent."""
    client = connect()

    def attempt() -> None:
        with pytest.raises(MeshError) as failure:
            client.send_message(to, data, **options)
        assert failure.value.args[0] == text

    await to_thread(attempt)
    assert await to_thread(connect(TO).list_messages) == []


async def test_messages_that_cannot_be_had(connect: Connect) -> None:
    """An unknown message is 404, another's 403, and one acknowledged before is gone."""
    sender, recipient = connect(), connect(TO)

    def attempt() -> None:
        for call in (recipient.retrieve_message, recipient.acknowledge_message, sender.track_message):
            assert status_of(call, "20200529155357895317_3573F8") == 404
        message_id = sender.send_message(TO, b"data", workflow_id=WORKFLOW)
        assert status_of(sender.retrieve_message, message_id) == 403
        assert status_of(recipient.track_message, message_id) == 404
        recipient.acknowledge_message(message_id)
        recipient.acknowledge_message(message_id)
        assert status_of(recipient.retrieve_message, message_id) == 410

    await to_thread(attempt)


async def test_an_advanced_clock_locks_nobody_out(simulator: Simulator, connect: Connect) -> None:
    """The client's tokens, made in real time, stay good while the simulated clock moves on."""
    client = connect()
    await to_thread(client.handshake)
    simulator.clock.advance(timedelta(days=10))
    assert await to_thread(client.handshake) == b"hello"
