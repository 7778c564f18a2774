"""Where every error of a command becomes one line for people, one object for programs, and an exit code.

0 done, 1 failed, 2 wrong usage or setting, 3 not yet (design.md, "Commands"); 130 interrupted.
"""

from __future__ import annotations

import errno
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from types import FrameType
from typing import Any, Final

import typer
from typer.core import TyperGroup

from ndoo.cli.show import one_line, show_error, write_json
from ndoo.errors import AnswerPending, ColumnError, ConfigError, InvalidNumbers, NdooError

SUBMITTING: Final = frozenset({"check", "submit", "collect"})
"""Commands that may be stopped while a list is away."""

_STOPPING: Final = (signal.SIGTERM, signal.SIGHUP)
"""Signals that end a command as Ctrl-C does."""

_NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT)


class ExitCode(IntEnum):
    """What the shell is told."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_YET = 3
    INTERRUPTED = 130


@dataclass(slots=True)
class Invocation:
    """One run of the command; the root's options are filled in once they are parsed."""

    json: bool
    debug: bool = False
    profile: str | None = None
    command: str = ""


class UsageError(NdooError):
    """Options that do not go together."""


class SystemFailed(NdooError):
    """The operating system refused something, such as space on the disk."""


class Interrupted(NdooError):
    """Ctrl-C, or a signal to the same end."""


def system_failed(error: OSError) -> SystemFailed:
    """Tell a full disk, or a share that went away, as it is: no defect, whichever step it hit."""
    where = f"{error.filename}: " if error.filename else ""
    return SystemFailed(f"{where}{error.strerror or error}")


def exit_code(error: NdooError) -> ExitCode:
    """Give the exit code of an expected error."""
    match error:
        case ConfigError(__cause__=OSError(errno=number)) if number in _NO_SPACE:
            return ExitCode.FAILED
        case ConfigError() | ColumnError() | UsageError():
            return ExitCode.USAGE
        case AnswerPending():
            return ExitCode.NOT_YET
        case Interrupted():
            return ExitCode.INTERRUPTED
        case _:
            return ExitCode.FAILED


class Boundary(TyperGroup):
    """The root group: nothing that happens in a command gets past it but an exit code."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: ARG002 -- Typer's signature; this is always standalone
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command and leave with its exit code."""
        given = list(sys.argv[1:] if args is None else args)
        # Looked up beforehand: a program is answered in JSON also when the options do not parse.
        invocation = Invocation(json="--json" in given)
        try:
            with _stoppable():
                status = super().main(
                    given,
                    prog_name or "ndoo",
                    complete_var,
                    standalone_mode=False,
                    windows_expand_args=windows_expand_args,
                    obj=invocation,
                    **extra,
                )
        except NdooError as error:
            status = _report(error, invocation)
        except OSError as error:
            status = _report(system_failed(error), invocation)
        except Exception as error:  # noqa: BLE001 -- the last boundary: a defect is told as one
            status = _report_usage(error, invocation) or _report_defect(error, invocation)
        sys.exit(status or ExitCode.DONE)

    def invoke(self, ctx: Any) -> Any:
        """Run a subcommand; Ctrl-C becomes an error like the others."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            safe = (
                "; a list already submitted is not lost: 'ndoo pending' shows it and 'ndoo collect' fetches "
                "its answer"
                if ctx.invoked_subcommand in SUBMITTING
                else ""
            )
            raise Interrupted(f"interrupted{safe}") from None


@contextmanager
def _stoppable() -> Iterator[None]:
    """While the block runs, let other signals stop it as Ctrl-C does, so that no files stay behind."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may say what signals do
        return
    # One that is ignored stays so: nohup(1) wants it.
    taken = [number for number in _STOPPING if signal.getsignal(number) is signal.SIG_DFL]

    def stop(_number: int, frame: FrameType | None) -> None:
        for number in taken:
            signal.signal(number, signal.SIG_IGN)  # a second one must not break off the cleaning up
        interrupt = signal.getsignal(signal.SIGINT)
        # While asyncio runs this is its own handler, which cancels what is going on. In the background of
        # a script Ctrl-C is ignored, and there is none.
        if not callable(interrupt):
            raise KeyboardInterrupt
        interrupt(signal.SIGINT, frame)

    try:
        for number in taken:
            signal.signal(number, stop)
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _report(error: NdooError, invocation: Invocation) -> ExitCode:
    lines = [str(error)]
    if isinstance(error, InvalidNumbers):
        lines += [f"line {line:,}: {reason}" for line, reason in error.samples]
        if error.count > len(error.samples):
            lines.append(f"and {error.count - len(error.samples):,} more")
        if invocation.command in SUBMITTING:
            lines.append("nothing was sent; correct the list, or leave these rows out with --skip-invalid")
    show_error(lines)
    if invocation.json:
        details = {name: value for name, value in vars(error).items() if value not in (None, "", ())}
        write_json({"error": {"kind": type(error).__name__, "message": str(error), **details}})
    return exit_code(error)


def _report_usage(error: Exception, invocation: Invocation) -> ExitCode | None:
    """Report what the option parser raised; its classes are not public, but have these in common."""
    describe = getattr(error, "format_message", None)
    if describe is None:
        return None
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        # A group without a subcommand; the help has been shown already.
        return ExitCode.USAGE
    message = one_line(describe()).rstrip(".")
    misplaced = getattr(error, "option_name", "")
    if misplaced in ("--profile", "--debug"):
        message = f"{misplaced} goes before the command, as in: ndoo --profile int check LIST"
    command = context.command_path if context is not None else "ndoo"
    show_error([f"{message}; see '{command} --help'"])
    if invocation.json:
        write_json({"error": {"kind": "UsageError", "message": message}})
    return ExitCode.USAGE


def _report_defect(error: Exception, invocation: Invocation) -> ExitCode:
    show_defect(error, debug=invocation.debug)
    if invocation.json:
        write_json({"error": {"kind": "Bug", "message": name_defect(error)}})
    return ExitCode.FAILED


def name_defect(error: Exception) -> str:
    """Own up to a defect in a few words."""
    # The text of an unforeseen exception may hold anything, an NHS number too; only its class is told.
    return f"this is a bug in ndoo ({type(error).__name__})"


def show_defect(error: Exception, *, debug: bool) -> None:
    """Own up to a defect on standard error, and say where it happened or how to see that."""
    if debug:
        typer.echo("".join(traceback.format_exception(error)), err=True, nl=False)
        show_error([f"{name_defect(error)}; the lines above say where"])
    else:
        show_error([f"{name_defect(error)}; 'ndoo --debug ...' shows where it happened"])
