"""``ndoo numbers``: look a list over before it is sent, and make lists up for tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from ndoo.cli import options
from ndoo.cli.boundary import ExitCode, UsageError
from ndoo.cli.show import noun, progress, show_error, show_facts, write_json

# The heavy libraries are imported in the command that needs them, so that --help is quick.

app = typer.Typer(
    name="numbers",
    no_args_is_help=True,
    help="Look a list over, or make one up.",
    epilog="Example: [bold]ndoo numbers validate patients.csv[/bold]",
)


@app.command(epilog="Example: [bold]ndoo numbers validate patients.csv --column 'NHS No'[/bold]")
def validate(
    source: options.Source,
    *,
    column: options.Column = None,
    number_rule: options.NumberRuleOption = options.Rule.CHECKSUM,
    repair: options.Repair = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Say which rows hold an invalid NHS number, and why.

    Exit 1 if there are any. Nothing is sent; lines are named, numbers never.
    """
    with progress(quiet=quiet or json) as shown:
        shown.start(f"Reading {source}")
        found, samples = _survey(source, column, number_rule, repair=repair, report=shown.bytes)
    if json:
        write_json({**found, "samples": [{"line": line, "reason": reason} for line, reason in samples]})
    elif not quiet:
        show_facts(
            [
                ("rows", found["rows"], ""),
                (
                    "valid",
                    found["valid"],
                    f"of them {found['distinct']:,} different {noun(found['distinct'], 'number')}",
                ),
                (
                    "duplicates",
                    found["duplicates"] or "",
                    f"{noun(found['duplicates'], 'row')} whose number came before; it is sent once",
                ),
                (
                    "repaired",
                    found["repaired"] if repair else "",
                    f"{noun(found['repaired'], 'row')} lacked the number's leading zero",
                ),
                ("blank", found["blank"], f"{noun(found['blank'], 'row')} without a number"),
                ("invalid", found["invalid"], ""),
                (
                    "repairable",
                    found["repairable"] or "",
                    f"only {noun(found['repairable'], 'lacks its', 'lack their')} leading zero: see --repair",
                ),
            ]
        )
        for line, reason in samples:
            typer.echo(f"  line {line:,}: {reason}")
        if found["invalid"] > len(samples):
            typer.echo(f"  and {found['invalid'] - len(samples):,} more")
    if found["invalid"]:
        if quiet and not json:
            wrong = (
                "record is not a valid NHS number"
                if found["invalid"] == 1
                else "records are not valid NHS numbers"
            )
            lines = noun(found["invalid"], "its line", "their lines")
            show_error([f"{source}: {found['invalid']:,} {wrong}; run it without --quiet to see {lines}"])
        raise typer.Exit(ExitCode.FAILED)


@app.command(epilog="Example: [bold]ndoo numbers generate --count 1000 test.dat[/bold]")
def generate(
    path: Annotated[
        Path, typer.Argument(metavar="OUT", show_default=False, help="The list to write: .dat or .txt.")
    ],
    *,
    count: Annotated[int, typer.Option(metavar="N", min=1, show_default=False, help="How many numbers.")],
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed gives the same numbers.")] = 1,
    force: options.Force = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Make up a list of valid NHS numbers of the test range.

    The range holds some 909,000 numbers; a longer list repeats them.
    """
    from ndoo.lists import format_records
    from ndoo.lists import generate as make_up
    from ndoo.output import write_output

    if path.suffix.lower() not in (".dat", ".txt"):
        raise UsageError(f"{path}: a list's name ends in .dat or .txt")
    with progress(quiet=quiet or json) as shown, write_output(path, force) as out:
        shown.start(f"Writing {path}")
        for block in make_up(count, seed):
            out.write(format_records(block))
    if json:
        write_json({"count": count, "seed": seed, "output": path})
    else:
        show_facts([("made up", count, noun(count, "NHS number")), ("written", str(path), "")], quiet=quiet)


def _survey(
    source: Path,
    column: str | None,
    number_rule: options.Rule,
    *,
    repair: bool,
    report: Callable[[int, int], None],
) -> tuple[dict[str, int], list[tuple[int, str]]]:
    """Read a whole list: what is in it, in numbers, and line and reason of the first invalid rows."""
    from ndoo._preparing import Survey
    from ndoo.lists import NumberRule, NumberSet
    from ndoo.tables import open_list

    survey = Survey(repair=repair)
    numbers = open_list(source, column, NumberRule(number_rule.value), progress=report)
    distinct = len(NumberSet.from_arrays(block.numbers[survey.take(block)] for block in numbers))
    counts = {
        "rows": survey.rows,
        "valid": survey.records,
        "distinct": distinct,
        "duplicates": survey.records - distinct,
        "repaired": survey.repaired,
        "blank": survey.blank,
        "invalid": survey.invalid,
        "repairable": survey.repairable,
    }
    return counts, survey.samples
