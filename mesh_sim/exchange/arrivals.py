"""Waking whoever waits for a message: within one process at once, across processes by polling."""

from __future__ import annotations

import asyncio
from collections import defaultdict


class Arrivals:
    """News of messages that became available in an inbox."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._unseen: set[str] = set()

    def notify(self, mailbox_id: str) -> None:
        """Wake everybody who waits on this mailbox; if nobody does, the next to wait returns at once.

        So nothing is missed between looking into an inbox and waiting on it.
        """
        waiting = self._waiting.get(mailbox_id)
        if not waiting:
            self._unseen.add(mailbox_id)
            return
        for event in waiting:
            event.set()

    async def wait(self, mailbox_id: str, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds of real time; True if something arrived since the last wait."""
        if mailbox_id in self._unseen:
            self._unseen.discard(mailbox_id)
            return True
        event = asyncio.Event()
        waiting = self._waiting[mailbox_id]
        waiting.add(event)
        try:
            async with asyncio.timeout(timeout):
                await event.wait()
        except TimeoutError:
            return False
        else:
            return True
        finally:
            waiting.discard(event)
            if not waiting:
                self._waiting.pop(mailbox_id, None)
