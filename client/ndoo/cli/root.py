"""The ``ndoo`` command itself: its global options, and the commands put together."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from ndoo.cli import applies, caches, checking, filtering, mailboxes, numbers, setup
from ndoo.cli.boundary import App, Boundary
from ndoo.cli.log import Level
from ndoo.cli.options import invocation

app = App(
    cls=Boundary,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=(
        "Example: [bold]ndoo check patients.csv[/bold] writes patients-cleaned.csv\n\n"
        "Exit codes: 0 done, 1 failed, 2 wrong usage or setting, 3 not yet: no answer, or another run uses "
        "the mailbox, 130 interrupted.\n\n"
        "Settings: NDOO_PROFILE, NDOO_URL, NDOO_MAILBOX, NDOO_PASSWORD, NDOO_SHARED_KEY, NDOO_CERT, "
        "NDOO_KEY, NDOO_CA, NDOO_PROXY, NDOO_SECRETS, NDOO_SERVICE_MAILBOX, NDOO_DATA; or in ndoo.toml, here "
        "or in your configuration folder, as profile, url and so on; 'ndoo init' asks for them. A file with "
        "secrets must have mode 0600."
    ),
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ndoo {version('mesh-sim')}")
        raise typer.Exit


@app.callback()
def ndoo(
    ctx: typer.Context,
    *,
    profile: Annotated[
        str | None,
        typer.Option(
            metavar="sim|int|live",
            autocompletion=lambda: ["sim", "int", "live"],
            show_default=False,
            help="Which MESH: the simulator (default), the integration environment, or the live service.",
        ),
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            show_default=False,
            help="Append to this file what is done, a line a step; no NHS number and no secret gets there.",
        ),
    ] = None,
    log_level: Annotated[
        Level, typer.Option(metavar="info|debug", help="How much the log tells.")
    ] = Level.INFO,
    debug: Annotated[bool, typer.Option("--debug", metavar="", help="Show where a defect happened.")] = False,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", metavar="", callback=_show_version, is_eager=True, help="Show the version and leave."
        ),
    ] = False,
) -> None:
    """Check lists of NHS numbers for national data opt-outs, over MESH."""
    run = invocation(ctx)
    run.profile, run.debug, run.command = profile, debug, ctx.invoked_subcommand or ""
    if log is not None:
        run.open_log(log, log_level)


checking.add_to(app)
filtering.add_to(app)
applies.add_to(app)
app.add_typer(numbers.app, rich_help_panel="Files on this computer")
app.add_typer(caches.app, rich_help_panel="Files on this computer")
app.add_typer(mailboxes.app, rich_help_panel="The mailbox itself")
setup.add_to(app)
