"""``mesh-sim certs``, ``population`` and ``demo``: what makes files, and needs no server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mesh_sim.cli import options
from mesh_sim.cli.show import write_json

PANEL = "Without a server"


def add_to(app: typer.Typer) -> None:
    """Add the commands to the root."""
    example = "Example: [bold]mesh-sim {}[/bold]"
    app.command(rich_help_panel=PANEL, epilog=example.format("certs certs"))(certs)
    app.command(rich_help_panel=PANEL, epilog=example.format("population --count 10000 practice.dat"))(
        population
    )
    app.command(rich_help_panel=PANEL, epilog=example.format("demo"))(demo)


def certs(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="Where to put them.", show_default="certs")
    ] = None,
    days: Annotated[int, typer.Option(metavar="N", min=1, max=3650, help="How long they are valid.")] = 365,
    force: Annotated[
        bool, typer.Option("--force", metavar="", help="Issue again what is still valid.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Make a development CA, a server certificate and one a mailbox."""
    from mesh_sim.certs import make_certificates
    from mesh_sim.clock import real_now
    from mesh_sim.config import load_settings
    from mesh_sim.participants import load_directory

    settings = load_settings(certs=folder)
    mailboxes = [(box.mailbox_id, box.ods_code) for box in load_directory(settings).mailboxes]
    made = make_certificates(settings.certs, mailboxes, now=real_now(), days=days, force=force)
    clients = {mailbox_id: str(made.client(mailbox_id)[0]) for mailbox_id, _ in mailboxes}
    if json:
        write_json({"ca": str(made.ca), "server": str(made.server_cert), "clients": clients})
        return
    typer.echo(f"CA       {made.ca}")
    typer.echo(f"server   {made.server_cert}  for localhost, 127.0.0.1 and ::1")
    for path in clients.values():
        typer.echo(f"client   {path}")
    typer.echo(f"Next: mesh-sim serve --tls mutual --certs {settings.certs}")


def population(
    out: Annotated[Path, typer.Argument(metavar="OUT.dat", show_default=False, help="The list to write.")],
    count: Annotated[
        int,
        typer.Option(metavar="N", min=1, max=1_000_000_000, show_default=False, help="How many numbers."),
    ],
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Another seed, another order.")] = 1,
    force: Annotated[
        bool, typer.Option("--force", metavar="", help="Replace the file if it is there.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Write a synthetic list of NHS numbers.

    They have valid check digits, and are all from the test range 999.
    """
    from mesh_sim.population import write_population

    write_population(out, count, seed, force=force)
    if json:
        write_json({"file": str(out), "records": count})
    else:
        typer.echo(f"{count:,} records written to {out}")


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for what comes back.")] = Path(
        "demo-output"
    ),
) -> None:
    """Run one real check end to end over mutual TLS, and show the result."""
    from mesh_sim.demo import run_demo

    raise typer.Exit(run_demo(out))
