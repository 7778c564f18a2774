"""A real Chromium for tests of the pages, and pages of it that fail a test for what nobody would see.

The tests here are no coroutines: Playwright's synchronous interface is used, whose event loop occupies the
thread of the tests as long as the browser runs. The simulator, fixture ``mesh_sim``, has a thread of its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import pytest

from browser.troubles import LOOPBACK, Troubles
from mesh_sim import Simulator

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

    NewPage = Callable[..., Page]
    Picture = Callable[[Page, str], Path]

# Read now: the suite hides the variables of whoever runs it from the tests, and leaves the folder.
CHROMIUM: Final = os.environ.get("MESH_SIM_TEST_CHROMIUM")
PICTURES: Final = os.environ.get("MESH_SIM_TEST_PICTURES")
_FOLDER: Final = Path.cwd()

DESKTOP: Final = {"width": 1280, "height": 900}
PHONE: Final = {"width": 360, "height": 740}
PATIENCE_MS: Final = 10_000
"""How long an element or an expectation is waited for, on a machine that has other things to do."""

# No other name or number is found, whoever in the browser asks: pages, workers or the browser itself.
_NOWHERE_ELSE: Final = (
    f"--host-resolver-rules=MAP * ~NOTFOUND, {', '.join(f'EXCLUDE {host}' for host in sorted(LOOPBACK))}"
)


class _Unopened(pytest.Module):
    """A test file that is not even imported, since what it imports need not be there."""

    def collect(self) -> NoReturn:
        pytest.skip("the pages in a real browser: run 'make test-browser'")


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Skip all files here, with one line, unless a Chromium is named."""
    return None if CHROMIUM else _Unopened.from_parent(parent, path=module_path)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """A Chromium without window, which reaches loopback only; it ends after the last test of this folder.

    Not after the last of all: coroutines among the others need the thread's event loop for themselves.
    """
    from playwright.sync_api import expect, sync_playwright  # noqa: PLC0415 - is there if Chromium is

    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=Path(_FOLDER, str(CHROMIUM)), args=[_NOWHERE_ELSE, "--no-proxy-server"]
        )
        yield chromium
        chromium.close()


@pytest.fixture
def expected_errors() -> list[str]:
    """What a test's pages may have of troubles, by parts of their lines; what is named must happen, too."""
    return []


@pytest.fixture
def new_page(browser: Browser, mesh_sim: Simulator, expected_errors: list[str]) -> Iterator[NewPage]:
    """Open a page as a person of one's own would: ``new_page(viewport={"width": 1600, "height": 900})``.

    What is given are options of a Playwright context; cookies are shared with no other page. Addresses begin
    at the test's simulator: ``page.goto("/")``. At the end the test fails if a page had a trouble that it did
    not expect: an error or warning in the console, an error of a script, a request that failed or went beyond
    loopback, a status of 400 or more.
    """
    troubles = Troubles(expected_errors)
    contexts: list[BrowserContext] = []

    def open_page(**options: Any) -> Page:
        given = {"viewport": DESKTOP, "locale": "en-GB", "reduced_motion": "reduce", "base_url": mesh_sim.url}
        context = browser.new_context(**given | options)
        context.set_default_timeout(PATIENCE_MS)
        troubles.watch(context)
        contexts.append(context)
        return context.new_page()

    yield open_page
    for context in contexts:
        troubles.settle(context)
        context.close()
    if verdict := troubles.verdict():
        pytest.fail(verdict, pytrace=False)


@pytest.fixture
def page(new_page: NewPage) -> Page:
    """A page of 1280 by 900."""
    return new_page()


@pytest.fixture
def phone(new_page: NewPage) -> Page:
    """A page of 360 by 740, touched, laid out as phones do it."""
    return new_page(viewport=PHONE, is_mobile=True, has_touch=True)


@pytest.fixture
def dark(new_page: NewPage) -> Page:
    """A page of 1280 by 900 for somebody who prefers dark colours."""
    return new_page(color_scheme="dark")


@pytest.fixture
def without_script(new_page: NewPage) -> Page:
    """A page of 1280 by 900 that runs no script."""
    return new_page(java_script_enabled=False)


@pytest.fixture(scope="session")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Picture:
    """Write a page from top to bottom to ``name.png``, and give its path: ``picture(page, "overview-dark")``.

    The folder is the one of ``MESH_SIM_TEST_PICTURES``, or one that goes.
    """
    folder = Path(_FOLDER, PICTURES) if PICTURES else tmp_path_factory.mktemp("pictures")

    def write(page: Page, name: str) -> Path:
        path = folder / f"{name}.png"
        page.screenshot(path=path, full_page=True, animations="disabled", scale="css")
        return path

    return write
