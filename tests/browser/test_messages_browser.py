"""Mailboxes, messages and submissions in a real browser: what happens to a message appears by itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from browser.inspection import accessible, fits
from mesh_sim import Simulator
from ndoo.protocol import WORKFLOW_CHECK

LIST = "9990000018,\r\n9990000026,\r\n9990000034,\r\n"
PRACTICE = "X99GP001"


@pytest.fixture
def mesh_sim_settings() -> dict[str, object]:
    """Answers take an hour of simulated time."""
    return {"ndoo_reply_delay": "1h", "opt_out_rate": 0.0}


def submit(simulator: Simulator, local_id: str = "week-48", body: str = LIST) -> str:
    """Submit a list; give its message id."""
    wish = {"sender": PRACTICE, "workflow_id": WORKFLOW_CHECK, "subject": "a-list", "local_id": local_id}
    (message_id,) = simulator.put("X26HC065", body, **wish)
    return message_id


def row(page: Page, label: str, key: str) -> Locator:
    """A table's row."""
    return page.get_by_role("region", name=label).locator(f'tr[data-key="{key}"]')


def test_a_message_appears_in_its_mailbox(page: Page, mesh_sim: Simulator) -> None:
    """While an inbox is open a message comes and is counted, and a search that was begun is left alone."""
    page.goto("/mailboxes/X26ABC2")
    expect(page.locator(".nothing")).to_contain_text("Nothing has been sent to X26ABC2 yet")
    page.get_by_text("Search this inbox").click()
    page.get_by_label("Subject").fill("lett")
    (message_id,) = mesh_sim.put("X26ABC2", "Dear you", subject="A letter")
    expect(row(page, "Inbox", message_id)).to_contain_text("accepted")
    expect(page.locator("#mailbox-counts li").first).to_have_text("1waiting to be collected")
    expect(page.get_by_label("Subject")).to_have_value("lett")
    accessible(page)
    page.get_by_role("button", name="Search").click()
    expect(row(page, "Inbox", message_id)).to_be_visible()
    expect(page.get_by_label("Subject")).to_have_value("lett")
    page.get_by_role("link", name="Outbox").click()
    expect(page.locator(".nothing")).to_contain_text("X26ABC2 has sent nothing yet")


@pytest.mark.parametrize("expected_errors", [["status of 400", "status 400: GET /mailboxes/X26ABC2?"]])
def test_a_search_that_makes_no_sense(page: Page, expected_errors: list[str]) -> None:
    """The problem stands beside the field, and what was filled in stays."""
    page.goto("/mailboxes/X26ABC2")
    page.get_by_text("Search this inbox").click()
    page.get_by_label("From mailbox").fill("no mailbox!")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("#other-problem")).to_contain_text("A mailbox id has 1 to 40 letters")
    expect(page.get_by_label("From mailbox")).to_have_value("no mailbox!")
    accessible(page)


def test_a_submission_is_followed_to_its_answer(page: Page, mesh_sim: Simulator) -> None:
    """From the row that appears to the receipt, and, when its time has come, to the answer, by itself."""
    mesh_sim.opt_out("9990000026")
    page.goto("/submissions")
    expect(page.locator(".nothing")).to_contain_text("ndoo check")
    sent = submit(mesh_sim)
    expect(row(page, "Submissions", sent)).to_contain_text("receipt given")
    expect(row(page, "Submissions", sent)).to_contain_text("due")
    row(page, "Submissions", sent).get_by_role("link").first.click()
    exchange = page.get_by_role("region", name="Exchange").locator("tbody tr")
    expect(exchange).to_have_count(2)
    mesh_sim.advance("1h")
    expect(exchange).to_have_count(3)
    expect(page.locator("#message-exchange")).to_contain_text("3 numbers, 1 opted out, 2 returned")
    expect(page.locator("#message-status")).to_contain_text("acknowledged")
    accessible(page)
    exchange.filter(has_text="answer").get_by_role("link").first.click()
    expect(page.locator("pre")).to_have_text("999 *** **18,\n999 *** **34,")
    with page.expect_download() as downloading:
        page.get_by_role("link", name="Download it").click()
    assert downloading.value.suggested_filename == "week-48.dat"
    assert Path(downloading.value.path()).read_bytes() == b"9990000018,\r\n9990000034,\r\n"


def test_the_report_appears_after_five_days(page: Page, mesh_sim: Simulator) -> None:
    """While a message is looked at its five days pass: it is undeliverable, and the report is there."""
    (sent,) = mesh_sim.put("X26ABC2", "nobody reads this", local_id="lost-1")
    page.goto(f"/messages/{sent}")
    expect(page.locator("#message-timeline")).to_contain_text("Undeliverable, unless X26ABC2 collects")
    page.get_by_text("Tracking, as the sender sees it").click()
    mesh_sim.advance("5d")
    expect(page.locator("#message-status")).to_contain_text("undeliverable")
    exchange = page.get_by_role("region", name="Exchange").locator("tbody tr")
    expect(exchange.filter(has_text="report")).to_have_count(1)
    expect(page.locator("#tracking-list")).to_contain_text("undeliverable")
    expect(page.locator("#tracking-list dl")).to_be_visible()
    accessible(page)
    exchange.filter(has_text="report").get_by_role("link").first.click()
    expect(page.locator("h1")).to_contain_text("Report")
    expect(page.locator("#message-facts")).to_contain_text(sent)


def test_silence_is_explained_without_scripts(without_script: Page, mesh_sim: Simulator) -> None:
    """Why a list gets no reply is said in its row, and the pages work without JavaScript."""
    submit(mesh_sim, local_id="week:48")
    mesh_sim.wait_for("X26HC065", status="acknowledged")
    without_script.goto("/submissions")
    expect(without_script.locator("tr.bad .reason")).to_contain_text("this service never replies then")
    without_script.get_by_label("What came of it").select_option("answered")
    without_script.get_by_role("button", name="Show").click()
    expect(without_script.locator(".nothing")).to_contain_text("No submission is like that.")


def test_pages_fit_a_phone(phone: Page, mesh_sim: Simulator, picture: Callable[[Page, str], Path]) -> None:
    """At 360 pixels nothing sticks out, long words included, and axe finds nothing."""
    sent = submit(mesh_sim, local_id="a" * 200)
    mesh_sim.put("X26ABC2", "x" * 5000, subject="s" * 200, workflow_id="W" * 200, file_name="f" * 200)
    (wide,) = mesh_sim.put("X26ABC2", "9990000018 " * 100)
    mesh_sim.wait_for(PRACTICE)
    paths = ("/submissions", "/mailboxes/X26ABC2", f"/messages/{sent}", f"/messages/{wide}")
    for number, path in enumerate(paths):
        phone.goto(path)
        fits(phone)
        accessible(phone)
        picture(phone, f"messages-phone-{number}")
