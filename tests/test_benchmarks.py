"""The frame of the benchmarks: what counts as a target met, and README's section of the results."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "benchmarks"))  # last: some of the tests' modules have the same names

import readme  # noqa: E402 - the benchmarks are programs, not a package
from results import Comparison, Findings, Target, read, write  # noqa: E402


@pytest.mark.parametrize(
    ("better", "ours", "target", "met"),
    [
        ("higher", 1_000, Target(10, "peer"), True),
        ("higher", 999, Target(10, "peer"), False),
        ("lower", 200, Target(2, "peer"), True),
        ("lower", 201, Target(2, "peer"), False),
        ("lower", 64, Target(64), True),
        ("lower", 65, Target(64), False),
        ("higher", None, Target(10, "peer"), None),
        ("higher", 1_000, Target(10, "another peer"), None),
        ("higher", 1_000, None, None),
    ],
)
def test_a_target_is_met_on_its_better_side(
    better: str, ours: float | None, target: Target | None, met: bool | None
) -> None:
    """A limit itself still is met, one step beyond is not, and what was not measured is neither."""
    assert Comparison("what", "MB", ours, {"peer": 100}, better, target).met is met


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    """Comparisons and notes survive the file."""
    send = Comparison("send", "/s", 2.5, {"peer": 0.5}, "higher", Target(10, "peer"), "slow", "server")
    found = Findings((send,), ("note",))
    write(tmp_path / "found.json", found, quick=True)
    document, again = read(tmp_path / "found.json")
    assert again == found
    assert (document["comparisons"][0]["ratio"], document["comparisons"][0]["met"]) == (5, False)


def test_the_readme_shows_the_results_that_are_kept() -> None:
    """The section is what the last full run wrote, by nobody's hand."""
    page = (ROOT / "README.md").read_text("utf-8")
    shown = page.partition(readme.BEGIN)[2].partition(readme.END)[0]
    assert shown.strip() == readme.section(ROOT / "benchmarks" / "results" / "bench.json").strip()
