"""What may stand in a journal's entry."""

from __future__ import annotations

import pytest
from support import UNKNOWN_ID

from mesh_sim.witness.journal import clean, message_id_in


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("X26ABC1", "X26ABC1"),
        ("Zoë's client", "Zoë's client"),
        ("red\x1b[31m", "red\N{REPLACEMENT CHARACTER}[31m"),
        ("two\nlines", "two\N{REPLACEMENT CHARACTER}lines"),
        ("\udcff", "\N{REPLACEMENT CHARACTER}"),
        ("12345678901", "1234567890"),
    ],
    ids=["plain", "accents", "an escape", "a line break", "a stray byte", "too long"],
)
def test_a_callers_text_is_made_fit_to_show_and_to_store(text: str, cleaned: str) -> None:
    """What disturbs a terminal or cannot be stored is replaced, and long texts are cut."""
    assert clean(text, 10 if "123" in text else 40) == cleaned


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (UNKNOWN_ID, UNKNOWN_ID),
        (UNKNOWN_ID.lower(), UNKNOWN_ID),
        ("9990000018", ""),
        (UNKNOWN_ID + "0", ""),
        (f" {UNKNOWN_ID}", ""),
        ("", ""),
    ],
)
def test_only_what_looks_like_a_message_id_is_one(text: str, found: str) -> None:
    """Anything else in its place, which may be a patient's number, is not noted."""
    assert message_id_in(text) == found
