"""How long each page takes, and what it weighs, over 100,000 messages and as many requests in the journal.

A ``mesh-sim serve`` with its default settings is filled by the control API, most messages waiting in one
inbox; the journal by reads of a process of its own. A hundred lists are checked. Then every page is asked for
in turns, over a connection that is kept, and the whole answer read: medians and the slowest of the rounds.
What a page weighs is all that a browser fetches for it: with its style sheet, the script and the icon.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from statistics import median

from growth import RECIPIENT, fill
from load import Driver, driving
from processes import Failed, Server, mesh_sim, temporary_folder
from results import Comparison, Findings, Target, finish, options

SLOWEST_MS, HEAVIEST_KB = 100, 100
SENDER = "X26ABC1"
ALSO_FETCHED = ("/assets/live.js", "/assets/icon.svg")


def main() -> None:
    """Fill a server, measure its pages, and print it."""
    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, default=21, help="rounds (21)")
    parser.add_argument("--messages", type=int, help="messages and requests (100,000; quick: 2,000)")
    arguments = parser.parse_args()
    count = arguments.messages or (2_000 if arguments.quick else 100_000)
    with temporary_folder() as folder, mesh_sim(folder) as server, driving() as driver:
        addresses = _filled(server, driver, count)
        times: dict[str, list[float]] = {name: [] for name in addresses}
        sizes: dict[str, int] = {}
        connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
        more = sum(len(_asked(connection, path)) for path in ALSO_FETCHED)
        for number in range(arguments.rounds + 1):  # the first compiles the templates
            for name, path in addresses.items():
                began = time.perf_counter()
                sizes[name] = len(_asked(connection, path)) + more
                if number:
                    times[name].append((time.perf_counter() - began) * 1000)
        connection.close()
    finish("pages", Findings(tuple(_compared(times, sizes, count))), arguments)


def _compared(times: dict[str, list[float]], sizes: dict[str, int], count: int) -> Iterator[Comparison]:
    for name, every in times.items():
        slowest = {"the slowest": max(every)}
        what = f"{name}, {count:,} messages"
        yield Comparison(what, "ms", median(every), slowest, "lower", Target(SLOWEST_MS))
    heaviest = max(sizes, key=sizes.__getitem__)
    yield Comparison(
        f"the heaviest page ({heaviest})", "kB", sizes[heaviest] / 1000, {}, "lower", Target(HEAVIEST_KB)
    )


def _filled(server: Server, driver: Driver, count: int) -> dict[str, str]:
    """Fill a server; give the pages to ask for by what they are."""
    waiting = fill(server, count)
    driver.do(server, "handshake", mailbox=RECIPIENT, at_once=1)
    done = 0
    while done < count:
        portion = min(2_000, count - done)
        driver.do(server, "list", count=portion, max_results=10, mailbox=RECIPIENT, at_once=16)
        done += portion
    _submit(server, 100)
    mailbox = f"/mailboxes/{RECIPIENT}"
    return {
        "overview": "/",
        "inbox": mailbox,
        "inbox, a subject nobody has": f"{mailbox}?subject=nothing-has-this",
        "inbox, those accepted": f"{mailbox}?status=accepted",
        "inbox, a workflow nobody has": f"{mailbox}?workflow=NOTHING",
        "outbox": f"/mailboxes/{SENDER}?side=outbox",
        "message": f"/messages/{waiting[len(waiting) // 2]}",
        "submissions": "/submissions",
        "opt-outs": "/opt-outs",
        "clock and faults": "/clock-and-faults",
        "witness test": "/witness",
        "journal": "/journal",
        "journal, a mailbox nobody has": "/journal?mailbox=NONE",
        "journal, refusals": "/journal?refused=true",
    }


def _submit(server: Server, count: int) -> None:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    wish = {
        "to": "X26HC065",
        "from": SENDER,
        "workflow_id": "SPINE_NTT_UPHOLDING",
        "local_id": "list",
        "subject": "list",
        "count": count,
        "body": "9990000018,\r\n9990000026,\r\n",
    }
    connection.request("POST", "/admin/messages", json.dumps(wish))
    if (status := connection.getresponse().status) != 201:
        raise Failed(f"the submissions were answered {status}")
    connection.close()


def _asked(connection: http.client.HTTPConnection, path: str) -> bytes:
    connection.request("GET", path, headers={"Accept": "text/html"})
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise Failed(f"{path} was answered {answer.status}")
    return body


if __name__ == "__main__":
    main()
