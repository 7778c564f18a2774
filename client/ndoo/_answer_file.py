"""The files of an answer: taken in block by block, checked, and made into the output asked for.

Everything here blocks and is meant for a thread. A list of any length takes no more memory than the set of
its numbers, and that only where rows are filtered or a cache is verified.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from ndoo._cache_file import open_cache, read_frame, verified_records
from ndoo.cache import CacheHeader, TemporaryCache, read_status
from ndoo.errors import CacheError, ConfigError, ListError
from ndoo.filtering import FilterSummary, filter_csv
from ndoo.journal import Form, Submission
from ndoo.lists import (
    BLOCK_BYTES,
    RECORD_BYTES,
    NumberRule,
    Numbers,
    NumberSet,
    RecordBlock,
    RecordReader,
)
from ndoo.output import sync_folder, write_output
from ndoo.progress import SILENT, Progress
from ndoo.protocol import INVALID_LIST_ANSWER, WORKFLOW_CACHE

_FRAME_BYTES: Final = 8192
"""More than the first and last lines of a cache file, or the sentence about invalid numbers, can take."""


@contextmanager
def writing_errors(target: Path) -> Iterator[None]:
    """Turn what the system says about a file that cannot be written into a ``ConfigError``."""
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{target}: cannot be written: {error.strerror}") from error


class NotAnAnswer(Exception):
    """A body that is not the answer to the list that was sent; the text completes "the answer ..."."""


def read_submitted(path: Path) -> NumberSet | None:
    """Read the list that was submitted, or give None where it is not kept here."""
    try:
        return _read_numbers(path)
    except FileNotFoundError:
        return None


def _read_numbers(path: Path) -> NumberSet:
    reader = RecordReader(NumberRule.DIGITS, answer=True)
    return NumberSet.from_arrays(block.numbers for block in reader.read(_blocks(path)))


class AnswerBody:
    """Takes in an answer's body; checks it on the way and at its end.

    Args:
        file: where it is kept, and ``path`` its name.
        path: see ``file``.
        submission: what it is to be the answer to.
        submitted: the numbers that were submitted, the only ones that may be in it; None if not known.
    """

    def __init__(
        self, file: BinaryIO, path: Path, submission: Submission, submitted: NumberSet | None
    ) -> None:
        self.path = path
        self.size = 0
        self._file = file
        self._submission = submission
        self._submitted = submitted
        self._is_cache = submission.workflow_id == WORKFLOW_CACHE
        self._reader = RecordReader(NumberRule.DIGITS, answer=True)
        self._records = 0
        self._strangers = 0
        self._sound = True

    def is_rejection(self) -> bool:
        """Tell, once all is taken in, whether it is the service's sentence about invalid numbers."""
        if self.size > _FRAME_BYTES:
            return False
        with writing_errors(self.path.parent):
            self._file.flush()
        return self.path.read_bytes().strip() == INVALID_LIST_ANSWER

    def take(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            NotAnAnswer: it has become longer than any answer to the list can be.
            ConfigError: it cannot be kept.
        """
        with writing_errors(self.path.parent):
            self._file.write(data)
        self.size += len(data)
        # A record may end in CRLF where the service is generous.
        if self.size > _FRAME_BYTES + self._submission.records * (RECORD_BYTES + 1):
            raise NotAnAnswer("is longer than the list that was sent")
        if not self._is_cache:
            self._judge(self._reader.feed(data))

    def finish(self, password: str) -> NumberSet:
        """Check the whole body, which must not be a rejection, and give its numbers, one for each record.

        Raises:
            NotAnAnswer: it is no cleaned list or no sound cache, has more records than were submitted, or a
                number that was not submitted or comes twice.
            ConfigError: it cannot be kept.
        """
        with writing_errors(self.path.parent):
            self._file.flush()
        if not self.size:
            # Nobody left is a line feed; with nothing at all something went wrong on the way.
            raise NotAnAnswer("is empty")
        if self._is_cache:
            numbers = self._verify_cache(password)
        else:
            self._judge(self._reader.finish())
            numbers = _read_numbers(self.path)
        if not self._sound:
            raise NotAnAnswer("is not a list of NHS numbers")
        if self._records > self._submission.records:
            raise NotAnAnswer(
                f"has {self._records:,} records, more than the {self._submission.records:,} submitted"
            )
        if self._strangers:
            raise NotAnAnswer(f"has {self._strangers:,} NHS numbers that were not submitted")
        if len(numbers) < self._records:
            raise NotAnAnswer("repeats NHS numbers, and each was submitted once")
        return numbers

    def keep(self, aside: Path) -> None:
        """Keep what was taken in under another name, on the disk, for people to look at.

        Raises:
            ConfigError: it cannot be kept.
        """
        with writing_errors(aside):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self.path.replace(aside)
            sync_folder(aside.parent)

    def _judge(self, blocks: Iterator[RecordBlock]) -> None:
        for block in blocks:
            self._records += len(block)
            valid = block.valid
            self._sound = self._sound and bool(valid.all())
            self._look_for_strangers(block.numbers[valid])

    def _verify_cache(self, password: str) -> NumberSet:
        try:
            # Whether it may be used today is asked at each use; here only every byte must be right.
            with open_cache(self.path) as stream:
                frame = read_frame(self.path, stream)
                found = NumberSet.from_arrays(
                    self._look_for_strangers(numbers)
                    for numbers in verified_records(self.path, stream, frame, password)
                )
        except CacheError as error:
            raise NotAnAnswer(f"is not a sound temporary cache: {error.reason}") from error
        status = frame.status
        if (status.mailbox, status.local_id) != (self._submission.mailbox, self._submission.local_id):
            raise NotAnAnswer("is the temporary cache of another submission")
        self._records = status.records
        return found

    def _look_for_strangers(self, numbers: Numbers) -> Numbers:
        if self._submitted is not None:
            self._strangers += len(numbers) - int(np.count_nonzero(self._submitted.contains(numbers)))
        return numbers


# -- the output -------------------------------------------------------------------------------------


class _OnlyTrying(Exception):
    """Ends a write that was begun to see whether it could be."""


def check_output(source: Path, output: Path, force: bool) -> None:
    """Refuse now what would otherwise be refused when the answer is here.

    Raises:
        OutputExists: ``output`` exists, and ``force`` is not given.
        ConfigError: it cannot be written, or is the source itself.
    """
    with suppress(OSError):
        if output.samefile(source):
            raise ConfigError(f"{output}: is the source itself; name another file to write to")
    with suppress(_OnlyTrying), write_output(output, force):
        raise _OnlyTrying


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was written: records of the answer, rows of a table, the file, and what a person should know."""

    returned: int
    table: FilterSummary | None
    output: Path
    cache_expires: datetime | None
    notes: tuple[str, ...]

    def to_json(self) -> str:
        """Write it down, as for the journal."""
        expires = self.cache_expires
        return json.dumps(
            {
                "returned": self.returned,
                "table": asdict(self.table) if self.table is not None else None,
                "output": str(self.output),
                "cache_expires": expires.isoformat() if expires is not None else None,
                "notes": self.notes,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Outcome:
        """Read what ``to_json`` wrote."""
        fields = json.loads(text)
        table, expires = fields["table"], fields["cache_expires"]
        return cls(
            fields["returned"],
            FilterSummary(**table) if table is not None else None,
            Path(fields["output"]),
            datetime.fromisoformat(expires) if expires is not None else None,
            tuple(fields["notes"]),
        )


@dataclass(frozen=True, slots=True)
class Target:
    """How an answer becomes a file.

    ``password`` is the mailbox's and ``lifetime`` that of a cache made here; ``force`` lets another file
    of the output's name be replaced, and ``progress`` is told how much of the source has been filtered.
    """

    submission: Submission
    password: str = field(repr=False)
    lifetime: timedelta
    force: bool
    progress: Progress = SILENT

    def write(self, answer: Path, numbers: NumberSet) -> Outcome:
        """Write the output from a checked answer, and the numbers in it; whole or not at all.

        Raises:
            OutputExists: there is a file of that name, and ``force`` is not given.
            ConfigError: the output cannot be written.
        """
        with writing_errors(self.submission.output):
            match self.submission.form:
                case Form.LIST:
                    return self._list(answer, len(numbers))
                case Form.TABLE:
                    return self._table(answer, numbers)
                case Form.CACHE:
                    return self._cache(answer, len(numbers))

    def _list(self, answer: Path, returned: int) -> Outcome:
        output = self.submission.output
        self._copy(answer, output)
        return Outcome(returned, None, output, None, _notes(returned))

    def _table(self, answer: Path, numbers: NumberSet) -> Outcome:
        submission = self.submission
        returned = len(numbers)
        notes = _notes(returned)
        try:
            with write_output(submission.output, self.force) as out:
                table = filter_csv(
                    submission.source,
                    out,
                    numbers.contains,
                    column=submission.column,
                    rule=NumberRule(submission.rule),
                    repair=submission.repair,
                    as_workbook=submission.output.suffix.lower() == ".xlsx",
                    progress=self.progress.filtering,
                )
        except ListError as error:
            # The answer cannot be had again, but the source can: so the answer is what is kept. Nobody
            # else makes a file named after this local id, so that one from an earlier try is our own.
            output = submission.output.with_name(f"{submission.local_id}.dat")
            self._copy(answer, output, force=True)
            note = (
                f"the rows could not be filtered ({error}); the cleaned list was written instead, for use "
                "with 'ndoo filter --answer'"
            )
            return Outcome(returned, None, output, None, (*notes, note))
        if (table.kept + table.removed, table.blank, table.invalid) != (
            submission.records + submission.duplicates,
            submission.blank,
            submission.skipped,
        ):
            notes += ("the source has changed since it was submitted; rows added since then were removed",)
        return Outcome(returned, table, submission.output, None, notes)

    def _cache(self, answer: Path, returned: int) -> Outcome:
        submission = self.submission
        notes = _notes(returned)
        if submission.workflow_id == WORKFLOW_CACHE:
            self._copy(answer, submission.output)
            return Outcome(returned, None, submission.output, read_status(answer).expires, notes)
        # The service looked into its register at some time after this one: a cache made here must not
        # outlive what it knows, however late it is collected.
        created = submission.prepared_at
        header = CacheHeader(created, created + self.lifetime, submission.mailbox, submission.local_id)
        status = TemporaryCache.create(
            _blocks(answer), submission.output, header, self.password, force=self.force
        )
        return Outcome(returned, None, submission.output, status.expires, notes)

    def _copy(self, answer: Path, output: Path, *, force: bool = False) -> None:
        with answer.open("rb") as source, write_output(output, force or self.force) as out:
            shutil.copyfileobj(source, out, BLOCK_BYTES)


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            yield block


def _notes(returned: int) -> tuple[str, ...]:
    return () if returned else ("everybody on the list has opted out",)
