"""A real simulator for every test that asks for one: own folder, free port, simulated clock."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from support import Callers, MakeSimulator, Simulator

from mesh_sim.app import running
from mesh_sim.clock import SimulatedClock
from mesh_sim.config import Settings
from mesh_sim.sandbox_environment import VARIABLES

# A shell lets what it runs in the background ignore these, and nohup(1) one of them; the commands under test
# would inherit that, and not stop when a test stops them.
for _number, _handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _handler)

# Times belong to the machine, and no test fails for one.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name bytes in a test's id by their number: gzip holds the time, and ids must be the same each time."""
    return f"{len(val)} bytes" if isinstance(val, bytes) and val[:2] == b"\x1f\x8b" else None


@pytest.fixture(scope="session", autouse=True)
def _only_given_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Settings of the person who runs the tests, in the environment or a file, do not reach them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("MESH_SIM_") or name in (
                *VARIABLES,
                "MAILBOXES_DATA_DIR",
                "FILE_STORE_DIR",
                "SHARED_KEY",
                "ENV",
                "BUILD_LABEL",
            ):
                patch.delenv(name)
        patch.chdir(tmp_path_factory.mktemp("work"))
        yield


def _settings(**settings: Any) -> Settings:
    # No list is thinned unless a test names its opt-outs, and answers come without delay.
    given: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": 0,
        "shared_key": "TestKey",
        "opt_out_rate": 0.0,
        "ndoo_reply_delay": timedelta(0),
    }
    return Settings(**given | settings)


@pytest.fixture
async def make_simulator(tmp_path: Path) -> AsyncIterator[MakeSimulator]:
    """Start simulators with settings of one's own; give ``data`` to start twice on one folder."""
    folders = (tmp_path / f"data-{number}" for number in itertools.count())
    async with AsyncExitStack() as running_simulators:

        async def make(**settings: Any) -> Simulator:
            given = _settings(**{"data": next(folders), **settings})
            stack = await running_simulators.enter_async_context(AsyncExitStack())
            clock = SimulatedClock()
            server = await stack.enter_async_context(running(given, clock=clock, patience_s=0.5))
            shared_key = settings.get("shared_key", "TestKey")
            return Simulator(server.url, stack, shared_key, clock=clock, server=server)

        yield make


@pytest.fixture
async def simulator(make_simulator: MakeSimulator) -> Simulator:
    """One simulator of the test's own: built-in mailboxes, strict rules, nobody opted out."""
    return await make_simulator()


@pytest.fixture(scope="session")
def standing_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of one simulator for the whole session, in a thread of its own.

    For tests that find what they made by its message id and change nothing others see: a table of a
    hundred refusals need not start a hundred servers. It runs beside the tests' own event loops.
    """
    data = tmp_path_factory.mktemp("standing")
    started: Future[tuple[str, asyncio.AbstractEventLoop]] = Future()
    stopping = asyncio.Event()

    async def serve() -> None:
        async with running(_settings(data=data), clock=SimulatedClock()) as server:
            started.set_result((server.url, asyncio.get_running_loop()))
            await stopping.wait()

    with ThreadPoolExecutor(1) as thread:
        served = thread.submit(lambda: asyncio.run(serve()))
        futures: list[Future[Any]] = [started, served]
        wait(futures, return_when=FIRST_COMPLETED)
        if served.done():
            served.result()  # raises what stopped it from starting
        url, loop = started.result()
        yield url
        loop.call_soon_threadsafe(stopping.set)
        served.result()


@pytest.fixture
async def shared(standing_url: str) -> AsyncIterator[Callers]:
    """Callers of the session's one simulator; see ``standing_url`` for what may be done with it."""
    async with AsyncExitStack() as stack:
        yield Callers(standing_url, stack)
