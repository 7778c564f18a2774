"""Which requests of a mailbox are being answered at the same time."""

from __future__ import annotations

import asyncio
from typing import TypeAlias

Transport: TypeAlias = asyncio.BaseTransport | None
"""A request's connection; None once it has gone."""
Among: TypeAlias = "dict[str, set[Flight]]"
"""The requests being answered, by their mailbox."""


class Flight:
    """One request, until the last of its answer is about to go out."""

    __slots__ = ("_among", "_mailbox", "_transport", "others")

    def __init__(self, among: Among, mailbox: str, transport: Transport, others: int) -> None:
        self._among = among
        self._mailbox = mailbox
        self._transport = transport
        self.others = others
        """How many others of its mailbox there were when it began."""

    @property
    def is_awaited(self) -> bool:
        """Whether its client is still there."""
        return self._transport is not None and not self._transport.is_closing()

    def end(self) -> None:
        """Count it no longer; nothing happens if it has ended."""
        flights = self._among.get(self._mailbox)
        if flights is not None:
            flights.discard(self)
            if not flights:
                del self._among[self._mailbox]


class Flights:
    """Counts them; a mailbox without any takes no room."""

    def __init__(self) -> None:
        self._of: Among = {}

    def __len__(self) -> int:
        return len(self._of)

    def begin(self, mailbox: str, transport: Transport) -> Flight:
        """Count a request of a mailbox.

        One whose client has gone overlaps nothing, even if the server has yet to find out: whoever gave up
        and asks again has one request under way.
        """
        if not mailbox:  # a request of nobody's
            return Flight(self._of, mailbox, transport, 0)
        flights = self._of.get(mailbox)
        if flights is None:
            self._of[mailbox] = flights = set()
        others = sum([flight.is_awaited for flight in flights]) if flights else 0
        flight = Flight(self._of, mailbox, transport, others)
        flights.add(flight)
        return flight
