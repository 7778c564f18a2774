"""``/admin/mailboxes``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from controls import assert_control_refused, control
from support import MakeSimulator, Simulator

PATH = "/admin/mailboxes"


async def test_mailboxes_are_listed_with_what_waits(simulator: Simulator) -> None:
    """Every mailbox, with its count of waiting messages and without its password."""
    await simulator.caller().sent()
    listed = (await control(simulator.url, "GET", PATH)).json()["mailboxes"]
    waiting = {mailbox["mailbox_id"]: mailbox["waiting"] for mailbox in listed}
    assert waiting == {"X26ABC1": 0, "X26ABC2": 1, "X26ABC3": 0, "X26HC065": 0, "X99GP001": 0}
    assert all("password" not in mailbox for mailbox in listed)


async def test_a_created_mailbox_takes_part_and_stays(make_simulator: MakeSimulator, tmp_path: Path) -> None:
    """A new mailbox sends and receives at once, and is there after a restart."""
    simulator = await make_simulator(data=tmp_path / "data")
    wish = {"mailbox_id": "new01", "password": "its own", "ods_code": "N01"}
    created = await control(simulator.url, "POST", PATH, wish)
    assert (created.status, created.json()["mailbox_id"], created.json()["active"]) == (201, "NEW01", True)
    message_id = await simulator.caller("NEW01", "its own").sent(to="NEW01", workflow="ANY")
    await simulator.stop()
    again = await make_simulator(data=tmp_path / "data")
    assert await again.caller("NEW01", "its own").inbox() == [message_id]


async def test_a_disabled_mailbox_is_refused_until_it_is_enabled(simulator: Simulator) -> None:
    """Inactive, it is 403 as a caller and 417 as a recipient; active again, all is as before."""
    for active, as_caller, as_recipient in ((False, 403, 417), (True, 200, 202)):
        changed = await control(simulator.url, "PATCH", PATH, {"mailbox_id": "X26ABC2", "active": active})
        assert changed.json()["active"] is active
        assert (await simulator.caller("X26ABC2").get("inbox")).status == as_caller
        assert (await simulator.caller().send()).status == as_recipient


async def test_a_password_is_changed_and_never_shown(simulator: Simulator) -> None:
    """The old password stops working, the new one works, and no answer holds either."""
    wish = {"mailbox_id": "X26ABC1", "password": "quite another"}
    answer = await control(simulator.url, "PATCH", PATH, wish)
    assert answer.status == 200
    assert b"quite another" not in answer.body
    assert (await simulator.caller().get("inbox")).status == 403
    assert (await simulator.caller(password="quite another").get("inbox")).status == 200


async def test_the_ods_code_changes_lookups(simulator: Simulator) -> None:
    """A changed ODS code is what endpoint lookup finds."""
    await control(simulator.url, "PATCH", PATH, {"mailbox_id": "X26ABC2", "ods_code": "Y99"})
    found = await simulator.caller().get("/messageexchange/endpointlookup/Y99/TEST_WORKFLOW", version=2)
    assert [result["mailbox_id"] for result in found.json()["results"]] == ["X26ABC2"]


@pytest.mark.parametrize(
    ("method", "wish", "status", "field"),
    [
        ("POST", {"mailbox_id": "X26ABC1"}, 409, None),
        ("POST", {"mailbox_id": "no blanks"}, 400, "mailbox_id"),
        ("POST", {"mailbox_id": "../X"}, 400, "mailbox_id"),
        ("POST", {"mailbox_id": ""}, 400, "mailbox_id"),
        ("POST", {}, 400, "mailbox_id"),
        ("POST", {"mailbox_id": "NEW01", "active": "perhaps"}, 400, "active"),
        ("POST", {"mailbox_id": "NEW01", "password": "x" * 201}, 400, "password"),
        ("PATCH", {"mailbox_id": "NEW01", "active": False}, 404, "mailbox_id"),
        ("PATCH", {"mailbox_id": "X26ABC1"}, 400, None),
        ("PATCH", {"mailbox_id": "X26ABC1", "actve": False}, 400, "actve"),
    ],
    ids=str,
)
async def test_bad_wishes_change_nothing(
    simulator: Simulator, method: str, wish: Any, status: int, field: str | None
) -> None:
    """What cannot be done is refused with the field and what is allowed, and nothing has changed."""
    before = (await control(simulator.url, "GET", PATH)).body
    answer = await control(simulator.url, method, PATH, wish)
    assert_control_refused(answer, status, field=field)
    assert b"xxxx" not in answer.body
    assert (await control(simulator.url, "GET", PATH)).body == before
