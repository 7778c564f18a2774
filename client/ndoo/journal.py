"""Submissions awaiting an answer, so that a wait that was interrupted goes on where it was.

An answer takes forty minutes, now and then a day (ndoo-service.md, "The exchange"): the computer that
waits may well be restarted in between. Every step of a submission is therefore durable here before the
next is taken. The journal holds counts and names of files, and no NHS number.

The list itself is kept in a folder beside it, as it was made up for sending, until the submission ends: so
that it can be sent, or sent again, whatever has become of the source, and the answer be compared with it.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from ndoo import _journal_sql as sql
from ndoo.errors import CheckError, ConfigError, LocalIdTaken, SubmissionUnknown
from ndoo.output import remove_abandoned, sync_folder
from ndoo.submission import COMES_FROM, Draft, Form, Stage, Submission, Visits

__all__ = ["Draft", "Form", "Journal", "Stage", "Submission", "Visits"]

_LOCK_SECONDS: Final = 30.0
_NO_NAME = re.compile(r"[^A-Za-z0-9_-]")

_REASONS: Final = {
    sqlite3.SQLITE_NOTADB: "it is not a journal of ndoo, or is damaged; move it out of the way",
    sqlite3.SQLITE_CORRUPT: "it is damaged; move it out of the way",
    sqlite3.SQLITE_BUSY: "another program keeps it locked",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check the folder and its permissions",
    sqlite3.SQLITE_PERM: "permission denied",
    sqlite3.SQLITE_READONLY: "it may not be written; check its permissions and those of its folder",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk cannot be read or written",
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

    __slots__ = ("now", "path")

    def __init__(self, path: Path, *, now: Callable[[], datetime] = _utc_now) -> None:
        self.path = path
        self.now = now
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.mkdir(mode=0o700, exist_ok=True)
            # Never an existing file: closing it would drop the locks of this process's other connections.
            with suppress(FileExistsError):
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except OSError as error:
            raise ConfigError(
                f"{path}: the journal of submissions cannot be used: {error.strerror}"
            ) from error
        with self._open() as connection:
            self._check(connection)

    @property
    def folder(self) -> Path:
        """Where lists, and answers that were refused, are kept."""
        return self.path.with_name(f"{self.path.stem}-lists")

    def list_of(self, local_id: str) -> Path:
        """Name the file that a submission's list is kept in; it is gone when the submission has ended."""
        return self.folder / f"{local_id}.dat"

    def answer_of(self, local_id: str) -> Path:
        """Name what a submission's answer is taken in as, before it is looked at; see ``open_part``."""
        return self.folder / f"{local_id}-answer.dat"

    def refused(self, local_id: str, message_id: str) -> Path:
        """Name the file that the body of an answer is kept in which was refused, for people to look at."""
        return self.folder / f"{local_id}-refused-{_NO_NAME.sub('_', message_id)}.dat"

    def next_local_id(self, mailbox: str, skip: int = 0) -> str:
        """Propose a local id that no submission has: ``<mailbox>-<DDMMYY>-<nnnn>``.

        nnnn counts the mailbox's submissions of the month (ndoo-service.md, "The exchange", file name);
        ``skip`` leaves that many numbers out.
        """
        now = self.now().astimezone(UTC)
        with self._open() as connection:
            values = {"mailbox": mailbox, "month": f"{now:%Y-%m}"}
            (last,) = connection.execute(sql.LAST_NUMBER, values).fetchone()
        return f"{mailbox}-{now:%d%m%y}-{(last or 0) + 1 + skip:04d}"

    def prepare(self, draft: Draft, list_file: Path, local_id: str) -> Submission:
        """Record a list about to be submitted.

        Args:
            draft: the submission.
            list_file: the list, in :attr:`folder` and on the disk; it is renamed to :meth:`list_of`.
            local_id: as :meth:`next_local_id` gave it.

        Raises:
            LocalIdTaken: another process has taken the local id since; ``list_file`` is where it was.
        """
        submission = Submission(
            **{field.name: getattr(draft, field.name) for field in fields(Draft)},
            local_id=local_id,
            stage=Stage.PREPARED,
            prepared_at=self.now().astimezone(UTC),
        )
        _, date, number = local_id.rsplit("-", 2)
        row = _to_row(submission) | {"month": f"20{date[4:]}-{date[2:4]}", "number": int(number)}
        with self._writing() as connection:
            try:
                connection.execute(sql.ADD, row)
            except sqlite3.IntegrityError as error:
                raise LocalIdTaken(local_id, f"{local_id} has just been taken by another process") from error
            # Before the record is: a submission that is known of has its list, whatever happens in between.
            with self._keeping():
                list_file.replace(self.list_of(local_id))
                sync_folder(self.folder)
                self._remove_ended(connection, submission.mailbox)
        return submission

    def _remove_ended(self, connection: sqlite3.Connection, mailbox: str) -> None:
        """Remove the lists of ended submissions that a process was killed before it could remove.

        Within a transaction that writes, for another process has its list there before it is recorded.
        """
        rows = connection.execute(sql.PENDING, {"mailbox": mailbox, "url": None})
        awaited = {row["local_id"] for row in rows}
        own = re.compile(rf"{re.escape(mailbox)}-\d{{6}}-\d{{4,}}", re.ASCII)
        for path in self.folder.glob(f"{mailbox}-*.dat"):
            if own.fullmatch(path.stem) and path.stem not in awaited:
                path.unlink(missing_ok=True)

    def tried(self, local_id: str) -> Submission:
        """Record that the list is about to be sent, perhaps again."""
        return self._step(local_id, None, tried_at=self.now())

    def sent(self, local_id: str, message_id: str) -> Submission:
        """Record that MESH has accepted the list, as ``message_id``."""
        return self._step(
            local_id, Stage.SENT, sent_at=self.now(), message_id=message_id, finished_at=None, note=""
        )

    def receipted(self, local_id: str) -> Submission:
        """Record that the service's receipt was seen."""
        return self._step(local_id, None, receipt_at=self.now())

    def answered(self, local_id: str, answer_id: str) -> Submission:
        """Record that the answer is here, whole, and that the output is going to be written from it.

        From here on a file under the output's name is this submission's own.
        """
        return self._step(local_id, None, answer_id=answer_id)

    def written(self, local_id: str, outcome: str) -> Submission:
        """Record that the output is on the disk, and what is to be remembered of it."""
        return self._step(local_id, Stage.WRITTEN, outcome=outcome)

    def remarked(self, local_id: str, sentence: str) -> Submission:
        """Record something that a person should be told with the result."""
        return self._step(local_id, None, remark=_as_text(sentence))

    def collected(self, local_id: str, note: str) -> Submission:
        """Record that the answer was acknowledged too, which ends the submission."""
        return self._end(local_id, Stage.COLLECTED, note)

    def failed(self, local_id: str, note: str) -> Submission:
        """Record that there will be no answer, and why."""
        return self._end(local_id, Stage.FAILED, note)

    def _end(self, local_id: str, stage: Stage, note: str) -> Submission:
        ended = self._step(local_id, stage, finished_at=self.now(), note=_as_text(note))
        with self._keeping():
            self.list_of(local_id).unlink(missing_ok=True)
        remove_abandoned(self.answer_of(local_id))
        return ended

    def get(self, local_id: str) -> Submission:
        """Give one submission.

        Raises:
            SubmissionUnknown: there is none of this local id.
        """
        with self._open() as connection:
            return _get(connection, local_id)

    def find(self, local_ids: Iterable[str]) -> dict[str, Submission]:
        """Give the submissions of these local ids, as far as there are any, by local id."""
        with self._open() as connection:
            rows = (connection.execute(sql.GET, (local_id,)).fetchone() for local_id in set(local_ids))
            found = (_from_row(row) for row in rows if row is not None)
            return {submission.local_id: submission for submission in found}

    def pending(self, mailbox: str | None = None, url: str | None = None) -> tuple[Submission, ...]:
        """List the submissions that are not finished, oldest first; of one mailbox or server, if given."""
        with self._open() as connection:
            rows = connection.execute(sql.PENDING, {"mailbox": mailbox, "url": url}).fetchall()
            return tuple(map(_from_row, rows))

    # -- visits -------------------------------------------------------------------------------------

    def visits(self, url: str, mailbox: str) -> Visits:
        """Tell when a mailbox was last visited from here, by any process that uses this journal."""
        with self._open() as connection:
            row = connection.execute(sql.VISITS, (url, mailbox)).fetchone()
        if row is None:
            return Visits()
        return Visits(*(datetime.fromisoformat(time) if time else None for time in row))

    def shook_hands(self, url: str, mailbox: str) -> None:
        """Record a handshake."""
        self._visit(sql.SHOOK_HANDS, url, mailbox)

    def looked(self, url: str, mailbox: str) -> None:
        """Record a look into the inbox."""
        self._visit(sql.LOOKED, url, mailbox)

    def strangers(self, url: str, mailbox: str) -> frozenset[str]:
        """Give the ids of messages that were seen to have nothing to do with any submission from here."""
        with self._open() as connection:
            return frozenset(row[0] for row in connection.execute(sql.STRANGERS, (url, mailbox)))

    def set_strangers(self, url: str, mailbox: str, message_ids: frozenset[str]) -> None:
        """Record these ids in the place of those before."""
        with self._writing() as connection:
            connection.execute(sql.FORGET_STRANGERS, (url, mailbox))
            rows = [(url, mailbox, message_id) for message_id in sorted(message_ids)]
            connection.executemany(sql.ADD_STRANGER, rows)

    def _visit(self, statement: str, url: str, mailbox: str) -> None:
        with self._writing() as connection:
            connection.execute(statement, {"url": url, "mailbox": mailbox, "at": _to_value(self.now())})

    # -- steps --------------------------------------------------------------------------------------

    def _step(self, local_id: str, stage: Stage | None, *, remark: str = "", **changes: Any) -> Submission:
        """Take a step.

        Raises:
            SubmissionUnknown: there is no submission of this local id.
            CheckError: this step does not follow from where the submission is.
        """
        with self._writing() as connection:
            current = _get(connection, local_id)
            if stage is not None and current.stage not in COMES_FROM[stage]:
                raise CheckError(local_id, f"{local_id} is {current.stage} already and cannot become {stage}")
            row = _to_row(current) | {"stage": stage or current.stage}
            row |= {name: _to_value(value) for name, value in changes.items()}
            if remark and remark not in current.remarks:
                row["remarks"] = _to_value((*current.remarks, remark))
            connection.execute(sql.UPDATE, row)
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
        except (_Damaged, UnicodeDecodeError) as error:
            raise self._unusable(_REASONS[sqlite3.SQLITE_CORRUPT]) from error

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Open a transaction that keeps other writers waiting; committed at the end, or undone."""
        with self._open() as connection:
            connection.execute("BEGIN IMMEDIATE")
            # Closing the connection undoes what was not committed.
            yield connection
            connection.execute("COMMIT")

    @contextmanager
    def _keeping(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ConfigError(f"{self.folder}: lists cannot be kept there: {error.strerror}") from error

    def _check(self, connection: sqlite3.Connection) -> None:
        """Make sure that the file is a journal of this version; an empty one, or an older, becomes it."""
        if _identity(connection) == (sql.APPLICATION_ID, sql.VERSION):
            return
        connection.execute("BEGIN IMMEDIATE")
        # Another process may have been here first, between the look and the lock.
        application_id, version = _identity(connection)
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if application_id == sql.APPLICATION_ID and version > sql.VERSION:
            raise self._unusable("it was made by a newer ndoo; use that one")
        if application_id != sql.APPLICATION_ID and (application_id, tables) != (0, 0):
            raise self._unusable("it is another program's database; name another file")
        for steps in sql.STEPS[version if application_id else 0 :]:
            for statement in steps:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {sql.VERSION}")
        connection.execute("COMMIT")

    def _unusable(self, reason: str) -> ConfigError:
        return ConfigError(f"{self.path}: the journal of submissions cannot be used: {reason}")


def _identity(connection: sqlite3.Connection) -> tuple[int, int]:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return application_id, version


def _get(connection: sqlite3.Connection, local_id: str) -> Submission:
    row = connection.execute(sql.GET, (local_id,)).fetchone()
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
    "tried_at": datetime.fromisoformat,
    "sent_at": datetime.fromisoformat,
    "receipt_at": datetime.fromisoformat,
    "finished_at": datetime.fromisoformat,
    "repair": bool,
    "replace": bool,
    "renew": bool,
    "compress": bool,
    "remarks": lambda text: tuple(json.loads(text)),
}


class _Damaged(Exception):
    """A record has values that no journal writes, as after a fault of the disk."""


def _from_row(row: sqlite3.Row) -> Submission:
    values: dict[str, Any] = {}
    for field in fields(Submission):
        convert = _FROM_VALUE.get(field.name)
        try:
            value = row[field.name]
            values[field.name] = convert(value) if convert is not None and value is not None else value
        except (ValueError, TypeError, IndexError) as error:
            raise _Damaged from error
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
    if isinstance(value, tuple):
        return json.dumps(value)
    return value
