"""A list that is submitted: what is known of it, and the stages it goes through."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final


class Form(StrEnum):
    """What the answer is made into."""

    LIST = "list"
    """The cleaned list as it was answered."""

    TABLE = "table"
    """The source without the rows of people who have opted out."""

    CACHE = "cache"
    """A temporary cache."""


class Stage(StrEnum):
    """How far a submission is."""

    PREPARED = "prepared"
    """Recorded; whether it was sent is not known yet."""

    SENT = "sent"
    """Accepted by MESH for the service."""

    WRITTEN = "written"
    """The output is there; whether the answer was acknowledged is not known yet."""

    COLLECTED = "collected"
    """The output is there and the answer acknowledged."""

    FAILED = "failed"
    """There will be no answer."""


COMES_FROM: Final = {
    # A failure may have been concluded from the server's not knowing the message, while another process
    # was still sending it; that it was accepted after all is then the truth.
    Stage.SENT: {Stage.PREPARED, Stage.SENT, Stage.FAILED},
    Stage.WRITTEN: {Stage.SENT, Stage.WRITTEN},
    Stage.COLLECTED: {Stage.SENT, Stage.WRITTEN, Stage.COLLECTED},
    Stage.FAILED: {Stage.PREPARED, Stage.SENT, Stage.WRITTEN, Stage.FAILED},
}
"""From which stages each is reached; staying is allowed, for a step may be repeated after a crash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A list about to be submitted.

    ``source`` and ``output`` are absolute. ``records`` counts the NHS numbers in the list, ``blank`` and
    ``skipped`` the rows of the source without a number and with an invalid one, ``duplicates`` those whose
    number stood in an earlier row, and ``repaired`` those that got back the leading zero they had lost.
    ``column`` is the NHS-number column, where one was named, ``rule`` what counted as a valid number, and
    ``repair`` whether numbers might be repaired. With ``replace`` a file under the output's name may go, with
    ``renew`` too, if it is a temporary cache of the mailbox.
    ``chunk_size`` in bytes, and ``compress``, are how the list is cut and sent; 0 is not known.
    """

    subject: str
    url: str
    mailbox: str
    service_mailbox: str
    workflow_id: str
    source: Path
    output: Path
    form: Form
    column: str | None
    rule: str
    records: int
    blank: int
    skipped: int
    duplicates: int = 0
    repaired: int = 0
    repair: bool = False
    replace: bool = False
    renew: bool = False
    chunk_size: int = 0
    compress: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission(Draft):
    """A list with a local id, and what became of it.

    Times are in UTC and real; ``tried_at`` is when sending it was last begun.
    ``message_id`` is empty until the list is known to be sent. ``receipt_at`` is when the service's receipt
    was seen. ``answer_id`` is the answer's message id, set before anything is written to ``output``;
    ``outcome`` is what the writer of the output wants remembered of it. ``note`` says how it ended, and
    ``remarks`` are sentences about what happened on the way.
    """

    local_id: str
    stage: Stage
    prepared_at: datetime
    tried_at: datetime | None = None
    sent_at: datetime | None = None
    message_id: str = ""
    receipt_at: datetime | None = None
    answer_id: str = ""
    outcome: str = ""
    finished_at: datetime | None = None
    note: str = ""
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Visits:
    """When a mailbox of a server was last visited, in UTC and real; None for never.

    ``shook_hands_at`` is the last handshake, ``looked_at`` the last look into the inbox: MESH has rules for
    how often there may be one (mesh-api.md section 2, rate rules).
    """

    shook_hands_at: datetime | None = None
    looked_at: datetime | None = None
