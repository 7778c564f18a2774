"""Signs of life: the sandbox's health paths, readiness, and its update endpoint (mesh-api.md section 17)."""

from __future__ import annotations

from aiohttp import web

from mesh_sim.api.answers import json_answer
from mesh_sim.api.keys import SETTINGS
from mesh_sim.exchange.directory import Mailbox
from ndoo.protocol import ApiVersion


async def ping(request: web.Request) -> web.Response:
    """Say that the server runs, and what it calls itself."""
    settings = request.app[SETTINGS]
    return json_answer(
        ApiVersion.V1,
        {"env": settings.env, "build_label": settings.build_label, "status": "running", "outcome": "Yes"},
    )


async def ready(request: web.Request) -> web.Response:  # noqa: ARG001 - every handler takes the request
    """Say that the server answers; it is not bound to its port before everything else has started."""
    return json_answer(ApiVersion.V1, {"ready": True})


async def update(request: web.Request, mailbox: Mailbox) -> web.Response:  # noqa: ARG001 - as above
    """Do nothing, successfully, for an authorised caller."""
    return web.Response()
