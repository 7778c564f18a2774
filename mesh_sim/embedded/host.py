"""A simulator in a thread of its own, with an event loop of its own, for code that has neither to spare."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from mesh_sim.app import Server, running
from mesh_sim.config import PREFIX, Settings, SettingsError
from mesh_sim.event_loop import loop_factory
from mesh_sim.wishes.base import problems_of

T = TypeVar("T")

_PATIENCE_S: Final = 0.1
"""Whoever still talks to a simulator when it stops, does so in vain: the test is over."""


class _Given(Settings):
    """Settings that are given, or else the default: nobody's environment and no file has a say."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is pydantic's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def given_settings(**given: Any) -> Settings:
    """Make settings of what is given, by their names in ``mesh-sim.toml``.

    Raises:
        SettingsError: there is no such setting, or a value is not allowed.
    """
    try:
        return _Given(**given)
    except ValidationError as error:
        # A setting that has other names too is reported by the first of them, its variable's.
        problems = (str(problem).removeprefix(PREFIX) for problem in problems_of(error, Settings))
        raise SettingsError("; ".join(problems)) from None  # pydantic's own text holds the values


class Host:
    """Runs one simulator until :meth:`stop`; it is serving once this is constructed.

    Everything of the simulator belongs to the host's thread; others have it done there by :meth:`run`.

    Raises:
        SettingsError: the simulator cannot start as it is set up.
    """

    def __init__(self, settings: Settings) -> None:
        self._started: Future[Server] = Future()
        self._ended: Future[None] = Future()
        self._loop: asyncio.AbstractEventLoop
        self._stopping: asyncio.Event
        # A daemon, so that a simulator that nobody stops does not keep the program from ending.
        self._thread = threading.Thread(target=self._live, args=(settings,), name="mesh-sim", daemon=True)
        self._thread.start()
        try:
            self.server = self._started.result()
        except Exception:
            self._thread.join()
            raise

    @property
    def alive(self) -> bool:
        """Whether the simulator is running."""
        return self._thread.is_alive()

    def run(self, work: Callable[[Server], Awaitable[T]]) -> T:
        """Have something done in the host's thread, and wait for what comes of it.

        Raises:
            RuntimeError: the simulator was stopped.
        """
        if not self.alive:
            raise RuntimeError("the simulator was stopped; ask it before its 'with' block ends")

        async def done() -> T:
            return await work(self.server)

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result()

    def stop(self) -> None:
        """Stop the simulator; it is gone when this returns.

        Raises:
            Exception: what went wrong in stopping it.
        """
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._ended.result()

    # -- in the host's thread -----------------------------------------------------------------------

    def _live(self, settings: Settings) -> None:
        try:
            with asyncio.Runner(loop_factory=loop_factory()) as runner:
                runner.run(self._serve(settings))
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits for it
            (self._ended if self._started.done() else self._started).set_exception(error)
        else:
            self._ended.set_result(None)

    async def _serve(self, settings: Settings) -> None:
        async with running(settings, patience_s=_PATIENCE_S) as server:
            self._loop = asyncio.get_running_loop()
            self._stopping = asyncio.Event()
            self._started.set_result(server)
            await self._stopping.wait()
