"""``python -m soak``: the kills, then the mixed run."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from soak.kills import kill
from soak.mixed import run


def main() -> None:
    """Run both for as long as the command line says."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="how many kills at least; 0: none")
    parser.add_argument("--minutes", type=float, default=30.0, help="length of the mixed run; 0: none")
    parser.add_argument("--seed", type=int, default=1, help="of every choice that is made")
    parser.add_argument("--results", type=Path, help="folder for soak.json and soak.png; none: neither")
    given = parser.parse_args()
    console = Console()
    if given.kills:
        kill(given.kills, given.seed, console)
    if given.minutes:
        run(given.minutes * 60, given.seed, given.results, console)


if __name__ == "__main__":
    main()
