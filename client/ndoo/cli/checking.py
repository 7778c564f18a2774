"""``ndoo check``, ``submit``, ``collect`` and ``pending``: lists that go to the service and come back."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ndoo.cli import options
from ndoo.cli.boundary import ExitCode, SystemFailed, UsageError, name_defect, show_defect, system_failed
from ndoo.cli.options import parse_duration
from ndoo.cli.show import Progress, moment, note, progress, show_error, show_facts, show_table, write_json
from ndoo.errors import (
    AnswerPending,
    AuthenticationRefused,
    CertificateRefused,
    ConfigError,
    ConnectionFailed,
    ListRejected,
    MessageGone,
    NdooError,
    NotDelivered,
    OutputExists,
)

if TYPE_CHECKING:
    from ndoo.check import CheckResult
    from ndoo.config import Settings
    from ndoo.journal import Submission

# The heavy libraries are imported in the command that needs them, so that --help is quick.

PANEL = "Checking a list"

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
    output: options.Output = None,
    cache: options.Cache = False,
    force: options.Force = False,
    timeout: Timeout = None,
    json: options.Json = False,
) -> None:
    """Submit a list, wait, and write it without those who opted out.

    Stopping it loses nothing: once the list is submitted, 'ndoo collect' fetches
    the answer.
    """
    order = _Order(source, output, cache, force, column, number_rule, skip_invalid)
    settings = options.settings_of(ctx)
    patience = settings.environment.patience if timeout is None else timeout

    async def run(shown: Progress) -> CheckResult:
        from ndoo.check import collect as collect_answer
        from ndoo.cli.session import open_mailbox, service_of

        async with open_mailbox(settings) as mailbox:
            submission = await order.submit(mailbox, settings, shown)
            shown.start(f"Waiting for the answer to {submission.local_id}")
            try:
                return await collect_answer(
                    mailbox,
                    _journal(settings),
                    submission,
                    service=service_of(settings),
                    timeout=patience,
                    force=force,
                )
            except NdooError as error:
                raise _once_submitted(error, settings, submission.local_id) from None
            except OSError as error:
                raise _once_submitted(system_failed(error), settings, submission.local_id) from None

    with progress(quiet=json) as shown:
        result = asyncio.run(run(shown))
    _show_result(result, json=json)


def submit(  # noqa: PLR0913 -- one for each option
    ctx: typer.Context,
    source: options.Source,
    *,
    column: options.Column = None,
    number_rule: options.NumberRuleOption = options.Rule.CHECKSUM,
    skip_invalid: options.SkipInvalid = False,
    output: options.Output = None,
    cache: options.Cache = False,
    force: options.Force = False,
    json: options.Json = False,
) -> None:
    """Submit a list and leave; 'ndoo collect' fetches the answer."""
    order = _Order(source, output, cache, force, column, number_rule, skip_invalid)
    settings = options.settings_of(ctx)

    async def run(shown: Progress) -> Submission:
        from ndoo.cli.session import open_mailbox

        async with open_mailbox(settings) as mailbox:
            return await order.submit(mailbox, settings, shown)

    with progress(quiet=json) as shown:
        submission = asyncio.run(run(shown))
    if json:
        write_json(_submission_fields(submission))
        return
    show_facts(
        [
            ("submitted", submission.records, "NHS numbers"),
            *_left_out(submission),
            ("local id", submission.local_id, ""),
            ("to be written", _near(submission.output), ""),
        ]
    )
    note(f"fetch the answer with: ndoo collect {submission.local_id}")


def collect(
    ctx: typer.Context,
    local_id: Annotated[
        str | None,
        typer.Argument(
            metavar="LOCAL_ID", show_default=False, help="The list to collect; by default every pending one."
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
    json: options.Json = False,
) -> None:
    """Fetch the answers to lists submitted before, and write the outputs."""
    if output is not None:
        if local_id is None:
            raise UsageError("-o names the output of one list; give its LOCAL_ID too")
        options.refuse_gzip(output)
    settings = options.settings_of(ctx)
    wanted = _wanted(settings, local_id)
    if output is not None:
        # As at the submission: a name that is a link stays one.
        absolute = Path(os.path.abspath(output))  # noqa: PTH100 -- Path.absolute() would keep ".."
        wanted = tuple(replace(submission, output=absolute) for submission in wanted)
    outcome = _Outcome([], [], [], [])

    async def run(shown: Progress) -> None:
        from ndoo.cli.session import open_mailbox

        async with open_mailbox(settings) as mailbox:
            for submission in wanted:
                shown.start(f"Waiting for the answer to {submission.local_id}")
                if not await outcome.collect(mailbox, settings, submission, timeout or 0.0, force=force):
                    break

    if wanted:
        with progress(quiet=json) as shown:
            asyncio.run(run(shown))
    if local_id is not None and (errors := [*outcome.defects, *outcome.errors]):
        raise errors[0]
    outcome.show(json=json, debug=options.invocation(ctx).debug)
    raise typer.Exit(outcome.exit_code)


def pending(ctx: typer.Context, *, json: options.Json = False) -> None:
    """List what was submitted from here and not collected yet."""
    submissions = _journal(options.settings_of(ctx)).pending()
    if json:
        write_json({"pending": [_submission_fields(submission) for submission in submissions]})
        return
    if not submissions:
        note("nothing is waiting for an answer")
        return
    show_table(
        ["local id", "submitted", "source", "output", "stage"],
        [
            (
                submission.local_id,
                moment(submission.sent_at or submission.prepared_at),
                _near(submission.source),
                _near(submission.output),
                submission.stage.value,
            )
            for submission in submissions
        ],
    )


# -- what they do -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Order:
    """A list to submit, as the options say it; refuses names that cannot be meant."""

    source: Path
    output: Path | None
    cache: bool
    force: bool
    column: str | None
    rule: options.Rule
    skip_invalid: bool

    def __post_init__(self) -> None:
        if self.output is not None:
            options.refuse_gzip(self.output)
            if not self.cache and self.output.suffix.lower() == ".cache":
                raise UsageError(
                    f"{self.output}: a temporary cache is made with --cache; add it, or name a .csv"
                )

    async def submit(self, mailbox: Any, settings: Settings, shown: Progress) -> Submission:
        """Submit it, under the settings' service."""
        from ndoo.check import submit as submit_list
        from ndoo.cli.session import service_of
        from ndoo.journal import Form
        from ndoo.lists import NumberRule

        shown.start(f"Submitting {_near(self.source)}")
        return await submit_list(
            mailbox,
            _journal(settings),
            self.source,
            self.output or options.default_output(self.source, cache=self.cache),
            service=service_of(settings),
            form=Form.CACHE if self.cache else None,
            column=self.column,
            rule=NumberRule(self.rule.value),
            skip_invalid=self.skip_invalid,
            force=self.force,
            progress=shown.bytes,
        )


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of the lists to collect; one that fails does not keep the others waiting."""

    collected: list[CheckResult]
    pending: list[AnswerPending]
    failed: list[NdooError]
    defects: list[Exception]

    @property
    def errors(self) -> list[NdooError]:
        """Whatever kept a list from being collected."""
        return [*self.failed, *self.pending]

    @property
    def exit_code(self) -> ExitCode:
        """Failed if one failed, else not yet if one is still waiting."""
        if self.failed or self.defects:
            return ExitCode.FAILED
        return ExitCode.NOT_YET if self.pending else ExitCode.DONE

    async def collect(
        self, mailbox: Any, settings: Settings, submission: Submission, timeout: float, *, force: bool
    ) -> bool:
        """Collect one list; tells whether there is a point in trying the next."""
        from ndoo.check import collect as collect_answer
        from ndoo.cli.session import service_of

        if submission.output in {result.output for result in self.collected}:
            # Whatever --force may replace, it is not what this very run has written.
            self.failed.append(OutputExists(submission.output))
            return True
        try:
            self.collected.append(
                await collect_answer(
                    mailbox,
                    _journal(settings),
                    submission,
                    service=service_of(settings),
                    timeout=timeout,
                    force=force,
                )
            )
        except AnswerPending as error:
            self.pending.append(error)
        except (ConnectionFailed, CertificateRefused, AuthenticationRefused) as error:
            self.failed.append(error)
            return False
        except NdooError as error:
            self.failed.append(error)
        except OSError as error:
            self.failed.append(system_failed(error))
        except Exception as error:  # noqa: BLE001 -- a defect one list meets is told after the others
            self.defects.append(error)
        return True

    def show(self, *, json: bool, debug: bool) -> None:
        """Show what was collected; what was not goes to standard error."""
        if json:
            write_json(
                {
                    "collected": [_result_fields(result) for result in self.collected],
                    "pending": [error.local_id for error in self.pending],
                    "failed": [
                        *({"kind": type(error).__name__, "message": str(error)} for error in self.failed),
                        *({"kind": "Bug", "message": name_defect(error)} for error in self.defects),
                    ],
                }
            )
        for result in self.collected:
            if not json:
                _show_result(result, json=False)
        for error in self.errors:
            show_error([str(error)])
        for defect in self.defects:
            show_defect(defect, debug=debug)
        if not (self.collected or self.errors or self.defects):
            note("nothing is waiting for an answer")


_TOLD: Final = (AnswerPending, ListRejected, NotDelivered, MessageGone)
"""Errors whose own texts say how it goes on with a submitted list."""


def _once_submitted(error: NdooError, settings: Settings, local_id: str) -> NdooError:
    """Make an error say that the list is away, unless there is nothing more to fetch for it."""
    from ndoo.journal import Stage

    if isinstance(error, _TOLD):
        return error
    # What was refused is no option any more, or it had been refused before the list was sent.
    told = SystemFailed(str(error)) if isinstance(error, ConfigError) else error
    with suppress(NdooError):  # a journal that cannot be read does not say that it has ended
        if _journal(settings).get(local_id).stage in (Stage.COLLECTED, Stage.FAILED):
            return told
    told.args = (f"{told}; the list is submitted: 'ndoo collect {local_id}' fetches the answer",)
    return told


def _journal(settings: Settings) -> Any:
    from ndoo.journal import Journal

    return Journal(settings.journal)


def _wanted(settings: Settings, local_id: str | None) -> tuple[Submission, ...]:
    """Find the submissions to collect with these settings."""
    journal = _journal(settings)
    if local_id is None:
        wanted: tuple[Submission, ...] = journal.pending(settings.mailbox, settings.url)
        if elsewhere := len(journal.pending()) - len(wanted):
            note(f"{elsewhere} more wait for another mailbox or server; 'ndoo pending' lists them")
        return wanted
    submission: Submission = journal.get(local_id)
    if (submission.mailbox, submission.url) != (settings.mailbox, settings.url):
        raise ConfigError(
            f"{local_id} was submitted from mailbox {submission.mailbox} at {submission.url}; "
            "set NDOO_MAILBOX and NDOO_URL to these, or choose the --profile used then"
        )
    return (submission,)


# -- what they show ---------------------------------------------------------------------------------


def _near(path: Path) -> str:
    """Write a path from the current folder where it is inside."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _left_out(submission: Submission) -> list[tuple[str, int | str, str]]:
    rows: list[tuple[str, int | str, str]] = [("blank", submission.blank, "rows without a number, left out")]
    if submission.skipped:
        rows.append(("invalid", submission.skipped, "rows with an invalid number, left out"))
    return rows


def _show_result(result: CheckResult, *, json: bool) -> None:
    if json:
        write_json(_result_fields(result))
        return
    kept = result.returned if result.table is None else result.table.kept
    expires: datetime | None = result.cache_expires
    show_facts(
        [
            ("submitted", result.submitted, "NHS numbers"),
            ("removed", result.removed, "opted out"),
            ("kept", kept, "NHS numbers" if result.table is None else "rows"),
            *_left_out(result.submission),
            ("written", _near(result.output), ""),
            ("expires", moment(expires) if expires else "", "the cache must not be used after that"),
            ("local id", result.submission.local_id, ""),
        ]
    )
    for sentence in result.notes:
        note(sentence)


def _result_fields(result: CheckResult) -> dict[str, Any]:
    submission = result.submission
    return {
        "local_id": submission.local_id,
        "message_id": submission.message_id,
        "submitted": result.submitted,
        "removed": result.removed,
        "kept": result.returned if result.table is None else result.table.kept,
        "blank": submission.blank,
        "invalid": submission.skipped,
        "output": result.output,
        "form": submission.form.value,
        "cache_expires": result.cache_expires,
        "notes": result.notes,
    }


def _submission_fields(submission: Submission) -> dict[str, Any]:
    return {
        "local_id": submission.local_id,
        "message_id": submission.message_id,
        "stage": submission.stage.value,
        "submitted": submission.records,
        "blank": submission.blank,
        "invalid": submission.skipped,
        "sent_at": submission.sent_at,
        "mailbox": submission.mailbox,
        "url": submission.url,
        "source": submission.source,
        "output": submission.output,
        "form": submission.form.value,
    }
