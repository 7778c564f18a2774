"""Signing in with the control API's token, where a simulator has one."""

from __future__ import annotations

from aiohttp import web

from mesh_sim.web.forms import Form, read_form
from mesh_sim.web.keys import SESSIONS
from mesh_sim.web.page import VISIT, forget_visit, local_path, see, show


async def show_sign_in(request: web.Request) -> web.StreamResponse:
    """Ask for the token; whoever needs none is sent on."""
    onward = local_path(request.query.get("next", "/"))
    return see(onward) if request[VISIT].signed_in else _form(request, onward)


async def sign_in(request: web.Request) -> web.StreamResponse:
    """Let in who has the token."""
    given = await read_form(request)
    onward = local_path(given.get("next", "/"))
    visit = request.app[SESSIONS].sign_in(given.get("token", ""))
    if visit is None:
        problem = "This is not the token: that is what MESH_SIM_ADMIN_TOKEN was when the server started"
        return _form(request, onward, Form({}, {"token": problem}), status=403)
    request[VISIT] = visit
    return see(onward)


async def sign_out(request: web.Request) -> web.StreamResponse:
    """End the visit."""
    forget_visit(request)
    return see("/")


def _form(
    request: web.Request, onward: str, form: Form | None = None, *, status: int = 200
) -> web.StreamResponse:
    return show(request, "sign_in.html", {"form": form or Form(), "onward": onward}, status=status)
