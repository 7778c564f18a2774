"""Finding a message or a mailbox by whatever somebody has of it."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, urlencode

from aiohttp import web

from mesh_sim.api.keys import DESK, EXCHANGE
from mesh_sim.exchange.errors import NotFound
from mesh_sim.exchange.ports import Wanted
from mesh_sim.web.masking import mask
from mesh_sim.web.page import see, show
from mesh_sim.witness.journal import message_id_in

_MOST: Final = 100
_LONGEST: Final = 300
_MASKED: Final = "***"
"""Whoever looked for somebody's number finds the page for that."""


async def search(request: web.Request) -> web.StreamResponse:
    """Lead to the message or mailbox with this id, or list the messages with this local id."""
    text = request.query.get("q", "").strip()[:_LONGEST]
    if not text:
        return see("/")
    desk = request.app[DESK]
    try:
        return see(f"/messages/{(await desk.message(text.upper())).message_id}")
    except NotFound:
        pass
    if (mailbox := request.app[EXCHANGE].directory.mailbox(text.upper())) is not None:
        return see(f"/mailboxes/{quote(mailbox.mailbox_id)}")
    found = await desk.find(Wanted(local_id=text), _MOST + 1)
    masked = mask(text)
    if not found and masked != text:  # somebody's number, perhaps: it is not to stay in the address
        return see(f"/search?{urlencode({'q': masked}, errors='replace')}")
    return show(
        request,
        "search.html",
        {
            "text": masked,
            "has_number": _MASKED in masked,
            "message_id": message_id_in(text),
            "messages": found[:_MOST],
            "more": len(found) > _MOST,
        },
        status=200 if found else 404,
    )
