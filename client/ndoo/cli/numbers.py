"""``ndoo numbers``: look a list over before it is sent, and make lists up for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from ndoo.cli import options
from ndoo.cli.boundary import ExitCode, UsageError
from ndoo.cli.show import progress, show_facts, write_json

# The heavy libraries are imported in the command that needs them, so that --help is quick.

MAX_SAMPLES: Final = 20
"""How many invalid rows are named by line and reason."""

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
    json: options.Json = False,
) -> None:
    """Say which rows hold an invalid NHS number, and why.

    Exit 1 if there are any. Nothing is sent; lines are named, numbers never.
    """
    with progress(quiet=json) as shown:
        shown.start(f"Reading {source}")
        found = _survey(source, column, number_rule)
    if json:
        write_json(found)
    else:
        show_facts(
            [
                ("rows", found["rows"], ""),
                ("valid", found["valid"], f"of them {found['distinct']:,} different numbers"),
                ("blank", found["blank"], "rows without a number"),
                ("invalid", found["invalid"], ""),
            ]
        )
        for sample in found["samples"]:
            typer.echo(f"  line {sample['line']:,}: {sample['reason']}")
        if found["invalid"] > len(found["samples"]):
            typer.echo(f"  and {found['invalid'] - len(found['samples']):,} more")
    if found["invalid"]:
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
    with progress(quiet=json) as shown, write_output(path, force) as out:
        shown.start(f"Writing {path}")
        for block in make_up(count, seed):
            out.write(format_records(block))
    if json:
        write_json({"count": count, "seed": seed, "output": path})
    else:
        show_facts([("made up", count, "NHS numbers"), ("written", str(path), "")])


def _survey(source: Path, column: str | None, number_rule: options.Rule) -> dict[str, Any]:
    """Read a whole list and count what is in it; named by line only."""
    import numpy as np

    from ndoo.lists import Fault, NumberRule, NumberSet
    from ndoo.tables import open_list

    counts = np.zeros(len(Fault), np.int64)
    samples: list[dict[str, Any]] = []
    valid = []
    for block in open_list(source, column, NumberRule(number_rule.value)):
        counts += np.bincount(block.faults, minlength=len(Fault))
        valid.append(block.numbers[block.valid])
        samples += [
            {"line": int(block.lines[index]), "reason": Fault(block.faults[index]).reason}
            for index in np.flatnonzero(block.faults > Fault.BLANK)[: MAX_SAMPLES - len(samples)]
        ]
    return {
        "rows": int(counts.sum()),
        "valid": int(counts[Fault.NONE]),
        "distinct": len(NumberSet.from_arrays(valid)),
        "blank": int(counts[Fault.BLANK]),
        "invalid": int(counts[Fault.BLANK + 1 :].sum()),
        "samples": samples,
    }
