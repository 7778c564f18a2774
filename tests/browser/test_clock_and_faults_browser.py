"""``/clock-and-faults`` in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Page, expect

from browser.inspection import accessible, fits
from mesh_sim import Simulator

PATH: Final = "/clock-and-faults"


def test_five_days_pass_at_a_click(page: Page, mesh_sim: Simulator) -> None:
    """What nobody collected has expired when the page comes back, and the page says so."""
    mesh_sim.put("X26ABC2")
    page.goto(PATH)
    page.get_by_role("button", name="5 days").click()
    expect(page.get_by_role("status").filter(has_text="went forward")).to_have_text(
        "Simulated time went forward by 5 days. 1 message that nobody collected became undeliverable, with a "
        "report to the sender."
    )
    expect(page.locator("#clock-state")).to_have_text("Simulated time is 5 days ahead of real time.")
    expect(page.locator("#clock")).to_contain_text("5d ahead")
    accessible(page)


def test_a_clock_moved_elsewhere_is_seen(page: Page, mesh_sim: Simulator) -> None:
    """The page follows, whoever moves the clock."""
    page.goto(PATH)
    expect(page.locator("#live-state")).to_have_text("Live")
    mesh_sim.advance("3d")
    expect(page.locator("#clock-state")).to_have_text("Simulated time is 3 days ahead of real time.")


def test_a_fault_from_a_mistake_to_its_end(
    page: Page, mesh_sim: Simulator, expected_errors: list[str], picture: Callable[[Page, str], Path]
) -> None:
    """A mistake stands beside its field, all else is kept; put right, it hits, live, and is removed."""
    expected_errors.append("status 400: POST /faults/add")
    expected_errors.append("400 (Bad Request)")
    expected_errors.append("GET /messageexchange/X26ABC1/count")
    expected_errors.append("503 (Service Unavailable)")
    page.goto(PATH)
    page.get_by_label("Answer with an error").check()
    page.get_by_role("textbox", name="Status").fill("200")
    page.get_by_label("Requests", exact=True).select_option("Count the inbox")
    page.get_by_label("Of the mailbox").fill("X26ABC1")
    page.get_by_label("For how many").fill("1")
    page.get_by_role("button", name="Add the fault").click()
    expect(page.locator("#status-problem")).to_have_text("Error: Must be from 400 to 599")
    expect(page.get_by_role("alert")).to_contain_text("There is a problem")
    expect(page.get_by_label("Requests", exact=True)).to_have_value("count")
    expect(page.get_by_label("Of the mailbox")).to_have_value("X26ABC1")
    expect(page.get_by_label("For how many")).to_have_value("1")
    accessible(page)
    picture(page, "faults-mistake")
    page.get_by_role("textbox", name="Status").fill("503")
    page.get_by_role("button", name="Add the fault").click()
    fault = page.get_by_role("row").filter(has_text="f1")
    expect(fault).to_contain_text("Answer 503 Service Unavailable")
    expect(fault.locator("[data-label=Hit]")).to_have_text("0")
    expect(page.locator("#live-state")).to_have_text("Live")
    page.evaluate("fetch('/messageexchange/X26ABC1/count')")
    expect(fault.locator("[data-label=Hit]")).to_have_text("1")
    expect(fault).to_contain_text("exhausted")
    accessible(page)
    fault.get_by_role("button", name="Remove f1").click()
    expect(page.get_by_text("It acted on 1 request.")).to_be_visible()
    expect(page.get_by_text("Nothing fails on purpose.")).to_be_visible()


@pytest.mark.parametrize("look", ["page", "phone", "dark"])
def test_the_page_is_for_every_screen(
    look: str, request: pytest.FixtureRequest, mesh_sim: Simulator, picture: Callable[[Page, str], Path]
) -> None:
    """It fits, and is accessible, on a desktop, on a phone and in the dark, with faults in force."""
    shown: Page = request.getfixturevalue(look)
    mesh_sim.fail("send", status=503, times=2)
    mesh_sim.fail("download", delay="1m")
    mesh_sim.advance("1d")
    shown.goto(PATH)
    expect(shown.get_by_role("button", name="Remove all 2")).to_be_visible()
    fits(shown)
    accessible(shown)
    picture(shown, f"clock-and-faults-{look}")


def test_faults_without_scripts(without_script: Page, mesh_sim: Simulator) -> None:
    """All of it is forms: a browser that runs no script adds and removes as well."""
    without_script.goto(PATH)
    without_script.get_by_label("Break the connection").check()
    without_script.get_by_role("button", name="Add the fault").click()
    expect(without_script.get_by_text("The fault is in force.")).to_be_visible()
    without_script.get_by_role("button", name="Remove f1").click()
    expect(without_script.get_by_text("The fault is no longer in force.")).to_be_visible()
