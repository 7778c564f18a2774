"""Section 18: the admin paths of NHS's sandbox, which other people's tests call."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support import (
    UNKNOWN_ID,
    Answer,
    Caller,
    MakeSimulator,
    Simulator,
    assert_gone,
    assert_refused,
    assert_router,
    assert_unknown_message,
    both_versions,
)

both_prefixes = pytest.mark.parametrize("prefix", ["", "/messageexchange"], ids=["short", "long"])

REPORT = {"mailbox_id": "X26ABC1", "code": "99", "description": "Invented fault", "workflow_id": "WF_1"}
RECIPIENT = "X26ABC2"


async def ask(
    caller: Caller,
    method: str,
    path: str,
    body: object = None,
    *,
    version: int | None = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    """Make an unsigned request; a body that is not bytes travels as JSON."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    sent = ({"Content-Type": "application/json"} if body is not None else {}) | (headers or {})
    return await caller.request(method, path, body=data, version=version, headers=sent, authorization=None)


async def details(caller: Caller, message_id: str) -> Any:
    """Give the details of a message that is there."""
    answer = await ask(caller, "GET", f"/admin/message/{message_id}")
    assert (answer.status, answer.content_type) == (200, "application/json"), answer.body
    return answer.json()


async def put_event(caller: Caller, message_id: str, **event: object) -> None:
    """Put a message into a status."""
    answer = await ask(caller, "POST", f"/admin/message/{message_id}/event", event)
    assert (answer.status, answer.body, answer.content_type) == (200, b"", None)


async def put_report(caller: Caller, **changes: object) -> str:
    """Put a report into an inbox; give its message id."""
    answer = await ask(caller, "POST", "/messageexchange/admin/report", REPORT | changes)
    assert (answer.status, answer.content_type) == (200, "application/json"), answer.body
    body = answer.json()
    assert list(body) == ["message_id"]
    return str(body["message_id"])


def faults(answer: Answer) -> list[tuple[Any, ...]]:
    """Give the kind and place of each fault of a JSON body."""
    assert (answer.status, answer.content_type) == (400, "application/json"), answer.body
    items = answer.json()["detail"]
    assert all(isinstance(item["msg"], str) and item["msg"] for item in items)
    return [(item["type"], *item["loc"]) for item in items]


def moment(text: str) -> datetime:
    """Read a time as the sandbox writes it: ISO 8601 with microseconds, without a zone."""
    at = datetime.fromisoformat(text)
    assert at.tzinfo is None
    assert len(text) == len("2026-11-26T20:43:22.021114")
    return at


# -- mailbox details --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/admin/mailbox", "/messageexchange/admin/mailbox", "/messageexchange/mailbox"]
)
async def test_a_mailbox_s_details_have_no_password(simulator: Simulator, path: str) -> None:
    """All three paths give the mailbox's record, its password left out."""
    answer = await ask(simulator.caller(), "GET", f"{path}/X26ABC2")
    assert (answer.status, answer.content_type) == (200, "application/json")
    assert list(answer.json().items()) == [
        ("mailbox_id", "X26ABC2"),
        ("mailbox_name", "TESTMB2"),
        ("billing_entity", "Wales"),
        ("ods_code", "X26"),
        ("org_code", "X26"),
        ("org_name", ""),
        ("active", True),
    ]


@both_versions
@pytest.mark.parametrize(
    "path", ["/admin/mailbox", "/messageexchange/admin/mailbox", "/messageexchange/mailbox"]
)
@pytest.mark.parametrize("mailbox_id", ["NOBODY", "x26abc1"])
async def test_a_mailbox_that_is_not_there_has_no_details(
    simulator: Simulator, path: str, mailbox_id: str, version: int
) -> None:
    """An unknown mailbox is 404, and so is one in lower case."""
    answer = await ask(simulator.caller(), "GET", f"{path}/{mailbox_id}", version=version)
    assert_refused(answer, version, 404, "Not Found")


async def test_a_mailbox_without_billing_entity_is_shown_without(
    make_simulator: MakeSimulator, tmp_path: Path
) -> None:
    """A mailbox whose file says nothing of a billing entity has no such key."""
    mailboxes = tmp_path / "mailboxes.jsonl"
    mailboxes.write_text(
        '{"mailbox_id": "a1", "mailbox_name": "ONE", "billing_entity": null, "active": null}\n'
    )
    simulator = await make_simulator(mailboxes=mailboxes)
    answer = await ask(simulator.caller(), "GET", "/admin/mailbox/A1")
    assert answer.json() == {
        "mailbox_id": "A1",
        "mailbox_name": "ONE",
        "ods_code": "",
        "org_code": "",
        "org_name": "",
        "active": True,
    }


# -- message details --------------------------------------------------------------------------------


@both_prefixes
async def test_a_message_s_details(simulator: Simulator, prefix: str) -> None:
    """Whatever its sender said of a message is there, with both parties and both times, keys in order."""
    sender = simulator.caller()
    message_id = await sender.sent(
        b"12345",
        headers={
            "Mex-LocalID": "local 1",
            "Mex-Subject": "a subject",
            "Mex-FileName": "list.dat",
            "Mex-Content-Checksum": "abc",
            "Mex-Content-Encrypted": "Y",
            "Content-Encoding": "gzip",
        },
    )
    answer = await ask(sender, "GET", f"{prefix}/admin/message/{message_id.lower()}")
    body = answer.json()
    uploaded, expiry = moment(body["upload_timestamp"]), moment(body["expiry_time"])
    assert abs(expiry - uploaded - timedelta(days=5)) < timedelta(seconds=1)
    assert list(body.items()) == [
        ("checksum", "abc"),
        ("chunk_count", 1),
        ("content_encoding", "gzip"),
        ("expiry_time", body["expiry_time"]),
        ("filename", "list.dat"),
        ("file_size", 5),
        ("is_compressed", False),
        ("is_encrypted", True),
        ("local_id", "local 1"),
        ("message_id", message_id),
        ("message_type", "Data"),
        ("recipient", "X26ABC2"),
        ("recipient_name", "TESTMB2"),
        ("recipient_ods_code", "X26"),
        ("recipient_org_code", "X26"),
        ("recipient_org_name", ""),
        ("sender", "X26ABC1"),
        ("sender_name", "TESTMB1"),
        ("sender_ods_code", "X26"),
        ("sender_org_code", "X26"),
        ("sender_org_name", ""),
        ("status", "Accepted"),
        ("status_success", "SUCCESS"),
        ("subject", "a subject"),
        ("upload_timestamp", body["upload_timestamp"]),
        ("workflow_id", "TEST_WORKFLOW"),
    ]


async def test_what_a_sender_left_out_reads_as_empty(simulator: Simulator) -> None:
    """A bare message has empty texts, and the file name that its recipient sees."""
    sender = simulator.caller()
    message_id = await sender.sent()
    body = await details(sender, message_id)
    assert body["filename"] == f"{message_id}.dat"
    assert {body[key] for key in ("checksum", "content_encoding", "local_id", "subject")} == {""}
    assert "download_timestamp" not in body


async def test_details_follow_a_message_s_life(simulator: Simulator) -> None:
    """An upload has no size yet; an acknowledged message says when that was."""
    sender, recipient = simulator.caller(), simulator.caller(RECIPIENT)
    message_id = await sender.sent(b"one", headers={"Mex-Chunk-Range": "1:2"})
    body = await details(sender, message_id)
    assert (body["status"], body["chunk_count"], body["file_size"]) == ("Uploading", 2, 0)
    await sender.send_chunk(message_id, 2, "2:2", b"three")
    assert (await details(sender, message_id))["file_size"] == 8
    await recipient.acknowledge(message_id)
    body = await details(sender, message_id)
    assert body["status"] == "Acknowledged"
    assert moment(body["download_timestamp"]) >= moment(body["upload_timestamp"])


@both_versions
@both_prefixes
async def test_an_unknown_message_has_no_details(simulator: Simulator, prefix: str, version: int) -> None:
    """An unknown message is 404 in the shape of the version asked for."""
    answer = await ask(simulator.caller(), "GET", f"{prefix}/admin/message/{UNKNOWN_ID}", version=version)
    assert_refused(answer, version, 404, "Not Found")


# -- reports ----------------------------------------------------------------------------------------


async def test_a_report_on_an_undelivered_message(simulator: Simulator) -> None:
    """Without a status the report says code 14, whatever code, text and file name were given."""
    caller = simulator.caller()
    message_id = await put_report(
        caller, subject="lost", local_id="local 1", file_name="given.txt", linked_message_id="LINKED_1"
    )
    assert await caller.inbox() == [message_id]
    answer = await caller.get(f"inbox/{message_id}", version=2)
    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, b"", "0")
    mex = answer.mex()
    stamp = mex.pop("mex-statustimestamp")
    assert re.fullmatch(r"\d{14}", stamp)
    mex.pop("mex-content-compressed", None)
    assert mex == {
        "mex-to": "X26ABC1",
        "mex-workflowid": "WF_1",
        "mex-chunk-range": "1:0",
        "mex-total-chunks": "0",
        "mex-addresstype": "ALL",
        "mex-localid": "local 1",
        "mex-filename": f"{message_id}.dat",
        "mex-subject": "NDR: lost",
        "mex-version": "1.0",
        "mex-messagetype": "REPORT",
        "mex-messageid": message_id,
        "mex-linkedmsgid": "LINKED_1",
        "mex-statuscode": "14",
        "mex-statusevent": "SEND",
        "mex-statusdescription": "Message not collected by recipient after 5 days",
        "mex-statussuccess": "ERROR",
    }
    assert (await caller.acknowledge(message_id)).status == 200
    assert await caller.inbox() == []


async def test_a_report_without_a_subject(simulator: Simulator) -> None:
    """A report on an undelivered message without a subject has the mark alone for one."""
    caller = simulator.caller()
    message_id = await put_report(caller, status="undeliverable", subject=None)
    assert (await caller.get(f"inbox/{message_id}")).mex()["mex-subject"] == "NDR"


async def test_a_report_on_an_error_says_what_it_was_given(simulator: Simulator) -> None:
    """With the status ``error``, code, text, subject and file name are the caller's."""
    caller = simulator.caller()
    message_id = await put_report(
        caller, status="error", subject="refused", file_name="given.txt", surplus="ignored"
    )
    mex = (await caller.get(f"inbox/{message_id}")).mex()
    assert {name: mex[name] for name in ("mex-subject", "mex-filename")} == {
        "mex-subject": "refused",
        "mex-filename": "given.txt",
    }
    assert [mex[f"mex-status{name}"] for name in ("code", "event", "description", "success")] == [
        "99",
        "TRANSFER",
        "Invented fault",
        "ERROR",
    ]
    assert "mex-linkedmsgid" not in mex


async def test_a_report_s_details(simulator: Simulator) -> None:
    """A report comes from the central system, and has no keys for what only a sender can say."""
    caller = simulator.caller()
    message_id = await put_report(caller, linked_message_id="LINKED_1")
    body = await details(caller, message_id)
    times = {key: body[key] for key in ("expiry_time", "status_timestamp", "upload_timestamp")}
    assert all(map(moment, times.values()))
    assert body == times | {
        "checksum": "",
        "chunk_count": 0,
        "filename": f"{message_id}.dat",
        "file_size": 0,
        "linked_msg_id": "LINKED_1",
        "message_id": message_id,
        "message_type": "Report",
        "recipient": "X26ABC1",
        "recipient_name": "TESTMB1",
        "recipient_ods_code": "X26",
        "recipient_org_code": "X26",
        "recipient_org_name": "",
        "sender": "",
        "sender_name": "Central System Mailbox",
        "sender_ods_code": "X26",
        "sender_org_code": "X26",
        "sender_org_name": "NHS England",
        "status": "Accepted",
        "status_code": "14",
        "status_description": "Message not collected by recipient after 5 days",
        "status_event": "SEND",
        "status_success": "ERROR",
        "subject": "NDR",
        "workflow_id": "WF_1",
    }


@both_versions
@pytest.mark.parametrize("mailbox_id", ["NOBODY", "x26abc1"])
async def test_a_report_needs_a_mailbox(simulator: Simulator, mailbox_id: str, version: int) -> None:
    """A report for an unknown mailbox is 404; its id is not upper-cased."""
    body = REPORT | {"mailbox_id": mailbox_id}
    answer = await ask(simulator.caller(), "POST", "/messageexchange/admin/report", body, version=version)
    assert_refused(answer, version, 404, "mailbox does not exist")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            {},
            [("missing", "body", key) for key in ("mailbox_id", "code", "description", "workflow_id")],
        ),
        (b"", [("missing", "body")]),
        (b"{", [("json_invalid", "body", 1)]),
        ([], [("model_attributes_type", "body")]),
        (REPORT | {"code": 5}, [("string_type", "body", "code")]),
        (
            REPORT | {"subject": 3, "code": None},
            [("string_type", "body", "code"), ("string_type", "body", "subject")],
        ),
    ],
    ids=["nothing", "no body", "not JSON", "no object", "a number", "two faults"],
)
async def test_a_report_that_is_not_right(
    simulator: Simulator, body: object, expected: list[tuple[Any, ...]]
) -> None:
    """Every fault of a report's form is named at once."""
    answer = await ask(simulator.caller(), "POST", "/messageexchange/admin/report", body)
    assert faults(answer) == expected
    assert await simulator.caller().inbox() == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"status": "accepted"}, "status"),
        ({"status": "junk"}, "status"),
        ({"subject": "two\r\nlines"}, "subject"),
        ({"file_name": "next\x85line"}, "file_name"),
        ({"description": "s" * 501}, "description"),
        ({"local_id": "\N{SNOWMAN}"}, "local_id"),
    ],
)
async def test_a_report_that_no_download_could_show(
    simulator: Simulator, change: dict[str, str], field: str
) -> None:
    """What no report can be, or no header can hold, is refused where the sandbox breaks."""
    answer = await ask(simulator.caller(), "POST", "/messageexchange/admin/report", REPORT | change)
    ((_, *place),) = faults(answer)
    assert place == ["body", field]
    assert await simulator.caller().inbox() == []


async def test_a_report_s_status_may_be_in_capitals(simulator: Simulator) -> None:
    """The letters of a report's status may be in either case."""
    caller = simulator.caller()
    message_id = await put_report(caller, status="ERROR")
    assert (await details(caller, message_id))["status_code"] == "99"


async def test_a_body_needs_no_content_type(simulator: Simulator) -> None:
    """JSON is read as JSON, whatever the request calls it."""
    caller = simulator.caller()
    for headers in ({"Content-Type": "text/plain"}, {"Content-Type": ""}):
        answer = await ask(
            caller, "POST", "/messageexchange/admin/report", json.dumps(REPORT).encode(), headers=headers
        )
        assert answer.status == 200, answer.body


async def test_a_refused_body_is_not_repeated(simulator: Simulator) -> None:
    """What was given never stands in the refusal."""
    body = REPORT | {"code": 5, "description": "999 000 0018"}
    answer = await ask(simulator.caller(), "POST", "/messageexchange/admin/report", body)
    assert b"0018" not in answer.body


# -- events -----------------------------------------------------------------------------------------


@both_prefixes
async def test_an_event_brings_a_message_back_and_takes_it_away(simulator: Simulator, prefix: str) -> None:
    """The status of the newest event is the message's; ``accepted`` puts it into the inbox again."""
    sender, recipient = simulator.caller(), simulator.caller(RECIPIENT)
    message_id = await sender.sent()
    await recipient.acknowledge(message_id)
    path = f"{prefix}/admin/message/{message_id.lower()}/event"
    for status, listed, code in [
        ("accepted", [message_id], 200),
        ("undeliverable", [], 410),
        ("error", [], 410),
        ("uploading", [], 410),
        ("accepted", [message_id], 200),
    ]:
        answer = await ask(sender, "POST", path, {"status": status, "surplus": 1})
        assert (answer.status, answer.body, answer.content_type) == (200, b"", None)
        assert await recipient.inbox() == listed
        assert (await recipient.get(f"inbox/{message_id}")).status == code
        assert (await sender.track(message_id))["status"] == status


@both_versions
async def test_an_error_event_shows_in_headers_and_tracking(simulator: Simulator, version: int) -> None:
    """An error's code, step, text and link are the message's from then on, even once it is accepted again."""
    sender, recipient = simulator.caller(), simulator.caller(RECIPIENT)
    message_id = await sender.sent()
    await put_event(
        sender,
        message_id,
        status="error",
        code="21",
        event="SEND",
        description="Invented fault",
        linked_message_id="LINKED_1",
    )
    assert_gone(await recipient.get(f"inbox/{message_id}", version=version), version)
    mex = (await sender.request("HEAD", f"inbox/{message_id}")).mex()
    assert [mex[f"mex-status{name}"] for name in ("code", "event", "description", "success")] == [
        "21",
        "SEND",
        "Invented fault",
        "ERROR",
    ]
    assert mex["mex-linkedmsgid"] == "LINKED_1"
    tracked = await sender.track(message_id, version=1)
    assert [tracked[key] for key in ("status", "statusSuccess", "failureDiagnostic", "linkedMsgId")] == [
        "Error",
        "ERROR",
        "Invented fault",
        "LINKED_1",
    ]
    await put_event(sender, message_id, status="accepted")
    assert await recipient.inbox() == [message_id]
    body = await details(sender, message_id)
    assert moment(body.pop("failure_date"))
    assert [body[key] for key in ("status", "status_success", "failure_diagnostic", "linked_msg_id")] == [
        "Accepted",
        "ERROR",
        "Invented fault",
        "LINKED_1",
    ]


async def test_an_event_that_only_hides_is_no_failure(simulator: Simulator) -> None:
    """``undeliverable`` without a word of what failed leaves the message a success."""
    sender = simulator.caller()
    message_id = await sender.sent()
    await put_event(sender, message_id, status="undeliverable")
    assert (await sender.track(message_id))["status_success"] is True
    assert (await details(sender, message_id))["status_success"] == "SUCCESS"


async def test_an_event_without_details_is_an_error_all_the_same(simulator: Simulator) -> None:
    """``error`` alone makes the message a failure."""
    sender = simulator.caller()
    message_id = await sender.sent()
    await put_event(sender, message_id, status="error")
    assert (await sender.track(message_id))["status_success"] is False
    assert (await details(sender, message_id))["status_success"] == "ERROR"


@both_versions
@both_prefixes
async def test_an_event_needs_a_message(simulator: Simulator, prefix: str, version: int) -> None:
    """An event for an unknown message is 404."""
    path = f"{prefix}/admin/message/{UNKNOWN_ID}/event"
    answer = await ask(simulator.caller(), "POST", path, {"status": "accepted"}, version=version)
    assert_refused(answer, version, 404, "Not Found")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, [("missing", "body", "status")]),
        ({"status": 3}, [("string_type", "body", "status")]),
        ({"status": "error", "code": 5}, [("string_type", "body", "code")]),
        (b"{", [("json_invalid", "body", 1)]),
    ],
    ids=["no status", "a number", "a number for a code", "not JSON"],
)
async def test_an_event_that_is_not_right(
    simulator: Simulator, body: object, expected: list[tuple[Any, ...]]
) -> None:
    """A fault of an event's form is named, and nothing happens to the message."""
    sender = simulator.caller()
    message_id = await sender.sent()
    assert faults(await ask(sender, "POST", f"/admin/message/{message_id}/event", body)) == expected
    assert (await sender.track(message_id))["status"] == "accepted"


async def test_an_event_s_status_is_a_known_one_in_any_letters(simulator: Simulator) -> None:
    """A status that no message can have is refused; the letters of one that it can have do not matter."""
    sender = simulator.caller()
    message_id = await sender.sent()
    answer = await ask(sender, "POST", f"/admin/message/{message_id}/event", {"status": "lost"})
    ((_, *place),) = faults(answer)
    assert place == ["body", "status"]
    assert "acknowledged" in answer.json()["detail"][0]["msg"]
    await put_event(sender, message_id, status="Acknowledged")
    assert (await sender.track(message_id))["status"] == "acknowledged"


# -- reset ------------------------------------------------------------------------------------------


@both_prefixes
async def test_resetting_everything_leaves_nothing(simulator: Simulator, prefix: str) -> None:
    """Inboxes, outboxes, uploads and reports are gone, and no message can be reached by its id."""
    sender, recipient = simulator.caller(), simulator.caller(RECIPIENT)
    message_id = await sender.sent(b"x" * 200_000, headers={"Mex-LocalID": "local 1"})
    uploading = await sender.sent(headers={"Mex-Chunk-Range": "1:2"})
    await put_report(sender)
    answer = await ask(sender, "DELETE", f"{prefix}/admin/reset")
    assert (answer.status, answer.content_type) == (200, "application/json")
    assert answer.json() == {"message": "all mailboxes reset"}
    assert await recipient.inbox() == await sender.inbox() == []
    assert (await recipient.get("count", version=2)).json() == {"count": 0}
    assert_unknown_message(await recipient.get(f"inbox/{message_id}"), 1)
    for path in (f"outbox/tracking?messageID={message_id}", "outbox/tracking/local%201"):
        assert_refused(await sender.get(path), 1, 404, "Not Found")
    assert_refused(await sender.send_chunk(uploading, 2, "2:2"), 1, 404, "Not Found")
    assert_refused(await ask(sender, "GET", f"/admin/message/{message_id}"), 1, 404, "Not Found")
    message_id = await sender.sent()
    assert await recipient.inbox() == [message_id]


async def test_a_reset_undoes_changes_of_mailboxes(simulator: Simulator) -> None:
    """Mailboxes that were created are gone, and those that were disabled take part again."""
    caller = simulator.caller()
    await ask(caller, "POST", "/admin/mailboxes", {"mailbox_id": "NEW1"})
    await ask(caller, "PATCH", "/admin/mailboxes", {"mailbox_id": caller.mailbox, "active": False})
    assert (await caller.get("inbox")).status == 403
    await ask(caller, "DELETE", "/admin/reset")
    assert (await ask(caller, "GET", "/admin/mailbox/NEW1")).status == 404
    assert await caller.inbox() == []


async def test_a_reset_reads_the_files_again(make_simulator: MakeSimulator, tmp_path: Path) -> None:
    """What the files of mailboxes and workflows say now holds from then on; a bad one resets nothing."""
    mailboxes, workflows = tmp_path / "mailboxes.jsonl", tmp_path / "workflows.jsonl"
    mailboxes.write_text('{"mailbox_id": "A1", "mailbox_name": "ONE", "password": "password"}\n')
    workflows.write_text("")
    caller = (await make_simulator(mailboxes=mailboxes, workflows=workflows)).caller("A1")
    message_id = await caller.sent(to="A1", workflow="WF_1")
    mailboxes.write_text("{")
    refused = await ask(caller, "DELETE", "/admin/reset")
    assert refused.status == 409
    assert "line 1: not JSON" in refused.json()["error"]
    assert await caller.inbox() == [message_id]
    mailboxes.write_text('{"mailbox_id": "A1", "mailbox_name": "UNO", "password": "other"}\n')
    workflows.write_text('{"workflow_id": "WF_1", "receivers": ["A1"]}\n')
    assert (await ask(caller, "DELETE", "/admin/reset")).status == 200
    assert (await ask(caller, "GET", "/admin/mailbox/A1")).json()["mailbox_name"] == "UNO"
    assert (await caller.get("inbox")).status == 403
    found = await caller.get("/messageexchange/workflowsearch/WF_1")
    assert [box["mailbox_id"] for box in found.json()["results"]] == ["A1"]


async def test_a_reset_brings_canned_messages_back(make_simulator: MakeSimulator) -> None:
    """In canned mode a reset gives the three messages anew, where the sandbox refuses to reset."""
    caller = (await make_simulator(store_mode="canned")).caller()
    await caller.acknowledge("SIMPLE_MESSAGE")
    message_id = await caller.sent(to=caller.mailbox, workflow="TEST_WORKFLOW2")
    assert await caller.inbox() == [message_id]
    await ask(caller, "DELETE", "/admin/reset")
    assert await caller.inbox() == ["SIMPLE_MESSAGE"]


async def test_bodies_are_gone_after_a_reset(simulator: Simulator) -> None:
    """No file of a large body is left behind."""
    sender = simulator.caller()
    await sender.sent(b"x" * 200_000)
    await sender.sent(b"x" * 200_000, headers={"Mex-Chunk-Range": "1:2"})
    payloads = simulator.server.core.settings.data / "payloads"
    assert [path for path in payloads.rglob("*") if path.is_file()]
    await ask(sender, "DELETE", "/admin/reset")
    assert not [path for path in payloads.rglob("*") if path.is_file()]


@both_prefixes
async def test_resetting_the_recipient_leaves_the_sender_s_outbox(simulator: Simulator, prefix: str) -> None:
    """One mailbox is emptied; whoever sent to it can still track what was sent."""
    sender, recipient = simulator.caller(), simulator.caller(RECIPIENT)
    message_id = await sender.sent()
    answer = await ask(sender, "DELETE", f"{prefix}/admin/reset/x26abc2")
    assert (answer.status, answer.json()) == (200, {"message": "mailbox X26ABC2 reset"})
    assert await recipient.inbox() == []
    assert (await sender.track(message_id))["status"] == "accepted"
    assert (await details(sender, message_id))["status"] == "Accepted"


async def test_a_reset_recipient_cannot_reach_its_messages(simulator: Simulator) -> None:
    """What was in the inbox cannot be downloaded by its id either."""
    sender, recipient = simulator.caller(), simulator.caller(RECIPIENT)
    message_id = await sender.sent()
    await ask(sender, "DELETE", f"/admin/reset/{RECIPIENT}")
    assert_unknown_message(await recipient.get(f"inbox/{message_id}"), 1)
    assert_unknown_message(await recipient.acknowledge(message_id), 1)


async def test_resetting_the_sender_leaves_the_recipient_s_inbox(simulator: Simulator) -> None:
    """What was sent stays with its recipient, while its sender cannot track it any more."""
    sender, recipient = simulator.caller(), simulator.caller(RECIPIENT)
    message_id = await sender.sent(b"kept", headers={"Mex-LocalID": "local 1"})
    await ask(sender, "DELETE", f"/admin/reset/{sender.mailbox}")
    assert_refused(await sender.get("outbox/tracking/local%201"), 1, 404, "Not Found")
    assert await recipient.inbox() == [message_id]
    assert (await recipient.get(f"inbox/{message_id}")).body == b"kept"


async def test_a_reset_sender_cannot_track_by_id(simulator: Simulator) -> None:
    """What a mailbox sent before it was reset cannot be tracked by its id either."""
    sender = simulator.caller()
    message_id = await sender.sent()
    await ask(sender, "DELETE", f"/admin/reset/{sender.mailbox}")
    assert_refused(await sender.get(f"outbox/tracking?messageID={message_id}"), 1, 404, "Not Found")


async def test_a_message_that_no_mailbox_holds_is_gone(simulator: Simulator) -> None:
    """Once both sides were reset, nobody reaches the message."""
    sender, recipient = simulator.caller(), simulator.caller(RECIPIENT)
    message_id = await sender.sent()
    for mailbox in (sender.mailbox, recipient.mailbox):
        await ask(sender, "DELETE", f"/admin/reset/{mailbox}")
    assert_unknown_message(await recipient.get(f"inbox/{message_id}"), 1)
    assert_refused(await ask(sender, "GET", f"/admin/message/{message_id}"), 1, 404, "Not Found")


async def test_other_mailboxes_are_not_reset(simulator: Simulator) -> None:
    """Resetting one mailbox touches no other's inbox."""
    sender, other = simulator.caller(), simulator.caller("X26ABC3")
    message_id = await sender.sent(to="X26ABC3", workflow="TEST_WORKFLOW2")
    await sender.sent()
    await ask(sender, "DELETE", f"/admin/reset/{RECIPIENT}")
    assert await other.inbox() == [message_id]


@both_versions
@both_prefixes
async def test_resetting_a_mailbox_that_is_not_there(simulator: Simulator, prefix: str, version: int) -> None:
    """An unknown mailbox is 404, and nothing is reset."""
    sender, recipient = simulator.caller(), simulator.caller(RECIPIENT)
    message_id = await sender.sent()
    answer = await ask(sender, "DELETE", f"{prefix}/admin/reset/NOBODY", version=version)
    assert_refused(answer, version, 404, "mailbox does not exist")
    assert await recipient.inbox() == [message_id]


async def test_the_accept_header_is_not_examined(simulator: Simulator) -> None:
    """A version that does not exist is no obstacle here."""
    headers = {"Accept": "application/vnd.mesh.v9"}
    assert (await ask(simulator.caller(), "DELETE", "/admin/reset", headers=headers)).status == 200


# -- paths, and who may use them --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/admin/report", 404),
        ("GET", f"/messageexchange/message/{UNKNOWN_ID}", 404),
        ("POST", "/admin/reset", 405),
        ("GET", "/admin/reset/X26ABC1", 405),
        ("HEAD", "/admin/mailbox/X26ABC1", 405),
        ("GET", "/messageexchange/admin/report", 405),
    ],
)
async def test_paths_and_methods_that_do_not_exist(
    simulator: Simulator, method: str, path: str, status: int
) -> None:
    """Only the sandbox's own paths and methods are there."""
    answer = await ask(simulator.caller(), method, path)
    if method == "HEAD":
        assert (answer.status, answer.body) == (status, b"")
    else:
        assert_router(answer, status, {404: "Not Found", 405: "Method Not Allowed"}[status])


GUARDED = [
    ("DELETE", "/admin/reset"),
    ("DELETE", "/messageexchange/admin/reset/X26ABC1"),
    ("POST", "/messageexchange/admin/report"),
    ("POST", f"/admin/message/{UNKNOWN_ID}/event"),
    ("GET", "/messageexchange/mailbox/X26ABC1"),
    ("GET", f"/messageexchange/admin/message/{UNKNOWN_ID}"),
]


@pytest.mark.parametrize(("method", "path"), GUARDED)
async def test_a_token_closes_these_paths(make_simulator: MakeSimulator, method: str, path: str) -> None:
    """Where the control API has a token, these paths need it too."""
    simulator = await make_simulator(admin_token="long enough")
    caller = simulator.caller()
    refused = await ask(caller, method, path)
    assert refused.status == 401
    assert "MESH_SIM_ADMIN_TOKEN" in refused.json()["error"]
    let_in = await ask(caller, method, path, headers={"Authorization": "Bearer long enough"})
    assert let_in.status in (200, 400, 404)


@pytest.mark.parametrize(("method", "path"), GUARDED)
async def test_pages_of_other_sites_are_refused(simulator: Simulator, method: str, path: str) -> None:
    """A browser's request on behalf of another site does nothing."""
    answer = await ask(simulator.caller(), method, path, headers={"Origin": "https://example.invalid"})
    assert answer.status == 403
