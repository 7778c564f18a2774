"""Options and arguments that several commands share, and how their values are read."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import typer

from ndoo.cli.boundary import Invocation, UsageError
from ndoo.cli.show import printable

if TYPE_CHECKING:
    from ndoo.config import Settings

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?", re.ASCII)
_SECONDS: Final = (86_400, 3_600, 60, 1)


class Rule(StrEnum):
    """The values of ``ndoo.lists.NumberRule``, which is not imported to keep the start quick."""

    CHECKSUM = "checksum"
    DIGITS = "digits"


def parse_duration(text: str) -> float:
    """Read ``90``, ``90s``, ``10m`` or ``1h30m`` as seconds.

    Raises:
        BadParameter: it is none of these, or more than a year.
    """
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None or not any(match.groups()):
        raise typer.BadParameter("write it like 0, 90s, 10m, 1h30m or 2d")
    seconds = sum(int(amount or 0) * unit for amount, unit in zip(match.groups(), _SECONDS, strict=True))
    if seconds > 366 * 86_400:
        raise typer.BadParameter("is longer than a year")
    return float(seconds)


TABLES: Final = (".csv", ".tsv", ".xlsx")
"""What the names of tables end in."""

_LIST = "The list"
_OUTPUT = "The output"

Json: TypeAlias = Annotated[
    bool, typer.Option("--json", metavar="", help="Print one line of JSON, for programs.")
]
Quiet: TypeAlias = Annotated[
    bool, typer.Option("--quiet", "-q", metavar="", help="Show errors only: no progress, no notes, no table.")
]
Source: TypeAlias = Annotated[
    Path,
    typer.Argument(
        metavar="IN",
        show_default=False,
        help="Your list: .csv, .tsv, .xlsx, or .dat or .txt with one number a line; also .gz.",
    ),
]
Column: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|N",
        show_default=False,
        rich_help_panel=_LIST,
        help="NHS-number column of a table: its name, or its position from 1. By default found by its name. "
        "Of a workbook also 'SHEET!NAME'.",
    ),
]
NumberRuleOption: TypeAlias = Annotated[
    Rule,
    typer.Option(
        "--number-rule",
        metavar="checksum|digits",
        rich_help_panel=_LIST,
        help="What a valid number is: ten digits with the right check digit, or any ten digits.",
    ),
]
SkipInvalid: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--skip-invalid", metavar="", rich_help_panel=_LIST, help="Leave rows with invalid numbers out."
    ),
]
Repair: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--repair",
        metavar="",
        rich_help_panel=_LIST,
        help="Give numbers of nine digits back the leading zero that a spreadsheet took from them.",
    ),
]
Output: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        metavar="OUT",
        show_default=False,
        rich_help_panel=_OUTPUT,
        help="Where to write: .csv, .tsv or .xlsx, as IN is, keeps the columns, .dat is the bare list. By "
        "default beside IN.",
    ),
]
Force: TypeAlias = Annotated[
    bool,
    typer.Option("--force", metavar="", rich_help_panel=_OUTPUT, help="Replace the output if it exists."),
]
Cache: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--cache",
        metavar="",
        rich_help_panel=_OUTPUT,
        help="Write a temporary cache, which works until it expires.",
    ),
]


def invocation(ctx: typer.Context) -> Invocation:
    """Give the run this command belongs to."""
    found: Any = ctx.obj
    if not isinstance(found, Invocation):
        raise TypeError("the command was not run through its root")
    return found


def settings_of(ctx: typer.Context) -> Settings:
    """Read the settings, with the profile the command line chose.

    Raises:
        ConfigError: a setting is missing or wrong.
    """
    from ndoo.config import load_settings

    run = invocation(ctx)
    # Of a command in a group, such as "cache refresh", the root knew the group only.
    run.command = ctx.command_path.partition(" ")[2]
    settings = load_settings(run.profile)
    run.mailbox = settings.mailbox
    return settings


def complete_local_id(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Offer the lists that wait for an answer to whoever presses Tab; where that fails, none."""
    from ndoo.config import load_settings
    from ndoo.errors import NdooError
    from ndoo.journal import Journal

    try:
        pending = Journal(load_settings(ctx.find_root().params.get("profile")).journal).pending()
    except NdooError:  # there is nobody to be told, and the command itself will
        return []
    return [
        (each.local_id, printable(f"{each.source.name}, {each.stage.value}"))
        for each in pending
        if each.local_id.startswith(incomplete)
    ]


def default_output(source: Path, *, cache: bool = False) -> Path:
    """Name the output beside its source: ``IN-cleaned.csv`` or as the table is, ``.dat``, or ``IN.cache``."""
    if not source.name:  # "." or "/": reading it says what is wrong, so any name in it does
        return source / "cleaned.dat"
    plain = source.with_suffix("") if source.suffix.lower() == ".gz" else source
    if cache:
        return plain.with_suffix(".cache")
    suffix = plain.suffix.lower() if plain.suffix.lower() in TABLES else ".dat"
    return plain.with_name(f"{plain.stem}-cleaned{suffix}")


def refuse_list_name(cache: Path) -> None:
    """Refuse to call a temporary cache what a list is called: it would be opened, or sent, as one.

    Raises:
        UsageError: its ending is that of a list.
    """
    if cache.suffix.lower() in (*TABLES, ".dat", ".txt"):
        raise UsageError(
            f"{cache}: a temporary cache must not look like a list; name it {cache.with_suffix('.cache')}"
        )


def follow_link(output: Path) -> Path:
    """Give the file that is to be replaced: what a link leads to, so that the link stays one."""
    return output.resolve() if output.is_symlink() else output


def refuse_gzip(output: Path) -> None:
    """Refuse an output name that promises compression.

    Raises:
        UsageError: it ends in .gz.
    """
    if output.suffix.lower() == ".gz":
        raise UsageError(f"{output}: outputs are not compressed; choose a name without .gz")
