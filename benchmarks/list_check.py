"""The check of a list against the opt-out register, beside the anti-joins of polars and duckdb.

The task is what the opt-out service does with a submission: a ``.dat`` file of records in, the same file
without the people who opted out, and the register, which 5.4 % of the numbers are in. mesh-sim validates
every record (ten digits, the check digit); the others validate nothing. Each tool is a process of its own on
all cores, with the same files, in turns; timed from opening the files, the register's too, to closing the
answer, without imports. Every answer is compared: polars' has to be the same file, duckdb's the same records,
since it keeps no order. The ways of the tools are in ``checkers.py``.

Three kinds of lists, since numbers for tests are few and close together:

- valid numbers of the test range, drawn again and again, of whom those in the register opted out;
- the same with the synthetic rule in place of a register, which the others get as a register;
- numbers spread as widely as real ones, hardly any twice. They have a wrong check digit, so as to be
  nobody's, and the rule is ``digits``: the check digit is computed all the same, and not held against them.
"""

from __future__ import annotations

import filecmp
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from processes import Failed, run, temporary_folder
from results import Comparison, Findings, Target, finish, options

from mesh_sim.optouts.snapshot import SyntheticRule
from ndoo.lists import NumberRule, Numbers, RecordReader, check_digits, format_records, generate

OURS, PEERS = "mesh-sim", ("polars", "duckdb")
RATE = 0.054
TARGET = Target(2, "polars")
MEMORY_MB = 300
_BLOCK = 65_536
_TEST_NUMBERS = 900_000
_WIDE_STEMS = (400_000_000, 800_000_000)


@dataclass(frozen=True, slots=True)
class Task:
    """A list, the register, and what mesh-sim is told of them."""

    name: str
    count: int
    numbers: Path
    register: Path
    rule: NumberRule
    rate: float = 0.0
    """The synthetic one; the register stands for it in the others' task."""


@dataclass(frozen=True, slots=True)
class Check:
    """One process that checked a list: seconds, and its peak memory in MB."""

    register_s: float
    check_s: float
    processor_s: float
    peak_mb: float


def main() -> None:
    """Measure, and print it."""
    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, help="rounds in turns (5; quick: 3)")
    parser.add_argument("--count", type=int, help="numbers in a list (10 million; quick: 1 million)")
    parser.add_argument("--long", type=int, help="numbers in the longest list (60 million; quick: 3 million)")
    arguments = parser.parse_args()
    quick = arguments.quick
    count = arguments.count or (1_000_000 if quick else 10_000_000)
    long = arguments.long or (3_000_000 if quick else 60_000_000)
    comparisons = []
    with temporary_folder() as folder:
        for task in (test_range(folder, count), by_rule(folder, count), wide(folder, count)):
            rounds = compared(task, folder, arguments.rounds or (3 if quick else 5))
            comparisons.extend((_speed(task, rounds), _processor(task, rounds)))
            task.numbers.unlink()
        task = wide(folder, long)
        rounds = compared(task, folder, 1)
        comparisons.extend((_speed(task, rounds, None), _memory(task, rounds)))
    finish("list_check", Findings(tuple(comparisons)), arguments)


# -- lists ------------------------------------------------------------------------------------------


def test_range(folder: Path, count: int) -> Task:
    """Make a list of valid numbers of the test range."""
    random = np.random.default_rng(1)
    pool = np.concatenate(list(generate(_TEST_NUMBERS)))
    numbers, register = folder / "test-range.dat", folder / "test-range-register.dat"
    _write(numbers, _drawn(pool, count, random))
    _write(register, [pool[random.random(len(pool)) < RATE]])
    return Task(f"check {count:,} numbers, each validated", count, numbers, register, NumberRule.CHECKSUM)


def by_rule(folder: Path, count: int) -> Task:
    """Make such a list for the synthetic rule; the register is everybody to whom the rule applies."""
    pool = np.concatenate(list(generate(_TEST_NUMBERS)))
    numbers, register = folder / "rule.dat", folder / "rule-register.dat"
    _write(numbers, _drawn(pool, count, np.random.default_rng(1)))
    _write(register, [pool[SyntheticRule(RATE, seed=1).opted_out(pool)]])
    name = f"check {count:,} numbers by the synthetic rule"
    return Task(name, count, numbers, register, NumberRule.CHECKSUM, RATE)


def wide(folder: Path, count: int, *, registered_from: int | None = None) -> Task:
    """Make a list of numbers spread as widely as real ones.

    Args:
        folder: where the list and its register go.
        count: numbers in the list.
        registered_from: how many numbers of the list those in the register are chosen from; None for all.
    """
    random = np.random.default_rng(2)
    numbers, register = folder / "wide.dat", folder / "wide-register.dat"
    with numbers.open("wb") as listed, register.open("wb") as registered:
        for start in range(0, count, _BLOCK):
            stems = random.integers(*_WIDE_STEMS, min(_BLOCK, count - start))
            block = stems * 10 + (check_digits(stems) + 1) % 10
            listed.write(format_records(block))
            if start < (registered_from or count):
                registered.write(format_records(block[random.random(len(block)) < RATE]))
    name = f"check {count:,} numbers spread as widely as real ones"
    return Task(name, count, numbers, register, NumberRule.DIGITS)


def _drawn(pool: Numbers, count: int, random: np.random.Generator) -> Iterator[Numbers]:
    for start in range(0, count, _BLOCK):
        yield pool[random.integers(0, len(pool), min(_BLOCK, count - start))]


def _write(path: Path, blocks: Iterator[Numbers] | Sequence[Numbers]) -> None:
    with path.open("wb") as out:
        out.writelines(map(format_records, blocks))


# -- checks -----------------------------------------------------------------------------------------


def compared(task: Task, folder: Path, rounds: int) -> dict[str, list[Check]]:
    """Check a list with every tool in turns.

    Raises:
        Failed: two tools gave different answers.
    """
    tools = (OURS, *PEERS)
    answers = {tool: folder / f"answer-{tool}.dat" for tool in tools}
    found: dict[str, list[Check]] = {tool: [] for tool in tools}
    for number in range(rounds):
        for tool in tools if number % 2 else reversed(tools):
            found[tool].append(check(tool, task, answers[tool]))
        if number == 0:
            _compare(task, answers)
    for answer in answers.values():
        answer.unlink()
    return found


def check(tool: str, task: Task, output: Path, passes: int = 1) -> Check:
    """Check a list in a process of its own."""
    script = Path(__file__).with_name("checkers.py")
    files = (task.numbers, task.register if tool != OURS or not task.rate else Path("/dev/null"), output)
    command = [sys.executable, script, tool, *files, task.rule, task.rate, passes]
    return Check(**json.loads(run([str(part) for part in command]).output))


def _compare(task: Task, answers: dict[str, Path]) -> None:
    if not filecmp.cmp(answers[OURS], answers["polars"], shallow=False):
        raise Failed(f"{task.name}: polars gave another answer than {OURS}")
    ours, theirs = _fingerprint(answers[OURS]), _fingerprint(answers["duckdb"])
    if ours != theirs or not 0 < ours[0] < task.count:
        raise Failed(f"{task.name}: {OURS} kept {ours[0]:,} records, duckdb {theirs[0]:,}, or others")


def _fingerprint(path: Path) -> tuple[int, int]:
    """Count an answer's records and sum up a hash of each: the same for the same records in any order."""
    count, total = 0, np.uint64(0)
    with path.open("rb") as source:
        for block in RecordReader(NumberRule.DIGITS).read(iter(lambda: source.read(1 << 20), b"")):
            mixed = block.numbers.astype(np.uint64) * np.uint64(0x9E37_79B9_7F4A_7C15)
            mixed ^= mixed >> np.uint64(32)
            count += len(block)
            total = np.add.reduce(mixed * np.uint64(0xBF58_476D_1CE4_E5B9), initial=total)
    return count, int(total)


# -- what came of it --------------------------------------------------------------------------------


def _speed(task: Task, rounds: dict[str, list[Check]], target: Target | None = TARGET) -> Comparison:
    rates = {
        tool: task.count / median(each.register_s + each.check_s for each in checks) / 1e6
        for tool, checks in rounds.items()
    }
    ours, reason = rates.pop(OURS), ""
    if target is not None and target.of in rates:
        used = _processor_s(rounds)
        # In two threads it took longer: numpy's steps are so short that they mostly wait for each other.
        reason = f"on one core, with 1/{used[target.of] / used[OURS]:.1f} of {target.of}' processor time"
    return Comparison(task.name, "million/s", ours, rates, "higher", target, reason)


def _processor_s(rounds: dict[str, list[Check]]) -> dict[str, float]:
    return {tool: median(each.processor_s for each in checks) for tool, checks in rounds.items()}


def _processor(task: Task, rounds: dict[str, list[Check]]) -> Comparison:
    """Compare what is left of a comparison where other programs take their share of the cores."""
    times = _processor_s(rounds)
    ours = times.pop(OURS)
    return Comparison(f"processor time to {task.name}", "s", ours, times, "lower")


def _memory(task: Task, rounds: dict[str, list[Check]]) -> Comparison:
    peaks = {tool: median(each.peak_mb for each in checks) for tool, checks in rounds.items()}
    ours = peaks.pop(OURS)
    return Comparison(f"peak memory to {task.name}", "MB", ours, peaks, "lower", Target(MEMORY_MB))


if __name__ == "__main__":
    main()
