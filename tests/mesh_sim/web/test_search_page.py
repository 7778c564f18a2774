"""The one field on every page that finds a message or a mailbox."""

from __future__ import annotations

from pages import visiting
from support import UNKNOWN_ID, Simulator


async def test_an_id_leads_to_its_page(simulator: Simulator) -> None:
    """A message's or a mailbox's id leads there, in any letter case and with blanks around it."""
    message_id = await simulator.caller().sent()
    async with visiting(simulator.url) as visitor:
        page = await visitor.get(f"/search?q=+{message_id.lower()}+")
        assert page.url.path == f"/messages/{message_id}"
        assert page.status == 200
        page = await visitor.get("/search?q=x26abc2")
        assert page.url.path == "/mailboxes/X26ABC2"
        assert (await visitor.get("/search?q=+")).url.path == "/"


async def test_a_local_id_lists_its_messages(simulator: Simulator) -> None:
    """Messages sent under one local id are listed with where they are."""
    ids = [await simulator.caller().sent(headers={"Mex-LocalID": "batch <7>"}) for _ in range(2)]
    async with visiting(simulator.url) as visitor:
        page = await visitor.get("/search?q=batch+<7>")
    assert page.status == 200
    assert page.title == "2 messages with the local id batch <7>"
    assert [row["Message"] for row in page.rows("Messages found")] == ids


async def test_what_is_nowhere(simulator: Simulator) -> None:
    """Nothing found is a 404 that says what can be; a message's id leads to what the journal has of it."""
    async with visiting(simulator.url) as visitor:
        page = await visitor.get("/search?q=<i>nothing")
        assert (page.status, page.title) == (404, "Nothing found for <i>nothing")
        assert page.links()["journal of refusals"] == "/journal?refused=true"
        page = await visitor.get(f"/search?q={UNKNOWN_ID}")
        assert page.status == 404
        assert page.links()["what the journal has about it"] == f"/journal?message_id={UNKNOWN_ID}"


async def test_a_person_s_number_is_not_shown(simulator: Simulator) -> None:
    """What may be somebody's number is not repeated, nor left in the address; its page is named."""
    async with visiting(simulator.url) as visitor:
        page = await visitor.get("/search?q=999+000+0018")
    assert page.status == 404
    assert b"999 000 0018" not in page.body
    assert str(page.url.relative()) == "/search?q=999+***+**18"
    assert page.links()["Opt-outs"] == "/opt-outs"
