"""Submissions awaiting an answer, so that a wait that was interrupted goes on where it was.

An answer takes forty minutes, now and then a day (ndoo-service.md, "The exchange"): the computer that
waits may well be restarted in between. Every step of a submission is therefore durable here before the
next is taken. The journal holds counts and names of files, and no NHS number.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from ndoo.errors import CheckError, ConfigError, SubmissionUnknown


class Form(StrEnum):
    """What the answer is made into."""

    LIST = "list"
    """The cleaned list as it was answered."""

    TABLE = "table"
    """The source without the rows of people who have opted out."""

    CACHE = "cache"
    """A temporary cache."""


class Stage(StrEnum):
    """How far a submission is."""

    PREPARED = "prepared"
    """Recorded; whether it was sent is not known yet."""

    SENT = "sent"
    """Accepted by MESH for the service."""

    WRITTEN = "written"
    """The output is there; whether the answer was acknowledged is not known yet."""

    COLLECTED = "collected"
    """The output is there and the answer acknowledged."""

    FAILED = "failed"
    """There will be no answer."""


_COMES_FROM: Final = {
    # A failure may have been concluded from the server's not knowing the message, while another process
    # was still sending it; that it was accepted after all is then the truth.
    Stage.SENT: {Stage.PREPARED, Stage.SENT, Stage.FAILED},
    Stage.WRITTEN: {Stage.SENT, Stage.WRITTEN},
    Stage.COLLECTED: {Stage.SENT, Stage.WRITTEN, Stage.COLLECTED},
    Stage.FAILED: {Stage.PREPARED, Stage.SENT, Stage.FAILED},
}
"""From which stages each is reached; staying is allowed, for a step may be repeated after a crash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A list about to be submitted.

    ``source`` and ``output`` are absolute. ``records`` counts the NHS numbers in the list, ``blank`` and
    ``skipped`` the rows of the source without a number and with an invalid one. ``column`` is the
    NHS-number column, where one was named, and ``rule`` what counted as a valid number.
    """

    subject: str
    url: str
    mailbox: str
    service_mailbox: str
    workflow_id: str
    source: Path
    output: Path
    form: Form
    column: str | None
    rule: str
    records: int
    blank: int
    skipped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission(Draft):
    """A list with a local id, and what became of it. Times are in UTC and real.

    ``message_id`` is empty until the list is known to be sent. ``receipt_at`` is when the service's receipt
    was seen. ``answer_id`` is the answer's message id, set before anything is written to ``output``;
    ``outcome`` is what the writer of the output wants remembered of it. ``note`` says how it ended.
    """

    local_id: str
    stage: Stage
    prepared_at: datetime
    sent_at: datetime | None = None
    message_id: str = ""
    receipt_at: datetime | None = None
    answer_id: str = ""
    outcome: str = ""
    finished_at: datetime | None = None
    note: str = ""


# -- storage ----------------------------------------------------------------------------------------

_APPLICATION_ID: Final = 0x6E646F6F  # "ndoo"
_VERSION: Final = 1
_LOCK_SECONDS: Final = 30.0

_SCHEMA: Final = (
    """
    CREATE TABLE submissions (
        position INTEGER PRIMARY KEY,
        local_id TEXT NOT NULL UNIQUE,
        month TEXT NOT NULL,
        number INTEGER NOT NULL,
        stage TEXT NOT NULL,
        subject TEXT NOT NULL,
        url TEXT NOT NULL,
        mailbox TEXT NOT NULL,
        service_mailbox TEXT NOT NULL,
        workflow_id TEXT NOT NULL,
        source BLOB NOT NULL,
        output BLOB NOT NULL,
        form TEXT NOT NULL,
        column TEXT,
        rule TEXT NOT NULL,
        records INTEGER NOT NULL,
        blank INTEGER NOT NULL,
        skipped INTEGER NOT NULL,
        prepared_at TEXT NOT NULL,
        sent_at TEXT,
        message_id TEXT NOT NULL DEFAULT '',
        receipt_at TEXT,
        answer_id TEXT NOT NULL DEFAULT '',
        outcome TEXT NOT NULL DEFAULT '',
        finished_at TEXT,
        note TEXT NOT NULL DEFAULT '',
        UNIQUE (mailbox, month, number)
    )
    """,
    f"PRAGMA application_id = {_APPLICATION_ID}",
    f"PRAGMA user_version = {_VERSION}",
)

_LAST_NUMBER: Final = "SELECT max(number) FROM submissions WHERE mailbox = :mailbox AND month = :month"

_ADD: Final = """
    INSERT INTO submissions (
        local_id, month, number, stage, subject, url, mailbox, service_mailbox, workflow_id, source, output,
        form, column, rule, records, blank, skipped, prepared_at
    ) VALUES (
        :local_id, :month, :number, :stage, :subject, :url, :mailbox, :service_mailbox, :workflow_id, :source,
        :output, :form, :column, :rule, :records, :blank, :skipped, :prepared_at
    )
"""

_GET: Final = "SELECT * FROM submissions WHERE local_id = ?"

_PENDING: Final = """
    SELECT * FROM submissions
    WHERE stage IN ('prepared', 'sent', 'written')
        AND mailbox = coalesce(:mailbox, mailbox)
        AND url = coalesce(:url, url)
    ORDER BY position
"""

_UPDATE: Final = """
    UPDATE submissions
    SET stage = :stage, sent_at = :sent_at, message_id = :message_id, receipt_at = :receipt_at,
        answer_id = :answer_id, outcome = :outcome, finished_at = :finished_at, note = :note
    WHERE local_id = :local_id
"""

_REASONS: Final = {
    sqlite3.SQLITE_NOTADB: "it is not a journal of ndoo, or is damaged; move it out of the way",
    sqlite3.SQLITE_CORRUPT: "it is damaged; move it out of the way",
    sqlite3.SQLITE_BUSY: "another program keeps it locked",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check the folder and its permissions",
    sqlite3.SQLITE_PERM: "permission denied",
    sqlite3.SQLITE_READONLY: "it may not be written; check its permissions and those of its folder",
    sqlite3.SQLITE_FULL: "the disk is full",
}


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Journal:
    """A journal in one file, which any number of processes and threads may use at once.

    Every call opens the file, and what it changed is on the disk when it returns.

    Args:
        path: the file, made with mode 0600 where it is missing, as is its folder with mode 0700.
        now: gives the present time, with a zone.

    Raises:
        ConfigError: the file cannot be made, read or written, or is no journal; so does every method.
    """

    __slots__ = ("_now", "path")

    def __init__(self, path: Path, *, now: Callable[[], datetime] = _utc_now) -> None:
        self.path = path
        self._now = now
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Never an existing file: closing it would drop the locks of this process's other connections.
            with suppress(FileExistsError):
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except OSError as error:
            raise ConfigError(
                f"{path}: the journal of submissions cannot be used: {error.strerror}"
            ) from error
        with self._open() as connection:
            self._check(connection)

    def prepare(self, draft: Draft) -> Submission:
        """Record a list about to be submitted, under a local id nobody else gets from this journal.

        The local id is ``<mailbox>-<DDMMYY>-<nnnn>``, nnnn counting the mailbox's submissions of the month
        (ndoo-service.md, "The exchange", file name).
        """
        now = self._now().astimezone(UTC)
        month = f"{now:%Y-%m}"
        with self._writing() as connection:
            (last,) = connection.execute(_LAST_NUMBER, {"mailbox": draft.mailbox, "month": month}).fetchone()
            number = (last or 0) + 1
            submission = Submission(
                **{field.name: getattr(draft, field.name) for field in fields(Draft)},
                local_id=f"{draft.mailbox}-{now:%d%m%y}-{number:04d}",
                stage=Stage.PREPARED,
                prepared_at=now,
            )
            connection.execute(_ADD, {**_to_row(submission), "month": month, "number": number})
        return submission

    def sent(self, local_id: str, message_id: str) -> Submission:
        """Record that MESH has accepted the list, as ``message_id``."""
        return self._step(
            local_id, Stage.SENT, sent_at=self._now(), message_id=message_id, finished_at=None, note=""
        )

    def receipted(self, local_id: str) -> Submission:
        """Record that the service's receipt was seen."""
        return self._step(local_id, None, receipt_at=self._now())

    def answered(self, local_id: str, answer_id: str) -> Submission:
        """Record that the answer is here, whole, and that the output is going to be written from it.

        From here on a file under the output's name is this submission's own.
        """
        return self._step(local_id, None, answer_id=answer_id)

    def written(self, local_id: str, outcome: str) -> Submission:
        """Record that the output is on the disk, and what is to be remembered of it."""
        return self._step(local_id, Stage.WRITTEN, outcome=outcome)

    def collected(self, local_id: str, note: str) -> Submission:
        """Record that the answer was acknowledged too, which ends the submission."""
        return self._step(local_id, Stage.COLLECTED, finished_at=self._now(), note=_as_text(note))

    def failed(self, local_id: str, note: str) -> Submission:
        """Record that there will be no answer, and why."""
        return self._step(local_id, Stage.FAILED, finished_at=self._now(), note=_as_text(note))

    def get(self, local_id: str) -> Submission:
        """Give one submission.

        Raises:
            SubmissionUnknown: there is none of this local id.
        """
        with self._open() as connection:
            return _get(connection, local_id)

    def pending(self, mailbox: str | None = None, url: str | None = None) -> tuple[Submission, ...]:
        """List the submissions that are not finished, oldest first; of one mailbox or server, if given."""
        with self._open() as connection:
            rows = connection.execute(_PENDING, {"mailbox": mailbox, "url": url}).fetchall()
            return tuple(map(_from_row, rows))

    def _step(self, local_id: str, stage: Stage | None, **changes: Any) -> Submission:
        """Take a step.

        Raises:
            SubmissionUnknown: there is no submission of this local id.
            CheckError: this step does not follow from where the submission is.
        """
        with self._writing() as connection:
            current = _get(connection, local_id)
            if stage is not None and current.stage not in _COMES_FROM[stage]:
                raise CheckError(local_id, f"{local_id} is {current.stage} already and cannot become {stage}")
            row = _to_row(current) | {"stage": stage or current.stage}
            row |= {name: _to_value(value) for name, value in changes.items()}
            connection.execute(_UPDATE, row)
            return _get(connection, local_id)

    # -- the file -----------------------------------------------------------------------------------

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(
                sqlite3.connect(self.path, timeout=_LOCK_SECONDS, isolation_level=None)
            ) as connection:
                connection.row_factory = sqlite3.Row
                connection.execute("PRAGMA synchronous = FULL")
                yield connection
        except sqlite3.Error as error:
            # The low byte is the kind; what is above it tells apart cases that need the same remedy.
            reason = _REASONS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, str(error))
            raise self._unusable(reason) from error

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Open a transaction that keeps other writers waiting; committed at the end, or undone."""
        with self._open() as connection:
            connection.execute("BEGIN IMMEDIATE")
            # Closing the connection undoes what was not committed.
            yield connection
            connection.execute("COMMIT")

    def _check(self, connection: sqlite3.Connection) -> None:
        """Make sure that the file is a journal; an empty one becomes it."""
        if _identity(connection) == (_APPLICATION_ID, _VERSION):
            return
        connection.execute("BEGIN IMMEDIATE")
        # Another process may have been here first, between the look and the lock.
        application_id, version = _identity(connection)
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if application_id == _APPLICATION_ID and version > _VERSION:
            raise self._unusable("it was made by a newer ndoo; use that one")
        if application_id == 0 and tables == 0:
            for statement in _SCHEMA:
                connection.execute(statement)
        elif (application_id, version) != (_APPLICATION_ID, _VERSION):
            raise self._unusable("it is another program's database; name another file")
        connection.execute("COMMIT")

    def _unusable(self, reason: str) -> ConfigError:
        return ConfigError(f"{self.path}: the journal of submissions cannot be used: {reason}")


def _identity(connection: sqlite3.Connection) -> tuple[int, int]:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return application_id, version


def _get(connection: sqlite3.Connection, local_id: str) -> Submission:
    row = connection.execute(_GET, (local_id,)).fetchone()
    if row is None:
        raise SubmissionUnknown(
            local_id, f"nothing was submitted from here as {local_id}; 'ndoo pending' lists what was"
        )
    return _from_row(row)


# -- rows -------------------------------------------------------------------------------------------

_FROM_VALUE: Final[dict[str, Callable[[Any], Any]]] = {
    "form": Form,
    "stage": Stage,
    # File names are bytes, which need not be text in any encoding.
    "source": lambda name: Path(os.fsdecode(name)),
    "output": lambda name: Path(os.fsdecode(name)),
    "prepared_at": datetime.fromisoformat,
    "sent_at": datetime.fromisoformat,
    "receipt_at": datetime.fromisoformat,
    "finished_at": datetime.fromisoformat,
}


def _from_row(row: sqlite3.Row) -> Submission:
    values: dict[str, Any] = {}
    for field in fields(Submission):
        value = row[field.name]
        convert = _FROM_VALUE.get(field.name)
        values[field.name] = convert(value) if convert is not None and value is not None else value
    return Submission(**values)


def _to_row(submission: Submission) -> dict[str, Any]:
    return {field.name: _to_value(getattr(submission, field.name)) for field in fields(Submission)}


def _as_text(note: str) -> str:
    """Replace what is no character: a file name in a note need not be text in any encoding."""
    return note.encode("utf-8", "replace").decode("utf-8")


def _to_value(value: object) -> object:
    if isinstance(value, Path):
        return os.fsencode(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return value
