"""Round trips as commands make them: alone on the mailbox, shown on a terminal, errors told for people."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from ndoo.cli import options
from ndoo.cli.boundary import ExitCode, SystemFailed, UsageError, system_failed
from ndoo.cli.progress import round_trip_progress
from ndoo.cli.running import run as run_async
from ndoo.cli.show import moment, note
from ndoo.errors import (
    AnswerPending,
    AuthenticationRefused,
    CertificateRefused,
    CheckError,
    ConfigError,
    ConnectionFailed,
    ListRejected,
    MessageGone,
    NdooError,
    NotDelivered,
    OutputExists,
)
from ndoo.output import absolute

if TYPE_CHECKING:
    from ndoo.check import CheckResult, Inbox
    from ndoo.config import Settings
    from ndoo.journal import Journal, Submission
    from ndoo.mailbox import Mailbox
    from ndoo.progress import Progress

# The heavy libraries are imported in the command that needs them, so that --help is quick.


@dataclass(frozen=True, slots=True)
class Order:
    """A list to submit, as the options say it; refuses names that cannot be meant."""

    source: Path
    output: Path | None
    cache: bool
    force: bool
    column: str | None
    rule: options.Rule
    skip_invalid: bool
    repair: bool
    renew: bool = False

    def __post_init__(self) -> None:
        if self.output is not None:
            options.refuse_gzip(self.output)
            if self.cache:
                options.refuse_list_name(self.output)
            elif self.output.suffix.lower() == ".cache":
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

        journal = journal_of(settings)
        output = self.output or options.default_output(self.source, cache=self.cache)
        _refuse_awaited(journal, output)
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
            renew=self.renew,
            progress=progress,
            inbox=inbox,
        )


def _refuse_awaited(journal: Journal, output: Path) -> None:
    """Refuse to send a list while the answer that is to become the same output is still awaited.

    Raises:
        CheckError: it is; the text says of which list.
    """
    if pending := awaited(journal, output):
        earlier = pending[0]
        when = moment(earlier.sent_at or earlier.prepared_at)
        raise CheckError(
            earlier.local_id,
            f"{output} is still awaited from {earlier.local_id}, submitted {when}: 'ndoo collect' "
            "fetches it, or name another output with -o to send the list again",
        )


def awaited(journal: Journal, output: Path) -> list[Submission]:
    """Give the submissions whose answers are to become an output, oldest first."""
    wanted = absolute(output)
    return [submission for submission in journal.pending() if submission.output == wanted]


@dataclass(frozen=True, slots=True)
class Failed:
    """Why a list was not collected; a defect, unless it is an ``NdooError``."""

    local_id: str
    error: Exception


@dataclass(frozen=True, slots=True)
class Collection:
    """What became of the lists to collect; one that fails does not keep the others waiting.

    ``not_tried`` are the local ids of those there was no point in trying, as nothing answers.
    """

    collected: list[CheckResult]
    pending: list[AnswerPending]
    failed: list[Failed]
    not_tried: list[str]

    @property
    def errors(self) -> list[Exception]:
        """Whatever kept a list from being collected; defects last."""
        errors = [*(failure.error for failure in self.failed), *self.pending]
        return sorted(errors, key=lambda error: not isinstance(error, NdooError))

    @property
    def exit_code(self) -> ExitCode:
        """Failed if one failed, else not yet if one is still waiting."""
        if self.failed:
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
            self._fail(submission, OutputExists(submission.output))
            return True
        try:
            self.collected.append(
                await collect_answer(
                    inbox.mailbox,
                    journal_of(settings),
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
            self._fail(submission, error)
            return False
        except ConfigError as error:
            # What was allowed when the list was sent is no setting or option that is wrong now.
            self._fail(submission, SystemFailed(str(error)))
        except OSError as error:
            self._fail(submission, system_failed(error))
        except Exception as error:  # noqa: BLE001 -- a defect one list meets is told after the others
            self._fail(submission, error)
        return True

    def _fail(self, submission: Submission, error: Exception) -> None:
        local_id = submission.local_id
        if isinstance(error, NdooError) and local_id not in str(error):
            error.args = (f"{local_id}: {error}",)
        if isinstance(error, OutputExists | SystemFailed):
            error.args = (f"{error}; 'ndoo collect {local_id} -o OTHER' writes elsewhere",)
        self.failed.append(Failed(local_id, error))


# -- running them ----------------------------------------------------------------------------------


def check_list(
    ctx: typer.Context, order: Order, timeout: float | None, *, quiet: bool, json: bool
) -> CheckResult:
    """Submit a list, wait for its answer and write the output, alone on the mailbox.

    Raises:
        NdooError: as the library does; once the list is away the text says how to get the answer.
    """
    settings = options.settings_of(ctx)
    patience = settings.environment.patience if timeout is None else timeout

    async def run(progress: Progress) -> CheckResult:
        from ndoo.check import Inbox, collect
        from ndoo.cli.session import service_of, use_mailbox

        journal, service = journal_of(settings), service_of(settings)
        async with use_mailbox(settings, options.invocation(ctx).command) as mailbox:
            inbox = Inbox(mailbox, journal, service.poll_interval)
            submission = await order.submit(mailbox, settings, progress, inbox)
            try:
                return await collect(
                    mailbox,
                    journal,
                    submission,
                    service=service,
                    timeout=patience,
                    progress=progress,
                    inbox=inbox,
                )
            except NdooError as error:
                raise _once_submitted(error, settings, submission.local_id) from None
            except OSError as error:
                raise _once_submitted(system_failed(error), settings, submission.local_id) from None

    with round_trip_progress(quiet=quiet, json=json) as progress:
        return run_async(run(progress))


def submit_list(ctx: typer.Context, order: Order, *, quiet: bool, json: bool) -> Submission:
    """Submit a list, alone on the mailbox."""
    settings = options.settings_of(ctx)

    async def run(progress: Progress) -> Submission:
        from ndoo.cli.session import use_mailbox

        async with use_mailbox(settings, options.invocation(ctx).command) as mailbox:
            return await order.submit(mailbox, settings, progress)

    with round_trip_progress(quiet=quiet, json=json) as progress:
        return run_async(run(progress))


def collect_lists(
    ctx: typer.Context,
    wanted: tuple[Submission, ...],
    timeout: float,
    *,
    force: bool,
    quiet: bool,
    json: bool,
) -> Collection:
    """Collect lists one after the other, alone on the mailbox; ``timeout`` is for each."""
    settings = options.settings_of(ctx)
    collection = Collection([], [], [], [])

    async def run(progress: Progress) -> None:
        from ndoo.check import Inbox
        from ndoo.cli.session import service_of, use_mailbox

        async with use_mailbox(settings, options.invocation(ctx).command) as mailbox:
            inbox = Inbox(mailbox, journal_of(settings), service_of(settings).poll_interval)
            for number, submission in enumerate(wanted, 1):
                if not await collection.collect(
                    inbox, settings, submission, timeout, force=force, progress=progress
                ):
                    collection.not_tried.extend(each.local_id for each in wanted[number:])
                    break

    if wanted:
        with round_trip_progress(quiet=quiet, json=json) as progress:
            run_async(run(progress))
    return collection


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
        if journal_of(settings).get(local_id).stage in (Stage.COLLECTED, Stage.FAILED):
            return told
    told.args = (f"{told}; the list is submitted: 'ndoo collect {local_id}' goes on with it",)
    return told


def journal_of(settings: Settings) -> Journal:
    """Open the journal that the settings name."""
    from ndoo.journal import Journal

    return Journal(settings.journal)


def wanted_lists(settings: Settings, local_id: str | None, *, quiet: bool) -> tuple[Submission, ...]:
    """Find the submissions to collect with these settings."""
    journal = journal_of(settings)
    if local_id is None:
        wanted: tuple[Submission, ...] = journal.pending(settings.mailbox, settings.url)
        if elsewhere := len(journal.pending()) - len(wanted):
            text = f"{elsewhere} more wait for another mailbox or server; 'ndoo pending' lists them"
            note(text, quiet=quiet)
        return wanted
    submission: Submission = journal.get(local_id)
    if (submission.mailbox, submission.url) != (settings.mailbox, settings.url):
        raise ConfigError(
            f"{local_id} was submitted from mailbox {submission.mailbox} at {submission.url}; "
            "set NDOO_MAILBOX and NDOO_URL to these, or choose the --profile used then"
        )
    return (submission,)
