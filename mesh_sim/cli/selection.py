"""Which messages are meant, for ``message list`` and ``wait``, and how they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, TypeAlias

import typer

from mesh_sim.cli.session import in_query
from mesh_sim.cli.show import Cell, Styled, note, show_table, width
from mesh_sim.exchange.states import Status

_WIDE: Final = 110
"""From so many columns on local ids have one of their own."""

_STYLES: Final = {
    Status.UPLOADING: "cyan",
    Status.ACCEPTED: "yellow",
    Status.ACKNOWLEDGED: "green",
    Status.UNDELIVERABLE: "red",
    Status.ERROR: "red",
}

_WHICH: Final = "Which messages"

Mailbox: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="MAILBOX", show_default=False, rich_help_panel=_WHICH, help="The recipient."),
]
Sender: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="MAILBOX", show_default=False, rich_help_panel=_WHICH, help="The sender."),
]
Workflow: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="WORKFLOW", show_default=False, rich_help_panel=_WHICH, help="The workflow id."),
]
LocalId: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="ID", show_default=False, rich_help_panel=_WHICH, help="The sender's own name for it."
    ),
]
Subject: TypeAlias = Annotated[
    str | None, typer.Option(metavar="TEXT", show_default=False, rich_help_panel=_WHICH, help="The subject.")
]
OfStatus: TypeAlias = Annotated[
    Status | None,
    typer.Option(
        "--status",
        metavar="STATUS",
        show_default=False,
        rich_help_panel=_WHICH,
        help="uploading, accepted, acknowledged, undeliverable or error.",
    ),
]
OfType: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--type", metavar="data|report", show_default=False, rich_help_panel=_WHICH, help="What it is."
    ),
]
Limit: TypeAlias = Annotated[
    int, typer.Option(metavar="N", rich_help_panel=_WHICH, help="How many of them at most, up to 5000.")
]


def query(
    mailbox: str | None,
    sender: str | None,
    workflow: str | None,
    local_id: str | None,
    subject: str | None,
    status: Status | None,
    message_type: str | None,
) -> dict[str, str]:
    """Write the options as the API's query."""
    return in_query(
        mailbox=mailbox,
        sender=sender,
        workflow=workflow,
        local_id=local_id,
        subject=subject,
        status=status,
        type=message_type and message_type.upper(),
    )


def show_messages(messages: Sequence[dict[str, Any]]) -> None:
    """Show messages, one a row; where it is narrow a local id stands under its workflow."""
    if not messages:
        note("no messages")
        return
    wide = width() >= _WIDE
    rows: list[Sequence[Cell]] = []
    for each in messages:
        workflow, local_id = each["workflow_id"], each["local_id"]
        if local_id and not wide:
            workflow, local_id = f"{workflow}\n{local_id}", ""
        report = each["message_type"] == "REPORT"
        rows.append(
            (
                each["message_id"],
                status_cell(each["status"]),
                Styled("report", "dim") if report else each["sender"],
                each["recipient"],
                workflow,
                local_id,
            )
        )
    show_table(["message id", "status", "from", "to", "workflow", "local id"], rows)


def status_cell(status: str) -> Cell:
    """Write a message's status in its colour."""
    return Styled(status, _STYLES.get(Status(status), ""))
