"""The plot of a run: how many times better than its peer each thing is, how much of each limit is used."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib as mpl
from results import Comparison, machine_text, quantity, read

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

MET, MISSED, INK = "#1b6e3c", "#b3261e", "#1a1a1a"


def draw(found: Path, picture: Path) -> None:
    """Draw the results of a run into a PNG."""
    document, findings = read(found)
    measured = [each for each in findings.comparisons if each.ratio is not None]
    relative = [each for each in measured if each.target is not None and each.target.of is not None]
    absolute = [each for each in measured if each.target is not None and each.target.of is None]
    mpl.rcParams |= {"font.size": 9, "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK}
    figure, axes = plt.subplots(
        2,
        1,
        figsize=(10, 1.6 + 0.36 * (len(relative) + len(absolute) + 2)),
        height_ratios=(len(relative) + 1, len(absolute) + 1),
        layout="constrained",
    )
    figure.suptitle(
        f"mesh-sim beside its peers, {document['taken'][:10]}, {machine_text(document)}",
        fontsize=11,
        x=0.01,
        ha="left",
    )
    _relative(axes[0], relative)
    _absolute(axes[1], absolute)
    picture.parent.mkdir(exist_ok=True)
    figure.savefig(picture, dpi=120, facecolor="white")
    plt.close(figure)


def _relative(axes: Axes, comparisons: Sequence[Comparison]) -> None:
    """Draw times better than the peer, on a logarithmic axis: 1 is as good, the mark is the target."""
    for row, each in enumerate(comparisons):
        assert each.target is not None
        assert each.ratio is not None
        better, target = _times_better(each, each.ratio), _times_better(each, each.target.limit)
        axes.plot(
            [1, better], [row, row], color=MET if each.met else MISSED, linewidth=5, solid_capstyle="butt"
        )
        axes.plot([target, target], [row - 0.38, row + 0.38], color=INK, linewidth=1.6)
        values = f"{quantity(each.ours, each.unit)} : {quantity(each.peers[each.target.of or ''], each.unit)}"
        axes.annotate(
            f"{better:.2g} ×   ({values})" if better < 10 else f"{better:.0f} ×   ({values})",
            (max(better, target, 1), row),
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
        )
    axes.set_xscale("log")
    axes.axvline(1, color=INK, linewidth=0.8)
    least = min([0.5, *(_times_better(each, each.ratio or 1) for each in comparisons)])
    axes.set_xlim(least / 1.3, 400)
    axes.set_xticks([0.5, 1, 2, 5, 10, 20, 50, 100], ["½", "1", "2", "5", "10", "20", "50", "100"])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("times better than the peer (logarithmic)\nblack mark: target; green: met, red: not met")
    _rows(axes, [f"{each.what}\nagainst {each.target.of}" for each in comparisons if each.target])


def _absolute(axes: Axes, comparisons: Sequence[Comparison]) -> None:
    """Draw the share of each limit that is used."""
    for row, each in enumerate(comparisons):
        assert each.target is not None
        share = 100 * (each.ratio or 0) / each.target.limit
        axes.barh(row, share, height=0.4, color=MET if each.met else MISSED)
        axes.annotate(
            f"{quantity(each.ours, each.unit)} of {each.target.limit:g}",
            (100 if 60 < share < 100 else share, row),  # never across the line
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
        )
    axes.axvline(100, color=INK, linewidth=1.6)
    axes.set_xlim(
        0,
        1.3
        * max([100, *(100 * (each.ratio or 0) / each.target.limit for each in comparisons if each.target)]),
    )
    axes.set_xlabel("share of the limit that is used, in per cent (black line: the limit)")
    _rows(axes, [each.what for each in comparisons])


def _times_better(each: Comparison, ratio: float) -> float:
    return ratio if each.better == "higher" else 1 / ratio


def _wrapped(name: str) -> Iterator[str]:
    for line in name.splitlines():
        yield from textwrap.wrap(line, 56)


def _rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), ["\n".join(_wrapped(name)) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
