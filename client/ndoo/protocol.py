"""The vocabulary of MESH on the wire: headers, media types, tokens, chunk ranges and error codes.

Pure: no input or output, no clock, nothing of ours imported. Both the client and the simulator
speak through it, so that a rule is written once. Sections named in docstrings are those of NHS
England's MESH API reference as kept with the project's design notes.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Final
from urllib.parse import urlsplit

MAX_REQUEST_BYTES: Final = 100_000_000
"""The largest request body, in bytes (section 2: "at most 100 MB")."""

TOKEN_LIFETIME: Final = timedelta(hours=2)
"""How far a token's timestamp may lie from the server's time, either side (section 5)."""

HANDSHAKE_EVERY: Final = timedelta(hours=24)
"""How often a mailbox that is in use shakes hands (section 2, rate rules)."""

INBOX_EXPIRY: Final = timedelta(days=5)
"""After this an uncollected message becomes undeliverable (section 20)."""

MIN_PAGE, DEFAULT_PAGE, MAX_PAGE = 10, 500, 5000
"""Limits of ``max_results`` on the inbox list (section 7)."""


class Header:
    """Header names, as the official text writes them; they are compared case-insensitively."""

    ADDRESS_TYPE: Final = "Mex-AddressType"
    CHUNK_RANGE: Final = "Mex-Chunk-Range"
    CLIENT_VERSION: Final = "Mex-ClientVersion"
    CONTENT_CHECKSUM: Final = "Mex-Content-Checksum"
    CONTENT_COMPRESS: Final = "Mex-Content-Compress"
    CONTENT_COMPRESSED: Final = "Mex-Content-Compressed"
    CONTENT_ENCRYPTED: Final = "Mex-Content-Encrypted"
    CONTENT_TYPE: Final = "Mex-Content-Type"
    FILE_NAME: Final = "Mex-FileName"
    FROM: Final = "Mex-From"
    LINKED_MESSAGE_ID: Final = "Mex-LinkedMsgID"
    LOCAL_ID: Final = "Mex-LocalID"
    MESSAGE_ID: Final = "Mex-MessageID"
    MESSAGE_TYPE: Final = "Mex-MessageType"
    OS_ARCHITECTURE: Final = "Mex-OSArchitecture"
    OS_NAME: Final = "Mex-OSName"
    OS_VERSION: Final = "Mex-OSVersion"
    PARTNER_ID: Final = "Mex-PartnerID"
    STATUS_CODE: Final = "Mex-StatusCode"
    STATUS_DESCRIPTION: Final = "Mex-StatusDescription"
    STATUS_EVENT: Final = "Mex-StatusEvent"
    STATUS_SUCCESS: Final = "Mex-StatusSuccess"
    STATUS_TIMESTAMP: Final = "Mex-StatusTimestamp"
    SUBJECT: Final = "Mex-Subject"
    TO: Final = "Mex-To"
    TOTAL_CHUNKS: Final = "Mex-Total-Chunks"
    VERSION: Final = "Mex-Version"
    WORKFLOW_ID: Final = "Mex-WorkflowID"


# -- addresses (section 2) -------------------------------------------------------------------------


def base_url(url: str) -> str:
    """Write a server's address in the one way in which it is compared: scheme, host, port, any prefix.

    Raises:
        ValueError: it is not the address of an HTTP server.
    """
    base = url.strip().rstrip("/").removesuffix("/messageexchange")
    try:
        parts = urlsplit(base)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        sound = sound and not (parts.query or parts.fragment or parts.username)
    except ValueError:
        sound = False
    if not sound:
        raise ValueError("must be an address such as http://127.0.0.1:8700")
    return base


# -- versions (section 3) ---------------------------------------------------------------------------


class ApiVersion(IntEnum):
    """The two shapes of bodies a caller can ask for."""

    V1 = 1
    V2 = 2


MEDIA_TYPE: Final = {
    ApiVersion.V1: "application/json",
    ApiVersion.V2: "application/vnd.mesh.v2+json",
}

_MESH_MEDIA_TYPE = re.compile(r"application/vnd\.mesh\.v([12])\+json", re.ASCII)


def api_version(accept: str | None) -> ApiVersion:
    """Read the version a caller asks for from its ``Accept`` header (section 3).

    Parts are split on ``;`` only; parts that do not mention ``vnd.mesh`` are skipped, and none left
    means version 1.

    Raises:
        ValueError: the first MESH part is not exactly version 1 or 2.
    """
    for part in (accept or "").split(";"):
        if "vnd.mesh" not in part:
            continue
        match = _MESH_MEDIA_TYPE.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"not a MESH media type: {part.strip()!r}")
        return ApiVersion(int(match[1]))
    return ApiVersion.V1


# -- authorization tokens (section 5) ---------------------------------------------------------------


class TokenFault(StrEnum):
    """Why an ``Authorization`` header is refused, in the order the checks are made (section 5)."""

    ABSENT = "the Authorization header is absent or blank"
    WRONG_MAILBOX = "the token does not name the mailbox in the path, in upper case, after 'NHSMESH '"
    MALFORMED = "the token is not mailbox:nonce:nonce_count:timestamp:hash with a GUID and digits"
    WRONG_HASH = "the hash does not match: password, shared key or a signed field differs"
    STALE = "the timestamp is not within two hours of the server's time"


class TokenError(ValueError):
    """A refused token; ``fault`` says why."""

    def __init__(self, fault: TokenFault) -> None:
        super().__init__(fault.value)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Token:
    """One authorization token, as it travels in the ``Authorization`` header."""

    mailbox: str
    nonce: str
    nonce_count: str
    timestamp: str
    signature: str

    @classmethod
    def sign(cls, mailbox: str, password: str, shared_key: str, *, now: datetime, nonce: str = "") -> Token:
        """Make a fresh token for one request at ``now`` (any zone; UTC is what travels)."""
        nonce = nonce or str(uuid.uuid4())
        timestamp = now.astimezone(UTC).strftime("%Y%m%d%H%M")
        signature = _signature(mailbox, nonce, "0", password, timestamp, shared_key)
        return cls(mailbox, nonce, "0", timestamp, signature)

    @classmethod
    def parse(cls, header: str | None, mailbox: str) -> Token:
        """Read the header of a request to ``mailbox`` (upper case), without checking the hash.

        Raises:
            TokenError: ABSENT, WRONG_MAILBOX or MALFORMED, checked in that order.
        """
        text = (header or "").strip()
        if not text:
            raise TokenError(TokenFault.ABSENT)
        scheme, _, credentials = text.partition(" ")
        parts = credentials.split(":")
        if scheme != "NHSMESH" or parts[0] != mailbox:
            raise TokenError(TokenFault.WRONG_MAILBOX)
        if len(parts) != 5 or not _COUNT.fullmatch(parts[2]) or not _GUID.fullmatch(parts[1]):
            raise TokenError(TokenFault.MALFORMED)
        return cls(*parts)

    def verify(
        self, password: str, shared_key: str, *, now: datetime, any_time: bool = False
    ) -> datetime | None:
        """Check hash and age against real time ``now``; ``any_time`` skips the age.

        Gives the minute the token says it was made, as :meth:`made_at` does.

        The hash is compared in constant time and in either letter case.

        Raises:
            TokenError: WRONG_HASH or STALE, checked in that order.
        """
        expected = _signature(
            self.mailbox, self.nonce, self.nonce_count, password, self.timestamp, shared_key
        )
        given = self.signature.lower().encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(expected.encode(), given):
            raise TokenError(TokenFault.WRONG_HASH)
        made = self.made_at()
        if not any_time and (made is None or abs(now - made) > TOKEN_LIFETIME):
            raise TokenError(TokenFault.STALE)
        return made

    def made_at(self) -> datetime | None:
        """Give the minute the token says it was made, or None where that is no ``yyyyMMddHHmm``."""
        parts = _MINUTE.fullmatch(self.timestamp)
        if parts is None:
            return None
        try:
            # Not strptime, which takes five times as long: a server asks this of every request.
            year, month, day, hour, minute = map(int, parts.groups())
            return datetime(year, month, day, hour, minute, tzinfo=UTC)
        except ValueError:
            return None

    def __str__(self) -> str:
        """The value of the ``Authorization`` header."""
        return f"NHSMESH {self.mailbox}:{self.nonce}:{self.nonce_count}:{self.timestamp}:{self.signature}"

    def __repr__(self) -> str:
        """Never the token itself: reprs end up in logs."""
        return f"Token(mailbox={self.mailbox!r}, timestamp={self.timestamp!r})"


_COUNT = re.compile(r"[0-9]+", re.ASCII)
_MINUTE = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})", re.ASCII)
_GUID = re.compile(r"[0-9A-Fa-f]{8}(-?)[0-9A-Fa-f]{4}\1[0-9A-Fa-f]{4}\1[0-9A-Fa-f]{4}\1[0-9A-Fa-f]{12}")


def _signature(
    mailbox: str, nonce: str, nonce_count: str, password: str, timestamp: str, shared_key: str
) -> str:
    # The password stands before the timestamp here, though the header has no password.
    message = f"{mailbox}:{nonce}:{nonce_count}:{password}:{timestamp}"
    return hmac.new(
        shared_key.encode(), message.encode("utf-8", "surrogateescape"), hashlib.sha256
    ).hexdigest()


# -- chunks (sections 12 and 13) --------------------------------------------------------------------

MAX_CHUNKS: Final = 999_999


@dataclass(frozen=True, slots=True)
class ChunkRange:
    """``Mex-Chunk-Range``: which chunk of how many."""

    number: int
    total: int

    @classmethod
    def parse(cls, text: str) -> ChunkRange:
        """Read ``n:total``; blanks around the numbers and leading zeros are allowed.

        Raises:
            ValueError: not two numbers with 1 <= n <= total <= 999999.
        """
        match = _CHUNK_RANGE.fullmatch(text)
        if match is None:
            raise ValueError(f"not a chunk range: {text!r}")
        number, total = int(match[1]), int(match[2])
        if not 1 <= number <= total <= MAX_CHUNKS:
            raise ValueError(f"chunk range out of bounds: {text!r}")
        return cls(number, total)

    def __str__(self) -> str:
        """The value of the header."""
        return f"{self.number}:{self.total}"


_CHUNK_RANGE = re.compile(r"\s*([0-9]{1,20})\s*:\s*([0-9]{1,20})\s*", re.ASCII)


def chunk_count(size: int, chunk_size: int) -> int:
    """How many chunks ``size`` bytes need at ``chunk_size`` bytes each; at least one."""
    return max(1, -(-size // chunk_size))


# -- message ids (section 12) -----------------------------------------------------------------------


def message_id(at: datetime, suffix: str) -> str:
    """Form a message id: ``yyyymmddHHMMSSffffff_XXXXXX``, ``suffix`` being six upper-case hex digits."""
    return f"{at:%Y%m%d%H%M%S%f}_{suffix}"


# -- error codes (section 21) -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """One row of the official error table: the step that failed, its code and its text."""

    event: str
    code: str
    text: str


class Codes:
    """The coded errors this project raises or recognises (section 21)."""

    DATA_MISSING = ErrorCode("COLLECT", "02", "Data file is missing or inaccessible.")
    MALFORMED_CONTROL_FILE = ErrorCode("TRANSFER", "06", "MalformedControlFile")
    INVALID_FROM = ErrorCode("SEND", "07", "Invalid From Address in the control file")
    TO_MISSING = ErrorCode("SEND", "08", "TO_DTS missing")
    INVALID_MESSAGE_TYPE = ErrorCode("SEND", "11", "Invalid Message Type for the transfer")
    UNREGISTERED_RECIPIENT = ErrorCode("SEND", "12", "Unregistered to address")
    NOT_COLLECTED = ErrorCode("SEND", "14", "Message not collected by recipient after 5 days")
    SENDER_NOT_ALLOWED = ErrorCode("SEND", "16", "Sender is not allowed to send messages of this type")
    WORKFLOW_NOT_REGISTERED = ErrorCode("SEND", "17", "Workflow ID not registered for mailbox")
    MESSAGE_UNKNOWN = ErrorCode("RECEIVE", "20", "Message does not exist")
    MAILBOX_UNKNOWN = ErrorCode("SEND", "EPL-151", "No mailbox matched")
    NO_LONGER_AVAILABLE = ErrorCode(
        "SEND", "Message already accepted", "Message no longer available for download"
    )
    INVALID_CHUNK_RANGE = ErrorCode(
        "SEND", "InvalidHeaderChunks", "Invalid chunk values sent in mex-Chunk-Range header"
    )
    UNSUPPORTED_ENCODING = ErrorCode("SEND", "UnsupportedContentEncoding", "Unsupported content encoding")
    INVALID_CHECKSUM = ErrorCode("SEND", "Invalid checksum", "Invalid checksum")
    TRANSFERRED = ErrorCode("TRANSFER", "00", "Transferred to recipient mailbox")


# -- the opt-out service ----------------------------------------------------------------------------

WORKFLOW_CHECK: Final = "SPINE_NTT_UPHOLDING"
"""Workflow of the "Check for National Data Opt-outs" service: answered with a cleaned list."""

WORKFLOW_CACHE: Final = "SPINE_NTT_UPHOLDING_CACHE"
"""The simulator's own second workflow: answered with a temporary-cache file."""

INVALID_LIST_ANSWER: Final = b"The file contains one or more invalid NHS Numbers."
"""The answer's whole body when any record of a submitted list is not a valid NHS number."""

RECEIPT_SUBJECT: Final = "SUCCESS"
"""``Mex-Subject`` of the receipt, which is a DATA message too and never the answer."""

_REPLYABLE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


def gets_reply(label: str) -> bool:
    """Tell whether the opt-out service replies to a submission with this subject or local id.

    Only letters, digits, ``-`` and ``_`` do; anything else, or nothing, is met with silence.
    """
    return _REPLYABLE.fullmatch(label) is not None
