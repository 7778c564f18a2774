"""The streaming list checker."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optout_world import NUMBERS, records

from mesh_sim.optouts.checker import ListChecker
from mesh_sim.optouts.snapshot import OptOutSnapshot, SyntheticRule, resolve
from ndoo.lists import NumberRule

NOBODY = SyntheticRule(0, 1)
WRONG_CHECK_DIGIT = b"9990000019,\n"


def register_of(*numbers: int) -> OptOutSnapshot:
    """Make a register in which these have opted out."""
    return resolve([(np.array(sorted(set(numbers)), np.int64), True)] if numbers else [], NOBODY)


def checked(
    data: bytes, *opted_out: int, rule: NumberRule = NumberRule.CHECKSUM
) -> tuple[ListChecker, bytes]:
    """Check a list that comes in one piece."""
    checker = ListChecker(register_of(*opted_out), rule)
    kept = checker.feed(data) + checker.finish()
    return checker, b"".join(kept)


@given(
    st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=60),
    st.sets(st.sampled_from(NUMBERS), max_size=40),
    st.lists(st.sampled_from([b",\n", b"\n", b",\r\n", b"\r\n"]), min_size=1, max_size=4),
    st.lists(st.integers(0, 900), max_size=6),
)
def test_keeps_exactly_the_rest(
    numbers: list[int], opted_out: set[int], endings: list[bytes], cuts: list[int]
) -> None:
    """What comes back is the list less the opted out, byte for byte, however it is cut and ended."""
    lines = [b"%d%s" % (number, endings[place % len(endings)]) for place, number in enumerate(numbers)]
    data = b"".join(lines)
    checker = ListChecker(register_of(*opted_out), NumberRule.CHECKSUM)
    places = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    kept = [records for a, b in itertools.pairwise(places) for records in checker.feed(data[a:b])]
    kept += checker.finish()
    rest = [line for line, number in zip(lines, numbers, strict=True) if number not in opted_out]
    assert b"".join(kept) == b"".join(rest)
    assert (checker.submitted, checker.kept, checker.acceptable) == (len(lines), len(rest), True)


def test_last_line_feed_may_be_missing() -> None:
    """A last record without its line ending is checked too, and given back with one."""
    checker, kept = checked(records(NUMBERS[:2])[:-1], NUMBERS[0])
    assert (kept, checker.submitted) == (records(NUMBERS[1:2]), 2)


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b",\n",
        b"\r\n",
        WRONG_CHECK_DIGIT,
        b"999000001,\n",
        b"99900000180,\n",
        b"NHSNumber,\n",
        b" 9990000018,\n",
    ],
    ids=["blank", "comma", "crlf", "check digit", "nine digits", "eleven", "header", "leading blank"],
)
def test_one_invalid_record_spoils_the_list(line: bytes) -> None:
    """Whatever is not a valid record makes the list unacceptable, and its line is known."""
    checker, _ = checked(records(NUMBERS[:3]) + line + records(NUMBERS[3:5]))
    assert (checker.acceptable, checker.first_invalid) == (False, 4)


def test_nothing_comes_after_an_invalid_record() -> None:
    """After an invalid record nothing more is given or counted, however much follows."""
    checker, _ = checked(records(NUMBERS[:1]) + b"?\n")
    assert checker.feed(records(NUMBERS) + b"?\n") == checker.finish() == []
    assert (checker.first_invalid, checker.invalid) == (2, 1)


@pytest.mark.parametrize("data", [b"", b"\n"])
def test_list_without_records_is_not_acceptable(data: bytes) -> None:
    """Neither nothing at all nor one empty line is a list."""
    assert not checked(data)[0].acceptable


def test_lax_rule_takes_any_ten_digits() -> None:
    """Under the rule "digits" a wrong check digit is no fault."""
    checker, kept = checked(WRONG_CHECK_DIGIT, rule=NumberRule.DIGITS)
    assert (checker.acceptable, kept) == (True, WRONG_CHECK_DIGIT)
