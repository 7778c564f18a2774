"""``/admin/mailboxes``: who takes part."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from mesh_sim.api.control.refusals import ControlRefused
from mesh_sim.api.control.requests import answer, read_wish
from mesh_sim.api.keys import EXCHANGE, MAILBOXES
from mesh_sim.exchange.directory import Directory, Mailbox
from mesh_sim.mailboxes import MailboxExists, UnknownMailbox
from mesh_sim.wishes.mailboxes import MailboxWish


async def list_mailboxes(request: web.Request) -> web.Response:
    """List every mailbox with how many messages wait in it."""
    exchange = request.app[EXCHANGE]
    return answer(
        {
            "mailboxes": [
                mailbox_json(mailbox) | {"waiting": await exchange.waiting(mailbox)}
                for mailbox in exchange.directory.mailboxes
            ]
        }
    )


async def create_mailbox(request: web.Request) -> web.Response:
    """Have one more mailbox take part."""
    wish = await read_wish(request, MailboxWish)
    mailbox = wish.mailbox()
    try:
        await request.app[MAILBOXES].create(mailbox)
    except MailboxExists as error:
        raise ControlRefused(
            409, f"mailbox {wish.mailbox_id} is there already; change it with PATCH"
        ) from error
    return answer(mailbox_json(mailbox), status=201)


async def change_mailbox(request: web.Request) -> web.Response:
    """Change a mailbox: its password, whether it is active, its organisation."""
    wish = await read_wish(request, MailboxWish)
    changes = wish.changes()
    if not changes:
        raise ControlRefused(400, 'say what is to change, such as {"active": false}')
    try:
        mailbox = await request.app[MAILBOXES].change(wish.mailbox_id, changes)
    except UnknownMailbox as error:
        raise unknown_mailbox("mailbox_id", wish.mailbox_id, request.app[EXCHANGE].directory) from error
    return answer(mailbox_json(mailbox))


def known_mailbox(request: web.Request, field: str, mailbox_id: str) -> Mailbox:
    """Give a mailbox that a request names in ``field``.

    Raises:
        ControlRefused: there is none with this id.
    """
    directory = request.app[EXCHANGE].directory
    mailbox = directory.mailbox(mailbox_id)
    if mailbox is None:
        raise unknown_mailbox(field, mailbox_id, directory)
    return mailbox


def unknown_mailbox(field: str, mailbox_id: str, directory: Directory) -> ControlRefused:
    """Refuse a mailbox that does not exist: 404, naming those that do."""
    refusal = ControlRefused.field(field, directory.unknown(mailbox_id))
    refusal.status = 404
    return refusal


def mailbox_json(mailbox: Mailbox) -> dict[str, Any]:
    """Describe a mailbox; its password is nobody's to read."""
    return {
        "mailbox_id": mailbox.mailbox_id,
        "mailbox_name": mailbox.mailbox_name,
        "billing_entity": mailbox.billing_entity,
        "ods_code": mailbox.ods_code,
        "org_code": mailbox.org_code,
        "org_name": mailbox.org_name,
        "active": mailbox.active,
    }
