"""What a request asks MESH for, by name: the word for it in logs, journal, faults and metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

NO_OPERATION: Final = "-"
"""The name of a request whose path or method is none of MESH's."""

OPERATION_NAMES = web.AppKey("operation_names", Mapping[Handler, str])
"""The route table's names, by handler."""


def operation_of(request: web.Request) -> str:
    """Name the operation a request was routed to; ``-`` where it was routed nowhere."""
    return request.app[OPERATION_NAMES].get(request.match_info.handler, NO_OPERATION)
