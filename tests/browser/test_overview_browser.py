"""The overview and the journal in a real browser: what happens appears, and a refusal is explained."""

from __future__ import annotations

from typing import Any

import pytest
from mesh_client import MeshClient
from playwright.sync_api import Locator, Page, expect
from requests import HTTPError

from browser.inspection import accessible, fits
from mesh_sim import Simulator


def client_of(simulator: Simulator, mailbox: str, **changes: Any) -> MeshClient:
    """NHS's own client for a mailbox, as its user configures it."""
    given = simulator.credentials(mailbox)
    keys = {"password": given.password, "shared_key": given.shared_key.encode()}
    return MeshClient(simulator.url, mailbox, **keys | changes)


def count_of(page: Page, mailbox: str, label: str) -> Locator:
    """A mailbox's count in the table."""
    return page.locator(f'tr[data-key="{mailbox}"] td[data-label="{label}"]')


def marked(page: Page) -> None:
    """Leave something in the page that a reload would take away."""
    page.evaluate("window.stayed = true")


def has_stayed(page: Page) -> bool:
    """Whether the page has not been loaded anew since it was marked."""
    return bool(page.evaluate("window.stayed === true"))


def test_a_message_appears_while_the_overview_is_open(page: Page, mesh_sim: Simulator) -> None:
    """Sent by NHS's client, it is counted, and its request listed, without a reload; then it is collected."""
    page.goto("/")
    marked(page)
    expect(count_of(page, "X26ABC2", "Waiting")).to_have_text("0")
    with client_of(mesh_sim, "X26ABC1") as client:
        message_id = client.send_message("X26ABC2", b"hello", workflow_id="TEST_WORKFLOW")
    expect(count_of(page, "X26ABC2", "Waiting")).to_have_text("1")
    expect(page.locator("#requests tbody").first).to_contain_text("send")
    with client_of(mesh_sim, "X26ABC2") as client:
        client.retrieve_message(message_id).acknowledge()
    expect(count_of(page, "X26ABC2", "Waiting")).to_have_text("0")
    assert has_stayed(page)
    page.get_by_role("link", name=message_id).first.click()
    expect(page.locator("h1")).to_contain_text(message_id)


def test_a_refused_token_is_explained_while_the_overview_is_open(page: Page, mesh_sim: Simulator) -> None:
    """A client with another shared key is refused, and the page says why and what to do without a reload."""
    page.goto("/")
    marked(page)
    with (
        client_of(mesh_sim, "X26ABC1", shared_key=b"Banana") as client,
        pytest.raises(HTTPError, match="403"),
    ):
        client.list_messages()
    refused = page.locator("#requests .request.bad")
    expect(refused.locator(".reason")).to_contain_text("The hash does not match")
    expect(refused.locator(".findings")).to_contain_text(
        "for the shared key 'Banana' (mesh-sandbox's default)"
    )
    expect(refused.locator(".advice")).to_contain_text("Sign with this simulator's shared key")
    assert has_stayed(page)
    accessible(page)


def test_the_clock_is_followed(page: Page, mesh_sim: Simulator) -> None:
    """Advanced elsewhere, the overview tells how far ahead it is, and what expired uncollected."""
    mesh_sim.put("X26ABC2", "never collected")
    page.goto("/")
    expect(count_of(page, "X26ABC2", "Waiting")).to_have_text("1")
    mesh_sim.advance("5d1m")
    expect(page.locator("#glance")).to_contain_text("5 days 1 minute ahead")
    expect(count_of(page, "X26ABC2", "Uncollected")).to_have_text("1")
    expect(count_of(page, "X26ABC2", "Waiting")).to_have_text("0")


def test_a_request_unfolds_and_stays_so(page: Page, mesh_sim: Simulator) -> None:
    """In the journal everything noted of a request unfolds, and stays unfolded when the next one comes."""
    with client_of(mesh_sim, "X26ABC1") as client:
        client.list_messages()
        page.goto("/journal")
        page.get_by_text("All that was noted").first.click()
        noted = page.locator(".noted", has_text="mesh_client")
        expect(noted.first).to_be_visible()
        page.locator("h1").click()
        client.list_messages()
    expect(page.locator("#requests tbody")).to_have_count(2)
    expect(page.locator("details[open]")).to_have_count(1)


@pytest.mark.parametrize("expected_errors", [["status of 400", "status 400: GET /journal?"]])
def test_a_filter_that_makes_no_sense(page: Page, expected_errors: list[str]) -> None:
    """The problem stands beside the field, in a page that is as accessible as any."""
    page.goto("/journal")
    page.get_by_label("Answer").fill("nine")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#status-problem")).to_contain_text("Must be a status such as 403")
    expect(page.get_by_label("Answer")).to_have_value("nine")
    accessible(page)


def test_both_pages_without_scripts(without_script: Page, mesh_sim: Simulator) -> None:
    """Without JavaScript the same is there, and the filter works."""
    mesh_sim.put("X26ABC2", "waits")
    with client_of(mesh_sim, "X26ABC1", password="wrong") as client, pytest.raises(HTTPError, match="403"):
        client.list_messages()
    without_script.goto("/")
    expect(count_of(without_script, "X26ABC2", "Waiting")).to_have_text("1")
    without_script.get_by_role("link", name="only those that were refused").click()
    expect(without_script.locator("#requests tbody")).to_have_count(1)
    without_script.get_by_label("Mailbox", exact=True).fill("X26ABC2")
    without_script.get_by_role("button", name="Show").click()
    expect(without_script.locator(".nothing")).to_contain_text("No request in the journal is like that.")


def test_both_pages_on_a_phone(phone: Page, mesh_sim: Simulator) -> None:
    """At 360 pixels nothing sticks out, refusals with long words included, and axe finds nothing."""
    mesh_sim.put("X26ABC2", "waits")
    for changes in ({"password": "wrong"}, {"shared_key": b"BackBone"}):
        with client_of(mesh_sim, "X26ABC1", **changes) as client, pytest.raises(HTTPError, match="403"):
            client.list_messages()
    for path in ("/", "/journal?mailbox=X26ABC1"):
        phone.goto(path)
        expect(phone.locator("#requests .request.bad")).to_have_count(2)
        fits(phone)
        accessible(phone)
