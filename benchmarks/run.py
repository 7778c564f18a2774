"""Run the benchmarks, one after the other, and print one table of every target.

All run but ``growth``, which takes long and keeps results of its own, and ``pages``: ``--only growth``.
A full run is kept as ``results/bench.json`` and ``results/bench.png``, and README's section is written anew
from it; a quick one, or one of some scripts only, keeps nothing unless ``--json`` says where. A benchmark
that fails is named, and the others go on.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import plot
import readme
from processes import stop
from results import RESULTS, Comparison, Findings, options, read, show, write

SCRIPTS = ("server", "bulk", "start", "list_check", "transfer", "round_trip", "filtering", "membership")
ON_DEMAND = ("growth", "pages")
FOLDER = Path(__file__).parent


def main() -> int:
    """Run the scripts; give 1 if one of them failed."""
    parser = options(__doc__)
    parser.add_argument("--only", nargs="+", choices=SCRIPTS + ON_DEMAND, help="run these alone")
    arguments = parser.parse_args()
    quick, began = arguments.quick, time.monotonic()
    comparisons: list[Comparison] = []
    notes: dict[str, None] = {}
    failed = False
    with tempfile.TemporaryDirectory(prefix="mesh-sim-bench-") as folder:
        for name in arguments.only or SCRIPTS:
            found = _found(name, Path(folder), quick=quick)
            failed = failed or found is None
            found = found or Findings((), (f"{name}: the benchmark failed, see above",))
            comparisons.extend(found.comparisons)
            notes |= dict.fromkeys(found.notes)
    findings = Findings(tuple(comparisons), tuple(notes))
    targets = Findings(tuple(each for each in comparisons if each.target is not None), findings.notes)
    show(targets, title=f"All targets{' (quick: the numbers mean little)' if quick else ''}")
    print(f"{(time.monotonic() - began) / 60:.1f} minutes")
    if arguments.json is not None:
        _keep(arguments.json, findings, quick=quick)
    elif not (quick or arguments.only or failed):
        _keep(RESULTS / "bench.json", findings, quick=False)
        readme.update(RESULTS / "bench.json")
    return 1 if failed else 0


def _found(name: str, folder: Path, *, quick: bool) -> Findings | None:
    """Run one script, which prints its own table; give what it found, or None if it failed."""
    found = folder / f"{name}.json"
    command = [sys.executable, str(FOLDER / f"{name}.py"), "--json", str(found)]
    process = subprocess.Popen([*command, "--quick"] if quick else command)
    try:
        process.wait()
    finally:
        stop(process)  # which leaves it the time to stop its servers
    return read(found)[1] if process.returncode == 0 and found.exists() else None


def _keep(path: Path, findings: Findings, *, quick: bool) -> None:
    write(path, findings, quick=quick)
    plot.draw(path, path.with_suffix(".png"))


if __name__ == "__main__":
    raise SystemExit(main())
