from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ndoo._cells import accepted, parse_cell, read_cells, read_texts
from ndoo.lists import TEST_RANGE, Fault, NumberRule, generate, parse_number, read_records

# Nobody's: the third and fourth digit of a Scottish number, which may begin with a zero, are a month.
ZERO = 123450012


@pytest.mark.parametrize(
    ("text", "number", "fault"),
    [
        ("9990000018.0", 999_000_0018, Fault.NONE),
        (" 9990000018.000,", 999_000_0018, Fault.NONE),
        ("9990000018.", 999_000_0018, Fault.NONE),
        ("9.990000018E+09", 999_000_0018, Fault.NONE),
        ("9.990000018e+9", 999_000_0018, Fault.NONE),
        ("9.99000001800E+09", 999_000_0018, Fault.NONE),
        ("9990000019.0", None, Fault.CHECK_DIGIT),
        ("9.990000019E+09", None, Fault.CHECK_DIGIT),
        ("9990000018.5", None, Fault.NOT_DIGITS),
        ("9.99000002E+09", None, Fault.SCIENTIFIC),
        ("9.99E+09", None, Fault.SCIENTIFIC),
        ("9.990000018E-09", None, Fault.SCIENTIFIC),
        ("9.990000018E+10", None, Fault.SCIENTIFIC),
        ("9.9900000181E+09", None, Fault.SCIENTIFIC),
        ("0.990000018E+09", None, Fault.SCIENTIFIC),
        ("9.990000018E+090", None, Fault.SCIENTIFIC),
        ("9.990000018E+0", None, Fault.SCIENTIFIC),
        ("123450012", ZERO, Fault.LOST_ZERO),
        ("123450012.0", ZERO, Fault.LOST_ZERO),
        ("1.23450012E+08", ZERO, Fault.LOST_ZERO),
        ("0123450012", ZERO, Fault.NONE),
        ("123450013", None, Fault.LENGTH),
        ("23450012", None, Fault.LENGTH),
    ],
)
def test_what_spreadsheets_make_of_a_number_is_read(text, number, fault):
    """Floats with all ten digits are read, a lost zero is found, and what is really lost stays a fault."""
    assert parse_cell(text) == (number, fault)
    found, faults = read_texts([text], NumberRule.CHECKSUM)
    assert faults.tolist() == [fault]
    assert number in (None, found[0])


@pytest.mark.parametrize("text", ["9990000018.0", "9.990000018E+09", "123450012"])
def test_the_service_still_wants_ten_digits(text):
    """The strict reading of records, and of numbers that people type, allows for none of this."""
    block = read_records(f"{text},\n".encode(), NumberRule.CHECKSUM)
    assert not block.valid.any()
    assert Fault(block.faults[0]) is parse_number(text)[1]
    assert Fault(block.faults[0]) not in {Fault.NONE, Fault.LOST_ZERO}


numbers = st.one_of(st.integers(0, 10**10 - 1), st.sampled_from([ZERO, *next(generate(50, seed=8)).tolist()]))


def scientific(number: int, digits: int, zeros: int, power: str) -> str:
    """Write a number with a point after its first digit."""
    text = f"{number:0{digits}d}"
    return f"{text[0]}.{text[1:]}{'0' * zeros}{power}"


spellings = st.one_of(
    numbers.map(str),
    numbers.map(lambda number: f"{number}.0"),
    numbers.map(lambda number: f"{number:.9e}"),
    numbers.map(lambda number: f"{number:.8e}"),
    st.builds(
        scientific,
        numbers,
        st.sampled_from([9, 10]),
        st.integers(0, 14),
        st.sampled_from(["E+09", "e+9", "E+08", "E+8", "E09", "E+090", "E+"]),
    ),
    st.text("0123456789.eE+,x", max_size=30),
)


@given(st.lists(spellings, max_size=20), st.sampled_from(NumberRule), st.sampled_from(["\n", "\r\n", ",\n"]))
def test_many_cells_are_read_like_each_alone(cells, rule, ending):
    """Reading a block at once gives every cell the number and the fault it has by itself."""
    block = read_cells("".join(cell + ending for cell in cells).encode(), rule, 5)
    assert (len(block), block.first_line) == (len(cells), 5)
    for cell, number, fault in zip(cells, block.numbers.tolist(), block.faults.tolist(), strict=True):
        expected, expected_fault = parse_cell(cell + ending.rstrip(), rule)
        assert fault == expected_fault
        assert expected in (None, number)


def test_cells_with_blanks_and_line_breaks_are_read():
    """Separators do not count, and a cell stays one whatever is in it."""
    cells = ["999 000\n0018", "", "123-450-012", "x\ny"]
    found, faults = read_texts(cells, NumberRule.CHECKSUM)
    assert faults.tolist() == [Fault.NONE, Fault.BLANK, Fault.LOST_ZERO, Fault.NOT_DIGITS]
    assert found[[0, 2]].tolist() == [999_000_0018, ZERO]


def test_a_lost_zero_counts_only_when_asked_for():
    """Without repair a number that lost its zero is as invalid as any other."""
    faults = np.array([Fault.NONE, Fault.LOST_ZERO, Fault.LENGTH, Fault.BLANK], np.uint8)
    assert accepted(faults, repair=False).tolist() == [True, False, False, False]
    assert accepted(faults, repair=True).tolist() == [True, True, False, False]


def test_nothing_of_the_test_range_is_taken_for_a_lost_zero():
    """A number that is short for another reason, such as a digit left out, is not offered for repair."""
    assert parse_cell(str(TEST_RANGE[0])[:-2])[1] is Fault.LENGTH
