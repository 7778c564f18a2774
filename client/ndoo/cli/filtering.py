"""``ndoo filter``: using an answer, a temporary cache or a list of Type 1 opt-outs; nothing is sent."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ndoo.cli import options
from ndoo.cli.boundary import UsageError
from ndoo.cli.cache_state import load_cache
from ndoo.cli.show import note, noun, progress, show_facts, write_json
from ndoo.errors import ColumnError, InvalidNumbers, UnreadableList

if TYPE_CHECKING:
    from ndoo.filtering import FilterSummary, Keep, Type1List
    from ndoo.lists import NumberRule

# The heavy libraries are imported in the command that needs them, so that --help is quick.

PANEL = "Files on this computer"


def add_to(app: typer.Typer) -> None:
    """Add the commands to the root."""
    app.command(
        "filter",
        rich_help_panel=PANEL,
        epilog="Example: [bold]ndoo filter visits.csv --cache patients.cache --type-1 type1.csv[/bold]",
    )(filter_rows)


def filter_rows(  # noqa: PLR0913 -- one for each option
    ctx: typer.Context,
    source: options.Source,
    *,
    answer: Annotated[
        Path | None,
        typer.Option(metavar="FILE", show_default=False, help="A cleaned list (.dat) the service answered."),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(metavar="FILE", show_default=False, help="A temporary cache that has not expired."),
    ] = None,
    type_1: Annotated[
        Path | None,
        typer.Option(
            "--type-1",
            metavar="FILE",
            show_default=False,
            help="The practice's own list of Type 1 opt-outs, by NHS number, of any kind that IN may be.",
        ),
    ] = None,
    type_1_column: Annotated[
        str | None,
        typer.Option(
            "--type-1-column",
            metavar="NAME|N",
            show_default=False,
            help="NHS-number column of that list. By default found by its name.",
        ),
    ] = None,
    column: options.Column = None,
    number_rule: options.NumberRuleOption = options.Rule.CHECKSUM,
    repair: options.Repair = False,
    output: options.Output = None,
    force: options.Force = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Keep the rows whose NHS number is in an answer or a cache, and no Type 1 opt-out.

    Rows are copied as they are, and nothing is sent. Left out are rows without
    a valid number, and people who were not on the list that was submitted.
    """
    from ndoo.filtering import filter_csv
    from ndoo.lists import NumberRule
    from ndoo.output import write_output

    target = options.follow_link(output or options.default_output(source))
    _refuse(source, target, answer, cache, type_1)
    if type_1 is None and type_1_column is not None:
        raise UsageError("--type-1-column is the column of a list given with --type-1")
    rule = NumberRule(number_rule.value)
    with progress(quiet=quiet or json) as shown, write_output(target, force) as out:
        shown.start(f"Filtering {source}")
        keep = _keep(ctx, answer, cache)
        listed = None if type_1 is None else _read_type_1(type_1, type_1_column, rule, repair=repair)
        summary = filter_csv(
            source,
            out,
            keep,
            exclude=None if listed is None else listed.numbers.contains,
            column=column,
            rule=rule,
            repair=repair,
            as_workbook=target.suffix.lower() == ".xlsx",
            progress=shown.bytes,
        )
    if listed is not None and listed.blank:
        rows = "1 row holds" if listed.blank == 1 else f"{listed.blank:,} rows hold"
        note(f"{type_1}: {rows} no NHS number, so that nobody was removed for them", quiet=quiet)
    if json:
        write_json({**asdict(summary), "national": keep is not None, "output": target})
        return
    if not quiet:
        by = "cache" if cache is not None else "answer" if answer is not None else ""
        show_facts([*_facts(summary, by, has_type_1=listed is not None), ("written", str(target), "")])


def _facts(summary: FilterSummary, by: str, *, has_type_1: bool) -> list[tuple[str, int | str, str]]:
    """List what became of the rows; ``by`` is what told who has opted out nationally, or empty."""
    also = f", {summary.both:,} of them not in the {by} either" if summary.both else ""
    return [
        ("rows", summary.rows, ""),
        ("kept", summary.kept, ""),
        ("removed", summary.removed if by else "", f"not in the {by}"),
        ("type 1", summary.type_1 if has_type_1 else "", f"on the practice's own list{also}"),
        ("blank", summary.blank, f"{noun(summary.blank, 'row')} without a number, left out"),
        ("invalid", summary.invalid, f"{noun(summary.invalid, 'row')} with an invalid number, left out"),
        (
            "repairable",
            summary.repairable or "",
            f"only {noun(summary.repairable, 'lacks its', 'lack their')} leading zero: see --repair",
        ),
        (
            "repaired",
            summary.repaired or "",
            f"{noun(summary.repaired, 'row')} lacked the number's leading zero",
        ),
        ("national", "" if by else "not applied", "(give --answer or --cache for the national opt-out)"),
    ]


def _refuse(source: Path, target: Path, answer: Path | None, cache: Path | None, type_1: Path | None) -> None:
    """Refuse options that cannot be meant.

    Raises:
        UsageError: they do not say what to filter by, or would write over what is read.
        ConfigError: the rows do not make what is to be written.
    """
    from ndoo.filtering import refuse_other_kind

    options.refuse_gzip(target)
    if answer is not None and cache is not None:
        raise UsageError("give either --answer FILE or --cache FILE")
    if answer is None and cache is None and type_1 is None:
        raise UsageError(
            "nothing to leave out; give --cache FILE or --answer FILE, --type-1 FILE, or one of each"
        )
    for path in (source, answer, cache, type_1):
        if path is not None and _is_same(path, target):
            raise UsageError(f"{target}: is read here and would be lost; name another output with -o")
    refuse_other_kind(source, target)


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # one of them is not there, or cannot be reached: reading or writing it says so
        return False


def _keep(ctx: typer.Context, answer: Path | None, cache: Path | None) -> Keep | None:
    from ndoo.filtering import read_answer

    if answer is not None:
        try:
            return read_answer(answer).contains
        except InvalidNumbers:
            if answer.suffix.lower() not in options.TABLES:
                raise
            told = (
                "is a table, not the bare cleaned list; --answer takes the .dat that "
                "'ndoo check LIST -o cleaned.dat' writes"
            )
            raise UnreadableList(answer, told) from None
    if cache is not None:
        return load_cache(cache, options.settings_of(ctx)).contains
    return None


def _read_type_1(path: Path, column: str | None, rule: NumberRule, *, repair: bool) -> Type1List:
    """Read the practice's own list; errors say what to do about it here."""
    from ndoo.filtering import read_type_1

    try:
        return read_type_1(path, column=column, rule=rule, repair=repair)
    except InvalidNumbers as error:
        error.args = (f"{error}; nothing was written, for an objection must not be lost: correct the list",)
        raise
    except ColumnError as error:
        error.args = (str(error).replace("--column", "--type-1-column"),)
        raise
