"""The page of submissions: one row a check, with what came of it."""

from __future__ import annotations

from datetime import timedelta

from controls import control
from pages import Page, visiting
from support import MakeSimulator, Simulator

from mesh_sim.web.paging import PAGE
from ndoo.protocol import WORKFLOW_CHECK

LIST = b"9990000018,\r\n9990000026,\r\n"
SERVICE = "X26HC065"


async def submit(simulator: Simulator, mailbox: str = "X26ABC1", body: bytes = LIST, **headers: str) -> str:
    """Submit a list, and wait until the service has dealt with it."""
    given = {"Mex-Subject": "a-list", "Mex-LocalID": "list-1"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    sent = await simulator.caller(mailbox).sent(body, to=SERVICE, workflow=WORKFLOW_CHECK, headers=given)
    with simulator.server.exchange.events.watch(0) as news:
        while (event := await news.next()) is not None:
            if event.data.get("message_id") == sent and event.kind == "submission":
                break
    return sent


def rows(page: Page) -> list[dict[str, str]]:
    """The rows of a page."""
    return page.rows("Submissions")


async def test_an_answered_check(simulator: Simulator) -> None:
    """Its row says how many went in and came out, and leads to its three messages."""
    await control(simulator.url, "PUT", "/admin/optouts/9990000018", {})
    sent = await submit(simulator)
    async with visiting(simulator.url) as visitor:
        page = await visitor.get("/submissions")
        (row,) = rows(page)
        assert (row["From"], row["Local id"], row["What came of it"]) == ("X26ABC1", "list-1", "answered")
        assert row["Receipt"] == "receipt"
        assert (row["Numbers"], row["Opted out"], row["Returned"]) == ("2", "1", "1")
        assert page.links()[row["Received"]] in (f"/messages/{sent}", page.links()[row["Answer"]])
        record = await simulator.server.core.submissions.submission(sent)
        targets = [link.attributes["href"] for link in page.root.one(id="submission-rows").all("a")]
    assert targets == [
        f"/messages/{sent}",
        "/mailboxes/X26ABC1",
        f"/messages/{record.receipt_message_id}",
        f"/messages/{record.answer_message_id}",
    ]


async def test_silence_is_explained(simulator: Simulator) -> None:
    """Where the service says nothing, the row says why, without the value that made it silent."""
    await submit(simulator, Mex_LocalID="9990000018:x")
    await submit(simulator, body=b"not a list", Mex_LocalID="list-2")
    async with visiting(simulator.url) as visitor:
        invalid, silent = rows(await visitor.get("/submissions"))
    assert silent["What came of it"].startswith("silent Mex-LocalID holds a character other than")
    assert (silent["Receipt"], silent["Answer"]) == ("none", "none")
    assert (silent["Numbers"], silent["Opted out"], silent["Returned"]) == ("", "", "")
    assert invalid["What came of it"] == "invalid list Line 1 is not a valid record."
    assert invalid["Receipt"] == "receipt"


async def test_an_answer_that_is_due(make_simulator: MakeSimulator) -> None:
    """While its answer is awaited a check says when that is due; after that time it is answered."""
    simulator = await make_simulator(ndoo_reply_delay=timedelta(hours=2))
    sent = await submit(simulator)
    async with visiting(simulator.url) as visitor:
        (row,) = rows(await visitor.get("/submissions?outcome=open"))
        assert row["What came of it"] == "receipt given"
        assert row["Answer"].startswith("due ")
        with simulator.server.exchange.events.watch() as news:
            await control(simulator.url, "POST", "/admin/clock", {"advance": "2h"})
            while (event := await news.next()) is not None and event.data.get("outcome") != "answered":
                pass
        assert "No submission is like that" in (await visitor.get("/submissions?outcome=open")).text
        (row,) = rows(await visitor.get("/submissions?outcome=answered"))
        assert row["Answer"] not in ("none", "not yet")
        assert (await visitor.get(f"/messages/{sent}")).status == 200


async def test_filters_and_pages(simulator: Simulator) -> None:
    """Checks are chosen by mailbox and by what came of them, and follow each other over pages."""
    for number in range(PAGE):
        await submit(simulator, Mex_LocalID=f"list-{number}")
    other = await submit(simulator, "X26ABC2", Mex_LocalID="a:b")
    async with visiting(simulator.url) as visitor:
        first = await visitor.get("/submissions")
        second = await visitor.get(first.links()["Older"])
        assert [row["Local id"] for row in rows(first)][:2] == ["a:b", f"list-{PAGE - 1}"]
        assert len(rows(first)) == PAGE
        assert [row["Local id"] for row in rows(second)] == ["list-0"]
        assert second.links()["Newest"] == "/submissions"
        (row,) = rows(await visitor.get("/submissions?mailbox=x26abc2"))
        assert row["From"] == "X26ABC2"
        page = await visitor.get("/submissions?mailbox=X26ABC2&outcome=silent")
        assert page.root.one("a", href=f"/messages/{other}").text == row["Received"]
        assert page.fields("/submissions") == {"mailbox": "X26ABC2", "outcome": "silent"}
        assert "No submission" in (await visitor.get("/submissions?mailbox=X26ABC2&outcome=answered")).text


async def test_what_makes_no_sense_is_said(simulator: Simulator) -> None:
    """A filter that there is not is named beside its field, an address that leads nowhere above them."""
    async with visiting(simulator.url) as visitor:
        for query, field, said in (
            ("outcome=lost", "outcome", "Must be 'open'"),
            ("mailbox=no!", "mailbox", "A mailbox id has 1 to 40"),
        ):
            page = await visitor.get(f"/submissions?{query}")
            assert page.status == 400
            assert page.problem(field).startswith(said)
        lost = await visitor.get("/submissions?before=lost")
    assert lost.status == 400
    assert "does not say where a page begins" in lost.root.one(role="alert").text


async def test_nothing_submitted(simulator: Simulator) -> None:
    """Without a submission the page says how to make one."""
    async with visiting(simulator.url) as visitor:
        page = await visitor.get("/submissions")
    assert "ndoo check examples/patients.csv" in page.text
