"""The table of pages: every path that is for people, and the function of this package that answers there.

What makes pages is imported when the first of them is asked for. Most simulators are started by tests, which
look at none, and would wait for that import with every start.
"""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, Final, cast

from aiohttp import web

from mesh_sim.api.keys import NOT_FOUND_PAGE, SETTINGS, Page
from mesh_sim.api.operations import Handler
from mesh_sim.api.routes import route
from mesh_sim.web.keys import MOST_WATCHERS, SESSIONS, TEMPLATES, WATCHERS
from mesh_sim.web.rendering import Templates
from mesh_sim.web.sessions import Sessions
from mesh_sim.web.witness_reports import witness_reports

if TYPE_CHECKING:
    from jinja2 import Environment

PAGES: Final[list[tuple[str, str, str]]] = [
    ("GET", "/", "overview.show_overview"),
    ("GET", "/witness", "witness.show_witness"),
    ("POST", "/witness", "witness.begin_rehearsal"),
    ("GET", "/witness/{mailbox_id}", "witness.show_rehearsal"),
    ("POST", "/witness/{mailbox_id}", "witness.go_on"),
    ("GET", "/witness/{mailbox_id}/file", "witness.give_file"),
    ("GET", "/witness/{mailbox_id}/report", "witness.show_report"),
    ("GET", "/search", "search.search"),
    ("GET", "/mailboxes/{mailbox_id}", "mailbox.show_mailbox"),
    ("GET", "/messages/{message_id}", "message.show_message"),
    ("GET", "/messages/{message_id}/body", "body.download_body"),
    ("GET", "/submissions", "submissions.show_submissions"),
    ("GET", "/journal", "journal.show_journal"),
    ("GET", "/live", "live.tell_changes"),
    ("GET", "/opt-outs", "opt_outs.show_opt_outs"),
    ("POST", "/opt-outs", "opt_outs.look_up"),
    ("POST", "/opt-outs/opt-out", "opt_outs.opt_out"),
    ("POST", "/opt-outs/withdraw", "opt_outs.withdraw"),
    ("POST", "/opt-outs/rule", "opt_outs.change_rule"),
    ("GET", "/clock-and-faults", "clock_and_faults.show_clock_and_faults"),
    ("POST", "/clock/advance", "clock_and_faults.advance_clock"),
    ("POST", "/clock/reset", "clock_and_faults.reset_clock"),
    ("POST", "/faults/add", "clock_and_faults.add_fault"),
    ("POST", "/faults/remove", "clock_and_faults.remove_fault"),
    ("POST", "/faults/clear", "clock_and_faults.clear_faults"),
    ("POST", "/sign-out", "sign_in.sign_out"),
]

OPEN_PAGES: Final[list[tuple[str, str, str]]] = [
    ("GET", "/sign-in", "sign_in.show_sign_in"),
    ("POST", "/sign-in", "sign_in.sign_in"),
    ("GET", "/assets/{name}", "live.show_asset"),
]
"""Those for people who have not signed in."""


def add_pages(app: web.Application) -> None:
    """Give an application its pages, and what they need."""
    token = app[SETTINGS].admin_token
    app[SESSIONS] = Sessions(None if token is None else token.get_secret_value())
    app[NOT_FOUND_PAGE] = _handler("page.show_not_found", is_open=True)
    app.cleanup_ctx.append(witness_reports)
    app[TEMPLATES] = cast("Environment", Templates())
    app[WATCHERS] = asyncio.Semaphore(MOST_WATCHERS)
    for pages, is_open in ((PAGES, False), (OPEN_PAGES, True)):
        app.add_routes(route(method, path, _handler(name, is_open=is_open)) for method, path, name in pages)


def _handler(name: str, *, is_open: bool) -> Page:
    """Answer as the function of this name does, which is imported with the first request."""
    page: Handler | None = None

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal page
        if page is None:
            # In a thread, so that clients are answered meanwhile.
            page = await asyncio.to_thread(_page, name, is_open=is_open)
        return await page(request)

    return answer


def _page(name: str, *, is_open: bool) -> Handler:
    from mesh_sim.web.page import page  # noqa: PLC0415 - see above

    module, _, function = name.partition(".")
    return page(getattr(import_module(f"mesh_sim.web.{module}"), function), is_open=is_open)
