"""``mesh-sim journal``: which requests came, what came of them, and why."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from mesh_sim.cli import options
from mesh_sim.cli.boundary import UsageError
from mesh_sim.cli.session import ask, in_query, with_simulator
from mesh_sim.cli.show import (
    WIDE,
    Cell,
    Days,
    Styled,
    duration,
    note,
    show_indented,
    show_line,
    size,
    status_style,
    width,
    write_json,
    write_json_line,
)

if TYPE_CHECKING:
    from mesh_sim.control import ControlClient

_PATH: Final = "/admin/journal"
_MOST: Final = 5000
"""How many entries the API gives at a time."""

_LOOK_EVERY_S: Final = 0.5
_INDENT: Final = 10
"""How far in stands why a request was refused: under its mailbox."""

_WHICH: Final = "Which requests"


def add_to(app: typer.Typer, panel: str) -> None:
    """Add the command to the root."""
    app.command(
        rich_help_panel=panel,
        epilog="Example: [bold]mesh-sim journal --mailbox X26ABC1 --refused --since 10m[/bold]",
    )(journal)


def journal(  # noqa: PLR0913 -- one for each option
    *,
    mailbox: Annotated[
        str | None,
        typer.Option(metavar="MAILBOX", show_default=False, rich_help_panel=_WHICH, help="Of this one."),
    ] = None,
    operation: Annotated[
        str | None,
        typer.Option(
            metavar="OPERATION", show_default=False, rich_help_panel=_WHICH, help="Such as send or download."
        ),
    ] = None,
    status: Annotated[
        str | None,
        typer.Option(
            metavar="STATUS",
            show_default=False,
            rich_help_panel=_WHICH,
            help="403, or 4xx for all of a class; 0 is a connection that broke.",
        ),
    ] = None,
    refused: Annotated[
        bool,
        typer.Option(
            "--refused", metavar="", rich_help_panel=_WHICH, help="Those that did not succeed, with why."
        ),
    ] = False,
    message_id: Annotated[
        str | None,
        typer.Option(
            metavar="MESSAGE_ID", show_default=False, rich_help_panel=_WHICH, help="About this message."
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            show_default=False,
            rich_help_panel=_WHICH,
            help="The last 10m, or since 2026-11-22T10:00:00Z; in real time.",
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(metavar="N", rich_help_panel=_WHICH, help="How many of the latest, up to 5000.")
    ] = 100,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", metavar="", help="Go on with what comes, until Ctrl-C.")
    ] = False,
    clear: Annotated[bool, typer.Option("--clear", metavar="", help="Forget every entry instead.")] = False,
    yes: options.Yes = False,
    url: options.Url = None,
    json: options.Json = False,
) -> None:
    """Show the requests of clients, and why any was refused.

    Times are real, in UTC. With --follow and --json each entry is an object on
    a line of its own.
    """
    wanted = in_query(
        mailbox=mailbox,
        operation=operation,
        status=status,
        refused="true" if refused else None,
        message_id=message_id,
        since=since,
    )
    if clear:
        if wanted or follow:
            raise UsageError("--clear forgets every entry; give it alone")
        _clear(url, yes=yes, json=json)
    elif follow:
        with_simulator(url, lambda client: _follow(client, wanted, limit, json=json))
    else:
        found = ask(url, "GET", _PATH, query=wanted | {"limit": str(limit), "order": "newest"})
        if json:
            write_json(found)
        else:
            _show_all(found["entries"], limit)


def _clear(url: str | None, *, yes: bool, json: bool) -> None:
    options.confirm("Forget every entry of the journal?", yes=yes)
    done = ask(url, "DELETE", _PATH)
    if json:
        write_json(done)
    else:
        typer.echo(f"{done['deleted']:,} entries forgotten")


async def _follow(client: ControlClient, wanted: dict[str, str], limit: int, *, json: bool) -> None:
    entries_shown = _Entries()
    found = await client.get(_PATH, wanted | {"limit": str(limit), "order": "newest"})
    entries = found["entries"][::-1]
    last = 0
    while True:
        for entry in entries:
            last = max(last, entry["number"])
            if json:
                write_json_line(entry)
            else:
                entries_shown.show(entry)
        if len(entries) < _MOST:
            await asyncio.sleep(_LOOK_EVERY_S)
        entries = (await client.get(_PATH, wanted | {"limit": str(_MOST), "after": str(last)}))["entries"]


def _show_all(newest_first: Sequence[dict[str, Any]], limit: int) -> None:
    if not newest_first:
        note("no requests")
        return
    shown = _Entries()
    for entry in reversed(newest_first):
        shown.show(entry)
    if len(newest_first) == limit:
        note(f"these are the latest {limit:,}; --limit shows more")


class _Entries:
    """Entries as people read them, one after the other."""

    def __init__(self) -> None:
        self._days = Days()
        self._wide = width() >= WIDE

    def show(self, entry: dict[str, Any]) -> None:
        """Show one request, and under it what kept it from succeeding."""
        time = self._days.time(entry["at"])
        status = entry["status"]
        # Left out on narrow terminals, so that a request stays on its line.
        sizes: list[tuple[Cell, int]] = [
            (size(entry["received_bytes"]) + " in", -11),
            (size(entry["sent_bytes"]) + " out", -12),
        ]
        show_line(
            [
                (time, 8),
                (entry["mailbox"] or "-", 8),
                (entry["operation"], 14),
                (Styled(str(status) if status else "---", status_style(status)), 3),
                *(sizes if self._wide else []),
                (duration(timedelta(seconds=entry["duration_s"])), -7),
                (entry["message_id"], 0),
            ]
        )
        self._show_why(entry)

    def _show_why(self, entry: dict[str, Any]) -> None:
        if entry["reason"]:
            show_indented(Styled(entry["reason"], "red"), _INDENT)
        for miss in entry["near_misses"]:
            show_indented(f"- {miss}", _INDENT)
        if entry["fault"]:
            show_indented(Styled(f"fault {entry['fault']} acted on it", "magenta"), _INDENT)
