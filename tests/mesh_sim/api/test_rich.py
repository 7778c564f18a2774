"""Section 16: the sandbox's rich inbox and outbox, lists that say more than ids."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from support import (
    V2,
    Answer,
    Caller,
    MakeSimulator,
    Simulator,
    assert_invalid,
    assert_refused,
    both_versions,
)

RECIPIENT = "X26ABC2"
both_lists = pytest.mark.parametrize("box", ["inbox", "outbox"])


async def rich(caller: Caller, box: str, query: str = "") -> Any:
    """Give a rich list."""
    answer = await caller.get(f"{box}/rich" + (query and f"?{query}"))
    assert (answer.status, answer.content_type) == (200, V2), answer.body
    return answer.json()


async def ids(caller: Caller, box: str, query: str = "") -> list[str]:
    """Give the message ids of a rich list."""
    return [message["message_id"] for message in (await rich(caller, box, query))["messages"]]


async def put_event(caller: Caller, message_id: str, body: bytes) -> Answer:
    """Put a message into a status."""
    return await caller.request(
        "POST",
        f"/admin/message/{message_id}/event",
        body=body,
        headers={"Content-Type": "application/json"},
        authorization=None,
    )


async def put_report(caller: Caller) -> str:
    """Put a report into the caller's inbox."""
    answer = await caller.request(
        "POST",
        "/messageexchange/admin/report",
        body=b'{"mailbox_id": "X26ABC1", "code": "99", "description": "Invented", "workflow_id": "WF_1"}',
        headers={"Content-Type": "application/json"},
        authorization=None,
    )
    return str(answer.json()["message_id"])


def moment(text: str) -> datetime:
    """Read a time without a zone."""
    at = datetime.fromisoformat(text)
    assert at.tzinfo is None
    return at


# -- what is shown ----------------------------------------------------------------------------------


async def test_a_rich_inbox_shows_what_was_delivered(simulator: Simulator) -> None:
    """Each message has its parties, its times and its status; what there is nothing to say of is left out."""
    sender, recipient = simulator.caller(), simulator.caller(RECIPIENT)
    message_id = await sender.sent(headers={"Mex-LocalID": "local 1"})
    body = await rich(recipient, "inbox")
    assert list(body) == ["valid_at", "messages", "links"]
    assert abs(moment(body["valid_at"]) - datetime.now(UTC).replace(tzinfo=None)) < timedelta(minutes=1)
    (shown,) = body["messages"]
    sent, expiry = moment(shown["sent_date"]), moment(shown["expiry_timestamp"])
    assert abs(expiry - sent - timedelta(days=5)) < timedelta(seconds=1)
    assert list(shown.items()) == [
        ("message_id", message_id),
        ("expiry_timestamp", shown["expiry_timestamp"]),
        ("local_id", "local 1"),
        ("message_type", "DATA"),
        ("recipient", "X26ABC2"),
        ("recipient_name", "TESTMB2"),
        ("sender", "X26ABC1"),
        ("sender_name", "TESTMB1"),
        ("sent_date", shown["sent_date"]),
        ("status", "accepted"),
        ("workflow_id", "TEST_WORKFLOW"),
        ("total_chunks", 1),
    ]


async def test_a_rich_outbox_shows_what_was_sent(simulator: Simulator) -> None:
    """The sender sees the same of what it sent, with empty texts where the inbox has none."""
    sender = simulator.caller()
    message_id = await sender.sent(headers={"Mex-Chunk-Range": "1:2"})
    body = await rich(sender, "outbox")
    assert list(body) == ["valid_at", "messages", "links"]
    (shown,) = body["messages"]
    assert moment(shown["sent_date"])
    assert list(shown.items()) == [
        ("message_id", message_id),
        ("expiry_timestamp", shown["expiry_timestamp"]),
        ("local_id", ""),
        ("message_type", "DATA"),
        ("recipient", "X26ABC2"),
        ("recipient_name", "TESTMB2"),
        ("sender", "X26ABC1"),
        ("sender_name", "TESTMB1"),
        ("sent_date", shown["sent_date"]),
        ("status", "uploading"),
        ("status_code", ""),
        ("workflow_id", "TEST_WORKFLOW"),
        ("total_chunks", 2),
    ]


async def test_a_report_in_a_rich_inbox(simulator: Simulator) -> None:
    """A report comes from the central system and shows its code; it is in nobody's outbox."""
    caller = simulator.caller()
    message_id = await put_report(caller)
    (shown,) = (await rich(caller, "inbox"))["messages"]
    assert shown == {
        "message_id": message_id,
        "expiry_timestamp": shown["expiry_timestamp"],
        "message_type": "REPORT",
        "recipient": "X26ABC1",
        "recipient_name": "TESTMB1",
        "sender": "",
        "sender_name": "Central System Mailbox",
        "sent_date": shown["sent_date"],
        "status": "accepted",
        "status_code": "14",
        "workflow_id": "WF_1",
        "total_chunks": 0,
    }
    assert await ids(caller, "outbox") == []


async def test_an_error_s_code_is_shown_on_both_sides(simulator: Simulator) -> None:
    """After an error event both lists have its code."""
    sender, recipient = simulator.caller(), simulator.caller(RECIPIENT)
    await put_event(sender, await sender.sent(), b'{"status": "error", "code": "21", "event": "SEND"}')
    for caller, box in ((sender, "outbox"), (recipient, "inbox")):
        (shown,) = (await rich(caller, box))["messages"]
        assert (shown["status"], shown["status_code"]) == ("error", "21")


async def test_a_rich_inbox_has_every_status_but_uploading(simulator: Simulator) -> None:
    """What was acknowledged or has failed stays in the list; what is not complete is not in it yet."""
    sender, recipient = simulator.caller(), simulator.caller(RECIPIENT)
    acknowledged = await sender.sent()
    await recipient.acknowledge(acknowledged)
    undeliverable = await sender.sent()
    await put_event(sender, undeliverable, b'{"status": "undeliverable"}')
    uploading = await sender.sent(headers={"Mex-Chunk-Range": "1:2"})
    assert await ids(recipient, "inbox") == [undeliverable, acknowledged]
    assert await ids(sender, "outbox") == [uploading, undeliverable, acknowledged]


async def test_a_reset_empties_both_lists(simulator: Simulator) -> None:
    """After a mailbox was reset its lists are empty; the other side keeps its own."""
    sender, recipient = simulator.caller(), simulator.caller(RECIPIENT)
    message_id = await sender.sent()
    await sender.request("DELETE", f"/admin/reset/{RECIPIENT}", authorization=None)
    assert await ids(recipient, "inbox") == []
    assert await ids(sender, "outbox") == [message_id]
    await sender.request("DELETE", f"/admin/reset/{sender.mailbox}", authorization=None)
    assert await ids(sender, "outbox") == []


# -- pages ------------------------------------------------------------------------------------------


@both_lists
async def test_following_the_links_shows_each_message_once(simulator: Simulator, box: str) -> None:
    """Newest first, page by page, with nothing repeated by what is sent or acknowledged meanwhile."""
    sender, recipient = simulator.caller(), simulator.caller(RECIPIENT)
    caller = recipient if box == "inbox" else sender
    sent = [await sender.sent() for _ in range(23)][::-1]
    body = await rich(caller, box, "max_results=10")
    seen = []
    while True:
        seen += [message["message_id"] for message in body["messages"]]
        if "next" not in body["links"]:
            break
        assert len(body["messages"]) == 10
        await recipient.acknowledge(sent[len(seen) - 1])
        await sender.sent()
        answer = await caller.get(body["links"]["next"])
        body = answer.json()
    assert seen == sent


@pytest.mark.parametrize(("box", "shown"), [("inbox", 150), ("outbox", 100)])
async def test_a_rich_outbox_has_at_most_a_hundred(simulator: Simulator, box: str, shown: int) -> None:
    """The outbox takes a larger number and gives a hundred; the inbox gives what is asked for."""
    sender, recipient = simulator.caller(), simulator.caller(RECIPIENT)
    for _ in range(150):
        await sender.sent()
    caller = recipient if box == "inbox" else sender
    assert len(await ids(caller, box)) == 100
    body = await rich(caller, box, "max_results=200")
    assert len(body["messages"]) == shown
    assert f"max_results={shown if box == 'outbox' else 200}" in body["links"]["self"]


@both_lists
async def test_links_say_what_was_asked_for(simulator: Simulator, box: str) -> None:
    """The link to this list always has the start and the size; the default start is thirty days ago."""
    path = f"/messageexchange/X26ABC1/{box}/rich"
    links = (await rich(simulator.caller(), box, "start_time=2026-01-02T03:04:05&max_results=20"))["links"]
    assert links == {"self": f"{path}?start_time=2026-01-02+03%3A04%3A05&max_results=20"}
    parts = urlsplit((await rich(simulator.caller(), box))["links"]["self"])
    assert parts.path == path
    query = parse_qs(parts.query)
    assert query["max_results"] == ["100"]
    ago = datetime.now(UTC).replace(tzinfo=None) - moment(query["start_time"][0])
    assert abs(ago - timedelta(days=30)) < timedelta(minutes=1)


@both_lists
@pytest.mark.parametrize(
    ("start", "found"),
    [
        ("2000-01-01", True),
        ("2000-01-01T00:00:00", True),
        ("20000101T000000", True),
        ("2000-01-01+00:00:00.5", True),
        ("2999-01-01", False),
    ],
)
async def test_only_what_is_newer_is_listed(simulator: Simulator, box: str, start: str, found: bool) -> None:
    """A start without a zone is in UTC, with or without a time of day."""
    sender = simulator.caller()
    message_id = await sender.sent(to="X26ABC1", workflow="TEST_WORKFLOW2")
    assert await ids(sender, box, f"start_time={start}") == ([message_id] if found else [])


@both_lists
async def test_a_start_with_a_zone_is_understood(simulator: Simulator, box: str) -> None:
    """The same moment in another zone gives the same list."""
    caller = simulator.caller()
    query = "start_time=2026-01-02T03:04:05"
    expected = (await rich(caller, box, query))["links"]
    assert (await rich(caller, box, query + "Z"))["links"] == expected
    assert (await rich(caller, box, "start_time=2026-01-02T05:04:05%2B02:00"))["links"] == expected


async def test_old_messages_are_listed_by_simulated_time(make_simulator: MakeSimulator) -> None:
    """The thirty days that a list goes back are days of the simulated clock."""
    simulator = await make_simulator(deletion=timedelta(days=60))
    sender = simulator.caller()
    message_id = await sender.sent()
    simulator.clock.advance(timedelta(days=29))
    assert await ids(sender, "outbox") == [message_id]
    body = await rich(sender, "outbox")
    assert moment(body["valid_at"]) - moment(body["messages"][0]["sent_date"]) > timedelta(days=28)
    simulator.clock.advance(timedelta(days=2))
    assert await ids(sender, "outbox") == []
    assert await ids(sender, "outbox", "start_time=2000-01-01") == [message_id]


# -- refusals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("inbox/rich?max_results=0", ("greater_than_equal", "query", "max_results")),
        ("inbox/rich?max_results=2001", ("less_than_equal", "query", "max_results")),
        ("inbox/rich?max_results=x", ("int_parsing", "query", "max_results")),
        ("outbox/rich?max_results=9", ("greater_than_equal", "query", "max_results")),
        ("outbox/rich?max_results=5001", ("less_than_equal", "query", "max_results")),
        ("outbox/rich?max_results=", ("int_parsing", "query", "max_results")),
        ("inbox/rich?continue_from=short", ("string_too_short", "query", "continue_from")),
        ("outbox/rich?continue_from=" + "x" * 1001, ("string_too_long", "query", "continue_from")),
    ],
)
async def test_a_query_out_of_bounds(simulator: Simulator, path: str, fault: tuple[str, str, str]) -> None:
    """Each list has its own bounds."""
    assert_invalid(await simulator.caller().get(path), fault)


@both_lists
@pytest.mark.parametrize(
    "query",
    [
        "start_time=junk",
        "start_time=",
        "start_time=2026-13-01",
        "start_time=0001-01-01T00:00:00%2B10:00",
        "continue_from=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ],
)
async def test_a_query_that_breaks_the_sandbox(simulator: Simulator, box: str, query: str) -> None:
    """A start that is no time, or a token that is none, is 400 where the sandbox answers 500."""
    fault = ("value_error", "query", query.partition("=")[0])
    assert_invalid(await simulator.caller().get(f"{box}/rich?{query}"), fault)


async def test_a_token_belongs_to_one_list(simulator: Simulator) -> None:
    """The token of another mailbox's list, or of the other list, is refused."""
    sender = simulator.caller()
    for _ in range(11):
        await sender.sent(to="X26ABC1", workflow="TEST_WORKFLOW2")
    following = (await rich(sender, "inbox", "max_results=10"))["links"]["next"]
    token = following.rpartition("continue_from=")[2]
    fault = ("value_error", "query", "continue_from")
    assert_invalid(await sender.get(f"outbox/rich?continue_from={token}"), fault)
    other = simulator.caller(RECIPIENT)
    assert_invalid(await other.get(f"inbox/rich?continue_from={token}"), fault)


@both_versions
@both_lists
async def test_rich_lists_need_the_mailbox_s_token(simulator: Simulator, box: str, version: int) -> None:
    """Nobody else sees what a mailbox was sent or sent."""
    answer = await simulator.caller().get(f"{box}/rich", authorization=None, version=version)
    assert_refused(answer, version, 403, "Error reading from Authorization header")


@both_lists
async def test_the_accept_header_is_not_examined(simulator: Simulator, box: str) -> None:
    """The answer is the same whatever version is asked for."""
    for accept in ("application/json", "application/vnd.mesh.v9"):
        answer = await simulator.caller().get(f"{box}/rich", headers={"Accept": accept})
        assert (answer.status, answer.content_type) == (200, V2)
