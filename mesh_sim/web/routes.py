"""The table of pages: every path that is for people."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from mesh_sim.api.limits import await_wish
from mesh_sim.api.operations import Handler
from mesh_sim.web.body import download_body
from mesh_sim.web.clock_and_faults import (
    add_fault,
    advance_clock,
    clear_faults,
    remove_fault,
    reset_clock,
    show_clock_and_faults,
)
from mesh_sim.web.journal import show_journal
from mesh_sim.web.live import show_asset, tell_changes
from mesh_sim.web.mailbox import show_mailbox
from mesh_sim.web.message import show_message
from mesh_sim.web.opt_outs import change_rule, look_up, opt_out, show_opt_outs, withdraw
from mesh_sim.web.overview import show_overview
from mesh_sim.web.page import SIGN_IN, PageHandler, page
from mesh_sim.web.search import search
from mesh_sim.web.sign_in import show_sign_in, sign_in, sign_out
from mesh_sim.web.submissions import show_submissions
from mesh_sim.web.witness import (
    begin_rehearsal,
    give_file,
    go_on,
    show_rehearsal,
    show_report,
    show_witness,
)

PAGES: Final[list[tuple[str, str, PageHandler]]] = [
    ("GET", "/", show_overview),
    ("GET", "/witness", show_witness),
    ("POST", "/witness", begin_rehearsal),
    ("GET", "/witness/{mailbox_id}", show_rehearsal),
    ("POST", "/witness/{mailbox_id}", go_on),
    ("GET", "/witness/{mailbox_id}/file", give_file),
    ("GET", "/witness/{mailbox_id}/report", show_report),
    ("GET", "/search", search),
    ("GET", "/mailboxes/{mailbox_id}", show_mailbox),
    ("GET", "/messages/{message_id}", show_message),
    ("GET", "/messages/{message_id}/body", download_body),
    ("GET", "/submissions", show_submissions),
    ("GET", "/journal", show_journal),
    ("GET", "/live", tell_changes),
    ("GET", "/opt-outs", show_opt_outs),
    ("POST", "/opt-outs", look_up),
    ("POST", "/opt-outs/opt-out", opt_out),
    ("POST", "/opt-outs/withdraw", withdraw),
    ("POST", "/opt-outs/rule", change_rule),
    ("GET", "/clock-and-faults", show_clock_and_faults),
    ("POST", "/clock/advance", advance_clock),
    ("POST", "/clock/reset", reset_clock),
    ("POST", "/faults/add", add_fault),
    ("POST", "/faults/remove", remove_fault),
    ("POST", "/faults/clear", clear_faults),
    ("POST", "/sign-out", sign_out),
]

OPEN_PAGES: Final[list[tuple[str, str, PageHandler]]] = [
    ("GET", SIGN_IN, show_sign_in),
    ("POST", SIGN_IN, sign_in),
    ("GET", "/assets/{name}", show_asset),
]
"""Those for people who have not signed in."""


def _route(method: str, path: str, handler: Handler) -> web.RouteDef:
    if method == "GET":
        return web.get(path, handler, allow_head=False, expect_handler=await_wish)
    return web.route(method, path, handler, expect_handler=await_wish)


PAGE_ROUTES: Final = [
    *(_route(method, path, page(handler)) for method, path, handler in PAGES),
    *(_route(method, path, page(handler, is_open=True)) for method, path, handler in OPEN_PAGES),
]
