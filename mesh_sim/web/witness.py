"""The witness test: who rehearses it, and one mailbox's rehearsal, case by case, filling in as it goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, Literal

from aiohttp import web

from mesh_sim.api.bodies import stream
from mesh_sim.api.control.witness import CONTENT_TYPES, PAGE, written
from mesh_sim.api.header_bytes import NO_PAGE, POLICY
from mesh_sim.api.keys import CONDUCTOR, EXCHANGE
from mesh_sim.conductor.errors import CannotRehearse, WitnessRefused
from mesh_sim.conductor.state import Standing
from mesh_sim.web.attachments import attachment
from mesh_sim.web.forms import Form, FormRefused, as_wish, filled_in, read_form, refused
from mesh_sim.web.page import see, show
from mesh_sim.web.refusals import PageRefused, not_there
from mesh_sim.web.witness_reports import REPORTS
from mesh_sim.web.witness_view import failures_of, next_of, rows_of
from mesh_sim.wishes.base import Problem, Wish
from mesh_sim.wishes.witness import FinishWish, StartWish
from mesh_sim.witness.cases.base import Outcome
from mesh_sim.witness.originals import blocks

_PATH: Final = "/witness"

_MOST_REHEARSALS: Final = 50
"""How many are listed, those of whom a case was started last."""
_MOST_CHOICES: Final = 200
"""Of more mailboxes than this one is typed and not chosen."""

_ENDINGS: Final = {"html": "html", "junit": "xml", "json": "json"}

_DONE: Final = {
    "finished": "The step is finished.",
    "stopped": "The case has ended. What was set up for it is put back: its messages are out of the inboxes, "
    "and the mailbox is enabled if it was before. Simulated time stays where it is.",
}


class ReportQuery(Wish):
    """In which form a report is wanted, and whether to keep it."""

    format: Literal["html", "junit", "json"] = "html"
    download: bool = False


# -- everybody's --------------------------------------------------------------------------------------


async def show_witness(request: web.Request) -> web.StreamResponse:
    """Show how each rehearsal stands, and where to begin one."""
    return await _show_witness(request, Form())


async def begin_rehearsal(request: web.Request) -> web.StreamResponse:
    """Set the stage for a case of the mailbox that is named, and show its rehearsal."""
    given = await read_form(request)
    try:
        return see(f"{_PATH}/{await _start(request, given)}")
    except FormRefused as error:
        return await _show_witness(request, error.form, status=400)


async def _show_witness(request: web.Request, form: Form, *, status: int = 200) -> web.StreamResponse:
    conductor, directory = request.app[CONDUCTOR], request.app[EXCHANGE].directory
    everybody = [each for each in directory.mailboxes if each.mailbox_id not in conductor.not_to_rehearse]
    standings = [
        conductor.standing(each.mailbox_id) for each in everybody if each.mailbox_id in conductor.rehearsing
    ]
    standings.sort(key=_last_started, reverse=True)
    shown = standings[:_MOST_REHEARSALS]
    context = {
        "form": form,
        "mailboxes": [
            (each.mailbox_id, f"{each.mailbox_id} {each.mailbox_name}".strip()) for each in everybody
        ],
        "to_type": len(everybody) > _MOST_CHOICES,
        "cases": _choices(request),
        "rehearsals": [(each, await _counts(request, each)) for each in shown],
        "left_out": len(standings) - len(shown),
    }
    return show(request, "witness.html", context, status=status)


def _last_started(standing: Standing) -> datetime:
    rehearsal = standing.rehearsal
    # There is no attempt yet while the first stage is being set up.
    return rehearsal.attempts[-1].steps_at[0] if rehearsal.attempts else rehearsal.begun_at


async def _counts(request: web.Request, standing: Standing) -> Mapping[str, int] | None:
    """Count the outcomes of a rehearsal by its latest report, which is not waited for."""
    report = await request.app[REPORTS].latest(standing.rehearsal.mailbox, patience_s=0)
    return None if report is None else {outcome.value: report.count(outcome) for outcome in Outcome}


def _choices(request: web.Request) -> list[tuple[str, str]]:
    """Give the cases that can be started, as a form offers them."""
    return [
        (case.id, f"{case.id} {case.title}{'' if case.required else ' (optional)'}")
        for case in request.app[CONDUCTOR].cases.values()
        if case.steps
    ]


async def _start(request: web.Request, given: Mapping[str, str]) -> str:
    """Set the stage for a case; give the mailbox.

    Raises:
        FormRefused: it cannot be started; nothing was done.
        StorageFailed: the stage cannot be set up.
    """
    wish = as_wish(given, StartWish)
    directory = request.app[EXCHANGE].directory
    if directory.mailbox(wish.mailbox) is None:
        raise refused(given, [Problem("mailbox", directory.unknown(wish.mailbox))])
    try:
        await request.app[CONDUCTOR].start(wish.mailbox, wish.case, fresh=wish.fresh)
    except CannotRehearse as error:
        raise refused(given, [Problem(error.field, str(error))]) from error
    except WitnessRefused as error:
        raise refused(given, [Problem("case", str(error))]) from error
    return wish.mailbox


# -- one mailbox's ------------------------------------------------------------------------------------


async def show_rehearsal(request: web.Request) -> web.StreamResponse:
    """Show what the client is to do now, and what became of every case."""
    return await _show_rehearsal(request, _mailbox(request), Form())


async def go_on(request: web.Request) -> web.StreamResponse:
    """Start a case, finish a step, or stop, as the button says that was pressed."""
    mailbox_id, given = _mailbox(request), await read_form(request)
    here = f"{_PATH}/{mailbox_id}"
    try:
        if "case" in given:
            await _start(request, {**given, "mailbox": mailbox_id})
            return see(here)
        if "step" in given:
            await _finish(request, {**given, "mailbox": mailbox_id})
            return see(f"{here}?done=finished")
        if "stop" in given:
            await _stop(request, mailbox_id)
            return see(f"{here}?done=stopped")
    except FormRefused as error:
        return await _show_rehearsal(request, mailbox_id, _beside(error.form), status=400)
    raise PageRefused(400, "Nothing was asked for", "Go back and press one of the buttons.")


def _beside(form: Form) -> Form:
    """Have what is wrong said of the whole form, where no field of it is on the page."""
    if "fresh" in form.values and "case" in form.problems:
        return form
    return Form(form.values, {"": next(iter(form.problems.values()))})


async def _finish(request: web.Request, given: Mapping[str, str]) -> None:
    wish = as_wish(given, FinishWish, numbers={"step", "exit_status"})
    try:
        await request.app[CONDUCTOR].finish(wish.mailbox, wish.step, wish.exit_status)
    except WitnessRefused as error:
        raise refused(given, [Problem("", str(error))]) from error


async def _stop(request: web.Request, mailbox_id: str) -> None:
    try:
        await request.app[CONDUCTOR].stop(mailbox_id)
    except WitnessRefused as error:
        raise refused({}, [Problem("", str(error))]) from error


async def _show_rehearsal(
    request: web.Request, mailbox_id: str, form: Form, *, status: int = 200
) -> web.StreamResponse:
    conductor, reports = request.app[CONDUCTOR], request.app[REPORTS]
    report = await reports.latest(mailbox_id)
    standing = _standing(request, mailbox_id)
    sets = rows_of(conductor.cases, standing, report)
    rows = [row for _, some in sets for row in some]
    context: dict[str, Any] = {
        "active": _PATH,
        "form": form,
        "done": _DONE.get(request.query.get("done", ""), ""),
        "mailbox_id": mailbox_id,
        "standing": standing,
        "cue": standing.cue if standing is not None else None,
        "sets": sets,
        "next": next_of(rows),
        "cases": _choices(request),
        "counts": [(word, sum(row.word == word for row in rows)) for word in map(str, Outcome)],
        "failures": () if report is None else failures_of(rows, report),
        "report": report,
        "is_current": reports.is_current(mailbox_id),
    }
    if report is not None:
        # As with the report itself: most simulators are asked for none.
        from mesh_sim.witness.report import wording  # noqa: PLC0415

        context |= {"result": wording.result(report), "forgotten": wording.forgotten(report)}
    return show(request, "witness_rehearsal.html", context, status=status)


def _mailbox(request: web.Request) -> str:
    """Give the mailbox of the path.

    Raises:
        PageRefused: there is none, or it is one that cannot rehearse.
    """
    mailbox_id = request.match_info["mailbox_id"].upper()
    if request.app[EXCHANGE].directory.mailbox(mailbox_id) is None:
        raise not_there("mailbox", "Choose one under Witness test.", ("/witness", "Go to the witness test"))
    if why := request.app[CONDUCTOR].not_to_rehearse.get(mailbox_id):
        raise PageRefused(
            404,
            f"{mailbox_id} rehearses nothing",
            f"It {why}. Choose the mailbox of your client under Witness test.",
        )
    return mailbox_id


def _standing(request: web.Request, mailbox_id: str) -> Standing | None:
    conductor = request.app[CONDUCTOR]
    return conductor.standing(mailbox_id) if mailbox_id in conductor.rehearsing else None


# -- to take along ------------------------------------------------------------------------------------


async def give_file(request: web.Request) -> web.StreamResponse:
    """Give the file that the client is to send in the case that is under way, as it is made."""
    standing = _standing(request, _mailbox(request))
    cue = None if standing is None else standing.cue
    if cue is None or cue.file is None:
        raise not_there(
            "file",
            "No case is under way in which the client is to send a certain file. Start one, such as 201.",
        )
    request[POLICY] = NO_PAGE
    headers = {
        "Content-Type": "application/octet-stream",
        "Content-Length": str(cue.file.size),
        "Content-Disposition": attachment(f"witness-{cue.case}.dat"),
    }
    made = _made_in_thread(blocks(cue.case, cue.file.size))
    return await stream(request, 200, headers, await anext(made, b""), made)


async def _made_in_thread(source: Iterator[bytes]) -> AsyncIterator[bytes]:
    while block := await asyncio.to_thread(next, source, b""):
        yield block


async def show_report(request: web.Request) -> web.StreamResponse:
    """Give the report, of all that has happened by now: to be read, or to be kept as a file."""
    mailbox_id = _mailbox(request)
    try:
        query = as_wish(filled_in(request.query.items()), ReportQuery)
    except FormRefused as error:
        raise not_there("form of the report", f"Known are {', '.join(_ENDINGS)}.") from error
    report = await request.app[REPORTS].current(mailbox_id)
    if report is None:
        raise PageRefused(500, "The report cannot be made", "The simulator's log says why. Please report it.")
    body = await asyncio.to_thread(written, report, query.format)
    request[POLICY] = PAGE if query.format == "html" else NO_PAGE
    response = web.Response(body=body, content_type=CONTENT_TYPES[query.format], charset="utf-8")
    if query.download:
        name = f"witness-{mailbox_id}.{_ENDINGS[query.format]}"
        response.headers["Content-Disposition"] = attachment(name)
    return response
