"""The sandbox's admin paths: reset, reports, events and details (mesh-api.md section 18).

Their refusals keep the sandbox's shapes. What the sandbox breaks on, with a 500, is refused with a 400.
"""

from __future__ import annotations

from typing import Annotated, Literal

from aiohttp import web

from mesh_sim.api.answers import json_answer
from mesh_sim.api.control.refusals import ControlRefused
from mesh_sim.api.keys import DESK, EXCHANGE, FRESH_START
from mesh_sim.api.sandbox.details import mailbox_details, message_details
from mesh_sim.api.sandbox.requests import AnyCase, Given, HeaderText, read_given
from mesh_sim.config import SettingsError
from mesh_sim.exchange.directory import Mailbox
from mesh_sim.exchange.errors import NotFound
from mesh_sim.exchange.messages import Metadata
from mesh_sim.exchange.reports import ndr_subject
from mesh_sim.exchange.states import Status
from ndoo.protocol import ApiVersion, Codes, ErrorCode


class ReportGiven(Given):
    """A report to be put into an inbox."""

    mailbox_id: str
    code: HeaderText
    description: HeaderText
    workflow_id: HeaderText
    subject: HeaderText | None = None
    local_id: HeaderText | None = None
    status: Annotated[Literal[Status.UNDELIVERABLE, Status.ERROR], AnyCase] = Status.UNDELIVERABLE
    file_name: HeaderText | None = None
    linked_message_id: HeaderText | None = None

    def error(self) -> ErrorCode:
        """What the report says has failed: of an undelivered message always the same."""
        if self.status == Status.UNDELIVERABLE:
            return Codes.NOT_COLLECTED
        return ErrorCode("TRANSFER", self.code, self.description)

    def metadata(self) -> Metadata:
        """The report's own subject, local id and file name."""
        subject, local_id = self.subject or "", self.local_id or ""
        if self.status == Status.UNDELIVERABLE:
            return Metadata(subject=ndr_subject(subject), local_id=local_id)
        return Metadata(subject=subject, local_id=local_id, file_name=self.file_name or "")


class EventGiven(Given):
    """The status a message is to have, and what failed if something did."""

    status: Annotated[Status, AnyCase]
    code: HeaderText | None = None
    event: HeaderText | None = None
    description: HeaderText | None = None
    linked_message_id: HeaderText | None = None

    def error(self) -> ErrorCode | None:
        """What failed; nothing, where the status is no failure or is not said to be one."""
        error = ErrorCode(self.event or "", self.code or "", self.description or "")
        told = self.status is Status.UNDELIVERABLE and error != ErrorCode("", "", "")
        return error if self.status is Status.ERROR or told else None


async def reset_everything(request: web.Request) -> web.Response:
    """Forget every message, and have the mailboxes and workflows be what their files say now.

    With ``everything=true`` choices, faults, the journal and the clock are as at the first start too.
    """
    everything = request.query.get("everything", "").lower() == "true"
    fresh_start = request.app[FRESH_START]
    try:
        await (fresh_start.everything() if everything else fresh_start.messages())
    except SettingsError as error:
        raise ControlRefused(409, f"nothing was reset: {error}") from error
    return json_answer(ApiVersion.V1, {"message": "all mailboxes reset"})


async def reset_mailbox(request: web.Request) -> web.Response:
    """Empty one mailbox's inbox and outbox; what other mailboxes hold, they keep."""
    mailbox = _mailbox(request, request.match_info["mailbox_id"].upper())
    await request.app[DESK].reset_mailbox(mailbox)
    return json_answer(ApiVersion.V1, {"message": f"mailbox {mailbox.mailbox_id} reset"})


async def put_report(request: web.Request) -> web.Response:
    """Put a report into an inbox."""
    given = await read_given(request, ReportGiven)
    report = await request.app[DESK].put_report(
        _mailbox(request, given.mailbox_id),
        error=given.error(),
        workflow_id=given.workflow_id,
        metadata=given.metadata(),
        linked_message_id=given.linked_message_id or "",
    )
    return json_answer(ApiVersion.V1, {"message_id": report.message_id})


async def put_event(request: web.Request) -> web.Response:
    """Put a message into any status; an accepted one is in its inbox again."""
    given = await read_given(request, EventGiven)
    await request.app[DESK].set_status(
        request.match_info["message_id"].upper(),
        given.status,
        error=given.error(),
        linked_message_id=given.linked_message_id or "",
    )
    return web.Response()


async def show_mailbox(request: web.Request) -> web.Response:
    """Describe a mailbox; its id is taken as it is written."""
    mailbox = request.app[EXCHANGE].directory.mailbox(request.match_info["mailbox_id"])
    if mailbox is None:
        raise NotFound(why="no such mailbox")
    return json_answer(ApiVersion.V1, mailbox_details(mailbox))


async def show_message(request: web.Request) -> web.Response:
    """Describe any message."""
    exchange = request.app[EXCHANGE]
    message = await request.app[DESK].message(request.match_info["message_id"].upper())
    body = message_details(message, exchange.directory, exchange.rules.inbox_expiry)
    return json_answer(ApiVersion.V1, body)


def _mailbox(request: web.Request, mailbox_id: str) -> Mailbox:
    mailbox = request.app[EXCHANGE].directory.mailbox(mailbox_id)
    if mailbox is None:
        raise NotFound("mailbox does not exist", why="no such mailbox")
    return mailbox
