"""``mesh-sim message put`` and ``report``: what is in an inbox without having been sent."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Annotated, Final

import typer

from mesh_sim.cli import options
from mesh_sim.cli.boundary import UsageError
from mesh_sim.cli.session import ask, ask_about, given
from mesh_sim.cli.show import progress, show_facts, write_json
from mesh_sim.exchange.states import Status

_PATH: Final = "/admin/messages"
_REPORT_PATH: Final = "/messageexchange/admin/report"


def add_to(app: typer.Typer) -> None:
    """Add the commands to their group."""
    example = "Example: [bold]mesh-sim message {}[/bold]"
    app.command(epilog=example.format("put X26ABC2 --count 600 --workflow TEST_WORKFLOW"))(put)
    app.command(epilog=example.format("report X26ABC1 --local-id batch-7"))(report)


def put(  # noqa: PLR0913 -- one for each option
    to: Annotated[str, typer.Argument(metavar="MAILBOX", show_default=False, help="Whose inbox.")],
    *,
    sender: Annotated[
        str | None, typer.Option("--from", metavar="MAILBOX", show_default="X26ABC1", help="The sender.")
    ] = None,
    workflow: Annotated[
        str | None,
        typer.Option(metavar="WORKFLOW", show_default="TEST_WORKFLOW", help="What kind of message."),
    ] = None,
    count: Annotated[int, typer.Option(metavar="N", help="How many, all alike.")] = 1,
    body: Annotated[
        str | None, typer.Option(metavar="TEXT", show_default=False, help="What is in it.")
    ] = None,
    body_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", show_default=False, help="The same from a file; - is standard input."),
    ] = None,
    subject: Annotated[
        str | None, typer.Option(metavar="TEXT", show_default=False, help="Free text.")
    ] = None,
    local_id: Annotated[
        str | None,
        typer.Option(metavar="ID", show_default=False, help="Several get -1, -2, ... after it."),
    ] = None,
    file_name: Annotated[
        str | None, typer.Option(metavar="NAME", show_default=False, help="The file it was.")
    ] = None,
    content_type: Annotated[
        str | None, typer.Option(metavar="TYPE", show_default=False, help="Its media type.")
    ] = None,
    url: options.Url = None,
    json: options.Json = False,
) -> None:
    """Put messages into an inbox, as if they had been sent.

    Nobody asks whether the sender may send them.
    """
    if body is not None and body_file is not None:
        raise UsageError("give either --body or --body-file")
    wish = given(
        workflow_id=workflow,
        body=body,
        body_base64=None if body_file is None else _encoded(body_file),
        subject=subject,
        local_id=local_id,
        file_name=file_name,
        content_type=content_type,
    )
    if sender is not None:
        wish["from"] = sender
    with progress(f"Putting {count:,} into {to}", quiet=json):
        made = ask(url, "POST", _PATH, body={"to": to, "count": count, **wish})
    ids = made["message_ids"]
    if json:
        write_json(made)
    elif len(ids) == 1:
        typer.echo(ids[0])
    else:
        show_facts([("put", len(ids), f"messages into {to}"), ("first", ids[0], ""), ("last", ids[-1], "")])


def report(  # noqa: PLR0913 -- one for each option
    mailbox: Annotated[str, typer.Argument(metavar="MAILBOX", show_default=False, help="Whose inbox.")],
    *,
    code: Annotated[
        str | None,
        typer.Option(metavar="CODE", show_default=False, help="The error's code; makes it an error report."),
    ] = None,
    description: Annotated[
        str | None,
        typer.Option(metavar="TEXT", show_default=False, help="The error in words; with --code."),
    ] = None,
    workflow: Annotated[
        str, typer.Option(metavar="WORKFLOW", help="Workflow of the message it is about.")
    ] = "TEST_WORKFLOW",
    subject: Annotated[
        str | None, typer.Option(metavar="TEXT", show_default=False, help="Subject of that message.")
    ] = None,
    local_id: Annotated[
        str | None, typer.Option(metavar="ID", show_default=False, help="Local id of that message.")
    ] = None,
    file_name: Annotated[
        str | None, typer.Option(metavar="NAME", show_default=False, help="File of that message.")
    ] = None,
    linked: Annotated[
        str | None, typer.Option(metavar="MESSAGE_ID", show_default=False, help="That message's id.")
    ] = None,
    url: options.Url = None,
    json: options.Json = False,
) -> None:
    """Put a report into an inbox: that a message was not delivered.

    Without --code because nobody collected it, as after five days.
    """
    if description is not None and code is None:
        raise UsageError("--description says what a --code means; give both")
    wish = given(subject=subject, local_id=local_id, file_name=file_name, linked_message_id=linked) | {
        "mailbox_id": mailbox,
        "workflow_id": workflow,
        "status": (Status.UNDELIVERABLE if code is None else Status.ERROR).value,
        "code": code or "",
        "description": description or "",
    }
    made = ask_about(f"mailbox {mailbox}", "mailbox list", url, "POST", _REPORT_PATH, body=wish)
    if json:
        write_json(made)
    else:
        typer.echo(made["message_id"])


def _encoded(path: Path) -> str:
    from mesh_sim.exchange.messages import INLINE_LIMIT

    return base64.b64encode(options.read_file(path, INLINE_LIMIT)).decode()
