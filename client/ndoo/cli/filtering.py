"""``ndoo filter`` and ``ndoo cache``: using an answer, or a temporary cache, without sending anything."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ndoo.cli import options
from ndoo.cli.boundary import ExitCode, UsageError
from ndoo.cli.show import moment, progress, show_error, show_facts, span, write_json
from ndoo.errors import CacheAltered

if TYPE_CHECKING:
    from ndoo.cache import CacheStatus
    from ndoo.config import Settings
    from ndoo.filtering import Keep

# The heavy libraries are imported in the command that needs them, so that --help is quick.

PANEL = "Files on this computer"

cache_app = typer.Typer(
    name="cache",
    no_args_is_help=True,
    help="Look at temporary caches.",
    epilog="Example: [bold]ndoo cache status patients.cache[/bold]",
)


def add_to(app: typer.Typer) -> None:
    """Add the commands to the root."""
    app.command(
        "filter",
        rich_help_panel=PANEL,
        epilog="Example: [bold]ndoo filter visits.csv --cache patients.cache -o usable.csv[/bold]",
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
    column: options.Column = None,
    number_rule: options.NumberRuleOption = options.Rule.CHECKSUM,
    output: options.Output = None,
    force: options.Force = False,
    json: options.Json = False,
) -> None:
    """Keep the rows whose NHS number is in an answer or a cache.

    Rows are copied as they are, and nothing is sent. Left out are rows without
    a valid number, and people who were not on the list that was submitted.
    """
    from ndoo.filtering import filter_csv
    from ndoo.lists import NumberRule
    from ndoo.output import write_output

    target = output or options.default_output(source)
    options.refuse_gzip(target)
    if (answer is None) == (cache is None):
        raise UsageError("give either --answer FILE or --cache FILE")
    with progress(quiet=json) as shown, write_output(target, force) as out:
        shown.start(f"Filtering {source}")
        keep = _keep(ctx, answer, cache)
        summary = filter_csv(source, out, keep, column=column, rule=NumberRule(number_rule.value))
    if json:
        write_json(
            {
                "rows": summary.rows,
                "kept": summary.kept,
                "removed": summary.removed,
                "blank": summary.blank,
                "invalid": summary.invalid,
                "output": target,
            }
        )
        return
    show_facts(
        [
            ("rows", summary.rows, ""),
            ("kept", summary.kept, ""),
            ("removed", summary.removed, f"not in the {'cache' if answer is None else 'answer'}"),
            ("blank", summary.blank, "rows without a number, left out"),
            ("invalid", summary.invalid, "rows with an invalid number, left out"),
            ("written", str(target), ""),
        ]
    )


def _keep(ctx: typer.Context, answer: Path | None, cache: Path | None) -> Keep:
    from ndoo.cache import TemporaryCache, read_status
    from ndoo.filtering import read_answer

    if cache is None:
        if answer is None:
            raise UsageError("give either --answer FILE or --cache FILE")
        return read_answer(answer).contains
    settings = options.settings_of(ctx)
    # Two mailboxes may have the same password, which is all that a cache is locked with.
    made_for = read_status(cache).mailbox
    if made_for != settings.mailbox:
        raise CacheAltered(
            cache,
            f"this temporary cache was made for mailbox {made_for}, and this is {settings.mailbox}; "
            "set NDOO_MAILBOX",
        )
    return TemporaryCache.load(cache, settings.password.get_secret_value()).contains


@cache_app.command(epilog="Example: [bold]ndoo cache status patients.cache[/bold]")
def status(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="FILE", show_default=False, help="The temporary cache.")],
    *,
    json: options.Json = False,
) -> None:
    """Say whether a temporary cache may be used, and until when.

    Exit 1 if it has expired or was altered.
    """
    from ndoo.cache import read_status

    found = read_status(path)
    now = datetime.now(UTC)
    expired = found.expired(now)
    verified = not expired and _verify(path, found, options.settings_of(ctx))
    if json:
        write_json(
            {
                "path": path,
                "expired": expired,
                "verified": verified,
                "created": found.created,
                "expires": found.expires,
                "records": found.records,
                "mailbox": found.mailbox,
                "local_id": found.local_id,
            }
        )
    else:
        show_facts(_facts(found, now, verified=verified))
    if expired:
        show_error([f"{path}: expired; make a new one with 'ndoo check LIST --cache'"])
        raise typer.Exit(ExitCode.FAILED)


def _verify(path: Path, found: CacheStatus, settings: Settings) -> bool:
    """Check every byte of a cache of our own mailbox; another's needs another password.

    Raises:
        CacheError: it must not be used.
    """
    from ndoo.cache import TemporaryCache

    if found.mailbox != settings.mailbox:
        return False
    TemporaryCache.load(path, settings.password.get_secret_value())
    return True


def _facts(found: CacheStatus, now: datetime, *, verified: bool) -> list[tuple[str, int | str, str]]:
    left: Any = found.expires - now
    if found.expired(now):
        state = f"expired {span(left)} ago"
    elif verified:
        state = f"sound; can be used for {span(left)}"
    else:
        state = f"not verified, for it belongs to mailbox {found.mailbox}"
    return [
        ("state", state, ""),
        ("created", moment(found.created), ""),
        ("expires", moment(found.expires), ""),
        ("records", f"{found.records:,}", ""),
        ("mailbox", found.mailbox, ""),
        ("local id", found.local_id, ""),
    ]
