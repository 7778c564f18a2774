"""``ndoo cache``: temporary caches on this computer: made anew, looked at, deleted when they have expired."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ndoo.cli import checking, options
from ndoo.cli.boundary import ExitCode
from ndoo.cli.cache_state import CacheState
from ndoo.cli.clock import Clock, clock_of
from ndoo.cli.results import result_fields, show_result
from ndoo.cli.round_trips import Order, awaited, check_list, collect_lists, journal_of
from ndoo.cli.show import RUN, note, show_error, show_facts, show_table, write_json
from ndoo.errors import CacheError

if TYPE_CHECKING:
    from ndoo.check import CheckResult
    from ndoo.config import Settings
    from ndoo.journal import Submission

# The heavy libraries are imported in the command that needs them, so that --help is quick.

app = typer.Typer(
    name="cache",
    no_args_is_help=True,
    help="Make, look at and delete temporary caches.",
    epilog="Example: [bold]ndoo cache refresh patients.csv -o patients.cache --if-due 3d[/bold]",
)


# -- refresh ----------------------------------------------------------------------------------------


@app.command(epilog="Example: [bold]ndoo cache refresh patients.csv -o patients.cache --if-due 3d[/bold]")
def refresh(  # noqa: PLR0913 -- one for each option
    ctx: typer.Context,
    source: options.Source,
    *,
    column: options.Column = None,
    number_rule: options.NumberRuleOption = options.Rule.CHECKSUM,
    skip_invalid: options.SkipInvalid = False,
    repair: options.Repair = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            show_default=False,
            rich_help_panel="The output",
            help="The temporary cache. By default beside LIST, with the ending .cache.",
        ),
    ] = None,
    if_due: Annotated[
        float | None,
        typer.Option(
            parser=options.parse_duration,
            metavar="TIME",
            show_default=False,
            rich_help_panel="The output",
            help="Only if the present cache expires within this time, such as 3d, or cannot be used. "
            "A refresh that is still under way is finished instead.",
        ),
    ] = None,
    timeout: checking.Timeout = None,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Submit a list, wait, and put the answer in the place of a temporary cache.

    The present cache stays as it is until the new one is whole and on the disk.
    If that is interrupted, 'ndoo collect' finishes it. Only a temporary cache of
    this mailbox is replaced, never another file.
    """
    from ndoo.cache import check_replaceable

    options.invocation(ctx).command = "cache refresh"
    settings = options.settings_of(ctx)
    target = options.follow_link(output or options.default_output(source, cache=True))
    options.refuse_gzip(target)
    options.refuse_list_name(target)
    check_replaceable(target, settings.mailbox)
    if if_due is not None:
        found = CacheState.look(target, settings, clock_of(settings), timedelta(seconds=if_due))
        if not found.is_due:
            _show_not_due(found, json=json, quiet=quiet)
            return
        if (underway := _underway(settings, target)) is not None:
            patience = settings.environment.patience if timeout is None else timeout
            collection = collect_lists(ctx, (underway,), patience, force=True, quiet=quiet, json=json)
            if collection.errors:
                raise collection.errors[0]
            _show_refreshed(collection.collected[0], json=json, quiet=quiet)
            return
    order = Order(source, target, True, False, column, number_rule, skip_invalid, repair, renew=True)
    _show_refreshed(check_list(ctx, order, timeout, quiet=quiet, json=json), json=json, quiet=quiet)


def _show_refreshed(result: CheckResult, *, json: bool, quiet: bool) -> None:
    if json:
        write_json({"refreshed": True, **result_fields(result)})
    else:
        show_result(result, json=False, quiet=quiet)


def _underway(settings: Settings, target: Path) -> Submission | None:
    """Give the last refresh of this cache that was submitted and not collected yet."""
    from ndoo.journal import Form

    pending = [
        each
        for each in awaited(journal_of(settings), target)
        if each.form is Form.CACHE and (each.mailbox, each.url) == (settings.mailbox, settings.url)
    ]
    return pending[-1] if pending else None


def _show_not_due(found: CacheState, *, json: bool, quiet: bool) -> None:
    expires = None if found.cache is None else found.cache.expires.isoformat()
    RUN.info("not due", extra={"facts": {"expires": expires}})
    if json:
        write_json({"refreshed": False, **found.fields()})
    else:
        show_facts([("not due", str(found.path), ""), *found.facts()[1:4]], quiet=quiet)


# -- status -----------------------------------------------------------------------------------------


@app.command(epilog="Example: [bold]ndoo cache status patients.cache --warn 3d[/bold]")
def status(
    ctx: typer.Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE",
            show_default=False,
            help="The temporary caches; by default those of the current folder.",
        ),
    ] = None,
    *,
    warn: Annotated[
        float | None,
        typer.Option(
            parser=options.parse_duration,
            metavar="TIME",
            show_default=False,
            help="Exit 1 also if one expires within this time, such as 3d.",
        ),
    ] = None,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Say whether temporary caches may be used, how old they are, and until when.

    Exit 1 if one has expired or was altered, or expires within --warn. With
    --json, a line for each file.
    """
    settings = options.settings_of(ctx)
    clock = clock_of(settings)
    within = timedelta(seconds=warn or 0)
    found = [CacheState.look(path, settings, clock, within) for path in paths or _caches_here()]
    if json:
        for each in found:
            write_json(each.fields())
    elif len(found) == 1:
        show_facts(found[0].facts(), quiet=quiet)
    elif not quiet:
        show_table(("file", "state", "left", "expires (UTC)", "records"), [each.row() for each in found])
    for each in found:
        if (problem := each.problem()) is not None:
            show_error([problem])
    if any(each.is_due for each in found):
        raise typer.Exit(ExitCode.FAILED)


def _caches_here() -> list[Path]:
    from ndoo.cli.purging import caches_in

    found = caches_in(Path())
    if not found:
        raise CacheError(
            Path.cwd(), "no temporary cache in this folder", "name one, or run 'ndoo cache refresh LIST'"
        )
    return found


# -- purge ------------------------------------------------------------------------------------------


@app.command(epilog="Example: [bold]ndoo cache purge lists --recursive --dry-run[/bold]")
def purge(
    ctx: typer.Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH",
            show_default=False,
            help="Files, or folders to look into; by default the current folder.",
        ),
    ] = None,
    *,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", metavar="", help="Look into folders inside folders, too.")
    ] = False,
    altered: Annotated[
        bool, typer.Option("--altered", metavar="", help="Delete caches that were cut short, too.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", metavar="", help="Delete nothing, only say what would be.")
    ] = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Delete temporary caches that have expired.

    Other files are never touched, links not followed. Caches that can still be
    used are kept; damaged ones are left and mentioned. Exit 1 if one could not be
    deleted.
    """
    from ndoo.cli.purging import Fate, Purge

    settings = options.settings_of(ctx)
    clock = clock_of(settings)

    def now(mailbox: str) -> datetime:
        return (clock if mailbox == settings.mailbox else Clock()).now()

    purging = Purge(now=now, recursive=recursive, altered=altered, dry_run=dry_run)
    judged = list(purging.run(paths or [Path()]))
    failed = [each for each in judged if each.fate is Fate.FAILED]
    if json:
        write_json(
            {"dry_run": dry_run}
            | {
                fate.value: [
                    {"path": each.path, "reason": each.why, "expires": each.expires}
                    for each in judged
                    if each.fate is fate
                ]
                for fate in Fate
            }
        )
    elif len(judged) > len(failed) and not quiet:
        names = {Fate.DELETED: "to delete"} if dry_run else {}
        show_table(
            ("file", "result", "why"),
            [
                (str(each.path), names.get(each.fate, each.fate.value), each.why)
                for each in judged
                if each.fate is not Fate.FAILED
            ],
        )
    elif not failed:
        note("no temporary cache found", quiet=quiet)
    for each in failed:
        show_error([f"{each.path}: {each.why}"])
    if failed:
        raise typer.Exit(ExitCode.FAILED)
