"""The journal of requests: what is noted of each, and how it is asked for. No payloads, no secrets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

BROKEN: Final = 0
"""The status of a request whose connection broke before it was answered."""

MOST_ENTRIES: Final = 100_000
"""How many entries are kept, unless a setting says otherwise."""
LONGEST: Final = timedelta(days=7)
"""How long entries are kept, in real time, unless a setting says otherwise."""

MAX_MAILBOX: Final = 40
MAX_METHOD: Final = 20
MAX_REASON: Final = 500
MAX_USER_AGENT: Final = 200

_UNPRINTABLE: Final = "\N{REPLACEMENT CHARACTER}"
_MESSAGE_ID: Final = re.compile(r"[0-9]{20}_[0-9A-F]{6}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Details:
    """What a request was about, as far as the witness test asks: no payload, no secret, nobody's number.

    The last group is noted only of a mailbox that rehearses the witness test.
    """

    in_flight: int = 0
    """How many other requests of its mailbox were being answered when it began."""
    listed: int | None = None
    """Of an inbox list: how many messages its answer named."""
    more: bool = False
    """Of an inbox list: whether further messages waited after those that it named."""
    message_type: str = ""
    """Of a download: ``DATA`` or ``REPORT``."""
    chunk: str = ""
    """``2:3``, where the message has several chunks: as the sender wrote it, or as it was answered."""
    recipient: str = ""
    """Of a send: whom it is for; '' where no mailbox has that id and the rehearsal did not name it."""

    headers: tuple[str, ...] = ()
    """Which of the headers in :data:`WITNESSED` the request had."""
    gzip: bool = False
    """Whether the body travelled compressed, the request's or the answer's."""
    payload_bytes: int | None = None
    """Of one body, decompressed; None where none went through whole."""
    md5: str = ""
    """Of one body, decompressed; lower-case hex."""
    whole_bytes: int | None = None
    """Of a message sent in chunks, at its last: all of them together, if they came in order."""
    whole_md5: str = ""
    """The same; '' where they came out of order."""

    def as_fields(self) -> dict[str, Any]:
        """Give the fields that say anything, by name: those that are not as by default."""
        values = ((name, default, getattr(self, name)) for name, default in _DEFAULTS)
        return {name: value for name, default, value in values if value != default}


_DEFAULTS: Final = tuple((field.name, field.default) for field in fields(Details))


WITNESSED: Final = (
    "Authorization",
    "Mex-From",
    "Mex-To",
    "Mex-WorkflowID",
    "Mex-Chunk-Range",
    "Content-Type: application/octet-stream",
    "Content-Encoding: gzip",
    "Accept-Encoding: gzip",
    "Mex-Content-Compressed: Y",
)
"""The headers that the catalogue asks for, each as it is noted (``Mex-Content-Compress`` counts as well)."""

REPLAYED: Final = "the token was used before"
"""The reason of a request refused for a token that came a second time."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One request for a MESH operation, or for a path or method under MESH's prefix that there is not."""

    number: int
    """Grows by one, in the order in which requests ended."""
    at: datetime
    """When the request began, in real time, UTC."""
    simulated_at: datetime
    mailbox: str
    """As in the path; '' where the path has none."""
    operation: str
    """Its name in the route table; ``-`` where the path or method is none of MESH's."""
    method: str
    status: int
    """0: the connection broke before an answer."""
    received_bytes: int
    """Of the body, as far as it arrived."""
    sent_bytes: int
    """Of the answer's body, as far as it was handed to the network."""
    duration_s: float
    """From the request's headers until the last of the answer was handed to the network."""
    message_id: str = ""
    """The one in the path or query, or the one that a send was given; '' where there is none."""
    reason: str = ""
    """Why it was refused, more precisely than the caller was told; '' where it was not."""
    near_misses: tuple[str, ...] = ()
    """For a refused token: which usual mistakes would explain it."""
    fault: str = ""
    """The id of the injected fault that acted on it."""
    user_agent: str = ""
    details: Details = Details()

    @property
    def ended_at(self) -> datetime:
        """When the last of the answer was handed to the network."""
        return self.at + timedelta(seconds=self.duration_s)

    @property
    def whole(self) -> bool:
        """Whether it succeeded, and its answer went out to the end."""
        return 200 <= self.status < 300 and not self.reason

    @property
    def unsuccessful(self) -> bool:
        """Whether it was refused, sent elsewhere, failed or broke off."""
        return self.status == BROKEN or self.status >= 300


@dataclass(frozen=True, slots=True)
class JournalFilter:
    """Which entries are asked for; what is not given selects nothing out."""

    mailbox: str = ""
    """In any letter case."""
    operation: str = ""
    lowest_status: int = 0
    highest_status: int = 999
    unsuccessful: bool = False
    message_id: str = ""
    """In any letter case."""
    since: datetime | None = None
    """Begun at this real time or later."""
    after: int = 0
    """Numbered above this."""
    before: int | None = None
    """Numbered below this."""
    limit: int = 100
    oldest_first: bool = False

    def selects(self, entry: Entry) -> bool:
        """Tell whether an entry is one of those asked for, the limit aside."""
        return (
            entry.number > self.after
            and (self.before is None or entry.number < self.before)
            and self.lowest_status <= entry.status <= self.highest_status
            and (not self.unsuccessful or entry.unsuccessful)
            and self.mailbox.upper() in ("", entry.mailbox.upper())
            and self.operation in ("", entry.operation)
            and self.message_id.upper() in ("", entry.message_id)
            and (self.since is None or entry.at >= self.since)
        )


class Journal(Protocol):
    """Keeps entries, so many and for so long. Noting one neither waits nor fails."""

    def next_number(self) -> int:
        """Give the next entry its number."""

    def record(self, entry: Entry) -> None:
        """Note a request."""

    async def entries(self, wanted: JournalFilter) -> Sequence[Entry]:
        """Give the entries asked for, with everything noted so far."""

    async def clear(self) -> int:
        """Forget every entry; give their number. The numbers of further entries go on."""


def clean(text: str, limit: int) -> str:
    """Cut a caller's text, and replace what would disturb a terminal or cannot be stored."""
    text = text[:limit]
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _UNPRINTABLE for char in text)


def message_id_in(text: str) -> str:
    """Give what looks like a message id (section 12), in upper case; '' for anything else."""
    return text.upper() if _MESSAGE_ID.fullmatch(text.upper()) else ""
