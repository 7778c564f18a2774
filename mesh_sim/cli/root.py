"""The ``mesh-sim`` command itself: its global options, and the commands put together."""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import Annotated

import typer

from mesh_sim.cli import (
    clock,
    events,
    faults,
    files,
    journal,
    mailboxes,
    messages,
    optouts,
    putting,
    serving,
    upkeep,
    waiting,
    witness,
)
from mesh_sim.cli.boundary import Boundary
from mesh_sim.cli.options import NEW_PASSWORD, invocation

PANEL = "A running simulator"

app = typer.Typer(
    name="mesh-sim",
    cls=Boundary,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=(
        "Example: [bold]mesh-sim clock advance 5d[/bold] lets a message expire\n\n"
        "Exit codes: 0 done, 1 failed, 2 wrong usage or setting, 3 not yet.\n\n"
        "Commands find the simulator by the settings it was started with: MESH_SIM_HOST, MESH_SIM_PORT, "
        "MESH_SIM_TLS, MESH_SIM_CERTS, MESH_SIM_ADMIN_TOKEN or mesh-sim.toml; or by --url."
    ),
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mesh-sim {version('mesh-sim')}")
        raise typer.Exit


@app.callback()
def mesh_sim(
    ctx: typer.Context,
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", metavar="", callback=_show_version, is_eager=True, help="Show the version and leave."
        ),
    ] = False,
) -> None:
    """Rehearse NHS MESH and the opt-out check service on this machine."""
    # No setting, and nothing that a server or any other process started from here should inherit.
    invocation(ctx).new_password = os.environ.pop(NEW_PASSWORD, None)


serving.add_to(app)
putting.add_to(messages.app)
app.add_typer(clock.app, rich_help_panel=PANEL)
app.add_typer(mailboxes.app, rich_help_panel=PANEL)
app.add_typer(messages.app, rich_help_panel=PANEL)
waiting.add_to(app, PANEL)
app.add_typer(optouts.app, rich_help_panel=PANEL)
app.add_typer(faults.app, rich_help_panel=PANEL)
journal.add_to(app, PANEL)
events.add_to(app, PANEL)
app.add_typer(witness.app, rich_help_panel=PANEL)
upkeep.add_to(app, PANEL)
files.add_to(app)
