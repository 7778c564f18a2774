"""What every form of a report says in the same words, and how it writes times, sizes and texts of others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from mesh_sim.witness.cases.base import Outcome
from mesh_sim.witness.report.model import CaseReport, Report

REHEARSAL: Final = (
    "This is a rehearsal with mesh-sim: it judges the requests that a client made to a simulator by the "
    "published catalogue of cases. It cannot prove how the client fares against the real service, nor what "
    "it does with its messages beyond its requests, and it is no statement of NHS England."
)
"""What a report can and cannot prove."""

_UNFIT: Final = re.compile("[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def fit(text: str) -> str:
    """Replace the characters that neither XML nor HTML can hold, such as lone surrogates."""
    return _UNFIT.sub("\N{REPLACEMENT CHARACTER}", text)


def result(report: Report) -> str:
    """Say in a plain sentence or two what came of the rehearsal."""
    failed = report.ids(Outcome.FAILED, required=True)
    unseen = report.missing
    said = []
    if not report.requests:
        said.append("The journal has no request of this mailbox, so nothing could be judged.")
    elif failed:
        said.append(f"{_required(failed)} failed: {listed(failed)}.")
    elif unseen:
        said.append("No required case failed, but the rehearsal is not complete.")
    else:
        said.append("Every required case in this report passed.")
    if report.requests and unseen:
        said.append(
            f"{_required(unseen)} {'was' if len(unseen) == 1 else 'were'} not seen: {listed(unseen)}."
        )
    if optional := report.ids(Outcome.FAILED, required=False):
        said.append(f"Of the optional cases failed: {listed(optional)}.")
    return " ".join(said)


def forgotten(report: Report) -> str:
    """Say that the journal does not reach back; '' where it does."""
    if report.journal_complete:
        return ""
    return (
        "The journal no longer has every request since the rehearsal began, because there were too many or "
        "it was cleared: a case may be judged wrongly. Begin a new rehearsal with "
        f"'mesh-sim witness start --mailbox {report.mailbox} --fresh'."
    )


def unseen(case: CaseReport, mailbox: str) -> str:
    """Say how a case that was not seen comes to be judged."""
    if not case.staged:
        return "It is judged by the whole traffic and needs no start: no request of the kind was seen yet."
    if case.under_way:
        return "It is under way: the client has not done all of it yet."
    start = f"mesh-sim witness start --mailbox {mailbox} --case {case.case}"
    if case.attempts:
        return f"It was started, but the client made none of its requests. Start it again with '{start}'."
    return f"It was not started. Start it with '{start}'."


def listed(names: Sequence[str]) -> str:
    """Join names as in a sentence."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def moment(at: datetime) -> str:
    """Write a time to the second, in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def day(at: datetime) -> str:
    """Write the day of a time, in UTC."""
    at = at.astimezone(UTC)
    return f"{at:%A} {at.day} {at:%B %Y}"


def clock(at: datetime) -> str:
    """Write the time of the day to the millisecond, in UTC."""
    return f"{at.astimezone(UTC):%H:%M:%S.%f}"[:-3]


def lasted(seconds: float) -> str:
    """Write how long something took."""
    if seconds >= 10:
        return f"{seconds:,.1f} s"
    return f"{seconds * 1000:,.{1 if seconds < 0.01 else 0}f} ms"


def _required(ids: Sequence[str]) -> str:
    return "1 required case" if len(ids) == 1 else f"{len(ids)} required cases"
