"""``mesh-sim faults``: what fails on purpose."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from mesh_sim.cli import options
from mesh_sim.cli.session import ask, given, segment
from mesh_sim.cli.show import Styled, note, show_table, write_json
from mesh_sim.faults import ANY, Action

app = typer.Typer(
    name="faults",
    no_args_is_help=True,
    help="Faults: have requests fail on purpose.",
    epilog="Example: [bold]mesh-sim faults add send status --status 503 --times 2[/bold]",
)

_PATH: Final = "/admin/faults"
_DOES: Final = "What it does"
_WHEN: Final = "When"


@app.command("list", epilog="Example: [bold]mesh-sim faults list[/bold]")
def list_faults(*, url: options.Url = None, json: options.Json = False) -> None:
    """List the rules in force, and how often each has acted."""
    found = ask(url, "GET", _PATH)
    if json:
        write_json(found)
    else:
        _show(found["faults"])


@app.command(epilog="Example: [bold]mesh-sim faults add send status --status 503 --times 2[/bold]")
def add(  # noqa: PLR0913 -- one for each option
    operation: Annotated[
        str,
        typer.Argument(
            metavar="OPERATION",
            show_default=False,
            help="send, send-chunk, list, download, acknowledge, handshake, ...; '*' is all of them.",
        ),
    ],
    action: Annotated[
        Action,
        typer.Argument(
            metavar="ACTION", show_default=False, help="status, delay, reset, truncate or lose-response."
        ),
    ],
    *,
    mailbox: Annotated[
        str | None,
        typer.Option(metavar="MAILBOX", show_default=False, rich_help_panel=_WHEN, help="Only for this one."),
    ] = None,
    status: Annotated[
        int | None,
        typer.Option(
            metavar="STATUS", show_default=False, rich_help_panel=_DOES, help="Answer with it: 400 to 599."
        ),
    ] = None,
    retry_after: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            show_default=False,
            rich_help_panel=_DOES,
            help="With status: when to try again.",
        ),
    ] = None,
    delay: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", show_default=False, rich_help_panel=_DOES, help="With delay: how long, up to 10m."
        ),
    ] = None,
    after_bytes: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            show_default="half of them",
            rich_help_panel=_DOES,
            help="With truncate: how many bytes of the body get through.",
        ),
    ] = None,
    nth: Annotated[
        int | None,
        typer.Option(
            metavar="N", show_default="1", rich_help_panel=_WHEN, help="From which such request on."
        ),
    ] = None,
    times: Annotated[
        int | None,
        typer.Option(
            metavar="N", show_default="no end", rich_help_panel=_WHEN, help="For how many requests."
        ),
    ] = None,
    probability: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            show_default="1",
            rich_help_panel=_WHEN,
            help="The chance of each of those, from 0 to 1.",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            metavar="N", show_default="1", rich_help_panel=_WHEN, help="The same seed, the same chance."
        ),
    ] = None,
    url: options.Url = None,
    json: options.Json = False,
) -> None:
    """Have requests of a kind fail from now on.

    [b]status[/b] answers with an error, [b]delay[/b] answers late, [b]reset[/b] breaks the
    connection, [b]truncate[/b] cuts a body short, and [b]lose-response[/b] accepts the
    request and breaks the connection before the answer.
    """
    wish = given(
        mailbox=mailbox,
        status=status,
        retry_after=retry_after,
        delay=delay,
        after_bytes=after_bytes,
        nth=nth,
        times=times,
        probability=probability,
        seed=seed,
    )
    made = ask(url, "POST", _PATH, body={"operation": operation, "action": action.value, **wish})
    if json:
        write_json(made)
    else:
        _show([made])


@app.command(epilog="Example: [bold]mesh-sim faults remove f1[/bold]")
def remove(
    rule: Annotated[
        str,
        typer.Argument(metavar="ID", show_default=False, help="As 'mesh-sim faults list' shows it."),
    ],
    *,
    url: options.Url = None,
    json: options.Json = False,
) -> None:
    """Take one rule out of force, and show what came of it."""
    _show_removed(ask(url, "DELETE", f"{_PATH}/{segment(rule)}"), json=json)


@app.command(epilog="Example: [bold]mesh-sim faults clear[/bold]")
def clear(*, url: options.Url = None, json: options.Json = False) -> None:
    """Take every rule out of force, and show what came of each."""
    _show_removed(ask(url, "DELETE", _PATH), json=json)


def _show_removed(found: dict[str, Any], *, json: bool) -> None:
    if json:
        write_json(found)
        return
    _show(found["removed"])
    if found["removed"]:
        note("no longer in force")


def _show(rules: list[dict[str, Any]]) -> None:
    if not rules:
        note("no faults")
        return
    show_table(
        ["id", "operation", "mailbox", "does", "when", "seen", "acted on"],
        [
            (
                each["id"],
                "any" if each["operation"] == ANY else each["operation"],
                each["mailbox"] or "any",
                _does(each),
                Styled("exhausted", "dim") if each["exhausted"] else _when(each),
                f"{each['calls']:,}",
                f"{each['hits']:,}",
            )
            for each in rules
        ],
        right=["seen", "acted on"],
    )


def _does(rule: dict[str, Any]) -> str:
    parts = [rule["action"]]
    if rule["status"] is not None:
        parts = [f"status {rule['status']}"]
    if rule["retry_after"] is not None:
        parts.append(f"retry after {rule['retry_after']}s")
    if rule["delay"] is not None:
        parts.append(rule["delay"])
    if rule["action"] == Action.TRUNCATE:
        parts.append("to half" if rule["after_bytes"] is None else f"to {rule['after_bytes']:,} bytes")
    return f"{parts[0]}, {parts[1]}" if rule["retry_after"] is not None else " ".join(parts)


def _when(rule: dict[str, Any]) -> str:
    parts = []
    if rule["nth"] > 1:
        parts.append(f"from no. {rule['nth']:,} on")
    if rule["times"] is not None:
        parts.append("once" if rule["times"] == 1 else f"{rule['times']:,} times")
    if rule["probability"] < 1:
        parts.append(f"chance {rule['probability']:g} (seed {rule['seed']})")
    return ", ".join(parts) or "always"
