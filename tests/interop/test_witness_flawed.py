"""A client made of flaws, each of which assurance has seen: the rehearsal tells each, and nothing else."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from rehearsing import MAILBOX, Rehearsal, Report, Wish
from support import HANDSHAKE, OCTET_STREAM, Answer, Caller, Simulator

OPTIONAL: Final = ["202", "402", "501", "502"]
FAILED: Final = 1
"""How a command ends whose request was refused."""


@dataclass(frozen=True, slots=True)
class Flaws:
    """What the client does wrong."""

    downloads_twice: bool = False
    never_shakes_hands: bool = False
    first_page_only: bool = False
    takes_417_for_success: bool = False


class Client:
    """Does what each step asks for, but for its flaws."""

    def __init__(self, caller: Caller, flaws: Flaws) -> None:
        self._caller = caller
        self._flaws = flaws
        self._greeted = flaws.never_shakes_hands

    async def act(self, wish: Wish) -> int:
        """Do one step; gives the exit status."""
        if not self._greeted:
            assert (await self._caller.request("POST", headers=HANDSHAKE)).status == 200
            self._greeted = True
        match wish["WITNESS_ACTION"]:
            case "send":
                return await self._send(wish)
            case "collect":
                return await self._collect()
            case _:
                return await self._take(wish["WITNESS_MESSAGE_ID"])

    async def _send(self, wish: Wish) -> int:
        body = await asyncio.to_thread(Path(wish["WITNESS_FILE"]).read_bytes)
        answer = await self._caller.send(
            body,
            to=wish["WITNESS_TO"],
            workflow=wish["WITNESS_WORKFLOW"],
            version=2,
            headers={"Mex-From": self._caller.mailbox, "Content-Type": OCTET_STREAM},
        )
        if answer.status == 417 and self._flaws.takes_417_for_success:
            message_id = answer.json()["message_id"]
            await self._caller.get(f"outbox/tracking?messageID={message_id}")
        elif answer.status != 202:
            return FAILED
        return 0 if (await self._list()).status == 200 else FAILED

    async def _list(self, path: str = "") -> Answer:
        return await self._caller.get(path or "inbox", version=2)

    async def _collect(self) -> int:
        path = ""
        while True:
            inbox = await self._list(path)
            if inbox.status != 200:
                return FAILED
            for message_id in inbox.json()["messages"]:
                if await self._take(message_id) == FAILED:
                    return FAILED
            path = inbox.json()["links"].get("next", "")
            if not path or self._flaws.first_page_only:
                return 0

    async def _take(self, message_id: str) -> int:
        for _ in range(2 if self._flaws.downloads_twice else 1):
            if (await self._caller.get(f"inbox/{message_id}")).status != 200:
                return FAILED
        return 0 if (await self._caller.acknowledge(message_id)).status == 200 else FAILED


async def rehearsed(simulator: Simulator, folder: Path, flaws: Flaws) -> Report:
    """Rehearse every required case with such a client."""
    client = Client(simulator.caller(MAILBOX), flaws)
    return await Rehearsal(simulator.url, folder).play(client.act, optional=False)


ALONE: Final = {
    "downloads twice": (Flaws(downloads_twice=True), ["401", "download-once"]),
    "never shakes hands": (Flaws(never_shakes_hands=True), ["201", "401", "601", "handshake-cadence"]),
    "stops at the first page": (Flaws(first_page_only=True), ["601", "paging"]),
    "takes 417 for success": (Flaws(takes_417_for_success=True), ["702"]),
}
"""Each flaw, with the cases and findings that it fails."""


@pytest.mark.parametrize(("flaws", "failed"), ALONE.values(), ids=ALONE)
async def test_a_flaw_by_itself_fails_its_cases_and_no_other(
    simulator: Simulator, tmp_path: Path, flaws: Flaws, failed: list[str]
) -> None:
    """What the flaw breaks is failed; every other required case and every finding is passed."""
    report = await rehearsed(simulator, tmp_path, flaws)
    assert report.cases("failed") == report.fields["required_failed"] == failed
    assert report.cases("not seen") == OPTIONAL


async def test_a_client_without_flaws_passes(simulator: Simulator, tmp_path: Path) -> None:
    """The flaws are what fails: without them the same client passes."""
    report = await rehearsed(simulator, tmp_path, Flaws())
    assert report.cases("failed") == []
    assert report.cases("not seen") == OPTIONAL


SHAKEN: Final = "the client has shaken hands in the 24 hours before its first other request"
BREACHES: Final = {
    "201": (
        SHAKEN,
        "the first request of the case (send) had no handshake in the 24 hours before it",
        "send",
    ),
    "401": (
        SHAKEN,
        "the first request of the case (list) had no handshake in the 24 hours before it",
        "list",
    ),
    "601": (
        SHAKEN,
        "the first request of the case (list) had no handshake in the 24 hours before it",
        "list",
    ),
    "702": (
        "the client reports that the message was not sent",
        "the client's command ended with status 0, as if the message had been sent",
        "send",
    ),
    "handshake-cadence": (
        "a handshake was made in the 24 hours before every other request",
        "this request (send) came with no handshake before it",
        "send",
    ),
    "download-once": (
        "no message, and no chunk of one, is downloaded again before it is acknowledged",
        "downloaded 2 times before it was acknowledged",
        "download",
    ),
    "paging": (
        "after a page of the inbox the next is read, for as long as more are waiting",
        "500 messages were named and more were waiting, but the inbox was not listed again",
        "list",
    ),
}
"""What broke first in each case: what was expected, what was seen, and by which request."""


async def test_all_flaws_together_are_each_told_with_evidence(simulator: Simulator, tmp_path: Path) -> None:
    """The first breach of each case names what was expected, what was seen and the request that it was."""
    flaws = Flaws(
        downloads_twice=True, never_shakes_hands=True, first_page_only=True, takes_417_for_success=True
    )
    report = await rehearsed(simulator, tmp_path, flaws)
    assert {case: report.breach(case) for case in report.cases("failed")} == BREACHES
    assert report.fields["required_failed"] == list(BREACHES)
    marked = [line for line in report.case("download-once")["evidence"] if line["note"]]
    assert "downloaded 2 times before it was acknowledged" in marked[1]["note"]
