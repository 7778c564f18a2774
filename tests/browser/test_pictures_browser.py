"""Every page of a simulator in full swing fits and can be used by everybody; README's pictures are of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import pytest

from browser.inspection import accessible, fits
from browser.scene import PRACTICE, SERVICE, SETTINGS, lively
from mesh_sim import Simulator

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from browser.conftest import NewPage, Picture

SUBMISSION, EXPIRED, UPLOADING = "a list", "a letter that nobody collected", "a scan"

PAGES: Final = (
    "/",
    "/clock-and-faults",
    "/journal",
    "/journal?status=no-number&since=never",
    "/mailboxes/X26ABC2",
    f"/mailboxes/{PRACTICE}?side=outbox",
    f"/messages/{SUBMISSION}",
    f"/messages/{EXPIRED}",
    f"/messages/{UPLOADING}",
    "/messages/none",
    "/opt-outs",
    "/search?q=letter-1042",
    "/submissions",
    "/witness",
    "/witness/X26ABC1",
)

LOOKS: Final = {
    "phone": {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True},
    "wide": {"viewport": {"width": 1600, "height": 900}},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
}


@pytest.fixture(scope="module")
def scene() -> Iterator[Simulator]:
    """A simulator in which everything has happened that pages show."""
    with Simulator(**SETTINGS) as simulator:
        lively(simulator)
        yield simulator


def _shown(page: Page, scene: Simulator, address: str) -> Page:
    """Open a page, at the latest moment that it shows, with what can be opened open."""
    (submission,) = scene.messages(SERVICE, local_id="audit-2026-11")
    (expired,) = scene.messages("X26ABC2", status="undeliverable")
    (uploading,) = scene.messages("X26ABC2", status="uploading")
    for name, message in ((SUBMISSION, submission), (EXPIRED, expired), (UPLOADING, uploading)):
        address = address.replace(name, message.message_id)
    page.goto(f"{scene.url}{address}")
    page.locator("main").wait_for()
    return page


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("address", PAGES)
def test_each_page_fits_and_everybody_can_use_it(
    new_page: NewPage, scene: Simulator, expected_errors: list[str], address: str, look: str
) -> None:
    """No page is wider than the window or fails axe, with everything on it that can be opened open."""
    if "since=never" in address or address.endswith("none"):
        expected_errors.append("status 40")
        expected_errors.append("console error: Failed to load resource")
    page = _shown(new_page(**LOOKS[look]), scene, address)
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    fits(page)
    accessible(page)


@pytest.mark.parametrize(
    ("name", "address", "options"),
    [
        ("overview", "/", {"viewport": {"width": 1280, "height": 800}}),
        ("journal-dark", "/journal?refused=true", {"color_scheme": "dark"}),
        ("message-phone", f"/messages/{SUBMISSION}", {"viewport": {"width": 360, "height": 1220}}),
    ],
)
def test_the_pictures_of_the_documents(
    new_page: NewPage, picture: Picture, scene: Simulator, name: str, address: str, options: dict[str, object]
) -> None:
    """Each picture that README or docs/pages.md shows is of a page as it is, as far as a window shows it."""
    page = _shown(new_page(**options), scene, address)
    path = picture(page, name)
    page.screenshot(path=path, animations="disabled", scale="css")
    assert 10_000 < path.stat().st_size < 150_000
