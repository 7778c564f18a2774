"""Handshake (mesh-api.md section 6)."""

from __future__ import annotations

from aiohttp import web

from mesh_sim.api.answers import json_answer, wanted_version
from mesh_sim.api.validation import Validator
from mesh_sim.exchange.directory import Mailbox
from ndoo.protocol import ApiVersion, Header


async def handshake(request: web.Request, mailbox: Mailbox) -> web.Response:
    """Prove reachability and credentials."""
    version = wanted_version(request)
    validator = Validator(request)
    for name in (Header.CLIENT_VERSION, Header.OS_NAME, Header.OS_VERSION):
        validator.header(name, required=True)
    validator.check()
    if version is ApiVersion.V1:
        return json_answer(version, {"mailboxId": mailbox.mailbox_id})
    return web.Response()
