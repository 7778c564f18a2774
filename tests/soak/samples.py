"""What a server process uses, as Linux tells it, and how much there is on its disk."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path
from statistics import median
from typing import Final

from soak.latencies import Taken

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_FILES: Final = (
    "mesh-sim.db",
    "mesh-sim.db-wal",
    "journal.db",
    "journal.db-wal",
    "tokens.db",
    "tokens.db-wal",
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One moment: seconds since the start, megabytes, counts, CPU as a share of one core since the last."""

    at_s: float
    rss_mb: float
    handles: int
    threads: int
    cpu: float
    files_mb: dict[str, float]
    payloads_mb: float
    payloads: int
    operations: dict[str, Taken]

    @property
    def p50_ms(self) -> float:
        """What a request of a middling kind took, half of the time."""
        return median(taken["p50_ms"] for taken in self.operations.values()) if self.operations else 0.0

    @property
    def p99_ms(self) -> float:
        """What one took at the worst but one in a hundred."""
        return median(taken["p99_ms"] for taken in self.operations.values()) if self.operations else 0.0


class Sampler:
    """Takes samples of one process and its data folder."""

    def __init__(self, pid: int, data: Path) -> None:
        self._proc = Path(f"/proc/{pid}")
        self._data = data
        self._began = self._last_at = time.monotonic()
        self._last_cpu = self._cpu_s()

    def take(self, operations: dict[str, Taken]) -> Sample:
        """Take one; ``operations`` are what requests took since the last."""
        now, cpu = time.monotonic(), self._cpu_s()
        share = (cpu - self._last_cpu) / (now - self._last_at)
        self._last_at, self._last_cpu = now, cpu
        status = dict(
            line.split(":", 1) for line in (self._proc / "status").read_text().splitlines() if ":" in line
        )
        bodies = list(self._bodies())
        return Sample(
            at_s=round(now - self._began, 1),
            rss_mb=round(int(status["VmRSS"].split()[0]) / 1024, 1),
            handles=len(os.listdir(self._proc / "fd")),  # noqa: PTH208 - a number is all that is wanted
            threads=int(status["Threads"]),
            cpu=round(share, 3),
            files_mb={name: _megabytes(self._data / name) for name in _FILES},
            payloads_mb=round(sum(bodies) / 1e6, 2),
            payloads=len(bodies),
            operations=operations,
        )

    def _cpu_s(self) -> float:
        fields = (self._proc / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def _bodies(self) -> Iterator[int]:
        for path in (self._data / "payloads").rglob("*"):
            with suppress(FileNotFoundError):  # it may be gone by the time it is looked at
                if path.is_file():
                    yield path.stat().st_size


def _megabytes(path: Path) -> float:
    try:
        return round(path.stat().st_size / 1e6, 2)
    except FileNotFoundError:
        return 0.0


@dataclass(frozen=True, slots=True)
class Growth:
    """The medians of the second and the last fifth of a run, and by how much the last may be higher."""

    what: str
    second_fifth: float
    last_fifth: float
    most: float

    @property
    def flat(self) -> bool:
        """Whether it stayed within the bound."""
        return self.last_fifth - self.second_fifth <= self.most


MOST_GROWTH: Final = {"rss_mb": 32.0, "handles": 16.0, "threads": 4.0, "p50_ms": 20.0, "p99_ms": inf}
"""By how much the last fifth may be above the second: some caches fill slowly, connections come and go.

The slowest of a hundred are told and not judged: they are as much the machine's as the server's.
"""


def growth(samples: list[Sample]) -> list[Growth]:
    """Compare the second fifth of a run with its last; the first is for warming up."""
    fifth = max(len(samples) // 5, 1)
    second, last = samples[fifth : 2 * fifth], samples[-fifth:]
    return [
        Growth(
            name,
            median(getattr(sample, name) for sample in second or samples),
            median(getattr(sample, name) for sample in last),
            most,
        )
        for name, most in MOST_GROWTH.items()
    ]
