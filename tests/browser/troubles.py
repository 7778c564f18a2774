"""What goes wrong in a browser without anybody seeing it: collected, so that it fails the test."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, Response, WebError

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
"""Where requests may go."""

GIVEN_UP: Final = "net::ERR_ABORTED"
"""A request that the page itself no longer wanted: it was left, or what was asked for became a download."""

UNASKED: Final = "/favicon.ico"
"""Asked for by the browser alone, at a moment of its choosing, for what is no HTML or names no icon."""


class Troubles:
    """The troubles of a test's pages, each a line, and parts of those lines that the test expects."""

    def __init__(self, expected: list[str]) -> None:
        self.seen: list[str] = []
        self._expected = expected

    def watch(self, context: BrowserContext) -> None:
        """Notice what happens in all pages of a context, from now on."""
        context.on("console", self._console)
        context.on("page", lambda page: page.on("crash", self._crashed))
        context.on("weberror", self._script)
        context.on("request", self._asked)
        context.on("requestfailed", self._failed)
        context.on("response", self._answered)

    def settle(self, context: BrowserContext) -> None:
        """Have everything noticed that has happened by now."""
        from playwright.sync_api import Error  # noqa: PLC0415 - is there if Chromium is

        for page in context.pages:
            with suppress(Error):  # of a page that crashed, which has been noticed
                page.evaluate("0")  # its answer comes after all that was told before

    def verdict(self) -> str:
        """Say what happened that was not expected, and what did not happen that was; empty if all is well."""
        surprises = [line for line in self.seen if not any(part in line for part in self._expected)]
        missing = [part for part in self._expected if not any(part in line for line in self.seen)]
        return "\n".join([*surprises, *(f"expected, and did not happen: {part}" for part in missing)])

    def _console(self, message: ConsoleMessage) -> None:
        where = short(message.location["url"]) or _address(message.page)
        if message.type in ("error", "warning") and where != UNASKED:
            self.seen.append(f"console {message.type}: {message.text} at {where}")

    def _script(self, error: WebError) -> None:
        self.seen.append(f"script error: {error.error} at {_address(error.page)}")

    def _crashed(self, page: Page) -> None:
        self.seen.append(f"page crashed: {_address(page)}")

    def _asked(self, request: Request) -> None:
        host = urlsplit(request.url).hostname
        if host and host not in LOOPBACK:
            self.seen.append(f"beyond loopback: {request.method} {request.url}")

    def _failed(self, request: Request) -> None:
        if request.failure != GIVEN_UP:
            self.seen.append(f"no answer: {request.method} {short(request.url)}: {request.failure}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self.seen.append(f"status {response.status}: {response.request.method} {short(response.url)}")


def _address(page: Page | None) -> str:
    return short(page.url) if page else "a page that is gone"


def short(url: str) -> str:
    """Give an address on loopback without host and port, whose digits are another's each time."""
    parts = urlsplit(url)
    if parts.hostname not in LOOPBACK:
        return url
    return parts._replace(scheme="", netloc="").geturl() or "/"
