"""``/opt-outs`` in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Page, expect

from browser.inspection import accessible, fits
from mesh_sim import Simulator
from ndoo.lists import generate

PATH: Final = "/opt-outs"
NUMBERS: Final = [f"{number:010}" for number in islice(next(generate(20)), 20)]
WRITTEN: Final = f"{NUMBERS[0][:3]} {NUMBERS[0][3:6]} {NUMBERS[0][6:]}"


def look_up(page: Page, number: str) -> None:
    """Look a person up as somebody would who types the number."""
    page.goto(PATH)
    page.get_by_label("NHS number").fill(number)
    page.get_by_role("button", name="Look up").click()


def test_a_person_opts_out_and_withdraws(page: Page) -> None:
    """What is recorded shows at once, with its history; afterwards the number is nowhere."""
    look_up(page, WRITTEN)
    person = page.locator("#person")
    expect(person).to_contain_text(WRITTEN)
    expect(page.get_by_label("NHS number")).to_have_value("")
    page.get_by_label("How the choice was made").select_option("App")
    page.get_by_role("button", name="Opt out").click()
    expect(
        page.get_by_text("The opt-out was recorded. It counts for every list checked from now on.")
    ).to_be_visible()
    expect(person).to_have_text(f"{WRITTEN} opted out")
    page.get_by_role("button", name="Withdraw").click()
    expect(page.get_by_text("The withdrawal was recorded.")).to_be_visible()
    expect(person).to_have_text(f"{WRITTEN} not opted out")
    rows = page.get_by_role("region", name="Choices recorded").locator("tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("counts now")
    accessible(page)
    assert NUMBERS[0] not in page.url.replace("%20", "")
    page.goto(PATH)
    assert NUMBERS[0] not in page.content().replace(" ", "")


def test_a_mistyped_number_is_explained(page: Page, expected_errors: list[str]) -> None:
    """The field keeps what was typed, with what is wrong beside it."""
    expected_errors.append("status 400: POST /opt-outs")
    expected_errors.append("400 (Bad Request)")
    look_up(page, "999 000 0000 1")
    field = page.get_by_label("NHS number")
    expect(field).to_have_value("999 000 0000 1")
    expect(field).to_have_accessible_description(
        "Made-up ones only: they begin with 999. "
        "Error: Is no NHS number: not ten digits long (with nine, a leading zero may have been lost)"
    )
    accessible(page)


def test_the_register_is_seen_growing(page: Page, mesh_sim: Simulator) -> None:
    """Choices made elsewhere show by themselves, in the figures and in the chart, also beside a person."""
    look_up(page, NUMBERS[0])
    expect(page.locator("#live-state")).to_have_text("Live")
    expect(page.locator("#channels")).to_contain_text("No choice has been recorded.")
    mesh_sim.opt_out(*NUMBERS)
    expect(page.locator("#counts")).to_contain_text("20 people have opted out by a choice")
    expect(page.locator("#channels svg")).to_contain_text("Staff 20 opted out, 0 withdrawn")
    expect(page.locator("#person")).to_contain_text(WRITTEN)


@pytest.mark.parametrize("look", ["page", "phone", "dark"])
def test_the_page_is_for_every_screen(
    look: str, request: pytest.FixtureRequest, mesh_sim: Simulator, picture: Callable[[Page, str], Path]
) -> None:
    """It fits, and is accessible, on a desktop, on a phone and in the dark, with a person looked up."""
    shown: Page = request.getfixturevalue(look)
    mesh_sim.opt_out(*NUMBERS)
    mesh_sim.withdraw(*NUMBERS[:5])
    look_up(shown, NUMBERS[0])
    expect(shown.locator("#person")).to_contain_text(WRITTEN)
    fits(shown)
    accessible(shown)
    picture(shown, f"opt-outs-{look}")
