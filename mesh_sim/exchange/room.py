"""How many more messages an inbox takes, at hardly any cost for each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from ndoo.protocol import ErrorCode

INBOX_FULL: Final = ErrorCode("SEND", "", "The recipient's inbox is full")
"""The reference has no such refusal; by its form it is one of section 12's."""

_AT_ONCE: Final = 1000


class Room:
    """Places in inboxes that hold up to ``most`` waiting messages each (None: any number).

    Messages only leave an inbox by themselves; what arrives takes a place first. So many places may be
    given away before the store is asked again, which ``waiting`` does. What another process or the control
    API adds in between is counted then; sends that are on their way at that moment are not.
    """

    def __init__(self, most: int | None, waiting: Callable[[str], Awaitable[int]]) -> None:
        self._most = most
        self._waiting = waiting
        self._places: dict[str, int] = {}

    async def take(self, mailbox_id: str) -> bool:
        """Take a place; False if there is none."""
        if self._most is None:
            return True
        left = self._places.get(mailbox_id, 0)
        if left < 1:
            left = min(self._most - await self._waiting(mailbox_id), _AT_ONCE)
            if left < 1:
                return False
        self._places[mailbox_id] = left - 1
        return True
