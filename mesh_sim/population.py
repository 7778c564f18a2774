"""Synthetic lists of NHS numbers, streamed to a file."""

from __future__ import annotations

import os
from pathlib import Path

from ndoo.lists import format_records, generate


def write_population(path: Path, count: int, seed: int, *, force: bool = False) -> None:
    """Write ``count`` records to ``path``, readable by its owner only like every list of NHS numbers.

    Raises:
        FileExistsError: it is there already and ``force`` is not given.
    """
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if force else os.O_EXCL)
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileExistsError:
        raise FileExistsError(f"{path} exists already; replace it with --force") from None
    with os.fdopen(descriptor, "wb") as file:
        for numbers in generate(count, seed):
            file.write(format_records(numbers))
