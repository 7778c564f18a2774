"""The page of a message: what it is, what happened to it, its exchange, and what its body begins with."""

from __future__ import annotations

import gzip

from controls import control
from pages import Page, visiting
from support import UNKNOWN_ID, MakeSimulator, Simulator

from mesh_sim.exchange.messages import INLINE_LIMIT
from mesh_sim.exchange.states import Status
from mesh_sim.web.previews import MOST_LINES
from ndoo.protocol import WORKFLOW_CHECK

LIST = b"9990000018,\r\n9990000026,\r\n"
GZIPPED = {"Content-Encoding": "gzip"}


async def look(simulator: Simulator, message_id: str) -> Page:
    """Look at a message's page."""
    async with visiting(simulator.url) as visitor:
        return await visitor.get(f"/messages/{message_id}")


def facts(page: Page, region: str = "message-facts") -> dict[str, str]:
    """What a list says, by its terms."""
    region_of = page.root.one(id=region)
    texts = [element.text for element in region_of.all() if element.name in ("dt", "dd")]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def turns(page: Page) -> list[str]:
    """The titles of the timeline."""
    return [turn.text for turn in page.root.one(id="message-timeline").all("strong")]


def body(page: Page) -> str:
    """What is shown of the body."""
    return page.root.one(id="message-body").text


async def test_everything_about_a_message(simulator: Simulator) -> None:
    """Its page says what its sender said of it, what happened, and what will."""
    headers = {"Mex-Subject": "<i>A letter</i>", "Mex-LocalID": "local-1", "Mex-FileName": "letter.txt"}
    sent = await simulator.caller().sent(b"Dear 999 000 0018", headers=headers)
    page = await look(simulator, sent.lower())
    assert page.title == f"Message {sent}"
    assert page.links()["Requests about this message"] == f"/journal?message_id={sent}"
    said = facts(page)
    assert (said["From"], said["To"], said["Workflow id"]) == ("X26ABC1", "X26ABC2", "TEST_WORKFLOW")
    assert (said["Subject"], said["Local id"], said["File name"]) == tuple(headers.values())
    assert (said["Size as sent"], said["Chunks"]) == ("17 bytes", "1 of 1 arrived")
    assert turns(page) == [
        "Sent, and accepted for X26ABC2",
        "Undeliverable, unless X26ABC2 collects and acknowledges it",
        "Deleted, whatever became of it",
    ]
    assert ", in 5 days X26ABC1 gets a report." in page.root.one(id="message-timeline").text
    assert "Dear 999 *** **18" in body(page)
    assert b"999 000 0018" not in page.body
    await simulator.caller("X26ABC2").acknowledge(sent)
    page = await look(simulator, sent)
    assert turns(page)[1:] == ["Acknowledged by X26ABC2", "Deleted, whatever became of it"]
    assert "Dear 999" in body(page)


async def test_tracking_and_headers_are_those_that_clients_get(simulator: Simulator) -> None:
    """What the sender is told, and the recipient, is told on the page word for word."""
    caller = simulator.caller()
    sent = await caller.sent(headers={"Mex-Subject": "A letter"})
    tracked = await caller.track(sent)
    answer = await simulator.caller("X26ABC2").get(f"inbox/{sent}")
    page = await look(simulator, sent)
    shown = facts(page, "tracking-list")
    assert shown == {name: str(value).lower() if value is True else value for name, value in tracked.items()}
    mex = {name.lower(): value for name, value in facts(page, "header-list").items()}
    assert answer.mex().items() <= mex.items()


async def test_an_upload_on_its_way(simulator: Simulator) -> None:
    """Chunks that have arrived are counted, those missing named, and the body is not shown yet."""
    caller = simulator.caller()
    begun = (await caller.send(b"9990", version=2, headers={"Mex-Chunk-Range": "1:4"})).json()["message_id"]
    await caller.send_chunk(begun, 3, "3:4")
    page = await look(simulator, begun)
    assert facts(page)["Chunks"] == "2 of 4 arrived; missing 2, 4"
    assert turns(page) == ["Upload begun", "Deleted, if chunks are still missing"]
    assert "still being uploaded" in body(page)
    assert b"9990" not in page.root.one(id="message-body").text.encode()
    assert [row["Chunk"] for row in page.rows("Chunks")] == ["1", "3"]
    await caller.send_chunk(begun, 2, "2:4", b"0000")
    await caller.send_chunk(begun, 4, "4:4", b"18")
    page = await look(simulator, begun)
    assert turns(page)[:2] == ["Upload begun", "Complete and accepted for X26ABC2"]


async def test_a_report_and_what_it_is_about(simulator: Simulator) -> None:
    """An expired message and the report on it lead to each other, also without a local id."""
    sent = await simulator.caller().sent()
    await control(simulator.url, "POST", "/admin/clock", {"advance": "5d"})
    (report,) = await simulator.caller().inbox()
    page = await look(simulator, sent)
    assert turns(page)[1] == "Undeliverable: it was not collected in time"
    assert "not collected by recipient after 5 days" in page.root.one(id="message-timeline").text
    assert [(row["What it is"], row["From"]) for row in page.rows("Exchange")] == [
        ("message (this one)", "X26ABC1"),
        ("report", "MESH itself"),
    ]
    page = await look(simulator, report)
    assert page.title == f"Report {report}"
    assert facts(page)["About"] == sent
    assert facts(page)["Was meant for"] == "X26ABC2"
    assert "A report has no body" in body(page)
    assert [row["What it is"] for row in page.rows("Exchange")] == ["message", "report (this one)"]
    assert "tracking-list" not in page.body.decode()


async def test_a_submission_and_its_answer(simulator: Simulator) -> None:
    """Submission, receipt and answer show the same exchange, and what the service made of it."""
    await control(simulator.url, "PUT", "/admin/optouts/9990000018", {})
    headers = {"Mex-Subject": "a-list", "Mex-LocalID": "list-1"}
    caller = simulator.caller()
    sent = await caller.sent(LIST, to="X26HC065", workflow=WORKFLOW_CHECK, headers=headers)
    arrived = await control(
        simulator.url, "GET", "/admin/wait?mailbox=X26ABC1&local_id=list-1&subject=a-list&timeout=10s"
    )
    assert arrived.status == 200, arrived.body
    receipt, answer = await caller.inbox()
    for shown in (sent, receipt, answer):
        page = await look(simulator, shown)
        roles = {row["Message"]: row["What it is"].split()[0] for row in page.rows("Exchange")}
        assert roles == {sent: "submission", receipt: "receipt", answer: "answer"}
        assert "answered 2 numbers, 1 opted out, 1 returned" in page.text
        assert page.root.one("body").attributes["data-about"] == "list-1"
    assert "999 *** **26" in body(page)


async def test_why_a_submission_has_no_answer(simulator: Simulator) -> None:
    """Where the service says nothing, the message's page says why."""
    with simulator.server.exchange.events.watch() as news:
        sent = await simulator.caller().sent(LIST, to="X26HC065", workflow=WORKFLOW_CHECK)
        while (event := await news.next()) is not None and event.kind != "submission":
            pass
    page = await look(simulator, sent)
    assert "silent Mex-Subject is missing" in page.root.one(id="message-exchange").text
    assert "No other message" not in page.text


async def test_only_the_first_lines_are_shown(simulator: Simulator) -> None:
    """A long body's first lines are shown over its chunks, whatever comes later in it."""
    lines = LIST * 20
    caller, headers = simulator.caller(), {"Mex-Chunk-Range": "1:2"}
    begun = (await caller.send(lines[:100], version=2, headers=headers)).json()["message_id"]
    await caller.send_chunk(begun, 2, "2:2", lines[100:])
    page = await look(simulator, begun)
    shown = page.root.one("pre", role="region")
    assert shown.text.split() == ["999", "***", "**18,", "999", "***", "**26,"] * (MOST_LINES // 2)
    assert "There is more." in body(page)


async def test_packed_bodies_are_unpacked_a_little(simulator: Simulator) -> None:
    """Of a gzip body so much is unpacked as is shown: what is wrong further on does not matter."""
    packed = gzip.compress(LIST * 2_000_000, 1)
    bomb = await simulator.caller().sent(packed[:-8] + b"not the end", headers=GZIPPED)
    page = await look(simulator, bomb)
    assert "999 *** **18, 999 *** **26," in body(page)
    assert page.links()["Download it as it was sent"].endswith("?packed=1")
    for wrong in (b"9990000018 plain", gzip.compress(LIST)[:-4], gzip.compress(b"")[:10]):
        sent = await simulator.caller().sent(wrong, headers=GZIPPED)
        page = await look(simulator, sent)
        assert "declared it as gzip, but it is not, or is cut short" in body(page)
        assert "999 *** **18" not in body(page)


async def test_bodies_that_are_no_text(simulator: Simulator) -> None:
    """None of a body's bytes is shown where they are no text; UTF-16 is text."""
    binary = await simulator.caller().sent(b"9990000018\x00\x01")
    page = await look(simulator, binary)
    assert "It is not text" in body(page)
    assert "999" not in body(page)
    wide = await simulator.caller().sent("Zoë 9990000018".encode("utf-16"))
    assert "Zoë 999 *** **18" in body(await look(simulator, wide))


async def test_bodies_that_are_gone(make_simulator: MakeSimulator) -> None:
    """A body whose file is gone, or whose chunk never came, is said to be."""
    simulator = await make_simulator(allow=["missing-chunks"])
    caller = simulator.caller()
    sent = await caller.sent(b"x" * (INLINE_LIMIT + 1))
    (file,) = simulator.server.core.settings.data.glob("payloads/??/*")
    file.unlink()
    assert "Its body is not here any more" in body(await look(simulator, sent))
    begun = (await caller.send(version=2, headers={"Mex-Chunk-Range": "1:3"})).json()["message_id"]
    await caller.send_chunk(begun, 3, "3:3")
    page = await look(simulator, begun)
    assert "Chunk 2 of its body is not here" in body(page)
    assert facts(page)["Chunks"] == "2 of 3 arrived; missing 2"


async def test_what_an_administrator_did(simulator: Simulator) -> None:
    """A message put into another status by hand is told of as far as that is known."""
    sent = await simulator.caller().sent()
    desk = simulator.server.core.desk
    await desk.set_status(sent, Status.UNDELIVERABLE)
    page = await look(simulator, sent)
    assert turns(page)[1] == "Undeliverable: it was not collected in time"
    assert "when was not kept" in page.text
    await desk.set_status(sent, Status.ACCEPTED)
    assert turns(await look(simulator, sent))[:2] == ["Sent", "Delivered to X26ABC2 again"]
    mailbox = simulator.server.exchange.directory.mailbox("X26ABC2")
    await desk.reset_mailbox(mailbox)
    page = await look(simulator, sent)
    assert "in no inbox any more" in facts(page)["Inbox"]
    assert "Undeliverable, unless" not in page.text


async def test_an_unknown_message_has_a_friendly_page(simulator: Simulator) -> None:
    """A message that there is not leads back, and is not repeated."""
    for message_id in (UNKNOWN_ID, "9990000018", "..%2F"):
        page = await look(simulator, message_id)
        assert (page.status, page.title) == (404, "There is no such message")
        assert page.links()["Go to the journal"] == "/journal"
        assert page.links()["Go to the overview"] == "/"
        assert "9990000018" not in page.text


async def test_pages_are_light(simulator: Simulator) -> None:
    """The fullest pages stay below a hundred kilobytes."""
    wish = {"to": "X26ABC2", "count": 60, "subject": "s" * 100, "local_id": "l" * 100}
    await control(simulator.url, "POST", "/admin/messages", wish)
    async with visiting(simulator.url) as visitor:
        page = await visitor.get("/mailboxes/X26ABC2")
        assert len(page.body) < 100_000
        assert len((await visitor.get(page.links()[page.rows("Inbox")[0]["Message"]])).body) < 100_000
