"""The round trip of a long list: `ndoo check` against `mesh-sim serve`, timed, with both peak memories.

Two real processes over loopback, with their default settings but for one: any ten digits are a number, since
only then has the test range ten million different ones (each number is sent once, however often it is in a
list). Prints one line a kind of list; nothing is asserted, since times belong to the machine.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from ndoo.lists import TEST_RANGE, format_records

_RULE = ("--number-rule", "digits")


def main() -> None:
    """Run the round trips and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000_000, help="NHS numbers in the list")
    count = min(parser.parse_args().count, TEST_RANGE[1] - TEST_RANGE[0] + 1)
    table = Table(title=f"{count:,} NHS numbers through ndoo check", title_justify="left")
    for heading in ("list", "input", "seconds", "client peak", "server peak"):
        table.add_column(heading, justify="left" if heading == "list" else "right")
    with tempfile.TemporaryDirectory(prefix="mesh-sim-bench-") as folder:
        lists = Path(folder)
        plain = lists / "population.dat"
        _write_list(plain, count)
        csv = lists / "population.csv"
        _write_csv(plain, csv)
        for source, output, *options in (
            (plain, "cleaned.dat"),
            (plain, "population.cache", "--cache"),
            (csv, "cleaned.csv"),
        ):
            seconds, client, server = _round_trip(lists, source, lists / output, options)
            name = f"{source.suffix} to {Path(output).suffix}"
            size = f"{source.stat().st_size / 1e6:,.0f} MB"
            table.add_row(name, size, f"{seconds:.1f}", f"{client:.0f} MB", f"{server:.0f} MB")
    Console().print(table)


def _write_list(path: Path, count: int) -> None:
    """Write different numbers of the test range, in no order."""
    numbers = np.arange(TEST_RANGE[0], TEST_RANGE[0] + count, dtype=np.int64)
    np.random.default_rng(1).shuffle(numbers)
    with path.open("wb") as out:
        for block in np.array_split(numbers, 1 + count // 65_536):
            out.write(format_records(block))


def _write_csv(plain: Path, csv: Path) -> None:
    """Make a table of the same numbers, spaced as spreadsheets have them."""
    with plain.open("rb") as records, csv.open("wb") as table:
        table.write(b"Row,NHS Number,Postcode\r\n")
        for row, record in enumerate(records):
            table.write(b"%d,%s %s %s,ZZ99 3CZ\r\n" % (row, record[:3], record[3:6], record[6:10]))


def _round_trip(folder: Path, source: Path, output: Path, options: list[str]) -> tuple[float, float, float]:
    """Check one list on a server of its own; give seconds and the peak memory of client and server in MB."""
    with tempfile.TemporaryDirectory(dir=folder) as data:
        server = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "mesh_sim",
                "serve",
                "--port",
                "0",
                "--data",
                data,
                "--log-level",
                "error",
            ],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"MESH_SIM_NHS_NUMBER_RULE": "digits"},
        )
        try:
            assert server.stdout is not None
            found = re.search(r"http://\S+", server.stdout.readline())
            assert found is not None
            environment = os.environ | {"NDOO_URL": found[0], "NDOO_DATA": str(Path(data) / "ndoo")}
            began = time.perf_counter()
            client = subprocess.Popen(
                [sys.executable, "-m", "ndoo", "check", str(source), "-o", str(output), *options, *_RULE],
                env=environment,
                stdout=subprocess.DEVNULL,
            )
            _, status, usage = os.wait4(client.pid, 0)
            seconds = time.perf_counter() - began
            client.returncode = os.waitstatus_to_exitcode(status)
            if client.returncode != 0:
                raise SystemExit(f"ndoo check ended with {client.returncode}")
            return seconds, usage.ru_maxrss / 1024, _peak_mb(server.pid)
        finally:
            server.terminate()
            server.wait()


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


if __name__ == "__main__":
    main()
