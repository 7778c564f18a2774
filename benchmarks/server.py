"""Small messages on ``mesh-sim serve`` and on NHS's mesh-sandbox: send, get, acknowledge, drain, list.

Both with their default settings, the sandbox with its messages in files and in memory; requests are the same
and come from a process of its own, 16 at a time. Each round is taken in turns, and medians are compared. No
round begins afresh: messages stay on a server after they are acknowledged, and the sandbox is the slower the
more there are, so their number is among the notes, and so are the rates of the first round, with few of them.
A full run comes to some twenty thousand: what two practices send in a day. ``--only send`` measures one.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from load import Driver, answerer, driving, mesh_servers
from processes import Failed, Server, sandbox_name, temporary_folder
from results import Comparison, Findings, Target, finish, options

AT_ONCE, BODY = 16, 300
FILES = sandbox_name(files=True)
WHAT = {
    "send": "send a 300-byte message, 16 at a time",
    "get": "get a message, 16 at a time",
    "acknowledge": "acknowledge a message, 16 at a time",
    "drain": "drain an inbox: list, get, acknowledge",
}
LIST = "list"
SMALL_INBOX, SANDBOX_INBOX = 100, 5_000


@dataclass(slots=True)
class Timed:
    """The rounds of one job on one server."""

    rates: list[float] = field(default_factory=list)
    """Messages a second."""
    processor_ms: list[float] = field(default_factory=list)
    """The server's processor time for each message."""


Rounds = dict[str, dict[str, Timed]]
"""By job and server."""


def main() -> None:
    """Measure what was asked for, and print it."""
    parser = options(__doc__)
    parser.add_argument("--only", nargs="+", choices=[*WHAT, LIST], help="measure these alone")
    parser.add_argument("--rounds", type=int, help="rounds in turns (5; quick: 2)")
    parser.add_argument("--count", type=int, help="messages a round (2000; quick: 200)")
    parser.add_argument("--inbox", type=int, help="messages in the full inbox (100000; quick: 5000)")
    arguments = parser.parse_args()
    quick = arguments.quick
    wanted = arguments.only or [*WHAT, LIST]
    rounds = arguments.rounds or (2 if quick else 5)
    comparisons: list[Comparison] = []
    with temporary_folder() as folder, driving() as driver:
        notes = [ceiling(driver)]
        if jobs := [job for job in WHAT if job in wanted]:
            count = arguments.count or (200 if quick else 2000)
            found, lines = messages(driver, folder, jobs, rounds, count)
            comparisons.extend(found)
            notes.extend(lines)
        if LIST in wanted:
            full = arguments.inbox or (SANDBOX_INBOX if quick else 100_000)
            comparisons.append(
                listing(driver, folder, rounds, full, sandbox_full=1_000 if quick else SANDBOX_INBOX)
            )
    finish("server", Findings(tuple(comparisons), tuple(notes)), arguments)


def ceiling(driver: Driver) -> str:
    """Measure how fast the driver itself is, against a server that does next to nothing."""
    with answerer() as server:
        seconds = [driver.seconds(server, "plain", count=20_000, path="/", at_once=AT_ONCE) for _ in range(3)]
        return f"The driver makes {20_000 / median(seconds):,.0f} requests a second of {server.name}."


# -- messages ---------------------------------------------------------------------------------------


def messages(
    driver: Driver, folder: Path, jobs: Collection[str], rounds: int, count: int
) -> tuple[list[Comparison], list[str]]:
    """Send, get, acknowledge and drain as many messages on each server in turns."""
    found: Rounds = {job: {} for job in jobs}
    with mesh_servers(driver, folder / "messages") as (running, notes):
        for server in running:
            _round(driver, server, jobs, 100, {job: {} for job in jobs})
        for number in range(rounds):
            for server in running if number % 2 else reversed(running):
                _round(driver, server, jobs, count, found)
    kept = (100 + rounds * count) * (2 if "drain" in jobs else 1)
    notes.append(f"Each server was sent {kept:,} messages in {rounds} rounds, and keeps them.")
    notes.extend(_first_round(job, found[job]) for job in jobs)
    notes.extend(_processor_note(job, found[job]) for job in jobs)
    return [_comparison(job, found[job]) for job in jobs], notes


def _first_round(job: str, servers: dict[str, Timed]) -> str:
    """Say how fast each was while it held few messages."""
    rates = "; ".join(f"{name} {timed.rates[0]:,.0f} /s" for name, timed in servers.items())
    return f"In the first round, {job}: {rates}."


def _round(driver: Driver, server: Server, jobs: Collection[str], count: int, found: Rounds) -> None:
    """Do every job once; unless only sending is measured, the inbox is as empty afterwards as it was."""

    def done(job: str, **fields: Any) -> dict[str, Any]:
        before = server.processor_s()
        outcome = driver.do(server, job, at_once=AT_ONCE, **fields)
        if job in jobs:
            timed = found[job].setdefault(server.name, Timed())
            timed.rates.append(count / outcome["seconds"])
            timed.processor_ms.append((server.processor_s() - before) / count * 1000)
        return outcome

    ids = done("send", count=count, body_bytes=BODY)["ids"]
    if "get" in jobs:
        done("get", ids=ids, body_bytes=BODY)
    if jobs != ["send"]:
        done("acknowledge", ids=ids)
    if "drain" in jobs:
        done("send", count=count, body_bytes=BODY)
        done("drain", count=count)


def _comparison(job: str, found: dict[str, Timed]) -> Comparison:
    medians = {name: median(timed.rates) for name, timed in found.items()}
    ours = medians.pop("mesh-sim")
    reason = "" if FILES in medians else "mesh-sandbox was left out"
    return Comparison(WHAT[job], "/s", ours, medians, "higher", Target(10, FILES), reason)


def _processor_note(job: str, found: dict[str, Timed]) -> str:
    used = (
        f"{name} {median(timed.processor_ms):.2f} ms" for name, timed in sorted(found.items(), reverse=True)
    )
    return f"Processor time of the server for each message, {job}: {'; '.join(used)}."


# -- lists ------------------------------------------------------------------------------------------


def listing(driver: Driver, folder: Path, rounds: int, full: int, *, sandbox_full: int) -> Comparison:
    """List ten messages of a full inbox and of a small one, one request at a time."""
    small = f"mesh-sim, {SMALL_INBOX} held"
    repeats = 200
    times: dict[str, list[float]] = {}
    with mesh_servers(driver, folder / "list") as (running, _):
        ours = running[0]
        _fill_ours(ours, "X26ABC2", full)
        _fill_ours(ours, "X26ABC3", SMALL_INBOX)
        asked = [(ours, f"mesh-sim, {full:,} held", "X26ABC2"), (ours, small, "X26ABC3")]
        for sandbox in running[1:]:
            for held, before in ((SMALL_INBOX, 0), (sandbox_full, SMALL_INBOX)):
                driver.do(sandbox, "send", count=held - before, body_bytes=BODY, at_once=AT_ONCE)
                for _ in range(rounds):
                    taken = driver.seconds(
                        sandbox, "list", count=repeats, max_results=10, mailbox="X26ABC2", at_once=1
                    )
                    times.setdefault(f"{sandbox.name}, {held:,} held", []).append(taken)
        for _ in range(rounds):
            for server, name, mailbox in asked:
                taken = driver.seconds(
                    server, "list", count=repeats, max_results=10, mailbox=mailbox, at_once=1
                )
                times.setdefault(name, []).append(taken)
    medians = {name: median(every) / repeats * 1000 for name, every in times.items()}
    value = medians.pop(f"mesh-sim, {full:,} held")
    what = f"list 10 messages of an inbox that holds {full:,}"
    return Comparison(what, "ms", value, medians, "lower", Target(2, small))


def _fill_ours(server: Server, mailbox: str, count: int) -> None:
    """Put messages into an inbox by the control API, which is quicker than sending them."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=300)
    while count:
        portion = min(count, 10_000)
        connection.request(
            "POST", "/admin/messages", json.dumps({"to": mailbox, "count": portion, "body": "x" * BODY})
        )
        answer = connection.getresponse()
        if answer.read() and answer.status >= 300:
            raise Failed(f"filling the inbox was answered {answer.status}")
        count -= portion
    connection.close()


if __name__ == "__main__":
    main()
