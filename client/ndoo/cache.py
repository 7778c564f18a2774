"""The temporary cache: a cleaned list that stops working when it expires.

The file format is the project's own (design.md, "Temporary-cache file")::

    #ndoo-temporary-cache 1
    #created 2026-11-22T10:00:00Z
    #expires 2026-12-13T10:00:00Z
    #mailbox X26ABC1
    #local-id weekly-0001
    9991234567,
    #end records=1 sha256=HEX hmac=HEX

``sha256`` covers the record bytes; ``hmac`` is keyed with the mailbox password and covers every byte
before `` hmac=``. A file that was cut, changed or made for another mailbox is refused, and so is one
that is past its expiry: there is no override (ndoo-service.md, "Temporary-cache file").
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Final

from ndoo.errors import CacheAltered, CacheError, CacheExpired
from ndoo.lists import BLOCK_BYTES, Mask, NumberRule, Numbers, NumberSet, RecordReader, parse_number
from ndoo.output import write_output

CLOCK_SLACK: Final = timedelta(days=1)
"""How far a computer's clock may be behind the cache's maker before it is refused as wrong."""

_TIME_FORMAT: Final = "%Y-%m-%dT%H:%M:%SZ"
_MAX_HEADER_BYTES: Final = 4096
_MAX_TRAILER_BYTES: Final = 256
_HEADER = re.compile(
    rb"#ndoo-temporary-cache 1\n"
    rb"#created (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)\n"
    rb"#expires (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)\n"
    rb"#mailbox ([^\r\n]+)\n"
    rb"#local-id ([^\r\n]+)\n"
)
_TRAILER = re.compile(rb"(#end records=(\d{1,15}) sha256=([0-9a-f]{64})) hmac=([0-9a-f]{64})\n")


def _utc_now() -> datetime:
    return datetime.now(UTC)


# -- writing ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CacheHeader:
    """What a cache says about itself. Times need a zone; they are kept to the second, in UTC."""

    created: datetime
    expires: datetime
    mailbox: str
    local_id: str

    def __post_init__(self) -> None:
        """Refuse what could not be read back.

        Raises:
            ValueError: a time without a zone; a mailbox or local id that is empty or holds a line break.
        """
        for name in ("created", "expires"):
            time: datetime = getattr(self, name)
            if time.tzinfo is None:
                raise ValueError(f"{name} needs a time zone")
            object.__setattr__(self, name, time.astimezone(UTC).replace(microsecond=0))
        if len(self.to_bytes()) > _MAX_HEADER_BYTES or not _HEADER.fullmatch(self.to_bytes()):
            raise ValueError("mailbox and local id must be one line of text each, of a reasonable length")

    def to_bytes(self) -> bytes:
        """Give the file's first lines."""
        return (
            "#ndoo-temporary-cache 1\n"
            f"#created {self.created.strftime(_TIME_FORMAT)}\n"
            f"#expires {self.expires.strftime(_TIME_FORMAT)}\n"
            f"#mailbox {self.mailbox}\n"
            f"#local-id {self.local_id}\n"
        ).encode()


class CacheWriter:
    """Makes a cache file's bytes as a stream: ``start``, ``records`` any number of times, ``finish``."""

    __slots__ = ("_count", "_header", "_hmac", "_sha256")

    def __init__(self, header: CacheHeader, password: str) -> None:
        self._header = header
        self._hmac = hmac.new(password.encode(), digestmod=hashlib.sha256)
        self._sha256 = hashlib.sha256()
        self._count = 0

    def start(self) -> bytes:
        """Give the header lines, which come first."""
        data = self._header.to_bytes()
        self._hmac.update(data)
        return data

    def records(self, data: bytes) -> bytes:
        """Pass records through, counting and hashing them; each must end in a line feed."""
        self._count += data.count(b"\n")
        self._sha256.update(data)
        self._hmac.update(data)
        return data

    def finish(self) -> bytes:
        """Give the last line."""
        data = f"#end records={self._count} sha256={self._sha256.hexdigest()}".encode()
        self._hmac.update(data)
        return data + f" hmac={self._hmac.hexdigest()}\n".encode()


# -- looking at a cache -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CacheStatus:
    """What a cache file says about itself; read without the password, so nothing of it is proven."""

    created: datetime
    expires: datetime
    records: int
    mailbox: str
    local_id: str

    def expired(self, now: datetime) -> bool:
        """Tell whether the cache must not be used any more at ``now``."""
        return now >= self.expires


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where the records lie in a cache file, and what stands around them."""

    header: bytes
    records_end: int
    signed_trailer: bytes
    sha256: str
    hmac: str
    status: CacheStatus


def _read_frame(path: Path, stream: BinaryIO) -> _Frame:
    start = stream.read(_MAX_HEADER_BYTES)
    header = _HEADER.match(start)
    if header is None:
        if start.startswith(b"#ndoo-temporary-cache 1\n"):
            raise CacheAltered(path, "this temporary cache was cut short or changed; make a new one")
        raise CacheError(path, "is not a temporary cache of a kind known here; its first line tells")
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(header.end(), size - _MAX_TRAILER_BYTES))
    ending = stream.read()
    # No record holds a "#", so that the last one starts the trailer.
    trailer = _TRAILER.fullmatch(ending, max(0, ending.rfind(b"#")))
    if trailer is None:
        raise CacheAltered(
            path, "this temporary cache was cut short: its last line is not whole; fetch it again"
        )
    created, expires, mailbox, local_id = header.groups()
    try:
        status = CacheStatus(
            _parse_time(created), _parse_time(expires), int(trailer[2]), mailbox.decode(), local_id.decode()
        )
    except ValueError as error:
        raise CacheAltered(path, "this temporary cache's header was changed; make a new one") from error
    records_end = size - len(trailer[0])
    return _Frame(header[0], records_end, trailer[1], trailer[3].decode(), trailer[4].decode(), status)


def _parse_time(text: bytes) -> datetime:
    return datetime.strptime(text.decode(), _TIME_FORMAT).replace(tzinfo=UTC)


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as stream:
            yield stream
    except FileNotFoundError as error:
        raise CacheError(path, "no such temporary cache") from error
    except OSError as error:
        raise CacheError(path, f"cannot be read: {error.strerror}") from error


def read_status(path: Path) -> CacheStatus:
    """Read what a cache says about itself from its first and last lines, without the password.

    Raises:
        CacheAltered: the file is cut short or its header is damaged.
        CacheError: no such file, or not a temporary cache.
    """
    with _open(path) as stream:
        return _read_frame(path, stream).status


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
    def load(cls, path: Path, password: str, now: Callable[[], datetime] = _utc_now) -> TemporaryCache:
        """Read a cache and verify every byte of it.

        Args:
            path: the file.
            password: of the mailbox the cache was made for.
            now: gives the present time, with a zone; asked again at each use.

        Raises:
            CacheAltered: cut short, changed after it was made, or made with another password.
            CacheExpired: past its expiry.
            CacheError: no such file, not a temporary cache, or a computer clock that cannot be right.
        """
        with _open(path) as stream:
            frame = _read_frame(path, stream)
            numbers = NumberSet.from_arrays(_verified_records(path, stream, frame, password))
        cache = cls(path, frame.status, numbers, now)
        cache._refuse_expired()
        if now() < frame.status.created - CLOCK_SLACK:
            raise CacheError(
                path,
                f"made at {cache.created:%Y-%m-%d %H:%M} UTC, still to come by this computer's clock; "
                "set the clock",
            )
        return cache

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
        parsed = parse_number(number, NumberRule.DIGITS)[0] if isinstance(number, str) else number
        return parsed is not None and parsed in self._numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def _refuse_expired(self) -> None:
        if self._status.expired(self._now()):
            raise CacheExpired(self._path, self.expires)


def _verified_records(path: Path, stream: BinaryIO, frame: _Frame, password: str) -> Iterator[Numbers]:
    """Give the numbers of a cache; ends in an exception unless every byte proves to be as it was made."""
    sha256 = hashlib.sha256()
    keyed = hmac.new(password.encode(), frame.header, hashlib.sha256)

    def record_bytes() -> Iterator[bytes]:
        left = frame.records_end - stream.seek(len(frame.header))
        while left and (data := stream.read(min(left, BLOCK_BYTES))):
            sha256.update(data)
            keyed.update(data)
            left -= len(data)
            yield data

    count = 0
    sound = True
    for block in RecordReader(NumberRule.DIGITS).read(record_bytes()):
        sound = sound and bool(block.valid.all())
        count += len(block)
        yield block.numbers
    keyed.update(frame.signed_trailer)
    if not (sound and count == frame.status.records and sha256.hexdigest() == frame.sha256):
        raise CacheAltered(path, "this temporary cache was changed after it was made; make a new one")
    if not hmac.compare_digest(keyed.hexdigest(), frame.hmac):
        raise CacheAltered(
            path,
            "this temporary cache was made for another mailbox or password, or its header was changed; "
            "make a new one",
        )
