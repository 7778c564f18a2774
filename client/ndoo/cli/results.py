"""What the commands that send lists show of them: closing tables, and fields for programs."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from ndoo.cli.show import moment, near, note, noun, show_facts, write_json

if TYPE_CHECKING:
    from ndoo.check import CheckResult
    from ndoo.journal import Submission


def left_out(submission: Submission) -> list[tuple[str, int | str, str]]:
    """Say what of the source was not submitted, or not as it stood there."""
    blank, skipped = submission.blank, submission.skipped
    duplicates, repaired = submission.duplicates, submission.repaired
    got_back = noun(repaired, "number that got back its", "numbers that got back their")
    return [
        ("blank", blank, f"{noun(blank, 'row')} without a number, left out"),
        ("invalid", skipped or "", f"{noun(skipped, 'row')} with an invalid number, left out"),
        ("duplicates", duplicates or "", f"{noun(duplicates, 'row')} whose number was sent once already"),
        ("repaired", repaired or "", f"{got_back} leading zero"),
    ]


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
            ("submitted", result.submitted, noun(result.submitted, "NHS number")),
            ("removed", result.removed, "opted out"),
            ("kept", kept, noun(kept, "NHS number" if result.table is None else "row")),
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
