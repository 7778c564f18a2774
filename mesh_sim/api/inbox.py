"""The inbox: list, download, look at, acknowledge, count (mesh-api.md sections 7 to 11)."""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from mesh_sim.api.answers import json_answer, version_or_first, wanted_version
from mesh_sim.api.bodies import send_body
from mesh_sim.api.cursors import make_cursor, read_cursor
from mesh_sim.api.details import noting
from mesh_sim.api.keys import EXCHANGE
from mesh_sim.api.message_headers import message_headers
from mesh_sim.api.validation import Validator
from mesh_sim.exchange.directory import Mailbox
from mesh_sim.exchange.filters import WorkflowFilter
from mesh_sim.exchange.messages import MessageType
from ndoo.protocol import DEFAULT_PAGE, MAX_PAGE, MEDIA_TYPE, MIN_PAGE, ApiVersion


async def list_inbox(request: web.Request, mailbox: Mailbox) -> web.Response:
    """Give one page of the messages waiting, oldest arrival first."""
    exchange = request.app[EXCHANGE]
    version = wanted_version(request)
    validator = Validator(request)
    limit = validator.query_integer("max_results", default=DEFAULT_PAGE, low=MIN_PAGE, high=MAX_PAGE)
    token = validator.query_text("continue_from", min_length=24, max_length=1000)
    wanted = validator.query_text("workflow_filter", min_length=2, max_length=255)
    validator.check()

    after = 0
    if token is not None:
        position = read_cursor(token, mailbox.mailbox_id)
        if position is None:
            # Version 1 pages by the last message id seen, and starts again after an unknown one.
            position = await exchange.position(mailbox, token.upper())
            if position == 0 and version is ApiVersion.V2:
                validator.refuse(["query", "continue_from"], token, "Not a token of this inbox")
                validator.check()
        after = position
    page = await exchange.inbox(
        mailbox, after=after, limit=limit, workflow_filter=WorkflowFilter.parse(wanted) if wanted else None
    )
    ids = [listed.message_id for listed in page.listed]
    noted = noting(request)
    noted.listed, noted.more = len(ids), page.more
    if version is ApiVersion.V1:
        return json_answer(version, {"messages": ids})

    query: dict[str, Any] = {}
    if limit != DEFAULT_PAGE:
        query["max_results"] = limit
    if wanted is not None:
        query["workflow_filter"] = wanted
    links = {"self": _link(mailbox, query)}
    if page.more:
        cursor = make_cursor(mailbox.mailbox_id, page.listed[-1].position)
        links["next"] = _link(mailbox, query | {"continue_from": cursor})
    count = await exchange.waiting(mailbox)
    return json_answer(version, {"messages": ids, "links": links, "approx_inbox_count": count})


def _link(mailbox: Mailbox, query: dict[str, Any]) -> str:
    path = f"/messageexchange/{mailbox.mailbox_id}/inbox"
    return f"{path}?{urlencode(query)}" if query else path


async def download_message(request: web.Request, mailbox: Mailbox) -> web.StreamResponse:
    """Give a message, or the first chunk of one."""
    return await _download(request, mailbox, wanted_version(request), 1)


async def download_chunk(request: web.Request, mailbox: Mailbox) -> web.StreamResponse:
    """Give one chunk."""
    version = wanted_version(request)
    validator = Validator(request)
    number = validator.path_integer("chunk_number", low=1)
    validator.check()
    return await _download(request, mailbox, version, number)


async def _download(
    request: web.Request, mailbox: Mailbox, version: ApiVersion, number: int
) -> web.StreamResponse:
    exchange = request.app[EXCHANGE]
    message, chunk = await exchange.download(mailbox, request.match_info["message_id"].upper(), number)
    noted = noting(request)
    noted.message_type = message.message_type.value
    if message.total_chunks > 1:
        noted.chunk = f"{chunk.number}:{message.total_chunks}"
    return await send_body(request, version, message, chunk, exchange.payload(chunk))


async def look_at_message(request: web.Request, mailbox: Mailbox) -> web.Response:
    """Give a message's headers without its body."""
    message = await request.app[EXCHANGE].look_at(mailbox, request.match_info["message_id"].upper())
    headers = message_headers(message, number=1)
    if message.metadata.content_encoding and message.message_type is MessageType.DATA:
        headers["Content-Encoding"] = message.metadata.content_encoding
    headers["Content-Type"] = MEDIA_TYPE[version_or_first(request)]
    headers["Content-Length"] = "0"
    return web.Response(headers=headers)


async def acknowledge_message(request: web.Request, mailbox: Mailbox) -> web.Response:
    """Take a message out of the inbox."""
    version = wanted_version(request)
    message_id = request.match_info["message_id"].upper()
    await request.app[EXCHANGE].acknowledge(mailbox, message_id)
    if version is ApiVersion.V1:
        return json_answer(version, {"messageId": message_id})
    return web.Response()


async def count_messages(request: web.Request, mailbox: Mailbox) -> web.Response:
    """Count the messages waiting (deprecated)."""
    version = wanted_version(request)
    count = await request.app[EXCHANGE].waiting(mailbox)
    if version is ApiVersion.V2:
        return json_answer(version, {"count": count})
    return json_answer(
        version, {"count": count, "internalID": secrets.token_hex(16), "allResultsIncluded": True}
    )
