"""The same without ``async``: a mailbox and the round trip for scripts, notebooks and threads.

>>> with Mailbox("http://127.0.0.1:8700", credentials) as mailbox:
...     result = check_opt_outs(mailbox, Path("patients.csv"), Path("cleared.csv"), journal=journal)

Nothing is done twice: each name here runs its namesake of :mod:`ndoo.mailbox` or :mod:`ndoo.check`, takes the
same arguments, gives the same results and raises the same errors, and its documentation is the other's. The
mailbox comes first and without its name.

The work is done in a thread that belongs to the open mailbox, so that it may be used where an event loop is
running already, as in a notebook. Callbacks and a ``progress`` are called there. Ctrl-C stops what is going
on in order, then raises ``KeyboardInterrupt`` as usual. Several threads may use one mailbox.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack, contextmanager
from datetime import timedelta
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, Final, Generic, ParamSpec, Protocol, Self, TypeVar

import ndoo.check
import ndoo.mailbox
from ndoo.mailbox import Credentials, MessageHeaders

__all__ = ["Mailbox", "Message", "check_opt_outs", "collect", "submit"]

_F = TypeVar("_F")
_P = ParamSpec("_P")
_R = TypeVar("_R")
_T = TypeVar("_T")

_WAKE_S: Final = 0.5
"""A waiting thread wakes this often, in seconds: on Windows, Ctrl-C is seen only then."""


class Writer(Protocol):
    """A binary file to write to."""

    def write(self, data: bytes, /) -> Any:
        """Write all of ``data``."""
        ...


# -- the thread behind a mailbox --------------------------------------------------------------------


class _Call(Generic[_R]):
    """A coroutine in the loop of another thread, for the thread that waits for it."""

    def __init__(self, work: Coroutine[Any, Any, _R]) -> None:
        self._work = work
        self._task: asyncio.Task[_R] | None = None
        self.ended = threading.Event()

    def start(self) -> None:
        """Start it; called in the loop."""
        self._task = asyncio.ensure_future(self._work)
        self._task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[_R]) -> None:
        if not task.cancelled():
            task.exception()  # looked at, or the loop would complain of one that an interrupt hides
        self.ended.set()

    def cancel(self) -> None:
        """Cancel it; called in the loop, where starting it came first."""
        if self._task is not None:
            self._task.cancel()

    def result(self) -> _R:
        """Give what it came to; it must have ended."""
        if self._task is None or self._task.cancelled():
            raise RuntimeError("the mailbox was closed by another thread during the call")
        return self._task.result()


class _Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._stop = asyncio.Event()
        self._started: Future[asyncio.AbstractEventLoop] = Future()
        # A program that forgets to close the mailbox ends all the same.
        self._thread = threading.Thread(target=self._work, name="ndoo.sync", daemon=True)
        self._thread.start()
        self._loop = self._started.result()

    def _work(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._started.set_result(asyncio.get_running_loop())
        await self._stop.wait()

    def stop(self) -> None:
        """End the thread, cancelling what still runs in it."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def run(self, work: Coroutine[Any, Any, _R]) -> _R:
        """Run a coroutine to its end; it gives and raises what the coroutine does.

        An interrupt cancels it, and is raised once it has cleaned up; a second one does not wait for that.

        Raises:
            RuntimeError: called in the thread itself, which would wait for ever, or closed meanwhile.
        """
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError(
                "a callback cannot use the mailbox that called it: the call would wait for itself; do it "
                "afterwards"
            )
        call = _Call(work)
        try:
            self._loop.call_soon_threadsafe(call.start)
        except RuntimeError as error:
            work.close()
            raise RuntimeError("the mailbox was closed by another thread") from error
        try:
            self._wait(call)
        except BaseException:
            self._loop.call_soon_threadsafe(call.cancel)
            self._wait(call)
            raise
        return call.result()

    def _wait(self, call: _Call[Any]) -> None:
        while not call.ended.wait(_WAKE_S):
            if not self._thread.is_alive():
                return


class _Face(Generic[_T]):
    """What blocks where its original is awaited."""

    _original: _T
    _loop: _Loop | None = None

    def _run(self, work: Coroutine[Any, Any, _R]) -> _R:
        if self._loop is None:
            work.close()
            raise RuntimeError("open the mailbox first, and use it inside: with Mailbox(...) as mailbox")
        return self._loop.run(work)


def _blocking(
    function: Callable[Concatenate[_T, _P], Coroutine[Any, Any, _R]],
) -> Callable[Concatenate[_Face[_T], _P], _R]:
    """Make a function of a face out of one of its original."""

    @wraps(function)
    def call(face: _Face[_T], /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        return face._run(function(face._original, *args, **kwargs))  # noqa: SLF001 -- one module, one face

    return call


def _iterating(
    function: Callable[Concatenate[_T, _P], AsyncIterator[_R]],
) -> Callable[Concatenate[_Face[_T], _P], Iterator[_R]]:
    """The same for an asynchronous iterator."""

    @wraps(function)
    def iterate(face: _Face[_T], /, *args: _P.args, **kwargs: _P.kwargs) -> Iterator[_R]:
        items = function(face._original, *args, **kwargs)  # noqa: SLF001 -- the same
        while (item := face._run(_next(items))) is not None:  # noqa: SLF001 -- the same
            yield item[0]

    return iterate


async def _next(items: AsyncIterator[_R]) -> tuple[_R] | None:
    async for item in items:
        return (item,)
    return None


def _opening(
    function: Callable[Concatenate[_T, _P], AbstractAsyncContextManager[_R]],
    make: Callable[[_R, _Loop | None], _F],
) -> Callable[Concatenate[_Face[_T], _P], AbstractContextManager[_F]]:
    """The same for an asynchronous context manager; what it opens gets a face of its own."""

    @wraps(function)
    @contextmanager
    def opened(face: _Face[_T], /, *args: _P.args, **kwargs: _P.kwargs) -> Iterator[_F]:
        stack = AsyncExitStack()
        manager = function(face._original, *args, **kwargs)  # noqa: SLF001 -- the same
        original = face._run(stack.enter_async_context(manager))  # noqa: SLF001 -- the same
        try:
            yield make(original, face._loop)  # noqa: SLF001 -- the same
        finally:
            face._run(stack.aclose())  # noqa: SLF001 -- the same

    return opened


def _arguments_of(
    original: Callable[Concatenate[Any, _P], None],  # noqa: ARG001 -- its type is what matters
) -> Callable[[Callable[..., None]], Callable[Concatenate[Any, _P], None]]:
    """Give a method that passes its arguments on the type of the one that takes them."""

    def typed(method: Callable[..., None]) -> Callable[Concatenate[Any, _P], None]:
        return method

    return typed


# -- the faces --------------------------------------------------------------------------------------


class _ThreadedWriter:
    """A file whose slow disk does not hold up the loop."""

    def __init__(self, file: Writer) -> None:
        self._file = file

    async def write(self, data: bytes, /) -> None:
        """Write all of ``data``."""
        await asyncio.to_thread(self._file.write, data)


class Message(_Face[ndoo.mailbox.Message]):
    """A message being received; iterate it for the decompressed body, once.

    Its original is :class:`ndoo.mailbox.Message`.
    """

    def __init__(self, original: ndoo.mailbox.Message, loop: _Loop | None) -> None:
        self._original = original
        self._loop = loop

    @property
    def headers(self) -> MessageHeaders:
        """What is said about the message."""
        return self._original.headers

    __iter__ = _iterating(ndoo.mailbox.Message.__aiter__)
    read = _blocking(ndoo.mailbox.Message.read)

    def save(self, target: Path | Writer, *, replace: bool = False) -> int:
        """Write the rest of the body to a file and give its size in bytes.

        A path gets the whole body or nothing, as with :meth:`ndoo.mailbox.Message.save`; a binary file gets
        what comes.

        Raises:
            OutputExists: the path exists and ``replace`` is False.
            MeshError: the body cannot be had whole.
        """
        to = target if isinstance(target, Path) else _ThreadedWriter(target)
        return self._run(self._original.save(to, replace=replace))


class Mailbox(_Face[ndoo.mailbox.Mailbox]):
    """A MESH mailbox; a context manager that owns its connections and the thread they are used in.

    It takes the arguments of :class:`ndoo.mailbox.Mailbox` and raises the same errors.

    Raises:
        ConfigError: the address cannot be one.
        ValueError: a number is out of range.
    """

    @_arguments_of(ndoo.mailbox.Mailbox.__init__)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._original = ndoo.mailbox.Mailbox(*args, **kwargs)

    def __enter__(self) -> Self:
        if self._loop is not None:
            raise RuntimeError("this mailbox is open already")
        loop = _Loop()
        try:
            loop.run(self._original.__aenter__())
        except BaseException:
            loop.stop()
            raise
        self._loop = loop
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop, self._loop = self._loop, None
        if loop is not None:
            try:
                loop.run(self._original.__aexit__(kind, error, trace))
            finally:
                loop.stop()

    @property
    def credentials(self) -> Credentials:
        """Mailbox id, password and shared key."""
        return self._original.credentials

    @property
    def chunk_size(self) -> int:
        """Size of a chunk before compression, in bytes."""
        return self._original.chunk_size

    @property
    def mailbox_id(self) -> str:
        """Whose mailbox this is, in upper case."""
        return self._original.mailbox_id

    @property
    def url(self) -> str:
        """The server's address, written as :func:`ndoo.protocol.base_url` does."""
        return self._original.url

    @property
    def clock_ahead(self) -> timedelta | None:
        """How far our clock is ahead of the server's, by the ``Date`` of its last answer; None if unknown."""
        return self._original.clock_ahead

    handshake = _blocking(ndoo.mailbox.Mailbox.handshake)
    handshake_if_due = _blocking(ndoo.mailbox.Mailbox.handshake_if_due)
    ping = _blocking(ndoo.mailbox.Mailbox.ping)
    send = _blocking(ndoo.mailbox.Mailbox.send)
    resume = _blocking(ndoo.mailbox.Mailbox.resume)
    list = _blocking(ndoo.mailbox.Mailbox.list)
    pages = _iterating(ndoo.mailbox.Mailbox.pages)
    messages = _iterating(ndoo.mailbox.Mailbox.messages)
    count = _blocking(ndoo.mailbox.Mailbox.count)
    head = _blocking(ndoo.mailbox.Mailbox.head)
    receive = _opening(ndoo.mailbox.Mailbox.receive, Message)
    acknowledge = _blocking(ndoo.mailbox.Mailbox.acknowledge)
    track = _blocking(ndoo.mailbox.Mailbox.track)
    look_up = _blocking(ndoo.mailbox.Mailbox.look_up)


check_opt_outs = _blocking(ndoo.check.check_opt_outs)
submit = _blocking(ndoo.check.submit)
collect = _blocking(ndoo.check.collect)
