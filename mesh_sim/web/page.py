"""What every page has in common: who may see it, the forms it takes, and what it forbids a browser."""

from __future__ import annotations

import base64
import hashlib
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final
from urllib.parse import quote, urlsplit

import aiohttp_jinja2
from aiohttp import web
from markupsafe import Markup

from mesh_sim.api.connections import SlowBody
from mesh_sim.api.control.refusals import ControlRefused
from mesh_sim.api.control.requests import check_origin
from mesh_sim.api.header_bytes import NO_PAGE, POLICY
from mesh_sim.api.http_server import BrokenBody
from mesh_sim.api.keys import TIME
from mesh_sim.api.limits import end_unasked
from mesh_sim.api.operations import Handler
from mesh_sim.exchange.errors import StorageFailed
from mesh_sim.web.forms import CSRF, read_form
from mesh_sim.web.keys import SESSIONS, TEMPLATES
from mesh_sim.web.refusals import PageRefused, not_there
from mesh_sim.web.sessions import LIFETIME_S, Visit
from mesh_sim.web.wording import sentence

log = logging.getLogger("mesh_sim.web")

VISIT = web.RequestKey("visit", Visit)

SIGN_IN: Final = "/sign-in"

NAVIGATION: Final = (
    ("/", "Overview"),
    ("/submissions", "Submissions"),
    ("/opt-outs", "Opt-outs"),
    ("/clock-and-faults", "Clock and faults"),
    ("/witness", "Witness test"),
    ("/journal", "Journal"),
)
"""The pages that every page leads to."""

_COMMENT: Final = re.compile(r"/\*.*?\*/", re.DOTALL)
_BLANKS: Final = re.compile(r"\s*([{};])\s*|\s+")

PageHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def page(handler: PageHandler, *, is_open: bool = False) -> Handler:
    """Show a page only to those who may control the simulator, and do only what its own forms ask for.

    What goes wrong in ``handler`` becomes a page that says so. An open page is one to sign in with.
    """

    async def shown(request: web.Request) -> web.StreamResponse:
        request[POLICY] = policy()
        try:
            response = await _guarded(request, handler, is_open=is_open)
        except PageRefused as refused:
            response = show_refusal(request, refused)
        except Exception as error:
            if request.writer.output_size:
                raise  # part of another answer is out
            response = show_refusal(request, _refusal(request, error))
            if isinstance(error, SlowBody):
                response.force_close()
        end_unasked(request, response)
        _keep_visit(request, response)
        return response

    return shown


async def _guarded(request: web.Request, handler: PageHandler, *, is_open: bool) -> web.StreamResponse:
    check_origin(request)
    sessions = request.app[SESSIONS]
    visit = request[VISIT] = sessions.visit(request.cookies.get(_cookie_name(request), ""))
    if not (is_open or visit.signed_in):
        if request.method == "GET":
            return see(f"{SIGN_IN}?next={quote(str(request.rel_url), safe='')}")
        raise PageRefused(401, "You are signed out", "Go back, sign in again, and send the form once more.")
    if request.method == "POST":
        given = await read_form(request)
        if not sessions.is_ours(visit, given.get(CSRF, "")):
            raise PageRefused(
                403,
                "This form is out of date",
                "Since its page was opened the simulator was restarted, or many hours have passed. Nothing "
                "was done: go back, reload the page, and send the form once more.",
            )
    return await handler(request)


def _refusal(request: web.Request, error: Exception) -> PageRefused:
    match error:
        case ControlRefused():
            return PageRefused(error.status, "This cannot be done", sentence(error.error))
        case StorageFailed():
            return PageRefused(
                503,
                "The data folder cannot be used",
                f"{sentence(str(error.why))} Nothing was done; try again.",
            )
        case SlowBody():
            return PageRefused(408, "The form did not arrive", "It came too slowly. Send it once more.")
        case BrokenBody() | ConnectionError():
            return PageRefused(400, "The form did not arrive", "The connection broke. Send it once more.")
        case web.HTTPException():
            return PageRefused(error.status, "This cannot be shown", sentence(error.reason))
    log.error("the page %s failed", request.match_info.route.resource, exc_info=error)
    return PageRefused(
        500, "The simulator itself failed", f"Its log says more ({type(error).__name__}). Please report it."
    )


def show_refusal(request: web.Request, refused: PageRefused) -> web.Response:
    """Say on a page what cannot be shown or done, with a way back."""
    return show(request, "refused.html", {"refused": refused}, status=refused.status)


async def show_not_found(_request: web.Request) -> web.StreamResponse:
    """Say on a page that there is none at this path."""
    raise not_there("page", "Check the address, or begin at the overview.")


def show(
    request: web.Request, template: str, context: Mapping[str, Any], *, status: int = 200
) -> web.Response:
    """Render a template of ours with what every page shows."""
    visit = request.get(VISIT)
    keeper = request.app[TIME]
    everywhere = {
        "style": _style(),
        "navigation": NAVIGATION,
        "path": request.path,
        "signed_in": visit is not None and visit.signed_in,
        "can_sign_out": visit is not None and visit.signed_in and request.app[SESSIONS].needs_token,
        "csrf": visit.csrf if visit is not None else "",
        "now": keeper.now(),
        "offset": keeper.offset,
    }
    context = {**everywhere, **context}
    return aiohttp_jinja2.render_template(template, request, context, status=status, app_key=TEMPLATES)


def see(path: str) -> web.Response:
    """Send a browser on after a form was carried out, so that reloading does not do it again."""
    return web.Response(status=303, headers={"Location": path})


def local_path(text: str) -> str:
    """Give a path of ours to go on to; the overview, where ``text`` leads elsewhere."""
    ours = text.startswith("/") and not text.startswith(("//", "/\\"))
    return text if ours and text.isascii() and text.isprintable() else "/"


# -- what a browser may do with a page -----------------------------------------------------------------


@cache
def _style() -> Markup:
    """Give the style sheet, without what is for its readers.

    It travels in each page, so that the first paint waits for nothing else.
    """
    text = _COMMENT.sub("", asset("style.css"))
    return Markup(_BLANKS.sub(lambda found: found[1] or " ", text))  # noqa: S704 - our own file


@cache
def policy() -> dict[str, str]:
    """Give the headers of a page: its own style sheet and script, and nothing of anybody else's."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return NO_PAGE | {
        "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{digest}'; script-src 'self'; "
        "connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        "Referrer-Policy": "same-origin",
        # Another site that opens a page in a window of its own learns nothing of what becomes of it.
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }


@cache
def asset(name: str) -> str:
    """Read one of the files that pages are made with."""
    return (files("mesh_sim.web") / "assets" / name).read_text("utf-8")


# -- the cookie ------------------------------------------------------------------------------------


def _cookie_name(request: web.Request) -> str:
    # Browsers keep cookies by host alone: two simulators on one machine must not end each other's visits.
    try:
        port = urlsplit(f"//{request.headers.get('Host', '')}").port
    except ValueError:
        port = None
    return f"mesh-sim-{port or 'default'}"


def _keep_visit(request: web.Request, response: web.StreamResponse) -> None:
    visit = request.get(VISIT)
    if visit is None or not visit.is_new or response.prepared:
        return
    response.set_cookie(
        _cookie_name(request),
        visit.cookie,
        max_age=LIFETIME_S,
        path="/",
        httponly=True,
        samesite="Lax",
        secure=request.secure,
    )


def forget_visit(request: web.Request) -> None:
    """Begin a new visit of nobody's."""
    request[VISIT] = request.app[SESSIONS].visit("")
