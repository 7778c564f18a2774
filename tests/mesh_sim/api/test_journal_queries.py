"""The journal over the control API: asking, reading on, emptying."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from controls import assert_control_refused, control
from support import MakeSimulator, Simulator

from mesh_sim.api.routes import OPERATIONS


async def ask(simulator: Simulator, query: str = "") -> Any:
    """Ask for entries; give the body."""
    answer = await control(simulator.url, "GET", "/admin/journal" + (query and f"?{query}"))
    assert (answer.status, answer.content_type) == (200, "application/json"), answer.body
    return answer.json()


async def operations(simulator: Simulator, query: str = "") -> list[str]:
    """Ask for entries; give their operations."""
    return [entry["operation"] for entry in (await ask(simulator, query))["entries"]]


@pytest.fixture
async def busy(simulator: Simulator) -> Simulator:
    """A simulator that was asked five things, two of them in vain."""
    caller, recipient = simulator.caller(), simulator.caller("X26ABC2")
    await caller.sent(b"x" * 10)
    await caller.get("inbox")
    await caller.get("inbx")
    await recipient.get("inbox")
    await recipient.get("inbox", authorization="Bearer nothing")
    return simulator


async def test_an_entry_says_everything(busy: Simulator) -> None:
    """Its body has every field, times in ISO 8601 with their zone, and the newest comes first."""
    begun = datetime.now(UTC) - timedelta(minutes=1)
    body = await ask(busy)
    assert set(body) == {"entries", "next"}
    entry = body["entries"][0]
    assert begun < datetime.fromisoformat(entry.pop("at")) < datetime.now(UTC)
    assert begun < datetime.fromisoformat(entry.pop("simulated_at")) < datetime.now(UTC)
    assert 0 < entry.pop("duration_s") < 10
    assert entry.pop("sent_bytes") > 0
    assert entry == {
        "number": 5,
        "mailbox": "X26ABC2",
        "operation": "list",
        "method": "GET",
        "status": 403,
        "received_bytes": 0,
        "message_id": "",
        "reason": "the token does not name the mailbox in the path, in upper case, after 'NHSMESH '",
        "near_misses": ["scheme is 'Bearer', not NHSMESH: yes", "token has 1 part, not 5"],
        "fault": "",
        "user_agent": "",
        "details": {},
    }
    assert body["entries"][1]["details"] == {"listed": 1}
    assert [entry["number"] for entry in body["entries"]] == [5, 4, 3, 2, 1]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["list", "list", "-", "list", "send"]),
        ("mailbox=x26abc2", ["list", "list"]),
        ("mailbox=X26NONE", []),
        ("operation=send", ["send"]),
        ("operation=-", ["-"]),
        ("status=403", ["list"]),
        ("status=4xx", ["list", "-"]),
        ("status=2XX", ["list", "list", "send"]),
        ("status=0", []),
        ("refused=true", ["list", "-"]),
        ("refused=false", ["list", "list", "-", "list", "send"]),
        ("since=10m", ["list", "list", "-", "list", "send"]),
        ("since=2999-01-01", []),
        ("after=3", ["list", "list"]),
        ("before=3", ["list", "send"]),
        ("after=1&before=4&limit=1", ["list"]),
        ("limit=2", ["list", "list"]),
        ("order=oldest&limit=1", ["send"]),
        ("mailbox=X26ABC1&status=200&order=oldest", ["list"]),
    ],
)
async def test_entries_are_found_by_what_they_are(busy: Simulator, query: str, expected: list[str]) -> None:
    """Every parameter selects, and together they all must fit."""
    assert await operations(busy, query) == expected


async def test_a_message_is_followed_by_its_id(simulator: Simulator) -> None:
    """All requests about one message are found by its id, in either case."""
    message_id = await simulator.caller().sent()
    await simulator.caller("X26ABC2").get(f"inbox/{message_id}")
    await simulator.caller("X26ABC2").acknowledge(message_id)
    query = f"order=oldest&message_id={message_id.lower()}"
    assert await operations(simulator, query) == ["send", "download", "acknowledge"]


async def test_times_are_read_in_any_zone(simulator: Simulator) -> None:
    """A time with an offset, encoded or not, with Z, or without any (then UTC) is the same moment."""
    await simulator.caller().get("inbox")
    here = datetime.now(timezone(timedelta(hours=5, minutes=30)))
    before, later = here - timedelta(minutes=1), here + timedelta(minutes=1)
    for at, expected in ((before, ["list"]), (later, [])):
        utc = at.astimezone(UTC)
        for text in (
            at.isoformat(),
            quote(at.isoformat()),
            utc.isoformat().replace("+00:00", "Z"),
            utc.replace(tzinfo=None).isoformat(),
        ):
            assert await operations(simulator, f"since={text}") == expected, text


async def test_reading_on(simulator: Simulator) -> None:
    """Read oldest first, ``next`` leads from page to page to every entry once, and ends with the last."""
    caller = simulator.caller()
    for _ in range(7):
        await caller.get("inbox")
    seen, query = [], "order=oldest&limit=3"
    for _ in range(3):
        page = await ask(simulator, query)
        seen += [entry["number"] for entry in page["entries"]]
        query = f"limit=3&after={page['next']}"
    assert (seen, page["next"]) == ([1, 2, 3, 4, 5, 6, 7], None)
    assert await ask(simulator, "after=7") == {"entries": [], "next": None}
    await caller.get("count")
    assert await operations(simulator, "after=7") == ["count"]
    assert (await ask(simulator, "limit=3"))["next"] is None


async def test_reading_back(simulator: Simulator) -> None:
    """Read newest first, ``before`` the last entry's number leads from page to page to every entry once."""
    caller = simulator.caller()
    for _ in range(7):
        await caller.get("inbox")
    seen, query = [], "limit=3"
    while entries := (await ask(simulator, query))["entries"]:
        seen += [entry["number"] for entry in entries]
        await caller.get("count")  # what comes in meanwhile is not in between
        query = f"limit=3&before={seen[-1]}"
    assert seen == [7, 6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize(
    ("query", "field", "text"),
    [
        ("operation=sned", "operation", f"known are {', '.join(OPERATIONS)}"),
        ("status=abc", "status", "such as 403, a class such as 4xx"),
        ("status=40", "status", "such as 403"),
        ("status=0xx", "status", "such as 403"),
        ("refused=perhaps", "refused", "true or false"),
        ("since=yesterday", "since", "such as 2026-11-22T10:00:00Z or a duration such as 10m"),
        ("since=-5m", "since", "such as 10m"),
        ("since=0001-01-01T00:00:00%2B14:00", "since", "such as 10m"),
        ("after=-1", "after", "at least 0"),
        ("after=99999999999999999999", "after", "less than"),
        ("after=first", "after", "whole number"),
        ("before=-1", "before", "at least 0"),
        ("before=99999999999999999999", "before", "less than"),
        ("limit=0", "limit", "at least 1"),
        ("limit=5001", "limit", "at most 5000"),
        ("order=random", "order", "'oldest' or 'newest'"),
        ("mailboxes=X", "mailboxes", "did you mean mailbox?"),
        ("limit=1&limit=2", "limit", "twice"),
    ],
)
async def test_what_cannot_be_asked_is_refused(
    simulator: Simulator, query: str, field: str, text: str
) -> None:
    """A parameter that makes no sense is 400, naming it and what is allowed."""
    answer = await control(simulator.url, "GET", f"/admin/journal?{query}")
    assert_control_refused(answer, 400, field=field, text=text)


async def test_emptying(busy: Simulator) -> None:
    """Emptying says how many there were; what comes afterwards has further numbers."""
    answer = await control(busy.url, "DELETE", "/admin/journal")
    assert (answer.status, answer.json()) == (200, {"deleted": 5})
    assert await ask(busy) == {"entries": [], "next": None}
    await busy.caller().get("count")
    assert [entry["number"] for entry in (await ask(busy))["entries"]] == [6]


async def test_a_broken_file_cannot_be_emptied(make_simulator: MakeSimulator, tmp_path: Path) -> None:
    """Entries kept in memory can be asked for; emptying is 503 and keeps them."""
    data = tmp_path / "broken"
    data.mkdir()
    (data / "journal.db").write_bytes(b"this is no database" * 100)
    simulator = await make_simulator(data=data)
    await simulator.caller().get("inbox")
    assert_control_refused(
        await control(simulator.url, "DELETE", "/admin/journal"), 503, text="nothing was forgotten"
    )
    assert await operations(simulator) == ["list"]


async def test_metrics_count_what_the_journal_notes(busy: Simulator) -> None:
    """The figures for Prometheus come from the same entries."""
    text = (await control(busy.url, "GET", "/metrics")).body.decode()
    assert 'mesh_sim_requests_total{operation="list",status="403"} 1.0' in text
    assert 'mesh_sim_requests_total{operation="-",status="404"} 1.0' in text
    assert 'mesh_sim_received_bytes_total{operation="send"} 10.0' in text
