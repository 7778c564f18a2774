"""The journal as a page: every request, those looked for, and everything noted of each."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pages import Page, visiting
from support import Simulator
from yarl import URL


def _requests(page: Page) -> list[dict[str, str]]:
    """The rows of requests, without those that say why."""
    return [row for row in page.rows("Requests") if row]


async def test_an_empty_journal(simulator: Simulator) -> None:
    """It says what would fill it, and how long the journal keeps that."""
    async with visiting(simulator.url) as visitor:
        page = await visitor.get("/journal")
    assert page.title == "Journal"
    assert "What one asks of /messageexchange appears here." in page.text
    assert "keeps the last 100,000 requests, for 7d" in page.text


async def test_every_refusal_has_its_explanation(simulator: Simulator) -> None:
    """Reason, near misses and what to do stand under the request that was refused."""
    one = simulator.caller("X26ABC1")
    await one.get("inbox", authorization=None)
    await one.send(b"")
    async with visiting(simulator.url) as visitor:
        page = await visitor.get("/journal")
    empty, unsigned = page.root.one(id="requests").all("tbody")
    assert empty.one("p", class_="reason").text == "The body is empty."
    assert empty.one("p", class_="advice").text == "What to do: Send at least one byte."
    assert unsigned.one("p", class_="reason").text == "The Authorization header is absent or blank."
    assert unsigned.one("li").text == "There was no Authorization header."


async def test_everything_noted_is_there(simulator: Simulator) -> None:
    """A request unfolds into what was noted of it: method, sizes, client, whom it was for."""
    message_id = await simulator.caller("X26ABC1").sent(b"x" * 1234, headers={"User-Agent": "my-client/1"})
    async with visiting(simulator.url) as visitor:
        page = await visitor.get("/journal")
        (row,) = _requests(page)
        assert (row["Mailbox"], row["Request"], row["Answer"]) == ("X26ABC1", "send", "202 Accepted")
        assert row["Message"] == message_id
        noted = page.root.one("dl", class_="noted")
        facts = dict(zip(*([part.text for part in noted.all(name)] for name in ("dt", "dd")), strict=True))
        assert facts["Method"] == "POST"
        assert facts["Body received"] == "1.2 kB"
        assert facts["Client"] == "my-client/1"
        assert facts["For"] == "X26ABC2"
        assert "Simulated time" not in facts
        simulator.server.clock.advance(timedelta(days=1))
        await simulator.caller("X26ABC1").inbox()
        newest = (await visitor.get("/journal")).root.all("dl", class_="noted")[0]
        assert "Simulated time" in newest.text


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("mailbox=x26abc2", ["list"]),
        ("operation=send", ["send", "send"]),
        ("status=403", ["list"]),
        ("status=4xx", ["send", "list"]),
        ("refused=true", ["send", "list"]),
        ("refused=true&operation=send", ["send"]),
        ("since=10m", ["send", "list", "send"]),
        ("since=2999-01-01", []),
        ("message_id=MESSAGE", ["send"]),
        ("operation=-", []),
    ],
)
async def test_requests_are_looked_for(simulator: Simulator, query: str, found: list[str]) -> None:
    """Each field selects, and keeps what was filled in."""
    message_id = await simulator.caller("X26ABC1").sent()
    await simulator.caller("X26ABC2", password="wrong").get("inbox")
    await simulator.caller("X26ABC1").send(b"")
    query = query.replace("MESSAGE", message_id.lower())
    async with visiting(simulator.url) as visitor:
        page = await visitor.get(f"/journal?{query}")
        assert page.status == 200
        if found:
            assert [row["Request"] for row in _requests(page)] == found
        else:
            assert "No request in the journal is like that." in page.text
        assert URL(f"/journal?{query}").query.items() <= page.fields("/journal").items()
        assert page.links()["Show everything"] == "/journal"


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("status", "9", "Must be a status such as 403"),
        ("operation", "fly", "There is no such operation"),
        ("since", "yesterday", "Must be a time such as"),
        ("since", "0001-01-01T00:00:00%2B14:00", "Must be a time such as"),
        ("refused", "maybe", "Must be true or false"),
    ],
)
async def test_what_makes_no_sense_is_told_beside_its_field(
    simulator: Simulator, field: str, value: str, problem: str
) -> None:
    """The page comes again with 400, the problem beside the field, and the other fields as they were."""
    async with visiting(simulator.url) as visitor:
        page = await visitor.get(f"/journal?mailbox=X26ABC1&{field}={value}")
    assert page.status == 400
    assert page.problem(field).startswith(problem)
    assert page.fields("/journal")["mailbox"] == "X26ABC1"
    assert not page.root.all("table")


@pytest.mark.parametrize("before", ["x", "-1", "1.5", "9" * 19, "%D9%A3"])
async def test_a_place_that_the_journal_does_not_have(simulator: Simulator, before: str) -> None:
    """A place to go on from that is none is told, with the way to the newest entries."""
    async with visiting(simulator.url) as visitor:
        page = await visitor.get(f"/journal?before={before}")
    assert page.status == 400
    assert "The journal has no page there" in page.text


async def test_pages_lead_through_all_of_it(simulator: Simulator) -> None:
    """Thirty are on a page; the older ones follow without a gap or a repetition, whatever comes meanwhile."""
    one = simulator.caller("X26ABC1")
    for _ in range(120):
        await one.get("inbox", authorization=None)
    async with visiting(simulator.url) as visitor:
        page = await visitor.get("/journal?status=403")
        numbers = []
        lengths = []
        while True:
            listed = [int(row.attributes["data-key"]) for row in page.root.all("tbody")]
            lengths.append(len(listed))
            numbers += listed
            if "Older" not in page.links():
                break
            await one.get("inbox", authorization=None)
            page = await visitor.get(page.links()["Older"])
            assert page.links()["Newest"] == "/journal?status=403"
    assert lengths == [30, 30, 30, 30]
    assert numbers == list(range(120, 0, -1))


async def test_only_the_newest_page_is_live(simulator: Simulator) -> None:
    """The newest entries change by themselves, one mailbox's for its requests alone; older ones stay."""
    async with visiting(simulator.url) as visitor:
        newest = (await visitor.get("/journal?mailbox=x26abc1")).root.one("body").attributes
        assert (newest["data-kinds"], newest["data-about"]) == ("request", "X26ABC1")
        older = (await visitor.get("/journal?before=5")).root.one("body").attributes
        assert "data-kinds" not in older
