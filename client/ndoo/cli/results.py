"""What the commands that send lists show of them: closing tables, and fields for programs."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ndoo.cli.show import moment, note, show_facts, write_json

if TYPE_CHECKING:
    from ndoo.check import CheckResult
    from ndoo.journal import Submission


def near(path: Path) -> str:
    """Write a path from the current folder where it is inside."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def left_out(submission: Submission) -> list[tuple[str, int | str, str]]:
    """Say what of the source was not submitted, or not as it stood there."""
    rows: list[tuple[str, int | str, str]] = [("blank", submission.blank, "rows without a number, left out")]
    if submission.skipped:
        rows.append(("invalid", submission.skipped, "rows with an invalid number, left out"))
    if submission.duplicates:
        rows.append(("duplicates", submission.duplicates, "rows whose number was sent once already"))
    if submission.repaired:
        rows.append(("repaired", submission.repaired, "numbers that got back their leading zero"))
    return rows


def show_result(result: CheckResult, *, json: bool, quiet: bool = False) -> None:
    """Show what a round trip came to."""
    if json:
        write_json(result_fields(result))
        return
    if quiet:
        return
    kept = result.returned if result.table is None else result.table.kept
    expires: datetime | None = result.cache_expires
    show_facts(
        [
            ("submitted", result.submitted, "NHS numbers"),
            ("removed", result.removed, "opted out"),
            ("kept", kept, "NHS numbers" if result.table is None else "rows"),
            *left_out(result.submission),
            ("written", near(result.output), ""),
            ("expires", moment(expires) if expires else "", "the cache must not be used after that"),
            ("local id", result.submission.local_id, ""),
        ]
    )
    for sentence in result.notes:
        note(sentence)


def result_fields(result: CheckResult) -> dict[str, Any]:
    """Give what a round trip came to, for programs."""
    submission = result.submission
    return {
        "local_id": submission.local_id,
        "message_id": submission.message_id,
        "submitted": result.submitted,
        "removed": result.removed,
        "kept": result.returned if result.table is None else result.table.kept,
        "blank": submission.blank,
        "invalid": submission.skipped,
        "duplicates": submission.duplicates,
        "repaired": submission.repaired,
        "output": result.output,
        "form": submission.form.value,
        "cache_expires": result.cache_expires,
        "notes": result.notes,
    }


def submission_fields(submission: Submission) -> dict[str, Any]:
    """Give what is known of a submission, for programs."""
    return {
        "local_id": submission.local_id,
        "message_id": submission.message_id,
        "stage": submission.stage.value,
        "submitted": submission.records,
        "blank": submission.blank,
        "invalid": submission.skipped,
        "duplicates": submission.duplicates,
        "repaired": submission.repaired,
        "sent_at": submission.sent_at,
        "mailbox": submission.mailbox,
        "url": submission.url,
        "source": submission.source,
        "output": submission.output,
        "form": submission.form.value,
    }
