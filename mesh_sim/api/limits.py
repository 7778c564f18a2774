"""How much at once: requests being worked on, and bodies that are asked for only when they are wanted."""

from __future__ import annotations

from typing import Final

from aiohttp import HttpVersion11, web
from aiohttp.typedefs import Middleware

from mesh_sim.api.operations import NO_OPERATION, Handler, operation_of

MAX_JSON_BYTES: Final = 1024 * 1024
"""Of a body that is read whole, as those of the control API are."""

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class TooBusy(Exception):
    """So many requests are being worked on that a further one has to come again."""


_UNASKED: Final = web.RequestKey("unasked", bool)
"""Noted of a request whose client waits to be asked for the body."""


def at_most(most: int) -> Middleware:
    """Make a middleware that lets in so many MESH requests at once.

    It belongs before faults and tokens: what it refuses costs neither.
    The control API is left out: what waits there for events must not keep mailboxes waiting, and who wants
    to see what is going on must get in.

    Raises:
        TooBusy: in the middleware, there are too many.
    """
    count = 0

    @web.middleware
    async def bounded(request: web.Request, handler: Handler) -> web.StreamResponse:
        nonlocal count
        if operation_of(request) == NO_OPERATION:
            return await handler(request)
        if count >= most:
            raise TooBusy(f"{count} requests are being worked on, as many as may be (MESH_SIM_MAX_IN_FLIGHT)")
        count += 1
        try:
            return await handler(request)
        finally:
            count -= 1

    return bounded


async def await_wish(request: web.Request) -> None:
    """Let ``Expect: 100-continue`` wait until the body is wanted; any other expectation is passed over."""
    if request.version >= HttpVersion11 and request.headers["Expect"].lower() == "100-continue":
        request[_UNASKED] = True


async def ask_for_body(request: web.Request) -> None:
    """Tell a client that waits for it that its body is wanted now."""
    if request.pop(_UNASKED, False):
        await request.writer.write(_CONTINUE)
        request.writer.output_size = 0  # the answer itself has not begun


def is_unasked(request: web.BaseRequest) -> bool:
    """Tell whether a client still waits to be asked for the body."""
    return _UNASKED in request


def end_unasked(request: web.Request, response: web.StreamResponse) -> None:
    """End the connection with this answer if its client may or may not send the body all the same."""
    if is_unasked(request):
        response.force_close()
