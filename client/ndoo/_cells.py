"""Cells of NHS numbers as spreadsheets leave them: made floats, or robbed of their leading zero.

The service wants ten digits and nothing else (ndoo-service.md, "The exchange"), and ``ndoo.lists`` reads
just that. What is allowed for here is allowed for in people's own files only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from ndoo.lists import SEPARATORS, Fault, Faults, NumberRule, RecordBlock, parse_number, read_records
from ndoo.records import RECORD, RECORD_BYTES, Mask, Numbers, decode_records

LINE_SEPARATORS: Final = {code: drop for code, drop in SEPARATORS.items() if code != ord("\n")}
"""For ``str.translate``: drops ``SEPARATORS`` from many lines, which remain lines."""

_SPELLINGS = re.compile(
    r"([0-9]{9,10})(?:\.0*)?|([1-9])\.([0-9]{9})0*[eE]\+0?9|([1-9])\.([0-9]{8})0*[eE]\+0?8"
)
_WIDEST: Final = 24
"""A cell of more characters than this is not looked at again: no spreadsheet writes so many."""

_REREAD: Final = (Fault.LENGTH, Fault.NOT_DIGITS, Fault.SCIENTIFIC)


def parse_cell(text: str, rule: NumberRule = NumberRule.CHECKSUM) -> tuple[int | None, Fault]:
    """Read one cell: like ``parse_number``, and what spreadsheets make of a number.

    ``9991234567.0`` and ``9.991234567E+09`` are read as the ten digits they hold; one written with fewer
    digits has lost some and stays SCIENTIFIC.

    Returns:
        The number and NONE; the number with its zero put back and LOST_ZERO; or None and the fault.
    """
    number, fault = parse_number(text, rule)
    written = text.translate(SEPARATORS).removesuffix(",")
    if fault not in _REREAD or len(written) > _WIDEST:
        return number, fault
    spelling = _SPELLINGS.fullmatch(written)
    if spelling is None:
        return None, fault
    digits = "".join(filter(None, spelling.groups()))
    if len(digits) == 10:
        return parse_number(digits, rule)
    number, _ = parse_number("0" + digits, rule)
    return (None, Fault.LENGTH) if number is None else (number, Fault.LOST_ZERO)


def read_cells(data: bytes, rule: NumberRule, first_line: int = 1) -> RecordBlock:
    """Read cells, one a line, from which ``SEPARATORS`` have been dropped, many at a time.

    Does what ``parse_cell`` does, and takes what ``read_records`` takes. Where the fault is LOST_ZERO the
    number is the one with the zero put back.
    """
    block = read_records(data, rule, first_line)
    doubtful = np.flatnonzero(np.isin(block.faults, _REREAD))
    if not len(doubtful):
        return block
    buffer = np.frombuffer(data, np.uint8)
    starts = np.concatenate((np.zeros(1, np.int64), block.ends[:-1]))[doubtful]
    stops = block.ends[doubtful]
    for ending in b"\n\r,":
        # None of them is empty, and what is not the last byte of its line is not taken for it.
        stops = stops - ((stops > starts) & (buffer[stops - 1] == ending))
    short = stops - starts <= _WIDEST
    places, read, read_faults = _reread(buffer, starts[short], stops[short], rule)
    numbers, faults = block.numbers.copy(), block.faults.copy()
    changed = doubtful[short][places]
    numbers[changed], faults[changed] = read, read_faults
    return replace(block, numbers=numbers, faults=faults)


def read_texts(cells: Sequence[str], rule: NumberRule) -> tuple[Numbers, Faults]:
    """Read the texts of n cells, which may hold ``SEPARATORS`` and line feeds, many at a time.

    Returns:
        The number and the fault of each, shape (n,), as in ``read_cells``.
    """
    text = "\n".join(cells)
    if text.count("\n") >= len(cells):
        text = "\n".join([cell.replace("\n", "") for cell in cells])
    block = read_cells((text.translate(LINE_SEPARATORS) + "\n").encode("ascii", "replace"), rule)
    return block.numbers, block.faults


def accepted(faults: Faults, *, repair: bool) -> Mask:
    """Tell which cells count as valid numbers, shape (n,): with ``repair`` those that lost a zero too."""
    valid: Mask = faults == np.uint8(Fault.NONE)
    if repair:
        valid |= faults == np.uint8(Fault.LOST_ZERO)
    return valid


Text: TypeAlias = npt.NDArray[np.uint8]
"""Lines side by side, shape (n, _WIDEST + 1), each followed by zero bytes, at least one."""


def _reread(
    buffer: npt.NDArray[np.uint8], starts: Numbers, stops: Numbers, rule: NumberRule
) -> tuple[Numbers, Numbers, Faults]:
    """Read n lines by ``_SPELLINGS``.

    Returns:
        Which of them are spelt so, and the number and the fault of these.
    """
    columns = np.arange(_WIDEST + 1)
    lengths = stops - starts
    text = buffer[np.minimum(starts[:, None] + columns, len(buffer) - 1)]
    text[columns >= lengths[:, None]] = 0

    count = _plain_digits(text)
    rest = np.flatnonzero(count == 0)
    scientific = rest[(text[rest] | 0x20 == ord("e")).any(axis=1)]
    count[scientific] = _scientific_digits(text[scientific], lengths[scientific])
    has_point = np.zeros(len(text), np.bool_)
    has_point[scientific] = True

    spelt = np.flatnonzero(count)
    lost = count[spelt] == 9
    digits = np.maximum(np.arange(10) - lost[:, None], 0)
    digits += has_point[spelt, None] & (digits > 0)
    records = np.empty((len(spelt), RECORD_BYTES), np.uint8)
    records[:, :10] = text[spelt[:, None], digits]
    records[lost, 0] = ord("0")
    records[:, 10:] = np.frombuffer(b",\n", np.uint8)
    numbers, _, checked = decode_records(records.view(RECORD)[:, 0])
    sound = checked | (rule is NumberRule.DIGITS)
    faults = np.where(lost, np.uint8(Fault.LOST_ZERO), np.uint8(Fault.NONE))
    faults[~sound] = np.where(lost[~sound], np.uint8(Fault.LENGTH), np.uint8(Fault.CHECK_DIGIT))
    return spelt, np.where(lost & ~sound, -1, numbers), faults


def _plain_digits(text: Text) -> Numbers:
    """Tell how many digits stand in front, 9 or 10; 0 if a point and zeros are not all that follows."""
    leading = np.argmin(_is_digit(text), axis=1)
    wanted = (leading == 9) | (leading == 10)
    follows = _at(text, leading)
    wanted &= (follows == 0) | (follows == ord("."))
    fraction = text[:, 10:]
    # With nine digits the point itself may stand there.
    zeros = (fraction == ord("0")) | (fraction == 0) | (np.arange(10, text.shape[1]) <= leading[:, None])
    return np.where(wanted & zeros.all(axis=1), leading, 0)


def _scientific_digits(text: Text, lengths: Numbers) -> Numbers:
    """Tell how many digits a number such as 9.991234567E+09 has, 9 or 10; 0 if it is no such number."""
    end = text.shape[1] - 1
    mark = 2 + np.argmin(_is_digit(text[:, 2:]), axis=1)  # where the E stands
    power = np.minimum(mark + 2, end)
    power = np.minimum(power + (_at(text, power) == ord("0")), end)
    exponent = _at(text, power).astype(np.int64) - ord("0")
    wanted = (text[:, 0] > ord("0")) & (text[:, 0] <= ord("9")) & (text[:, 1] == ord("."))
    wanted &= (_at(text, mark) | 0x20 == ord("e")) & (_at(text, np.minimum(mark + 1, end)) == ord("+"))
    wanted &= ((exponent == 8) | (exponent == 9)) & (mark - 2 >= exponent) & (power + 1 == lengths)
    columns = np.arange(text.shape[1])
    elsewhere = (columns < 2 + exponent[:, None]) | (columns >= mark[:, None])
    return np.where(wanted & ((text == ord("0")) | elsewhere).all(axis=1), exponent + 1, 0)


def _is_digit(text: Text) -> Mask:
    is_digit: Mask = text - np.uint8(ord("0")) < 10
    return is_digit


def _at(text: Text, columns: Numbers) -> npt.NDArray[np.uint8]:
    """Give the character of each line at its column, shape (n,)."""
    found: npt.NDArray[np.uint8] = text[np.arange(len(text)), columns]
    return found
