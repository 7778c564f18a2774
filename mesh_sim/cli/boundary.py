"""Where every error of a command becomes one line for people, one object for programs, and an exit code.

0 done, 1 failed, 2 wrong usage or setting, 3 not yet (design.md, "Commands"); 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import typer
from typer.core import TyperGroup

from mesh_sim.cli.show import one_line, show_error, write_json


class ExitCode(IntEnum):
    """What the shell is told."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_YET = 3
    INTERRUPTED = 130


@dataclass(slots=True)
class Invocation:
    """One run of the command."""

    json: bool
    new_password: str | None = None
    """Of ``MESH_SIM_NEW_PASSWORD``."""


class UsageError(Exception):
    """Options that do not go together, or an input that cannot be meant."""


class CommandFailed(Exception):
    """It could not be done; the text says why and what to do."""


class Boundary(TyperGroup):
    """The root group: what can go wrong in a command leaves as an exit code; a defect stays a traceback."""

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
            status = super().main(
                given,
                prog_name or "mesh-sim",
                complete_var,
                standalone_mode=False,
                windows_expand_args=windows_expand_args,
                obj=invocation,
                **extra,
            )
        except (KeyboardInterrupt, typer.Abort):
            status = ExitCode.INTERRUPTED
        except Exception as error:
            status = _report(error, invocation)
            if status is None:
                raise
        sys.exit(status or ExitCode.DONE)


def _report(error: Exception, invocation: Invocation) -> ExitCode | None:
    """Tell an expected error; gives its exit code, or None for one that nobody expected."""
    kind, message, code = _expected(error) or (None, "", None)
    if kind is None:
        return None
    if message:
        show_error(message)
        if invocation.json:
            write_json({"error": {"kind": kind, "message": one_line(message)}})
    return code


def _expected(error: Exception) -> tuple[str, str, ExitCode] | None:
    """Give an error's kind, its text and its exit code; no text where it has been told already."""
    if isinstance(error, UsageError):
        return "UsageError", str(error), ExitCode.USAGE
    if isinstance(error, CommandFailed):
        return type(error).__name__, str(error), ExitCode.FAILED
    if misused := _misused(error):
        return misused
    # Imported now, as most runs never need them.
    from mesh_sim.certs import CertificateError
    from mesh_sim.config import SettingsError
    from mesh_sim.control import ControlError, NotInTime, RequestRefused, TokenRefused

    match error:
        case SettingsError() | RequestRefused() | TokenRefused():
            code = ExitCode.USAGE
        case NotInTime():
            code = ExitCode.NOT_YET
        case ControlError() | CertificateError():
            code = ExitCode.FAILED
        case OSError(filename=str(name), strerror=str(reason)):
            return "SystemFailed", f"{name}: {reason}", ExitCode.FAILED
        case OSError():
            code = ExitCode.FAILED
        case _:
            return None
    return type(error).__name__, str(error), code


def _misused(error: Exception) -> tuple[str, str, ExitCode] | None:
    """Describe what the option parser raised; its classes are not public, but have these in common."""
    describe = getattr(error, "format_message", None)
    if describe is None:
        return None
    if type(error).__name__ == "NoArgsIsHelpError":
        # A group without a subcommand; the help has been shown already.
        return "UsageError", "", ExitCode.USAGE
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "mesh-sim"
    message = one_line(describe()).rstrip(".").replace(": Value error, ", ": ")
    return "UsageError", f"{message}; see '{command} --help'", ExitCode.USAGE
