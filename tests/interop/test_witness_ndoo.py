"""``ndoo`` passes every case of the witness test, with messages as large as the real one has."""

from __future__ import annotations

import hashlib
from pathlib import Path

from rehearsing import MAILBOX, Rehearsal, Wish
from support import Simulator

from ndoo import Credentials, Mailbox, MeshError


class Digest:
    """Takes a message's body as a file would, and keeps its size and MD5."""

    def __init__(self) -> None:
        self.size = 0
        self._md5 = hashlib.md5(usedforsecurity=False)

    async def write(self, data: bytes, /) -> None:
        """Take the next bytes."""
        self.size += len(data)
        self._md5.update(data)

    @property
    def md5(self) -> str:
        """Of all that was taken."""
        return self._md5.hexdigest()


class Client:
    """A program of a supplier's, made with the library."""

    def __init__(self, mailbox: Mailbox, rehearsal: Rehearsal) -> None:
        self._mailbox = mailbox
        self._rehearsal = rehearsal

    async def act(self, wish: Wish) -> int:
        """Do one step; gives the exit status."""
        try:
            await self._mailbox.handshake_if_due()
            match wish["WITNESS_ACTION"]:
                case "collect":
                    await self._collect(wish)
                case "download":
                    await self._take(wish["WITNESS_MESSAGE_ID"])
                case action:
                    await self._send(wish, compress=action == "send-compressed")
        except MeshError:
            return 1
        return 0

    async def _send(self, wish: Wish, *, compress: bool) -> None:
        to, workflow, path = wish["WITNESS_TO"], wish["WITNESS_WORKFLOW"], Path(wish["WITNESS_FILE"])
        await self._mailbox.send(to, workflow, path, compress=compress)
        await self._mailbox.list()

    async def _collect(self, wish: Wish) -> None:
        async for message_id in self._mailbox.messages():
            received = await self._take(message_id)
            if wish["WITNESS_CASE"] in ("401", "402", "501"):
                assert await self._rehearsal.compare(wish["WITNESS_CASE"], received.size, received.md5)

    async def _take(self, message_id: str) -> Digest:
        received = Digest()
        async with self._mailbox.receive(message_id) as message:
            await message.save(received)
        await self._mailbox.acknowledge(message_id)
        return received


async def test_every_case_and_every_finding_is_passed(simulator: Simulator, tmp_path: Path) -> None:
    """A whole rehearsal, the optional cases of 200 MB too, leaves nothing failed and nothing unseen."""
    rehearsal = Rehearsal(simulator.url, tmp_path)
    async with Mailbox(simulator.url, Credentials(MAILBOX, "password", simulator.shared_key)) as mailbox:
        report = await rehearsal.play(Client(mailbox, rehearsal).act)
    assert report.cases("failed") == [], report.fields
    assert report.cases("not seen") == []
    assert len(report.cases("passed")) == report.fields["passed"] > 20
    assert report.fields["journal_complete"]


async def test_a_handshake_before_the_rehearsal_is_enough(simulator: Simulator, tmp_path: Path) -> None:
    """A client that runs already, and has shaken hands today, is not blamed for not doing so again."""
    rehearsal = Rehearsal(simulator.url, tmp_path)
    async with Mailbox(simulator.url, Credentials(MAILBOX, "password", simulator.shared_key)) as mailbox:
        await mailbox.handshake()
        report = await rehearsal.play(Client(mailbox, rehearsal).act, ["401"])
    assert report.cases("failed") == []
    assert {"401", "handshake-cadence"} <= set(report.cases("passed"))
    assert report.case("401")["evidence"][0]["operation"] == "handshake"
