"""``mesh-sim wait``: sleep until messages are there."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Final

import typer

from mesh_sim.cli import options, selection
from mesh_sim.cli.session import ask
from mesh_sim.cli.show import progress, write_json

_SLACK: Final = timedelta(seconds=30)
"""How much later than promised the answer may come."""


def add_to(app: typer.Typer, panel: str) -> None:
    """Add the command to the root."""
    app.command(
        rich_help_panel=panel,
        epilog="Example: [bold]mesh-sim wait --mailbox X26ABC2 --local-id batch-7 --timeout 30s[/bold]",
    )(wait)


def wait(  # noqa: PLR0913 -- one for each option
    *,
    mailbox: selection.Mailbox = None,
    sender: selection.Sender = None,
    workflow: selection.Workflow = None,
    local_id: selection.LocalId = None,
    subject: selection.Subject = None,
    status: selection.OfStatus = None,
    message_type: selection.OfType = None,
    count: Annotated[int, typer.Option(metavar="N", help="How many there have to be.")] = 1,
    timeout: Annotated[
        timedelta,
        typer.Option(
            parser=options.parse_duration,
            metavar="TIME",
            show_default="30s",
            help="How long to wait, up to 10m of real time.",
        ),
    ] = timedelta(seconds=30),
    url: options.Url = None,
    json: options.Json = False,
) -> None:
    """Wait until messages are there, and list them.

    Exit 3 if there are not enough in time.
    """
    wanted = selection.query(mailbox, sender, workflow, local_id, subject, status, message_type)
    wanted |= {"count": str(count), "timeout": f"{timeout.total_seconds()}s"}
    with progress(f"Waiting for {count:,} message{'' if count == 1 else 's'}", quiet=json):
        found = _wait(url, wanted, timeout)
    if json:
        write_json(found)
    else:
        selection.show_messages(found["messages"])


def _wait(url: str | None, wanted: dict[str, str], timeout: timedelta) -> Any:
    from mesh_sim.control import NotInTime

    try:
        return ask(url, "GET", "/admin/wait", query=wanted, patience=timeout + _SLACK)
    except NotInTime as late:
        # The API's advice is for those who speak HTTP.
        found = str(late).partition(";")[0]
        raise NotInTime(
            f"{found}; wait longer with --timeout, or see what was refused with 'mesh-sim journal --refused'"
        ) from late
