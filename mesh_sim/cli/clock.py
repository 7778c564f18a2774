"""``mesh-sim clock``: the simulated time."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mesh_sim.cli import options
from mesh_sim.cli.session import ask
from mesh_sim.cli.show import moment, show_facts, write_json

app = typer.Typer(
    name="clock",
    no_args_is_help=True,
    help="The simulated time: show it, advance it, set it back.",
    epilog="Example: [bold]mesh-sim clock advance 5d[/bold]",
)

_PATH = "/admin/clock"


@app.command(epilog="Example: [bold]mesh-sim clock show[/bold]")
def show(*, url: options.Url = None, json: options.Json = False) -> None:
    """Show the simulated time, and how far it is ahead of the real one."""
    _show(ask(url, "GET", _PATH), json=json)


@app.command(
    epilog="Example: [bold]mesh-sim clock advance 5d[/bold]", context_settings=options.NEGATIVE_ALLOWED
)
def advance(
    by: Annotated[
        str,
        typer.Argument(metavar="TIME", show_default=False, help="How far, such as 5d, 12h or 1h30m."),
    ],
    *,
    url: options.Url = None,
    json: options.Json = False,
) -> None:
    """Let time pass; what is then due has happened when this returns.

    Messages expire and are deleted, and answers of the opt-out service come.
    Tokens stay on real time.
    """
    _show(ask(url, "POST", _PATH, body={"advance": by}), json=json)


@app.command(epilog="Example: [bold]mesh-sim clock reset[/bold]")
def reset(*, url: options.Url = None, json: options.Json = False) -> None:
    """Set the simulated time back to the real one; what has happened stays."""
    _show(ask(url, "POST", _PATH, body={"reset": True}), json=json)


def _show(clock: dict[str, Any], *, json: bool) -> None:
    if json:
        write_json(clock)
        return
    from datetime import timedelta

    from mesh_sim.durations import format_duration

    ahead = timedelta(seconds=round(clock["offset_s"]))
    show_facts(
        [
            ("simulated", moment(clock["now"]), ""),
            ("real", moment(clock["real"]), ""),
            ("ahead by", format_duration(ahead), ""),
        ]
    )
