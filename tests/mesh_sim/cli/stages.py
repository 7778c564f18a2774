"""A client that is rehearsed by hand, and what the server says of it meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from typing import Any, Final

from support import HANDSHAKE, OCTET_STREAM, Caller, Simulator

from mesh_sim.witness.originals import blocks
from mesh_sim.witness.rehearsal import COUNTERPART, WORKFLOW

MAILBOX: Final = "X26ABC1"
OF_IT: Final = ("--mailbox", MAILBOX)
START: Final = ("witness", "start", *OF_IT)


async def shake_hands(caller: Caller) -> None:
    """Shake hands."""
    assert (await caller.get("", headers=HANDSHAKE)).status == 200


async def send(caller: Caller, body: bytes) -> None:
    """Send to the counterpart as case 201 asks for, from the handshake to the look into the inbox."""
    await shake_hands(caller)
    headers = {"Mex-From": MAILBOX, "Content-Type": OCTET_STREAM}
    await caller.sent(body, to=COUNTERPART, workflow=WORKFLOW, headers=headers)
    await caller.inbox()


async def collect(caller: Caller) -> None:
    """Shake hands, then download and acknowledge all that waits."""
    await shake_hands(caller)
    for message_id in await caller.inbox():
        assert (await caller.get(f"inbox/{message_id}")).status == 200
        assert (await caller.acknowledge(message_id)).status == 200


def to_send(case: str) -> bytes:
    """Give the file that a client is to send in a case."""
    return b"".join(blocks(case, 2_000))


def md5(body: bytes) -> str:
    """Give a body's MD5 in hex."""
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


class Stages:
    """What the server says of a rehearsal, while a command runs beside it."""

    def __init__(self, news: Any) -> None:
        self._news = news

    async def until(self, state: str, case: str) -> None:
        """Wait for an event of the conductor."""
        async with asyncio.timeout(20):
            while True:
                event = await self._news.next()
                if event.kind == "witness" and (event.data["state"], event.data["case"]) == (state, case):
                    return


@contextlib.asynccontextmanager
async def watching(simulator: Simulator) -> AsyncIterator[Stages]:
    """Hear what becomes of rehearsals."""
    with simulator.server.exchange.events.watch() as news:
        yield Stages(news)
