"""A mailbox: its inbox and its outbox, with whatever became of each message, and a search in them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Final
from urllib.parse import quote

from aiohttp import web
from pydantic import AfterValidator, BeforeValidator, StringConstraints, ValidationInfo, field_validator

from mesh_sim.api.keys import DESK, EXCHANGE
from mesh_sim.exchange.directory import Mailbox
from mesh_sim.exchange.messages import MessageType
from mesh_sim.exchange.ports import Found, Search, Side
from mesh_sim.exchange.states import Status
from mesh_sim.web.forms import Form, FormRefused, as_wish, filled_in
from mesh_sim.web.page import show
from mesh_sim.web.paging import PAGE, Before, address, readable, token
from mesh_sim.web.refusals import not_there
from mesh_sim.wishes.base import Wish
from mesh_sim.wishes.mailboxes import MailboxId

_YEARS: Final = range(1970, 9999)

_FIELDS: Final = (
    "status",
    "type",
    "message_id",
    "local_id",
    "workflow",
    "other",
    "subject",
    "since",
    "until",
)
"""What a search is made of, beside its side."""


def _date(value: object) -> object:
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value)
        except ValueError:
            value = date.min
    if isinstance(value, date) and value.year not in _YEARS:
        raise ValueError("must be a date such as 2026-11-24")
    return value


Text = Annotated[str, StringConstraints(max_length=300)]
Date = Annotated[date, BeforeValidator(_date)]


class MailboxQuery(Wish):
    """Which of a mailbox's messages are looked for."""

    side: Side = Side.INBOX
    status: Status | None = None
    type: MessageType | None = None
    message_id: Annotated[Text, AfterValidator(str.upper)] = ""
    local_id: Text = ""
    workflow: Text = ""
    other: MailboxId | None = None
    subject: Text = ""
    since: Date | None = None
    until: Date | None = None
    before: Before | None = None

    @field_validator("until")
    @classmethod
    def _not_before_since(cls, until: date | None, info: ValidationInfo) -> date | None:
        since = info.data.get("since")
        if until and since and until < since:
            raise ValueError("must not be before the first day")
        return until

    def search(self) -> Search:
        """The same for the service desk; both dates are among what is looked for."""
        return Search(
            side=self.side,
            status=self.status,
            message_type=self.type,
            message_id=self.message_id,
            local_id=self.local_id,
            workflow_id=self.workflow,
            other=self.other or "",
            subject=self.subject,
            since=_midnight(self.since) if self.since else None,
            until=_midnight(self.until + timedelta(days=1)) if self.until else None,
        )


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


async def show_mailbox(request: web.Request) -> web.StreamResponse:
    """Show one side of a mailbox, newest first, as far as it is looked for."""
    mailbox = _mailbox_of(request)
    values = filled_in(request.query.items())
    values["side"] = values.get("side", Side.INBOX).lower()
    desk = request.app[DESK]
    try:
        query = as_wish(values, MailboxQuery)
        found = await desk.search(mailbox, query.search(), before=query.before, limit=PAGE)
        form, status = Form(values), 200
    except FormRefused as refused:
        query, found, form, status = MailboxQuery(), Found(()), readable(refused.form, _FIELDS), 400
    path = f"/mailboxes/{quote(mailbox.mailbox_id)}"
    context = {
        "mailbox": mailbox,
        "tally": (await desk.tally([mailbox]))[mailbox.mailbox_id],
        "side": query.side,
        "sides": [(side, f"{path}?side={side}") for side in Side],
        "path_of_mailbox": path,
        "form": form,
        "searched": any(values.get(name) for name in _FIELDS),
        "found": found,
        "statuses": [("", "Any"), *((status.value, status.value) for status in Status)],
        "types": [("", "Either"), *((kind.value, kind.value) for kind in MessageType)],
        **_pages(path, values, found),
    }
    return show(request, "mailbox.html", context, status=status)


def _mailbox_of(request: web.Request) -> Mailbox:
    mailbox = request.app[EXCHANGE].directory.mailbox(request.match_info["mailbox_id"].upper())
    if mailbox is None:
        raise not_there(
            "mailbox", "The overview lists all there are; 'mesh-sim mailbox create' makes another."
        )
    return mailbox


def _pages(path: str, values: Mapping[str, str], found: Found) -> dict[str, str]:
    """Give the addresses of the newest page and of the next older one, where this is not it."""
    newest = address(path, values, before="") if "before" in values else ""
    older = address(path, values, before=token(found.more)) if found.more else ""
    return {"newest": newest, "older": older}
