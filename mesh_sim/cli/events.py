"""``mesh-sim events``: what happens, as it happens."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from mesh_sim.cli import options
from mesh_sim.cli.session import in_query, with_simulator
from mesh_sim.cli.show import Days, Styled, show_line, width, write_json_line

if TYPE_CHECKING:
    from mesh_sim.control import ControlClient, News

_TIME_WIDTH: Final = 8
_KIND_WIDTH: Final = 21


def add_to(app: typer.Typer, panel: str) -> None:
    """Add the command to the root."""
    app.command(
        rich_help_panel=panel,
        epilog="Example: [bold]mesh-sim events --kinds message-accepted,clock --count 10[/bold]",
    )(events)


def events(
    *,
    kinds: Annotated[
        str | None,
        typer.Option(
            metavar="KIND,KIND",
            show_default="all",
            help="Only these, such as message-accepted, message-undeliverable, submission, request, clock.",
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, show_default="no end", help="Leave after so many."),
    ] = None,
    after: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=0, show_default="from now on", help="Begin after the event with this number."
        ),
    ] = None,
    url: options.Url = None,
    json: options.JsonLines = False,
) -> None:
    """Print what happens as it happens, one event a line.

    Until Ctrl-C, or --count. Times are simulated.
    """

    async def watch(client: ControlClient) -> None:
        lines, shown = _Lines(), 0
        async with aclosing(client.events(in_query(kinds=kinds), after)) as stream:
            async for news in stream:
                if json:
                    write_json_line({"number": news.number, **news.data})
                else:
                    lines.show(news)
                shown += 1
                if shown == count:
                    return

    with_simulator(url, watch)


class _Lines:
    """Events as people read them, one after the other."""

    def __init__(self) -> None:
        self._days = Days()
        self._room = width() - _TIME_WIDTH - _KIND_WIDTH - 4

    def show(self, news: News) -> None:
        """Show one event on a line."""
        said = {name: value for name, value in news.data.items() if name not in ("at", "kind")}
        time = self._days.time(news.data["at"])
        details = self._message(said) if "recipient" in said else _fields(said)
        show_line([(time, _TIME_WIDTH), (Styled(news.data["kind"], "bold"), _KIND_WIDTH), (details, 0)])

    def _message(self, said: dict[str, Any]) -> str:
        line = f"{said['message_id']}  {said['sender'] or 'report'} > {said['recipient']}"
        for more in (said["local_id"], said["workflow_id"]):
            if more and len(line) + 2 + len(more) <= self._room:
                line += f"  {more}"
        return line


def _fields(said: dict[str, Any]) -> str:
    return "  ".join(f"{name}={value}" for name, value in said.items() if value not in (None, ""))
