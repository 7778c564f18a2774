"""The twelve-byte record ``9991234567,`` and line feed, to numbers and back, many at a time.

Arithmetic on whole blocks with numpy and nothing else: what a list is made of, and how one is read
piece by piece, is in ``ndoo.lists``.
"""

from __future__ import annotations

import threading
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Numbers: TypeAlias = npt.NDArray[np.int64]
"""NHS numbers as integers, shape (n,); a leading zero is implied by the ten digits they have."""

Mask: TypeAlias = npt.NDArray[np.bool_]
"""One yes or no a number, shape (n,)."""

RECORD_BYTES: Final = 12
"""The length of a record in its usual form: ten digits, a comma, a line feed."""

# Eight digits are handled as the eight bytes of one integer ("SIMD within a register"). In
# little-endian order the first digit is the lowest byte.
RECORD: Final = np.dtype(
    {"names": ["head", "tail"], "formats": ["<u8", "<u4"], "offsets": [0, 8], "itemsize": RECORD_BYTES}
)
_HEAD_ZEROS: Final = np.uint64(0x3030_3030_3030_3030)
_TAIL_ZEROS: Final = np.uint32(0x0A2C_3030)  # "00,\n"
_EVEN_BYTES: Final = np.uint64(0x00FF_00FF_00FF_00FF)


def _lanes(*weights: int) -> np.uint64:
    """Pack four multipliers so that lane 3 of the product is the weighted sum of lanes 0 to 3."""
    return np.uint64(sum(weight << 16 * (3 - lane) for lane, weight in enumerate(weights)))


_WEIGHTS_EVEN: Final = _lanes(10, 8, 6, 4)
_WEIGHTS_ODD: Final = _lanes(9, 7, 5, 3)
# x is a multiple of 11 exactly when x / 11 modulo 2**16 is at most 65535 // 11: no division needed.
_INVERSE_OF_11: Final = np.uint16(pow(11, -1, 1 << 16))
_MULTIPLES_OF_11: Final = np.uint16(0xFFFF // 11)

_PIECE: Final = 32_768
"""How many records are worked on at once: few enough for the caches, and enough to be worth a call."""


def decode_records(records: npt.NDArray[np.void]) -> tuple[Numbers, Mask, Mask]:
    """Take apart ``RECORD`` items of any content.

    Returns:
        Numbers; whether it is ten digits, a comma and a line feed; whether the check digit is right.
        The first and last mean nothing where the second is False.
    """
    numbers = np.empty(len(records), np.uint64)
    well_formed = np.empty(len(records), np.bool_)
    checked = np.empty(len(records), np.bool_)
    for start in range(0, len(records), _PIECE):
        piece = slice(start, start + _PIECE)
        _decode(records[piece], numbers[piece], well_formed[piece], checked[piece])
    return numbers.view(np.int64), well_formed, checked


class _Scratch(threading.local):
    """A thread's working space: made anew for each piece, it would cost more than the arithmetic."""

    def __init__(self) -> None:
        self.words = np.empty((3, _PIECE), np.uint64)
        self.halves = np.empty((3, _PIECE), np.uint32)
        self.sums = np.empty((2, _PIECE), np.uint16)
        self.flags = np.empty(_PIECE, np.bool_)


_scratch: Final = _Scratch()


def _decode(
    records: npt.NDArray[np.void], value: npt.NDArray[np.uint64], well_formed: Mask, checked: Mask
) -> None:
    """Do what ``decode_records`` does for up to ``_PIECE`` records; the last three are what it fills."""
    count = len(records)
    head, odd, even = _scratch.words[:, :count]
    ninth, tenth, both = _scratch.halves[:, :count]
    total, rest = _scratch.sums[:, :count]
    flags = _scratch.flags[:count]
    np.bitwise_xor(records["head"], _HEAD_ZEROS, out=head)
    np.bitwise_xor(records["tail"], _TAIL_ZEROS, out=ninth)

    # A digit's byte is now 0 to 9: nothing in its high half, nor after adding 6. A sum that carries
    # into the next byte comes from a byte that is bad in itself.
    np.add(head, np.uint64(0x0606_0606_0606_0606), out=odd)
    odd |= head
    odd &= np.uint64(0xF0F0_F0F0_F0F0_F0F0)
    np.equal(odd, np.uint64(0), out=well_formed)
    np.add(ninth, np.uint32(0x0606), out=both)
    both |= ninth
    both &= np.uint32(0xFFFF_F0F0)
    np.equal(both, np.uint32(0), out=flags)
    well_formed &= flags

    np.right_shift(head, np.uint64(8), out=odd)
    np.multiply(head, np.uint64(10), out=value)
    value += odd
    value &= _EVEN_BYTES  # four pairs of digits
    np.bitwise_and(head, _EVEN_BYTES, out=even)
    odd &= _EVEN_BYTES
    np.right_shift(ninth, np.uint32(8), out=tenth)
    ninth &= np.uint32(0xFF)

    # Even and odd digits apart, each sum stays below 2**16 and spills into no other lane. The check
    # digit has weight 1, so that the whole sum is a multiple of 11; a check digit of "10" never is.
    even *= _WEIGHTS_EVEN
    odd *= _WEIGHTS_ODD
    even += odd
    even >>= np.uint64(48)
    np.copyto(total, even, casting="unsafe")
    np.add(ninth, ninth, out=both)
    both += tenth
    np.copyto(rest, both, casting="unsafe")
    total += rest
    total *= _INVERSE_OF_11
    np.less_equal(total, _MULTIPLES_OF_11, out=checked)

    value *= np.uint64(100 << 16 | 1)
    value >>= np.uint64(16)
    value &= np.uint64(0x0000_FFFF_0000_FFFF)
    value *= np.uint64(10_000 << 32 | 1)
    value >>= np.uint64(32)
    value *= np.uint64(100)
    ninth *= np.uint32(10)
    ninth += tenth
    np.copyto(head, ninth)
    value += head


def format_records(numbers: Numbers) -> bytes:
    """Write NHS numbers, shape (n,), as records: ten digits, a comma, a line feed each."""
    value = numbers.astype(np.uint64)
    high = value // np.uint64(100)
    low = (value - high * np.uint64(100)).astype(np.uint32)
    # The reverse of decode_records: halves of four digits, then pairs, then digits, each in its own lane.
    # The divisions by 100 and 10 are multiplications that are exact for numbers this small.
    half = high // np.uint64(10_000)
    lanes = half | (high - half * np.uint64(10_000)) << np.uint64(32)
    part = ((lanes * np.uint64(10_486)) >> np.uint64(20)) & np.uint64(0x0000_007F_0000_007F)
    lanes = part | (lanes - part * np.uint64(100)) << np.uint64(16)
    part = ((lanes * np.uint64(103)) >> np.uint64(10)) & np.uint64(0x000F_000F_000F_000F)
    lanes = part | (lanes - part * np.uint64(10)) << np.uint64(8)
    tens = low // np.uint32(10)
    records = np.empty(len(numbers), RECORD)
    records["head"] = lanes | _HEAD_ZEROS
    records["tail"] = tens | (low - tens * np.uint32(10)) << np.uint32(8) | _TAIL_ZEROS
    return records.tobytes()


def check_digits(first_nine: Numbers) -> Numbers:
    """Compute the modulus-11 check digits of nine-digit stems.

    Args:
        first_nine: shape (n,), each below 10**9.

    Returns:
        Shape (n,), 0 to 10; a number whose check digit would be 10 is never issued.
    """
    total = np.zeros(len(first_nine), np.int64)
    stem = first_nine
    for weight in range(2, 11):
        total += stem % 10 * weight
        stem = stem // 10
    return (11 - total % 11) % 11
