"""What the journal notes of each request, and what it must never hold."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web
from controls import control
from support import (
    HANDSHAKE,
    UNKNOWN_ID,
    Caller,
    MakeSimulator,
    Simulator,
    authorization,
    minute,
    request_head,
)

from mesh_sim.api.errors import errors_to_bodies
from mesh_sim.api.journal import Recorder, add_journal, journaled
from mesh_sim.api.operations import OPERATION_NAMES, Handler
from mesh_sim.storage.journal import SqliteJournal
from mesh_sim.witness.journal import Entry, JournalFilter

LARGE: Final = random.Random(3).randbytes(3_000_000)
"""Too long to be sent in one piece; gzip cannot shorten it."""

ALL: Final = JournalFilter(limit=100_000, oldest_first=True)


async def in_blocks(body: bytes) -> AsyncIterator[bytes]:
    """A body as a client streams it."""
    for start in range(0, len(body), 100_000):
        yield body[start : start + 100_000]


async def noted(simulator: Simulator) -> list[Entry]:
    """Every entry, oldest first."""
    return list(await simulator.server.journal.entries(ALL))


async def last(simulator: Simulator) -> Entry:
    """The newest entry."""
    return (await noted(simulator))[-1]


async def until_noted(simulator: Simulator, count: int) -> list[Entry]:
    """Wait until so many requests have ended.

    One whose caller has gone ends when the server notices, and one answered in pieces when the server finds
    that there is no further piece, a moment after its caller has the last.
    """
    async with asyncio.timeout(10):
        while len(entries := await noted(simulator)) < count:  # noqa: ASYNC110 - the journal has no event
            await asyncio.sleep(0.005)
    return entries


# -- requests that are answered ---------------------------------------------------------------------


async def test_every_operation_is_noted(simulator: Simulator) -> None:
    """Each request has its operation, method, status, sizes and message, in the order of their ends."""
    caller, recipient = simulator.caller(), simulator.caller("X26ABC2")
    begun = datetime.now(UTC)
    await caller.request("POST", headers=HANDSHAKE)
    message_id = await caller.sent(b"x" * 300)
    chunked = await caller.sent(b"first", headers={"Mex-Chunk-Range": "1:2"})
    await caller.send_chunk(chunked, 2, "2:2", b"second")
    listed = await recipient.get("inbox")
    await recipient.get("count")
    await recipient.request("HEAD", f"inbox/{message_id}")
    await recipient.get(f"inbox/{message_id.lower()}")
    await recipient.get(f"inbox/{chunked}")
    await recipient.get(f"inbox/{chunked}/2")
    await recipient.acknowledge(message_id)
    await caller.get(f"outbox/tracking?messageID={message_id}")
    await caller.get("outbox/tracking/none")
    await caller.request("POST", "update")
    await caller.get("/messageexchange/endpointlookup/X26/TEST_WORKFLOW")
    await caller.get("/messageexchange/workflowsearch/TEST_WORKFLOW")
    entries = await noted(simulator)

    rows = [
        (entry.operation, entry.method, entry.status, entry.mailbox, entry.message_id) for entry in entries
    ]
    assert rows == [
        ("handshake", "POST", 200, "X26ABC1", ""),
        ("send", "POST", 202, "X26ABC1", message_id),
        ("send", "POST", 202, "X26ABC1", chunked),
        ("send-chunk", "POST", 202, "X26ABC1", chunked),
        ("list", "GET", 200, "X26ABC2", ""),
        ("count", "GET", 200, "X26ABC2", ""),
        ("head", "HEAD", 200, "X26ABC2", message_id),
        ("download", "GET", 200, "X26ABC2", message_id),
        ("download", "GET", 206, "X26ABC2", chunked),
        ("download-chunk", "GET", 200, "X26ABC2", chunked),
        ("acknowledge", "PUT", 200, "X26ABC2", message_id),
        ("track", "GET", 200, "X26ABC1", message_id),
        ("track-local-id", "GET", 404, "X26ABC1", ""),
        ("update", "POST", 200, "X26ABC1", ""),
        ("lookup", "GET", 200, "", ""),
        ("workflowsearch", "GET", 200, "", ""),
    ]
    assert [entry.received_bytes for entry in entries[1:5]] == [300, 5, 6, 0]
    sent = {entry.operation: entry.sent_bytes for entry in entries}
    assert (sent["list"], sent["head"], sent["download-chunk"]) == (len(listed.body), 0, 6)
    assert [entry.sent_bytes for entry in entries if entry.operation == "download"] == [300, 5]
    assert [entry.number for entry in entries] == list(range(1, 17))
    for entry in entries:
        assert begun <= entry.at <= datetime.now(UTC)
        assert 0 < entry.duration_s < 10
        assert (entry.near_misses, entry.fault) == ((), "")
        assert bool(entry.reason) == (entry.status == 404)


async def test_an_answer_without_a_body_sends_none(simulator: Simulator) -> None:
    """A refused HEAD has a status, and no bytes of the body that another method would have got."""
    await simulator.caller().request("HEAD", f"inbox/{UNKNOWN_ID}")
    entry = await last(simulator)
    assert (entry.operation, entry.status, entry.sent_bytes) == ("head", 404, 0)


async def test_both_times_are_noted(simulator: Simulator) -> None:
    """A request has real time and, beside it, what the simulated clock showed."""
    simulator.clock.advance(timedelta(days=5))
    await simulator.caller().get("inbox")
    entry = await last(simulator)
    assert timedelta(days=5) <= entry.simulated_at - entry.at < timedelta(days=5, seconds=10)


@pytest.mark.parametrize("encoding", ["", "gzip"], ids=["as it is", "gzipped on its way"])
async def test_an_answer_in_pieces_is_counted(simulator: Simulator, encoding: str) -> None:
    """The bytes of a long body are those that arrived."""
    message_id = await simulator.caller().sent(in_blocks(LARGE))
    answer = await simulator.caller("X26ABC2").get(
        f"inbox/{message_id}", version=2, headers={"Accept-Encoding": encoding} if encoding else {}
    )
    sent, entry = await until_noted(simulator, 2)
    assert (entry.operation, entry.status, entry.reason) == ("download", 200, "")
    assert entry.sent_bytes == len(answer.body)
    assert (sent.operation, sent.received_bytes) == ("send", len(LARGE))


async def test_who_called_is_noted_cut_and_harmless(simulator: Simulator) -> None:
    """The client's name is kept to 200 characters, and a path's mailbox to 40, without control characters."""
    caller = simulator.caller()
    await caller.get("inbox", headers={"User-Agent": "MyGP/1.0 Zoë " + "x" * 300})
    await caller.get("/messageexchange/%1b[31m" + "m" * 300 + "/inbox")
    first, second = await noted(simulator)
    assert first.user_agent == ("MyGP/1.0 Zoë " + "x" * 300).encode().decode("latin-1")[:200]
    assert second.mailbox == ("\N{REPLACEMENT CHARACTER}[31m" + "m" * 300)[:40]


# -- refusals ---------------------------------------------------------------------------------------


async def test_a_refused_token_comes_with_its_near_misses(simulator: Simulator) -> None:
    """The reason is precise, and what would explain it is listed; the caller is told neither."""
    caller = simulator.caller()
    header = authorization("x26abc1", shared_key="Banana", timestamp=minute(timedelta(hours=-3)))
    answer = await caller.get("inbox", authorization=header)
    assert answer.status == 403
    entry = await last(simulator)
    assert entry.reason == "the token does not name the mailbox in the path, in upper case, after 'NHSMESH '"
    assert entry.near_misses[:2] == (
        "mailbox in lower case in the token: yes",
        "hash is right for the shared key 'Banana' (mesh-sandbox's default): yes",
    )
    assert entry.near_misses[2].startswith("timestamp is 3 h ")
    assert b"Banana" not in answer.body


async def test_a_replay_tells_when_the_token_was_used(simulator: Simulator) -> None:
    """A token that comes again has the time of its first use as its one near miss."""
    caller = simulator.caller()
    token = caller.sign()
    await caller.get("inbox", authorization=token)
    await caller.get("count", authorization=token)
    first, second = await noted(simulator)
    assert (second.status, second.reason) == (403, "the token was used before")
    (miss,) = second.near_misses
    assert miss.startswith("this token was first used at ")
    used = time.fromisoformat(miss.split()[6])
    assert used in (first.at.time().replace(microsecond=0), second.at.time().replace(microsecond=0))


async def test_an_inactive_mailbox_has_a_right_token(make_simulator: MakeSimulator, tmp_path: Path) -> None:
    """Where the token is not at fault, that is said."""
    file = tmp_path / "mailboxes.jsonl"
    file.write_text(
        '{"mailbox_id": "X26OFF1", "mailbox_name": "Closed", "password": "password", "active": false}\n'
        '{"mailbox_id": "X26HC065", "mailbox_name": "Service", "password": "password"}\n',
        encoding="utf-8",
    )
    simulator = await make_simulator(mailboxes=file)
    await simulator.caller("X26OFF1").get("inbox")
    entry = await last(simulator)
    assert (entry.reason, entry.near_misses) == (
        "the mailbox is inactive",
        ("hash is right for what the token says: yes",),
    )


Ask = Callable[[Caller], Awaitable[Any]]


async def _download_again(caller: Caller) -> None:
    message_id = await caller.sent(to=caller.mailbox, workflow="TO_MYSELF")
    await caller.acknowledge(message_id)
    await caller.get(f"inbox/{message_id}")


REFUSED: dict[str, tuple[Ask, int, str, str]] = {
    "malformed": (lambda it: it.get("inbox?max_results=1"), 400, "list", "max_results: Input should be"),
    "bad Accept": (
        lambda it: it.get("inbox", headers={"Accept": "application/vnd.mesh.v9+json"}),
        400,
        "list",
        "its MESH part is not v1 or v2",
    ),
    "unknown message": (lambda it: it.get(f"inbox/{UNKNOWN_ID}"), 404, "download", ""),
    "acknowledged": (_download_again, 410, "download", ""),
    "unknown recipient": (lambda it: it.send(to="X26XYZ9"), 417, "send", ""),
    "unsupported encoding": (lambda it: it.send(headers={"Content-Encoding": "br"}), 422, "send", ""),
}


@pytest.mark.parametrize(("ask", "status", "operation", "reason"), REFUSED.values(), ids=REFUSED.keys())
async def test_a_refusal_has_its_reason(
    simulator: Simulator, ask: Ask, status: int, operation: str, reason: str
) -> None:
    """Whatever is refused is noted with why."""
    await ask(simulator.caller())
    entry = await last(simulator)
    assert (entry.status, entry.operation) == (status, operation)
    assert entry.reason
    assert reason in entry.reason


async def test_a_refused_send_has_the_id_that_its_answer_names(simulator: Simulator) -> None:
    """A 417 names a message, and so does its entry."""
    answer = await simulator.caller().send(to="X26XYZ9")
    assert (await last(simulator)).message_id == answer.json()["messageID"]


async def test_paths_and_methods_that_are_not_are_noted(simulator: Simulator) -> None:
    """What was meant for MESH and led nowhere is noted under '-'; everything else is not noted at all."""
    caller = simulator.caller()
    await caller.get("inbx")
    await caller.request("DELETE", "inbox")
    await caller.get("/messageexchange/X26ABC1/inbox/")
    for path in (
        "/messageexchange/_ping",
        "/_ping",
        "/nowhere",
        "/messageexchange/admin/nothing",
        "/admin/clock",
        "/admin/nothing",
    ):
        await caller.get(path)
    rows = [(entry.operation, entry.mailbox, entry.status, entry.reason) for entry in await noted(simulator)]
    assert rows == [
        ("-", "X26ABC1", 404, "no operation has this path"),
        ("-", "X26ABC1", 405, "the path is not for DELETE, only for GET"),
        ("-", "X26ABC1", 307, "the path ends with a slash; its caller is sent to the one without"),
    ]


# -- connections that break -------------------------------------------------------------------------


async def _break_off(simulator: Simulator, data: bytes, *, read: int = 0) -> None:
    """Send ``data``, read so many bytes of what comes back, and go away."""
    address = urlsplit(simulator.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(data)
    await writer.drain()
    if read:
        await reader.readexactly(read)
    writer.transport.abort()


async def test_an_upload_that_breaks_off_is_noted(simulator: Simulator) -> None:
    """A sender that goes away has status 0, what arrived of its body, why, and no message id."""
    head = request_head(
        simulator.caller(),
        "POST",
        "outbox",
        b"Mex-To: X26ABC2",
        b"Mex-WorkflowID: TEST_WORKFLOW",
        b"Content-Length: 1000",
    )
    await _break_off(simulator, head + b"only this")
    (entry,) = await until_noted(simulator, 1)
    assert (entry.operation, entry.status, entry.received_bytes, entry.sent_bytes) == ("send", 0, 9, 0)
    assert entry.reason.startswith("the connection broke while the body was coming in")
    assert entry.message_id == ""


async def test_a_download_that_breaks_off_is_noted(simulator: Simulator) -> None:
    """A reader that goes away half-way has the status it saw, and fewer bytes than there were."""
    body = LARGE * 10
    message_id = await simulator.caller().sent(in_blocks(body))
    head = request_head(simulator.caller("X26ABC2"), "GET", f"inbox/{message_id}")
    await _break_off(simulator, head, read=100_000)
    entry = (await until_noted(simulator, 2))[-1]
    assert (entry.operation, entry.status) == ("download", 200)
    assert 100_000 - 1000 < entry.sent_bytes < len(body)
    assert entry.reason == "broken off before the whole answer was sent"


async def test_a_response_lost_after_acceptance_is_noted(simulator: Simulator) -> None:
    """Two sends where the first answer was lost are two messages, and the journal shows both ids."""
    rule = {"action": "lose-response", "operation": "send", "times": 1}
    rule_id = (await control(simulator.url, "POST", "/admin/faults", rule)).json()["id"]
    caller = simulator.caller()
    with pytest.raises(aiohttp.ClientError):
        await caller.send(b"once")
    await caller.sent(b"once")
    inbox = await simulator.caller("X26ABC2").inbox()
    lost, sent, _ = await noted(simulator)
    assert [lost.message_id, sent.message_id] == inbox
    assert (lost.status, lost.fault, lost.sent_bytes) == (0, rule_id, 0)
    assert lost.reason == "broken off before an answer was sent"
    assert (sent.status, sent.fault) == (202, "")


@pytest.mark.parametrize("body", [b"x" * 1000, LARGE], ids=["short", "in pieces"])
async def test_an_answer_cut_short_by_a_fault_is_noted(simulator: Simulator, body: bytes) -> None:
    """The bytes that a fault let through are counted, and no more."""
    message_id = await simulator.caller().sent(in_blocks(body))
    rule = {"action": "truncate", "operation": "download", "after_bytes": 100}
    rule_id = (await control(simulator.url, "POST", "/admin/faults", rule)).json()["id"]
    with pytest.raises(aiohttp.ClientError):
        await simulator.caller("X26ABC2").get(f"inbox/{message_id}")
    entry = (await until_noted(simulator, 2))[-1]
    assert (entry.status, entry.sent_bytes, entry.fault) == (200, 100, rule_id)
    assert entry.reason == "broken off before the whole answer was sent"


async def test_a_reset_is_noted(simulator: Simulator) -> None:
    """A connection that a fault resets has status 0."""
    await control(simulator.url, "POST", "/admin/faults", {"action": "reset", "operation": "list"})
    with pytest.raises(aiohttp.ClientError):
        await simulator.caller().get("inbox")
    entry = (await until_noted(simulator, 1))[-1]
    assert (entry.operation, entry.status) == ("list", 0)


async def test_an_injected_status_is_noted_with_its_rule(simulator: Simulator) -> None:
    """A status that a rule answered is there beside the rule's id."""
    rule = {"action": "status", "operation": "list", "status": 503}
    rule_id = (await control(simulator.url, "POST", "/admin/faults", rule)).json()["id"]
    await simulator.caller().get("inbox")
    entry = await last(simulator)
    assert (entry.status, entry.fault) == (503, rule_id)


# -- what an entry may cost, and what may not be in it ----------------------------------------------


async def test_the_journal_holds_no_secret(simulator: Simulator, tmp_path: Path) -> None:
    """No token, password, header value, local id or payload is in the journal's file, whatever came."""
    secrets = {
        "subject": "Subject-of-mine",
        "local": "Local-id-of-mine",
        "payload": "Payload-of-mine",
        "number": "9990000018",
        "password": "Password-of-mine",
        "file": "File-of-mine",
    }
    caller = simulator.caller()
    token = caller.sign()
    headers = {
        "Mex-Subject": secrets["subject"],
        "Mex-LocalID": secrets["local"],
        "Mex-FileName": secrets["file"],
    }
    await caller.send(secrets["payload"].encode(), headers=headers, authorization=token)
    await caller.get(f"outbox/tracking/{secrets['local']}")
    await caller.get(f"inbox/{secrets['number']}")
    await caller.get(f"outbox/tracking?messageID={secrets['number']}")
    await caller.get(f"{secrets['local']}/{secrets['number']}")
    await caller.get("inbox", authorization=token)
    await simulator.caller(password=secrets["password"]).get("inbox")
    await caller.get("inbox", authorization=f"Basic {secrets['password']}")
    await caller.get("inbox", authorization=token.replace(" ", f" {secrets['password']}:"))
    entries = await noted(simulator)
    assert len(entries) == 9
    await simulator.stop()
    kept = b"".join(file.read_bytes() for file in (tmp_path / "data-0").glob("journal.db*"))
    assert b"the token was used before" in kept
    *_, nonce, _, _, digest = token.split(":")
    for secret in (*secrets.values(), nonce, digest):
        assert secret.encode() not in kept


async def test_the_journal_survives_a_restart(make_simulator: MakeSimulator, tmp_path: Path) -> None:
    """Entries are there after a restart, and the next one's number is the next."""
    first = await make_simulator(data=tmp_path / "kept")
    await first.caller().get("inbox")
    await first.stop()
    second = await make_simulator(data=tmp_path / "kept")
    await second.caller().get("count")
    assert [(entry.number, entry.operation) for entry in await noted(second)] == [(1, "list"), (2, "count")]


async def test_a_broken_journal_stops_nothing(make_simulator: MakeSimulator, tmp_path: Path) -> None:
    """With a journal file that is no database the simulator starts, answers, and still has its entries."""
    data = tmp_path / "broken"
    data.mkdir()
    (data / "journal.db").write_bytes(b"this is no database" * 100)
    simulator = await make_simulator(data=data)
    assert (await simulator.caller().get("inbox")).status == 200
    assert [entry.operation for entry in await noted(simulator)] == ["list"]


# -- an application of the test's own ---------------------------------------------------------------


@contextlib.asynccontextmanager
async def serving(
    handler: Handler, recorder: Recorder, *, shutdown_timeout: float = 10.0
) -> AsyncIterator[str]:
    """Run an application that does nothing but this; give its address."""
    app = web.Application(middlewares=[journaled, errors_to_bodies])
    app[OPERATION_NAMES] = {handler: "list"}
    app.router.add_get("/messageexchange/{mailbox_id}/inbox", handler)
    add_journal(app, recorder)
    runner = web.AppRunner(app, shutdown_timeout=shutdown_timeout)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/messageexchange/X26ABC1/inbox"
    finally:
        await runner.cleanup()


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    """A journal of the test's own."""
    journal = SqliteJournal(tmp_path / "journal.db")
    yield journal
    await journal.close()


def _recorder(journal: SqliteJournal) -> Recorder:
    return Recorder(journal, lambda: datetime.now(UTC))


async def _plain(request: web.Request) -> web.Response:
    return web.Response(text="plain")


async def test_listeners_are_told_of_each_entry(
    journal: SqliteJournal, caplog: pytest.LogCaptureFixture
) -> None:
    """Each gets the entry as it is kept; one that fails keeps neither the answer nor the others from it."""

    def fail(entry: Entry) -> None:
        raise RuntimeError(f"no use for number {entry.number}")

    recorder, told = _recorder(journal), list[Entry]()
    recorder.listeners += [fail, told.append]
    async with serving(_plain, recorder) as url, aiohttp.ClientSession() as session:
        async with session.get(url) as answer:
            assert (answer.status, await answer.text()) == (200, "plain")
        assert told == await journal.entries(ALL)
    assert "a listener to the journal failed" in caplog.text


async def test_a_request_cancelled_by_the_servers_stop_is_noted(journal: SqliteJournal) -> None:
    """A request that the stopping server gave up has status 0, and is no longer counted as under way."""
    begun = asyncio.Event()

    async def endless(request: web.Request) -> web.Response:
        begun.set()
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    recorder = _recorder(journal)
    async with aiohttp.ClientSession() as session:
        async with serving(endless, recorder, shutdown_timeout=0.05) as url:
            asking = asyncio.create_task(session.get(url))
            await begun.wait()
        with pytest.raises(aiohttp.ClientError):
            await asking
    (entry,) = await journal.entries(ALL)
    assert (entry.status, entry.reason) == (0, "broken off before an answer was sent")
    assert len(recorder._flights) == 0


async def test_a_failure_of_the_simulators_own_is_noted(journal: SqliteJournal) -> None:
    """A handler's error is a 500 whose reason names its kind and not its text."""

    async def failing(request: web.Request) -> web.Response:
        raise LookupError("text-that-may-be-anything")

    async with (
        serving(failing, _recorder(journal)) as url,
        aiohttp.ClientSession() as session,
        session.get(url) as answer,
    ):
        assert answer.status == 500
    (entry,) = await journal.entries(ALL)
    assert entry.status == 500
    assert entry.reason == "the simulator itself failed (LookupError); its log says more"


async def test_gzip_bodies_are_counted_as_they_travel(simulator: Simulator) -> None:
    """A compressed upload's size is that of its compressed bytes."""
    body = gzip.compress(b"0" * 100_000)
    await simulator.caller().sent(body, headers={"Content-Encoding": "gzip"})
    assert (await last(simulator)).received_bytes == len(body)
