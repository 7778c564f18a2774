"""Every opt-out check that was submitted, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from aiohttp import web

from mesh_sim.api.keys import SUBMISSIONS
from mesh_sim.exchange.ports import Moment
from mesh_sim.optouts.submissions import Outcome, Submission
from mesh_sim.web.forms import Form, FormRefused, as_wish, filled_in
from mesh_sim.web.page import show
from mesh_sim.web.paging import PAGE, Before, address, readable, token
from mesh_sim.wishes.base import Wish
from mesh_sim.wishes.mailboxes import MailboxId

_FIELDS: Final = ("mailbox", "outcome")

_CHOICES: Final = (
    ("", "Any"),
    ("open", "no answer yet"),
    (Outcome.ANSWERED.value, "answered"),
    (Outcome.INVALID_LIST.value, "invalid list"),
    (Outcome.SILENT.value, "silent: never a reply"),
    (Outcome.UNDELIVERABLE.value, "undeliverable: the sender is gone"),
    (Outcome.GONE.value, "gone: left the inbox before"),
)

_TONES: Final = {
    Outcome.ANSWERED: "good",
    Outcome.INVALID_LIST: "bad",
    Outcome.SILENT: "bad",
    Outcome.UNDELIVERABLE: "bad",
    Outcome.GONE: "bad",
}


class SubmissionsQuery(Wish):
    """Which submissions are asked for."""

    mailbox: MailboxId | None = None
    outcome: Literal["open", "answered", "invalid list", "silent", "undeliverable", "gone"] | None = None
    before: Before | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A submission as a row of the table: how it stands in one word, and its colour."""

    submission: Submission
    word: str
    tone: str


def row_of(submission: Submission) -> Row:
    """Say how a submission stands."""
    if submission.outcome is None:
        return Row(submission, "receipt given" if submission.receipt_message_id else "being checked", "busy")
    return Row(submission, submission.outcome.value, _TONES[submission.outcome])


async def show_submissions(request: web.Request) -> web.StreamResponse:
    """Show the submissions, those received last first."""
    values = filled_in(request.query.items())
    form, status = Form(values), 200
    found: list[Submission] = []
    try:
        query = as_wish(values, SubmissionsQuery)
        found = await _found(request, query)
    except FormRefused as refused:
        form, status = readable(refused.form, _FIELDS), 400
    shown = found[:PAGE]
    older = ""
    if len(found) > PAGE:
        last = shown[-1]
        older = address("/submissions", values, before=token(Moment(last.received_at, last.message_id)))
    context = {
        "form": form,
        "choices": _CHOICES,
        "rows": [row_of(submission) for submission in shown],
        "filtered": any(name in values for name in _FIELDS),
        "newest": address("/submissions", values, before="") if "before" in values else "",
        "older": older,
    }
    return show(request, "submissions.html", context, status=status)


async def _found(request: web.Request, query: SubmissionsQuery) -> list[Submission]:
    """Give a page of them, and one more if there is one."""
    outcome = query.outcome
    found = await request.app[SUBMISSIONS].recent(
        mailbox=query.mailbox or "",
        outcome=None if outcome is None or outcome == "open" else Outcome(outcome),
        open_only=outcome == "open",
        before=query.before,
        limit=PAGE + 1,
    )
    return list(found)
