"""Driving a client with ``mesh-sim witness start --run``: one command a step, told by its environment."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from mesh_sim.cli.boundary import UsageError
from mesh_sim.cli.show import printable

_ADMIN_TOKEN: Final = "MESH_SIM_ADMIN_TOKEN"  # noqa: S105 -- a variable's name

_KEPT_LINES: Final = 20
"""How much of a command's output is shown where its case failed."""
_KEPT_BYTES: Final = 65_536
"""Where those lines are looked for: in the last so many bytes."""

_GRACE_S: Final = 2.0
"""How long a command that is to end has for it, before it is killed."""

_BY_SIGNAL: Final = 128
"""A shell's exit status of a command that a signal ended is its number on top of this."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How one run of the command ended."""

    exit_status: int
    tail: tuple[str, ...]
    """The last lines of its output, where that was kept."""
    in_time: bool


# -- which command ------------------------------------------------------------------------------------


def read_command(text: str) -> list[str]:
    """Split a command as a shell does, and look it up.

    Raises:
        UsageError: it is none that could be run.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--run: {error} in {text!r}") from error
    if not words:
        raise UsageError("--run: an empty text is no command")
    program = words[0]
    if shutil.which(program) is None:
        raise UsageError(f"--run: {_why_not(program)}")
    return words


def _why_not(program: str) -> str:
    path = Path(program)
    if not path.is_file():
        return f"there is no command {program!r}; give its path, or a name that PATH leads to"
    if os.sep not in program:
        return f"there is no command {program!r}; a program in this folder is './{program}'"
    return (
        f"{program!r} is not executable; make it so with chmod +x, or begin with what runs it, as in "
        "'python client.py'"
    )


def _why_not_now(program: str, error: OSError) -> str:
    """Say why the system did not run a file that is there and executable."""
    advice = {
        errno.ENOEXEC: "; if it is a script, its first line has to name what runs it, as '#!/bin/sh' does",
        errno.ENOENT: "; if it is a script, see whether the program that its first line names is there",
    }
    return f"{program!r} cannot be run ({error.strerror}){advice.get(error.errno or 0, '')}"


# -- what it is told ----------------------------------------------------------------------------------


@contextlib.contextmanager
def told(state: Mapping[str, Any], url: str) -> Iterator[dict[str, str]]:
    """Give the environment for the step that is under way; a file to be sent is there for as long."""
    current = state["current"]
    environment = {name: value for name, value in os.environ.items() if name != _ADMIN_TOKEN} | {
        "WITNESS_CASE": current["case"],
        "WITNESS_STEP": str(current["step"]),
        "WITNESS_ACTION": current["action"],
        "WITNESS_MAILBOX": state["mailbox"],
        "WITNESS_TO": current["to"],
        "WITNESS_WORKFLOW": current["workflow_id"],
        "WITNESS_MESSAGE_ID": current["message_id"],
        "WITNESS_FILE": "",
        "WITNESS_URL": url,
    }
    with contextlib.ExitStack() as stack:
        if current["file"] is not None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="mesh-sim-witness-"))
            path = Path(folder, f"witness-{current['case']}.dat")
            _write(path, current["case"], current["file"]["size"])
            environment["WITNESS_FILE"] = str(path)
        yield environment


def _write(path: Path, case: str, size: int) -> None:
    from mesh_sim.witness.originals import blocks

    with path.open("xb") as file:
        for block in blocks(case, size):
            file.write(block)


# -- its run ------------------------------------------------------------------------------------------


async def run(words: Sequence[str], environment: Mapping[str, str], until: float, *, keep: bool) -> Ran:
    """Run the command to its end, or to a time of the event loop.

    Args:
        words: the program and its arguments.
        environment: all of it.
        until: when it is ended, with every process it started.
        keep: keep the end of its output; else all of it goes to standard error.

    Raises:
        UsageError: the system cannot run it.
    """
    with _output(keep=keep) as output:
        try:
            process = await _started(words, environment, output)
        except OSError as error:
            raise UsageError(f"--run: {_why_not_now(words[0], error)}") from error
        in_time = True
        try:
            async with asyncio.timeout_at(until):
                await process.wait()
        except TimeoutError:
            in_time = False
        finally:
            if process.returncode is None:
                await _end(process)
        status = process.returncode or 0
        return Ran(_BY_SIGNAL - status if status < 0 else status, _tail(output) if keep else (), in_time)


async def _started(
    words: Sequence[str], environment: Mapping[str, str], output: IO[Any]
) -> asyncio.subprocess.Process:
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *words,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # to be ended with all that it started; Ctrl-C is for us to handle
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        # It may run already, and have started others: asyncio itself would end only the one.
        with contextlib.suppress(OSError):
            await _end(await starting)
        raise


@contextlib.contextmanager
def _output(*, keep: bool) -> Iterator[IO[Any]]:
    """Give where a command writes: a file, as a process that it left behind may hold on to a pipe."""
    if keep:
        with tempfile.TemporaryFile() as file:
            yield file
    else:
        yield sys.stderr


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a command and what it started: with a request to, then by force."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_GRACE_S):
            await process.wait()
    # Also where the command itself has ended: what it started may not have.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _tail(output: IO[bytes]) -> tuple[str, ...]:
    length = output.seek(0, os.SEEK_END)
    output.seek(max(0, length - _KEPT_BYTES))
    lines = output.read().decode(errors="replace").splitlines()
    return tuple(printable(line.expandtabs()) for line in lines[-_KEPT_LINES:])
