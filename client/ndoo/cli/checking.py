"""``ndoo check``, ``submit``, ``collect`` and ``pending``: lists that go to the service and come back."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ndoo.cli import options
from ndoo.cli.boundary import ExitCode, SystemFailed, UsageError, name_defect, show_defect, system_failed
from ndoo.cli.options import parse_duration
from ndoo.cli.progress import round_trip_progress
from ndoo.cli.results import left_out, near, result_fields, show_result, submission_fields
from ndoo.cli.running import run as run_async
from ndoo.cli.show import moment, note, show_error, show_facts, show_table, write_json
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
    from ndoo.check import CheckResult, Inbox
    from ndoo.config import Settings
    from ndoo.journal import Journal, Submission
    from ndoo.mailbox import Mailbox
    from ndoo.progress import Progress

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
    order = _Order(source, output, cache, force, column, number_rule, skip_invalid, repair)
    settings = options.settings_of(ctx)
    patience = settings.environment.patience if timeout is None else timeout

    async def run(progress: Progress) -> CheckResult:
        from ndoo.check import Inbox
        from ndoo.check import collect as collect_answer
        from ndoo.cli.session import service_of, use_mailbox

        journal, service = _journal(settings), service_of(settings)
        async with use_mailbox(settings, options.invocation(ctx).command) as mailbox:
            inbox = Inbox(mailbox, journal, service.poll_interval)
            submission = await order.submit(mailbox, settings, progress, inbox)
            try:
                return await collect_answer(
                    mailbox,
                    journal,
                    submission,
                    service=service,
                    timeout=patience,
                    force=force,
                    progress=progress,
                    inbox=inbox,
                )
            except NdooError as error:
                raise _once_submitted(error, settings, submission.local_id) from None
            except OSError as error:
                raise _once_submitted(system_failed(error), settings, submission.local_id) from None

    with round_trip_progress(quiet=quiet, json=json) as progress:
        result = run_async(run(progress))
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
    order = _Order(source, output, cache, force, column, number_rule, skip_invalid, repair)
    settings = options.settings_of(ctx)

    async def run(progress: Progress) -> Submission:
        from ndoo.cli.session import use_mailbox

        async with use_mailbox(settings, "submit") as mailbox:
            return await order.submit(mailbox, settings, progress)

    with round_trip_progress(quiet=quiet, json=json) as progress:
        submission = run_async(run(progress))
    if json:
        write_json(submission_fields(submission))
        return
    if quiet:
        return
    show_facts(
        [
            ("submitted", submission.records, "NHS numbers"),
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
    wanted = _wanted(settings, local_id)
    if output is not None:
        # As at the submission: a name that is a link stays one.
        absolute = Path(os.path.abspath(output))  # noqa: PTH100 -- Path.absolute() would keep ".."
        wanted = tuple(replace(submission, output=absolute) for submission in wanted)
    outcome = _Outcome([], [], [], [])

    async def run(progress: Progress) -> None:
        from ndoo.check import Inbox
        from ndoo.cli.session import service_of, use_mailbox

        async with use_mailbox(settings, "collect") as mailbox:
            inbox = Inbox(mailbox, _journal(settings), service_of(settings).poll_interval)
            for submission in wanted:
                if not await outcome.collect(
                    inbox, settings, submission, timeout or 0.0, force=force, progress=progress
                ):
                    break

    if wanted:
        with round_trip_progress(quiet=quiet, json=json) as progress:
            run_async(run(progress))
    if local_id is not None and (errors := [*outcome.defects, *outcome.errors]):
        raise errors[0]
    outcome.show(json=json, quiet=quiet, debug=options.invocation(ctx).debug)
    raise typer.Exit(outcome.exit_code)


def pending(ctx: typer.Context, *, json: options.Json = False) -> None:
    """List what was submitted from here and not collected yet."""
    submissions = _journal(options.settings_of(ctx)).pending()
    if json:
        write_json({"pending": [submission_fields(submission) for submission in submissions]})
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
                near(submission.source),
                near(submission.output),
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
    repair: bool

    def __post_init__(self) -> None:
        if self.output is not None:
            options.refuse_gzip(self.output)
            if not self.cache and self.output.suffix.lower() == ".cache":
                raise UsageError(
                    f"{self.output}: a temporary cache is made with --cache; add it, or name a .csv"
                )

    async def submit(
        self, mailbox: Mailbox, settings: Settings, progress: Progress, inbox: Inbox | None = None
    ) -> Submission:
        """Submit it, under the settings' service."""
        from ndoo.check import submit as submit_list
        from ndoo.cli.session import service_of
        from ndoo.journal import Form
        from ndoo.lists import NumberRule

        journal = _journal(settings)
        output = self.output or options.default_output(self.source, cache=self.cache)
        _mention_earlier(journal, output, progress)
        return await submit_list(
            mailbox,
            journal,
            self.source,
            output,
            service=service_of(settings),
            form=Form.CACHE if self.cache else None,
            column=self.column,
            rule=NumberRule(self.rule.value),
            skip_invalid=self.skip_invalid,
            repair=self.repair,
            force=self.force,
            progress=progress,
            inbox=inbox,
        )


def _mention_earlier(journal: Journal, output: Path, progress: Progress) -> None:
    """Remind of lists that were submitted for the same output, and whose answers are still to be fetched."""
    wanted = os.path.abspath(output)  # noqa: PTH100 -- a name that is a link is to stay one
    earlier = [each.local_id for each in journal.pending() if str(each.output) == wanted]
    if earlier:
        progress.say(
            f"{', '.join(earlier)}, for the same output, still {'wait' if earlier[1:] else 'waits'} to be "
            "collected: 'ndoo pending' tells more"
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
        self,
        inbox: Inbox,
        settings: Settings,
        submission: Submission,
        timeout: float,
        *,
        force: bool,
        progress: Progress,
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
                    inbox.mailbox,
                    _journal(settings),
                    submission,
                    service=service_of(settings),
                    timeout=timeout,
                    force=force,
                    progress=progress,
                    inbox=inbox,
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

    def show(self, *, json: bool, quiet: bool, debug: bool) -> None:
        """Show what was collected; what was not goes to standard error."""
        if json:
            write_json(
                {
                    "collected": [result_fields(result) for result in self.collected],
                    "pending": [error.local_id for error in self.pending],
                    "failed": [
                        *({"kind": type(error).__name__, "message": str(error)} for error in self.failed),
                        *({"kind": "Bug", "message": name_defect(error)} for error in self.defects),
                    ],
                }
            )
        for result in self.collected:
            if not json:
                show_result(result, json=False, quiet=quiet)
        for error in self.errors:
            show_error([str(error)])
        for defect in self.defects:
            show_defect(defect, debug=debug)
        if not (self.collected or self.errors or self.defects):
            note("nothing is waiting for an answer", quiet=quiet)


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


def _journal(settings: Settings) -> Journal:
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
