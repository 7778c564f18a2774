"""Where the bars of a chart lie: values in, geometry out. Templates draw it.

Across, a chart is measured in hundredths of its width, so that it fits every screen without its letters
shrinking; down, in pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

BAR_HEIGHT: Final = 14
_LABEL_HEIGHT: Final = 22
_GAP: Final = 14

_LEAST: Final = 0.75
"""How wide the bar of a single one is: to be seen beside millions."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a bar: from where, and how wide."""

    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar with its label above it; a part for each value, in order, those of nothing with no width."""

    label: str
    values: Sequence[int]
    label_y: int
    """The line that the label's letters stand on."""
    y: int
    parts: Sequence[Part]


@dataclass(frozen=True, slots=True)
class BarChart:
    """Bars one below the other, each the longer the more its values are together."""

    height: int
    bars: Sequence[Bar]


def bar_chart(rows: Iterable[tuple[str, Sequence[int]]]) -> BarChart:
    """Lay out a bar for each row: its label and its values, which are not negative."""
    given = list(rows)
    most = max((sum(values) for _, values in given), default=0)
    step = _LABEL_HEIGHT + BAR_HEIGHT + _GAP
    bars = [
        Bar(
            label,
            values,
            label_y=place * step + _LABEL_HEIGHT - 7,
            y=place * step + _LABEL_HEIGHT,
            parts=_parts(values, most),
        )
        for place, (label, values) in enumerate(given)
    ]
    return BarChart(max(len(bars) * step - _GAP, 0), bars)


def _parts(values: Sequence[int], most: int) -> list[Part]:
    # Each part gets its least beforehand, so that the longest bar ends where the chart does.
    shared = 100 - _LEAST * len(values)
    parts, x = [], 0.0
    for value in values:
        width = _LEAST + shared * (value / most) if value else 0.0
        parts.append(Part(round(x, 3), round(width, 3)))
        x += width
    return parts
