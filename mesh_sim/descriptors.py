"""How many files and connections this process may have open at once."""

from __future__ import annotations

import contextlib
import resource
from typing import Final

_WANTED: Final = 65_536
_KEPT_BACK: Final = 128
"""Descriptors for databases and whatever else the process does, where it may have many."""


def raise_limit() -> None:
    """Let this process open as many files as it may, up to a number that is always enough."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED if hard == resource.RLIM_INFINITY else min(_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # then it stays as it is
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def connections_within(most: int, *, busy: int) -> int:
    """Give how many connections may be open, up to ``most``, with a descriptor left for each busy one's file.

    ``busy`` is how many may be so at once. There is always one.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return most
    left = soft - min(_KEPT_BACK, soft // 8)
    return max(1, min(most, max(left - busy, left // 2)))
