"""`ndoo filter` on a long CSV against `polars` reading and writing the same file, with both peak memories.

Real processes, one after the other in turns; one line a kind of table. Nothing is asserted, since times
belong to the machine.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np
from processes import Run, installed, run, temporary_folder
from results import Comparison, Findings, finish, options

from ndoo.lists import Numbers, format_records, generate

_PEER = "polars, copying it"
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
    parser = options(__doc__)
    parser.add_argument("--count", type=int, help="rows in the table (10 million; quick: 500000)")
    parser.add_argument("--rounds", type=int, help="runs of each program (3; quick: 1)")
    arguments = parser.parse_args()
    count = arguments.count or (500_000 if arguments.quick else 10_000_000)
    rounds = arguments.rounds or (1 if arguments.quick else 3)
    runs: dict[str, tuple[list[Run], list[Run]]] = {}
    with temporary_folder() as folder:
        for kind, row in _KINDS.items():
            runs[kind] = _compare(folder, row, count, rounds)
    notes = () if installed("polars") else ("polars was left out: it is not installed",)
    finish("filtering", Findings(tuple(_comparisons(count, runs)), notes), arguments)


def _comparisons(count: int, runs: dict[str, tuple[list[Run], list[Run]]]) -> Iterator[Comparison]:
    for kind, (ours, theirs) in runs.items():
        what = f"ndoo filter, {count:,} rows, {kind}"
        peers = {_PEER: median(each.seconds for each in theirs)} if theirs else {}
        yield Comparison(what, "s", median(each.seconds for each in ours), peers, "lower")
    peak, *other = (
        max(each.peak_mb for pair in runs.values() for each in pair[side])
        for side in range(1 + installed("polars"))
    )
    what = f"ndoo filter, {count:,} rows: peak memory"
    yield Comparison(what, "MB", peak, dict(zip([_PEER], other, strict=False)), "lower")


def _compare(folder: Path, row: bytes, count: int, rounds: int) -> tuple[list[Run], list[Run]]:
    source, answer, target = folder / "patients.csv", folder / "answer.dat", folder / "out.csv"
    _write_table(source, answer, row, count)
    ours = [sys.executable, "-m", "ndoo", "filter", str(source), "--answer", str(answer), "-o", str(target)]
    theirs = [sys.executable, "-c", _COPY, str(source), str(target)]
    runs: tuple[list[Run], list[Run]] = ([], [])
    for _ in range(rounds):
        for command, ended in zip((ours, theirs), runs, strict=True):
            if command is ours or installed("polars"):
                ended.append(run(command))
                target.unlink()
    return runs


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


if __name__ == "__main__":
    main()
