"""The mixed run: a server with its defaults, many kinds of clients, and what it uses all the while.

``soak.json`` holds:

``format``
    1
``taken``, ``minutes``, ``seed``, ``machine``
    when the run ended (UTC, ISO 8601), how long it was, the seed of its choices, ``cores`` and versions
``ended``
    how many messages were drained and reported, and lists checked for opt-outs
``operations``
    by name ``count``, ``p50_ms`` and ``p99_ms`` of the whole run
``growth``
    for memory, handles, threads and latency the medians of the second and the last fifth of the run, by how
    much the last may be above (``most``; null: by any), and whether that holds (``flat``)
``samples``
    every five seconds what :class:`soak.samples.Sample` has, operations as above but of these seconds
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import sys
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any, Final

from crashing.checks import check_folder
from crashing.server import Process
from rich.console import Console
from rich.table import Table

from soak.samples import Growth, Sample, Sampler, growth

_PATIENCE_S: Final = 180.0
"""How much longer than it was told to the load may take, until everything has come to its end."""


def run(seconds: float, seed: int, results: Path | None, console: Console) -> None:
    """Run it, print what it came to, and write ``soak.json`` and ``soak.png`` if a folder is given.

    Raises:
        AssertionError: something was lost, or memory, handles or threads did not stay flat.
    """
    with tempfile.TemporaryDirectory(prefix="mesh-sim-soak-") as folder:
        samples, outcome = asyncio.run(_measured(Path(folder), seconds, seed, console))
    grown = growth(samples)
    _show(grown, outcome, console)
    if results is not None:
        document = _document(seconds, seed, samples, outcome, grown)
        results.mkdir(parents=True, exist_ok=True)
        (results / "soak.json").write_text(json.dumps(document, indent=1) + "\n")
        from soak.picture import draw  # noqa: PLC0415 - matplotlib is only there for the long form

        draw(document, results / "soak.png")
    uneven = [each.what for each in grown if not each.flat]
    assert not uneven, f"not flat: {', '.join(uneven)}"
    console.print("Nothing lost; memory, handles, threads and latency are flat.")


async def _measured(
    folder: Path, seconds: float, seed: int, console: Console
) -> tuple[list[Sample], dict[str, Any]]:
    server = await Process.start(folder / "data")
    samples: list[Sample] = []
    outcome: dict[str, Any] = {}
    clients = folder / "clients"
    clients.mkdir()
    try:
        load = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "soak.clients", server.url, str(seconds), str(seed), str(clients),
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            assert load.stdout is not None
            sampler = Sampler(server.process.pid, folder / "data")
            async with asyncio.timeout(seconds + _PATIENCE_S):
                while line := await load.stdout.readline():
                    said = json.loads(line)
                    if "lately" not in said:
                        outcome = said
                        continue
                    samples.append(sampler.take(said["lately"]))
                    if len(samples) % 12 == 0:
                        _progress(samples[-1], console)
                assert await load.wait() == 0, "the clients found something wrong; see above"
        finally:
            if load.returncode is None:
                load.kill()
                await load.wait()
        assert await server.stop() == 0
    finally:
        await server.kill()
    check_folder(folder / "data")
    assert not [path for path in (folder / "data" / "payloads").rglob("*") if path.is_file()]
    log = (folder / "mesh-sim.log").read_text()
    assert not log, log
    return samples, outcome


def _progress(sample: Sample, console: Console) -> None:
    count = sum(taken["count"] for taken in sample.operations.values())
    console.print(
        f"{sample.at_s:6.0f} s  {sample.rss_mb:6.1f} MB  {sample.handles:3d} handles  {sample.cpu:4.0%} CPU  "
        f"{count / 5:4.0f} requests/s  {sample.payloads:4d} bodies",
        highlight=False,
    )


def _show(grown: list[Growth], outcome: dict[str, Any], console: Console) -> None:
    ended = outcome["ended"]
    console.print(", ".join(f"{count} {what}" for what, count in ended.items()), highlight=False)
    table = Table("operation", *("count", "p50 ms", "p99 ms"), title="Mixed run")
    for name, taken in outcome["operations"].items():
        table.add_row(name, str(taken["count"]), f"{taken['p50_ms']:.1f}", f"{taken['p99_ms']:.1f}")
    console.print(table)
    table = Table("", "second fifth", "last fifth", "may grow by", "", title="Medians")
    for each in grown:
        table.add_row(
            each.what,
            f"{each.second_fifth:.4g}",
            f"{each.last_fifth:.4g}",
            f"{each.most:g}" if isfinite(each.most) else "",
            ("flat" if isfinite(each.most) else "") if each.flat else "GROWS",
        )
    console.print(table)


def _document(
    seconds: float, seed: int, samples: list[Sample], outcome: dict[str, Any], grown: list[Growth]
) -> dict[str, Any]:
    return {
        "format": 1,
        "taken": datetime.now(UTC).isoformat(timespec="seconds"),
        "minutes": seconds / 60,
        "seed": seed,
        "machine": {
            "cores": os.cpu_count(),
            "system": platform.system(),
            "python": platform.python_version(),
        },
        "ended": outcome["ended"],
        "operations": outcome["operations"],
        "growth": [
            asdict(each) | {"most": each.most if isfinite(each.most) else None, "flat": each.flat}
            for each in grown
        ],
        "samples": [asdict(sample) for sample in samples],
    }
