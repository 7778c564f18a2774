"""``mesh-sim message list``, ``show`` and ``status``: any message, whoever it belongs to."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias

import typer

from mesh_sim.cli import options, selection
from mesh_sim.cli.session import ask, ask_about, given, segment
from mesh_sim.cli.show import moment, note, show_facts, size, write_json
from mesh_sim.exchange.states import Status

app = typer.Typer(
    name="message",
    no_args_is_help=True,
    help="Messages: list, show, put into an inbox, change a status.",
    epilog="Example: [bold]mesh-sim message put X26ABC2 --count 600[/bold]",
)

MessageId: TypeAlias = Annotated[
    str, typer.Argument(metavar="MESSAGE_ID", show_default=False, help="As 'mesh-sim message list' shows it.")
]

_PATH: Final = "/admin/messages"


@app.command("list", epilog="Example: [bold]mesh-sim message list --mailbox X26ABC2 --status accepted[/bold]")
def list_messages(  # noqa: PLR0913 -- one for each option
    *,
    mailbox: selection.Mailbox = None,
    sender: selection.Sender = None,
    workflow: selection.Workflow = None,
    local_id: selection.LocalId = None,
    subject: selection.Subject = None,
    status: selection.OfStatus = None,
    message_type: selection.OfType = None,
    limit: selection.Limit = 100,
    url: options.Url = None,
    json: options.Json = False,
) -> None:
    """List messages that are as the options say, oldest first."""
    wanted = selection.query(mailbox, sender, workflow, local_id, subject, status, message_type)
    found = ask(url, "GET", _PATH, query=wanted | {"limit": str(limit)})
    if json:
        write_json(found)
        return
    selection.show_messages(found["messages"])
    if len(found["messages"]) == limit:
        note(f"these are the first {limit:,}; --limit shows more")


@app.command(epilog="Example: [bold]mesh-sim message show 20261122100000000000_A1B2C3[/bold]")
def show(message_id: MessageId, *, url: options.Url = None, json: options.Json = False) -> None:
    """Show one message, whatever became of it."""
    found = _ask_about(message_id, url, "GET")
    if json:
        write_json(found)
        return
    failure = " ".join(found.get(f"status_{name}", "") for name in ("event", "code", "description"))
    show_facts(
        [
            ("message id", found["message_id"], ""),
            ("type", found["message_type"], ""),
            ("status", selection.status_cell(found["status"].lower()), ""),
            ("from", _party(found, "sender"), ""),
            ("to", _party(found, "recipient"), ""),
            ("workflow", found["workflow_id"], ""),
            ("local id", found.get("local_id", ""), ""),
            ("subject", found.get("subject", ""), ""),
            ("file", found.get("filename", ""), ""),
            ("size", size(found["file_size"]) if found.get("file_size") else "", ""),
            ("chunks", str(found["chunk_count"]), ""),
            ("encoding", found.get("content_encoding") or "", ""),
            ("sent", moment(found["upload_timestamp"]), ""),
            ("acknowledged", moment(found.get("download_timestamp")), ""),
            ("expires", moment(found["expiry_time"]), ""),
            ("failed", moment(found.get("failure_date") or found.get("status_timestamp")), ""),
            ("reason", found.get("failure_diagnostic") or failure.strip(), ""),
            ("about", found.get("linked_msg_id", ""), ""),
        ]
    )


@app.command(epilog="Example: [bold]mesh-sim message status 20261122100000000000_A1B2C3 undeliverable[/bold]")
def status(
    message_id: MessageId,
    to: Annotated[
        Status,
        typer.Argument(
            metavar="STATUS",
            show_default=False,
            help="uploading, accepted, acknowledged, undeliverable or error.",
        ),
    ],
    *,
    code: Annotated[
        str | None, typer.Option(metavar="CODE", show_default=False, help="What failed: its code.")
    ] = None,
    event: Annotated[
        str | None, typer.Option(metavar="EVENT", show_default=False, help="What failed: the step.")
    ] = None,
    description: Annotated[
        str | None, typer.Option(metavar="TEXT", show_default=False, help="What failed: in words.")
    ] = None,
    linked: Annotated[
        str | None,
        typer.Option(metavar="MESSAGE_ID", show_default=False, help="The message this is about."),
    ] = None,
    url: options.Url = None,
    json: options.Json = False,
) -> None:
    """Put a message into any status; an accepted one is in its inbox again."""
    wish = given(code=code, event=event, description=description, linked_message_id=linked)
    _ask_about(message_id, url, "POST", "/event", body={"status": to.value, **wish})
    if json:
        write_json({"message_id": message_id.upper(), "status": to.value})
    else:
        typer.echo(f"{message_id.upper()} is now {to.value}")


def _ask_about(message_id: str, url: str | None, method: str, rest: str = "", **options: Any) -> Any:
    return ask_about(
        f"message {message_id}",
        "message list",
        url,
        method,
        f"/admin/message/{segment(message_id)}{rest}",
        **options,
    )


def _party(found: dict[str, Any], side: str) -> str:
    names = (found[side], found[f"{side}_name"], found[f"{side}_ods_code"])
    return "  ".join(filter(None, names))
