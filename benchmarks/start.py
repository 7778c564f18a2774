"""From nothing to the first answer: ``mesh-sim serve`` and mesh-sandbox as processes, and the pytest fixture.

Each process is started with an empty folder, in turns, and asked every two milliseconds until it answers. The
fixture is what ``with Simulator()`` does, in a process where pytest would have imported it.
"""

from __future__ import annotations

import json
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import median

from processes import Failed, Server, mesh_sandbox, mesh_sim, run, sandbox_name, temporary_folder
from results import Comparison, Findings, Target, finish, options

FILES, MEMORY = sandbox_name(files=True), sandbox_name(files=False)
_FIXTURE = """
import json, sys, time
began = time.perf_counter()
from mesh_sim.embedded.simulator import Simulator
times = [time.perf_counter() - began]
for _ in range(int(sys.argv[1])):
    began = time.perf_counter()
    with Simulator():
        times.append(time.perf_counter() - began)
print(json.dumps(times))
"""


def main() -> None:
    """Start everything some times, and print the medians."""
    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, help="starts of each (11; quick: 3)")
    arguments = parser.parse_args()
    rounds = arguments.rounds or (3 if arguments.quick else 11)
    notes = []
    with temporary_folder() as folder:
        times: dict[str, list[float]] = {}
        used: dict[str, list[float]] = {}
        for number in range(rounds + 1):
            for name in ("mesh-sim", FILES, MEMORY):
                try:
                    with _server(name, folder / f"{name}-{number}") as server:
                        times.setdefault(name, []).append(server.started_s)
                        used.setdefault(name, []).append(server.processor_s())
                except Failed as failure:
                    notes.append(f"{name} was left out: {failure}")
    # The first start of each is left out: it compiles, and reads what nobody has read yet.
    medians = {name: median(every[1:]) for name, every in times.items()}
    ours = medians.pop("mesh-sim")
    processor = "; ".join(f"{name} {median(every[1:]):.2f} s" for name, every in used.items())
    notes.append(f"Processor time until the first answer: {processor}.")
    imported, first, *later = json.loads(run([sys.executable, "-c", _FIXTURE, str(rounds)]).output)
    notes.append(
        f"The fixture's import takes {imported * 1000:.0f} ms, its first start {first * 1000:.0f} ms."
    )
    reason = _floor(rounds) if FILES in medians else "mesh-sandbox was left out"
    comparisons = (
        Comparison("start to first answer", "s", ours, medians, "lower", Target(0.5, FILES), reason),
        Comparison("start of the pytest fixture", "ms", median(later) * 1000, {}, "lower", Target(100)),
    )
    finish("start", Findings(comparisons, tuple(dict.fromkeys(notes))), arguments)


def _floor(rounds: int) -> str:
    """Say how much of a start is spent in what is imported, whatever follows."""
    web, more = (
        median(run([sys.executable, "-c", f"import {modules}"]).seconds for _ in range(rounds))
        for modules in ("aiohttp.web", "aiohttp.web, numpy, pydantic_settings, typer")
    )
    return (
        f"a process that only imports aiohttp takes {web:.2f} s, with numpy, pydantic and typer {more:.2f} s"
    )


def _server(name: str, folder: Path) -> AbstractContextManager[Server]:
    if name == "mesh-sim":
        return mesh_sim(folder)
    return mesh_sandbox(folder if name == FILES else None)


if __name__ == "__main__":
    main()
