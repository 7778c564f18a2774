"""How long each kind of request took, over the last moments and over the whole run."""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypedDict


class Taken(TypedDict):
    """What one kind of request took: how many there were, and their median and 99th percentile."""

    count: int
    p50_ms: float
    p99_ms: float


class Latencies:
    """Collects them by the name of the operation."""

    def __init__(self) -> None:
        self._whole: dict[str, array[float]] = {}
        self._reported: dict[str, int] = {}

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Note how long the block takes, if it does not raise."""
        began = time.perf_counter()
        yield
        self._whole.setdefault(name, array("d")).append(time.perf_counter() - began)

    def lately(self) -> dict[str, Taken]:
        """Sum up what was noted since the last call."""
        found = {}
        for name, whole in self._whole.items():
            if lately := whole[self._reported.get(name, 0) :]:
                found[name] = _taken(lately)
            self._reported[name] = len(whole)
        return found

    def whole(self) -> dict[str, Taken]:
        """Sum up everything."""
        return {name: _taken(whole) for name, whole in sorted(self._whole.items())}


def _taken(seconds: Sequence[float]) -> Taken:
    ordered = sorted(seconds)
    return {
        "count": len(ordered),
        "p50_ms": round(ordered[len(ordered) // 2] * 1000, 2),
        "p99_ms": round(ordered[len(ordered) * 99 // 100] * 1000, 2),
    }
