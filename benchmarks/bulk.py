"""Large messages on ``mesh-sim serve`` and on NHS's mesh-sandbox: five chunks of 100 MB up and down.

One chunk after the other over one connection, from a process of its own, taken in turns; and what the
server's memory grew by meanwhile, at its most. nginx's own upload into files and its download of them is the
practical limit, where nginx is installed. ``--only upload`` measures one of them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from load import Driver, answerer, driving, mesh_servers
from processes import (
    Failed,
    Server,
    free_port,
    program,
    sandbox_name,
    serving,
    temporary_folder,
)
from results import Comparison, Findings, Target, finish, options

FILES, NGINX = sandbox_name(files=True), "nginx"
CHUNKS = 5
_CONFIGURATION = """
daemon off;
{user}
worker_processes 1;
pid {folder}/pid;
error_log stderr error;
events {{}}
http {{
  access_log off;
  sendfile on;
  client_body_temp_path {folder}/uploads;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_max_body_size 0;
  server {{
    listen 127.0.0.1:{port};
    root {folder}/kept;
    location / {{ dav_methods PUT; }}
  }}
}}
"""


def main() -> None:
    """Measure what was asked for, and print it."""
    parser = options(__doc__)
    parser.add_argument("--only", nargs="+", choices=("upload", "download"), help="report these alone")
    parser.add_argument("--rounds", type=int, help="rounds in turns (3; quick: 1)")
    parser.add_argument("--megabytes", type=int, default=100, help="size of a chunk (100)")
    arguments = parser.parse_args()
    wanted = arguments.only or ("upload", "download")
    size = arguments.megabytes * 1_000_000
    rounds = arguments.rounds or (1 if arguments.quick else 3)
    with temporary_folder() as folder, driving() as driver:
        notes = [ceiling(driver, size)]
        speeds, growth, missing = transfers(driver, folder, rounds, size)
    notes.extend(missing)
    finish(
        "bulk",
        Findings(tuple(_comparisons(wanted, arguments.megabytes, speeds, growth)), tuple(notes)),
        arguments,
    )


def ceiling(driver: Driver, size: int) -> str:
    """Measure how fast the driver itself is, against a server that throws away what it gets."""
    with answerer() as server:
        seconds = [driver.seconds(server, "put", paths=["/x"] * CHUNKS, body_bytes=size) for _ in range(3)]
        return f"The driver uploads {CHUNKS * size / 1e6 / median(seconds):,.0f} MB/s to {server.name}."


Values = dict[str, list[float]]
"""What each round gave, by the server's name."""


def transfers(
    driver: Driver, folder: Path, rounds: int, size: int
) -> tuple[dict[str, Values], dict[str, Values], list[str]]:
    """Upload and download in turns: MB/s and MB of memory growth, by job and server, and notes."""
    speeds: dict[str, Values] = {"upload": {}, "download": {}}
    growth: dict[str, Values] = {"upload": {}, "download": {}}
    with ExitStack() as stack:
        running, notes = stack.enter_context(mesh_servers(driver, folder))
        try:
            running.append(stack.enter_context(nginx(folder / "nginx")))
        except Failed as failure:
            notes.append(f"nginx was left out: {failure}")
        for _ in range(rounds):
            for server in running:
                for job, speed, grown in _once(driver, server, size):
                    speeds[job].setdefault(server.name, []).append(speed)
                    growth[job].setdefault(server.name, []).append(grown)
    return speeds, growth, notes


@contextlib.contextmanager
def nginx(folder: Path) -> Iterator[Server]:
    """Run nginx with one worker, which keeps uploads as files.

    Raises:
        Failed: it is not installed, or does not start.
    """
    found = program("nginx")
    if found is None:
        raise Failed("it is not installed")
    (folder / "kept").mkdir(parents=True)
    port, configuration = free_port(), folder / "nginx.conf"
    # Started by root, its worker would be somebody else, to whom the folder is closed.
    user = "user root root;" if os.geteuid() == 0 else ""
    configuration.write_text(_CONFIGURATION.format(folder=folder, port=port, user=user))
    command = [found, "-c", str(configuration), "-p", str(folder)]
    with serving(NGINX, command, port, "/", {}) as server:
        yield server


def _once(driver: Driver, server: Server, size: int) -> Iterator[tuple[str, float, float]]:
    """Upload and download once: the job, MB/s, and MB of memory growth at the most."""
    total = CHUNKS * size / 1e6
    paths = [f"/{number}" for number in range(CHUNKS)]
    os.sync()  # what others have written is not this server's to wait for
    before = server.forget_peak()
    if server.name == NGINX:
        seconds, message = driver.seconds(server, "put", paths=paths, body_bytes=size), ""
    else:
        outcome = driver.do(server, "upload", chunks=CHUNKS, body_bytes=size)
        seconds, message = outcome["seconds"], outcome["id"]
    yield "upload", total / seconds, server.peak_mb() - before
    before = server.forget_peak()
    if server.name == NGINX:
        seconds = driver.seconds(server, "fetch", paths=paths)
    else:
        seconds = driver.seconds(server, "download", id=message, chunks=CHUNKS, body_bytes=size)
    yield "download", total / seconds, server.peak_mb() - before
    if server.name != NGINX:
        driver.do(server, "reset")  # else the sandbox would hold every round's message in memory


def _comparisons(
    wanted: Iterator[str] | tuple[str, ...] | list[str],
    megabytes: int,
    speeds: dict[str, Values],
    growth: dict[str, Values],
) -> Iterator[Comparison]:
    limits = {"upload": 1.5, "download": 1.0}
    reason = "" if FILES in speeds["upload"] else "mesh-sandbox was left out"
    for job in wanted:
        medians = {name: median(every) for name, every in speeds[job].items()}
        ours = medians.pop("mesh-sim")
        what = f"{job} {CHUNKS} chunks of {megabytes} MB"
        yield Comparison(what, "MB/s", ours, medians, "higher", Target(limits[job], FILES), reason)
        grown = {name: max(every) for name, every in growth[job].items()}
        ours = grown.pop("mesh-sim")
        target = Target(64) if job == "upload" else None
        yield Comparison(f"{job}: growth of the server's memory", "MB", ours, grown, "lower", target)


if __name__ == "__main__":
    main()
