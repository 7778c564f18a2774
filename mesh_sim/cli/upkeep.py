"""``mesh-sim reset`` and ``metrics``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mesh_sim.cli import options
from mesh_sim.cli.boundary import UsageError
from mesh_sim.cli.session import ask, ask_about, segment, with_simulator
from mesh_sim.cli.show import write_json


def add_to(app: typer.Typer, panel: str) -> None:
    """Add the commands to the root."""
    example = "Example: [bold]mesh-sim {}[/bold]"
    app.command(rich_help_panel=panel, epilog=example.format("reset X26ABC2 --yes"))(reset)
    app.command(rich_help_panel=panel, epilog=example.format("metrics"))(metrics)


def reset(
    mailbox: Annotated[
        str | None,
        typer.Argument(metavar="[MAILBOX]", show_default=False, help="Only this one's inbox and outbox."),
    ] = None,
    *,
    everything: Annotated[
        bool,
        typer.Option("--everything", metavar="", help="Opt-outs, faults, the journal and the clock as well."),
    ] = False,
    yes: options.Yes = False,
    url: options.Url = None,
    json: options.Json = False,
) -> None:
    """Forget every message, and have mailboxes as at the start.

    With MAILBOX, only empty its inbox and outbox.
    """
    if mailbox is not None and everything:
        raise UsageError("--everything is not for one mailbox; leave one of the two out")
    whose = f"of {mailbox} " if mailbox else ""
    also = ", opt-out, fault and journal entry, and set the clock back" if everything else ""
    options.confirm(f"Forget every message {whose}".rstrip() + f"{also}?", yes=yes)
    if mailbox is None:
        done = ask(url, "DELETE", "/admin/reset", query={"everything": "true"} if everything else None)
    else:
        path = f"/admin/reset/{segment(mailbox)}"
        done = ask_about(f"mailbox {mailbox}", "mailbox list", url, "DELETE", path)
    if json:
        write_json(done)
    else:
        typer.echo(done["message"])


def metrics(*, url: options.Url = None, json: options.Json = False) -> None:
    """Print the figures that Prometheus collects."""
    text = with_simulator(url, lambda client: client.text("/metrics"))
    if json:
        write_json({"metrics": list(_samples(text))})
    else:
        typer.echo(text, nl=False)


def _samples(text: str) -> list[dict[str, Any]]:
    from prometheus_client.parser import text_string_to_metric_families

    return [
        {"name": sample.name, "labels": sample.labels, "value": sample.value}
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]
