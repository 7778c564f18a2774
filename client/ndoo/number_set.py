"""Sets of NHS numbers, asked for one at a time or by arrays."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from operator import index
from typing import Final

import numpy as np
import numpy.typing as npt

from ndoo.records import Mask, Numbers


class NumberSet:
    """An immutable set of NHS numbers: about 13 bytes a number at ten million, less when dense.

    A table of bits answers "certainly not" with one look. Where the numbers lie close together (such
    as in the test range) each has a bit of its own and the table is the set; otherwise a number's bit
    is found by hashing, and a set bit is confirmed in a sorted array, at a place that a second table
    tells from the number's size.
    """

    __slots__ = ("_bits", "_count", "_first", "_places", "_shift", "_sorted", "_span", "_width")

    _MAX_TABLE_BITS: Final = 27
    _PIECE: Final = 65_536
    _GOLDEN: Final = 0x9E37_79B9_7F4A_7C15
    _ALL_64: Final = (1 << 64) - 1
    _NEAR: Final = 4

    def __init__(self, numbers: Numbers) -> None:
        """Take over ``numbers``, shape (n,), which is sorted in place; see ``from_arrays``."""
        numbers.sort()
        if len(numbers) > 1:
            distinct = np.append(True, numbers[1:] != numbers[:-1])
            numbers = numbers if distinct.all() else numbers[distinct]
        self._count = len(numbers)
        self._first = int(numbers[0]) if self._count else 0
        self._span = int(numbers[-1]) - self._first + 1 if self._count else 0
        table_bits = min(self._MAX_TABLE_BITS, (16 * self._count).bit_length())
        exact = self._span <= 1 << self._MAX_TABLE_BITS
        self._shift = None if exact else 64 - table_bits
        self._bits = np.zeros((self._span if exact else 1 << table_bits) // 8 + 1, np.uint8)
        for start in range(0, self._count, self._PIECE):
            slots = self._slots(numbers[start : start + self._PIECE])
            np.bitwise_or.at(self._bits, slots >> 3, np.uint8(1) << (slots & 7).astype(np.uint8))
        self._sorted = numbers[:0].copy() if exact else numbers
        # Stretches of equal width, each a power of two: one to two numbers in each, were they spread evenly.
        self._width = max(0, self._span.bit_length() - self._count.bit_length() + 1)
        self._places = np.zeros(0, np.uint32) if exact else self._first_of_each_stretch()

    @classmethod
    def from_arrays(cls, arrays: Iterable[Numbers]) -> NumberSet:
        """Build from arrays of shape (n,), any order, duplicates allowed; they are not changed."""
        # Not a list of them, to be joined in the end: for a moment that takes twice the space.
        joined = array("q")
        for numbers in arrays:
            joined.frombytes(numbers.tobytes())
        return cls(np.frombuffer(joined, np.int64) if joined else np.empty(0, np.int64))

    def _first_of_each_stretch(self) -> npt.NDArray[np.uint32]:
        """Tell of each stretch where its first number, or the next after it, is in the sorted array."""
        stretches = (self._span - 1 >> self._width) + 1
        places = np.empty(stretches, np.uint32)
        for start in range(0, stretches, self._PIECE):
            bounds = np.arange(start, min(start + self._PIECE, stretches), dtype=np.int64) << self._width
            places[start : start + self._PIECE] = np.searchsorted(self._sorted, bounds + self._first)
        return places

    def _slots(self, numbers: Numbers) -> Numbers:
        if self._shift is None:
            return numbers - self._first
        hashed = numbers.view(np.uint64) * np.uint64(self._GOLDEN)
        hashed >>= np.uint64(self._shift)
        return hashed.view(np.int64)

    def contains(self, numbers: Numbers) -> Mask:
        """Tell which of ``numbers``, shape (n,), are in the set."""
        found = np.zeros(len(numbers), np.bool_)
        for start in range(0, len(numbers) if self._count else 0, self._PIECE):
            piece = np.ascontiguousarray(numbers[start : start + self._PIECE], np.int64)
            found[start : start + self._PIECE] = self._contains_piece(piece)
        return found

    def _contains_piece(self, numbers: Numbers) -> Mask:
        slots = self._slots(numbers)
        if self._shift is None:
            found = self._marked(slots)
            found &= slots.view(np.uint64) < np.uint64(self._span)  # what is below the first wraps around
            return found
        found = self._marked(slots)
        candidates = np.flatnonzero(found)
        found[candidates] = self._confirmed(numbers[candidates])
        return found

    def _marked(self, slots: Numbers) -> Mask:
        """Tell which slots, shape (n,), have their bit set; of one outside the table, nothing is told."""
        bits = self._bits.take(slots >> 3, mode="clip")
        bits >>= slots.astype(np.uint8) & np.uint8(7)
        bits &= np.uint8(1)
        return bits.view(np.bool_)

    def _confirmed(self, numbers: Numbers) -> Mask:
        """Tell which numbers, shape (n,), are in the sorted array."""
        stretches = (numbers - self._first) >> self._width
        # Clipped: what is below the first number is then looked for at the first, and so on.
        places = self._places.take(stretches, mode="clip").astype(np.int64)
        there = self._sorted.take(places, mode="clip")
        result: Mask = there == numbers
        left = np.flatnonzero(there < numbers)
        for _ in range(self._NEAR):
            if not len(left):
                return result
            places[left] += 1
            there = self._sorted.take(places[left], mode="clip")
            wanted = numbers[left]
            result[left] = there == wanted
            left = left[there < wanted]
        # Where many numbers lie close together.
        wanted = numbers[left]
        result[left] = self._sorted.take(np.searchsorted(self._sorted, wanted), mode="clip") == wanted
        return result

    def after(self, number: int, limit: int) -> Numbers:
        """List the first numbers above ``number``, ascending, shape (up to ``limit``,)."""
        if self._shift is not None:
            start = int(np.searchsorted(self._sorted, number, side="right"))
            return self._sorted[start : start + limit]
        found: list[Numbers] = []
        slot = max(0, number + 1 - self._first)
        while slot < self._span and sum(map(len, found)) < limit:
            byte = slot >> 3
            bits = np.unpackbits(self._bits[byte : byte + self._PIECE], bitorder="little")
            slots = np.flatnonzero(bits) + (byte << 3)
            found.append(slots[slots >= slot] + self._first)
            slot = (byte + self._PIECE) << 3
        return np.concatenate([np.zeros(0, np.int64), *found])[:limit]

    def __contains__(self, number: int) -> bool:
        # As _contains_piece, in Python's own integers: an array of one would take ten times as long.
        number = index(number)
        offset = number - self._first
        if not 0 <= offset < self._span:
            return False
        slot = offset if self._shift is None else (number * self._GOLDEN & self._ALL_64) >> self._shift
        if not self._bits.item(slot >> 3) >> (slot & 7) & 1:
            return False
        return self._shift is None or self._sorted.item(self._sorted.searchsorted(number)) == number

    def __len__(self) -> int:
        return self._count
