"""The temporary cache: a cleaned list that stops working when it expires.

A file that was cut, changed or made for another mailbox is refused, and so is one that is past its expiry:
there is no override (ndoo-service.md, "Temporary-cache file"). The file itself is in ``ndoo._cache_file``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from ndoo._cache_file import (
    CacheHeader,
    CacheStatus,
    CacheWriter,
    open_cache,
    read_first_lines,
    read_frame,
    read_numbers,
    verified_records,
)
from ndoo.errors import CacheAltered, CacheError, CacheExpired
from ndoo.lists import Mask, NumberRule, Numbers, NumberSet, RecordReader, parse_number
from ndoo.output import write_output

__all__ = [
    "CLOCK_SLACK",
    "CacheHeader",
    "CacheStatus",
    "CacheWriter",
    "TemporaryCache",
    "check_replaceable",
    "check_times",
    "read_header",
    "read_status",
]

CLOCK_SLACK: Final = timedelta(days=1)
"""How far a computer's clock may be behind the cache's maker before it is refused as wrong."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


# -- looking at a cache -----------------------------------------------------------------------------


def read_header(path: Path) -> CacheHeader:
    """Read the first lines of a cache, also of one whose end is missing.

    Raises:
        CacheAltered: they are cut short or damaged.
        CacheError: no such file, or not a temporary cache.
    """
    with open_cache(path) as stream:
        return read_first_lines(path, stream)[1]


def read_status(path: Path) -> CacheStatus:
    """Read what a cache says about itself from its first and last lines, without the password.

    Raises:
        CacheAltered: the file is cut short or its header is damaged.
        CacheError: no such file, or not a temporary cache.
    """
    with open_cache(path) as stream:
        return read_frame(path, stream).status


def check_replaceable(path: Path, mailbox: str) -> None:
    """Refuse to put a cache in the place of anything but another of the same mailbox, sound or not.

    Raises:
        CacheError: ``path`` is another file, another mailbox's cache, or one whose first lines are damaged.
    """
    if not path.exists():
        return
    try:
        found = read_header(path)
    except CacheAltered:
        raise
    except CacheError as error:
        raise CacheError(
            path, f"not replaced, for it {error.reason}", "choose another name with -o"
        ) from error
    if found.mailbox != mailbox:
        raise CacheError(
            path,
            f"not replaced, for it is a temporary cache of mailbox {found.mailbox}, and this is {mailbox}",
            "choose another name with -o, or set NDOO_MAILBOX",
        )


def check_times(path: Path, status: CacheStatus, now: datetime) -> None:
    """Refuse a cache that must not be used at ``now``.

    Raises:
        CacheExpired: past its expiry.
        CacheError: made more than ``CLOCK_SLACK`` after ``now``: a clock set back could keep an expired
            cache alive.
    """
    if status.expired(now):
        raise CacheExpired(path, status.expires)
    if now < status.created - CLOCK_SLACK:
        raise CacheError(
            path,
            f"this temporary cache was made at {status.created:%Y-%m-%d %H:%M} UTC, still to come by this "
            "computer's clock",
            "set the clock, or start the simulator that made it",
        )


# -- using a cache ----------------------------------------------------------------------------------


class TemporaryCache:
    """A verified cleaned list, usable until it expires.

    ``number in cache`` and ``cache.contains(numbers)`` say who has not opted out; both raise
    ``CacheExpired`` from the moment of expiry on. ``len(cache)`` counts distinct numbers.
    """

    __slots__ = ("_now", "_numbers", "_path", "_status")

    def __init__(
        self, path: Path, status: CacheStatus, numbers: NumberSet, now: Callable[[], datetime]
    ) -> None:
        self._path = path
        self._status = status
        self._numbers = numbers
        self._now = now

    @classmethod
    def load(
        cls,
        path: Path,
        password: str,
        now: Callable[[], datetime] = _utc_now,
        *,
        mailbox: str | None = None,
    ) -> TemporaryCache:
        """Read a cache and verify every byte of it.

        Ten million numbers take half a second and, once loaded, about 100 MB.

        Args:
            path: the file.
            password: of the mailbox the cache was made for.
            now: gives the present time, with a zone; asked again at each use.
            mailbox: refuse a cache that was made for another one than this. A cache is locked with the
                password only, and two mailboxes may have the same.

        Raises:
            CacheAltered: cut short, changed after it was made, or made for another mailbox or password.
            CacheExpired: past its expiry.
            CacheError: no such file, not a temporary cache, or a clock that cannot be right.
        """
        with open_cache(path) as stream:
            frame = read_frame(path, stream)
            _refuse_foreign(path, frame.status, mailbox)
            numbers = NumberSet(read_numbers(path, stream, frame, password))
        check_times(path, frame.status, now())
        return cls(path, frame.status, numbers, now)

    @staticmethod
    def verify(path: Path, password: str, *, mailbox: str | None = None) -> CacheStatus:
        """Check every byte of a cache in flat memory, whether it has expired or not; see :meth:`load`.

        Raises:
            CacheAltered: cut short, changed after it was made, or made for another mailbox or password.
            CacheError: no such file, or not a temporary cache.
        """
        with open_cache(path) as stream:
            frame = read_frame(path, stream)
            _refuse_foreign(path, frame.status, mailbox)
            for _ in verified_records(path, stream, frame, password):
                pass
        return frame.status

    @staticmethod
    def create(
        records: Iterable[bytes], path: Path, header: CacheHeader, password: str, *, force: bool = False
    ) -> CacheStatus:
        """Make a cache file from a cleaned list.

        Args:
            records: the bytes of a cleaned list as it was answered, cut anywhere.
            path: the file; it appears complete or not at all, with mode 0600.
            header: what the cache is to say about itself.
            password: of the mailbox the cache is for.
            force: replace a file that is there already.

        Raises:
            CacheError: ``records`` are not a cleaned list.
            OutputExists: ``path`` exists, and ``force`` is not given.
            ConfigError: the file cannot be created.
        """
        writer = CacheWriter(header, password)
        reader = RecordReader(NumberRule.DIGITS, answer=True)
        count = 0
        with write_output(path, force) as out:
            out.write(writer.start())
            for block in reader.read(records):
                if not block.valid.all():
                    raise CacheError(path, "not made: the answer is not a cleaned list of NHS numbers")
                out.write(writer.records(block.select(block.valid)))
                count += len(block)
            out.write(writer.finish())
        return CacheStatus(header.created, header.expires, count, header.mailbox, header.local_id)

    @property
    def created(self) -> datetime:
        """When the cache was made (UTC)."""
        return self._status.created

    @property
    def expires(self) -> datetime:
        """From when on it must not be used (UTC)."""
        return self._status.expires

    @property
    def mailbox(self) -> str:
        """The mailbox it was made for."""
        return self._status.mailbox

    @property
    def local_id(self) -> str:
        """The local id of the submission it answers."""
        return self._status.local_id

    @property
    def records(self) -> int:
        """How many records the cleaned list has, duplicates included."""
        return self._status.records

    def contains(self, numbers: Numbers) -> Mask:
        """Tell which of ``numbers``, shape (n,), are on the cleaned list: not opted out.

        Raises:
            CacheExpired: the cache has expired since it was loaded.
        """
        self._refuse_expired()
        return self._numbers.contains(numbers)

    def __contains__(self, number: int | str) -> bool:
        """Tell whether an NHS number (blanks and hyphens allowed in text) is on the cleaned list.

        Raises:
            CacheExpired: the cache has expired since it was loaded.
        """
        self._refuse_expired()
        if isinstance(number, str):
            parsed = parse_number(number, NumberRule.DIGITS)[0]
            return parsed is not None and parsed in self._numbers
        return number in self._numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def _refuse_expired(self) -> None:
        if self._now() >= self._status.expires:
            raise CacheExpired(self._path, self.expires)


def _refuse_foreign(path: Path, status: CacheStatus, mailbox: str | None) -> None:
    if mailbox is not None and status.mailbox != mailbox:
        raise CacheAltered(
            path,
            f"this temporary cache was made for mailbox {status.mailbox}, and this is {mailbox}",
            "set NDOO_MAILBOX, or make your own under another name with 'ndoo cache refresh LIST -o FILE'",
        )
