"""What clients offered a server and what it told them: the side of the comparison that it cannot change."""

from __future__ import annotations

import hashlib
import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

TOKENS: Final = 20
"""How many of the latest used tokens are tried again after a restart."""


def digest(body: bytes) -> bytes:
    """Stand for a body that need not be kept."""
    return hashlib.sha256(body).digest()


class Asked(Enum):
    """How far an acknowledgement came: not asked for, asked for without an answer, or answered."""

    NO = auto()
    UNANSWERED = auto()
    ANSWERED = auto()


@dataclass(slots=True)
class Parcel:
    """A message of one or several chunks; ``message_id`` is '' until its first chunk was answered."""

    local_id: str
    total: int
    message_id: str = ""
    bodies: dict[int, list[bytes]] = field(default_factory=dict)
    """For each chunk the digests it may have: the last that was answered, and what was offered since."""
    answered: set[int] = field(default_factory=set)
    acknowledged: Asked = Asked.NO
    seen: bool = False
    """Whether it has been compared since it last changed."""

    def offer(self, number: int, body: bytes) -> None:
        """Note a chunk that is about to be sent."""
        self.bodies.setdefault(number, []).append(digest(body))
        self.seen = False

    def accept(self, number: int) -> None:
        """Note that the chunk offered last was answered 202."""
        self.bodies[number] = self.bodies[number][-1:]
        self.answered.add(number)

    @property
    def complete(self) -> bool:
        """Whether every chunk was answered 202."""
        return len(self.answered) == self.total


@dataclass(frozen=True, slots=True)
class Submission:
    """A list sent to the opt-out service: the workflow, the file's hash and size, and the right answer."""

    workflow: str
    sha256: str
    size: int
    answer: bytes


@dataclass(slots=True)
class Told:
    """Everything that was offered and answered on one data folder."""

    ticking: bool
    """Whether time was advanced, so that messages may have expired."""
    parcels: dict[str, Parcel] = field(default_factory=dict)
    """By local id."""
    submissions: dict[str, Submission] = field(default_factory=dict)
    """By local id; each is also the parcel of that local id."""
    replies: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Local id and kind of each reply that was read, by its message id."""
    collected: set[str] = field(default_factory=set)
    """Replies whose acknowledgement was answered."""
    tokens: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=TOKENS))
    """Mailbox and token of the latest answered requests."""
    _serial: Iterator[int] = field(default_factory=lambda: itertools.count(1), repr=False)

    def begin(self, kind: str, total: int = 1) -> Parcel:
        """Note a message that is about to be sent."""
        parcel = Parcel(f"{kind}-{next(self._serial)}", total)
        self.parcels[parcel.local_id] = parcel
        return parcel
