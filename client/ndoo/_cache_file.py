"""The file of a temporary cache: written as a stream, taken apart, and verified to the last byte.

The file format is the project's own (design.md, "Temporary-cache file")::

    #ndoo-temporary-cache 1
    #created 2026-11-22T10:00:00Z
    #expires 2026-12-13T10:00:00Z
    #mailbox X26ABC1
    #local-id weekly-0001
    9991234567,
    #end records=1 sha256=HEX hmac=HEX

``sha256`` covers the record bytes; ``hmac`` is keyed with the mailbox password and covers every byte
before `` hmac=``.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from ndoo.errors import CacheAltered, CacheError, renewal
from ndoo.lists import BLOCK_BYTES, NumberRule, Numbers, RecordReader

_FIRST_LINE: Final = b"#ndoo-temporary-cache 1\n"
_TIME_FORMAT: Final = "%Y-%m-%dT%H:%M:%SZ"
_MAX_HEADER_BYTES: Final = 4096
_MAX_TRAILER_BYTES: Final = 256
_SHORTEST_RECORD: Final = 11
"""Ten digits and a line feed."""

_HEADER = re.compile(
    rb"#ndoo-temporary-cache 1\n"
    rb"#created (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)\n"
    rb"#expires (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)\n"
    rb"#mailbox ([^\r\n]+)\n"
    rb"#local-id ([^\r\n]+)\n"
)
_TRAILER = re.compile(rb"(#end records=(\d{1,15}) sha256=([0-9a-f]{64})) hmac=([0-9a-f]{64})\n")


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


# -- taking apart -----------------------------------------------------------------------------------


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
class Frame:
    """Where the records lie in a cache file, and what stands around them."""

    header: bytes
    records_end: int
    signed_trailer: bytes
    sha256: str
    hmac: str
    status: CacheStatus


def read_frame(path: Path, stream: BinaryIO) -> Frame:
    """Take a file apart; nothing of it is proven yet.

    Raises:
        CacheAltered: it is cut short, or its first lines are damaged.
        CacheError: it is no temporary cache.
    """
    start, header = read_first_lines(path, stream)
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(len(start), size - _MAX_TRAILER_BYTES))
    ending = stream.read()
    # No record holds a "#", so that the last one starts the trailer.
    trailer = _TRAILER.fullmatch(ending, max(0, ending.rfind(b"#")))
    if trailer is None:
        raise CacheAltered(path, "this temporary cache was cut short: its last line is not whole")
    status = CacheStatus(header.created, header.expires, int(trailer[2]), header.mailbox, header.local_id)
    records_end = size - len(trailer[0])
    return Frame(start, records_end, trailer[1], trailer[3].decode(), trailer[4].decode(), status)


def read_first_lines(path: Path, stream: BinaryIO) -> tuple[bytes, CacheHeader]:
    """Read the header, as bytes and taken apart; nothing of it is proven yet.

    Raises:
        CacheAltered: it is cut short or damaged.
        CacheError: it is none of a temporary cache.
    """
    start = stream.read(_MAX_HEADER_BYTES)
    lines = _HEADER.match(start)
    if lines is None:
        if start.startswith(_FIRST_LINE):
            raise CacheAltered(
                path,
                "this temporary cache was cut short or changed in its first lines",
                f"delete it, then {renewal(path)}",
            )
        raise CacheError(path, "is not a temporary cache of a kind known here; its first line tells")
    created, expires, mailbox, local_id = lines.groups()
    try:
        header = CacheHeader(_parse_time(created), _parse_time(expires), mailbox.decode(), local_id.decode())
    except ValueError as error:
        raise CacheAltered(
            path, "this temporary cache's header was changed", f"delete it, then {renewal(path)}"
        ) from error
    return lines[0], header


def _parse_time(text: bytes) -> datetime:
    return datetime.strptime(text.decode(), _TIME_FORMAT).replace(tzinfo=UTC)


@contextmanager
def open_cache(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading while the block runs.

    Raises:
        CacheError: there is none, or it cannot be read.
    """
    try:
        # Opening a pipe would wait for somebody to write into it.
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise CacheError(path, "is not a temporary cache, nor a file at all")
        with path.open("rb") as stream:
            yield stream
    except FileNotFoundError as error:
        raise CacheError(path, "no such temporary cache", renewal(path)) from error
    except OSError as error:
        raise CacheError(path, f"cannot be read: {error.strerror}") from error


def read_numbers(path: Path, stream: BinaryIO, frame: Frame, password: str) -> Numbers:
    """Give the numbers of a cache, shape (n,); see ``verified_records``."""
    # The count is not proven yet; the file has room for no more records than this, the last without an end.
    room = (frame.records_end - len(frame.header)) // _SHORTEST_RECORD + 1
    numbers = np.empty(min(frame.status.records, room), np.int64)
    filled = 0
    for block in verified_records(path, stream, frame, password):
        numbers[filled : filled + len(block)] = block
        filled += len(block)
    return numbers


def verified_records(path: Path, stream: BinaryIO, frame: Frame, password: str) -> Iterator[Numbers]:
    """Give the numbers of a cache in arrays of shape (n,), which may be relied on once it has ended.

    They are ten-digit numbers, and no more of them than the last line says.

    Raises:
        CacheAltered: the file is not to the last byte as it was made, or not with this password.
    """
    sha256 = hashlib.sha256()
    keyed = hmac.new(password.encode(), frame.header, hashlib.sha256)

    def record_bytes() -> Iterator[bytes]:
        left = frame.records_end - stream.seek(len(frame.header))
        while left and (data := stream.read(min(left, BLOCK_BYTES))):
            sha256.update(data)
            keyed.update(data)
            left -= len(data)
            yield data

    changed = CacheAltered(path, "this temporary cache was changed after it was made")
    count = 0
    for block in RecordReader(NumberRule.DIGITS).read(record_bytes()):
        count += len(block)
        if count > frame.status.records or not block.valid.all():
            raise changed
        yield block.numbers
    if count != frame.status.records or sha256.hexdigest() != frame.sha256:
        raise changed
    keyed.update(frame.signed_trailer)
    if not hmac.compare_digest(keyed.hexdigest(), frame.hmac):
        raise CacheAltered(
            path,
            "this temporary cache was made for another mailbox or password, or its header was changed",
        )
