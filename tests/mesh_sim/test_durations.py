"""Durations as people write them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_sim.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5d", timedelta(days=5)),
        ("1h30m", timedelta(minutes=90)),
        ("0", timedelta()),
        ("30", timedelta(seconds=30)),
        ("1.5 h", timedelta(minutes=90)),
        (" 2W ", timedelta(weeks=2)),
        ("1d 2h 3m 4s", timedelta(days=1, hours=2, minutes=3, seconds=4)),
    ],
)
def test_durations_are_read(text: str, expected: timedelta) -> None:
    """Weeks to seconds, alone or together, and bare seconds."""
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    "text", ["", "soon", "5x", "-5d", "d", "5d!", "1e3d", "999999999999d", "٣d", "9" * 400]
)
def test_anything_else_is_refused(text: str) -> None:
    """What is not a duration, is negative, or is absurdly long raises and says so."""
    with pytest.raises(ValueError, match=r"not a duration|longer than a century|cannot be negative"):
        parse_duration(text)


@given(st.text(max_size=12))
def test_any_text_gives_a_duration_or_a_value_error(text: str) -> None:
    """No text makes the parser fail in another way."""
    try:
        assert parse_duration(text) >= timedelta()
    except ValueError as error:
        assert str(error)  # noqa: PT017 - hypothesis tries both outcomes in one test
