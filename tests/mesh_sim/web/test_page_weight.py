"""Every page with as much on it as it ever has: light, without a script or style of its own, and labelled."""

from __future__ import annotations

import asyncio
import contextlib
import urllib.error
import urllib.request
from collections import Counter
from datetime import timedelta
from typing import Final

import pytest
from pages import Element, Page, visiting
from support import authorization, minute

from mesh_sim import Simulator
from mesh_sim.web.page import asset
from mesh_sim.web.routes import OPEN_PAGES, PAGES

MOST_BYTES: Final = 100_000
ROWS: Final = 50
"""How many rows a page lists; there are some more of everything."""

SUBJECT: Final = "A subject as people write them, of sixty characters or so (1)"
PERSON: Final = "9990000018"
UPLOADING, SUBMITTED = "a message of many chunks", "a list that was answered"

ADDRESSES: Final = {
    "/": "/",
    "/clock-and-faults": "/clock-and-faults",
    "/journal": "/journal",
    "/mailboxes/{mailbox_id}": "/mailboxes/X26ABC2",
    "/messages/{message_id}": f"/messages/{SUBMITTED}",
    "/opt-outs": "/opt-outs",
    "/search": "/search?q=weekly",
    "/sign-in": "/sign-in",
    "/submissions": "/submissions",
    "/witness": "/witness",
    "/witness/{mailbox_id}": "/witness/X26ABC1",
}
"""Where each page is looked at."""

NO_PAGES: Final = frozenset(
    (
        "/assets/{name}",
        "/live",
        "/messages/{message_id}/body",
        "/witness/{mailbox_id}/file",
        "/witness/{mailbox_id}/report",
    )
)
"""What is fetched by pages or handed out by them."""

FURTHER: Final = (
    f"/messages/{UPLOADING}",
    "/mailboxes/X26ABC2?side=outbox",
    "/mailboxes/X26ABC2?since=never",
    "/journal?status=none&since=never",
    "/nothing",
)


def _asked(simulator: Simulator, mailbox: str, path: str, *, token: str = "", **headers: str) -> None:
    """Make a request; a body is sent if there are headers for it."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    sent["Authorization"] = token or authorization(mailbox)
    address = f"{simulator.url}/messageexchange/{mailbox}/{path}"
    request = urllib.request.Request(address, b"a chunk" if headers else None, sent)
    with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(request, timeout=10):
        pass


def _crowd(simulator: Simulator) -> None:
    """Have some more of everything than a page lists."""
    for number in range(ROWS + 5):
        simulator.mailbox(f"X26BOX{number:02}", mailbox_name="A mailbox with a name of forty characters")
        simulator.put("X26ABC2", subject=SUBJECT, local_id="weekly", workflow_id="A_LONG_WORKFLOW_ID")
        simulator.fail("send", mailbox="X26ABC3", probability=0.5, seed=number, status=503)
        (simulator.opt_out if number % 2 else simulator.withdraw)(PERSON)
        check = {"sender": "X99GP001", "workflow_id": "SPINE_NTT_UPHOLDING", "local_id": f"list-{number}"}
        simulator.put("X26HC065", f"{PERSON},\n", subject="stays silent", **check)  # type: ignore[arg-type]
    simulator.put("X26HC065", f"{PERSON},\n" * 50, subject="LAST", **check | {"local_id": "the-last"})  # type: ignore[arg-type]
    simulator.wait_for("X99GP001", local_id="the-last", subject="LAST")
    chunked = {"Mex_From": "X26ABC1", "Mex_To": "X26ABC2", "Mex_WorkflowID": "CHUNKS"}
    _asked(simulator, "X26ABC1", "outbox", **chunked, Mex_Chunk_Range="1:99")
    (uploading,) = simulator.messages("X26ABC2", status="uploading")
    for number in range(2, ROWS + 5):
        path = f"outbox/{uploading.message_id}/{number}"
        _asked(simulator, "X26ABC1", path, Mex_Chunk_Range=f"{number}:99")
    cue = simulator.rehearse("X26ABC1", "401")
    for _ in range(10):
        _asked(simulator, "X26ABC1", f"inbox/{cue.message_id}")
    late = minute(-timedelta(hours=3))
    for _ in range(ROWS + 5):
        _asked(simulator, "X26ABC1", "inbox", token=authorization("X26ABC1", timestamp=late))


async def _look(simulator: Simulator, closed: str) -> dict[str, Page]:
    """Look at every page, also at one that comes of a form."""
    (uploading,) = simulator.messages("X26ABC2", status="uploading")
    (submitted,) = simulator.messages("X26HC065", local_id="the-last")
    ids = {UPLOADING: uploading.message_id, SUBMITTED: submitted.message_id}
    seen = {}
    async with visiting(simulator.url) as visitor:
        for address in (*ADDRESSES.values(), *FURTHER):
            there = address
            for name, message_id in ids.items():
                there = there.replace(name, message_id)
            seen[address] = await visitor.get(there)
        seen["looked up"] = await visitor.submit("/opt-outs", "/opt-outs", nhs_number=PERSON)
    async with visiting(closed) as visitor:
        seen["/sign-in"] = await visitor.get("/sign-in")
    return seen


@pytest.fixture(scope="module")
def pages() -> dict[str, Page]:
    """Every page of a simulator in which there is a lot of everything, by its address."""
    with Simulator() as simulator, Simulator(admin_token="of nobody here") as closed:
        _crowd(simulator)
        return asyncio.run(_look(simulator, closed.url))


def test_each_page_is_looked_at(pages: dict[str, Page]) -> None:
    """There is no page but those looked at here, and they show what there is a lot of."""
    assert {path for method, path, _ in [*PAGES, *OPEN_PAGES] if method == "GET"} == set(ADDRESSES) | NO_PAGES
    for address in ("/mailboxes/X26ABC2", "/submissions", "/journal", "/", "/clock-and-faults"):
        text = pages[address].body.decode()
        assert text.count("<tr") > ROWS, address
    assert {page.status for page in pages.values()} == {200, 400, 404}


def test_each_page_weighs_little(pages: dict[str, Page]) -> None:
    """A page, the style in it, its script and its icon have less than 100 KB in all, uncompressed."""
    beside = sum(len(asset(name).encode()) for name in ("live.js", "icon.svg"))
    weights = {address: len(page.body) + beside for address, page in pages.items()}
    assert {address: weight for address, weight in weights.items() if weight >= MOST_BYTES} == {}


def test_no_page_has_a_script_or_style_of_its_own(pages: dict[str, Page]) -> None:
    """Nothing stands in a page that its policy would have the browser pass over."""
    for address, page in pages.items():
        for element in page.root.all():
            names = {name for name in element.attributes if name == "style" or name.startswith("on")}
            assert not names, f"{address}: <{element.name}> has {names}"
            assert not element.attributes.get("href", "").lower().startswith(("javascript:", "data:"))
        assert len(page.root.all("style")) == 1, address
        (script,) = page.root.all("script")
        assert script.attributes["src"] == "/assets/live.js"
        assert script.children == []


def test_each_page_says_what_it_is(pages: dict[str, Page]) -> None:
    """A page has its language, a title, one first heading and one main part; no id is there twice."""
    for address, page in pages.items():
        assert page.root.one("html").attributes["lang"] == "en-GB"
        assert len(page.root.one("head").one("title").text) > len(" - mesh-sim"), address
        assert page.title, address
        assert page.root.one("main").attributes["id"] == "main"
        ids = Counter(e.attributes["id"] for e in page.root.all() if "id" in e.attributes)
        assert [name for name, times in ids.items() if times > 1] == [], address


def test_each_field_has_a_label(pages: dict[str, Page]) -> None:
    """Whoever cannot see where a field is hears what it is for, what helps, and what is wrong with it."""
    for address, page in pages.items():
        labels = {label.attributes.get("for") for label in page.root.all("label") if label.text}
        ids = {e.attributes["id"] for e in page.root.all() if "id" in e.attributes}
        fields = [e for name in ("input", "select", "textarea") for e in page.root.all(name)]
        for field in fields:
            if field.attributes.get("type") != "hidden":
                assert _is_labelled(field, labels), f"{address}: {field.attributes}"
                assert set(field.attributes.get("aria-describedby", "").split()) <= ids, field.attributes
        for button in page.root.all("button"):
            assert button.text or button.attributes.get("aria-label"), address


def test_each_live_part_can_be_found_again(pages: dict[str, Page]) -> None:
    """What is kept up to date has an id, and the page says what it watches for."""
    for address, page in pages.items():
        parts = [element for element in page.root.all() if "data-live" in element.attributes]
        assert all("id" in part.attributes for part in parts), address
        if "data-kinds" in page.root.one("body").attributes:
            assert len(parts) > 1, address  # more than the clock


def _is_labelled(field: Element, labels: set[str | None]) -> bool:
    return field.attributes.get("id", "") in labels or bool(field.attributes.get("aria-label"))
