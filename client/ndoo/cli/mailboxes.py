"""``ndoo mailbox``: the operations of MESH, one command each."""

from __future__ import annotations

import re
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from ndoo.cli import options
from ndoo.cli.boundary import UsageError
from ndoo.cli.headers import header_facts, header_fields, reason, tracking_fields
from ndoo.cli.running import run
from ndoo.cli.show import moment, note, printable, progress, show_facts, show_table, size, write_json
from ndoo.protocol import WORKFLOW_CHECK, gets_reply

if TYPE_CHECKING:
    from ndoo.config import Settings
    from ndoo.mailbox import Mailbox, Message, MessageHeaders

# The heavy libraries are imported in the command that needs them, so that --help is quick.

app = typer.Typer(
    name="mailbox",
    no_args_is_help=True,
    help="Use the mailbox by hand: list, read, send, track, look up.",
    epilog="Example: [bold]ndoo mailbox list --details[/bold]",
)

MessageId = Annotated[
    str, typer.Argument(metavar="MESSAGE_ID", show_default=False, help="As 'ndoo mailbox list' shows it.")
]
Workflow = Annotated[
    str,
    typer.Option(
        "--workflow",
        metavar="FILTER",
        show_default=False,
        help="Only of this workflow: W, W* (begins with), *W* (contains), each with ! before it for not.",
    ),
]

_STDOUT: Final = Path("-")
_HERE: Final = Path()
_DATA_FILE = re.compile(
    r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}\.(csv|dat|gz|json|pdf|tsv|txt|xlsx|xml|zip)", re.ASCII | re.IGNORECASE
)
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9_-]", re.ASCII)

_T = TypeVar("_T")


def _with_mailbox(ctx: typer.Context, use: Callable[[Mailbox], Awaitable[_T]]) -> _T:
    """Connect, use the mailbox, disconnect."""
    settings = options.settings_of(ctx)

    async def connected() -> _T:
        from ndoo.cli.session import use_mailbox

        async with use_mailbox(settings, options.invocation(ctx).command) as mailbox:
            return await use(mailbox)

    return run(connected())


# -- is it there ------------------------------------------------------------------------------------


@app.command(epilog="Example: [bold]ndoo --profile int mailbox handshake[/bold]")
def handshake(
    ctx: typer.Context,
    *,
    if_due: Annotated[
        bool,
        typer.Option(
            "--if-due", metavar="", help="Not if that was done from here within a day, as MESH asks for it."
        ),
    ] = False,
    json: options.Json = False,
) -> None:
    """Try whether the server is there and accepts the credentials."""
    settings = options.settings_of(ctx)

    async def shake_hands(mailbox: Mailbox) -> bool:
        return await _greet(mailbox, settings, always=not if_due)

    done = _with_mailbox(ctx, shake_hands)
    if json:
        facts = {"mailbox": settings.mailbox, "url": settings.url, "profile": settings.profile}
        write_json({**facts, "shook_hands": done})
    elif done:
        typer.echo(f"{settings.url} accepts mailbox {settings.mailbox} and its credentials")
    else:
        note(f"{settings.url} accepted mailbox {settings.mailbox} within a day; no handshake is due")


async def _greet(mailbox: Mailbox, settings: Settings, *, always: bool = False) -> bool:
    """Shake hands where that is due, or in any case, and remember it; tell whether that was done."""
    from ndoo._inbox import greet
    from ndoo.journal import Journal

    return await greet(mailbox, Journal(settings.journal), always=always)


# -- the inbox --------------------------------------------------------------------------------------


@app.command("list", epilog="Example: [bold]ndoo mailbox list --workflow 'SPINE_NTT*' --details[/bold]")
def list_messages(
    ctx: typer.Context,
    *,
    workflow: Workflow = "",
    details: Annotated[
        bool,
        typer.Option("--details", metavar="", help="Also show sender, workflow, local id and file name."),
    ] = False,
    json: options.Json = False,
) -> None:
    """List the messages of the inbox, oldest first, one id a line."""

    async def find(mailbox: Mailbox) -> tuple[list[str], list[MessageHeaders]]:
        found = [message_id async for message_id in mailbox.messages(workflow_filter=workflow)]
        return found, [await mailbox.head(message_id) for message_id in found] if details else []

    found, headers = _with_mailbox(ctx, find)
    if json:
        write_json({"messages": list(map(header_fields, headers)) if details else found})
    elif not found:
        note("no messages")
    elif details:
        show_table(
            ["message id", "from", "workflow", "local id", "file"],
            [
                (
                    each.message_id,
                    each.sender or each.message_type,
                    each.workflow_id,
                    each.local_id,
                    each.file_name,
                )
                for each in headers
            ],
        )
    else:
        for message_id in found:
            typer.echo(message_id)


@app.command(epilog="Example: [bold]ndoo mailbox count[/bold]")
def count(ctx: typer.Context, *, json: options.Json = False) -> None:
    """Count the messages of the inbox."""
    waiting = _with_mailbox(ctx, lambda mailbox: mailbox.count())
    if json:
        write_json({"count": waiting})
    else:
        typer.echo(str(waiting))


@app.command(
    epilog="Example: [bold]ndoo mailbox read 20261122100000000000_A1B2C3 -o answer.dat --acknowledge[/bold]"
)
def read(
    ctx: typer.Context,
    message_id: MessageId,
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            show_default=False,
            help="Where to write the body; - is standard output. By default under the name it was sent with, "
            "if that is a plain name of a data file, or else under its id.",
        ),
    ] = None,
    acknowledge: Annotated[
        bool,
        typer.Option("--acknowledge", metavar="", help="Then take it out of the inbox, for good."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", metavar="", help="Replace FILE if it exists.")] = False,
    json: options.Json = False,
) -> None:
    """Save a message's body, and show its headers.

    Unless acknowledged, it stays in the inbox. A report has no body.
    """
    if json and output == _STDOUT:
        raise UsageError("--json needs standard output for itself; name a file with -o")

    async def fetch(mailbox: Mailbox) -> tuple[MessageHeaders, Path | None, int]:
        async with mailbox.receive(message_id) as message:
            headers = message.headers
            target = None if headers.is_report else output or _file_name(headers)
            written = 0
            if target == _STDOUT:
                written = await _to_stdout(message)
            elif target is not None:
                written = await message.save(target, replace=force)
        if acknowledge:
            await mailbox.acknowledge(message_id)
        return headers, target, written

    with progress(quiet=json or output == _STDOUT) as shown:
        shown.start(f"Receiving {message_id}")
        headers, target, written = _with_mailbox(ctx, fetch)
    if json:
        write_json(
            {**header_fields(headers), "output": target, "bytes": written, "acknowledged": acknowledge}
        )
    elif target != _STDOUT:
        show_facts(
            [
                *header_facts(headers),
                ("written", f"{target} ({size(written)})" if target else "", ""),
                ("acknowledged", "yes" if acknowledge else "no, it is still in the inbox", ""),
            ]
        )


def _file_name(headers: MessageHeaders) -> Path:
    """Name the file a body is saved under.

    A sender's choice must not reach beyond this folder, nor become the settings of a program in it; an id is
    the server's to choose.
    """
    name = headers.file_name
    return Path(name) if _DATA_FILE.fullmatch(name) else _by_id(headers)


def _by_id(headers: MessageHeaders) -> Path:
    return Path(f"{_NOT_PLAIN.sub('_', headers.message_id)}.dat")


async def _to_stdout(message: Message) -> int:
    written = 0
    async for block in message:
        sys.stdout.buffer.write(block)
        written += len(block)
    # Before anything is acknowledged, whoever reads must have it.
    sys.stdout.buffer.flush()
    return written


@app.command(epilog="Example: [bold]ndoo mailbox collect -o inbox[/bold]")
def collect(
    ctx: typer.Context,
    *,
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="FOLDER",
            show_default="the current one",
            help="Where to write the bodies, each under its message id; made if it is not there.",
        ),
    ] = _HERE,
    workflow: Workflow = "",
    json: options.Json = False,
) -> None:
    """Save every message of the inbox, and acknowledge each once it is on the disk.

    A handshake comes first if one is due. A report has no body; what it says is shown. Unless --workflow is
    given, answers of the opt-out service stay: 'ndoo collect' is for them.
    """
    settings = options.settings_of(ctx)
    chosen = workflow or f"!{WORKFLOW_CHECK}*"
    taken: list[dict[str, Any]] = []

    async def take(mailbox: Mailbox, message_id: str) -> None:
        async with mailbox.receive(message_id) as message:
            headers = message.headers
            target = None if headers.is_report else output / _by_id(headers)
            # One that is there already is of a run that was stopped before it could acknowledge.
            written = 0 if target is None else await message.save(target, replace=True)
        await mailbox.acknowledge(message_id)
        taken.append({**header_fields(headers), "output": target, "bytes": written})
        if not json:
            typer.echo(printable(f"{message_id} {target or f'report: {reason(headers)}'}"))

    async def empty(mailbox: Mailbox) -> None:
        await _greet(mailbox, settings)
        async for message_id in mailbox.messages(workflow_filter=chosen):
            await take(mailbox, message_id)

    output.mkdir(parents=True, exist_ok=True)
    _with_mailbox(ctx, empty)
    if json:
        write_json({"messages": taken})
    elif not taken:
        note("no messages")


# -- the outbox -------------------------------------------------------------------------------------


@app.command(
    epilog="Example: [bold]NDOO_MAILBOX=X26ABC1 ndoo mailbox send hello.txt --to X26ABC2 "
    "--workflow TEST_WORKFLOW[/bold]"
)
def send(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="FILE", show_default=False, help="The body.")],
    *,
    to: Annotated[str, typer.Option(metavar="MAILBOX", show_default=False, help="The recipient.")],
    workflow: Annotated[
        str, typer.Option(metavar="WORKFLOW", show_default=False, help="What kind of message it is.")
    ],
    subject: Annotated[str, typer.Option(metavar="TEXT", show_default=False, help="Free text.")] = "",
    local_id: Annotated[
        str,
        typer.Option(
            metavar="ID", show_default=False, help="Your own name for it, to track it by; no personal data."
        ),
    ] = "",
    compress: Annotated[bool, typer.Option("--compress", metavar="", help="Compress it on the way.")] = False,
    json: options.Json = False,
) -> None:
    """Send a file to a mailbox, and print its message id."""
    if workflow.startswith(WORKFLOW_CHECK) and not (gets_reply(subject) and gets_reply(local_id)):
        note(
            "the opt-out service never answers unless both --subject and --local-id are given, of letters, "
            "digits, - and _ only; 'ndoo submit' sees to that"
        )
    with progress(quiet=json) as shown:
        shown.start(f"Sending {path}")
        message_id = _with_mailbox(
            ctx,
            lambda mailbox: mailbox.send(
                to,
                workflow,
                path,
                subject=subject,
                local_id=local_id,
                file_name=path.name,
                compress=compress,
                progress=lambda done: shown.bytes(done, path.stat().st_size),
            ),
        )
    if json:
        write_json({"message_id": message_id})
    else:
        typer.echo(message_id)


@app.command(epilog="Example: [bold]ndoo mailbox track --local-id X99GP001-221126-0001[/bold]")
def track(
    ctx: typer.Context,
    message_id: Annotated[
        str, typer.Argument(metavar="MESSAGE_ID", show_default=False, help="As 'send' printed it.")
    ] = "",
    *,
    local_id: Annotated[
        str, typer.Option(metavar="ID", show_default=False, help="Track by your own name for it instead.")
    ] = "",
    json: options.Json = False,
) -> None:
    """Ask what became of a message this mailbox sent."""
    if bool(message_id) == bool(local_id):
        raise UsageError("give either a MESSAGE_ID or --local-id ID")
    found = _with_mailbox(ctx, lambda mailbox: mailbox.track(message_id, local_id=local_id))
    if json:
        write_json(tracking_fields(found))
        return
    show_facts(
        [
            ("status", found.status, ""),
            ("message id", found.message_id, ""),
            ("local id", found.local_id, ""),
            ("workflow", found.workflow_id, ""),
            ("to", " ".join(filter(None, (found.recipient, found.recipient_name))), ""),
            ("file", found.file_name, ""),
            ("sent", moment(found.upload_timestamp) if found.upload_timestamp else "", ""),
            ("collected", moment(found.download_timestamp) if found.download_timestamp else "", ""),
            ("expires", moment(found.expiry_time) if found.expiry_time else "", ""),
            # A message on its way may have codes of success; those are no news.
            ("reason", "" if found.status_success is not False else reason(found), ""),
        ]
    )


@app.command(epilog="Example: [bold]ndoo mailbox lookup X26 SPINE_NTT_UPHOLDING[/bold]")
def lookup(
    ctx: typer.Context,
    ods_code: Annotated[
        str, typer.Argument(metavar="ODS", show_default=False, help="Code of the organisation.")
    ],
    workflow: Annotated[
        str, typer.Argument(metavar="WORKFLOW", show_default=False, help="What is to be sent.")
    ],
    *,
    json: options.Json = False,
) -> None:
    """Find the mailboxes of an organisation that receive a workflow."""
    found = _with_mailbox(ctx, lambda mailbox: mailbox.look_up(ods_code, workflow))
    if json:
        write_json({"mailboxes": [{"mailbox_id": each.mailbox_id, "name": each.name} for each in found]})
    elif found:
        show_table(["mailbox", "name"], [(each.mailbox_id, each.name) for each in found])
    else:
        note(f"no mailbox of {ods_code} receives {workflow}")
