"""Section 14: what a sender can learn about a message it sent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support import UNKNOWN_ID, Callers, Simulator, assert_invalid, assert_refused, both_versions

HEADERS = {
    "Mex-FileName": "f.txt",
    "Mex-LocalID": "loc 1",
    "Mex-Subject": "Subj",
    "Mex-PartnerID": "P1",
    "Mex-Content-Checksum": "abc123",
    "Mex-Content-Encrypted": "Y",
    "Mex-Content-Compressed": "yes",
    "Content-Encoding": "gzip",
}

PERSON_V1 = {
    "meshRecipientOdsCode": "X26",
    "recipient": "X26ABC2",
    "recipientName": "TESTMB2",
    "recipientOrgCode": "X26",
    "recipientOrgName": "",
    "recipientSmtp": "",
    "sender": "X26ABC1",
    "senderName": "TESTMB1",
    "senderOdsCode": "X26",
    "senderOrgCode": "X26",
    "senderOrgName": "",
    "senderSmtp": "",
}


def compact(text: str) -> datetime:
    """Read a version 1 timestamp."""
    return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC)


def assert_about_now(read: datetime, simulator: Simulator) -> None:
    """Check a time against the simulator's clock, to the second it is written in."""
    # Version 1 drops the fraction of a second and the request takes some time of its own.
    behind = simulator.clock.now() - read.replace(tzinfo=UTC)
    assert timedelta(0) <= behind < timedelta(seconds=30)


def pick(body: dict[str, Any], names: dict[str, Any]) -> dict[str, Any]:
    """The part of ``body`` that ``names`` speaks of."""
    return {name: body.get(name, "absent") for name in names}


async def test_version_1_tells_everything(simulator: Simulator) -> None:
    """Version 1 gives the message's headers, sizes, both mailboxes and times of the simulated clock."""
    simulator.clock.advance(timedelta(days=400))
    sender = simulator.caller()
    message = await sender.sent(b"x" * 31, headers=HEADERS)
    body = await sender.track(message, version=1)
    expected = PERSON_V1 | {
        "addressType": "ALL",
        "checksum": "abc123",
        "chunkCount": 1,
        "compressFlag": "Y",
        "contentEncoding": "gzip",
        "downloadTimestamp": "",
        "dtsId": message,
        "encryptedFlag": "Y",
        "fileName": "f.txt",
        "fileSize": 31,
        "isCompressed": "Y",
        "localId": "loc 1",
        "messageId": message,
        "messageType": "DATA",
        "partnerId": "P1",
        "status": "Accepted",
        "statusSuccess": "SUCCESS",
        "subject": "Subj",
        "version": "1.0",
        "workflowId": "TEST_WORKFLOW",
    }
    assert pick(body, expected) == expected
    uploaded = compact(body["uploadTimestamp"])
    assert_about_now(uploaded, simulator)
    assert compact(body["expiryTime"]) - uploaded in (timedelta(days=5), timedelta(days=5, seconds=-1))
    assert None not in body.values()
    assert not {"failureDate", "failureDiagnostic", "linkedMsgId"} & set(body)


async def test_version_2_tells_what_matters(simulator: Simulator) -> None:
    """Version 2 gives the message's ids, its recipient, its status and ISO times."""
    sender = simulator.caller()
    message = await sender.sent(headers=HEADERS)
    body = await sender.track(message)
    expected = {
        "message_id": message,
        "local_id": "loc 1",
        "workflow_id": "TEST_WORKFLOW",
        "filename": "f.txt",
        "recipient": "X26ABC2",
        "recipient_name": "TESTMB2",
        "recipient_ods_code": "X26",
        "recipient_org_code": "X26",
        "recipient_org_name": "",
        "status_success": True,
        "status": "accepted",
        "status_event": "TRANSFER",
        "status_description": "Success",
        "status_code": "01",
    }
    assert pick(body, expected) == expected
    assert set(body) == {*expected, "expiry_time", "upload_timestamp", "status_timestamp"}
    uploaded = datetime.fromisoformat(body["upload_timestamp"])
    assert_about_now(uploaded, simulator)
    lifetime = datetime.fromisoformat(body["expiry_time"]) - uploaded
    assert abs(lifetime - timedelta(days=5)) < timedelta(seconds=1)
    assert_about_now(datetime.fromisoformat(body["status_timestamp"]), simulator)


async def test_what_was_not_sent_is_empty(shared: Callers) -> None:
    """Headers left out show as empty text, and the file name as the message's own."""
    sender = shared.caller()
    message = await sender.sent(b"four")
    body = await sender.track(message)
    assert (body["local_id"], body["filename"]) == ("", f"{message}.dat")
    body = await sender.track(message, version=1)
    empty = ("checksum", "compressFlag", "contentEncoding", "encryptedFlag", "isCompressed")
    assert pick(body, expected := dict.fromkeys((*empty, "localId", "partnerId", "subject"), "")) == expected
    assert (body["fileName"], body["fileSize"]) == (f"{message}.dat", 4)


async def test_an_upload_is_tracked_while_it_goes_on(shared: Callers) -> None:
    """While chunks are missing the size is nought; complete, it is the sum of the stored bytes."""
    sender = shared.caller()
    message = await sender.sent(b"12345", headers={"Mex-Chunk-Range": "1:3"})
    body = await sender.track(message, version=1)
    assert (body["status"], body["chunkCount"], body["fileSize"]) == ("Uploading", 3, 0)
    body = await sender.track(message)
    assert (body["status"], body["status_success"]) == ("uploading", True)
    await sender.send_chunk(message, 2, "2:3", b"123")
    await sender.send_chunk(message, 3, "3:3", b"1")
    body = await sender.track(message, version=1)
    assert (body["status"], body["chunkCount"], body["fileSize"]) == ("Accepted", 3, 9)


async def test_an_acknowledgement_is_tracked(simulator: Simulator) -> None:
    """Once collected, the status is acknowledged and the time of it is told."""
    sender = simulator.caller()
    message = await sender.sent()
    simulator.clock.advance(timedelta(days=2))
    await simulator.caller("X26ABC2").acknowledge(message)
    body = await sender.track(message, version=1)
    assert (body["status"], body["statusSuccess"]) == ("Acknowledged", "SUCCESS")
    downloaded = compact(body["downloadTimestamp"])
    assert_about_now(downloaded, simulator)
    assert downloaded - compact(body["uploadTimestamp"]) >= timedelta(days=2)
    body = await sender.track(message)
    expected = {
        "status": "acknowledged",
        "status_success": True,
        "status_event": "TRANSFER",
        "status_description": "Success",
        "status_code": "01",
    }
    assert pick(body, expected) == expected
    assert "status_timestamp" in body


async def test_the_id_may_be_written_in_lower_case(shared: Callers) -> None:
    """The id in the query is upper-cased."""
    sender = shared.caller()
    message = await sender.sent()
    assert (await sender.track(message.lower()))["message_id"] == message


@both_versions
@pytest.mark.parametrize("mailbox", ["X26ABC2", "X26ABC3"], ids=["recipient", "third party"])
async def test_only_the_sender_can_track(shared: Callers, mailbox: str, version: int) -> None:
    """To anyone else, the recipient too, the message does not exist."""
    message = await shared.caller().sent()
    answer = await shared.caller(mailbox).get(f"outbox/tracking?messageID={message}", version=version)
    assert_refused(answer, version, 404, "Not Found")


@both_versions
async def test_an_unknown_message_cannot_be_tracked(shared: Callers, version: int) -> None:
    """A message that does not exist is 404 without a code."""
    answer = await shared.caller().get(f"outbox/tracking?messageID={UNKNOWN_ID}", version=version)
    assert_refused(answer, version, 404, "Not Found")


@both_versions
@pytest.mark.parametrize(
    ("query", "kind"), [("", "missing"), ("?localID=x", "missing"), ("?messageID=", "string_too_short")]
)
async def test_tracking_needs_a_message_id(shared: Callers, query: str, kind: str, version: int) -> None:
    """Without an id, or with an empty one, the query is 400; a local id is no query."""
    answer = await shared.caller().get(f"outbox/tracking{query}", version=version)
    assert_invalid(answer, (kind, "query", "messageID"))


# -- by local id ------------------------------------------------------------------------------------


@both_versions
async def test_tracking_by_local_id_is_version_1_always(shared: Callers, version: int) -> None:
    """The one message of that local id is told as version 1 tells it, whatever Accept says."""
    sender = shared.caller()
    local_id = f"by-local-id-{version}"
    message = await sender.sent(headers={"Mex-LocalID": local_id})
    answer = await sender.get(f"outbox/tracking/{local_id}", version=version)
    assert (answer.status, answer.content_type) == (200, "application/json")
    assert answer.json() == await sender.track(message, version=1)


async def test_a_local_id_is_percent_decoded(shared: Callers) -> None:
    """Blanks and signs of a local id travel percent-encoded."""
    sender = shared.caller()
    message = await sender.sent(headers={"Mex-LocalID": "local & id?"})
    answer = await sender.get("outbox/tracking/local%20%26%20id%3F")
    assert answer.json()["messageId"] == message


@both_versions
@pytest.mark.parametrize("local_id", ["NO-SUCH", "case-matters"])
async def test_an_unknown_local_id(shared: Callers, local_id: str, version: int) -> None:
    """A local id that nobody used, or one in other letters, is 404."""
    sender = shared.caller()
    await sender.sent(headers={"Mex-LocalID": "Case-Matters"})
    answer = await sender.get(f"outbox/tracking/{local_id}", version=version)
    assert_refused(answer, version, 404, "Not Found")


async def test_local_ids_belong_to_their_sender(shared: Callers) -> None:
    """The recipient finds nothing under the sender's local id."""
    await shared.caller().sent(headers={"Mex-LocalID": "the-senders-own"})
    answer = await shared.caller("X26ABC2").get("outbox/tracking/the-senders-own")
    assert_refused(answer, 1, 404, "Not Found")


@both_versions
async def test_a_local_id_used_twice_is_ambiguous(shared: Callers, version: int) -> None:
    """Two messages of one local id are 300, and lead nowhere."""
    sender = shared.caller()
    for _ in range(2):
        await sender.sent(headers={"Mex-LocalID": f"twice-{version}"})
    answer = await sender.get(f"outbox/tracking/twice-{version}", version=version)
    assert_refused(answer, version, 300, "Multiple Choices")
    assert "Location" not in answer.headers
