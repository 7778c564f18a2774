"""The ``mesh-sim`` command. What a command needs is imported when it runs, so that help comes at once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    name="mesh-sim",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


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
    Path | None, typer.Option(help="Folder for the database and large bodies.", show_default="mesh-sim-data")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output, for programs.")]
Log = Annotated[LogLevel, typer.Option("--log-level", help="How much to say on standard error.")]


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"mesh-sim {version('mesh-sim')}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Rehearse NHS MESH and the opt-out check service on this machine."""


@app.command(epilog="Example: `mesh-sim serve --port 8700 --tls mutual`")
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on; 0 picks a free one.", show_default="8700")
    ] = None,
    data: Data = None,
    tls: Annotated[
        TlsChoice | None,
        typer.Option(help="`mutual` demands client certificates.", show_default="off"),
    ] = None,
    certs: Annotated[
        Path | None, typer.Option(help="Folder that `mesh-sim certs` filled.", show_default="certs")
    ] = None,
    log_level: Log = LogLevel.INFO,
) -> None:
    """Run the MESH server and the opt-out service until interrupted.

    Every setting has an environment variable, MESH_SIM_…, and a key in mesh-sim.toml; options win.
    """
    with _failures():
        from mesh_sim.app import running
        from mesh_sim.config import load_settings

        settings = load_settings(host=host, port=port, data=data, tls=tls and tls.value, certs=certs)
        _start_logging(log_level)

        async def run() -> None:
            stop = _stop_on_signals()
            async with running(settings) as server:
                typer.echo(f"mesh-sim is serving at {server.url} (data in {settings.data}); Ctrl-C stops it")
                await stop.wait()
            typer.echo("mesh-sim has stopped; what it accepted is kept")

        _run(run())


@app.command(epilog="Example: `mesh-sim worker --data /srv/mesh-sim`")
def worker(data: Data = None, log_level: Log = LogLevel.INFO) -> None:
    """Run the opt-out service alone, beside servers that share its data folder."""
    with _failures():
        from mesh_sim.config import load_settings
        from mesh_sim.core import open_core, working

        settings = load_settings(data=data)
        _start_logging(log_level)

        async def run() -> None:
            stop = _stop_on_signals()
            async with open_core(settings) as core, working(core):
                typer.echo(f"mesh-sim is answering submissions from {settings.data}; Ctrl-C stops it")
                await stop.wait()

        _run(run())


@app.command(epilog="Example: `mesh-sim certs certs`")
def certs(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="Where to put them.", show_default="certs")
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long they are valid.")] = 365,
    force: Annotated[bool, typer.Option("--force", help="Issue again what is still valid.")] = False,
    as_json: Json = False,
) -> None:
    """Make a development CA, a server certificate and a client certificate for each mailbox."""
    with _failures():
        from mesh_sim.certs import make_certificates
        from mesh_sim.clock import real_now
        from mesh_sim.config import load_settings
        from mesh_sim.participants import load_directory

        settings = load_settings(certs=folder)
        mailboxes = [(box.mailbox_id, box.ods_code) for box in load_directory(settings).mailboxes]
        made = make_certificates(settings.certs, mailboxes, now=real_now(), days=days, force=force)
        clients = {mailbox_id: str(made.client(mailbox_id)[0]) for mailbox_id, _ in mailboxes}
        if as_json:
            _print_json({"ca": str(made.ca), "server": str(made.server_cert), "clients": clients})
            return
        typer.echo(f"CA       {made.ca}")
        typer.echo(f"server   {made.server_cert}  for localhost, 127.0.0.1 and ::1")
        for path in clients.values():
            typer.echo(f"client   {path}")
        typer.echo(f"Next: mesh-sim serve --tls mutual --certs {settings.certs}")


@app.command(epilog="Example: `mesh-sim ready --wait 30s`")
def ready(
    wait: Annotated[str, typer.Option(help="Keep asking for this long, such as 30s.")] = "0s",
    url: Annotated[
        str | None, typer.Option(help="Where it should be.", show_default="from the settings")
    ] = None,
    as_json: Json = False,
) -> None:
    """Exit with 0 once the server answers, with 1 if it does not."""
    with _failures():
        from mesh_sim.config import load_settings
        from mesh_sim.durations import parse_duration
        from mesh_sim.readiness import wait_until_ready

        try:
            patience = parse_duration(wait)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--wait") from error
        outcome = wait_until_ready(load_settings(), url, patience)
        if as_json:
            _print_json({"ready": outcome.ready, "url": outcome.url, "why": outcome.why})
        elif outcome.ready:
            typer.echo(f"ready at {outcome.url}")
        else:
            typer.echo(f"mesh-sim: not ready at {outcome.url}: {outcome.why}", err=True)
        if not outcome.ready:
            raise typer.Exit(1)


@app.command(epilog="Example: `mesh-sim population --count 10000 practice.dat`")
def population(
    out: Annotated[Path, typer.Argument(metavar="OUT.dat", help="The list to write.")],
    count: Annotated[int, typer.Option(min=1, max=1_000_000_000, help="How many numbers.")],
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another order.")] = 1,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    as_json: Json = False,
) -> None:
    """Write a synthetic list of NHS numbers with valid check digits, all from the test range 999."""
    with _failures():
        from mesh_sim.population import write_population

        write_population(out, count, seed, force=force)
        if as_json:
            _print_json({"file": str(out), "records": count})
        else:
            typer.echo(f"{count:,} records written to {out}")


@app.command(epilog="Example: `mesh-sim demo`")
def demo(
    out: Annotated[Path, typer.Option(help="Folder for what comes back.")] = Path("demo-output"),
) -> None:
    """Run one real check end to end over mutual TLS, and show what came back."""
    with _failures():
        from mesh_sim.demo import run_demo

        raise typer.Exit(run_demo(out))


@contextlib.contextmanager
def _failures() -> Iterator[None]:
    """Turn what people can put right into one line and exit code 2 or 1; anything else stays a traceback."""
    from mesh_sim.certs import CertificateError
    from mesh_sim.config import SettingsError

    try:
        yield
    except SettingsError as error:
        typer.echo(f"mesh-sim: {error}", err=True)
        raise typer.Exit(2) from error
    except (CertificateError, OSError) as error:
        typer.echo(f"mesh-sim: {error}", err=True)
        raise typer.Exit(1) from error


def _print_json(body: dict[str, Any]) -> None:
    typer.echo(json.dumps(body))


def _start_logging(level: LogLevel) -> None:
    logging.basicConfig(
        level=level.upper(),
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    # aiohttp's own lines name whole requests; ours say what matters without secrets.
    logging.getLogger("aiohttp").setLevel(logging.WARNING)


def _run(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(work)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:  # no build for this platform; asyncio's own loop is slower, not different
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def _stop_on_signals() -> asyncio.Event:
    """Give an event that an interrupt, or the request to end, sets instead of killing the process."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop
