"""The fixtures and inspections for pages: each sees what it is there to see, and passes what is well."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from browser.conftest import CHROMIUM, DESKTOP, PHONE
from browser.inspection import accessible, fits
from browser.troubles import Troubles
from mesh_sim import Simulator

STYLE = "body { color: #222; background: #fff } .wide { width: 500px; height: 1500px }"
DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
STRICT = f"default-src 'none'; style-src 'sha256-{DIGEST}'; img-src data:"
REFUSED = "/messageexchange/X26ABC1/inbox"
"""Answered with 403 to whoever brings no token."""
BROKEN = "/messageexchange/X26ABC1/count"
"""Not answered at all, by a fault of the test's."""


def document(body: str) -> str:
    """Give a page under a policy as strict as the simulator's own, with nothing wrong but maybe its body."""
    return (
        '<!doctype html><html lang="en-GB"><head><title>A page</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{STRICT}"><style>{STYLE}</style></head>'
        f"<body><main><h1>A page</h1>{body}</main></body></html>"
    )


def verdict_on(browser: Browser, content: str, *expected: str) -> str:
    """Give the verdict on a page with this content."""
    troubles = Troubles(list(expected))
    context = browser.new_context()
    troubles.watch(context)
    context.new_page().set_content(content)
    troubles.settle(context)
    context.close()
    return troubles.verdict()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("<script>console.error('so and so')</script>", "console error: so and so at about:blank"),
        ("<script>console.warn('so and so')</script>", "console warning: so and so at about:blank"),
        ("<script>throw new Error('so and so')</script>", "script error: so and so at about:blank"),
        ("<script>Promise.reject(new Error('so and so'))</script>", "script error: so and so at about:blank"),
        (document("<script>1</script>"), "violates the following Content Security Policy directive"),
        (f"<iframe src='URL{REFUSED}'></iframe>", f"status 403: GET {REFUSED}"),
        (f"<img src='URL{BROKEN}'>", f"no answer: GET {BROKEN}: net::ERR_"),
        ("<img src='http://192.0.2.1/x'>", "beyond loopback: GET http://192.0.2.1/x\n"),
        ("<img src='http://192.0.2.1/x'>", "no answer: GET http://192.0.2.1/x: net::ERR_NAME_NOT_RESOLVED"),
        ("<img src='https://example.org/x'>", "beyond loopback: GET https://example.org/x\n"),
    ],
)
def test_a_trouble_is_told_and_may_be_expected(
    browser: Browser, mesh_sim: Simulator, content: str, told: str
) -> None:
    """What a person at the page would not notice is told, unless the test expects that part of its line."""
    mesh_sim.fail("count", reset=True)
    content = content.replace("URL", mesh_sim.url)
    verdict = verdict_on(browser, content)
    assert told in f"{verdict}\n"
    assert verdict_on(browser, content, *verdict.splitlines()) == ""


def test_an_expected_trouble_must_happen(browser: Browser) -> None:
    """An expectation that outlives its reason is itself told."""
    assert verdict_on(browser, "<p>well", "so and so") == "expected, and did not happen: so and so"


def test_what_a_page_gives_up_is_no_trouble(page: Page, mesh_sim: Simulator) -> None:
    """A request under way when the page is left is not one that failed."""
    mesh_sim.fail("count", delay="1m")
    page.set_content(f"<img src='{mesh_sim.url}{BROKEN}'>", wait_until="commit")
    with page.expect_event("requestfailed") as given_up:
        page.goto("about:blank")
    assert given_up.value.url.endswith(BROKEN)


def test_a_trouble_fails_the_test(tmp_path: Path) -> None:
    """A test that passes otherwise fails at its end, for what its pages did and for what they should have."""
    (tmp_path / "conftest.py").write_text("from browser.conftest import *\n")
    (tmp_path / "test_theirs.py").write_text(
        f"""
import pytest
from playwright.sync_api import Error

def test_trouble(page):
    page.set_content("<script>console.error('so and so')</script>")

def test_trouble_elsewhere(page, phone):
    phone.goto("{REFUSED}")

def test_crash(page):
    with pytest.raises(Error):
        page.goto("chrome://crash")

def test_expected(page, expected_errors):
    expected_errors.append("{REFUSED}")
    page.goto("{REFUSED}")

def test_expected_in_vain(page, expected_errors):
    expected_errors.append("so and so")
"""
    )
    tests = str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path],
        cwd=tmp_path,
        env=os.environ | {"MESH_SIM_TEST_CHROMIUM": str(CHROMIUM), "PYTHONPATH": tests},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "5 passed, 4 errors" in done.stdout
    assert "\nconsole error: so and so at about:blank\n" in done.stdout
    assert f"\nstatus 403: GET {REFUSED}\n" in done.stdout
    assert "\npage crashed: about:blank\n" in done.stdout
    assert "\nexpected, and did not happen: so and so\n" in done.stdout


def test_axe_says_what_is_wrong(page: Page) -> None:
    """Each finding has its rule, how grave it is, where it is and what to do."""
    page.set_content(document('<img src="data:," id="plain"><input name="number">'))
    with pytest.raises(pytest.fail.Exception) as failed:
        accessible(page)
    told = str(failed.value)
    assert told.startswith("axe at about:blank:\n\n")
    assert "image-alt (critical): Images must have alternative text\n  #plain\n    Fix any of" in told
    assert "label (critical): " in told


def test_a_good_page_is_inspected_without_a_trace(page: Page, picture: Callable[[Page, str], Path]) -> None:
    """Under a strict policy, axe and the camera do nothing that the console complains of."""
    page.set_content(document("<p>Nothing is wrong here.</p>"))
    accessible(page)
    fits(page)
    assert picture(page, "harness").read_bytes().startswith(b"\x89PNG")


def test_axe_is_not_asked_where_it_cannot_run(without_script: Page) -> None:
    """Without scripts nothing would ever come back: that is said at once."""
    with pytest.raises(pytest.fail.Exception, match="axe is a script"):
        accessible(without_script)


def test_what_is_too_wide_is_named(phone: Page, page: Page) -> None:
    """What sticks out of a phone's window is named; what scrolls in its own box, or has room, is not."""
    body = (
        '<div id="box"><div class="wide" id="inner">wide</div></div><div class="wide" id="outer">wide</div>'
    )
    for narrow_or_wide in (phone, page):
        narrow_or_wide.set_content(document(body))
        narrow_or_wide.evaluate("document.querySelector('#box').style.overflowX = 'auto'")
    fits(page)
    with pytest.raises(
        pytest.fail.Exception, match=r'id="outer"></div> ends at 50\d of 360 pixels'
    ) as failed:
        fits(phone)
    assert "inner" not in str(failed.value)
    phone.evaluate("document.querySelector('#outer').remove()")
    fits(phone)


def test_a_page_made_for_desktops_only_is_too_wide(phone: Page) -> None:
    """A phone lays out a page that does not speak of phones as a desktop's, too small to read."""
    phone.set_content("<!doctype html><html><body><p>Small print")
    with pytest.raises(pytest.fail.Exception, match="wider than the window"):
        fits(phone)


def test_a_picture_has_the_whole_page(page: Page, picture: Callable[[Page, str], Path]) -> None:
    """It is as wide as the window and as high as the page."""
    page.set_content(document('<div class="wide"></div>'))
    size = picture(page, "harness-long").read_bytes()[16:24]
    assert int.from_bytes(size[:4]) == DESKTOP["width"]
    assert int.from_bytes(size[4:]) > 1500


def test_the_pages_are_what_they_are_called(
    page: Page, phone: Page, dark: Page, without_script: Page, new_page: Callable[..., Page]
) -> None:
    """Each of the fixtures differs from ``page`` in the one respect that its name says."""

    def described(page: Page) -> dict[str, Any]:
        page.set_content("<title>plain</title><script>document.title = 'scripted'</script>")
        is_dark = page.evaluate("() => matchMedia('(prefers-color-scheme: dark)').matches")
        return {"window": page.viewport_size, "dark": is_dark, "title": page.title()}

    usual = {"window": DESKTOP, "dark": False, "title": "scripted"}
    assert described(page) == usual
    assert described(phone) == usual | {"window": PHONE}
    assert described(dark) == usual | {"dark": True}
    assert described(without_script) == usual | {"title": "plain"}
    wide = {"width": 1600, "height": 900}
    assert described(new_page(viewport=wide)) == usual | {"window": wide}


def test_addresses_begin_at_the_test_s_simulator(page: Page, mesh_sim: Simulator) -> None:
    """A page opened by its path is one of the simulator that the test has, and of no other."""
    page.goto("/health")
    expect(page).to_have_url(f"{mesh_sim.url}/health")
