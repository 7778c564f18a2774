"""``mesh-sim witness report``: what came of a rehearsal, for people, for programs, or to send on."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from contextlib import redirect_stdout, suppress
from enum import StrEnum
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from mesh_sim.cli import options
from mesh_sim.cli.boundary import CommandFailed, ExitCode, UsageError
from mesh_sim.cli.session import in_query, with_simulator
from mesh_sim.cli.show import note
from mesh_sim.cli.witness_show import Fields
from mesh_sim.cli.witness_start import PATH, Mailbox
from mesh_sim.cli.witness_text import counts, show_report

if TYPE_CHECKING:
    from mesh_sim.control import ControlClient

_PATH: Final = f"{PATH}/report"


class Format(StrEnum):
    """How a report is written."""

    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"
    HTML = "html"


_ENDINGS: Final = {
    ".htm": Format.HTML,
    ".html": Format.HTML,
    ".json": Format.JSON,
    ".xml": Format.JUNIT,
}
"""What a file's name says of its format; any other is text."""


class EmptyJournal(CommandFailed):
    """There is nothing to report of a mailbox."""

    def __init__(self, mailbox: str) -> None:
        super().__init__(
            f"the journal has no request of mailbox {mailbox}, so there is nothing to report; have the "
            f"client make some, as 'mesh-sim witness start --mailbox {mailbox}' tells"
        )


def add_to(app: typer.Typer) -> None:
    """Add the command to its group."""
    app.command(epilog="Example: [bold]mesh-sim witness report --mailbox X26ABC1 -o report.html[/bold]")(
        report
    )


def report(
    *,
    mailbox: Mailbox,
    format_: Annotated[
        Format | None,
        typer.Option(
            "--format",
            show_default="as FILE ends: .html, .xml, .json; else text",
            help="A table for people, JSON, JUnit XML, or a page to attach to an e-mail.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", show_default=False, help="Where to write it."),
    ] = None,
    complete: Annotated[
        bool,
        typer.Option("--complete", metavar="", help="Exit 1 also if a required case was not seen."),
    ] = False,
    case: Annotated[
        list[str] | None,
        typer.Option(metavar="CASE", show_default="all", help="Only this one; more may be given."),
    ] = None,
    url: options.Url = None,
    json: options.Json = False,
) -> None:
    """Report which cases passed, failed or were not seen, with the requests that show it.

    Exit 1 if a required case failed.
    """
    wanted = _format(format_, out, json=json)
    query = in_query(mailbox=mailbox, case=",".join(case) if case else None)
    found, document = with_simulator(url, lambda client: _ask(client, query, wanted))
    if not found["requests"]:
        raise EmptyJournal(found["mailbox"])
    if out is not None:
        _write(out, _as_text(found) if document is None else document)
        note(f"{out}: the report of {found['mailbox']}; {counts(found)}")
    elif document is None:
        show_report(found)
    else:
        typer.echo(document, nl=False)
    _leave(found, complete=complete)


def _format(given: Format | None, out: Path | None, *, json: bool) -> Format:
    if json and given not in (None, Format.JSON):
        raise UsageError(f"give either --json or --format {given}")
    if json:
        return Format.JSON
    if given is not None:
        return given
    return Format.TEXT if out is None else _ENDINGS.get(out.suffix.lower(), Format.TEXT)


async def _ask(client: ControlClient, query: dict[str, str], wanted: Format) -> tuple[Fields, str | None]:
    """Ask for the report as JSON, which decides the exit code, and as a document if one is wanted."""
    found: Any = await client.get(_PATH, query)
    match wanted:
        case Format.TEXT:
            return found, None
        case Format.JSON:
            return found, dumps(found, indent=2) + "\n"
        case Format.JUNIT | Format.HTML:
            return found, await client.text(_PATH, query | {"format": wanted.value})


def _as_text(found: Fields) -> str:
    with redirect_stdout(io.StringIO()) as written:
        show_report(found)
    return written.getvalue()


def _write(path: Path, text: str) -> None:
    """Write a file so that nobody ever reads half of it."""
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent}: there is no such folder; nothing was written")
    if path.exists() and not path.is_file():  # a device or a pipe is written to, not replaced
        path.write_text(text, "utf-8")
        return
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, "utf-8")
        part.replace(path)
    except OSError as error:
        error.filename, error.filename2 = str(path), None  # the name that was given, not the passing one
        raise
    finally:
        with suppress(OSError):  # what it could not be written for, it cannot be removed for either
            part.unlink()


def _leave(found: Fields, *, complete: bool) -> None:
    """End the command as the required cases did; what failed has been said with the counts."""
    unseen: Sequence[str] = found["required_not_seen"] if complete else ()
    if unseen:
        note(f"--complete: these required cases were not seen: {', '.join(unseen)}")
    if found["required_failed"] or unseen:
        raise typer.Exit(ExitCode.FAILED)
