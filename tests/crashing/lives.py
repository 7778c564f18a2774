"""The lives of a server on one data folder, each ended in a way of its own."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

from controls import control
from support import Caller

from crashing import lists
from crashing.checks import check, check_folder, settle
from crashing.load import PRACTICE, Load
from crashing.server import Process, until_claimed
from crashing.told import Told

TICKING: Final = {"MESH_SIM_INBOX_EXPIRY": "2h", "MESH_SIM_NDOO_REPLY_DELAY": "40m"}
"""Set-up of a server whose time is advanced by the load."""


class End(Enum):
    """How a life ends."""

    ANY = "killed at any moment"
    BODY = "killed while a body comes in"
    CLAIM = "killed while the worker holds a claim"
    START = "killed while it starts"
    STOP = "killed while it stops"
    BULK = "killed while thousands are put into an inbox"
    ADVANCE = "killed amid an advance of days"
    ASKED = "asked to stop"


@dataclass(frozen=True, slots=True)
class Summary:
    """What a series of lives came to."""

    kills: int
    messages: int
    submissions: int


async def live(folder: Path, ends: Sequence[End], seed: str, *, ticking: bool = False) -> Summary:
    """Have a server live and die several times on one data folder, and check it after each death.

    Raises:
        AssertionError: something was lost, came back, or was left behind; a note says how to repeat it.
    """
    told = Told(ticking)
    try:
        for number, end in enumerate(ends):
            await _one_life(folder, told, end, f"{seed}/{number}")
        await _last_life(folder, told)
    except BaseException as error:
        names = " ".join(end.name for end in ends)
        error.add_note(f"seed {seed!r}, ends {names}, ticking {ticking}, folder {folder}")
        raise
    return _summary(told, kills=sum(end is not End.ASKED for end in ends))


def _summary(told: Told, *, kills: int) -> Summary:
    accepted = sum(bool(parcel.message_id) for parcel in told.parcels.values())
    return Summary(kills=kills, messages=accepted, submissions=len(told.submissions))


_THOUSANDS: Final = {"to": "X99GP001", "from": "X99GP001", "count": 6000}
"""Messages that nobody looks at, so many that the database begins to tidy up after them."""


async def _amid(server: Process, pause_s: float, path: str, wish: Mapping[str, Any]) -> None:
    """Kill a server that is carrying out a control request."""
    asking = asyncio.create_task(control(server.url, "POST", path, wish))
    await asyncio.sleep(pause_s)
    await server.kill()
    await asyncio.gather(asking, return_exceptions=True)


def _variables(told: Told) -> dict[str, str]:
    return lists.VARIABLES | (TICKING if told.ticking else {})


async def _one_life(folder: Path, told: Told, end: End, seed: str) -> None:
    chance = random.Random(seed)
    if end is End.START:
        server = await Process.spawn("serve", folder / "data", "--port", "0", variables=_variables(told))
        await asyncio.sleep(chance.uniform(0.1, 0.6))
        await server.kill()
        return
    server = await Process.start(folder / "data", variables=_variables(told))
    try:
        await check(server.url, told)
        load = Load(server.url, told, seed)
        async with asyncio.timeout(120), asyncio.TaskGroup() as tasks:
            tasks.create_task(load.run())
            await load.busy()
            await _end(server, folder / "data", load, end, chance)
    finally:
        await server.kill()


async def _end(server: Process, data: Path, load: Load, end: End, chance: random.Random) -> None:
    match end:
        case End.BODY:
            await load.send_half()
        case End.CLAIM:
            await load.submit_long()
            await until_claimed(data)
        case End.BULK:
            await _amid(server, chance.uniform(0, 0.5), "/admin/messages", _THOUSANDS)
        case End.ADVANCE:
            await _amid(server, chance.uniform(0.005, 0.1), "/admin/clock", {"advance": "5d"})
        case End.STOP:
            server.process.terminate()
            await asyncio.sleep(chance.uniform(0, 0.1))
        case End.ASKED:
            assert await server.stop() == 0
        case _:
            await asyncio.sleep(chance.uniform(0, 0.4))
    await server.kill()


async def outlive_workers(folder: Path, seed: str, *, workers: int = 2, lists_waiting: int = 20) -> Summary:
    """Kill workers alone on a data folder, each amid its work; then have a server end what they began.

    Raises:
        AssertionError: as :func:`live`.
    """
    told = Told(ticking=True)
    data, variables = folder / "data", _variables(told)
    server = await Process.start(data, variables=variables)
    try:
        load = Load(server.url, told, seed)
        chance = random.Random(seed)
        async with Caller(server.url, PRACTICE) as caller:
            made = [lists.made_up(chance, 7000) for _ in range(lists_waiting)]
            await asyncio.gather(*(load.submit(caller, chance, each) for each in made))
            async with asyncio.timeout(60):
                # The receipts.
                while len(await caller.inbox()) < lists_waiting:  # noqa: ASYNC110 - a process has no event
                    await asyncio.sleep(0.02)
        assert (await control(server.url, "POST", "/admin/clock", {"advance": "41m"})).status == 200
    finally:
        await server.kill()
    for _ in range(workers):
        worker = await Process.spawn("worker", data, variables=variables)
        try:
            await until_claimed(data)
            await asyncio.sleep(chance.uniform(0, 0.05))
        finally:
            await worker.kill()
    await _last_life(folder, told)
    return _summary(told, kills=1 + workers)


async def crowd(folder: Path, seed: str, *, kills: int) -> Summary:
    """Kill workers beside a server that goes on, under load; what they had claimed lapses and is answered.

    Raises:
        AssertionError: as :func:`live`.
    """
    told = Told(ticking=False)
    data, variables = folder / "data", _variables(told)
    chance = random.Random(seed)
    server = await Process.start(data, variables=variables)
    load = Load(server.url, told, seed)
    workers: list[Process] = []
    try:
        await load.submit_long()
        own = await until_claimed(data)  # the server's worker is the only one yet
        work = asyncio.create_task(load.run())
        for _ in range(kills // 2):
            workers = [await Process.spawn("worker", data, variables=variables) for _ in range(2)]
            claimed = asyncio.create_task(until_claimed(data, but=[own]))
            while not claimed.done():  # more than the server's worker takes on at once
                await load.submit_long(8)
            await claimed
            await asyncio.sleep(chance.uniform(0, 0.05))
            for worker in workers:
                await worker.kill()
        work.cancel()
        await asyncio.wait([work])
        assert work.cancelled(), work.exception()
        await check(server.url, told)
        await settle(server.url, told, patience_s=120)
        assert await server.stop() == 0
    except BaseException as error:
        error.add_note(f"workers beside a server, seed {seed!r}, folder {folder}")
        raise
    finally:
        for process in (*workers, server):
            await process.kill()
    await _last_life(folder, told)  # which sweeps up what killed workers had written
    return _summary(told, kills=kills)


async def _last_life(folder: Path, told: Told) -> None:
    server = await Process.start(folder / "data", variables=_variables(told))
    try:
        await check(server.url, told)
        await settle(server.url, told)
        assert await server.stop() == 0
    finally:
        await server.kill()
    _check_left(folder)


def _check_left(folder: Path) -> None:
    check_folder(folder / "data")
    log = (folder / "mesh-sim.log").read_text()
    assert not log, log
