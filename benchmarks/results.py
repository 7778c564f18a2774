"""What a benchmark found: records of comparisons, the table on the terminal, and the file they are kept in.

A script yields :class:`Comparison` records and hands them to :func:`finish`, which prints them and writes
them where ``--json`` says. ``run.py`` runs the scripts one after the other and keeps what they all found as
``results/bench.json``:

``format``
    1
``taken``
    when the run ended, UTC, ISO 8601
``quick``
    true for a small run made to try the benchmarks out, whose numbers mean little
``machine``
    ``cores``, ``memory_gb``, ``cpu`` (the model's name), ``system``
``versions``
    of Python and of every package or program that was compared, by name
``comparisons``
    a list; each has ``benchmark`` (the script), ``what``, ``unit``, ``better`` (``higher`` or ``lower``),
    ``ours`` (the median; null if it was not measured), ``peers`` (the medians by the peer's name),
    ``target`` (null, or ``limit`` and ``of``: ours divided by the value of that peer is to reach the limit
    where higher is better, and not to exceed it where lower is; ``of`` null means the limit is in the unit
    itself), ``ratio`` (what is compared with the limit; without target, ours by the only peer's), ``met``
    (null without target or measurement), ``reason`` (why a target was not met or something not measured)
``notes``
    a list of lines: how fast the driver itself is, and what was left out because it is not installed
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("mesh-sim", "aiohttp", "uvloop", "mesh-sandbox", "uvicorn", "mesh-client", "polars", "duckdb")


@dataclass(frozen=True, slots=True)
class Target:
    """What ours is to reach: ``limit`` times the value of the peer ``of``, or ``limit`` itself."""

    limit: float
    of: str | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One thing measured side by side in one run; every value a median in ``unit``."""

    what: str
    unit: str
    ours: float | None
    peers: Mapping[str, float] = field(default_factory=dict)
    better: Literal["higher", "lower"] = "higher"
    target: Target | None = None
    reason: str = ""
    benchmark: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours by the peer's that the target names; ours itself if it names none.

        Without a target it is ours by that of the only peer.
        """
        if self.ours is None:
            return None
        if self.target is not None and self.target.of is None:
            return self.ours
        of = self.target.of if self.target is not None else next(iter(self.peers), None)
        if of is None or of not in self.peers or (self.target is None and len(self.peers) > 1):
            return None
        return self.ours / self.peers[of] if self.peers[of] else None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None if there is none, or nothing to compare."""
        ratio = self.ratio
        if ratio is None or self.target is None:
            return None
        return ratio >= self.target.limit if self.better == "higher" else ratio <= self.target.limit


@dataclass(frozen=True, slots=True)
class Findings:
    """All that a run found."""

    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...] = ()


# -- the command line of a script -------------------------------------------------------------------


def options(description: str | None) -> argparse.ArgumentParser:
    """Give the options that every benchmark has; one that is told to end stops its servers before it does."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a small run, to try it out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write what was found to FILE")
    return parser


def finish(benchmark: str, findings: Findings, arguments: argparse.Namespace) -> None:
    """Print what a script found, and write it if asked to."""
    named = tuple(replaced(each, benchmark) for each in findings.comparisons)
    findings = Findings(named, findings.notes)
    show(findings, title=f"{benchmark}{' (quick)' if arguments.quick else ''}")
    if arguments.json is not None:
        write(arguments.json, findings, quick=arguments.quick)


def replaced(comparison: Comparison, benchmark: str) -> Comparison:
    """Say which script made a comparison."""
    return Comparison(**{**_fields(comparison), "benchmark": benchmark})


# -- the table --------------------------------------------------------------------------------------


def show(findings: Findings, *, title: str) -> None:
    """Print the table and the notes."""
    console = Console(width=None if Console().is_terminal else 160)
    table = Table(title=title, title_justify="left", show_lines=True)
    table.add_column("what", max_width=44)
    table.add_column("ours", justify="right")
    table.add_column("peers", justify="right")
    table.add_column("ratio", justify="right")
    table.add_column("target", justify="right", max_width=26)
    table.add_column("", max_width=44)
    for each in findings.comparisons:
        table.add_row(
            each.what,
            quantity(each.ours, each.unit),
            "\n".join(f"{name}: {quantity(value, each.unit)}" for name, value in each.peers.items()),
            ratio_text(each),
            target_text(each),
            verdict(each),
        )
    console.print(table)
    for note in findings.notes:
        console.print(note, markup=False, highlight=False)


def quantity(value: float | None, unit: str) -> str:
    """Write a value with three significant digits, or all before the point, and its unit."""
    if value is None:
        return "-"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:,.{digits}f} {unit}"


def ratio_text(each: Comparison) -> str:
    """Write the ratio that the target is about; a limit in the unit itself has none."""
    if each.ratio is None or (each.target is not None and each.target.of is None):
        return "-"
    return f"{quantity(each.ratio, '×')}"


def target_text(each: Comparison) -> str:
    """Write the target: ``≥ 10 × mesh-sandbox, files`` or ``≤ 64 MB``."""
    if each.target is None:
        return "-"
    sign = "≥" if each.better == "higher" else "≤"
    if each.target.of is None:
        return f"{sign} {each.target.limit:g} {each.unit}"
    return f"{sign} {each.target.limit:g} × {each.target.of}"


def verdict(each: Comparison) -> str:
    """Write whether the target is met, and the reason if it is not."""
    said = {True: "met", False: "not met", None: "not measured" if each.target else ""}[each.met]
    if each.met is not True and each.reason:
        return f"{said}: {each.reason}" if said else each.reason
    return said


# -- the file ---------------------------------------------------------------------------------------


def write(path: Path, findings: Findings, *, quick: bool) -> None:
    """Write what a run found, in the layout of this module's first lines."""
    document = heading(quick=quick) | {
        "comparisons": [
            {**asdict(each), "ratio": each.ratio, "met": each.met} for each in findings.comparisons
        ],
        "notes": list(findings.notes),
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")


def read(path: Path) -> tuple[dict[str, Any], Findings]:
    """Read a file that :func:`write` wrote: all of it as it is, and what was found."""
    document = json.loads(path.read_text("utf-8"))
    comparisons = []
    for found in document["comparisons"]:
        fields = {name: value for name, value in found.items() if name not in ("ratio", "met")}
        target = fields["target"]
        comparisons.append(Comparison(**fields | {"target": Target(**target) if target else None}))
    return document, Findings(tuple(comparisons), tuple(document["notes"]))


def heading(*, quick: bool) -> dict[str, Any]:
    """Say when and where a run was made, and with what; the first part of every file of results."""
    return {
        "format": 1,
        "taken": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": quick,
        "machine": {
            "cores": len(os.sched_getaffinity(0)),
            "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
            "cpu": _cpu(),
            "system": f"{platform.system()} {platform.machine()}",
        },
        "versions": {"Python": platform.python_version(), **_versions(PACKAGES)},
    }


def machine_text(document: Mapping[str, Any]) -> str:
    """Write the machine's size as one phrase, from what :func:`heading` gave."""
    machine = document["machine"]
    return f"{machine['cores']} cores ({machine['cpu']}), {machine['memory_gb']} GB"


def _versions(packages: Iterable[str]) -> dict[str, str]:
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _fields(comparison: Comparison) -> dict[str, Any]:
    return {name: getattr(comparison, name) for name in comparison.__slots__}
