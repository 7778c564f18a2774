"""MESH's operations, the lookups and the health paths, as this server answers them."""

from __future__ import annotations

from typing import Final

from mesh_sim.api.openapi.parts import (
    ANY_TYPE,
    JSON,
    TEXT,
    V2,
    Access,
    Answer,
    Operation,
    Schema,
    header,
    query,
    ref,
)
from mesh_sim.api.routes import BOX, HEALTH_PATHS, MESSAGE, MX
from ndoo.protocol import DEFAULT_PAGE, MAX_PAGE, MIN_PAGE, Header

_V1_ERROR, _V2_ERROR = ref("MeshErrorV1"), ref("MeshErrorV2")

_ACCEPT_ENCODING: Final = header(
    "Accept-Encoding", "with `gzip` in it, a body stored as gzip comes as it is, and version 2 packs others"
)


def _error(means: str, *others: str) -> Answer:
    """A MESH error in the asked-for version; ``others`` are shapes that come as plain JSON in either."""
    plain = [_V1_ERROR, *map(ref, others)]
    return Answer(means=means, content={JSON: {"anyOf": plain} if others else _V1_ERROR, V2: _V2_ERROR})


def _either(means: str, first: str, second: str) -> Answer:
    return Answer(means=means, content={JSON: ref(first), V2: ref(second)})


BAD_FORM: Final = _error(
    "The Accept header, another header, the query or the path is not right.", "FormError"
)
_GENERIC: Final = {JSON: ref("GenericError")}
REFUSED: Final = _error("The token is refused; the journal says why.")
NOT_YOURS: Final = _error("The token is refused, or the message is somebody else's.")
UNKNOWN: Final = _error("There is no such message, or path.", "RouterError")
GONE: Final = _error("The message has expired, failed, or been acknowledged.")
TOO_LARGE: Final = _error("The body is larger than one request may be.")
TOO_SLOW: Final = _error("The body came too slowly.")
BUSY: Final = Answer(
    means="It could not be made safe on disk, or too many requests are being worked on: try again.",
    content={JSON: {"anyOf": [*_GENERIC.values(), _V1_ERROR]}, V2: _V2_ERROR},
    headers={"Retry-After": "seconds, where there were too many requests"},
)

_SIGNED: Final[dict[int, Answer]] = {403: REFUSED, 503: BUSY}

_MESSAGE_HEADERS: Final[dict[str, str]] = {
    Header.FROM: "the sender's mailbox; not on a report",
    Header.TO: "the recipient's mailbox",
    Header.WORKFLOW_ID: "the workflow id",
    Header.CHUNK_RANGE: "`n:total`; `1:1` for a message in one piece, `1:0` for a report",
    Header.TOTAL_CHUNKS: "how many chunks there are; 0 for a report",
    Header.ADDRESS_TYPE: "`ALL`",
    Header.LOCAL_ID: "the sender's own id",
    Header.PARTNER_ID: "as the sender gave it",
    Header.SUBJECT: "as the sender gave it",
    Header.FILE_NAME: "as the sender gave it, or the message id and `.dat`",
    Header.VERSION: "`1.0`",
    Header.MESSAGE_TYPE: "`DATA` or `REPORT`",
    Header.MESSAGE_ID: "the message id",
    Header.LINKED_MESSAGE_ID: "of a report, the message that failed",
    Header.STATUS_CODE: "`00`, or the code of what failed",
    Header.STATUS_EVENT: "the step that succeeded or failed",
    Header.STATUS_DESCRIPTION: "the same in words",
    Header.STATUS_SUCCESS: "`SUCCESS` or `ERROR`",
    Header.STATUS_TIMESTAMP: "when, as yyyyMMddHHmmss in UTC",
    Header.CONTENT_COMPRESSED: "`Y` where the sender said so or this body is gzip, else `N`",
    Header.CONTENT_ENCRYPTED: "`Y` where the sender said so",
    Header.CONTENT_CHECKSUM: "as the sender gave it",
    Header.CONTENT_TYPE: "the content type of what was sent",
    "Content-Encoding": "`gzip` where the body is",
    "ETag": "the same for the same bytes",
    "Last-Modified": "when the newest thing happened to the message",
}

_TEXT_LENGTHS: Final[dict[str, tuple[int, str]]] = {
    Header.TO: (100, "the recipient's mailbox"),
    Header.WORKFLOW_ID: (300, "the workflow id"),
    Header.CHUNK_RANGE: (20, "`1:total` for the first of several chunks"),
    Header.SUBJECT: (500, "handed to the recipient"),
    Header.LOCAL_ID: (300, "the sender's own id, handed to the recipient"),
    Header.PARTNER_ID: (500, "handed to the recipient"),
    Header.FILE_NAME: (300, "handed to the recipient"),
    Header.CONTENT_CHECKSUM: (100, "handed to the recipient, never compared"),
    Header.CONTENT_ENCRYPTED: (20, "`Y`: the body is encrypted"),
    Header.CONTENT_COMPRESSED: (20, "`Y`: the body is compressed"),
    Header.CONTENT_TYPE: (100, "handed to the recipient in place of Content-Type"),
}
"""Headers of a send: the most characters, and what they are for."""

_SEND_HEADERS: Final = (
    *(
        header(
            name,
            means,
            {"type": "string", "maxLength": most},
            required=name in (Header.TO, Header.WORKFLOW_ID),
        )
        for name, (most, means) in _TEXT_LENGTHS.items()
    ),
    header(Header.FROM, "if given, the sending mailbox"),
    header(Header.MESSAGE_TYPE, "if given, `DATA`"),
    header("Mex-Content-Compress", "as Mex-Content-Compressed"),
    header("Content-Encoding", "`gzip`, or none"),
)
_BYTES: Final[dict[str, Schema]] = {"application/octet-stream": {}, ANY_TYPE: {}}

_DOWNLOADS: Final[dict[int, Answer]] = {
    200: Answer(means="The message, or its last chunk.", content={ANY_TYPE: {}}, headers=_MESSAGE_HEADERS),
    206: Answer(
        means="A chunk that others follow.",
        content={"application/octet-stream": {}},
        headers=_MESSAGE_HEADERS,
    ),
    400: BAD_FORM,
    403: NOT_YOURS,
    404: UNKNOWN,
    406: Answer(means="Sent as gzip, wanted plain, and no gzip after all.", content=_GENERIC),
    410: GONE,
    503: BUSY,
}


def _cursor(means: str) -> Schema:
    return query("continue_from", means, {"type": "string", "minLength": 24, "maxLength": 1000})


def _page(low: int, high: int, default: int) -> Schema:
    schema = {"type": "integer", "minimum": low, "maximum": high, "default": default}
    return query("max_results", "the most messages on a page", schema)


def _signed(
    method: str,
    path: str,
    name: str,
    does: str,
    answers: dict[int, Answer],
    *,
    parameters: tuple[Schema, ...] = (),
    body: dict[str, Schema] | None = None,
) -> Operation:
    return Operation(
        method=method,
        path=path,
        name=name,
        does=does,
        tag="MESH",
        access=Access.MAILBOX,
        answers=_SIGNED | answers,
        parameters=parameters,
        body=body or {},
    )


_CLIENT: Final = tuple(
    header(name, means, required=True)
    for name, means in (
        (Header.CLIENT_VERSION, "the client program and its version"),
        (Header.OS_NAME, "its operating system"),
        (Header.OS_VERSION, "the version of that"),
    )
)
_SHAKEN: Final = {
    200: Answer(
        means="The mailbox is reachable and the token right; no body in version 2.",
        content={JSON: ref("Handshake")},
    ),
    400: BAD_FORM,
}
_START: Final = query("start_time", "ISO 8601: only what was created after it (default: 30 days ago)", TEXT)
_RICH: Final = {
    200: Answer(means="One page, newest first.", content={V2: ref("RichList")}),
    400: BAD_FORM,
}

OPERATIONS: Final = (
    _signed("POST", BOX, "handshake", "Show that a mailbox is in use", _SHAKEN, parameters=_CLIENT),
    _signed("GET", BOX, "handshake", "Show that a mailbox is in use", _SHAKEN, parameters=_CLIENT),
    _signed(
        "GET",
        BOX + "/inbox",
        "list_inbox",
        "List the messages waiting, oldest first",
        {200: _either("One page of message ids.", "InboxV1", "InboxV2"), 400: BAD_FORM},
        parameters=(
            _page(MIN_PAGE, MAX_PAGE, DEFAULT_PAGE),
            _cursor("the token in `links.next`; in version 1 the last message id seen"),
            query(
                "workflow_filter",
                "a workflow id; `WF*` begins with, `*WF*` contains, `!` in front of either is not",
                {"type": "string", "minLength": 2, "maxLength": 255},
            ),
        ),
    ),
    _signed(
        "GET",
        BOX + "/count",
        "count_messages",
        "Count the messages waiting",
        {200: _either("Their number.", "CountV1", "CountV2"), 400: BAD_FORM},
    ),
    _signed(
        "GET",
        MESSAGE,
        "download_message",
        "Download a message or its first chunk",
        _DOWNLOADS,
        parameters=(_ACCEPT_ENCODING,),
    ),
    _signed(
        "HEAD",
        MESSAGE,
        "look_at_message",
        "Look at a message's headers",
        {
            200: Answer(means="The headers; no body.", headers=_MESSAGE_HEADERS),
            404: Answer(means="There is no such message, or not for this mailbox."),
            410: Answer(means=GONE.means),
        },
    ),
    _signed(
        "GET",
        MESSAGE + "/{chunk_number}",
        "download_chunk",
        "Download one chunk",
        _DOWNLOADS,
        parameters=(_ACCEPT_ENCODING,),
    ),
    _signed(
        "PUT",
        MESSAGE + "/status/acknowledged",
        "acknowledge_message",
        "Take a message out of the inbox",
        {
            200: Answer(means="It is; no body in version 2.", content={JSON: ref("AcknowledgedV1")}),
            400: BAD_FORM,
            403: NOT_YOURS,
            404: UNKNOWN,
        },
    ),
    _signed(
        "POST",
        BOX + "/outbox",
        "send_message",
        "Send a message or its first chunk",
        {
            202: _either("Accepted, and safe on disk.", "SentV1", "SentV2"),
            400: BAD_FORM,
            408: TOO_SLOW,
            413: TOO_LARGE,
            417: _error("The exchange does not take it: recipient, chunk range, rights, body, a full inbox."),
            422: _error("A Content-Encoding other than gzip."),
        },
        parameters=_SEND_HEADERS,
        body=_BYTES,
    ),
    _signed(
        "POST",
        BOX + "/outbox/{message_id}/{chunk_number}",
        "send_chunk",
        "Send one further chunk",
        {
            202: _either("Accepted, and safe on disk.", "ChunkSentV1", "SentV2"),
            400: BAD_FORM,
            403: NOT_YOURS,
            404: UNKNOWN,
            406: Answer(means="The number is above the first chunk's total.", content=_GENERIC),
            408: TOO_SLOW,
            413: TOO_LARGE,
            417: _error("The chunk range is not right, or the Content-Encoding not the first chunk's."),
            423: Answer(means="The message is complete, or has no chunks.", content=_GENERIC),
        },
        parameters=(
            header(Header.CHUNK_RANGE, "`n:total`, n as in the path", {"type": "string", "maxLength": 20}),
            header("Content-Encoding", "as that of the first chunk"),
        ),
        body=_BYTES,
    ),
    _signed(
        "GET",
        BOX + "/outbox/tracking",
        "track_message",
        "Tell where a sent message is",
        {
            200: _either("Its status.", "TrackingV1", "TrackingV2"),
            400: BAD_FORM,
            404: UNKNOWN,
        },
        parameters=(query("messageID", "the message id", {"type": "string", "minLength": 1}, required=True),),
    ),
    _signed(
        "GET",
        BOX + "/outbox/tracking/{local_id}",
        "track_local_id",
        "Tell where a sent message is, by its local id",
        {
            200: Answer(means="Its status, in version 1.", content={JSON: ref("TrackingV1")}),
            300: _error("Several messages have this local id."),
            404: UNKNOWN,
        },
    ),
    _signed(
        "GET",
        BOX + "/inbox/rich",
        "rich_inbox",
        "List everything delivered, whatever became of it",
        _RICH,
        parameters=(_page(1, 2000, 100), _cursor("the token in `links.next`"), _START),
    ),
    _signed(
        "GET",
        BOX + "/outbox/rich",
        "rich_outbox",
        "List everything sent",
        _RICH,
        parameters=(_page(10, 5000, 100), _cursor("the token in `links.next`"), _START),
    ),
    _signed(
        "POST",
        BOX + "/update",
        "update",
        "Do nothing, with authority",
        {200: Answer(means="Done.")},
    ),
    *(
        Operation(
            method="GET",
            path=path,
            name=name,
            does=does,
            tag="Lookup",
            access=Access.OPEN,
            answers={
                200: found,
                400: _error("The Accept header is not right, or a name is blank."),
                503: BUSY,
            },
        )
        for path, name, does, found in (
            (
                MX + "/endpointlookup/{ods_code}/{workflow_id}",
                "look_up_endpoint",
                "Find an organisation's mailboxes that receive a workflow",
                _either("Those found, perhaps none.", "EndpointsV1", "Mailboxes"),
            ),
            (
                MX + "/workflowsearch/{workflow_id}",
                "search_workflow",
                "Find all mailboxes that receive a workflow",
                _either("Those found, perhaps none.", "Mailboxes", "Mailboxes"),
            ),
        )
    ),
    *(
        Operation(
            method="GET",
            path=path,
            name="ping",
            does="Say that the server runs",
            tag="Health",
            access=Access.OPEN,
            answers={200: Answer(means="It runs.", content={JSON: ref("Health")})},
        )
        for path in HEALTH_PATHS
    ),
)
