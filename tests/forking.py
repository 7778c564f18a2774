"""Runs ``ndoo`` commands for ``tests/ndoo/test_killed.py``, each killed at its nth step if it has so many.

Each line of standard input is a JSON object: ``arguments``, ``environment``, ``folder``, and ``kill_at``
(0 for never). The command runs in a forked child, which saves the half second that importing takes; each
line of standard output is what became of it: ``status`` (negative for a signal), ``out``, ``err``.

A step is whatever another process, or a server, could notice: a request before it is sent and after its
answer is here, a file renamed or removed, the journal about to be written and written.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from typing import Any, NoReturn

from ndoo import check, cli
from ndoo._transport import Transport
from ndoo.cli import session
from ndoo.journal import Journal

LOADED = (check, session, asyncio)  # what the commands import when they run, loaded once for all of them


def count_steps(kill_at: int) -> None:
    """Count the steps of this process, and kill it before the given one."""
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1
        if steps == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    attempt, writing = Transport.attempt, Journal._writing

    async def counted_attempt(self: Transport, *arguments: Any) -> Any:
        step()
        answer = await attempt(self, *arguments)
        step()
        return answer

    def counted_writing(self: Journal) -> Any:
        return Counted(writing(self), step)

    def audited(event: str, _arguments: Any) -> None:
        if event in ("os.rename", "os.remove"):
            step()

    Transport.attempt = counted_attempt  # type: ignore[method-assign]
    Journal._writing = counted_writing  # type: ignore[method-assign]
    sys.addaudithook(audited)


class Counted:
    """A transaction that is a step when it begins, and another when it is on the disk."""

    def __init__(self, transaction: Any, step: Callable[[], None]) -> None:
        self.transaction = transaction
        self.step = step

    def __enter__(self) -> Any:
        self.step()
        return self.transaction.__enter__()

    def __exit__(self, *error: Any) -> Any:
        suppressed = self.transaction.__exit__(*error)
        self.step()
        return suppressed


def run(order: dict[str, Any], out: int, err: int) -> NoReturn:
    """Be the command."""
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.chdir(order["folder"])
    os.environ.update(order["environment"])
    count_steps(order["kill_at"])
    status = 1
    try:
        cli.app(order["arguments"])
    except SystemExit as left:
        status = left.code if isinstance(left.code, int) else 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def main() -> None:
    """Carry out orders until there are no more."""
    for line in sys.stdin:
        order = json.loads(line)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            child = os.fork()
            if child == 0:
                run(order, out.fileno(), err.fileno())
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            out.seek(0)
            err.seek(0)
            report = {"status": status, "out": out.read().decode(), "err": err.read().decode()}
        sys.__stdout__.write(json.dumps(report) + "\n")  # type: ignore[union-attr]
        sys.__stdout__.flush()  # type: ignore[union-attr]


if __name__ == "__main__":
    main()
