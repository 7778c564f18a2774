"""Where the bars of a chart lie."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mesh_sim.web.charts import BAR_HEIGHT, bar_chart

ROWS = st.lists(st.tuples(st.text(max_size=5), st.lists(st.integers(0, 10**9), min_size=2, max_size=2)))


@given(ROWS)
def test_bars_lie_within_the_chart_and_apart(rows: list[tuple[str, list[int]]]) -> None:
    """No bar sticks out of its chart or lies on another, and the parts of a bar follow each other."""
    chart = bar_chart(rows)
    below = 0
    for bar in chart.bars:
        assert below <= bar.label_y < bar.y
        below = bar.y + BAR_HEIGHT
        assert below <= chart.height
        end = 0.0
        for part in bar.parts:
            assert abs(part.x - end) < 0.01
            end = part.x + part.width
        assert end <= 100.01


@given(ROWS)
def test_what_is_more_is_wider(rows: list[tuple[str, list[int]]]) -> None:
    """Of two values the larger never has the narrower part; nothing has no width, and one is to be seen."""
    bars = bar_chart(rows).bars
    widths = sorted(
        (value, part.width) for bar in bars for value, part in zip(bar.values, bar.parts, strict=True)
    )
    assert [width for _, width in widths] == sorted(width for _, width in widths)
    assert all((width >= 0.5) if value else width == 0 for value, width in widths)


def test_the_longest_bar_is_as_wide_as_the_chart() -> None:
    """It ends at the chart's edge, and the others in proportion."""
    chart = bar_chart([("app", (30, 10)), ("web", (20, 0)), ("post", (0, 0))])
    first, second, third = chart.bars
    assert round(first.parts[-1].x + first.parts[-1].width, 2) == 100
    assert 45 < second.parts[0].width < 55
    assert [part.width for part in third.parts] == [0, 0]


def test_without_rows_there_is_no_chart() -> None:
    """It takes no room."""
    assert bar_chart([]).height == 0
