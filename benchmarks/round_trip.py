"""The round trip of a long list: `ndoo check` against `mesh-sim serve`, timed, with both peak memories.

Two real processes over loopback, with their default settings but for one: any ten digits are a number, since
only then has the test range ten million different ones (each number is sent once, however often it is in a
list). One line a kind of list; nothing is asserted, since times belong to the machine.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from processes import mesh_sim, run, temporary_folder
from results import Comparison, Findings, finish, options

from ndoo.lists import TEST_RANGE, format_records

_RULE = ("--number-rule", "digits")


def main() -> None:
    """Run the round trips, and print what they took."""
    parser = options(__doc__)
    parser.add_argument("--count", type=int, help="NHS numbers in the list (10 million; quick: 500000)")
    arguments = parser.parse_args()
    count = arguments.count or (500_000 if arguments.quick else 10_000_000)
    count = min(count, TEST_RANGE[1] - TEST_RANGE[0] + 1)
    comparisons, clients, servers = [], [], []
    with temporary_folder() as folder:
        plain, csv = folder / "population.dat", folder / "population.csv"
        _write_list(plain, count)
        _write_csv(plain, csv)
        for source, output, *further in (
            (plain, "cleaned.dat"),
            (plain, "population.cache", "--cache"),
            (csv, "cleaned.csv"),
        ):
            seconds, client, server = _round_trip(folder, source, folder / output, further)
            clients.append(client)
            servers.append(server)
            what = f"ndoo check, {count:,} numbers, {source.suffix} to {Path(output).suffix}"
            comparisons.append(Comparison(what, "s", seconds, better="lower"))
    for who, peaks in (("the client's", clients), ("the server's", servers)):
        what = f"ndoo check, {count:,} numbers: {who} peak memory"
        comparisons.append(Comparison(what, "MB", max(peaks), better="lower"))
    finish("round_trip", Findings(tuple(comparisons)), arguments)


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


def _round_trip(folder: Path, source: Path, output: Path, further: list[str]) -> tuple[float, float, float]:
    """Check one list on a server of its own; give seconds and the peak memory of client and server in MB."""
    with (
        tempfile.TemporaryDirectory(dir=folder) as data,
        mesh_sim(Path(data), MESH_SIM_NHS_NUMBER_RULE="digits") as server,
    ):
        command = [sys.executable, "-m", "ndoo", "check", str(source), "-o", str(output), *further, *_RULE]
        ended = run(command, {"NDOO_URL": server.url, "NDOO_DATA": str(Path(data) / "ndoo")})
        return ended.seconds, ended.peak_mb, server.peak_mb()


if __name__ == "__main__":
    main()
