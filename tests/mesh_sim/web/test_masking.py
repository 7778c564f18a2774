"""Nobody's number is read in what a page shows of a body."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mesh_sim.web.masking import mask
from ndoo.protocol import message_id

SEPARATORS = ("", " ", "-", ".", "\u00a0", "\u2011", "\u200b", "\u00ad \u200d")
DIGITS = tuple("".join(chr(zero + digit) for digit in range(10)) for zero in (0x30, 0x660, 0x966, 0xFF10))
"""Of Europe, Arabia and India, and wide ones."""

AROUND = ["a", "É", ",", "\t", "\n", "_", "*", "7", "\uff17", *SEPARATORS[1:-1]]
around = st.text(st.sampled_from(AROUND), max_size=20)
anything = st.text(st.sampled_from([*AROUND, *DIGITS[0], *DIGITS[1]]), max_size=60)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("9990000018", "999 *** **18"),
        ("999 000 0018", "999 *** **18"),
        ("999-000-0018", "999 *** **18"),
        ("999.000.0018,", "999 *** **18,"),
        ("a9990000018b", "a999 *** **18b"),
        ("٩٩٩٠٠٠٠٠١٨", "999 *** **18"),
        ("0990000018", "099 *** **18"),
        ("9990000018 1980", "999******* ****"),
        ("999000001819800101", "999***************"),
        ("9990000018-01.01.1980", "999*******-**.**.****"),
        ("999000001", "999000001"),
        ("999 000  0018", "999 000  0018"),
        ("9990000018,19800101", "999 *** **18,19800101"),
        ("9990000018\t19800101", "999 *** **18\t19800101"),
        ("9990000018\n9990000026", "999 *** **18\n999 *** **26"),
    ],
)
def test_what_becomes_of_digits(text: str, shown: str) -> None:
    """Ten digits, apart or not, keep the first three and the last two; more keep three; fewer keep all."""
    assert mask(text) == shown


@given(
    st.text("01234568", min_size=10, max_size=10),
    st.lists(st.sampled_from(SEPARATORS), min_size=9, max_size=9),
    st.sampled_from(DIGITS),
    around,
    around,
    st.booleans(),
)
def test_a_number_is_never_read(
    number: str, between: list[str], digits: str, before: str, after: str, cut: bool
) -> None:
    """Whatever stands around a number and between its digits, five of them are to be read and no more."""
    written = "".join(digit + gap for digit, gap in zip(number, [*between, ""], strict=True))
    shown = mask(before + written.translate(str.maketrans(DIGITS[0], digits)) + after, cut=cut)
    assert len([letter for letter in shown if letter.isdecimal() and int(letter) != 7]) <= 5
    assert not _long_runs(shown)


@given(anything)
def test_no_run_is_left(text: str) -> None:
    """What is masked has no ten digits in a row, and masking it again changes nothing."""
    shown = mask(text)
    assert not _long_runs(shown)
    assert mask(shown) == shown


def _long_runs(text: str) -> list[str]:
    bare = re.sub("[\u00ad\u200b\u200d]", "", text)
    return re.findall(r"\d(?:[ .\u00a0\u2011-]?\d){9,}", bare)


@given(anything, st.integers(1, 9))
@example("9990000018 999000", 6)
def test_a_number_cut_by_the_end_is_not_begun(text: str, length: int) -> None:
    """Digits that a text ends with are not shown where it goes on."""
    shown = mask(f"{text}, {'999000001'[:length]}", cut=True)
    assert shown.endswith(", " + "*" * length)
    assert mask("999000001") == "999000001"


@given(st.datetimes(datetime(2020, 1, 1), datetime(2199, 1, 1)), st.integers(0, 16**6 - 1))  # noqa: DTZ001
def test_message_ids_stay(at: datetime, suffix: int) -> None:
    """An id as MESH makes them is shown whole, also beside a number."""
    known = message_id(at.replace(tzinfo=UTC), f"{suffix:06X}")
    assert mask(f"see {known}, 9990000018") == f"see {known}, 999 *** **18"
    assert mask(f"9990000018 {known}").endswith(known)


@pytest.mark.parametrize(
    "text", ["99900000189990000026_ABCDEF", "20261324183000123456_ABCDEF", "2026112418300012345_ABCDEF"]
)
def test_what_only_looks_like_a_message_id_is_masked(text: str) -> None:
    """Twenty digits that are no time are two numbers."""
    assert mask(text).startswith(f"{text[:3]}*")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("1" + "\u200b" * 100_000 + "a", "1"),
        ("1 " * 50_000, "111"),
        ("12345678\u00ad-" * 20_000, "123"),
        ("1  " * 50_000, ""),
    ],
    ids=["unseen", "apart", "mixed", "far apart"],
)
def test_the_longest_texts_are_masked(text: str, left: str) -> None:
    """However long a run is, it is masked, in a time that grows with its length alone."""
    assert "".join(filter(str.isdecimal, mask(text, cut=True))) == left
