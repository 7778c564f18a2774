"""Servers and workers killed again and again, each data folder compared with what its clients were told."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from crashing.lives import End, Summary, crowd, live, outlive_workers
from rich.console import Console

LIVES: Final = 5
"""How many lives a server has on one data folder."""

Trial = tuple[str, Callable[[Path], Awaitable[Summary]]]


def kill(times: int, seed: int, console: Console) -> None:
    """Kill so many times; the same seed makes the same choices, though not the same moments.

    Raises:
        AssertionError: something was lost, came back, or was left behind.
    """
    chance = random.Random(seed)
    began = time.monotonic()
    kills = messages = submissions = 0
    ended: Counter[str] = Counter()
    number = 0
    while kills < times:
        name, trial = _trial(number, f"{seed}/{number}", chance, left=times - kills)
        with tempfile.TemporaryDirectory(prefix="mesh-sim-soak-") as folder:
            try:
                summary = asyncio.run(trial(Path(folder)))
            except BaseException as error:
                error.add_note(f"data folder number {number} of seed {seed}: {name}")
                raise
        kills += summary.kills
        messages += summary.messages
        submissions += summary.submissions
        ended.update(name.split(", "))
        number += 1
        console.print(
            f"{time.monotonic() - began:6.0f} s  {kills:4d} kills  {messages:6d} messages  "
            f"{submissions:5d} lists   {name}",
            highlight=False,
            soft_wrap=True,
        )
    console.print(f"{kills} kills on {number} data folders: nothing lost, nothing back, nothing left over")


def _trial(number: int, seed: str, chance: random.Random, *, left: int) -> Trial:
    """Choose what to do with the next data folder."""
    if number % 8 == 3:
        return "workers alone", lambda folder: outlive_workers(folder, seed, workers=3)
    if number % 16 == 7:
        return "workers beside a server", lambda folder: crowd(folder, seed, kills=8)
    ticking = chance.random() < 0.4
    ends = _ends(chance, min(LIVES, left), ticking=ticking)
    names = ", ".join(end.value for end in ends)
    return names, lambda folder: live(folder, ends, seed, ticking=ticking)


def _ends(chance: random.Random, lives: int, *, ticking: bool) -> Sequence[End]:
    """Choose how the lives end; the usual way most often, and each of them killed but one."""
    possible = [End.ANY, End.ANY, End.ANY, End.BODY, End.CLAIM, End.START, End.STOP, End.BULK]
    if ticking:
        possible += [End.ADVANCE]
    ends = chance.choices(possible, k=lives)
    if chance.random() < 0.3:
        ends.append(End.ASKED)
        chance.shuffle(ends)
    return ends
