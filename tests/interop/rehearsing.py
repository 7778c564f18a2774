"""Rehearsals of the witness test in one process: what ``mesh-sim witness start --run`` does, without it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import aiohttp

from mesh_sim.witness.originals import blocks

MAILBOX: Final = "X26ABC1"

Wish: TypeAlias = Mapping[str, str]
"""The variables that a command is told its step by."""
Act: TypeAlias = Callable[[Wish], Awaitable[int]]
"""Has a client do a step, and gives the exit status of a command that would have done it."""


@dataclass(frozen=True, slots=True)
class Report:
    """The report of a rehearsal, as its JSON has it."""

    fields: Mapping[str, Any]

    def cases(self, outcome: str) -> list[str]:
        """Name the cases and findings with this outcome, in the catalogue's order."""
        return [case["case"] for case in self.fields["cases"] if case["outcome"] == outcome]

    def case(self, case: str) -> Any:
        """Give one case."""
        (found,) = (each for each in self.fields["cases"] if each["case"] == case)
        return found

    def broken(self, case: str) -> list[str]:
        """Give what was expected of a case and not found."""
        return [rule["expected"] for rule in self.case(case)["rules"] if not rule["kept"]]

    def breach(self, case: str) -> tuple[str, str, str]:
        """Give the first breach of a case: what was expected, what was seen, and the request's operation."""
        found = self.case(case)
        breach = found["breach"]
        numbered = {line["number"]: line["operation"] for line in found["evidence"]}
        return breach["expected"], breach["why"], numbered.get(breach["entry"], "")


class Rehearsal:
    """A rehearsal of one mailbox's client."""

    def __init__(self, url: str, folder: Path, mailbox: str = MAILBOX) -> None:
        self.url = url
        self.mailbox = mailbox
        self._folder = folder

    async def play(self, act: Act, cases: Collection[str] = (), *, optional: bool = True) -> Report:
        """Set up the cases one after the other, all that there are by default, and have a client do them."""
        async with aiohttp.ClientSession(self.url) as session:
            for case in (await self._ask(session, "GET", "/admin/witness/cases"))["cases"]:
                chosen = case["case"] in cases if cases else optional or case["required"]
                if case["staged"] and chosen:
                    await self._play_one(session, act, case["case"])
        return await self.report()

    async def _play_one(self, session: aiohttp.ClientSession, act: Act, case: str) -> None:
        wish = {"mailbox": self.mailbox, "case": case}
        state = await self._ask(session, "POST", "/admin/witness", wish)
        async with asyncio.timeout(30):
            while (current := state["current"]) is not None:
                status = await act(await asyncio.to_thread(self._told, current))
                done = {"mailbox": self.mailbox, "step": current["step"], "exit_status": status}
                state = await self._ask(session, "POST", "/admin/witness/finish", done)

    def _told(self, current: Mapping[str, Any]) -> dict[str, str]:
        file = ""
        if current["file"] is not None:
            path = self._folder / f"witness-{current['case']}.dat"
            with path.open("wb") as out:
                out.writelines(blocks(current["case"], current["file"]["size"]))
            file = str(path)
        return {
            "WITNESS_CASE": current["case"],
            "WITNESS_STEP": str(current["step"]),
            "WITNESS_ACTION": current["action"],
            "WITNESS_MAILBOX": self.mailbox,
            "WITNESS_TO": current["to"],
            "WITNESS_WORKFLOW": current["workflow_id"],
            "WITNESS_MESSAGE_ID": current["message_id"],
            "WITNESS_FILE": file,
            "WITNESS_URL": self.url,
        }

    async def compare(self, case: str, size: int, md5: str) -> bool:
        """Show a file that the client wrote; tell whether it is the original."""
        wish = {"mailbox": self.mailbox, "case": case, "size": size, "md5": md5}
        async with aiohttp.ClientSession(self.url) as session:
            return bool((await self._ask(session, "POST", "/admin/witness/compare", wish))["equal"])

    async def report(self) -> Report:
        """Judge what was seen until now."""
        async with aiohttp.ClientSession(self.url) as session:
            return Report(await self._ask(session, "GET", f"/admin/witness/report?mailbox={self.mailbox}"))

    @staticmethod
    async def _ask(session: aiohttp.ClientSession, method: str, path: str, body: Any = None) -> Any:
        async with session.request(method, path, json=body) as answer:
            assert answer.status < 300, await answer.text()
            return await answer.json()
