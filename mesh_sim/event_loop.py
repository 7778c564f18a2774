"""Which event loop the simulator runs in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Give what makes an event loop: uvloop's where it is installed, else asyncio's own."""
    try:
        import uvloop  # noqa: PLC0415 - there may be none
    except ImportError:  # no build for this platform; asyncio's own loop is slower, not different
        return asyncio.new_event_loop
    return uvloop.new_event_loop
