from __future__ import annotations

import codecs
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ndoo._encodings import drop_separators, find_encoding
from ndoo.errors import UnreadableList
from ndoo.lists import SEPARATORS

PATH = Path("list.csv")
MARKS = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
}


def read(data: bytes, sizes: list[int]) -> bytes:
    """Decode a file that comes in blocks of the given sizes, over and over."""
    blocks, start = [data[:4]], 4
    while start < len(data):
        size = sizes[len(blocks) % len(sizes)]
        blocks.append(data[start : start + size])
        start += size
    return b"".join(find_encoding(PATH, data).decode(PATH, blocks))


@given(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    st.sampled_from(list(MARKS)),
    st.lists(st.integers(1, 5), min_size=1),
)
def test_marked_text_is_read_and_written_back_as_it_was(text, codec, sizes):
    """Text of any kind, cut anywhere, is read right, and becomes the same bytes again."""
    data = MARKS[codec] + text.encode(codec)
    decoded = read(data, sizes)
    assert decoded == text.encode()
    encoding = find_encoding(PATH, data)
    assert encoding.mark + encoding.encode(decoded) == data


@pytest.mark.parametrize("text", ["é,9990000018\n", "é", "9", ""])
def test_text_without_a_mark_is_left_as_it_is(text):
    """UTF-8 and Windows-1252 need not be told apart."""
    for codec in ("utf-8", "cp1252"):
        assert read(text.encode(codec), [3]) == text.encode(codec)


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ("9990000018\n".encode("utf-16-le") + b"x", "ends in the middle of a character"),
        ("x\ud83d", "ends in the middle of a character"),
        ("x\ud83dy\n", "half a character in it"),
        ("\ude00y\n", "half a character in it"),
    ],
)
def test_broken_utf_16_is_refused(codec, broken, says):
    """Half a byte pair or half a surrogate pair is named; nothing is made up in its place."""
    data = broken if isinstance(broken, bytes) else broken.encode(codec, "surrogatepass")
    with pytest.raises(UnreadableList, match=says) as caught:
        read(MARKS[codec] + data, [3])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("NHS Number\n9990000018\n".encode("utf-16-le"), "without a byte-order mark"),
        ("Prénom;NHS Number\r\n".encode("utf-16-be"), "without a byte-order mark"),
        ("NHS Number\n".encode("utf-32"), "UTF-32"),
        (codecs.BOM_UTF32_BE + "NHS Number\n".encode("utf-32-be"), "UTF-32"),
    ],
)
def test_what_cannot_be_read_for_certain_is_refused(data, says):
    """The advice is to save the file as UTF-8."""
    with pytest.raises(UnreadableList, match=says):
        find_encoding(PATH, data)


@given(st.text(st.sampled_from([*map(chr, SEPARATORS), "9", "à", "€", "x"])))
def test_separators_are_dropped_in_utf_8(text):
    """What is left is as if characters had been dropped, save how many marks stand for other letters."""
    lines = {code: drop for code, drop in SEPARATORS.items() if code != ord("\n")}
    wanted = "".join("?" * len(c.encode()) if c > "~" else c for c in text.translate(lines))
    found = drop_separators(text.encode()).decode()
    assert found.replace("?", "") == wanted.replace("?", "")
    assert ("?" in found) == ("?" in wanted)


@given(st.text(st.sampled_from("999 -\u00a0\u2013\u2014\u00ad\n")))
def test_separators_are_dropped_in_windows_1252(text):
    """Non-breaking blanks and dashes are single bytes there."""
    assert drop_separators(text.encode("cp1252")) == "".join(c for c in text if c in "9\n").encode()
