"""`ndoo filter` on a long CSV against `polars` reading and writing the same file, with both peak memories.

Real processes, one after the other in turns. Prints the medians, one line a kind of table; nothing is
asserted, since times belong to the machine.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np
from rich.console import Console
from rich.table import Table

from ndoo.lists import Numbers, format_records, generate

_COPY = "import sys, polars; polars.read_csv(sys.argv[1]).write_csv(sys.argv[2])"
_HEADER = b"Row,NHS Number,Surname,Forename,Born,Address,Postcode,Practice,Seen\r\n"
_BEFORE, _AFTER = b",Testerton,Amy,1970-02-28,", b",ZZ99 3CZ,Y12345,2024-01-31\r\n"
_KINDS = {
    "no quotes": b"%d,%d" + _BEFORE + b"21 High Street;Sampleton;Mockshire" + _AFTER,
    "a quoted address": b"%d,%d" + _BEFORE + b'"21 High Street, Sampleton, Mocks"' + _AFTER,
    "spaced numbers": b"%d,%s %s %s" + _BEFORE + b"21 High Street;Sampleton;Mocksh" + _AFTER,
}


def main() -> None:
    """Run both programs in turns over each kind of table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000_000, help="rows in the table")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each program")
    arguments = parser.parse_args()
    table = Table(title=f"{arguments.count:,} rows through ndoo filter", title_justify="left")
    for heading in ("table", "input", "ndoo", "polars", "ratio", "ndoo peak", "polars peak"):
        table.add_column(heading, justify="left" if heading == "table" else "right")
    with tempfile.TemporaryDirectory(prefix="ndoo-bench-") as name:
        folder = Path(name)
        for kind, row in _KINDS.items():
            table.add_row(kind, *_compare(folder, row, arguments.count, arguments.rounds))
    Console().print(table)


def _compare(folder: Path, row: bytes, count: int, rounds: int) -> list[str]:
    source, answer, target = folder / "patients.csv", folder / "answer.dat", folder / "out.csv"
    _write_table(source, answer, row, count)
    ours = [sys.executable, "-m", "ndoo", "filter", str(source), "--answer", str(answer), "-o", str(target)]
    theirs = [sys.executable, "-c", _COPY, str(source), str(target)]
    runs = [(_run(ours, target), _run(theirs, target)) for _ in range(rounds)]
    seconds, peaks = median(run[0][0] for run in runs), max(run[0][1] for run in runs)
    their_seconds, their_peaks = median(run[1][0] for run in runs), max(run[1][1] for run in runs)
    return [
        f"{source.stat().st_size / 1e6:,.0f} MB",
        f"{seconds:.1f} s",
        f"{their_seconds:.1f} s",
        f"{seconds / their_seconds:.2f}",
        f"{peaks:,.0f} MB",
        f"{their_peaks:,.0f} MB",
    ]


def _write_table(source: Path, answer: Path, row: bytes, count: int) -> None:
    """Make the table, and the answer that removes every eighteenth of its rows."""
    written = 0
    with source.open("wb") as table, answer.open("wb") as records:
        table.write(_HEADER)
        for numbers in generate(count):
            table.write(b"".join(_rows(row, written, numbers)))
            written += len(numbers)
        for numbers in generate(min(count, 900_000)):
            records.write(format_records(numbers[np.arange(len(numbers)) % 18 > 0]))


def _rows(row: bytes, first: int, numbers: Numbers) -> Iterator[bytes]:
    if row.count(b"%s"):
        for position, digits in enumerate(format_records(numbers).splitlines(), first):
            yield row % (position, digits[:3], digits[3:6], digits[6:10])
    else:
        for position, number in enumerate(numbers.tolist(), first):
            yield row % (position, number)


def _run(command: list[str], target: Path) -> tuple[float, float]:
    """Run a program to its end; give its seconds and peak memory in MB, and remove what it wrote."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    target.unlink()
    return seconds, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
