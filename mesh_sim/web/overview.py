"""The overview: who takes part and what waits, the clock, the register, and the last requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from aiohttp import web

from mesh_sim.api.journal import JOURNAL
from mesh_sim.api.keys import DESK, EXCHANGE, FAULTS, REGISTER, SETTINGS, TIME
from mesh_sim.clock import real_now
from mesh_sim.exchange.directory import Mailbox
from mesh_sim.exchange.ports import TALLY_CAP
from mesh_sim.web.explaining import explained
from mesh_sim.web.page import show
from mesh_sim.web.refusals import not_there
from mesh_sim.witness.journal import JournalFilter

_REQUESTS: Final = 15
_MAILBOXES: Final = 50
_LONGEST: Final = 100


@dataclass(frozen=True, slots=True)
class _Listed:
    """The mailboxes that one page of the overview lists, out of those that were looked for."""

    mailboxes: Sequence[Mailbox]
    looked_for: str
    found: int
    there_are: int
    page: int

    @property
    def can_be_searched(self) -> bool:
        """Whether there are more than one page shows."""
        return self.there_are > _MAILBOXES

    @property
    def before(self) -> str:
        """Where the mailboxes before these are; '' if there are none."""
        return self._address(self.page - 1) if self.page > 1 else ""

    @property
    def after(self) -> str:
        """Where the mailboxes after these are; '' if there are none."""
        return self._address(self.page + 1) if self.page * _MAILBOXES < self.found else ""

    def _address(self, page: int) -> str:
        given = {"find": self.looked_for} if self.looked_for else {}
        return "/?" + urlencode(given | {"page": str(page)}, errors="replace")


async def show_overview(request: web.Request) -> web.StreamResponse:
    """Show everything at a glance."""
    app = request.app
    listed = _list(
        app[EXCHANGE].directory.mailboxes,
        request.query.get("find", "").strip()[:_LONGEST],
        request.query.get("page", "1"),
    )
    entries = await app[JOURNAL].journal.entries(JournalFilter(limit=_REQUESTS))
    return show(
        request,
        "overview.html",
        {
            "listed": listed,
            "directory": app[EXCHANGE].directory,
            "tallies": await app[DESK].tally(listed.mailboxes),
            "cap": TALLY_CAP,
            "service": app[SETTINGS].ndoo_mailbox.upper(),
            "register": await app[REGISTER].statistics(app[TIME].now()),
            "faults": [counted for counted in app[FAULTS].counted() if not counted.exhausted],
            "requests": explained(entries),
            "today": real_now().date(),
            "origin": f"{request.scheme}://{request.host}",
        },
    )


def _list(mailboxes: Sequence[Mailbox], looked_for: str, page: str) -> _Listed:
    wanted = looked_for.upper()
    found = [
        mailbox
        for mailbox in mailboxes
        if not wanted
        or wanted in mailbox.mailbox_id
        or wanted in mailbox.mailbox_name.upper()
        or wanted in mailbox.ods_code.upper()
    ]
    last = max(1, -(-len(found) // _MAILBOXES))
    number = int(page) if page.isascii() and page.isdigit() and len(page) <= len(str(last)) else 0
    if not 1 <= number <= last:
        raise not_there("page of mailboxes", f"They fill {last}; the overview begins with the first.")
    shown = found[(number - 1) * _MAILBOXES : number * _MAILBOXES]
    return _Listed(shown, looked_for, len(found), len(mailboxes), number)
