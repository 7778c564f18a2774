"""Pages that keep themselves up to date, without losing anybody's place, flooding the server or giving up."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Final

import pytest
from playwright.sync_api import expect
from support import authorization

from mesh_sim import Simulator

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from browser.conftest import NewPage

LIVE: Final = "Live"
SIGNED_OUT: Final = "Not live: signed out"
LOST: Final = "Not live: the simulator does not answer"

INBOX: Final = "/mailboxes/X26ABC1"
ROWS: Final = "[aria-label=Inbox] tbody tr"

HIDE: Final = """hidden => {
  Object.defineProperty(document, 'hidden', {configurable: true, get: () => hidden});
  document.dispatchEvent(new Event('visibilitychange'));
}"""
"""A browser without windows shows every page: so it tells one whose tab is left, or come back to."""

HELD: Final = "navigator.locks.query().then(({held}) => held.length)"
"""How many pages of this browser have a connection by which they are told what happens."""


def _look(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.locator("#live-state")).to_have_text(LIVE)


def _refused(simulator: Simulator) -> None:
    """Make a request that the journal has as refused."""
    headers = {"Authorization": authorization("X26ABC1", shared_key="another")}
    request = urllib.request.Request(f"{simulator.url}/messageexchange/X26ABC1/inbox", headers=headers)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    refused.value.close()


def test_what_arrives_appears(page: Page, mesh_sim: Simulator) -> None:
    """A message is there by itself, and it alone stands out as new."""
    mesh_sim.put("X26ABC1")
    _look(page, INBOX)
    expect(page.locator(ROWS)).to_have_count(1)
    (message_id,) = mesh_sim.put("X26ABC1")
    expect(page.locator(ROWS)).to_have_count(2)
    expect(page.locator(f"{ROWS}.new")).to_have_count(1)
    expect(page.locator(f"{ROWS}.new")).to_contain_text(message_id)


def test_nobody_loses_their_place(page: Page, mesh_sim: Simulator) -> None:
    """What has the focus keeps it, what was opened stays open, and what was closed again stays closed."""
    _refused(mesh_sim)
    _look(page, "/journal")
    details = page.locator("#requests details")
    details.first.locator("summary").click()
    _refused(mesh_sim)
    expect(details).to_have_count(2)
    expect(details.last).to_have_attribute("open", "")
    expect(details.first).not_to_have_attribute("open", "")
    expect(details.last.locator("summary")).to_be_focused()
    page.keyboard.press("Enter")
    _refused(mesh_sim)
    expect(details).to_have_count(3)
    expect(page.locator("#requests details[open]")).to_have_count(0)
    expect(details.last.locator("summary")).to_be_focused()


def test_what_is_marked_stays_marked(page: Page, mesh_sim: Simulator) -> None:
    """A text that somebody marks to copy is left alone; what was missed comes when they are done."""
    mesh_sim.put("X26ABC1")
    _look(page, INBOX)
    page.evaluate(f"getSelection().selectAllChildren(document.querySelector('{ROWS} td'))")
    with page.expect_response("**/mailboxes/X26ABC1"):
        mesh_sim.put("X26ABC1")
    page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
    expect(page.locator(ROWS)).to_have_count(1)
    assert page.evaluate("getSelection().toString().length") > 20
    page.evaluate("getSelection().removeAllRanges()")
    expect(page.locator(ROWS)).to_have_count(2)


def test_what_is_typed_stays(page: Page, mesh_sim: Simulator) -> None:
    """A form that is being filled in is not touched by what happens meanwhile."""
    _look(page, "/journal")
    page.get_by_label("Mailbox", exact=True).fill("X26A")
    _refused(mesh_sim)
    expect(page.locator("#requests details")).to_have_count(1)
    expect(page.get_by_label("Mailbox", exact=True)).to_have_value("X26A")
    expect(page.get_by_label("Mailbox", exact=True)).to_be_focused()


def test_however_much_happens_the_server_is_not_flooded(page: Page, mesh_sim: Simulator) -> None:
    """Many things that happen one after the other have the page fetched a few times, and all are shown."""
    _look(page, INBOX)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for _ in range(4):
        mesh_sim.put("X26ABC1", count=10)
        page.wait_for_timeout(100)  # of real time, which is what the pauses between two looks are of
    expect(page.locator(ROWS)).to_have_count(40)
    assert 1 <= len(asked) <= 3


def test_a_page_that_nobody_looks_at_asks_for_nothing(page: Page, mesh_sim: Simulator) -> None:
    """A hidden tab gives its connection back; as soon as it is looked at it has what it missed."""
    _look(page, INBOX)
    page.evaluate(HIDE, True)
    assert page.evaluate(HELD) == 0
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    mesh_sim.put("X26ABC1")
    page.wait_for_timeout(1500)  # more than the pause before a look
    assert asked == []
    expect(page.locator(ROWS)).to_have_count(0)
    page.evaluate(HIDE, False)
    expect(page.locator(ROWS)).to_have_count(1)
    expect(page.locator("#live-state")).to_have_text(LIVE)


def test_many_open_pages_starve_nobody(page: Page, mesh_sim: Simulator) -> None:
    """Of eight pages in sight four are told what happens, the others look now and then, and a ninth opens."""
    pages = [page, *(page.context.new_page() for _ in range(7))]
    for each in pages:
        each.goto(INBOX)
        expect(each.locator("#live-state")).to_contain_text(LIVE)
    states = [each.locator("#live-state").inner_text() for each in pages]
    assert states == [LIVE] * 4 + ["Live, every few seconds"] * 4
    assert page.evaluate(HELD) == 4
    mesh_sim.put("X26ABC1")
    for each in pages:
        expect(each.locator(ROWS)).to_have_count(1)
    ninth = page.context.new_page()
    ninth.goto("/journal")
    expect(ninth.locator("h1")).to_have_text("Journal")


def test_a_restart_is_survived(page: Page, unused_tcp_port: int) -> None:
    """A page says that the simulator does not answer, and goes on when there is one again."""
    address = f"http://127.0.0.1:{unused_tcp_port}{INBOX}"
    with Simulator(port=unused_tcp_port):
        _look(page, address)
    expect(page.locator("#live-state")).to_have_text(LOST)
    with Simulator(port=unused_tcp_port) as again:
        again.put("X26ABC1")
        expect(page.locator(ROWS)).to_have_count(1)
        expect(page.locator("#live-state")).to_have_text(LIVE)
        page.goto("about:blank")


def test_signing_out_ends_it_in_every_tab(new_page: NewPage) -> None:
    """Whoever signs out in one tab sees in the others that these are no longer live, and they ask no more."""
    with Simulator(admin_token="of this test alone") as closed:
        page = new_page(base_url=closed.url)
        page.goto(INBOX)
        page.get_by_label("Token").fill("of this test alone")
        page.get_by_role("button", name="Sign in").click()
        expect(page.locator("#live-state")).to_have_text(LIVE)
        other = page.context.new_page()
        other.goto("/")
        other.get_by_role("button", name="Sign out").click()
        expect(other.locator("h1")).to_have_text("Sign in")
        closed.put("X26ABC1")
        expect(page.locator("#live-state")).to_have_text(SIGNED_OUT)
        expect(page.locator(ROWS)).to_have_count(0)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        closed.put("X26ABC1")
        page.wait_for_timeout(1500)  # more than the pause before a look
        assert asked == []


def test_the_clock_goes_on(page: Page, mesh_sim: Simulator) -> None:
    """The simulated time in sight moves every second, and jumps when it is advanced."""
    _look(page, INBOX)
    clock = page.locator("#clock time")
    before = clock.inner_text()
    expect(clock).not_to_have_text(before)
    mesh_sim.advance("5d")
    expect(page.locator("#clock")).to_contain_text("5d ahead")


def test_everything_is_there_without_scripts(without_script: Page, mesh_sim: Simulator) -> None:
    """Whoever runs no script sees the same page, and nothing on it claims to be live."""
    mesh_sim.put("X26ABC1")
    without_script.goto(INBOX)
    expect(without_script.locator(ROWS)).to_have_count(1)
    expect(without_script.locator("#live-state")).to_have_text("")
