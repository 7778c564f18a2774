"""Messages that failed, and the reports about them: what recipient and sender see (sections 8, 14, 20)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from support import Simulator, assert_gone, both_versions

from mesh_sim.exchange.messages import Chunk, Failure, Inline, Message, MessageType, Metadata
from mesh_sim.exchange.states import Status
from mesh_sim.storage.messages import insert
from ndoo.protocol import Codes

AT = datetime(2026, 11, 22, 12, 34, 56, tzinfo=UTC)


async def _keep(simulator: Simulator, **changes: object) -> Message:
    """Put a message straight into the storage, in a state that only time or an operator brings about."""
    given: dict[str, object] = {
        "message_id": "20261122123456000000_ABCDEF",
        "message_type": MessageType.DATA,
        "sender": "X26ABC1",
        "recipient": "X26ABC2",
        "workflow_id": "TEST_WORKFLOW",
        "status": Status.UNDELIVERABLE,
        "total_chunks": 1,
        "created_at": AT,
        "accepted_at": AT,
        "metadata": Metadata(local_id="lost-1"),
        "failure": Failure(Codes.NOT_COLLECTED, AT, "20261127123456000000_FEDCBA"),
    }
    message = Message(**given | changes)  # type: ignore[arg-type] # the defaults above are of the right types
    chunks = [] if message.message_type is MessageType.REPORT else [Chunk(1, 4, Inline(b"body"))]
    return await simulator.server.core.database.write(lambda tx: insert(tx, message, chunks))


@both_versions
@pytest.mark.parametrize("status", [Status.UNDELIVERABLE, Status.ERROR])
async def test_a_failed_message_is_gone_for_its_recipient(
    simulator: Simulator, version: int, status: Status
) -> None:
    """It is not listed, cannot be downloaded, and acknowledging it changes nothing."""
    message = await _keep(simulator, status=status)
    recipient = simulator.caller("X26ABC2")
    assert await recipient.inbox() == []
    assert_gone(await recipient.get(f"inbox/{message.message_id}", version=version), version)
    assert (await recipient.acknowledge(message.message_id, version)).status == 200
    assert (await simulator.caller().track(message.message_id))["status"] == status.value


async def test_tracking_tells_the_sender_what_failed(simulator: Simulator) -> None:
    """Both versions show the failure's code, event, text and time, and the report it is linked to."""
    message = await _keep(simulator)
    second = await simulator.caller().track(message.message_id)
    assert second["status_success"] is False
    assert (second["status_event"], second["status_code"]) == ("SEND", "14")
    assert second["status_description"] == "Message not collected by recipient after 5 days"
    assert second["status_timestamp"] == "2026-11-22T12:34:56.000000"
    first = await simulator.caller().track(message.message_id, version=1)
    assert (first["status"], first["statusSuccess"]) == ("Undeliverable", "ERROR")
    assert first["failureDate"] == "20261122123456"
    assert first["failureDiagnostic"] == "Message not collected by recipient after 5 days"
    assert first["linkedMsgId"] == "20261127123456000000_FEDCBA"


@both_versions
@pytest.mark.parametrize("path", ["", "/1", "/7"], ids=["message", "chunk 1", "chunk 7"])
async def test_a_report_is_all_headers(simulator: Simulator, version: int, path: str) -> None:
    """A REPORT comes with an empty body under any chunk number, and says what it is about."""
    report = await _keep(simulator, message_type=MessageType.REPORT, status=Status.ACCEPTED)
    answer = await simulator.caller("X26ABC2").get(
        f"inbox/{report.message_id}{path}", version=version, headers={"Accept-Encoding": "gzip"}
    )
    assert (answer.status, answer.body, answer.content_type) == (200, b"", None)
    assert "Content-Encoding" not in answer.headers
    headers = answer.mex()
    assert "mex-from" not in headers
    assert headers["mex-messagetype"] == "REPORT"
    assert headers["mex-chunk-range"] == f"{path[1:] or 1}:0"
    assert headers["mex-total-chunks"] == "0"
    assert headers["mex-statussuccess"] == "ERROR"
    assert (headers["mex-statuscode"], headers["mex-statusevent"]) == ("14", "SEND")
    assert headers["mex-linkedmsgid"] == "20261127123456000000_FEDCBA"
    assert headers["mex-statustimestamp"] == "20261122123456"


async def test_a_report_without_a_cause_is_still_an_error(simulator: Simulator) -> None:
    """Even a report of which nothing more is known says that something failed."""
    report = await _keep(simulator, message_type=MessageType.REPORT, status=Status.ACCEPTED, failure=None)
    headers = (await simulator.caller("X26ABC2").get(f"inbox/{report.message_id}")).mex()
    assert headers["mex-statussuccess"] == "ERROR"
    assert "mex-statuscode" not in headers
