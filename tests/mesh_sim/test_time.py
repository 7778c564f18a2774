"""What time does to messages: expiry with its report, deletion, and that tokens stay on real time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from controls import control
from support import (
    MakeSimulator,
    Simulator,
    assert_gone,
    assert_unknown_message,
    authorization,
    both_versions,
)

from mesh_sim.clock import SimulatedClock
from mesh_sim.config import Settings
from mesh_sim.core import open_core
from mesh_sim.exchange.messages import Chunk, Message, Metadata
from mesh_sim.exchange.reports import make_report, non_delivery
from mesh_sim.wishes.messages import MessageWish
from ndoo.protocol import Codes


async def advance(simulator: Simulator, by: str) -> None:
    """Advance the clock through the control API."""
    answer = await control(simulator.url, "POST", "/admin/clock", {"advance": by})
    assert answer.status == 200, answer.body


async def report_of(simulator: Simulator, mailbox: str = "X26ABC1") -> str:
    """Give the id of the one report in a mailbox's inbox."""
    (message_id,) = await simulator.caller(mailbox).inbox()
    return message_id


@both_versions
async def test_an_uncollected_message_becomes_undeliverable(simulator: Simulator, version: int) -> None:
    """Five days after delivery it has left the inbox, cannot be downloaded, and its tracking says why."""
    sender, recipient = simulator.caller(), simulator.caller("X26ABC2")
    message_id = await sender.sent(headers={"Mex-LocalID": "L1", "Mex-Subject": "weekly"})
    await advance(simulator, "4d23h59m")
    assert await recipient.inbox() == [message_id]
    await advance(simulator, "1m")
    assert await recipient.inbox() == []
    assert (await recipient.get("count")).json()["count"] == 0
    assert_gone(await recipient.get(f"inbox/{message_id}", version=version), version)
    assert_gone(await recipient.get(f"inbox/{message_id}/1", version=version), version)
    assert (await recipient.request("HEAD", f"inbox/{message_id}")).status == 410
    assert (await recipient.acknowledge(message_id, version)).status == 200  # and nothing changes
    tracked = await sender.track(message_id, version)
    if version == 2:
        assert tracked["status"] == "undeliverable"
        assert tracked["status_success"] is False
        assert (tracked["status_code"], tracked["status_event"]) == ("14", "SEND")
        assert tracked["status_description"] == "Message not collected by recipient after 5 days"
    else:
        assert (tracked["status"], tracked["statusSuccess"]) == ("Undeliverable", "ERROR")
        assert tracked["failureDiagnostic"] == "Message not collected by recipient after 5 days"
        assert tracked["linkedMsgId"] == await report_of(simulator)


async def test_the_sender_gets_a_report_with_every_header(simulator: Simulator) -> None:
    """The headers of section 20: what was not delivered to whom, why and when; and no body."""
    sender = simulator.caller()
    message_id = await sender.sent(headers={"Mex-LocalID": "L1", "Mex-Subject": "weekly"})
    await advance(simulator, "5d")
    report_id = await report_of(simulator)
    answer = await sender.get(f"inbox/{report_id}", version=2)
    headers = answer.mex()
    timestamp = headers.pop("mex-statustimestamp")
    at = datetime.strptime(timestamp, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    assert timedelta(seconds=-1) < simulator.clock.now() - at < timedelta(minutes=1)
    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, b"", "0")
    expected = {
        "mex-messagetype": "REPORT",
        "mex-messageid": report_id,
        "mex-linkedmsgid": message_id,
        "mex-to": "X26ABC2",
        "mex-workflowid": "TEST_WORKFLOW",
        "mex-localid": "L1",
        "mex-subject": "NDR: weekly",
        "mex-statussuccess": "ERROR",
        "mex-statuscode": "14",
        "mex-statusevent": "SEND",
        "mex-statusdescription": "Message not collected by recipient after 5 days",
        "mex-chunk-range": "1:0",
        "mex-total-chunks": "0",
    }
    assert expected.items() <= headers.items()
    assert "mex-from" not in headers
    assert (await sender.acknowledge(report_id)).status == 200
    assert await sender.inbox() == []


async def test_a_report_makes_no_report(simulator: Simulator) -> None:
    """A report that nobody collects expires in silence, and still says what it was about."""
    message_id = await simulator.caller().sent()
    await advance(simulator, "5d")
    report_id = await report_of(simulator)
    await advance(simulator, "5d")
    for mailbox in ("X26ABC1", "X26ABC2"):
        assert await simulator.caller(mailbox).inbox() == []
    assert_gone(await simulator.caller().get(f"inbox/{report_id}"), 1)
    (report,) = (await control(simulator.url, "GET", "/admin/messages?type=REPORT")).json()["messages"]
    assert (report["status"], report["failure"]["linked_message_id"]) == ("undeliverable", message_id)


def test_no_report_is_made_of_a_report() -> None:
    """Whatever becomes of a report, nobody is told."""
    now = datetime.now(UTC)
    metadata = Metadata(subject="weekly", local_id="L1")
    report = make_report(
        recipient="X26ABC1",
        intended_recipient="X26ABC2",
        workflow_id="W",
        metadata=metadata,
        error=Codes.NOT_COLLECTED,
        linked_message_id="",
        at=now,
    )
    assert non_delivery(report, now) is None


async def test_an_acknowledged_message_does_not_expire(simulator: Simulator) -> None:
    """Only what was not collected is reported; its neighbours in the inbox are not touched."""
    sender, recipient = simulator.caller(), simulator.caller("X26ABC2")
    collected, left = [await sender.sent() for _ in range(2)]
    await recipient.acknowledge(collected)
    await advance(simulator, "3d")
    late = await sender.sent()
    await advance(simulator, "2d")
    assert await recipient.inbox() == [late]
    assert (await sender.track(collected))["status"] == "acknowledged"
    assert (await sender.track(left))["status"] == "undeliverable"


async def test_a_chunked_message_expires_by_its_last_chunk(simulator: Simulator) -> None:
    """The five days begin when a message is delivered, not when its upload was begun."""
    sender, recipient = simulator.caller(), simulator.caller("X26ABC2")
    message_id = await sender.sent(headers={"Mex-Chunk-Range": "1:2"})
    await advance(simulator, "4d")
    assert (await sender.send_chunk(message_id, 2, "2:2")).status == 202
    await advance(simulator, "4d")
    assert await recipient.inbox() == [message_id]
    tracked = await sender.track(message_id)
    assert tracked["expiry_time"] > f"{simulator.clock.now():%Y-%m-%dT%H:%M:%S}"
    await advance(simulator, "1d")
    assert await recipient.inbox() == []


async def test_an_abandoned_upload_is_deleted(simulator: Simulator) -> None:
    """An upload that is not complete in five days is gone without a report, its bodies too."""
    sender = simulator.caller()
    message_id = await sender.sent(b"x" * 100_000, headers={"Mex-Chunk-Range": "1:2"})
    payloads = simulator.server.core.payloads
    assert len(await payloads.keys()) == 1
    await advance(simulator, "5d")
    assert (await sender.get(f"outbox/tracking?messageID={message_id}")).status == 404
    assert (await sender.send_chunk(message_id, 2, "2:2")).status == 404
    assert await sender.inbox() == []
    assert await payloads.keys() == []


@pytest.mark.parametrize("collected", [True, False], ids=["collected", "left"])
async def test_a_message_is_deleted_after_thirty_days(simulator: Simulator, collected: bool) -> None:
    """Thirty days after delivery nothing of it is left: no tracking, no download, no body."""
    sender, recipient = simulator.caller(), simulator.caller("X26ABC2")
    message_id = await sender.sent(b"x" * 100_000, headers={"Mex-LocalID": "L1"})
    if collected:
        await recipient.acknowledge(message_id)
    await advance(simulator, "29d23h")
    assert (await sender.track(message_id))["status"] == "acknowledged" if collected else "undeliverable"
    await advance(simulator, "1h")
    assert (await sender.get(f"outbox/tracking?messageID={message_id}")).status == 404
    assert (await sender.get("outbox/tracking/L1")).status == 404
    assert_unknown_message(await recipient.get(f"inbox/{message_id}"), 1)
    assert await simulator.server.core.payloads.keys() == []


async def test_other_lifetimes_can_be_set(make_simulator: MakeSimulator) -> None:
    """The inbox's and the message's lifetimes are settings."""
    simulator = await make_simulator(inbox_expiry=timedelta(hours=1), deletion=timedelta(hours=2))
    sender = simulator.caller()
    message_id = await sender.sent()
    await advance(simulator, "1h")
    assert (await sender.track(message_id))["status"] == "undeliverable"
    await advance(simulator, "1h")
    assert (await sender.get(f"outbox/tracking?messageID={message_id}")).status == 404


async def test_tokens_stay_on_real_time(simulator: Simulator) -> None:
    """However far the clock was moved, a token of the real minute is good and one of the simulated is not."""
    await advance(simulator, "365d")
    caller = simulator.caller()
    assert (await caller.get("inbox")).status == 200
    simulated = f"{simulator.clock.now():%Y%m%d%H%M}"
    refused = await caller.get("inbox", authorization=authorization("X26ABC1", timestamp=simulated))
    assert refused.status == 403


async def test_a_report_goes_to_an_inactive_sender_but_not_to_a_removed_one(
    make_simulator: MakeSimulator, tmp_path: Path
) -> None:
    """A disabled sender finds the report when it is enabled again; one that no longer exists gets none."""
    simulator = await make_simulator(data=tmp_path / "data")
    await simulator.caller().sent()
    await control(simulator.url, "PATCH", "/admin/mailboxes", {"mailbox_id": "X26ABC1", "active": False})
    created = {"mailbox_id": "GONE01", "password": "password"}
    await control(simulator.url, "POST", "/admin/mailboxes", created)
    await simulator.caller("GONE01").sent(workflow="OPEN")
    await simulator.server.core.mailboxes.restore()
    await advance(simulator, "5d")
    await report_of(simulator)
    messages = (await control(simulator.url, "GET", "/admin/messages?type=REPORT")).json()["messages"]
    assert [message["recipient"] for message in messages] == ["X26ABC1"]


async def test_thousands_expire_in_one_go(simulator: Simulator) -> None:
    """A whole inbox of 1,001 expires before the clock's answer, each with one report."""
    wish = {"to": "X26ABC2", "from": "X26ABC1", "count": 1001, "body": "x"}
    assert (await control(simulator.url, "POST", "/admin/messages", wish)).status == 201
    await advance(simulator, "5d")
    assert await simulator.caller("X26ABC2").inbox("max_results=5000") == []
    reports = await simulator.caller("X26ABC1").inbox("max_results=5000")
    assert len(reports) == 1001
    # Told apart by their time, and not only by the chance in their last six digits.
    assert len({report[:20] for report in reports}) == 1001


async def test_the_offset_survives_a_restart(make_simulator: MakeSimulator, tmp_path: Path) -> None:
    """The clock goes on from where it was; a reset returns it to real time for good."""
    first = await make_simulator(data=tmp_path / "data")
    await advance(first, "10d")
    await first.stop()
    second = await make_simulator(data=tmp_path / "data")
    assert second.clock.offset == timedelta(days=10)
    assert (await control(second.url, "POST", "/admin/clock", {"reset": True})).json()["offset_s"] == 0
    await second.stop()
    third = await make_simulator(data=tmp_path / "data")
    assert third.clock.offset == timedelta()


async def test_what_fell_due_while_stopped_happens_at_the_start(tmp_path: Path) -> None:
    """A message whose five days ended while nothing ran expires once, with one report, at the next start."""
    settings = Settings(data=tmp_path / "data", port=0)
    async with open_core(settings) as core:
        sender, recipient = (core.exchange.directory.mailbox(f"X26ABC{n}") for n in (1, 2))
        assert sender is not None
        assert recipient is not None
        message_id = (await core.desk.put(_one_message(core.clock)))[0].message_id
    for _ in range(2):
        async with open_core(settings, SimulatedClock(offset=timedelta(days=6))) as core:
            await core.housekeeper.do_what_is_due()
            message = await core.desk.message(message_id)
            assert message.status == "undeliverable"
            assert await core.exchange.waiting(recipient) == 0
            assert await core.exchange.waiting(sender) == 1


async def test_processes_on_one_folder_share_the_clock_and_the_mailboxes(tmp_path: Path) -> None:
    """What one process sets, another on the same data folder follows within seconds."""
    settings = Settings(data=tmp_path / "data", port=0)
    async with open_core(settings) as one, open_core(settings) as other:
        await one.time.advance(timedelta(days=2))
        await one.mailboxes.change("X26ABC1", {"active": False})
        async with asyncio.timeout(10):
            await other.clock.sleep_until(one.clock.now())

        def followed() -> bool:
            mailbox = other.exchange.directory.mailbox("X26ABC1")
            return mailbox is not None and not mailbox.active

        for _ in range(200):
            if followed():
                break
            await asyncio.sleep(0.05)
        assert followed()
        assert other.clock.offset == timedelta(days=2)


def _one_message(clock: SimulatedClock) -> list[tuple[Message, tuple[Chunk, ...]]]:
    return list(MessageWish.model_validate({"to": "X26ABC2", "from": "X26ABC1"}).messages(clock.now()))
