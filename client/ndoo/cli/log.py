"""The log file of a run: one line for each step, for whoever looks after scheduled runs.

A line says when (UTC), how grave, from which mailbox, in which command, and what. No NHS number, password,
key, token or message body is handed to a logger in this package. What other packages record is theirs to
choose, so whatever looks like a number or a token is masked on its way into the file as well.
"""

from __future__ import annotations

import json
import logging
import os
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from ndoo.cli.show import mask, note, one_line, to_json
from ndoo.errors import ConfigError

_REQUESTS: Final = logging.getLogger("ndoo._transport")
"""The library tells of each request at ``debug``; to whoever looks after a run they are steps of it."""


class Level(StrEnum):
    """How much is recorded."""

    INFO = "info"
    DEBUG = "debug"


@dataclass(slots=True)
class Context:
    """What every line says of the run; filled in once it is known."""

    command: str = ""
    mailbox: str = ""


class RunLog(logging.Handler):
    """Appends what any logger records to a file, a line each: text, or JSON.

    The file is readable by its owner only (mode 0600), unless it was there before.

    Raises:
        ConfigError: the file cannot be written.
    """

    def __init__(self, path: Path, level: Level, context: Context, *, as_json: bool) -> None:
        super().__init__()
        self._path = path
        self._context = context
        self._as_json = as_json
        self._failed = False
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as error:
            raise ConfigError(
                f"{path}: the log cannot be written: {error.strerror}; name another file with --log"
            ) from error
        self._before = {logger: logger.level for logger in (logging.getLogger(), _REQUESTS)}
        logging.getLogger().setLevel(logging.DEBUG if level is Level.DEBUG else logging.INFO)
        _REQUESTS.setLevel(logging.DEBUG)
        logging.getLogger().addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Append a record."""
        try:
            line = f"{self._write(record)}\n".encode("utf-8", "backslashreplace")
            # One write to the end: two runs can share the file.
            os.write(self._file, line)
        except Exception as error:  # noqa: BLE001 -- a log that cannot be kept must not stop the run
            if not self._failed:
                self._failed = True
                reason = error.strerror if isinstance(error, OSError) else type(error).__name__
                note(f"{self._path}: the log is not complete: {reason}")

    def close(self) -> None:
        """Let go of the loggers and of the file."""
        logging.getLogger().removeHandler(self)
        for logger, level in self._before.items():
            logger.setLevel(level)
        os.close(self._file)
        super().close()

    def _write(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        level = "info" if record.name == _REQUESTS.name else record.levelname.lower()
        head = {
            "time": time.replace("+00:00", "Z"),
            "level": level,
            "mailbox": self._context.mailbox,
            "command": self._context.command,
        }
        what, given = _describe(record)
        # A fact does not take the place of what every line has.
        facts = {name: _masked(value) for name, value in given.items() if name not in (*head, "what")}
        what = mask(one_line(what))
        if self._as_json:
            return json.dumps({**head, "what": what, **facts}, default=to_json)
        words = [f"{name}={value}" for name, value in facts.items()]
        return " ".join([f"{' '.join(value or '-' for value in head.values())}:", what, *words])


def _describe(record: logging.LogRecord) -> tuple[str, Mapping[str, Any]]:
    """Give what a record says, and the facts beside it."""
    fields = vars(record)
    if record.name == "stamina":
        # Its own text is a key, and its extras show arguments and texts of exceptions.
        return "trying again", {
            "try": fields.get("stamina.retry_num"),
            "wait_s": fields.get("stamina.wait_for"),
        }
    facts = dict(fields.get("facts", {}))
    if record.exc_info and (error := record.exc_info[1]) is not None:
        facts["error"], facts["at"] = type(error).__name__, where(error)
    return record.getMessage(), facts


def where(error: BaseException) -> str:
    """Say where an exception was raised; its text may hold anything, and is left out."""
    frames = traceback.extract_tb(error.__traceback__)
    return " > ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)


def _masked(value: Any) -> Any:
    safe = mask(one_line(str(value)))
    return value if safe == str(value) else safe
