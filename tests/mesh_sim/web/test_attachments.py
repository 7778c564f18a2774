"""Names of downloads."""

from __future__ import annotations

import re
from email.message import Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_sim.web.attachments import attachment, safe_name


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("list.dat", "list.dat"),
        ("Zoë's list.csv", "Zoë's list.csv"),
        ("../../etc/passwd", "passwd"),
        ("C:\\folder\\list.dat", "list.dat"),
        (".bashrc", "bashrc"),
        ("list.dat. .", "list.dat"),
        ('a"b;c%22.dat', "a_b;c_22.dat"),
        ("nul.dat", "_nul.dat"),
        ("COM1", "_COM1"),
        ("a\r\nSet-Cookie: x", "a__Set-Cookie_ x"),
        ("gpj.\u202eexe", "gpj._exe"),
        ("", "otherwise.dat"),
        ("../", "otherwise.dat"),
        ("...", "otherwise.dat"),
        ("x" * 300 + ".csv.gz", "x" * 117 + ".gz"),
        ("x" * 300, "x" * 120),
    ],
)
def test_safe_names(name: str, safe: str) -> None:
    """A name leads nowhere, hides nothing, and keeps its extension."""
    assert safe_name(name, "otherwise.dat") == safe


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("list.dat", 'attachment; filename="list.dat"'),
        ("Zoë.dat", "attachment; filename=\"Zo_.dat\"; filename*=UTF-8''Zo%C3%AB.dat"),
    ],
)
def test_the_header(name: str, header: str) -> None:
    """What is not ASCII is written the other way too (RFC 6266, section 4.3)."""
    assert attachment(name) == header


@given(st.text(max_size=200))
def test_any_name_can_be_sent_and_read_again(name: str) -> None:
    """The header is one line of ASCII, from which the safe name is read."""
    safe = safe_name(name, "otherwise.dat")
    assert 0 < len(safe) <= 121
    assert not re.search(r'[/\\\x00-\x1f"%]', safe)
    header = attachment(safe)
    assert header.isascii()
    assert header.isprintable()
    message = Message()
    message["Content-Disposition"] = header
    if safe.isascii():
        assert message.get_filename() == safe
    else:
        assert header.partition("UTF-8''")[2]
