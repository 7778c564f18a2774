"""NHS numbers for the register, from a list or one by one: all of them valid, or none taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np

from ndoo.lists import Fault, NumberRule, Numbers, RecordBlock, RecordReader, parse_number

SHOWN: Final = 20
"""How many of the invalid ones are named."""


class InvalidNumbers(ValueError):
    """Some are no NHS numbers: where the first of them are, and why. Never the numbers themselves."""

    def __init__(self, problems: Iterable[tuple[str, str]]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{place}: {reason}" for place, reason in self.problems))


def parse_numbers(texts: Iterable[str], rule: NumberRule) -> Numbers:
    """Read numbers as people write them, shape (n,).

    Raises:
        InvalidNumbers: by place, from ``[0]``.
    """
    numbers: list[int] = []
    problems: list[tuple[str, str]] = []
    for place, text in enumerate(texts):
        number, fault = parse_number(text, rule)
        if number is None:
            problems.append((f"[{place}]", f"is no NHS number: {fault.reason}"))
        else:
            numbers.append(number)
    if problems:
        raise InvalidNumbers(problems[:SHOWN])
    return np.array(numbers, np.int64)


class ListLoader:
    """Takes a list in pieces, one number a line as in a ``.dat``, and gives all its numbers at the end."""

    def __init__(self, rule: NumberRule) -> None:
        self._reader = RecordReader(rule)
        self._read: list[Numbers] = []

    def feed(self, data: bytes) -> None:
        """Take the next piece.

        Raises:
            InvalidNumbers: by line, from 1.
        """
        self._take(self._reader.feed(data))

    def finish(self) -> Numbers:
        """Give the numbers, shape (n,).

        Raises:
            InvalidNumbers: the last line is not one, or there was none.
        """
        self._take(self._reader.finish())
        if not self._read:
            raise InvalidNumbers([("", "the list is empty; it needs one NHS number a line")])
        return np.concatenate(self._read)

    def _take(self, blocks: Iterator[RecordBlock]) -> None:
        for block in blocks:
            valid = block.valid
            if not valid.all():
                wrong = [int(place) for place in np.flatnonzero(~valid)[:SHOWN]]
                raise InvalidNumbers(
                    (f"line {block.first_line + place}", Fault(int(block.faults[place])).reason)
                    for place in wrong
                )
            self._read.append(block.numbers)
