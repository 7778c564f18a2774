"""Lists of NHS numbers as the opt-out service exchanges them: read, judge, look up, write, make up.

Everything here is pure and works on whole blocks with numpy: no per-number Python on the hot path,
and memory that does not grow with the list. The record format is that of ndoo-service.md, "The
exchange"; the check digit is that of its last section. The arithmetic is in ``ndoo.records``, and a
person's own file (CSV, text, gzip) is read by ``ndoo.tables``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from nhs_number.validate import calculate_checksum

from ndoo.number_set import NumberSet
from ndoo.records import RECORD, RECORD_BYTES, Mask, Numbers, check_digits, decode_records, format_records

__all__ = [
    "BLOCK_BYTES",
    "EMPTY_ANSWER",
    "MAX_LINE",
    "RECORD_BYTES",
    "SEPARATORS",
    "TEST_RANGE",
    "Fault",
    "Faults",
    "Mask",
    "NumberRule",
    "NumberSet",
    "Numbers",
    "RecordBlock",
    "RecordReader",
    "check_digits",
    "format_records",
    "generate",
    "mask",
    "parse_number",
    "read_records",
    "select_rows",
]

Faults: TypeAlias = npt.NDArray[np.uint8]
"""One ``Fault`` a number, shape (n,)."""

BLOCK_BYTES: Final = 32_768 * RECORD_BYTES
"""The largest piece parsed at once: its arrays still fit the second-level cache, and are small enough for the
allocator to use their memory again instead of giving it back to the system."""

MAX_LINE: Final = 65_536
"""A line longer than this, in bytes, is cut there and counts as one invalid record."""

EMPTY_ANSWER: Final = b"\n"
"""The answer when everybody has opted out: MESH refuses an empty body (ndoo-service.md, answer)."""

TEST_RANGE: Final = (999_000_0000, 999_999_9999)
"""First and last NHS number set aside for tests; generated numbers are all from here."""


class NumberRule(StrEnum):
    """What makes a record a valid NHS number."""

    CHECKSUM = "checksum"
    """Ten digits, the tenth being the modulus-11 check digit."""

    DIGITS = "digits"
    """Any ten digits."""


class Fault(IntEnum):
    """Why a record is not a valid NHS number."""

    NONE = 0
    BLANK = 1
    LENGTH = 2
    NOT_DIGITS = 3
    CHECK_DIGIT = 4
    SCIENTIFIC = 5
    LOST_ZERO = 6
    """Nine digits that are a valid number with a zero in front: told of people's own files only."""
    EXTRA_CELLS = 7
    """More cells than the first row of its table, so that the one in the column may be another's."""

    @property
    def reason(self) -> str:
        """The fault in words for people; empty for NONE."""
        return _REASONS[self]


_REASONS: Final = {
    Fault.NONE: "",
    Fault.BLANK: "blank",
    Fault.LENGTH: "not ten digits long (with nine, a leading zero may have been lost)",
    Fault.LOST_ZERO: "nine digits: spreadsheets drop a leading zero",
    Fault.EXTRA_CELLS: "more cells than the first row (a delimiter in a cell that is not quoted?)",
    Fault.NOT_DIGITS: "holds something other than digits",
    Fault.CHECK_DIGIT: "wrong check digit (a mistyped digit?)",
    Fault.SCIENTIFIC: "looks like Excel's 9.43E+09 (format the column as text and export it again)",
}


# -- one number at a time ---------------------------------------------------------------------------

# What people and spreadsheets put between the digits: blanks of several widths, hyphens and dashes,
# and marks that have no width at all. Wherever they stand, they say nothing about the number.
SEPARATORS: Final = dict.fromkeys(
    map(ord, " \t\r\n\v\f-\u00a0\u00ad\u2007\u2009\u200b\u2010\u2011\u2012\u2013\u2014\u2212\u202f\ufeff")
)
"""For ``str.translate``: drops the blanks and hyphens that may stand in a written NHS number."""

_TEN_DIGITS = re.compile(r"[0-9]{10}")
_DIGITS = re.compile(r"[0-9]+")
_SCIENTIFIC = re.compile(r"[0-9][0-9.,+]*[eE](?:[0-9.,+]*[0-9])")


def parse_number(text: str, rule: NumberRule = NumberRule.CHECKSUM) -> tuple[int | None, Fault]:
    """Read one NHS number as a person writes it: ``999 123 4567``, ``999-123-4567``, ``9991234567``.

    Returns:
        The number and NONE, or None and the fault.
    """
    written = text.translate(SEPARATORS).removesuffix(",")
    if not written:
        return None, Fault.BLANK
    if not _TEN_DIGITS.fullmatch(written):
        if _DIGITS.fullmatch(written):
            return None, Fault.LENGTH
        return None, Fault.SCIENTIFIC if _SCIENTIFIC.fullmatch(written) else Fault.NOT_DIGITS
    # Not the package's is_valid: it also demands a date of birth of Scottish CHI numbers, which the
    # service does not (ndoo-service.md, "Invalid input").
    if rule is NumberRule.CHECKSUM and calculate_checksum(written[:9]) != int(written[9]):
        return None, Fault.CHECK_DIGIT
    return int(written), Fault.NONE


def mask(number: int) -> str:
    """Write an NHS number so that it can be shown: the first three and the last two digits."""
    digits = f"{number:010d}"
    return f"{digits[:3]} *** **{digits[8:]}"


# -- a stream of records in any form ----------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class RecordBlock:
    """Consecutive records of a list; n of them.

    ``numbers`` (int64) is -1 where a record is not ten digits. ``faults`` (uint8) holds a ``Fault``
    each. ``ends`` (int64) is where each record ends in ``data``, line ending included.
    """

    data: bytes = field(repr=False)
    first_line: int
    numbers: Numbers = field(repr=False)
    faults: Faults = field(repr=False)
    ends: Numbers = field(repr=False)

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def valid(self) -> Mask:
        """Which records are valid NHS numbers, shape (n,)."""
        valid: Mask = self.faults == np.uint8(Fault.NONE)
        return valid

    def select(self, keep: Mask) -> bytes:
        """Give the records to keep exactly as they came; only a missing last line feed is added.

        Args:
            keep: shape (n,).
        """
        chosen = select_rows(self.data, self.ends, keep)
        return chosen + b"\n" if chosen and not chosen.endswith(b"\n") else chosen


_WHOLE_RECORD: Final = np.dtype((np.void, RECORD_BYTES))
"""A record as one value: numpy moves it many times faster than one of two fields."""


def select_rows(data: bytes, ends: Numbers, keep: Mask) -> bytes:
    """Give the rows of ``data`` to keep, as they came.

    Args:
        data: n rows one after the other.
        ends: where each row ends in ``data``, shape (n,), increasing.
        keep: shape (n,).
    """
    if keep.all():
        return data
    if ends[0] == RECORD_BYTES and (ends[1:] - ends[:-1] == RECORD_BYTES).all():
        return np.frombuffer(data, _WHOLE_RECORD)[keep].tobytes()
    # Runs of neighbours are copied as one: where each begins, and where it ends.
    turns = np.flatnonzero(np.diff(keep, prepend=False, append=False))
    bounds = np.concatenate((np.zeros(1, np.int64), ends))[turns].tolist()
    return b"".join([data[start:stop] for start, stop in zip(bounds[::2], bounds[1::2], strict=True)])


def read_records(data: bytes, rule: NumberRule, first_line: int = 1) -> RecordBlock:
    """Read whole records: lines of ten digits, a comma that may be missing, and LF or CRLF.

    The last line ending may be missing. No other character is allowed for: a blank makes a record
    invalid.

    Args:
        data: any number of whole lines; a few megabytes at the most, since all are read at once.
        rule: what counts as valid.
        first_line: the line number of the first record.
    """
    if len(data) % RECORD_BYTES == 0 and data[RECORD_BYTES - 2 : RECORD_BYTES] == b",\n":
        numbers, well_formed, checked = decode_records(np.frombuffer(data, RECORD))
        if well_formed.all():
            faults = _check_digit_faults(checked, rule)
            ends = np.arange(RECORD_BYTES, len(data) + 1, RECORD_BYTES, dtype=np.int64)
            return RecordBlock(data, first_line, numbers, faults, ends)
    return _read_lines(data, rule, first_line)


def _check_digit_faults(checked: Mask, rule: NumberRule) -> Faults:
    if rule is NumberRule.DIGITS:
        return np.zeros(len(checked), np.uint8)
    return (~checked).view(np.uint8) * np.uint8(Fault.CHECK_DIGIT)


def _read_lines(data: bytes, rule: NumberRule, first_line: int) -> RecordBlock:
    buffer = np.frombuffer(data, np.uint8)
    ends = (np.flatnonzero(buffer == ord("\n")) + 1).astype(np.int64)
    stops = ends - 1
    if data and not data.endswith(b"\n"):
        ends = np.append(ends, len(data))
        stops = np.append(stops, len(data))
    starts = np.concatenate((np.zeros(min(1, len(ends)), np.int64), ends[:-1]))
    for ending in (ord("\r"), ord(",")):
        # An empty line has no last byte; what is looked at in its place is not used.
        stops = stops - ((stops > starts) & (buffer[stops - 1] == ending))

    ten_long = np.flatnonzero(stops - starts == 10)
    records = np.empty((len(ten_long), RECORD_BYTES), np.uint8)
    records[:, :10] = buffer[starts[ten_long, None] + np.arange(10)]
    records[:, 10:] = np.frombuffer(b",\n", np.uint8)
    numbers_read, well_formed, checked = decode_records(records.view(RECORD)[:, 0])

    numbers = np.full(len(ends), -1, np.int64)
    faults = np.full(len(ends), np.uint8(Fault.NOT_DIGITS))
    read = ten_long[well_formed]
    numbers[read] = numbers_read[well_formed]
    faults[read] = _check_digit_faults(checked[well_formed], rule)
    rest = np.ones(len(ends), np.bool_)
    rest[read] = False
    if rest.any():
        faults[rest] = _line_faults(buffer, starts[rest], stops[rest])
    return RecordBlock(data, first_line, numbers, faults, ends)


_IS_DIGIT, _IS_POINT, _IS_E, _IS_STRAY = 0, 1, 2, 3
_KINDS: Final = np.full(256, _IS_STRAY, np.uint8)
_KINDS[np.frombuffer(b"0123456789", np.uint8)] = _IS_DIGIT
_KINDS[np.frombuffer(b".,+", np.uint8)] = _IS_POINT
_KINDS[np.frombuffer(b"eE", np.uint8)] = _IS_E


def _line_faults(buffer: npt.NDArray[np.uint8], starts: Numbers, stops: Numbers) -> Faults:
    """Say what is wrong with lines that are not ten digits; ``starts`` and ``stops`` have shape (n,)."""
    kinds = _KINDS[buffer]

    def count(of_kind: Mask) -> Numbers:
        before = np.concatenate((np.zeros(1, np.int64), np.cumsum(of_kind, dtype=np.int64)))
        return before[stops] - before[starts]

    lengths = stops - starts
    faults = np.full(len(starts), np.uint8(Fault.NOT_DIGITS))
    outer_digits = (kinds[starts] == _IS_DIGIT) & (kinds[stops - 1] == _IS_DIGIT)
    scientific = outer_digits & (count(kinds == _IS_E) == 1) & (count(kinds == _IS_STRAY) == 0)
    faults[scientific] = Fault.SCIENTIFIC
    # What lies beyond MAX_LINE may have been dropped, so that only the length is known.
    faults[(count(kinds != _IS_DIGIT) == 0) | (lengths > MAX_LINE)] = Fault.LENGTH
    faults[lengths == 0] = Fault.BLANK
    return faults


class RecordReader:
    """Push parser: bytes of a list in, cut anywhere; blocks of whole records out.

    Holds back an incomplete last line until the next piece, at most ``MAX_LINE`` bytes of it. A blank
    line is an invalid record, with one exception: with ``answer``, a stream that is nothing but
    ``EMPTY_ANSWER`` has no records at all.
    """

    __slots__ = ("_answer", "_held", "_next_line", "_rule")

    def __init__(self, rule: NumberRule = NumberRule.CHECKSUM, *, answer: bool = False) -> None:
        self._rule = rule
        self._answer = answer
        self._held = bytearray()
        self._next_line = 1

    def feed(self, data: bytes) -> Iterator[RecordBlock]:
        """Take the next bytes, of any number, and give the blocks they complete.

        The iterator must be exhausted before the next call.
        """
        for start in range(0, len(data), BLOCK_BYTES):
            piece = data[start : start + BLOCK_BYTES] if len(data) > BLOCK_BYTES else data
            cut = piece.rfind(b"\n") + 1
            if cut:
                whole = bytes(self._held) + piece[:cut] if self._held else piece[:cut]
                if not self._is_empty_answer(whole):
                    self._held = bytearray(piece[cut : cut + MAX_LINE + 1])
                    yield self._block(whole)
                    continue
            # One byte too many is kept, so that a line that is too long is seen to be.
            self._held += piece[: MAX_LINE + 1 - len(self._held)]

    def finish(self) -> Iterator[RecordBlock]:
        """Give the last record if its line feed was missing."""
        held, self._held = bytes(self._held), bytearray()
        if held and not self._is_empty_answer(held):
            yield self._block(held)

    def read(self, pieces: Iterable[bytes]) -> Iterator[RecordBlock]:
        """Feed every piece and finish: all the blocks of a whole stream."""
        for piece in pieces:
            yield from self.feed(piece)
        yield from self.finish()

    def _is_empty_answer(self, so_far: bytes) -> bool:
        return self._answer and self._next_line == 1 and so_far in (EMPTY_ANSWER, b"\r\n")

    def _block(self, whole: bytes) -> RecordBlock:
        block = read_records(whole, self._rule, self._next_line)
        self._next_line += len(block)
        return block


# -- synthetic numbers ------------------------------------------------------------------------------


def generate(count: int, seed: int = 1) -> Iterator[Numbers]:
    """Make up ``count`` valid NHS numbers of the test range, in an order that looks shuffled.

    The same seed gives the same numbers, with any version of numpy. They are distinct as long as the
    range allows: it holds some 909,000 valid numbers, and a larger ``count`` starts over with the
    first ones, in the same order.

    Yields:
        Arrays of shape (n,), n at most 65,536.
    """
    stems = np.arange(TEST_RANGE[0] // 10, TEST_RANGE[1] // 10 + 1, dtype=np.int64)
    checks = check_digits(stems)
    numbers = (stems * 10 + checks)[checks < 10]
    numbers = numbers[np.argsort(_scramble(numbers, seed), kind="stable")]
    position = 0
    while count > 0:
        batch = numbers[position : position + min(count, 65_536)]
        yield batch.copy()
        count -= len(batch)
        position = (position + len(batch)) % len(numbers)


def _scramble(numbers: Numbers, seed: int) -> npt.NDArray[np.uint64]:
    """Turn numbers into evenly spread 64-bit values (xor-shift and multiply, twice)."""
    mixed = numbers.view(np.uint64) + np.uint64(seed * 0x9E37_79B9_7F4A_7C15 % (1 << 64))
    for multiplier in (0xBF58_476D_1CE4_E5B9, 0x94D0_49BB_1331_11EB):
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(multiplier)
    return mixed ^ (mixed >> np.uint64(31))
