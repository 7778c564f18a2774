"""The plot of a mixed run: what must be flat, flat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

INK = "#1a1a1a"
_SHOWN = ("send", "get", "acknowledge", "list", "send chunk", "track")


def draw(document: Mapping[str, Any], picture: Path) -> None:
    """Draw the samples of a run into a PNG."""
    samples: Sequence[Mapping[str, Any]] = document["samples"]
    minutes = [sample["at_s"] / 60 for sample in samples]
    mpl.rcParams |= {"font.size": 9, "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK}
    figure, axes = plt.subplots(3, 2, figsize=(11, 9), layout="constrained", sharex=True)
    machine = document["machine"]
    requests = sum(taken["count"] for taken in document["operations"].values())
    figure.suptitle(
        f"mesh-sim under mixed load for {document['minutes']:g} minutes: {requests:,} requests, "
        f"{document['taken'][:10]}, {machine['cores']} cores",
        x=0.01,
        ha="left",
        fontsize=11,
    )

    def plot(
        place: Axes, title: str, lines: Mapping[str, Sequence[float | None]], *, log: bool = False
    ) -> None:
        for name, values in lines.items():
            place.plot(
                minutes, [float("nan") if value is None else value for value in values], label=name, lw=1
            )
        place.set_title(title, loc="left", fontsize=10)
        place.grid(alpha=0.3)
        place.spines[["top", "right"]].set_visible(False)
        if log:
            place.set_yscale("log")
        else:
            highest = max(
                (value for values in lines.values() for value in values if value is not None), default=1
            )
            place.set_ylim(0, 1.15 * highest)
        if len(lines) > 1:
            place.legend(fontsize=8, frameon=False, ncols=2)

    def took(name: str, which: str) -> list[float | None]:
        return [sample["operations"].get(name, {}).get(which) for sample in samples]

    plot(axes[0, 0], "Resident memory, MB", {"": [sample["rss_mb"] for sample in samples]})
    plot(
        axes[0, 1],
        "Open handles and threads",
        {name: [sample[name] for sample in samples] for name in ("handles", "threads")},
    )
    plot(axes[1, 0], "Median latency, ms", {name: took(name, "p50_ms") for name in _SHOWN}, log=True)
    plot(axes[1, 1], "99th percentile, ms", {name: took(name, "p99_ms") for name in _SHOWN}, log=True)
    files = {
        name: [sample["files_mb"][f"{name}.db"] + sample["files_mb"][f"{name}.db-wal"] for sample in samples]
        for name in ("mesh-sim", "journal", "tokens")
    }
    plot(
        axes[2, 0],
        "On the disk, MB",
        files | {"large bodies": [sample["payloads_mb"] for sample in samples]},
    )
    plot(axes[2, 1], "CPU of the server, share of a core", {"": [sample["cpu"] for sample in samples]})
    for place in axes[2]:
        place.set_xlabel("minutes")
    figure.savefig(picture, dpi=110, facecolor="white")
    plt.close(figure)
