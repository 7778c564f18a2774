"""``/openapi.json``: the description of every path, for whoever asks."""

from __future__ import annotations

import functools

from aiohttp import web

from mesh_sim.api.answers import json_bytes


async def show_document(request: web.Request) -> web.Response:  # noqa: ARG001 - every handler takes the request
    """Give the document; it is the same for everybody."""
    return web.Response(body=_written(), content_type="application/json")


@functools.cache
def _written() -> bytes:
    # Built from every table and model when it is first asked for: most servers never are.
    from mesh_sim.api.openapi.document import document  # noqa: PLC0415 - see above

    return json_bytes(document())
