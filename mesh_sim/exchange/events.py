"""News of what happens, for whoever watches: waiting requests, pages, metrics."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from mesh_sim.exchange.messages import Message

KEPT: Final = 1000
"""How many events are kept for those who come back, and how far a watcher may fall behind."""


_NAMES_SOMEBODY: Final = ("mailbox", "sender", "recipient", "message_id")
"""What an event has a value of that concerns not everybody."""


class Kind(StrEnum):
    """What happened."""

    UPLOADING = "message-uploading"
    ACCEPTED = "message-accepted"
    ACKNOWLEDGED = "message-acknowledged"
    UNDELIVERABLE = "message-undeliverable"
    ERROR = "message-error"
    DELETED = "message-deleted"
    RESET = "reset"
    SUBMISSION = "submission"
    REQUEST = "request"
    FAULT = "fault"
    CLOCK = "clock"
    MAILBOX = "mailbox"
    OPT_OUTS = "opt-outs"
    WITNESS = "witness"


@dataclass(frozen=True, slots=True)
class Event:
    """One piece of news: ``number`` counts from 1 since the start, ``at`` is simulated time."""

    number: int
    at: datetime
    kind: Kind
    data: Mapping[str, str | int | float | bool | None]


class Subscription:
    """One watcher's events, in order, until the simulator stops or the watcher falls too far behind."""

    def __init__(self, kinds: Collection[Kind] = tuple(Kind)) -> None:
        self._kinds = kinds
        self._waiting: deque[Event] = deque()
        self._news = asyncio.Event()
        self.ended = False

    async def next(self) -> Event | None:
        """Wait for the next event; None when there will be none."""
        while not self._waiting:
            if self.ended:
                return None
            self._news.clear()
            await self._news.wait()
        return self._waiting.popleft()

    def put(self, event: Event) -> None:
        """Hand over an event; a watcher that does not keep up gets no more."""
        if event.kind not in self._kinds:
            return
        if len(self._waiting) == KEPT:
            self.end()
        elif not self.ended:
            self._waiting.append(event)
            self._news.set()

    def end(self) -> None:
        """Let the watcher have what it has not seen yet, and no more."""
        self.ended = True
        self._news.set()


class Gathering:
    """What happened of one watcher's concern, kind by kind, however often it did."""

    def __init__(self, kinds: Collection[Kind], about: str = "") -> None:
        """Gather ``kinds``; with ``about``, an id in upper case, not what is about others by name."""
        self._kinds = kinds
        self._about = about
        self._happened: set[Kind] = set()
        self._news = asyncio.Event()
        self._ended = False

    async def next(self) -> frozenset[Kind] | None:
        """Wait for something to happen; give all that did since the last call, or None at the end."""
        while not self._happened:
            if self._ended:
                return None
            self._news.clear()
            await self._news.wait()
        happened = frozenset(self._happened)
        self._happened.clear()
        return happened

    def put(self, event: Event) -> None:
        """Note that it happened."""
        if event.kind in self._kinds and event.kind not in self._happened and self._concerns(event.data):
            self._happened.add(event.kind)
            self._news.set()

    def end(self) -> None:
        """Let the watcher have what happened so far, and no more."""
        self._ended = True
        self._news.set()

    def _concerns(self, data: Mapping[str, object]) -> bool:
        if not self._about or not any(data.get(name) for name in _NAMES_SOMEBODY):
            return True
        return any(isinstance(value, str) and value.upper() == self._about for value in data.values())


class Events:
    """Hands each event to everybody who watches at that moment."""

    def __init__(self) -> None:
        self._kept: deque[Event] = deque(maxlen=KEPT)
        self._watchers: set[Subscription | Gathering] = set()
        self._number = 0

    def publish(self, kind: Kind, at: datetime, **data: str | int | float | bool | None) -> None:
        """Tell everybody who watches."""
        self._number += 1
        event = Event(self._number, at, kind, data)
        self._kept.append(event)
        for watcher in list(self._watchers):
            watcher.put(event)

    def end(self) -> None:
        """Send everybody away who watches: the simulator stops."""
        for watcher in self._watchers:
            watcher.end()

    def message(self, kind: Kind, at: datetime, message: Message) -> None:
        """Tell of something that happened to a message."""
        self.publish(
            kind,
            at,
            message_id=message.message_id,
            message_type=message.message_type.value,
            sender=message.sender,
            recipient=message.recipient,
            workflow_id=message.workflow_id,
            local_id=message.metadata.local_id,
            subject=message.metadata.subject,
            status=message.status.value,
        )

    @contextlib.contextmanager
    def watch(
        self, after: int | None = None, *, kinds: Collection[Kind] = tuple(Kind)
    ) -> Iterator[Subscription]:
        """Watch from now on; with ``after``, first get what is kept of the events since that number.

        Whoever names ``kinds`` is not woken by others, such as each request.
        """
        subscription = Subscription(kinds)
        if after is not None:
            for event in self._kept:
                if event.number > after:
                    subscription.put(event)
        self._watchers.add(subscription)
        try:
            yield subscription
        finally:
            self._watchers.discard(subscription)

    @contextlib.contextmanager
    def gather(self, kinds: Collection[Kind] = tuple(Kind), about: str = "") -> Iterator[Gathering]:
        """Learn from now on which kinds of things happened; it takes no more memory the more happens.

        With ``about``, an id in upper case, only of what has it as a value in any letter case, or names no
        mailbox and no message.
        """
        gathering = Gathering(kinds, about)
        self._watchers.add(gathering)
        try:
            yield gathering
        finally:
            self._watchers.discard(gathering)
