"""Sections 10 and 11: acknowledging a message, and counting the inbox."""

from __future__ import annotations

import pytest
from support import (
    UNKNOWN_ID,
    Answer,
    Callers,
    Simulator,
    assert_refused,
    assert_router,
    assert_unknown_message,
    both_versions,
)


def assert_acknowledged(answer: Answer, version: int, message: str) -> None:
    """Check the success body: the id in version 1, nothing at all in version 2."""
    assert answer.status == 200, answer.body
    if version == 1:
        assert (answer.json(), answer.content_type) == ({"messageId": message}, "application/json")
    else:
        assert (answer.body, answer.content_type) == (b"", None)


@both_versions
async def test_the_recipient_acknowledges(simulator: Simulator, version: int) -> None:
    """An acknowledged message leaves list and count at once, and its sender can see it."""
    sender, recipient = simulator.caller("X26ABC1"), simulator.caller("X26ABC2")
    message = await sender.sent()
    assert (await recipient.get("count")).json()["count"] == 1
    assert_acknowledged(await recipient.acknowledge(message, version), version, message)
    assert await recipient.inbox() == []
    assert (await recipient.get("count")).json()["count"] == 0
    assert (await sender.track(message))["status"] == "acknowledged"


@both_versions
async def test_acknowledging_again_changes_nothing(shared: Callers, version: int) -> None:
    """The second time answers as the first did."""
    message = await shared.caller().sent()
    recipient = shared.caller("X26ABC2")
    for _ in range(2):
        assert_acknowledged(await recipient.acknowledge(message, version), version, message)


@both_versions
async def test_acknowledging_too_early_changes_nothing(shared: Callers, version: int) -> None:
    """A message still being uploaded answers 200 and is delivered all the same."""
    sender, recipient = shared.caller(), shared.caller("X26ABC2")
    message = await sender.sent(headers={"Mex-Chunk-Range": "1:2"})
    assert_acknowledged(await recipient.acknowledge(message, version), version, message)
    assert (await sender.track(message))["status"] == "uploading"
    assert (await sender.send_chunk(message, 2, "2:2")).status == 202
    assert (await sender.track(message))["status"] == "accepted"


async def test_the_id_may_be_written_in_lower_case(shared: Callers) -> None:
    """Message ids in a path are upper-cased, and answered so."""
    message = await shared.caller().sent()
    answer = await shared.caller("X26ABC2").acknowledge(message.lower(), 1)
    assert_acknowledged(answer, 1, message)


@both_versions
@pytest.mark.parametrize("mailbox", ["X26ABC1", "X26ABC3"], ids=["sender", "third party"])
async def test_only_the_recipient_may_acknowledge(shared: Callers, mailbox: str, version: int) -> None:
    """Anyone else is 403, the sender too, and the message stays where it is."""
    sender = shared.caller()
    message = await sender.sent()
    answer = await shared.caller(mailbox).acknowledge(message, version)
    assert_refused(answer, version, 403, "Forbidden")
    assert (await sender.track(message))["status"] == "accepted"


@both_versions
async def test_an_unknown_message_cannot_be_acknowledged(shared: Callers, version: int) -> None:
    """A message that does not exist is 404 with code 20."""
    answer = await shared.caller().acknowledge(UNKNOWN_ID, version)
    assert_unknown_message(answer, version)


@both_versions
async def test_there_is_no_other_status_to_set(shared: Callers, version: int) -> None:
    """Any last segment but ``acknowledged`` is the router's 404, the message being there or not."""
    message = await shared.caller().sent()
    recipient = shared.caller("X26ABC2")
    answer = await recipient.request("PUT", f"inbox/{message}/status/read", version=version)
    assert_router(answer, 404, "Not Found")


# -- count ------------------------------------------------------------------------------------------


async def test_count_counts_what_waits_to_be_collected(simulator: Simulator) -> None:
    """Only accepted messages count: not those uploading, acknowledged, or sent."""
    sender, recipient = simulator.caller("X26ABC1"), simulator.caller("X26ABC2")
    messages = [await sender.sent() for _ in range(3)]
    await sender.sent(headers={"Mex-Chunk-Range": "1:2"})
    await recipient.acknowledge(messages[0])
    assert (await recipient.get("count", version=2)).json() == {"count": 2}
    assert (await sender.get("count", version=2)).json() == {"count": 0}


async def test_count_in_version_1_names_itself(shared: Callers) -> None:
    """Version 1 adds an id, new with each call, and that the count is complete."""
    caller = shared.caller("X26ABC3")
    bodies = [(await caller.get("count", version=1)).json() for _ in range(2)]
    for body in bodies:
        assert set(body) == {"count", "internalID", "allResultsIncluded"}
        assert body["allResultsIncluded"] is True
    assert bodies[0]["internalID"] != bodies[1]["internalID"]
