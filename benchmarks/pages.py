"""How long each page takes, what it weighs, and what pages that are open cost the clients.

A ``mesh-sim serve`` with its default settings is filled to each size by the control API, most messages
waiting in one inbox; the journal, which keeps the last 100,000 requests, by reads of a process of its own. A
hundred lists are checked, a rehearsal is begun, and requests are refused, with near misses and with all that
a client can write into them. Then every page is asked for in turns, over a connection that is kept, and the
whole answer read: medians and the slowest of the rounds. What a page weighs is all that a browser fetches for
it: with its style sheet, the script and the icon. The first page after a start has to import what makes
pages, so it is measured by itself, in servers started over what is stored.

At the first size some overviews are then kept open, as their script does: told of each request, they fetch
themselves, once a second at most. Meanwhile an inbox is listed so many times a second by another process.
What a client waits counts from when its request was due.

A full run is kept as ``results/pages.json``.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles

from growth import RECIPIENT, fill
from load import Driver, driving
from processes import Failed, Server, mesh_sim, temporary_folder
from results import RESULTS, Comparison, Findings, Target, finish, heading, options

SLOWEST_MS, HEAVIEST_KB = 100, 100
SIZES = (100_000, 1_000_000)
RATES, OPEN = (500, 3_000), (0, 1, 10, 50)
SENDER, REFUSED = "X26ABC1", "X26ABC3"

_KEPT_REQUESTS = 100_000
_ALSO_FETCHED = ("/assets/live.js", "/assets/icon.svg")
_KINDS = "request,message-accepted,clock"
_AT_ONCE = 16
_WAITING_ROUNDS = 5
_LONG = "<text & more of it>" * 25


@dataclass(frozen=True, slots=True)
class Shown:
    """A page over so many messages: milliseconds, and kB with all that is fetched for it."""

    page: str
    messages: int
    median_ms: float
    slowest_ms: float
    weight_kb: float


@dataclass(frozen=True, slots=True)
class First:
    """The overview as the first page after a start over so many messages, in milliseconds."""

    messages: int
    median_ms: float
    slowest_ms: float


@dataclass(frozen=True, slots=True)
class Waited:
    """What clients waited while pages were open, in milliseconds; and how often these fetched themselves."""

    requests_s: int
    open_pages: int
    p50_ms: float
    p99_ms: float
    looks_s: float


def main() -> None:
    """Measure, and print it."""
    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, default=21, help="rounds (21)")
    parser.add_argument("--starts", type=int, help="starts for the first page (9; quick: 3)")
    parser.add_argument("--seconds", type=float, help="seconds a round of open pages (3; quick: 0.5)")
    parser.add_argument("--most", type=int, help="messages stored at the most (1 million; quick: 2,000)")
    arguments = parser.parse_args()
    quick = arguments.quick
    most = arguments.most or (2_000 if quick else SIZES[-1])
    sizes = [size for size in SIZES if size <= most] or [most]
    starts = arguments.starts or (3 if quick else 9)
    seconds = arguments.seconds or (0.5 if quick else 3)
    shown: list[Shown] = []
    first: list[First] = []
    waited: list[Waited] = []
    with driving() as driver:
        for size in sizes:
            with temporary_folder() as data:
                with mesh_sim(data) as server:
                    shown += show(server, fill_up(server, driver, size), size, arguments.rounds)
                    if size == sizes[0]:
                        waited = wait(server, driver, seconds)
                first.append(begin(data, size, starts))
    finish("pages", Findings((*of_shown(shown), *of_first(first), *of_waited(waited))), arguments)
    if not quick and arguments.most is None:
        document = heading(quick=quick) | {
            "shown": [asdict(each) for each in shown],
            "first": [asdict(each) for each in first],
            "waited": [asdict(each) for each in waited],
        }
        (RESULTS / "pages.json").write_text(json.dumps(document, indent=1) + "\n", "utf-8")


# -- what there is to be shown ----------------------------------------------------------------------


def fill_up(server: Server, driver: Driver, count: int) -> dict[str, str]:
    """Fill a server; give the pages to ask for by what they are."""
    waiting = fill(server, count)
    driver.do(server, "handshake", mailbox=RECIPIENT, at_once=1)
    done, requests = 0, min(count, _KEPT_REQUESTS)
    while done < requests:
        portion = min(2_000, requests - done)
        driver.do(server, "list", count=portion, max_results=10, mailbox=RECIPIENT, at_once=_AT_ONCE)
        done += portion
    _submit(server, 100)
    _control(server, "/admin/witness", {"mailbox": SENDER, "case": "401"})
    _refuse(server)
    mailbox = f"/mailboxes/{RECIPIENT}"
    return {
        "overview": "/",
        "inbox": mailbox,
        "inbox, a subject nobody has": f"{mailbox}?subject=nothing-has-this",
        "inbox, those accepted": f"{mailbox}?status=accepted",
        "inbox, a workflow nobody has": f"{mailbox}?workflow=NOTHING",
        "inbox, long subjects and ids": f"/mailboxes/{REFUSED}",
        "outbox": f"/mailboxes/{SENDER}?side=outbox",
        "message": f"/messages/{waiting[len(waiting) // 2]}",
        "submissions": "/submissions",
        "opt-outs": "/opt-outs",
        "clock and faults": "/clock-and-faults",
        "witness test": "/witness",
        "rehearsal": f"/witness/{SENDER}",
        "journal": "/journal",
        "journal, a mailbox nobody has": "/journal?mailbox=NONE",
        "journal, refusals with long reasons": "/journal?refused=true",
    }


def _submit(server: Server, count: int) -> None:
    check = {"workflow_id": "SPINE_NTT_UPHOLDING", "local_id": "list", "subject": "list"}
    body = "9990000018,\r\n9990000026,\r\n"
    _control(
        server, "/admin/messages", {"to": "X26HC065", "from": SENDER, "count": count, "body": body, **check}
    )


def _refuse(server: Server) -> None:
    """Have requests refused that say as much as there is room for, and messages that do kept."""
    long = {"to": REFUSED, "from": SENDER, "workflow_id": "W" * 100, "count": 100, "body": "x"}
    _control(server, "/admin/messages", long | {"subject": _LONG[:300], "local_id": _LONG[:100]})
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    for number in range(100):
        token = f"nhsmesh  {REFUSED.lower()}:{_LONG}:{number}:202001010000:{'f' * 64}"
        headers = {"Authorization": token, "User-Agent": _LONG}
        connection.request("GET", f"/messageexchange/{REFUSED}/inbox/{'M' * 100}{number}", headers=headers)
        connection.getresponse().read()
    connection.close()


def _control(server: Server, path: str, wish: dict[str, object]) -> None:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    connection.request("POST", path, json.dumps(wish))
    answer = connection.getresponse()
    text = answer.read()
    if answer.status >= 300:
        raise Failed(f"{path} was answered {answer.status}: {text.decode()}")
    connection.close()


# -- pages ------------------------------------------------------------------------------------------


def show(server: Server, addresses: dict[str, str], messages: int, rounds: int) -> list[Shown]:
    """Ask for every page in turns; the first round imports what makes them, and is left out."""
    times: dict[str, list[float]] = {name: [] for name in addresses}
    sizes: dict[str, int] = {}
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    more = sum(len(_asked(connection, path)) for path in _ALSO_FETCHED)
    for number in range(rounds + 1):
        for name, path in addresses.items():
            began = time.perf_counter()
            sizes[name] = len(_asked(connection, path)) + more
            if number:
                times[name].append((time.perf_counter() - began) * 1000)
    connection.close()
    return [
        Shown(name, messages, median(all_), max(all_), sizes[name] / 1000) for name, all_ in times.items()
    ]


def begin(data: Path, messages: int, starts: int) -> First:
    """Start servers over what is stored, and ask each for the overview."""
    times = []
    for _ in range(starts):
        with mesh_sim(data) as server:
            connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
            began = time.perf_counter()
            _asked(connection, "/")
            times.append((time.perf_counter() - began) * 1000)
            connection.close()
    return First(messages, median(times), max(times))


def _asked(connection: http.client.HTTPConnection, path: str) -> bytes:
    connection.request("GET", path, headers={"Accept": "text/html"})
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise Failed(f"{path} was answered {answer.status}")
    return body


# -- clients, while pages are open ------------------------------------------------------------------


def wait(server: Server, driver: Driver, seconds: float) -> list[Waited]:
    """List an inbox at each rate, in turns with none, few and many pages open; give medians of the rounds."""
    rounds: dict[tuple[int, int], list[Waited]] = {}
    with driving() as pages, ThreadPoolExecutor(1) as threads:
        for number in range(_WAITING_ROUNDS):
            for rate in RATES:
                for count in OPEN if number % 2 else OPEN[::-1]:
                    look = {"at_once": count, "kinds": _KINDS, "path": "/", "seconds": seconds}
                    looking = threads.submit(pages.do, server, "look", **look)
                    found = driver.do(
                        server,
                        "pace",
                        count=int(rate * seconds),
                        rate=rate,
                        max_results=10,
                        mailbox=RECIPIENT,
                        at_once=_AT_ONCE,
                    )
                    cuts = quantiles(found["waits_ms"], n=100)
                    looks_s = looking.result()["looks"] / seconds
                    rounds.setdefault((rate, count), []).append(
                        Waited(rate, count, cuts[49], cuts[98], looks_s)
                    )
    return [
        Waited(
            *key, *(median(getattr(each, name) for each in every) for name in ("p50_ms", "p99_ms", "looks_s"))
        )
        for key, every in sorted(rounds.items())
    ]


# -- what came of it --------------------------------------------------------------------------------


def of_shown(shown: Sequence[Shown]) -> Iterator[Comparison]:
    """Compare each page's median, and the weight of the heaviest, with what is allowed."""
    for each in shown:
        what, slowest = f"{each.page}, {each.messages:,} messages", {"the slowest": each.slowest_ms}
        yield Comparison(what, "ms", each.median_ms, slowest, "lower", Target(SLOWEST_MS))
    heaviest = max(shown, key=lambda each: each.weight_kb)
    what = f"the heaviest page ({heaviest.page})"
    yield Comparison(what, "kB", heaviest.weight_kb, {}, "lower", Target(HEAVIEST_KB))


def of_first(first: Sequence[First]) -> Iterator[Comparison]:
    """Compare the first page after a start with what is allowed."""
    for each in first:
        what, slowest = f"the first page, {each.messages:,} messages", {"the slowest": each.slowest_ms}
        yield Comparison(what, "ms", each.median_ms, slowest, "lower", Target(SLOWEST_MS))


def of_waited(waited: Sequence[Waited]) -> Iterator[Comparison]:
    """Compare what clients waited with open pages and without."""
    for rate in dict.fromkeys(each.requests_s for each in waited):
        *_, none = (each for each in waited if (each.requests_s, each.open_pages) == (rate, 0))
        for each in waited:
            if each.requests_s == rate and each.open_pages:
                what = f"list {rate:,} times a second, open pages: {each.open_pages}"
                yield Comparison(f"{what}, p50", "ms", each.p50_ms, {"none open": none.p50_ms}, "lower")
                yield Comparison(f"{what}, p99", "ms", each.p99_ms, {"none open": none.p99_ms}, "lower")


if __name__ == "__main__":
    main()
