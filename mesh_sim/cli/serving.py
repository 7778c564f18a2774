"""``mesh-sim serve``, ``worker`` and ``ready``: the processes of a simulator, and whether one answers."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Coroutine
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from mesh_sim.cli import options
from mesh_sim.cli.boundary import ExitCode
from mesh_sim.cli.show import show_error, write_json

# What a command needs is imported when it runs, so that --help is quick.

PANEL = "The server"


class TlsChoice(StrEnum):
    """The values of --tls."""

    OFF = "off"
    ON = "on"
    MUTUAL = "mutual"


class LogLevel(StrEnum):
    """The values of --log-level."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


Data = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="Folder for the database and large bodies.", show_default="mesh-sim-data"
    ),
]
Log = Annotated[
    LogLevel,
    typer.Option(
        "--log-level", metavar="debug|info|warning|error", help="How much to say on standard error."
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the root."""
    example = "Example: [bold]mesh-sim {}[/bold]"
    app.command(rich_help_panel=PANEL, epilog=example.format("serve --port 8700 --tls mutual"))(serve)
    app.command(rich_help_panel=PANEL, epilog=example.format("worker --data /srv/mesh-sim"))(worker)
    app.command(rich_help_panel=PANEL, epilog=example.format("ready --wait 30s"))(ready)


def serve(
    host: Annotated[
        str | None, typer.Option(metavar="HOST", help="Address to listen on.", show_default="127.0.0.1")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(metavar="PORT", help="Port to listen on; 0 picks a free one.", show_default="8700"),
    ] = None,
    data: Data = None,
    tls: Annotated[
        TlsChoice | None,
        typer.Option(
            metavar="off|on|mutual", help="[b]mutual[/b] demands client certificates.", show_default="off"
        ),
    ] = None,
    certs: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder that [b]mesh-sim certs[/b] filled.", show_default="certs"),
    ] = None,
    scenario: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            show_default=False,
            help="TOML file of mailboxes, opt-outs, messages and faults to start with.",
        ),
    ] = None,
    log_level: Log = LogLevel.INFO,
) -> None:
    """Run the MESH server and the opt-out service until interrupted.

    Every setting has an environment variable, MESH_SIM_…, and a key in
    mesh-sim.toml; options win.
    """
    from mesh_sim.app import running
    from mesh_sim.config import StoreMode, load_settings
    from mesh_sim.descriptors import raise_limit
    from mesh_sim.event_loop import collect_seldom

    raise_limit()
    settings = load_settings(
        host=host, port=port, data=data, tls=tls and tls.value, certs=certs, scenario=scenario
    )
    _start_logging(log_level)

    async def run() -> None:
        stop = _stop_on_signals()
        async with running(settings) as server:
            collect_seldom()
            kept = settings.store_mode is StoreMode.FILE
            where = f"data in {settings.data}" if kept else "in memory"
            typer.echo(f"mesh-sim is serving at {server.url} ({where}); Ctrl-C stops it")
            if sys.stdout.isatty():  # programs that start a server read the line above, and stop at that
                typer.echo(f"Open {_pages(server.url)} to see what happens in it")
            await stop.wait()
        typer.echo(f"mesh-sim has stopped; what it accepted is {'kept' if kept else 'gone'}")

    _run(run())


def worker(data: Data = None, log_level: Log = LogLevel.INFO) -> None:
    """Run the opt-out service alone, beside servers on the same data folder."""
    from mesh_sim.config import SettingsError, StoreMode, load_settings
    from mesh_sim.core import open_core, working

    settings = load_settings(data=data)
    if settings.store_mode is not StoreMode.FILE:
        raise SettingsError(
            f"MESH_SIM_STORE_MODE (or STORE_MODE) = {settings.store_mode.value!r}: a worker shares a data "
            "folder with servers, and in this mode there is none; set it to 'file'"
        )
    _start_logging(log_level)

    async def run() -> None:
        stop = _stop_on_signals()
        async with open_core(settings) as core, working(core):
            typer.echo(f"mesh-sim is answering submissions from {settings.data}; Ctrl-C stops it")
            await stop.wait()

    _run(run())


def ready(
    wait: Annotated[
        timedelta,
        typer.Option(
            parser=options.parse_duration,
            metavar="TIME",
            show_default="0s",
            help="Keep asking for this long, such as 30s.",
        ),
    ] = timedelta(),
    url: options.Url = None,
    json: options.Json = False,
) -> None:
    """Exit with 0 once the server answers, with 1 if it does not."""
    from mesh_sim.config import load_settings
    from mesh_sim.readiness import wait_until_ready

    outcome = wait_until_ready(load_settings(), url, wait)
    if json:
        write_json({"ready": outcome.ready, "url": outcome.url, "why": outcome.why})
    elif outcome.ready:
        typer.echo(f"ready at {outcome.url}")
    else:
        show_error(f"not ready at {outcome.url}: {outcome.why}")
    if not outcome.ready:
        raise typer.Exit(ExitCode.FAILED)


def _pages(url: str) -> str:
    """Give the address of the pages for a browser here; one that stands for all of them leads nowhere."""
    address = urlsplit(url)
    everywhere = address.hostname in ("0.0.0.0", "::")  # noqa: S104 - told apart, not listened on
    host = f"localhost:{address.port}" if everywhere else address.netloc
    return f"{address.scheme}://{host}/"


def _start_logging(level: LogLevel) -> None:
    logging.basicConfig(
        level=level.upper(),
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    # aiohttp's own lines name whole requests; ours say what matters without secrets.
    logging.getLogger("aiohttp").setLevel(logging.WARNING)


def _run(work: Coroutine[Any, Any, None]) -> None:
    from mesh_sim.event_loop import loop_factory

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(work)


def _stop_on_signals() -> asyncio.Event:
    """Give an event that an interrupt, or the request to end, sets instead of killing the process."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop
