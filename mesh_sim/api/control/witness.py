"""``/admin/witness``: the rehearsal of the witness test, from the stage of a case to the report."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from aiohttp import web
from pydantic import Field

from mesh_sim.api.answers import json_bytes
from mesh_sim.api.control.mailboxes import known_mailbox
from mesh_sim.api.control.refusals import ControlRefused
from mesh_sim.api.control.requests import answer, read_query, read_wish
from mesh_sim.api.header_bytes import NO_PAGE, POLICY
from mesh_sim.api.keys import CONDUCTOR
from mesh_sim.conductor.errors import CannotRehearse, NotRehearsing, WitnessRefused
from mesh_sim.conductor.state import Cue, State
from mesh_sim.durations import Duration
from mesh_sim.wishes.base import Wish
from mesh_sim.wishes.mailboxes import MailboxId
from mesh_sim.wishes.witness import CompareWish, FinishWish, StartWish
from mesh_sim.witness.rehearsal import COUNTERPART, DORMANT, Original

if TYPE_CHECKING:
    from mesh_sim.witness.report import Report

PAGE: Final = NO_PAGE | {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "frame-ancestors 'none'"
}
"""The policy of a report for people: a page with its looks in it, and nothing else."""


class RehearsalQuery(Wish):
    """Whose rehearsal is asked for."""

    mailbox: MailboxId


class StateQuery(RehearsalQuery):
    """With ``after``, how it stands once it has another version than that, or the time is up."""

    after: int | None = Field(None, ge=0, lt=2**63)
    timeout: Duration = Field(timedelta(seconds=30), le=timedelta(minutes=10))


class ReportQuery(RehearsalQuery):
    """In which form, and of which cases: their ids with commas between them; '' for all."""

    format: Literal["json", "junit", "html"] = "json"
    case: str = ""


async def list_cases(request: web.Request) -> web.Response:
    """List the cases and findings, in the catalogue's order."""
    return answer(
        {
            "cases": [
                {
                    "case": case.id,
                    "set": case.set,
                    "title": case.title,
                    "required": case.required,
                    "staged": bool(case.steps),
                    "moves_clock": case.moves_clock,
                }
                for case in request.app[CONDUCTOR].cases.values()
            ]
        }
    )


async def start_case(request: web.Request) -> web.Response:
    """Set the stage for a case; the mailbox's case that was under way ends."""
    wish = await read_wish(request, StartWish)
    known_mailbox(request, "mailbox", wish.mailbox)
    with _refusals():
        state = await request.app[CONDUCTOR].start(wish.mailbox, wish.case, fresh=wish.fresh)
    return answer(_state_json(state), status=201)


async def show_rehearsal(request: web.Request) -> web.Response:
    """Tell how a rehearsal stands; with ``after``, as soon as that has changed."""
    query = read_query(request, StateQuery)
    known_mailbox(request, "mailbox", query.mailbox)
    conductor = request.app[CONDUCTOR]
    with _refusals():
        if query.after is None:
            return answer(_state_json(await conductor.state(query.mailbox)))
        return answer(_state_json(await conductor.changed(query.mailbox, query.after, query.timeout)))


async def finish_step(request: web.Request) -> web.Response:
    """Note that the client has finished its part of a step: the case goes on, or ends as it is."""
    wish = await read_wish(request, FinishWish)
    known_mailbox(request, "mailbox", wish.mailbox)
    with _refusals():
        state = await request.app[CONDUCTOR].finish(wish.mailbox, wish.step, wish.exit_status)
    return answer(_state_json(state))


async def compare_file(request: web.Request) -> web.Response:
    """Compare a file of the tester's with what was sent in a case, or was to be received."""
    wish = await read_wish(request, CompareWish)
    known_mailbox(request, "mailbox", wish.mailbox)
    with _refusals():
        other = await request.app[CONDUCTOR].compare(wish.mailbox, wish.case, wish.size, wish.md5)
    equal = (wish.size, wish.md5) == (other.size, other.md5)
    return answer({"equal": equal, **_file_json(other)})


async def stop_case(request: web.Request) -> web.Response:
    """End the case that is under way and put its stage back; what was judged stays for the report."""
    query = read_query(request, RehearsalQuery)
    known_mailbox(request, "mailbox", query.mailbox)
    with _refusals():
        return answer(_state_json(await request.app[CONDUCTOR].stop(query.mailbox)))


async def show_report(request: web.Request) -> web.Response:
    """Give the report of a rehearsal; without one, of all that the journal has of the mailbox."""
    query = read_query(request, ReportQuery)
    known_mailbox(request, "mailbox", query.mailbox)
    cases = [case for case in query.case.split(",") if case.strip()]
    with _refusals():
        report = await request.app[CONDUCTOR].report(query.mailbox, cases)
    if query.format == "html":
        request[POLICY] = PAGE
    body = await asyncio.to_thread(written, report, query.format)
    charset = None if query.format == "json" else "utf-8"
    return web.Response(body=body, content_type=CONTENT_TYPES[query.format], charset=charset)


# -- forms -------------------------------------------------------------------------------------------


CONTENT_TYPES: Final = {"json": "application/json", "junit": "application/xml", "html": "text/html"}
"""In which forms there is a report, and what each is."""


def written(report: Report, form: str) -> bytes:
    """Write a report in one of its forms; a long one takes a while, and blocks."""
    # Only now, as most simulators are asked for no report, and every start would take the longer.
    from mesh_sim.witness.report import as_html, as_json, as_junit  # noqa: PLC0415

    match form:
        case "junit":
            return as_junit(report)
        case "html":
            return as_html(report).encode()
        case _:
            return json_bytes(as_json(report))


@contextmanager
def _refusals() -> Iterator[None]:
    """Put the conductor's refusals into the control API's shape."""
    try:
        yield
    except CannotRehearse as error:
        raise ControlRefused.field(error.field, str(error)) from error
    except WitnessRefused as error:
        raise ControlRefused(404 if isinstance(error, NotRehearsing) else 409, str(error)) from error


def _state_json(state: State) -> dict[str, Any]:
    rehearsal = state.rehearsal
    return {
        "mailbox": rehearsal.mailbox,
        "version": state.version,
        "begun_at": rehearsal.begun_at.isoformat(),
        "counterpart": COUNTERPART,
        "dormant": DORMANT,
        "current": None if state.cue is None else _cue_json(state.cue),
        "attempts": [
            {
                "case": attempt.case,
                "started_at": attempt.steps_at[0].isoformat(),
                "ended_at": _iso(attempt.ended_at),
                "outcome": outcome,
            }
            for attempt, outcome in zip(rehearsal.attempts, state.outcomes, strict=True)
        ],
    }


def _cue_json(cue: Cue) -> dict[str, Any]:
    return {
        "case": cue.case,
        "title": cue.title,
        "step": cue.step,
        "steps": cue.steps,
        "action": cue.action,
        "tell": cue.tell,
        "to": cue.to,
        "workflow_id": cue.workflow_id,
        "message_id": cue.message_id,
        "count": cue.count,
        "file": None if cue.file is None else _file_json(cue.file),
        "done": cue.done,
        "settling": cue.settling,
    }


def _file_json(file: Original) -> dict[str, Any]:
    return {"size": file.size, "md5": file.md5}


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
