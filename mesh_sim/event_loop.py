"""Which event loop the simulator runs in, and how a process of its own is tuned for it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Final

_COLLECT_AFTER: Final = 20_000


def collect_seldom() -> None:
    """Have Python look for garbage less often, and not through what was loaded at the start.

    A request makes hardly any garbage that is not freed at once. For a process that does nothing else: the
    setting is the whole process's.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Give what makes an event loop: uvloop's where it is installed, else asyncio's own."""
    try:
        import uvloop  # noqa: PLC0415 - there may be none
    except ImportError:  # no build for this platform; asyncio's own loop is slower, not different
        return asyncio.new_event_loop
    return uvloop.new_event_loop
