"""A temporary cache in use: loading it, and asking it for one number at a time and for many at once.

Prints times, and the memory that loading took; nothing is asserted, since times belong to the machine. The
numbers are spread as wide as real ones, unlike those of the test range, and each has a wrong check digit: it
is nobody's.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import numpy as np
from rich.console import Console
from rich.table import Table

from ndoo import CacheHeader, TemporaryCache
from ndoo.lists import Numbers, check_digits, format_records

_T = TypeVar("_T")
_STEMS = (400_000_000, 800_000_000)
_ASKED = 200_000


def main() -> None:
    """Make a cache, use it, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000_000, help="NHS numbers in the cache")
    count = parser.parse_args().count
    random = np.random.default_rng(1)
    with tempfile.TemporaryDirectory(prefix="mesh-sim-bench-") as folder:
        path = Path(folder, "population.cache")
        inside = _make_cache(path, count, random)
        before = _peak_mb()
        cache, loading = _timed(lambda: TemporaryCache.load(path, "password"))
        memory = _peak_mb() - before
    outside = _make_up(_ASKED, random)
    table = Table(title=f"A temporary cache of {count:,} NHS numbers", title_justify="left")
    table.add_column("what")
    table.add_column("took", justify="right")
    table.add_row("load and verify", f"{loading:.2f} s, {memory:.0f} MB at the most")
    for name, asked in (("on the list", inside), ("any", outside)):
        one_by_one = asked.tolist()
        texts = [f"{number:010d}" for number in one_by_one]
        for kind, numbers in (("integer", one_by_one), ("text", texts)):
            _, seconds = _timed(lambda: [number in cache for number in numbers])  # noqa: B023 -- called at once
            table.add_row(f"one number, {name}, as {kind}", f"{seconds / len(numbers) * 1e6:.2f} µs")
        _, seconds = _timed(lambda: cache.contains(asked))  # noqa: B023 -- the same
        table.add_row(f"one of an array, {name}", f"{seconds / len(asked) * 1e6:.3f} µs")
    Console().print(table)


def _make_cache(path: Path, count: int, random: np.random.Generator) -> Numbers:
    """Write a cache; give some of its numbers, in any order."""
    now = datetime.now(UTC)
    header = CacheHeader(now, now + timedelta(days=21), "X99GP001", "benchmark")
    samples: list[Numbers] = []

    def records() -> Iterator[bytes]:
        for start in range(0, count, 65_536):
            numbers = _make_up(min(65_536, count - start), random)
            samples.append(numbers[: _ASKED * len(numbers) // count + 1])
            yield format_records(numbers)

    TemporaryCache.create(records(), path, header, "password")
    return random.permutation(np.concatenate(samples))[:_ASKED]


def _make_up(count: int, random: np.random.Generator) -> Numbers:
    stems = random.integers(*_STEMS, count)
    return stems * 10 + (check_digits(stems) + 1) % 10


def _timed(call: Callable[[], _T]) -> tuple[_T, float]:
    begun = time.perf_counter()
    result = call()
    return result, time.perf_counter() - begun


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
