"""The witness pages over a real server: a rehearsal is begun, followed, judged and reported."""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import quote
from xml.etree import ElementTree as ET

import pytest
from controls import control
from pages import Page, Visitor, visiting
from support import HANDSHAKE, OCTET_STREAM, Caller, Simulator

from mesh_sim.api.control.witness import PAGE
from mesh_sim.exchange.directory import Mailbox
from mesh_sim.exchange.events import Kind
from mesh_sim.web import witness
from mesh_sim.witness.catalogue import CASES, STAGED
from mesh_sim.witness.originals import blocks
from mesh_sim.witness.rehearsal import COUNTERPART, DORMANT, NOBODY, WORKFLOW

BOX: Final = "X26ABC1"
HERE: Final = f"/witness/{BOX}"
FILE: Final = b"".join(blocks("201", 2000))


async def send(caller: Caller) -> None:
    """Do what case 201 asks for."""
    assert (await caller.request("POST", headers=HANDSHAKE)).status == 200
    headers = {"Mex-From": BOX, "Content-Type": OCTET_STREAM}
    await caller.sent(FILE, to=COUNTERPART, workflow=WORKFLOW, headers=headers)
    await caller.inbox()


async def collect(caller: Caller, *, times: int = 1) -> list[str]:
    """Do what case 401 asks for, downloading each message so many times."""
    assert (await caller.request("POST", headers=HANDSHAKE)).status == 200
    message_ids = await caller.inbox()
    for message_id in message_ids:
        for _ in range(times):
            await caller.get(f"inbox/{message_id}")
        assert (await caller.acknowledge(message_id)).status == 200
    return message_ids


async def once(simulator: Simulator, state: str) -> None:
    """Wait until the rehearsal's case is ``done``, or has ``ended``."""
    conductor = simulator.server.conductor
    async with asyncio.timeout(20):
        with simulator.server.exchange.events.watch(kinds=(Kind.WITNESS,)) as news:
            cue = conductor.standing(BOX).cue
            while cue is not None and not (state == "done" and cue.done):
                await news.next()
                cue = conductor.standing(BOX).cue


async def judged(visitor: Visitor, path: str = HERE) -> Page:
    """Look at a page until nothing of it is being judged."""
    async with asyncio.timeout(20):
        page = await visitor.get(path)
        while "being judged" in page.text:
            page = await visitor.get(path)
    return page


def outcomes(page: Page) -> dict[str, str]:
    """Give what a page says of each case."""
    return {row["Case"]: row["Outcome"] for row in page.rows("Cases") if row}


# -- a rehearsal from its beginning --------------------------------------------------------------------


async def test_a_rehearsal_is_begun_and_says_what_to_do(simulator: Simulator) -> None:
    """The form leads to the rehearsal, which names mailbox, recipient, workflow and file, and has that."""
    async with visiting(simulator.url) as visitor:
        assert "Nobody rehearses yet" in (await visitor.get("/witness")).text
        page = await visitor.submit("/witness", "/witness", mailbox=BOX, case="201")
        assert str(page.url.relative()) == HERE
        cue = page.root.one("div", id="now").text
        for told in ("201", "waiting for your client", BOX, COUNTERPART, WORKFLOW, "2,000 bytes"):
            assert told in cue
        assert outcomes(page)["201"] == "under way"
        file = await control(simulator.url, "GET", page.links()["witness-201.dat"])
        assert (file.status, file.body) == (200, FILE)
        assert file.headers["Content-Disposition"] == 'attachment; filename="witness-201.dat"'


async def test_a_case_that_is_done_has_passed(simulator: Simulator) -> None:
    """Its outcome is there with those of the traffic, the list has the counts, and the next is offered."""
    async with visiting(simulator.url) as visitor:
        await visitor.submit("/witness", "/witness", mailbox=BOX, case="201")
        await send(simulator.caller())
        await once(simulator, "ended")
        page = await judged(visitor)
        assert set(outcomes(page)) == {case.id for case in CASES}
        assert [outcomes(page)[case] for case in ("201", "401", "token-once")] == [
            "passed",
            "not seen",
            "passed",
        ]
        assert "next is 202" in page.root.one("div", id="now").text
        assert not page.root.one("div", id="failures").text
        (row,) = (await judged(visitor, "/witness")).rows("Rehearsals")
        assert (row["Mailbox"], row["Now"]) == (BOX, "No case is under way")
        assert "0 failed" in row["Outcomes so far"]


async def test_a_failed_case_is_explained(simulator: Simulator) -> None:
    """What was expected, what was seen, what to fix, and the requests around the one that broke the rule."""
    async with visiting(simulator.url) as visitor:
        await visitor.submit("/witness", "/witness", mailbox=BOX, case="401")
        (message_id,) = await collect(simulator.caller(), times=2)
        await once(simulator, "ended")
        page = await judged(visitor)
        assert outcomes(page)["401"] == "failed why"
        assert page.links()["why"].startswith("#case-")
        told = page.root.one("section", id="case-401").text
        for words in (
            "Expected The message is downloaded once",
            "Seen It was downloaded 2 times before it was acknowledged",
            "What to fix Keep what was downloaded",
        ):
            assert words in told
        lines = page.rows("Requests of case 401")
        assert [line["Operation"] for line in lines] == ["list", "download", "download", "acknowledge"]
        assert [line["Message"] for line in lines] == ["", message_id, message_id, message_id]
        assert [line["What it shows"].startswith("This broke a rule") for line in lines] == [
            False,
            False,
            True,
            False,
        ]
        assert "1 more request of this case" in told


async def test_a_mailbox_without_rehearsal_is_judged_by_its_traffic(simulator: Simulator) -> None:
    """The page says that none has begun, offers the first case, and has what its requests show already."""
    caller = simulator.caller()
    await caller.sent(FILE)
    async with visiting(simulator.url) as visitor:
        page = await judged(visitor)
        assert "No rehearsal of this mailbox has begun" in page.text
        assert "the first is 201" in page.text
        assert outcomes(page)["handshake-cadence"] == "failed why"
        assert all(outcomes(page)[case.id] == "not seen" for case in STAGED)


# -- the buttons ---------------------------------------------------------------------------------------


async def test_a_step_that_is_watched_on_is_finished(simulator: Simulator) -> None:
    """Once the client has done it, the page says so; the button ends the case without waiting further."""
    async with visiting(simulator.url) as visitor:
        page = await visitor.submit(HERE, HERE, case="704")
        cue = simulator.server.conductor.standing(BOX).cue
        assert cue.message_id in page.text
        await simulator.caller().get(f"inbox/{cue.message_id}")
        await once(simulator, "done")
        page = await visitor.get(HERE)
        assert "done, watching on for a moment" in page.text
        page = await visitor.submit(HERE, HERE, step="0")
        assert page.root.one("p", class_="done").text == "The step is finished."
        assert (await judged(visitor)).root.one("h2", id="now-title").text == "No case is under way"


async def test_a_case_is_stopped(simulator: Simulator) -> None:
    """It ends as it is, and what waited for it is out of the inbox."""
    async with visiting(simulator.url) as visitor:
        await visitor.submit(HERE, HERE, case="401")
        assert await simulator.caller().inbox()
        page = await visitor.submit(HERE, HERE, stop="yes")
        assert page.root.one("p", class_="done").text.startswith("The case has ended.")
        assert await simulator.caller().inbox() == []
        assert simulator.server.conductor.standing(BOX).cue is None


async def test_a_rehearsal_is_begun_anew(simulator: Simulator) -> None:
    """What was seen before no longer counts, neither on the page nor in the report."""
    async with visiting(simulator.url) as visitor:
        await visitor.submit(HERE, HERE, case="401")
        await collect(simulator.caller(), times=2)
        await once(simulator, "ended")
        assert outcomes(await judged(visitor))["download-once"] == "failed why"
        await visitor.submit(HERE, HERE, case="201", fresh="true")
        page = await judged(visitor)
        found = outcomes(page)
        assert (found["201"], found["401"], found["download-once"]) == ("under way", "not seen", "not seen")


async def test_a_form_without_a_button_does_nothing(simulator: Simulator) -> None:
    """Whoever sends the form by other means is told to press one."""
    async with visiting(simulator.url) as visitor:
        page = await visitor.submit(HERE, HERE)
        assert (page.status, page.title) == (400, "Nothing was asked for")


# -- what cannot be done -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "name", "problem"),
    [
        ({"mailbox": "X26NONE"}, "mailbox", "There is no mailbox X26NONE; known are X26ABC1"),
        ({"mailbox": COUNTERPART}, "mailbox", f"{COUNTERPART} is the counterpart of those who rehearse"),
        ({"mailbox": "?"}, "mailbox", "A mailbox id has 1 to 40"),
        ({"case": "999"}, "case", "There is no such case; known are 201"),
        ({"case": "801"}, "case", "801 is judged by the whole traffic, and needs no start"),
        ({"fresh": "perhaps"}, "fresh", "Must be true or false"),
    ],
)
async def test_a_rehearsal_that_cannot_begin(
    simulator: Simulator, fields: dict[str, str], name: str, problem: str
) -> None:
    """The form comes back with what was filled in, and what is wrong stands beside its field."""
    simulator.server.exchange.directory.replace(
        [*simulator.server.exchange.directory.mailboxes, Mailbox(COUNTERPART, "", "password")], ()
    )
    async with visiting(simulator.url) as visitor:
        given = {"mailbox": BOX, "case": "202"} | fields
        page = await visitor.submit("/witness", "/witness", **given)
        assert page.status == 400
        assert "There is a problem" in page.text
        assert problem in page.problem(name)
        assert page.fields("/witness")["case"] in ("202", "201")
        assert simulator.server.conductor.rehearsing == set()


async def test_a_case_that_needs_the_clock(simulator: Simulator) -> None:
    """While simulated time passes for another mailbox's case, the page says which, and how to end it."""
    await simulator.server.conductor.start("X26ABC2", "703")
    async with visiting(simulator.url) as visitor:
        said = "Case 703 is under way for mailbox X26ABC2, and simulated time passes in case 703"
        begun = await visitor.submit("/witness", "/witness", mailbox=BOX, case="201")
        assert (begun.status, begun.problem("case")[: len(said)]) == (400, said)
        button = await visitor.submit(HERE, HERE, case="201")
        assert button.status == 400
        assert said in button.root.one("div", class_="errors").text
        anew = await visitor.submit("/witness/X26ABC2", "/witness/X26ABC2", case="801", fresh="true")
        assert anew.problem("case").startswith("801 is judged by the whole traffic")


@pytest.mark.parametrize("button", [{"step": "0"}, {"stop": "yes"}, {"step": "x"}])
async def test_a_button_for_what_is_no_more(simulator: Simulator, button: dict[str, str]) -> None:
    """A page that was left open is answered with what is wrong, and shows how it stands now."""
    async with visiting(simulator.url) as visitor:
        page = await visitor.submit(HERE, HERE, **button)
        assert page.status == 400
        wrong = page.root.one("div", class_="errors").text
        assert ("has no rehearsal" in wrong) == (button != {"step": "x"})
        assert page.rows("Cases")


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("/witness/X26NONE", "There is no such mailbox"),
        (f"/witness/{quote('<b>')}", "There is no such mailbox"),
        ("/witness/X26NONE/report", "There is no such mailbox"),
        ("/witness/X26HC065", "X26HC065 rehearses nothing"),
        (f"{HERE}/file", "There is no such file"),
        (f"{HERE}/report?format=pdf", "There is no such form of the report"),
        (f"{HERE}/report?nonsense=1&download=perhaps", "There is no such form of the report"),
    ],
)
async def test_what_is_not_there(simulator: Simulator, path: str, title: str) -> None:
    """A friendly page says so, with a way back."""
    async with visiting(simulator.url) as visitor:
        page = await visitor.get(path)
        assert (page.status, page.title) == (404, title)
        assert "/witness" in page.links().values()


async def test_of_many_mailboxes_one_is_typed(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are too many to choose from, the mailbox is typed, and stays with its error."""
    monkeypatch.setattr(witness, "_MOST_CHOICES", 1)
    async with visiting(simulator.url) as visitor:
        page = await visitor.submit("/witness", "/witness", mailbox="X26NONE")
        assert page.root.one("input", id="mailbox").attributes["value"] == "X26NONE"
        assert page.problem("mailbox").startswith("There is no mailbox X26NONE")


async def test_rehearsals_of_long_ago_are_not_listed(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many are, those of whom a case was started last; how many more there are is said."""
    monkeypatch.setattr(witness, "_MOST_REHEARSALS", 1)
    for mailbox in ("X26ABC2", BOX):
        await simulator.server.conductor.start(mailbox, "704")
    async with visiting(simulator.url) as visitor:
        page = await visitor.get("/witness")
        assert [row["Mailbox"] for row in page.rows("Rehearsals")] == [BOX]
        assert "1 more mailbox rehearsed longer ago" in page.text


# -- the report ----------------------------------------------------------------------------------------


async def test_the_report_is_read_as_a_page(simulator: Simulator) -> None:
    """It is the one that a command writes, under its own policy, of everything up to this moment."""
    await simulator.server.conductor.start(BOX, "704")
    await simulator.caller().inbox()
    answer = await control(simulator.url, "GET", f"{HERE}/report")
    assert answer.content_type == "text/html; charset=utf-8"
    assert answer.headers["Content-Security-Policy"] == PAGE["Content-Security-Policy"]
    assert "Content-Disposition" not in answer.headers
    assert b'id="case-704"' in answer.body
    await simulator.caller().inbox()
    report = (await control(simulator.url, "GET", f"{HERE}/report?format=json")).json()
    assert (report["mailbox"], report["requests"]) == (BOX, 2)


@pytest.mark.parametrize("form", ["html", "junit", "json"])
async def test_the_report_is_kept_as_a_file(simulator: Simulator, form: str) -> None:
    """Each form has its ending."""
    answer = await control(simulator.url, "GET", f"{HERE}/report?format={form}&download=true")
    ending = {"html": "html", "junit": "xml", "json": "json"}[form]
    assert answer.headers["Content-Disposition"] == f'attachment; filename="witness-{BOX}.{ending}"'
    match form:
        case "html":
            assert answer.body.startswith(b"<!doctype html>")
        case "junit":
            assert ET.fromstring(answer.body).tag == "testsuites"
        case _:
            assert len(answer.json()["cases"]) == len(CASES)


async def test_a_page_stays_small_however_much_failed(simulator: Simulator) -> None:
    """With most cases failed, and hundreds of requests to show for it, it has under 100 KB."""
    conductor, caller = simulator.server.conductor, simulator.caller()
    for case in ("201", "202", "401", "402", "702", "704"):
        cue = (await conductor.start(BOX, case)).cue
        for _ in range(8):
            await caller.request("POST", headers=HANDSHAKE)
            await caller.get(f"inbox/{cue.message_id}", headers={"User-Agent": "<b>" * 60})
            for to in (COUNTERPART, DORMANT, NOBODY):
                await caller.send(to=to, workflow="<b>")
        await conductor.stop(BOX)
    async with visiting(simulator.url) as visitor:
        page = await judged(visitor)
        assert sum(outcome == "failed why" for outcome in outcomes(page).values()) >= 7
        assert len(page.body) < 80_000
