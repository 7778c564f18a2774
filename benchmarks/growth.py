"""How cost grows: with the messages that are stored, and with the length of a list that is checked.

A ``mesh-sim serve`` with its default settings is filled to each size by the control API, every message
waiting in one inbox. Then, in turns, messages are sent, listed (ten at a time), downloaded and acknowledged,
16 requests at a time from a process of its own; those downloaded and acknowledged are chosen at random among
all that wait. The size is what was stored before: each round adds the messages that it sends. In the end each
server starts again over what it holds. Values are medians of rounds.

The list check is that of ``checkers.py``, in a process a length, with a register of the same size each time.
A short list is checked again and again, and the time is the median of those passes.

A full run is kept as ``results/growth.json`` and ``results/growth.png``.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import growth_plot
from list_check import MEMORY_MB, OURS, check, wide
from load import Driver, driving
from processes import Failed, Server, mesh_sim, temporary_folder
from results import RESULTS, Comparison, Findings, Target, finish, heading, options

from ndoo.lists import RECORD_BYTES

AT_ONCE, BODY, RECIPIENT = 16, 300, "X26ABC2"
SIZES = (100, 1_000, 10_000, 100_000, 1_000_000)
LENGTHS = (10_000, 100_000, 1_000_000, 10_000_000, 60_000_000)
FLAT = 1.5
"""How many times what it is at the smallest size a cost may be at the largest."""

_OPERATIONS = {
    "send_ms": "send a message",
    "list_ms": "list 10 messages",
    "get_ms": "get a message",
    "acknowledge_ms": "acknowledge a message",
}
_PORTION = 50_000
_STARTS = 3
_REGISTERED_FROM = 10_000_000
_NUMBERS_CHECKED = 3_000_000
_MOST_PASSES = 100


@dataclass(frozen=True, slots=True)
class Stored:
    """A server that holds so many messages: milliseconds an operation, and what it takes up."""

    messages: int
    send_ms: float
    list_ms: float
    get_ms: float
    acknowledge_ms: float
    memory_mb: float
    message_bytes: float
    """Bytes of the database a message."""
    start_s: float
    """Seconds to the first answer when started over what is stored."""
    fill_s: float


@dataclass(frozen=True, slots=True)
class Checked:
    """A list of so many numbers that was checked: nanoseconds a number, and the process's peak memory."""

    numbers: int
    number_ns: float
    peak_mb: float


def main() -> None:
    """Measure, print it, and draw it."""
    parser = options(__doc__)
    parser.add_argument("--only", choices=("messages", "lists"), help="measure these alone")
    parser.add_argument("--rounds", type=int, default=5, help="rounds a size (5)")
    parser.add_argument("--requests", type=int, help="requests a round and operation (300; quick: 100)")
    parser.add_argument("--most", type=int, help="messages stored at the most (1 million; quick: 10,000)")
    parser.add_argument(
        "--longest", type=int, help="numbers in the longest list (60 million; quick: 1 million)"
    )
    parser.add_argument("--plot", type=Path, metavar="PNG", help="keep and draw what was found there too")
    arguments = parser.parse_args()
    quick = arguments.quick
    most = arguments.most or (10_000 if quick else 1_000_000)
    longest = arguments.longest or (1_000_000 if quick else 60_000_000)
    requests = arguments.requests or (100 if quick else 300)
    stored: list[Stored] = []
    checked: list[Checked] = []
    if arguments.only != "lists":
        sizes = [size for size in SIZES if size <= most]
        with driving() as driver:
            stored = hold(driver, sizes, arguments.rounds, requests)
    if arguments.only != "messages":
        checked = check_lists([length for length in LENGTHS if length <= longest])
    finish("growth", Findings((*of_stored(stored), *of_checked(checked))), arguments)
    picture = arguments.plot or (None if quick or arguments.only else RESULTS / "growth.png")
    if picture is not None:
        document = heading(quick=quick) | {
            "stored": [asdict(each) for each in stored],
            "checked": [asdict(each) for each in checked],
        }
        found = picture.with_suffix(".json")
        found.parent.mkdir(exist_ok=True)
        found.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
        growth_plot.draw(found, picture)


# -- messages ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class Held:
    """A running server with messages waiting in it, and what was measured of it, in milliseconds."""

    size: int
    data: Path
    server: Server
    waiting: list[str]
    fill_s: float
    requests: int
    rounds: list[tuple[float, ...]] = field(default_factory=list)


def hold(driver: Driver, sizes: Sequence[int], rounds: int, requests: int) -> list[Stored]:
    """Fill a server to each size, measure them in turns, and start each anew."""
    with ExitStack() as folders:
        with ExitStack() as servers:
            held = []
            for size in sizes:
                data = folders.enter_context(temporary_folder())
                server = servers.enter_context(mesh_sim(data))
                began = time.perf_counter()
                waiting = fill(server, size)
                fill_s = time.perf_counter() - began
                held.append(Held(size, data, server, waiting, fill_s, min(requests, max(50, size // 5))))
            for number in range(rounds + 1):  # the first only warms the servers up
                for each in held if number % 2 else reversed(held):
                    each.rounds.append(measure(driver, each))
            memory = [each.server.memory_mb() for each in held]
        starts: list[list[float]] = [[] for _ in held]
        for _ in range(_STARTS):
            for each, seconds in zip(held, starts, strict=True):
                with mesh_sim(each.data) as again:
                    seconds.append(again.started_s)
        return [_summed_up(*each) for each in zip(held, memory, starts, strict=True)]


def _summed_up(held: Held, memory_mb: float, starts: Sequence[float]) -> Stored:
    database = sum(file.stat().st_size for file in held.data.glob("mesh-sim.db*"))
    message_bytes = database / (held.size + len(held.rounds) * held.requests)
    times = [median(values) for values in zip(*held.rounds[1:], strict=True)]
    return Stored(held.size, *times, memory_mb, message_bytes, median(starts), held.fill_s)


def fill(server: Server, count: int) -> list[str]:
    """Put messages into an inbox by the control API; give their ids."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=300)
    ids: list[str] = []
    try:
        while len(ids) < count:
            wish = {"to": RECIPIENT, "count": min(_PORTION, count - len(ids)), "body": "x" * BODY}
            connection.request("POST", "/admin/messages", json.dumps(wish))
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 201:
                raise Failed(f"filling the inbox was answered {answer.status}")
            ids.extend(json.loads(text)["message_ids"])
    finally:
        connection.close()
    return ids


def measure(driver: Driver, held: Held) -> tuple[float, ...]:
    """Give the milliseconds of send, list, get, acknowledge, each the mean of a round's requests."""
    places = random.sample(range(len(held.waiting)), held.requests)
    chosen = [held.waiting[place] for place in places]

    def timed(job: str, **fields: Any) -> tuple[float, dict[str, Any]]:
        outcome = driver.do(held.server, job, at_once=AT_ONCE, **fields)
        return float(outcome["seconds"]) / held.requests * 1000, outcome

    send_ms, outcome = timed("send", count=held.requests, body_bytes=BODY)
    list_ms, _ = timed("list", count=held.requests, max_results=10, mailbox=RECIPIENT)
    get_ms, _ = timed("get", ids=chosen, body_bytes=BODY)
    acknowledge_ms, _ = timed("acknowledge", ids=chosen)
    # What was sent waits in place of what was acknowledged.
    for place, message_id in zip(places, outcome["ids"], strict=True):
        held.waiting[place] = message_id
    return send_ms, list_ms, get_ms, acknowledge_ms


# -- lists ------------------------------------------------------------------------------------------


def check_lists(lengths: Sequence[int]) -> list[Checked]:
    """Check lists of these lengths, ascending: each is the beginning of the next."""
    found = []
    with temporary_folder() as folder:
        task = wide(folder, lengths[-1], registered_from=min(_REGISTERED_FROM, lengths[-1]))
        for length in reversed(lengths):
            os.truncate(task.numbers, length * RECORD_BYTES)
            passes = min(_MOST_PASSES, max(3, _NUMBERS_CHECKED // length))
            outcome = check(OURS, replace(task, count=length), folder / "answer.dat", passes)
            found.append(Checked(length, outcome.check_s / length * 1e9, outcome.peak_mb))
    return found[::-1]


# -- what came of it --------------------------------------------------------------------------------


def of_stored(stored: Sequence[Stored]) -> Iterator[Comparison]:
    """Compare the largest size with the others."""
    values = {
        **{f"{what}, {AT_ONCE} at a time": ("ms", name) for name, what in _OPERATIONS.items()},
        "memory of the server": ("MB", "memory_mb"),
        "database, a message": ("bytes", "message_bytes"),
        "start to first answer": ("s", "start_s"),
    }
    if len(stored) > 1:
        for what, (unit, name) in values.items():
            *less, (most, value) = [(f"{each.messages:,} stored", getattr(each, name)) for each in stored]
            yield Comparison(f"{what}, {most}", unit, value, dict(less), "lower", Target(FLAT, less[0][0]))


def of_checked(checked: Sequence[Checked]) -> Iterator[Comparison]:
    """Compare the longest list with the others."""
    if len(checked) > 1:
        *less, most = checked
        length = f"{most.numbers:,}"
        times = {f"{each.numbers:,}": each.number_ns for each in less}
        target = Target(FLAT, f"{less[0].numbers:,}")
        yield Comparison(f"check a number of {length}", "ns", most.number_ns, times, "lower", target)
        peaks = {f"{each.numbers:,}": each.peak_mb for each in less}
        yield Comparison(
            f"check {length}, peak memory", "MB", most.peak_mb, peaks, "lower", Target(MEMORY_MB)
        )


if __name__ == "__main__":
    main()
