"""Options and arguments that several commands share, and how their values are read."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import typer

from mesh_sim.cli.boundary import Invocation, UsageError

STDIN: Final = "-"
NEW_PASSWORD: Final = "MESH_SIM_NEW_PASSWORD"  # noqa: S105 -- a variable's name

Json: TypeAlias = Annotated[
    bool, typer.Option("--json", metavar="", help="Print one JSON object, for programs.")
]
JsonLines: TypeAlias = Annotated[
    bool, typer.Option("--json", metavar="", help="Print JSON objects, one a line, for programs.")
]
Url: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        show_default=False,
        help="Where the simulator is. By default where the settings say.",
    ),
]
Yes: TypeAlias = Annotated[bool, typer.Option("--yes", metavar="", help="Do not ask whether to.")]

NEGATIVE_ALLOWED: Final = {"ignore_unknown_options": True}
"""Context settings that have ``-5d`` be a value, which is refused in words, and no option."""


def parse_duration(text: str | timedelta) -> timedelta:
    """Read ``5d``, ``1h30m`` or ``90`` (seconds).

    Raises:
        BadParameter: it is none, or negative.
    """
    from mesh_sim import durations

    if isinstance(text, timedelta):  # Typer has defaults parsed too
        return text
    try:
        return durations.parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def invocation(ctx: typer.Context) -> Invocation:
    """Give the run this command belongs to."""
    found: Any = ctx.obj
    if not isinstance(found, Invocation):
        raise TypeError("the command was not run through its root")
    return found


def confirm(question: str, *, yes: bool) -> None:
    """Have it confirmed, unless ``yes``, that something is to be thrown away.

    Raises:
        UsageError: nobody is there to ask.
        Exit: the answer was no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("nothing was done: without a terminal to ask on, this needs --yes")
    if not typer.confirm(question, err=True):
        typer.echo("nothing was done", err=True)
        raise typer.Exit(1)


def read_secret(ctx: typer.Context, prompt: str) -> str:
    """Read a secret: from the environment, hidden from a terminal, or as standard input's only line.

    Raises:
        UsageError: it is empty.
    """
    secret = invocation(ctx).new_password
    if secret is None and sys.stdin.isatty():
        secret = typer.prompt(prompt, hide_input=True, confirmation_prompt=True, err=True)
    elif secret is None:
        secret = sys.stdin.readline().rstrip("\r\n")
    if not secret:
        raise UsageError(f"the password is empty; set {NEW_PASSWORD}, or give it on standard input")
    return str(secret)


def read_words(words: list[str]) -> list[str]:
    """Give what was typed, with ``-`` replaced by the lines of standard input that are not blank.

    Raises:
        UsageError: nothing was given.
    """
    read: list[str] = []
    for word in words:
        read += [line.strip() for line in sys.stdin if line.strip()] if word == STDIN else [word]
    if not read:
        raise UsageError("standard input is empty; give one a line")
    return read


def read_file(path: Path, most: int) -> bytes:
    """Read a file, or standard input for ``-``.

    Raises:
        UsageError: it is longer than ``most`` bytes.
        OSError: it cannot be read.
    """
    if str(path) == STDIN:
        content = sys.stdin.buffer.read(most + 1)
    else:
        with path.open("rb") as file:
            content = file.read(most + 1)
    if len(content) > most:
        raise UsageError(f"{path}: has more than {most:,} bytes; send it with a client instead")
    return content
