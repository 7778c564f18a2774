"""What is shown of a body's beginning, whatever it is."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_sim.web.previews import LONGEST_LINE, MOST_LINES, preview

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252")
LIST = "NHS number,Name\r\n9990000018,Zoë\r\n999 000 0026,Renée\r\n"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_list_is_read_in_its_encoding(encoding: str) -> None:
    """Numbers are masked in whichever encoding a text is in."""
    shown = preview(LIST.encode(encoding), whole=True)
    assert shown.lines == ("NHS number,Name", "999 *** **18,Zoë", "999 *** **26,Renée")
    assert not shown.more
    assert shown.note == ""


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("left", range(1, 12))
def test_a_cut_text_shows_no_beginning_of_a_number(encoding: str, left: int) -> None:
    """Wherever a body is cut, also within a letter, no part of a number that is cut is shown."""
    data = "A name,9990000018,é".encode(encoding)
    shown = preview(data[:-left], whole=False)
    assert shown.more
    assert "99900" not in "".join(shown.lines)


@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(b"9990000018"),
        b"PK\x03\x04\x14\x00" + bytes(range(256)),
        b"9990000018\x00\x01\x02",
        bytes(range(0x80, 0x100)) * 4,
        b"\xff\xfe9",
        b"9990000018\x07",
        "\ue000".encode(),
    ],
)
def test_what_is_no_text_is_not_shown(body: bytes) -> None:
    """Of bytes that are no text none is shown, and that is said."""
    shown = preview(body, whole=True)
    assert shown.lines == ()
    assert "not text" in shown.note


def test_long_bodies_are_cut() -> None:
    """Twenty lines are shown, and of each two hundred letters; that there is more is said."""
    text = "\n".join(["x" * 300, "y" * LONGEST_LINE, *("z" for _ in range(MOST_LINES))])
    shown = preview(text.encode(), whole=True)
    assert len(shown.lines) == MOST_LINES
    assert shown.lines[0] == "x" * LONGEST_LINE + "…"
    assert shown.lines[1] == "y" * LONGEST_LINE
    assert shown.more
    assert not preview(b"one\ntwo\n", whole=True).more


def test_a_number_at_the_end_of_a_shown_line_is_masked() -> None:
    """A line is masked before it is cut."""
    shown = preview(b"x" * (LONGEST_LINE - 5) + b"9990000018", whole=True)
    assert shown.lines == ("x" * (LONGEST_LINE - 5) + "999 *…",)


def test_nothing_is_said_to_be_nothing() -> None:
    """An empty body says so."""
    assert preview(b"", whole=True).note == "It is empty."
    assert preview(b"", whole=False).note != "It is empty."


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_have_a_preview(body: bytes, whole: bool) -> None:
    """Whatever a body begins with, something is shown or said."""
    shown = preview(body, whole=whole)
    assert shown.lines or shown.note or body
    assert all(line.isascii() or line.encode() for line in shown.lines)
