"""The headers of a send, MESH's "control file", and the rules for their text (mesh-api.md section 12)."""

from __future__ import annotations

import re
from typing import Final

from aiohttp import web

from mesh_sim.api.validation import Validator
from mesh_sim.exchange.errors import Malformed
from ndoo.protocol import Codes, Header

_LENGTHS: Final[dict[str, int | None]] = {
    Header.TO: 100,
    Header.WORKFLOW_ID: 300,
    Header.CHUNK_RANGE: 20,
    Header.SUBJECT: 500,
    Header.LOCAL_ID: 300,
    Header.PARTNER_ID: 500,
    Header.FILE_NAME: 300,
    Header.CONTENT_CHECKSUM: 100,
    Header.CONTENT_ENCRYPTED: 20,
    Header.CONTENT_COMPRESSED: 20,
    Header.CONTENT_TYPE: 100,
    Header.FROM: None,
    Header.MESSAGE_TYPE: None,
    "Mex-Content-Compress": None,  # the witness tests' spelling of Mex-Content-Compressed
    "Content-Type": None,
    "Content-Encoding": None,
}
_REQUIRED: Final = (Header.TO, Header.WORKFLOW_ID)

_PLAIN_TEXT: Final = (
    Header.TO,
    Header.WORKFLOW_ID,
    Header.CHUNK_RANGE,
    Header.SUBJECT,
    Header.LOCAL_ID,
    Header.PARTNER_ID,
    Header.FILE_NAME,
    Header.CONTENT_CHECKSUM,
    Header.CONTENT_TYPE,
)
"""Headers that may hold no control characters."""

_NO_ADDRESS: Final = (Header.TO, Header.WORKFLOW_ID, Header.CONTENT_CHECKSUM)
"""Headers that may not begin like a web address."""

_TRIMMED: Final = (Header.TO, Header.WORKFLOW_ID, Header.CHUNK_RANGE)

_CONTROL = re.compile(r"[\x00-\x1f]")
_ADDRESS = re.compile(r"https?://", re.IGNORECASE)
_CHECKSUM = re.compile(r"[A-Za-z0-9\s:/-]*", re.ASCII)


class SendHeaders:
    """The headers of one send; an absent one reads as an empty string."""

    def __init__(self, values: dict[str, str], validator: Validator) -> None:
        self._values = values
        self._validator = validator

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def check(self) -> None:
        """Raise ValidationFailed for headers that are missing or too long."""
        self._validator.check()


def read_send_headers(request: web.Request) -> SendHeaders:
    """Read the headers of a send and check their text; their presence and length is checked later.

    The text rules come before the Accept header is looked at, the others after (section 4), and they are
    skipped where a header is missing or too long.

    Raises:
        Malformed: control characters, a web address, or characters a checksum cannot have.
    """
    validator = Validator(request)
    given = request.headers
    # Most are absent from most sends; looking is all that those cost.
    values = dict.fromkeys(_LENGTHS, "") | {
        name: validator.header(name, required=name in _REQUIRED, max_length=length)
        for name, length in _LENGTHS.items()
        if name in given or name in _REQUIRED
    }
    if not validator.faults:
        _check_text(values)
    return SendHeaders(values, validator)


def _check_text(values: dict[str, str]) -> None:
    for name in _PLAIN_TEXT:
        if not values[name]:
            continue
        value = values[name].strip() if name in _TRIMMED else values[name]
        if _CONTROL.search(value):
            raise Malformed(Codes.MALFORMED_CONTROL_FILE, why=f"{name} holds a control character")
        if name in _NO_ADDRESS and _ADDRESS.match(value.strip()):
            raise Malformed(Codes.MALFORMED_CONTROL_FILE, why=f"{name} begins like a web address")
    if not _CHECKSUM.fullmatch(values[Header.CONTENT_CHECKSUM].strip()):
        raise Malformed(Codes.INVALID_CHECKSUM, why="the checksum holds characters other than A-Z 0-9 : - /")
