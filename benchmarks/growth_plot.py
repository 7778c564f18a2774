"""The plot of how cost grows: four panels, sizes on a logarithmic axis, everything else from zero."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from results import machine_text

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

INK, GRID = "#1a1a1a", "#dddddd"
Series = Mapping[str, tuple[str, str, str]]
"""By the name of a value: its label, colour and marker."""

_TIMES: Series = {
    "send_ms": ("send (300 bytes)", "#b3261e", "o"),
    "list_ms": ("list (10 messages)", "#1b6e3c", "s"),
    "get_ms": ("get", "#1f4e9c", "^"),
    "acknowledge_ms": ("acknowledge", "#8a5a00", "D"),
}
_MEMORY: Series = {"memory_mb": ("resident memory of the server", "#1f4e9c", "o")}
_NUMBER: Series = {"number_ns": ("check, from file to file", "#1f4e9c", "o")}
_PEAK: Series = {"peak_mb": ("peak memory of the process, register included", "#1f4e9c", "o")}


def draw(found: Path, picture: Path) -> None:
    """Draw what ``growth.py`` kept into a PNG."""
    document = json.loads(found.read_text("utf-8"))
    stored, checked = document["stored"], document["checked"]
    mpl.rcParams |= {"font.size": 9, "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK}
    mpl.rcParams |= {"xtick.color": INK, "ytick.color": INK}
    figure, axes = plt.subplots(2, 2, figsize=(10, 7.2), layout="constrained")
    figure.suptitle(
        f"mesh-sim: how cost grows, {document['taken'][:10]}, {machine_text(document)}",
        fontsize=11,
        x=0.01,
        ha="left",
    )
    _panel(axes[0, 0], stored, "messages", _TIMES, "time per operation (ms), 16 at a time")
    _panel(axes[0, 1], stored, "messages", _MEMORY, "memory (MB)")
    _panel(axes[1, 0], checked, "numbers", _NUMBER, "time per number (ns)")
    _panel(axes[1, 1], checked, "numbers", _PEAK, "memory (MB)")
    for panel in axes[0]:
        panel.set_xlabel("messages stored, all in one inbox")
    for panel in axes[1]:
        panel.set_xlabel("NHS numbers in the list")
    picture.parent.mkdir(exist_ok=True)
    figure.savefig(picture, dpi=120, facecolor="white")
    plt.close(figure)


def _panel(axes: Axes, points: Sequence[Mapping[str, Any]], size: str, series: Series, label: str) -> None:
    sizes = [point[size] for point in points]
    for name, (title, colour, marker) in series.items():
        values = [point[name] for point in points]
        axes.plot(sizes, values, color=colour, marker=marker, markersize=5, linewidth=1.6, label=title)
    axes.set_xscale("log")
    axes.set_xticks(sizes, [_short(each) for each in sizes])
    axes.set_xticks([], minor=True)
    highest = max((point[name] for point in points for name in series), default=1)
    axes.set_ylim(0, 1.35 * highest)
    axes.set_ylabel(label)
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(loc="upper left", frameon=False, ncols=2)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _short(size: int) -> str:
    """Write a round size: 100, 10 thousand, 60 million."""
    for unit, word in ((1_000_000, "million"), (1_000, "thousand")):
        if size >= unit:
            return f"{size // unit:,} {word}"
    return f"{size}"
