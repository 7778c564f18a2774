"""The overview: mailboxes with what waits, the clock, the register, faults, and the last requests."""

from __future__ import annotations

from datetime import timedelta

import pytest
from controls import control
from pages import Page, visiting
from support import MakeSimulator, Simulator, authorization

ZEROS = {"Waiting": "0", "Uploading": "0", "Uncollected": "0"}


def _mailbox(page: Page, mailbox: str) -> dict[str, str]:
    """The counts of one mailbox."""
    (row,) = [row for row in page.rows("Mailboxes") if row["Mailbox"].startswith(mailbox)]
    return {name: text for name, text in row.items() if name != "Mailbox"}


def _requests(page: Page) -> list[dict[str, str]]:
    """The rows of requests, without those that say why."""
    return [row for row in page.rows("Last requests") if row]


async def test_a_simulator_that_nobody_has_used(simulator: Simulator) -> None:
    """Every mailbox is there with nothing in it, and it is said what would make requests appear."""
    async with visiting(simulator.url) as visitor:
        page = await visitor.get("/")
    assert page.title == "Overview"
    assert [row["Mailbox"].split()[0] for row in page.rows("Mailboxes")] == [
        mailbox.mailbox_id for mailbox in simulator.server.exchange.directory.mailboxes
    ]
    assert _mailbox(page, "X26ABC1") == ZEROS
    assert "X26HC065 opt-out service" in page.text
    assert f"Point one at {simulator.url} as mailbox X26ABC1" in page.text
    assert "Same as real time" in page.text
    assert not page.root.all("input", id="find-mailbox")


async def test_what_a_mailbox_has_is_counted(simulator: Simulator) -> None:
    """Messages that wait, that are still being sent and that nobody collected are counted, with links."""
    one = simulator.caller("X26ABC1")
    await one.sent(b"never collected")
    simulator.server.clock.advance(timedelta(days=5, minutes=1))
    await control(simulator.url, "POST", "/admin/clock", {"advance": "1m"})
    await one.sent(b"waits")
    await one.sent(b"waits, too")
    await one.sent(b"a part", headers={"Mex-Chunk-Range": "1:2"})
    async with visiting(simulator.url) as visitor:
        page = await visitor.get("/")
        assert _mailbox(page, "X26ABC1") == ZEROS | {"Waiting": "1", "Uploading": "1"}  # the report waits
        assert _mailbox(page, "X26ABC2") == ZEROS | {"Waiting": "2", "Uncollected": "1"}
        links = [link.attributes["href"] for link in page.root.one(id="mailboxes").all("a")]
        for address, there in (
            ("/mailboxes/X26ABC2?status=accepted", 2),
            ("/mailboxes/X26ABC2?status=undeliverable", 1),
            ("/mailboxes/X26ABC1?side=outbox&status=uploading", 1),
        ):
            assert address in links
            assert len((await visitor.get(address)).root.one("tbody").all("tr")) == there


async def test_a_refused_token_is_explained(simulator: Simulator) -> None:
    """Its request stands out with the reason, the near miss in a whole sentence, and what to do."""
    await simulator.caller("X26ABC1", shared_key="Banana").send()
    await simulator.caller("X26ABC1").inbox()
    async with visiting(simulator.url) as visitor:
        page = await visitor.get("/")
    listed, refused = page.root.one(id="requests").all("tbody")
    assert listed.attributes["class"] == "request"
    assert not listed.all("tr", class_="why")
    assert refused.attributes["class"] == "request bad"
    assert refused.one("p", class_="reason").text == (
        "The hash does not match: password, shared key or a signed field differs."
    )
    assert [finding.text for finding in refused.all("li")] == [
        "The hash would be right for the shared key 'Banana' (mesh-sandbox's default)."
    ]
    assert "MESH_SIM_SHARED_KEY" in refused.one("p", class_="advice").text
    assert [(row["Request"], row["Answer"]) for row in _requests(page)] == [
        ("list", "200 OK"),
        ("send", "403 Forbidden"),
    ]


async def test_the_last_requests_lead_on(simulator: Simulator) -> None:
    """Fifteen are listed, the newest first; what there is leads to its page, what there is not nowhere."""
    one = simulator.caller("X26ABC1")
    for _ in range(15):
        await one.inbox()
    await simulator.caller("X26NOONE").get("inbox")
    refused = await one.send(to="X26NOBODY")
    assert refused.status == 417
    message_id = await one.sent()
    async with visiting(simulator.url) as visitor:
        page = await visitor.get("/")
        rows = _requests(page)
        assert len(rows) == 15
        assert [row["Request"] for row in rows[:4]] == ["send", "send", "list", "list"]
        links = page.root.one(id="requests").all("a")
        ids = [link.text for link in links if link.attributes["href"].startswith("/messages/")]
        assert ids == [message_id]
        mailboxes = {link.text for link in links if link.attributes["href"].startswith("/mailboxes/")}
        assert mailboxes == {"X26ABC1"}
        assert (await visitor.get(f"/messages/{message_id}")).status == 200


async def test_the_clock_the_register_and_faults(make_simulator: MakeSimulator) -> None:
    """The offset, the choices and the rate, and the faults in force are told; one that has ended is not."""
    simulator = await make_simulator(opt_out_rate=0.054)
    await control(simulator.url, "POST", "/admin/clock", {"advance": "5d"})
    await control(simulator.url, "PUT", "/admin/optouts", {"nhs_numbers": ["9990000018", "9990000026"]})
    await control(simulator.url, "DELETE", "/admin/optouts/9990000026")
    fault = {"operation": "send", "action": "status", "status": 503, "times": 1}
    await control(simulator.url, "POST", "/admin/faults", fault)
    async with visiting(simulator.url) as visitor:
        page = await visitor.get("/")
        clock, register, faults = (card.text for card in page.root.one(id="glance").all("li"))
        assert "5 days ahead" in clock
        assert "1 opted out by their own choice, 1 withdrawn; of everybody else 5.4 %" in register
        assert "1 fault in force" in faults
        assert (await simulator.caller().send()).status == 503
        page = await visitor.get("/")
        assert "None No request fails on purpose" in page.root.one(id="glance").text
        assert "The fault f1 acted on it, on purpose." in page.text


async def test_many_mailboxes_are_searched_and_paged(simulator: Simulator) -> None:
    """Beyond fifty there is a search by id, name or ODS code, and pages that lead to one another."""
    for number in range(60):
        wish = {"mailbox_id": f"Z{number:03}", "mailbox_name": f"Surgery & {number}", "password": "password"}
        await control(simulator.url, "POST", "/admin/mailboxes", wish)
    async with visiting(simulator.url) as visitor:
        page = await visitor.get("/")
        assert len(page.rows("Mailboxes")) == 50
        page = await visitor.get(page.links()["Mailboxes after these"])
        assert len(page.rows("Mailboxes")) == 15
        assert page.links()["Mailboxes before these"] == "/?page=1"
        page = await visitor.get("/?find=surgery+%26+5")
        assert page.fields("/")["find"] == "surgery & 5"
        assert len(page.rows("Mailboxes")) == 11
        assert "11 of 65 mailboxes" in page.text
        page = await visitor.get("/?find=z")
        assert page.links()["Mailboxes after these"] == "/?find=z&page=2"
        assert "No mailbox has this" in (await visitor.get("/?find=nowhere")).text


@pytest.mark.parametrize("page", ["0", "2", "x", "-1", "%D9%A3", "9" * 40])
async def test_a_page_that_there_is_not(simulator: Simulator, page: str) -> None:
    """A page number that makes no sense gets a friendly 404 with a way back."""
    async with visiting(simulator.url) as visitor:
        answer = await visitor.get(f"/?page={page}")
    assert answer.status == 404
    assert answer.title == "There is no such page of mailboxes"
    assert answer.links()["Go to the overview"] == "/"


async def test_what_clients_write_is_not_markup(simulator: Simulator) -> None:
    """A mailbox's id in a path, and its name, are shown as they were written."""
    await simulator.caller().get("/messageexchange/%3Cb%3Ex/inbox", authorization=authorization("<b>x"))
    wish = {"mailbox_id": "X26NEW1", "mailbox_name": "<b>bold</b>", "password": "password"}
    await control(simulator.url, "POST", "/admin/mailboxes", wish)
    async with visiting(simulator.url) as visitor:
        page = await visitor.get("/")
    assert _requests(page)[0]["Mailbox"] == "<b>x"
    assert "<b>bold</b>" in page.text
    assert not page.root.all("b")
