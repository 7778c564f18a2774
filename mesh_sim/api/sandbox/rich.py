"""The sandbox's rich inbox and outbox: histories of a mailbox, newest first (mesh-api.md section 16)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import web

from mesh_sim.api.answers import iso, json_answer
from mesh_sim.api.keys import DESK, EXCHANGE
from mesh_sim.api.sandbox.details import party
from mesh_sim.api.validation import Validator
from mesh_sim.exchange.directory import Directory, Mailbox
from mesh_sim.exchange.messages import Message
from mesh_sim.exchange.ports import Moment, Side
from mesh_sim.exchange.states import Status
from ndoo.protocol import ApiVersion

_DEFAULT: Final = 100
_LOOK_BACK: Final = timedelta(days=30)
_CURSOR = re.compile(r"rich/(\w+)/([^/]+)/([^/]+)/([^/]+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a request asks for: up to ``limit`` messages created after ``since`` and before ``before``."""

    since: datetime
    limit: int
    before: Moment | None


async def rich_inbox(request: web.Request, mailbox: Mailbox) -> web.Response:
    """List what was delivered to a mailbox, whatever became of it."""
    asked = _asked(request, mailbox, Side.INBOX, bounds=(1, 2000), most=2000)
    directory, lifetime = _terms(request)
    messages, links = await _page(request, mailbox, Side.INBOX, asked)
    return _answer(request, [_received(message, directory, lifetime) for message in messages], links)


async def rich_outbox(request: web.Request, mailbox: Mailbox) -> web.Response:
    """List what a mailbox sent or is sending; more than a hundred may be asked for but are not given."""
    asked = _asked(request, mailbox, Side.OUTBOX, bounds=(10, 5000), most=100)
    directory, lifetime = _terms(request)
    messages, links = await _page(request, mailbox, Side.OUTBOX, asked)
    return _answer(request, [_sent(message, directory, lifetime) for message in messages], links)


def _terms(request: web.Request) -> tuple[Directory, timedelta]:
    exchange = request.app[EXCHANGE]
    return exchange.directory, exchange.rules.inbox_expiry


def _asked(
    request: web.Request, mailbox: Mailbox, side: Side, *, bounds: tuple[int, int], most: int
) -> _Asked:
    validator = Validator(request)
    limit = validator.query_integer("max_results", default=_DEFAULT, low=bounds[0], high=bounds[1])
    token = validator.query_text("continue_from", min_length=24, max_length=1000)
    start = request.query.get("start_time")
    validator.check()
    since = request.app[EXCHANGE].now() - _LOOK_BACK if start is None else _read_start(start)
    if since is None:
        validator.refuse(["query", "start_time"], start or "", "Input should be an ISO 8601 date and time")
    before = None if token is None else _read_cursor(token, mailbox, side)
    if token is not None and before is None:
        validator.refuse(["query", "continue_from"], token, "Not a token of this list")
    validator.check()
    assert since is not None  # noqa: S101 - the check above has raised otherwise
    return _Asked(since, min(limit, most), before)


def _read_start(text: str) -> datetime | None:
    """Read a time, in UTC where it names no zone; None if it is none."""
    try:
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


async def _page(
    request: web.Request, mailbox: Mailbox, side: Side, asked: _Asked
) -> tuple[Sequence[Message], dict[str, str]]:
    found = await request.app[DESK].history(
        mailbox, side, since=asked.since, before=asked.before, limit=asked.limit + 1
    )
    page = found[: asked.limit]
    path = f"/messageexchange/{mailbox.mailbox_id}/{side}/rich"
    query: dict[str, Any] = {
        "start_time": str(asked.since.replace(tzinfo=None)),
        "max_results": asked.limit,
    }
    links = {"self": f"{path}?{urlencode(query)}"}
    if len(found) > len(page):
        query["continue_from"] = _make_cursor(page[-1], mailbox, side)
        links["next"] = f"{path}?{urlencode(query)}"
    return page, links


def _answer(request: web.Request, messages: list[dict[str, Any]], links: dict[str, str]) -> web.Response:
    body = {"valid_at": iso(request.app[EXCHANGE].now()), "messages": messages, "links": links}
    return json_answer(ApiVersion.V2, body)


# -- where the next page begins: the creation time and id of the message before it ------------------


def _make_cursor(message: Message, mailbox: Mailbox, side: Side) -> str:
    plain = f"rich/{side}/{mailbox.mailbox_id}/{iso(message.created_at)}/{message.message_id}"
    return base64.urlsafe_b64encode(plain.encode()).decode()


def _read_cursor(token: str, mailbox: Mailbox, side: Side) -> Moment | None:
    try:
        match = _CURSOR.fullmatch(base64.b64decode(token, altchars=b"-_", validate=True).decode())
        if match is None or match.group(1, 2) != (side, mailbox.mailbox_id):
            return None
        return Moment(datetime.fromisoformat(match[3]).replace(tzinfo=UTC), match[4])
    except (binascii.Error, ValueError):
        return None


# -- the two lists' items: the inbox leaves out what is not known, the outbox has empty texts ---------


def _received(message: Message, directory: Directory, lifetime: timedelta) -> dict[str, Any]:
    body = _beginning(message, lifetime)
    if message.sender or message.metadata.local_id:
        body["local_id"] = message.metadata.local_id
    body |= _parties(message, directory)
    if message.accepted_at is not None:
        body["sent_date"] = iso(message.accepted_at)
    body["status"] = message.status.value
    if message.failure is not None:
        body["status_code"] = message.failure.error.code
    return body | _end(message)


def _sent(message: Message, directory: Directory, lifetime: timedelta) -> dict[str, Any]:
    # The newest event's code: what failed earlier is not shown once the message is accepted again.
    failed = message.failure if message.status in (Status.ERROR, Status.UNDELIVERABLE) else None
    return (
        _beginning(message, lifetime)
        | {"local_id": message.metadata.local_id}
        | _parties(message, directory)
        | {
            "sent_date": iso(message.created_at),
            "status": message.status.value,
            "status_code": failed.error.code if failed else "",
        }
        | _end(message)
    )


def _beginning(message: Message, lifetime: timedelta) -> dict[str, Any]:
    return {"message_id": message.message_id, "expiry_timestamp": iso(message.expires_at(lifetime))}


def _parties(message: Message, directory: Directory) -> dict[str, Any]:
    return {
        "message_type": message.message_type.value,
        "recipient": message.recipient,
        "recipient_name": party(directory, message.recipient).mailbox_name,
        "sender": message.sender,
        "sender_name": party(directory, message.sender).mailbox_name,
    }


def _end(message: Message) -> dict[str, Any]:
    return {"workflow_id": message.workflow_id, "total_chunks": message.total_chunks}
