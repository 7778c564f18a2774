"""Where every error of a command becomes one line for people, one object for programs, and an exit code.

0 done, 1 failed, 2 wrong usage or setting, 3 not yet (design.md, "Commands"); 130 interrupted.
"""

from __future__ import annotations

import io
import logging
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import typer
from typer.core import TyperGroup

from ndoo.cli.help import hide_types
from ndoo.cli.log import Context, Level, RunLog, where
from ndoo.cli.running import stoppable
from ndoo.cli.show import RUN, mask, one_line, show_error, write_json
from ndoo.errors import AnswerPending, ColumnError, ConfigError, InvalidNumbers, MailboxBusy, NdooError
from ndoo.output import NO_SPACE

SUBMITTING: Final = frozenset({"check", "submit", "collect", "cache refresh"})
"""Commands that may be stopped while a list is away."""

_ROOT_OPTIONS: Final = {
    "--profile": "--profile int",
    "--debug": "--debug",
    "--log": "--log ndoo.log",
    "--log-level": "--log-level debug",
}
"""Options that go before the command, each as it may be given."""

_DISK_TROUBLE: Final = (5, 10, 13)
"""SQLite's codes for a database that is locked, a disk that fails, and one that is full."""


class ExitCode(IntEnum):
    """What the shell is told."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_YET = 3
    INTERRUPTED = 130


@dataclass(slots=True, kw_only=True)
class Invocation(Context):
    """One run of the command; the root's options are filled in once they are parsed."""

    json: bool
    debug: bool = False
    profile: str | None = None
    log: RunLog | None = None
    begun: float = field(default_factory=time.monotonic)

    def open_log(self, path: Path, level: Level) -> None:
        """Keep a log of this run from now on.

        Raises:
            ConfigError: the file cannot be written.
        """
        self.log = RunLog(path, level, self, as_json=self.json)
        RUN.info("begins", extra={"facts": {"version": version("mesh-sim")}})
        RUN.debug("python %s on %s", sys.version.split()[0], sys.platform)

    def close_log(self, status: int) -> None:
        """Record how the run ended."""
        if self.log is not None:
            seconds = round(time.monotonic() - self.begun, 3)
            RUN.info("ends", extra={"facts": {"exit_code": int(status), "seconds": seconds}})
            self.log.close()


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
        case ConfigError(__cause__=OSError(errno=number)) if number in NO_SPACE:
            return ExitCode.FAILED
        case ConfigError(__cause__=cause) if getattr(cause, "sqlite_errorcode", 0) & 0xFF in _DISK_TROUBLE:
            return ExitCode.FAILED
        case ConfigError() | ColumnError() | UsageError():
            return ExitCode.USAGE
        case AnswerPending() | MailboxBusy():
            return ExitCode.NOT_YET
        case Interrupted():
            return ExitCode.INTERRUPTED
        case _:
            return ExitCode.FAILED


class App(typer.Typer):
    """The command as a whole; Ctrl-C ends it in good order also while its options are put together."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run it, and leave with its exit code."""
        try:
            return super().__call__(*args, **kwargs)
        except KeyboardInterrupt:
            show_error(["interrupted"])
            sys.exit(ExitCode.INTERRUPTED)


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
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                # A file's name may have letters that the terminal's encoding has not.
                stream.reconfigure(errors="backslashreplace")
        # Looked up beforehand: a program is answered in JSON also when the options do not parse.
        invocation = Invocation(json="--json" in given)
        hide_types(self)
        extra |= {"complete_var": complete_var, "windows_expand_args": windows_expand_args}
        with stoppable():
            try:
                status = self._run(given, prog_name or "ndoo", invocation, **extra)
            except KeyboardInterrupt:  # outside of a command
                status = _report(Interrupted("interrupted"), invocation)
            invocation.close_log(status)
        sys.exit(status)

    def _run(self, args: list[str], prog_name: str, invocation: Invocation, **extra: Any) -> int:
        try:
            status = super().main(args, prog_name, standalone_mode=False, obj=invocation, **extra)
        except NdooError as error:
            return _report(error, invocation)
        except OSError as error:
            return _report(system_failed(error), invocation)
        except Exception as error:  # noqa: BLE001 -- the last boundary: a defect is told as one
            return self._report_usage(error, args, invocation) or _report_defect(error, invocation)
        if status == ExitCode.INTERRUPTED:  # while the options were read
            raise KeyboardInterrupt
        return status or ExitCode.DONE

    def _report_usage(self, error: Exception, args: Sequence[str], invocation: Invocation) -> ExitCode | None:
        """Report what the option parser raised; its classes are not public, but have these in common."""
        describe = getattr(error, "format_message", None)
        if describe is None:
            return None
        if type(error).__name__ == "NoArgsIsHelpError":
            # A group without a subcommand; the help has been shown already.
            return ExitCode.USAGE
        message = mask(_in_our_words(error, one_line(describe()).rstrip("."), args))
        context = getattr(error, "ctx", None)
        command = self._named_in(args) if context is None else context.command_path
        show_error([f"{message}; see '{command} --help'"], error="UsageError")
        if invocation.json:
            write_json({"error": {"kind": "UsageError", "message": mask(message)}})
        return ExitCode.USAGE

    def _named_in(self, args: Sequence[str]) -> str:
        """Find the command in what was typed."""
        words, found = ["ndoo"], self.commands
        for word in args:
            if word in found:
                words.append(word)
                found = getattr(found[word], "commands", {})
        return " ".join(words)

    def invoke(self, ctx: Any) -> Any:
        """Run a subcommand; Ctrl-C becomes an error like the others."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            safe = (
                "; a list already submitted is not lost: 'ndoo pending' shows it and 'ndoo collect' fetches "
                "its answer"
                if ctx.obj.command in SUBMITTING
                else ""
            )
            raise Interrupted(f"interrupted{safe}") from None


def _report(error: NdooError, invocation: Invocation) -> ExitCode:
    lines = [str(error)]
    if isinstance(error, InvalidNumbers):
        lines += [f"line {line:,}: {reason}" for line, reason in error.samples]
        if error.count > len(error.samples):
            lines.append(f"and {error.count - len(error.samples):,} more")
        lines += _advice(error, submitting=invocation.command in SUBMITTING)
    code = exit_code(error)
    # That there is no answer yet is no failure, nor that somebody stopped the run.
    expected = code in (ExitCode.NOT_YET, ExitCode.INTERRUPTED)
    show_error(lines, level=logging.WARNING if expected else logging.ERROR, error=type(error).__name__)
    if invocation.json:
        details = {name: _masked(value) for name, value in vars(error).items() if value not in (None, "", ())}
        write_json({"error": {"kind": type(error).__name__, "message": mask(str(error)), **details}})
    return code


def _masked(value: Any) -> Any:
    """Mask what a person may have written, such as a column's name; a path is left, to be found by."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, tuple):
        return tuple(map(_masked, value))
    return value


def _advice(error: InvalidNumbers, *, submitting: bool) -> list[str]:
    """Say what to do about invalid numbers."""
    if not submitting:
        return ["--repair puts the leading zeros back"] if error.repairable else []
    if error.repairable == error.count:
        return ["nothing was sent; compare a few with your system, then run it again with --repair"]
    repair = ", put the leading zeros back with --repair," if error.repairable else ","
    return [f"nothing was sent; correct the list{repair} or leave these rows out with --skip-invalid"]


def _in_our_words(error: Any, message: str, args: Sequence[str]) -> str:
    """Put what the option parser says into words that whoever typed ``args`` can do something with."""
    option = getattr(error, "option_name", "")
    if type(error).__name__ == "NoSuchOption" and option in _ROOT_OPTIONS:
        return f"{option} goes before the command, as in: ndoo {_ROOT_OPTIONS[option]} check LIST"
    if (unexpected := "unexpected extra argument" in message) or "does not take a value" in message:
        context = getattr(error, "ctx", None)
        known = () if context is None else context.command.params
        # Of a command that reads a cache, --cache does take a name.
        is_flag = option == "--cache" or any("--cache" in each.opts and each.is_flag for each in known)
        if is_flag and (given := [*_after("--cache", args)]):
            return f"here --cache takes no name; name the cache with -o {one_line(given[0])}"
        return f"{message}; a name with blanks needs quotation marks" if unexpected else message
    if "Input should be" in message:
        head, _, _ = message.partition("Input should be")
        least = getattr(getattr(error, "param", None), "min", None)
        return f"{head}must be a whole number{'' if least is None else f', {least:,} or more'}"
    return message.replace("Value error, ", "")


def _after(option: str, args: Sequence[str]) -> Iterator[str]:
    """Give what stands where the value of an option would."""
    for word, following in zip(args, [*args[1:], "-"], strict=True):
        if word == option and not following.startswith("-"):
            yield following
        elif word.startswith(f"{option}="):
            yield word.partition("=")[2]


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
    """Own up to a defect on standard error and in the log, and say where it happened or how to see that."""
    if debug:
        typer.echo(mask("".join(traceback.format_exception(error))), err=True, nl=False)
        how = "the lines above say where"
    else:
        how = "'ndoo --debug ...' shows where it happened"
    show_error([f"{name_defect(error)}; {how}"], error="Bug", at=where(error))
