"""One list check as a process of its own: ``checkers.py TOOL LIST REGISTER OUTPUT RULE RATE PASSES``.

Every tool reads the same two files and writes the answer as the opt-out service gives it: the records of the
list, ``9991234567,`` a line, without those of people in the register. ``mesh-sim`` is the list checker that
answers submissions, fed as the service's worker feeds it; it validates each record by RULE and applies the
synthetic RATE, while the others take every line for a number and know no rate. Each is asked in its fastest
way: streaming from file to file, columns typed, on all cores.

Printed as JSON: ``register_s`` and ``check_s``, seconds after all imports; ``processor_s``, the processor
time of both on all cores; and ``peak_mb``, the process's peak memory. ``register_s`` is reading and preparing
the register where that is a step of its own, ``check_s`` the median of the PASSES over the list.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

BLOCK_BYTES = 1024 * 1024
"""How the payload store gives a body to the worker."""


def mesh_sim(numbers: Path, register: Path, output: Path, rule: str, rate: float) -> Iterator[float]:
    """Check with the service's own code."""
    from mesh_sim.optouts.checker import ListChecker  # noqa: PLC0415 - no tool pays for another's imports
    from mesh_sim.optouts.snapshot import OptOutSnapshot, SyntheticRule  # noqa: PLC0415 - the same
    from ndoo.lists import NumberRule, NumberSet, RecordReader  # noqa: PLC0415 - the same

    def opted_out() -> NumberSet:
        with register.open("rb", buffering=0) as source:
            blocks = RecordReader(NumberRule.DIGITS).read(iter(lambda: source.read(BLOCK_BYTES), b""))
            return NumberSet.from_arrays(block.numbers for block in blocks)

    yield 0.0
    began = time.perf_counter()
    explicit = opted_out()
    yield time.perf_counter() - began
    snapshot = OptOutSnapshot(explicit, NumberSet.from_arrays(()), SyntheticRule(rate, seed=1))
    while True:
        output.unlink(missing_ok=True)  # writing over a file waits for the disk
        began = time.perf_counter()
        checker = ListChecker(snapshot, NumberRule(rule))
        with numbers.open("rb", buffering=0) as source, output.open("wb", buffering=0) as answer:
            while block := source.read(BLOCK_BYTES):
                answer.writelines(checker.feed(block))
            answer.writelines(checker.finish())
        if not checker.acceptable:
            raise SystemExit("the list is not valid")
        yield time.perf_counter() - began


def polars(numbers: Path, register: Path, output: Path, _rule: str, _rate: float) -> Iterator[float]:
    """Check with polars' anti-join, streaming; the comma of a record makes a second, empty column."""
    import polars as pl  # noqa: PLC0415 - the same

    def scan(path: Path) -> pl.LazyFrame:
        schema = {"number": pl.Int64, "rest": pl.String}
        return pl.scan_csv(path, has_header=False, schema=schema, quote_char=None)

    yield 0.0
    yield 0.0
    while True:
        output.unlink(missing_ok=True)  # writing over a file waits for the disk
        began = time.perf_counter()
        kept = scan(numbers).join(
            scan(register).select("number"), on="number", how="anti", maintain_order="left"
        )
        kept.sink_csv(output, include_header=False, quote_style="never")
        yield time.perf_counter() - began


def duckdb(numbers: Path, register: Path, output: Path, _rule: str, _rate: float) -> Iterator[float]:
    """Check with duckdb's anti-join; it does not keep the order of the list."""
    import duckdb  # noqa: PLC0415 - the same

    def scan(path: Path) -> str:
        layout = "columns = {'number': 'BIGINT', 'rest': 'VARCHAR'}, quote = '', escape = ''"
        return f"read_csv('{path}', header = false, delim = ',', {layout})"

    yield 0.0
    yield 0.0
    while True:
        output.unlink(missing_ok=True)  # writing over a file waits for the disk
        began = time.perf_counter()
        with duckdb.connect() as connection:
            connection.execute(
                f"COPY (SELECT * FROM {scan(numbers)} ANTI JOIN {scan(register)} other USING (number)) "
                f"TO '{output}' (HEADER false, DELIMITER ',', QUOTE '', ESCAPE '')"
            )
        yield time.perf_counter() - began


# Each gives one value once it has imported what it needs, then the seconds for the register, then those of
# each pass.
TOOLS: dict[str, Callable[[Path, Path, Path, str, float], Iterator[float]]] = {
    "mesh-sim": mesh_sim,
    "polars": polars,
    "duckdb": duckdb,
}


def main() -> None:
    """Check as the command line says."""
    tool, numbers, register, output, rule, rate, passes = sys.argv[1:]
    checking = TOOLS[tool](Path(numbers), Path(register), Path(output), rule, float(rate))
    next(checking)
    before_s = time.process_time()
    register_s = next(checking)
    check_s = median(next(checking) for _ in range(int(passes)))
    processor_s = time.process_time() - before_s
    found = {"register_s": register_s, "check_s": check_s, "processor_s": processor_s, "peak_mb": _peak_mb()}
    print(json.dumps(found))


def _peak_mb() -> float:
    # Not getrusage's: that begins with what the starting process held.
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


if __name__ == "__main__":
    main()
