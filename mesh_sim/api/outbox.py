"""The outbox: send a message, send a chunk (mesh-api.md sections 12 and 13)."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web

from mesh_sim.api.answers import json_answer, wanted_version
from mesh_sim.api.control_file import SendHeaders, read_send_headers
from mesh_sim.api.details import arrived, arriving
from mesh_sim.api.journal import MESSAGE_ID
from mesh_sim.api.keys import EXCHANGE
from mesh_sim.api.limits import ask_for_body
from mesh_sim.api.validation import Validator
from mesh_sim.exchange.directory import Mailbox
from mesh_sim.exchange.drafts import Draft
from mesh_sim.exchange.errors import BodyTooLarge, EncodingUnsupported
from mesh_sim.exchange.messages import Metadata
from ndoo.protocol import ApiVersion, Header


async def send_message(request: web.Request, mailbox: Mailbox) -> web.Response:
    """Take in a message, or the first chunk of one."""
    exchange = request.app[EXCHANGE]
    headers = read_send_headers(request)
    version = wanted_version(request)
    headers.check()
    draft = _draft(headers, exchange.new_message_id())
    blocks = arriving(request, _blocks(request), draft.message_id)
    message = await exchange.send(mailbox, draft, blocks)
    request[MESSAGE_ID] = message.message_id
    arrived(request, message)
    key = "messageID" if version is ApiVersion.V1 else "message_id"
    return json_answer(version, {key: message.message_id}, status=202)


def _draft(headers: SendHeaders, message_id: str) -> Draft:
    return Draft(
        message_id=message_id,
        recipient=headers[Header.TO].strip().upper(),
        workflow_id=headers[Header.WORKFLOW_ID].strip(),
        chunk_range=headers[Header.CHUNK_RANGE].strip(),
        sent_from=headers[Header.FROM].strip().upper(),
        message_type=headers[Header.MESSAGE_TYPE].strip().upper(),
        metadata=Metadata(
            subject=headers[Header.SUBJECT],
            local_id=headers[Header.LOCAL_ID],
            partner_id=headers[Header.PARTNER_ID],
            file_name=headers[Header.FILE_NAME],
            checksum=headers[Header.CONTENT_CHECKSUM],
            content_type=headers[Header.CONTENT_TYPE] or headers["Content-Type"].strip().lower(),
            content_encoding=headers["Content-Encoding"].strip().lower(),
            encrypted=_flag(headers[Header.CONTENT_ENCRYPTED]),
            compressed=_flag(headers[Header.CONTENT_COMPRESSED] or headers["Mex-Content-Compress"]),
        ),
    )


def _flag(value: str) -> bool:
    return value.strip().lower() in ("y", "yes", "t", "true", "on", "1")


async def send_chunk(request: web.Request, mailbox: Mailbox) -> web.Response:
    """Take in a further chunk of a message."""
    version = wanted_version(request)
    validator = Validator(request)
    number = validator.path_integer("chunk_number")
    chunk_range = validator.header(Header.CHUNK_RANGE, max_length=20)
    validator.check()
    message_id = request.match_info["message_id"].upper()
    message = await request.app[EXCHANGE].send_chunk(
        mailbox,
        message_id,
        number,
        chunk_range=chunk_range,
        content_encoding=request.headers.get("Content-Encoding", "").strip().lower(),
        blocks=arriving(request, _blocks(request), message_id),
    )
    arrived(request, message)
    if version is ApiVersion.V1:
        return json_answer(version, {"messageID": message_id, "blockID": number}, status=202)
    return json_answer(version, {"message_id": message_id}, status=202)


async def _blocks(request: web.Request) -> AsyncIterator[bytes]:
    """Give the body as it comes; one that announces too much is refused before a byte of it is read."""
    limit = request.app[EXCHANGE].rules.max_request_bytes
    if limit is not None and (request.content_length or 0) > limit:
        raise BodyTooLarge(limit)
    if request.headers.get("Transfer-Encoding", "chunked").strip().lower() != "chunked":
        # As "gzip, chunked": the bytes that come are not those that the sender meant to be kept.
        raise EncodingUnsupported(why="Transfer-Encoding may only be chunked")
    await ask_for_body(request)
    async for block in request.content.iter_any():
        yield block
