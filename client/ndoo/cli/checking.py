"""``ndoo check``, ``submit``, ``collect`` and ``pending``: lists that go to the service and come back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Annotated, Final

import typer

from ndoo.cli import options
from ndoo.cli.boundary import UsageError, name_defect, show_defect
from ndoo.cli.options import parse_duration
from ndoo.cli.results import left_out, result_fields, show_result, submission_fields
from ndoo.cli.round_trips import (
    Collection,
    Order,
    check_list,
    collect_lists,
    journal_of,
    submit_list,
    wanted_lists,
)
from ndoo.cli.show import near, note, noun, show_error, show_facts, show_table, write_json
from ndoo.errors import NdooError
from ndoo.output import absolute

# The heavy libraries are imported in the command that needs them, so that --help is quick.

PANEL = "Checking a list"

_ROOM_FOR_NAMES: Final = 25
"""Columns that local id, time and stage leave for the names of two files, in a line of 80 and its gaps."""

Timeout = Annotated[
    float | None,
    typer.Option(
        parser=parse_duration,
        metavar="TIME",
        show_default=False,
        help="How long to wait, such as 90s or 1h30m. By default 10m, with profiles int and live 1h.",
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the root."""
    app.command(rich_help_panel=PANEL, epilog="Example: [bold]ndoo check patients.csv --cache[/bold]")(check)
    app.command(rich_help_panel=PANEL, epilog="Example: [bold]ndoo submit patients.csv[/bold]")(submit)
    app.command(
        rich_help_panel=PANEL, epilog="Example: [bold]ndoo collect X99GP001-221126-0001 --timeout 1h[/bold]"
    )(collect)
    app.command(rich_help_panel=PANEL, epilog="Example: [bold]ndoo pending --json[/bold]")(pending)


# -- commands ---------------------------------------------------------------------------------------


def check(  # noqa: PLR0913 -- one for each option
    ctx: typer.Context,
    source: options.Source,
    *,
    column: options.Column = None,
    number_rule: options.NumberRuleOption = options.Rule.CHECKSUM,
    skip_invalid: options.SkipInvalid = False,
    repair: options.Repair = False,
    output: options.Output = None,
    cache: options.Cache = False,
    force: options.Force = False,
    timeout: Timeout = None,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Submit a list, wait, and write it without those who opted out.

    Stopping it loses nothing: once the list is submitted, 'ndoo collect' fetches
    the answer.
    """
    order = Order(source, output, cache, force, column, number_rule, skip_invalid, repair)
    result = check_list(ctx, order, timeout, quiet=quiet, json=json)
    show_result(result, json=json, quiet=quiet)


def submit(  # noqa: PLR0913 -- one for each option
    ctx: typer.Context,
    source: options.Source,
    *,
    column: options.Column = None,
    number_rule: options.NumberRuleOption = options.Rule.CHECKSUM,
    skip_invalid: options.SkipInvalid = False,
    repair: options.Repair = False,
    output: options.Output = None,
    cache: options.Cache = False,
    force: options.Force = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Submit a list and leave; 'ndoo collect' fetches the answer."""
    order = Order(source, output, cache, force, column, number_rule, skip_invalid, repair)
    submission = submit_list(ctx, order, quiet=quiet, json=json)
    if json:
        write_json(submission_fields(submission))
        return
    if quiet:
        return
    show_facts(
        [
            ("submitted", submission.records, noun(submission.records, "NHS number")),
            *left_out(submission),
            ("local id", submission.local_id, ""),
            ("to be written", near(submission.output), ""),
        ]
    )
    note(f"fetch the answer with: ndoo collect {submission.local_id}")


def collect(
    ctx: typer.Context,
    local_id: Annotated[
        str | None,
        typer.Argument(
            metavar="LOCAL_ID",
            show_default=False,
            autocompletion=options.complete_local_id,
            help="The list to collect; by default every pending one.",
        ),
    ] = None,
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="OUT",
            show_default=False,
            help="Where to write instead of the name given at first; with LOCAL_ID only.",
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            parser=parse_duration,
            metavar="TIME",
            show_default=False,
            help="How long to wait for each, such as 90s or 1h30m. By default it looks once.",
        ),
    ] = None,
    force: options.Force = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Fetch the answers to lists submitted before, and write the outputs."""
    if output is not None:
        if local_id is None:
            raise UsageError("-o names the output of one list; give its LOCAL_ID too")
        options.refuse_gzip(output)
    settings = options.settings_of(ctx)
    wanted = wanted_lists(settings, local_id, quiet=quiet)
    if output is not None:
        elsewhere = absolute(output)
        wanted = tuple(replace(submission, output=elsewhere) for submission in wanted)
    collection = collect_lists(ctx, wanted, timeout or 0.0, force=force, quiet=quiet, json=json)
    if local_id is not None and collection.errors:
        raise collection.errors[0]
    _show_collection(collection, json=json, quiet=quiet, debug=options.invocation(ctx).debug)
    raise typer.Exit(collection.exit_code)


def pending(ctx: typer.Context, *, json: options.Json = False) -> None:
    """List what was submitted from here and not collected yet."""
    submissions = journal_of(options.settings_of(ctx)).pending()
    if json:
        write_json({"pending": [submission_fields(submission) for submission in submissions]})
        return
    if not submissions:
        note("nothing is waiting for an answer")
        return
    widest = max(len(near(submission.output)) for submission in submissions)
    sources = max(_ROOM_FOR_NAMES // 2, _ROOM_FOR_NAMES - widest)
    outputs = _ROOM_FOR_NAMES - min(sources, max(len(near(submission.source)) for submission in submissions))
    show_table(
        ["local id", "submitted (UTC)", "source", "output", "stage"],
        [
            (
                submission.local_id,
                f"{(submission.sent_at or submission.prepared_at).astimezone(UTC):%d %b %H:%M}",
                near(submission.source, sources),
                near(submission.output, outputs),
                submission.stage.value,
            )
            for submission in submissions
        ],
    )


def _show_collection(collection: Collection, *, json: bool, quiet: bool, debug: bool) -> None:
    """Show what was collected; what was not goes to standard error."""
    if json:
        write_json(
            {
                "collected": [result_fields(result) for result in collection.collected],
                "pending": [*(error.local_id for error in collection.pending), *collection.not_tried],
                "failed": [
                    {"local_id": failure.local_id, **_error_fields(failure.error)}
                    for failure in collection.failed
                ],
            }
        )
    for number, result in enumerate(collection.collected):
        if not json:
            if number and not quiet:
                typer.echo()
            show_result(result, json=False, quiet=quiet)
    for error in collection.errors:
        if isinstance(error, NdooError):
            show_error([str(error)])
        else:
            show_defect(error, debug=debug)
    if not (collection.collected or collection.errors):
        note("nothing is waiting for an answer", quiet=quiet)


def _error_fields(error: Exception) -> dict[str, str]:
    if isinstance(error, NdooError):
        return {"kind": type(error).__name__, "message": str(error)}
    return {"kind": "Bug", "message": name_defect(error)}
