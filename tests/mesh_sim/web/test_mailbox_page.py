"""The page of a mailbox: both sides, every status, the search, and its pages."""

from __future__ import annotations

from urllib.parse import quote

from controls import control
from pages import Page, visiting
from support import Simulator

from mesh_sim.exchange.states import Status
from mesh_sim.web.paging import PAGE

INBOX = "/mailboxes/X26ABC2"
OUTBOX = "/mailboxes/X26ABC1?side=outbox"


def ids(page: Page, side: str = "Inbox") -> list[str]:
    """The messages of a page, in its order."""
    return [row["Message"] for row in page.rows(side)]


async def test_both_sides_show_every_status(simulator: Simulator) -> None:
    """Whatever became of a message, it is there for its sender and its recipient, newest first."""
    sender, recipient = simulator.caller(), simulator.caller("X26ABC2")
    headers = {"Mex-Subject": "A <b>letter</b>", "Mex-LocalID": "local-1"}
    read = await sender.sent(b"four", headers=headers)
    waiting = await sender.sent()
    begun = (await sender.send(version=2, headers={"Mex-Chunk-Range": "1:2"})).json()["message_id"]
    lost = await sender.sent()
    await recipient.acknowledge(read)
    await simulator.server.core.desk.set_status(lost, Status.ERROR)
    async with visiting(simulator.url) as visitor:
        inbox, outbox = await visitor.get(INBOX), await visitor.get(OUTBOX)
    assert ids(inbox) == ids(outbox, "Outbox") == [lost, begun, waiting, read]
    assert [row["Status"] for row in inbox.rows("Inbox")] == [
        "error",
        "uploading",
        "accepted",
        "acknowledged",
    ]
    last = inbox.rows("Inbox")[-1]
    assert (last["From"], last["Workflow"], last["Size"]) == ("X26ABC1", "TEST_WORKFLOW", "4 bytes")
    assert last["Subject and local id"] == "A <b>letter</b> local-1"
    assert outbox.rows("Outbox")[0]["To"] == "X26ABC2"
    assert inbox.links()[read] == f"/messages/{read}"
    assert inbox.links()["X26ABC1"] == "/mailboxes/X26ABC1"
    assert "1 waiting to be collected" in inbox.text
    assert inbox.links()["Requests of X26ABC2"] == "/journal?mailbox=X26ABC2"
    assert "/mailboxes/X26ABC2?status=accepted" in inbox.links().values()
    assert "1 being uploaded by it" in outbox.text
    assert b"password" not in inbox.body


async def test_what_expired_and_the_report_on_it(simulator: Simulator) -> None:
    """After five days the recipient's page counts what it left, and the sender's has the report."""
    await simulator.caller().sent(headers={"Mex-Subject": "A letter"})
    await control(simulator.url, "POST", "/admin/clock", {"advance": "5d"})
    async with visiting(simulator.url) as visitor:
        inbox = await visitor.get(INBOX)
        reports = await visitor.get("/mailboxes/X26ABC1?type=REPORT")
    assert "1 expired uncollected" in inbox.text
    assert inbox.rows("Inbox")[0]["Status"] == "undeliverable"
    (report,) = reports.rows("Inbox")
    assert (report["From"], report["Status"]) == ("MESH itself", "accepted report")
    assert report["Subject and local id"] == "NDR: A letter"


SEARCHES = {
    "local_id=local-2": [2],
    "subject=LETTER": [3, 1],
    "workflow=other": [2],
    "other=x26abc3": [3],
    "status=acknowledged": [1],
    "type=REPORT": [],
    "subject=letter&other=X26ABC1": [1],
    "local_id=local": [],
    "since=2020-01-01": [3, 2, 1],
    "since=2199-01-01": [],
    "until=2020-01-01": [],
    "subject=%25": [],
    "subject=": [3, 2, 1],
}


async def test_search(simulator: Simulator) -> None:
    """Each field narrows the search, and what was filled in stays there."""
    one, three = simulator.caller(), simulator.caller("X26ABC3")
    sent = [
        await one.sent(headers={"Mex-LocalID": "local-1", "Mex-Subject": "First letter"}),
        await one.sent(headers={"Mex-LocalID": "local-2", "Mex-Subject": "note"}, workflow="ANOTHER_ONE"),
        await three.sent(headers={"Mex-LocalID": "local-3", "Mex-Subject": "Second letter"}, workflow="X"),
    ]
    await simulator.caller("X26ABC2").acknowledge(sent[0])
    async with visiting(simulator.url) as visitor:
        for query, found in SEARCHES.items():
            page = await visitor.get(f"{INBOX}?{query}")
            assert page.status == 200
            assert (ids(page) if found else []) == [sent[number - 1] for number in found], query
            assert ("No message here is like that" in page.text) is not bool(found)
            (name, _, value), *_ = (part.partition("=") for part in query.split("&"))
            assert page.fields(INBOX)[name] == value.replace("%25", "%")
        assert ids(await visitor.get(f"{INBOX}?message_id={sent[1][:-2].lower()}")) == [sent[1]]


async def test_the_days_searched_are_both_among_it(simulator: Simulator) -> None:
    """A message of that very day is found from that day on, and up to it."""
    sent = await simulator.caller().sent()
    day = f"{sent[:4]}-{sent[4:6]}-{sent[6:8]}"
    async with visiting(simulator.url) as visitor:
        assert ids(await visitor.get(f"{INBOX}?since={day}&until={day}")) == [sent]


async def test_pages_follow_each_other(simulator: Simulator) -> None:
    """Older messages are on further pages, each once, and a search goes on there."""
    wanted = {"to": "X26ABC2", "count": PAGE + 10, "subject": "many"}
    await control(simulator.url, "POST", "/admin/messages", wanted)
    await simulator.caller().sent(headers={"Mex-Subject": "another"})
    async with visiting(simulator.url) as visitor:
        first = await visitor.get(f"{INBOX}?subject=many&status=accepted")
        second = await visitor.get(first.links()["Older"])
        newest = await visitor.get(second.links()["Newest"])
    assert len(ids(first)) == PAGE
    assert len(ids(second)) == 10
    assert len({*ids(first), *ids(second)}) == PAGE + 10
    assert "Older" not in second.links()
    assert "Newest" not in first.links()
    assert ids(newest) == ids(first)


NONSENSE = [
    ("status=lost", "status", "Must be 'uploading'"),
    ("type=OTHER", "type", "Must be 'DATA' or 'REPORT'"),
    ("since=yesterday", "since", "Must be a date such as 2026-11-24"),
    ("until=9999-12-31", "until", "Must be a date such as 2026-11-24"),
    ("since=2026-11-30&until=2026-11-01", "until", "Must not be before the first day"),
    ("other=no+mailbox!", "other", "A mailbox id has 1 to 40 letters"),
    ("subject=" + "x" * 301, "subject", "Must have at most 300 characters"),
]


async def test_what_makes_no_sense_is_said_beside_its_field(simulator: Simulator) -> None:
    """A search that cannot be made is shown again, with what is wrong."""
    async with visiting(simulator.url) as visitor:
        for query, field, said in NONSENSE:
            page = await visitor.get(f"{INBOX}?{query}&local_id=kept")
            assert page.status == 400, query
            assert page.problem(field).startswith(said)
            assert page.fields(INBOX)["local_id"] == "kept"


async def test_an_address_that_makes_no_sense_is_explained(simulator: Simulator) -> None:
    """What stands in an address but in no field is explained above the form."""
    async with visiting(simulator.url) as visitor:
        for query in (
            "side=upside",
            "before=x",
            "before=999999999999999999.A",
            "before=1",
            "before=1.%C3%A9",
        ):
            page = await visitor.get(f"{INBOX}?{query}")
            assert page.status == 400, query
            assert f"In the address, {query.partition('=')[0]} " in page.root.one(role="alert").text


async def test_an_unknown_mailbox_has_a_friendly_page(simulator: Simulator) -> None:
    """A mailbox that there is not leads back, and is not repeated; in lower case one is known."""
    async with visiting(simulator.url) as visitor:
        page = await visitor.get("/mailboxes/9990000018")
        assert (page.status, page.title) == (404, "There is no such mailbox")
        assert page.links()["Go to the overview"] == "/"
        assert "9990000018" not in page.text
        known = await visitor.get("/mailboxes/x26abc1")
        assert known.title == "Mailbox X26ABC1"
        assert (await visitor.get(f"/mailboxes/{quote('../é', safe='')}")).status == 404


async def test_an_empty_mailbox_says_what_fills_it(simulator: Simulator) -> None:
    """Both sides without a message say how one gets there, and a page knows what it watches."""
    async with visiting(simulator.url) as visitor:
        inbox, outbox = await visitor.get(INBOX), await visitor.get(OUTBOX)
    assert "mesh-sim message put X26ABC2" in inbox.text
    assert "X26ABC1 has sent nothing yet" in outbox.text
    assert inbox.root.one("body").attributes["data-about"] == "X26ABC2"
