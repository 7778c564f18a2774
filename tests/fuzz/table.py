"""The table of fuzz targets, and what they share."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

Check = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class Target:
    """One parser: what it does with bytes, whole inputs to begin with, and words of its language."""

    check: Check
    seeds: tuple[bytes, ...] = (b"",)
    words: tuple[bytes, ...] = ()


TARGETS: Final[dict[str, Target]] = {}


def target(*seeds: bytes | str, words: str = "") -> Callable[[Check], Check]:
    """Put a function into the table under its name."""

    def put(check: Check) -> Check:
        given = tuple(seed.encode() if isinstance(seed, str) else seed for seed in seeds) or (b"",)
        TARGETS[check.__name__] = Target(check, given, tuple(word.encode() for word in words.split()))
        return check

    return put


def as_header(data: bytes) -> str:
    """Read bytes as the HTTP parser gives a header's value."""
    return data.decode("utf-8", "surrogateescape")


@functools.cache
def scratch(name: str) -> Path:
    """Give the name of a file that may be overwritten."""
    return _folder() / name


@functools.cache
def _folder() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="mesh-sim-fuzz-")
    _kept.append(folder)  # removed when the process ends
    return Path(folder.name)


_kept: list[tempfile.TemporaryDirectory[str]] = []
