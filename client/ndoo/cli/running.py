"""Stopping in good order: what Ctrl-C, a kill, or a terminal that closes does to a command."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Final, NoReturn, TypeVar

_T = TypeVar("_T")

_Handler = Callable[[int, FrameType | None], Any]

STOPPING: Final = tuple(
    signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
)
"""Signals that ask a command to end. SIGBREAK is Ctrl-Break and the closing window of Windows."""


@contextmanager
def stoppable() -> Iterator[None]:
    """While the block runs, let every one of these signals stop it as Ctrl-C does, and none of them twice.

    For a whole run of a command: once stopped, the process is about to end, and whatever else comes in
    must not break off the cleaning up, the last line on the screen, or Python's own leaving.

    Raises:
        KeyboardInterrupt: it was stopped.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may say what signals do
        return
    # One that is ignored stays so: nohup(1) wants it, and a shell for what it runs in the background.
    before = {
        number: handler
        for number in STOPPING
        if (handler := signal.getsignal(number)) in (signal.SIG_DFL, signal.default_int_handler)
    }
    stopped = False

    def stop(_number: int, _frame: FrameType | None) -> NoReturn:
        nonlocal stopped
        stopped = True
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    try:
        for number in before:
            signal.signal(number, stop)
        yield
    finally:
        if not stopped:
            for number, handler in before.items():
                signal.signal(number, handler)


def run(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine to its end; a signal that would interrupt Python cancels it, so that it cleans up.

    It is cancelled between two steps of the event loop. ``asyncio.run`` cancels at once, wherever the loop
    is at that moment, which now and then breaks into its own bookkeeping. Further signals change nothing:
    the cleaning up is under way.

    Raises:
        KeyboardInterrupt: it was stopped.
    """
    try:
        with _noting() as stop, asyncio.Runner() as runner:
            stop.loop = runner.get_loop()

            async def started() -> _T:
                stop.task = asyncio.current_task()
                if stop.asked:  # before there was anything to cancel
                    raise asyncio.CancelledError
                return await coroutine

            try:
                return runner.run(started())
            except asyncio.CancelledError:
                if not stop.asked:
                    raise
    finally:
        coroutine.close()  # so that it is not missed if it was stopped before it began
    stop.pass_on()
    raise KeyboardInterrupt


@dataclass(slots=True)
class _Stop:
    """A wish to stop, and what it is about."""

    before: dict[int, _Handler] = field(default_factory=dict)
    loop: asyncio.AbstractEventLoop | None = None
    task: asyncio.Task[Any] | None = None
    number: int = 0

    @property
    def asked(self) -> bool:
        return self.number != 0

    def note(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal. It comes amid whatever the loop is doing, so it only leaves a note for it."""
        if self.asked:
            return
        self.number = number
        if self.loop is not None and not self.loop.is_closed():
            # A loop's add_signal_handler comes to the same, but is not there on Windows.
            self.loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()

    def pass_on(self) -> None:
        """Tell whoever handled such signals before."""
        self.before[self.number](self.number, None)


@contextmanager
def _noting() -> Iterator[_Stop]:
    """While the block runs, note signals that Python handles, instead of being interrupted by them."""
    stop = _Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    stop.before = {number: handler for number in STOPPING if callable(handler := signal.getsignal(number))}
    try:
        for number in stop.before:
            signal.signal(number, stop.note)
        yield stop
    finally:
        for number, handler in stop.before.items():
            signal.signal(number, handler)
