"""A temporary cache in use: loading it, and asking it for one number at a time and for many at once.

Nothing is asserted, since times belong to the machine. The numbers are spread as wide as real ones, unlike
those of the test range, and each has a wrong check digit: it is nobody's.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import numpy as np
from processes import temporary_folder
from results import Comparison, Findings, finish, options

from ndoo import CacheHeader, TemporaryCache
from ndoo.lists import Numbers, check_digits, format_records

_T = TypeVar("_T")
_STEMS = (400_000_000, 800_000_000)
_ASKED = 200_000


def main() -> None:
    """Make a cache, use it, and print what it took."""
    parser = options(__doc__)
    parser.add_argument("--count", type=int, help="NHS numbers in the cache (10 million; quick: 500000)")
    arguments = parser.parse_args()
    count = arguments.count or (500_000 if arguments.quick else 10_000_000)
    random = np.random.default_rng(1)
    with temporary_folder() as folder:
        path = folder / "population.cache"
        inside = _make_cache(path, count, random)
        before = _peak_mb()
        cache, loading = _timed(lambda: TemporaryCache.load(path, "password"))
        memory = _peak_mb() - before
    cached = f"a temporary cache of {count:,}"
    comparisons = [
        Comparison(f"{cached}: load and verify", "s", loading, better="lower"),
        Comparison(f"{cached}: memory to load it", "MB", memory, better="lower"),
    ]
    for name, asked in (("on the list", inside), ("any", _make_up(_ASKED, random))):
        one_by_one = asked.tolist()
        texts = [f"{number:010d}" for number in one_by_one]
        for kind, numbers in (("integer", one_by_one), ("text", texts)):
            _, seconds = _timed(lambda: [number in cache for number in numbers])  # noqa: B023 -- called at once
            what = f"{cached}: ask for one, {name}, as {kind}"
            comparisons.append(Comparison(what, "µs", seconds / len(numbers) * 1e6, better="lower"))
        _, seconds = _timed(lambda: cache.contains(asked))  # noqa: B023 -- the same
        what = f"{cached}: one of an array, {name}"
        comparisons.append(Comparison(what, "µs", seconds / len(asked) * 1e6, better="lower"))
    finish("membership", Findings(tuple(comparisons)), arguments)


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
