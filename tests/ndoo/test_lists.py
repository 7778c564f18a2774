from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from nhs_number import is_valid
from nhs_number.validate import calculate_checksum

from ndoo.lists import (
    BLOCK_BYTES,
    EMPTY_ANSWER,
    MAX_LINE,
    TEST_RANGE,
    Fault,
    NumberRule,
    NumberSet,
    RecordBlock,
    RecordReader,
    check_digits,
    format_records,
    generate,
    mask,
    parse_number,
    read_records,
)

POOL = np.concatenate(list(generate(2_000, seed=7)))

odd_contents = [
    "",
    "999123456",
    "99912345678",
    "9.99E+09",
    "9.9912E+9",
    "1E",
    "E",
    "NHS number",
    "9991\r34567",
]
contents = st.one_of(
    st.sampled_from(POOL.tolist()).map(str),
    st.integers(*TEST_RANGE).map(str),
    st.sampled_from(odd_contents),
    st.text("0123456789eE.,+xé", max_size=12).filter(lambda text: not text.endswith(",")),
)
endings = st.sampled_from([",\n", "\n", "\r\n", ",\r\n"])
lines = st.lists(st.tuples(contents, endings), max_size=40)
cuts = st.lists(st.integers(0, 1000), max_size=8)


def pieces(data: bytes, places: list[int]) -> list[bytes]:
    """Cut bytes at the given places, wherever those fall."""
    bounds = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:stop] for start, stop in itertools.pairwise(bounds)]


def strict_fault(content: str, rule: NumberRule) -> Fault:
    """Judge one record by itself; unlike a person's list, a record allows for no blanks."""
    if any(character.isspace() for character in content):
        return Fault.NOT_DIGITS
    return parse_number(content, rule)[1]


# -- reading a stream -------------------------------------------------------------------------------


@given(lines, cuts, st.sampled_from(list(NumberRule)), st.booleans(), st.data())
def test_any_list_is_read_alike_wherever_it_is_cut(rows, places, rule, ended, data):
    """Numbers, faults, line numbers and kept bytes are those of each line read by itself."""
    raw = [(content + ending).encode() for content, ending in rows]
    if raw and not ended:
        raw[-1] = raw[-1].rstrip(b"\r\n") or b","  # nothing at all would be no line
    blocks = list(RecordReader(rule).read(pieces(b"".join(raw), places)))

    faults = [strict_fault(content, rule) for content, _ in rows]
    assert [fault for block in blocks for fault in block.faults] == faults
    numbers = [number for block in blocks for number in block.numbers[block.valid]]
    assert numbers == [int(row[0]) for row, fault in zip(rows, faults, strict=True) if not fault]
    assert [block.first_line for block in blocks] == np.cumsum([1, *map(len, blocks)])[:-1].tolist()

    keep = data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    kept = b"".join(
        block.select(np.array(keep[block.first_line - 1 :][: len(block)], np.bool_)) for block in blocks
    )
    expected = b"".join(line for line, kept in zip(raw, keep, strict=True) if kept)
    assert kept == (expected if expected.endswith(b"\n") or not expected else expected + b"\n")


@pytest.mark.parametrize("step", [65_536, BLOCK_BYTES, BLOCK_BYTES + 1, 10 * BLOCK_BYTES])
def test_a_long_list_in_the_usual_form_comes_back_whole(step):
    """A list of several blocks is read completely and in order, in blocks of limited size."""
    numbers = np.concatenate(list(generate(200_000)))
    data = format_records(numbers)
    blocks = list(RecordReader().read(data[start : start + step] for start in range(0, len(data), step)))
    assert np.array_equal(np.concatenate([block.numbers for block in blocks]), numbers)
    assert all(block.valid.all() for block in blocks)
    assert max(len(block.data) for block in blocks) <= BLOCK_BYTES + MAX_LINE


@pytest.mark.parametrize("change", [b"x", b"/", b":", b"\xb9", b"\xff", b"\0"])
def test_one_bad_byte_in_a_block_is_found_at_its_place(change):
    """A byte that is no digit, anywhere in a number, spoils that record and no other."""
    data = format_records(POOL[:100])
    for place in range(50 * 12, 50 * 12 + 10):
        block = read_records(data[:place] + change + data[place + 1 :], NumberRule.CHECKSUM)
        assert np.flatnonzero(block.faults).tolist() == [50]
        assert block.faults[50] == Fault.NOT_DIGITS
        assert block.numbers[50] == -1


def test_a_line_feed_in_the_place_of_a_digit_makes_two_short_records():
    """Twelve-byte steps are no substitute for looking at the line feeds."""
    data = bytearray(format_records(POOL[:3]))
    data[12 + 4] = ord("\n")
    block = read_records(bytes(data), NumberRule.DIGITS)
    assert block.faults.tolist() == [Fault.NONE, Fault.LENGTH, Fault.LENGTH, Fault.NONE]


@pytest.mark.parametrize("size", [7, 1000, 70_000, 300_000])
def test_an_endless_line_is_one_invalid_record_and_is_not_kept_in_memory(size):
    """A line of 300 KB is one fault, what is held of it is limited, and the next record is read."""
    reader = RecordReader(NumberRule.DIGITS)
    blocks: list[RecordBlock] = []
    line = b"9" * 300_000 + b"\n9990000000,\n"
    for start in range(0, len(line), size):
        blocks += reader.feed(line[start : start + size])
        assert len(reader._held) <= MAX_LINE + 1
    blocks += reader.finish()
    assert [fault for block in blocks for fault in block.faults] == [Fault.LENGTH, Fault.NONE]
    assert blocks[-1].numbers[-1] == 999_000_0000


@pytest.mark.parametrize("answer", [EMPTY_ANSWER, b"\r\n"])
def test_the_answer_that_everybody_opted_out_has_no_records(answer):
    """A lone line feed is an empty answer for the reader of answers, however it arrives."""
    for split in (pieces(answer, []), pieces(answer, [1])):
        assert list(RecordReader(answer=True).read(split)) == []
    assert [block.faults.tolist() for block in RecordReader().read([answer])] == [[Fault.BLANK]]


@given(cuts)
def test_an_answer_that_starts_with_a_blank_line_is_not_empty(places):
    """More after a first line feed makes that line a blank, hence invalid, record."""
    stream = pieces(b"\n" + format_records(POOL[:2]), places)
    faults = [fault for block in RecordReader(answer=True).read(stream) for fault in block.faults]
    assert faults == [Fault.BLANK, Fault.NONE, Fault.NONE]


def test_reading_nothing_gives_nothing():
    """An empty stream has no records, and an empty block none either."""
    assert list(RecordReader().read([])) == []
    assert list(RecordReader().read([b"", b""])) == []
    assert len(read_records(b"", NumberRule.DIGITS)) == 0


def test_a_block_never_shows_its_numbers():
    """The repr of a block, which may end up in a log, holds no NHS number."""
    text = repr(read_records(format_records(POOL[:3]), NumberRule.DIGITS))
    assert not any(str(number) in text for number in POOL[:3])


# -- numbers and records ----------------------------------------------------------------------------


@given(st.lists(st.integers(0, 999_999_999), min_size=1, max_size=50))
@example([0, 1, 999_999_999, 123_456_789])
def test_records_and_numbers_turn_into_each_other(stems):
    """Any ten digits survive the way to a record and back, and a wrong check digit is noticed."""
    check = check_digits(np.array(stems, np.int64))
    wrong = np.array(stems, np.int64) * 10 + (check + 1) % 10  # belongs to nobody, and is not a number
    data = format_records(wrong)
    assert data == b"".join(b"%010d,\n" % number for number in wrong)
    block = read_records(data, NumberRule.CHECKSUM)
    assert np.array_equal(block.numbers, wrong)
    assert (block.faults == Fault.CHECK_DIGIT).all()
    assert read_records(data, NumberRule.DIGITS).valid.all()


@given(st.lists(st.integers(0, 999_999_999), max_size=50))
def test_check_digits_agree_with_the_nhs_number_package(stems):
    """The vectorised check digits are those of the package for one number at a time."""
    expected = [calculate_checksum(f"{stem:09d}") for stem in stems]
    assert check_digits(np.array(stems, np.int64)).tolist() == expected


@given(st.lists(st.integers(*TEST_RANGE), max_size=50))
def test_validity_agrees_with_the_nhs_number_package(numbers):
    """A record is valid exactly when the package says that its number is."""
    block = read_records(format_records(np.array(numbers, np.int64)), NumberRule.CHECKSUM)
    assert block.valid.tolist() == [is_valid(str(number)) for number in numbers]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("9990000018", Fault.NONE),
        (" 999 000 0018 ", Fault.NONE),
        ("999-000-0018\n", Fault.NONE),
        ("999\u00a0000\u20110018", Fault.NONE),
        ("9990000018,", Fault.NONE),
        ("9990000019", Fault.CHECK_DIGIT),
        ("", Fault.BLANK),
        (" - ", Fault.BLANK),
        ("999000001", Fault.LENGTH),
        ("99900000180", Fault.LENGTH),
        ("9.99E+09", Fault.SCIENTIFIC),
        ("9,99e9", Fault.SCIENTIFIC),
        ("unknown", Fault.NOT_DIGITS),
        ("٩٩٩٠٠٠٠٠١٨", Fault.NOT_DIGITS),
    ],
)
def test_numbers_are_read_as_people_write_them(text, fault):
    """Blanks and hyphens are allowed for; anything else is refused with its own reason."""
    assert parse_number(text) == (None if fault else 999_000_0018, fault)


def test_any_ten_digits_are_a_number_under_the_laxer_rule():
    """The rule "digits" does not look at the check digit."""
    assert parse_number("999 000 0019", NumberRule.DIGITS) == (999_000_0019, Fault.NONE)


def test_each_fault_has_its_own_words():
    """People can tell the faults apart, and a sound number has none."""
    reasons = [fault.reason for fault in Fault]
    assert len(set(reasons)) == len(Fault)
    assert [fault for fault in Fault if not fault.reason] == [Fault.NONE]


def test_a_masked_number_cannot_be_read():
    """Five of the ten digits are shown, leading zeros included."""
    assert mask(999_123_4512) == "999 *** **12"
    assert mask(7) == "000 *** **07"


# -- sets -------------------------------------------------------------------------------------------

OUTSIDERS = [0, 1, 10**9, 2**33, 10**10 - 1]  # far apart, so that the set cannot be one dense table


@given(
    st.lists(st.integers(*TEST_RANGE), max_size=60),
    st.lists(st.sampled_from(OUTSIDERS), max_size=3),
    st.lists(st.integers(*TEST_RANGE), max_size=60),
    st.integers(0, 60),
)
def test_a_number_set_holds_what_was_put_in(members, far, others, cut):
    """Whether dense or sparse, the set agrees with Python's own."""
    numbers = members + far
    arrays = [np.array(numbers[:cut], np.int64), np.array(numbers[cut:], np.int64)]
    given_arrays = [array.copy() for array in arrays]
    built = NumberSet.from_arrays(arrays)
    asked = [*numbers, *others, *OUTSIDERS, -1, -(2**63), 2**63 - 1]
    assert built.contains(np.array(asked, np.int64)).tolist() == [number in numbers for number in asked]
    assert [number in built for number in asked] == [number in numbers for number in asked]
    assert len(built) == len(set(numbers))
    assert all(map(np.array_equal, arrays, given_arrays))


@pytest.mark.parametrize("spread", [1, 1000], ids=["dense", "sparse"])
def test_a_large_set_finds_all_its_numbers_and_no_others(spread):
    """Half a million numbers, asked for in any order and with gaps, within 16 bytes each."""
    numbers = np.random.default_rng(3).permutation(1_000_000).astype(np.int64) * spread
    built = NumberSet.from_arrays(np.array_split(numbers[:500_000], 7))
    assert built.contains(numbers[:500_000]).all()
    assert not built.contains(numbers[500_000:]).any()
    assert (
        built.contains(numbers[::-3]).sum() == np.isin(np.arange(1_000_000)[::-3], np.arange(500_000)).sum()
    )
    assert built._sorted.nbytes + built._bits.nbytes + built._places.nbytes <= 16 * 500_000


def test_a_set_of_clusters_far_apart_finds_all_its_numbers_and_no_others():
    """However unevenly the numbers lie, so that most of the places looked at first are wrong."""
    cluster = np.arange(0, 60_000, 2, dtype=np.int64)
    middle = TEST_RANGE[0] - 10**9
    built = NumberSet.from_arrays([cluster, cluster + middle, cluster + TEST_RANGE[1]])
    for start in (0, middle, TEST_RANGE[1]):
        assert built.contains(cluster + start).all()
        assert not built.contains(cluster + start + 1).any()


# -- synthetic numbers ------------------------------------------------------------------------------


def test_generated_numbers_are_distinct_valid_and_from_the_test_range():
    """As many as the range holds are all different, valid, and nobody's."""
    numbers = np.concatenate(list(generate(909_000)))
    assert len(np.unique(numbers)) == len(numbers) == 909_000
    assert read_records(format_records(numbers), NumberRule.CHECKSUM).valid.all()
    assert TEST_RANGE[0] <= numbers.min() <= numbers.max() <= TEST_RANGE[1]
    assert abs(np.corrcoef(np.arange(len(numbers)), numbers)[0, 1]) < 0.01


def test_the_same_seed_gives_the_same_numbers():
    """Numbers depend on the seed alone: not on how many are asked for, nor on numpy's version."""
    few, many = (np.concatenate(list(generate(count, seed=5))) for count in (100, 70_000))
    assert np.array_equal(few, many[:100])
    assert not np.array_equal(few, np.concatenate(list(generate(100, seed=6))))
    assert next(generate(3)).tolist() == [9995289407, 9995607360, 9996170829]


def test_more_numbers_than_the_range_holds_start_over():
    """Beyond the range the first numbers come again, in the same order; none at all is fine too."""
    numbers = np.concatenate(list(generate(1_000_000)))
    size = len(np.unique(numbers))
    assert len(numbers) == 1_000_000
    assert np.array_equal(numbers[size:], numbers[: 1_000_000 - size])
    assert list(generate(0)) == []
