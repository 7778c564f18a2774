"""The journal: which requests came, what came of them, and why any was refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final
from urllib.parse import urlencode

from aiohttp import web

from mesh_sim.api.control.journal import JournalQuery
from mesh_sim.api.journal import JOURNAL
from mesh_sim.api.keys import EXCHANGE, SETTINGS
from mesh_sim.api.operations import NO_OPERATION, OPERATION_NAMES
from mesh_sim.web.explaining import explained
from mesh_sim.web.fault_words import OPERATIONS
from mesh_sim.web.forms import Form, FormRefused, as_wish, filled_in
from mesh_sim.web.page import show
from mesh_sim.witness.journal import Entry, JournalFilter

_PAGE: Final = 30
"""Of refusals with long reasons, which clients may cause, these weigh 90 KB with all that a page fetches."""
_FIELDS: Final[tuple[str, ...]] = ("mailbox", "operation", "status", "message_id", "since", "refused")
_WHERE: Final = "before"
_REFUSED: Final = (("", "All"), ("true", "Only what was refused or broke"))


async def show_journal(request: web.Request) -> web.StreamResponse:
    """List requests, newest first; those alone that are asked for, if any are."""
    given = filled_in(request.query.items())
    asked = {name: given[name] for name in _FIELDS if name in given}
    operations = tuple(dict.fromkeys(request.app[OPERATION_NAMES].values()))
    try:
        wanted = _filter(asked, given.get(_WHERE), operations)
    except FormRefused as refused:
        return _page(request, refused.form, operations, (), status=400)
    # One more than a page holds tells whether there are more.
    entries = await request.app[JOURNAL].journal.entries(replace(wanted, limit=_PAGE + 1))
    older = _address(asked | {_WHERE: str(entries[_PAGE - 1].number)}) if len(entries) > _PAGE else ""
    newest = _address(asked) if _WHERE in given else ""
    return _page(request, Form(asked), operations, entries[:_PAGE], older=older, newest=newest)


def _filter(asked: Mapping[str, str], before: str | None, operations: Sequence[str]) -> JournalFilter:
    """Read which entries are asked for.

    Raises:
        FormRefused: a field makes no sense.
    """
    if before is not None and not (before.isascii() and before.isdigit() and len(before) < len(str(2**63))):
        raise FormRefused(Form(asked, {"": "The journal has no page there: look at its newest entries."}))
    wanted = as_wish(asked, JournalQuery).as_filter()
    if wanted.operation not in ("", NO_OPERATION, *operations):
        raise FormRefused(Form(asked, {"operation": "There is no such operation; choose one from the list"}))
    return replace(wanted, before=None if before is None else int(before), oldest_first=False)


def _page(
    request: web.Request,
    form: Form,
    operations: Sequence[str],
    entries: Sequence[Entry],
    *,
    older: str = "",
    newest: str = "",
    status: int = 200,
) -> web.StreamResponse:
    settings = request.app[SETTINGS]
    chosen = [("", "Any"), *_named(operations), (NO_OPERATION, "no such path")]
    context = {
        "form": form,
        "operations": chosen,
        "which": _REFUSED,
        "requests": explained(entries),
        "older": older,
        "newest": newest,
        "kept": settings.journal_entries,
        "kept_for": settings.journal_time,
        "directory": request.app[EXCHANGE].directory,
        "about": form.value("mailbox").upper(),
    }
    return show(request, "journal.html", context, status=status)


def _named(operations: Sequence[str]) -> list[tuple[str, str]]:
    """Give operations with their names and in plain words, those used most first."""
    known = [name for name in OPERATIONS if name in operations]
    others = [name for name in operations if name not in OPERATIONS]
    return [*((name, f"{name}: {OPERATIONS[name]}") for name in known), *((name, name) for name in others)]


def _address(given: Mapping[str, str]) -> str:
    return "/journal" + ("?" + urlencode(given, errors="replace") if given else "")
