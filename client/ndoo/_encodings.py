"""Text as people's files have it: UTF-8, UTF-16 or Windows-1252.

UTF-8 and Windows-1252 need not be told apart: delimiters, quotes, line ends and digits are the same bytes
in both. UTF-16 is read as UTF-8 and written back; sound text comes back as the very bytes it was.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ndoo.errors import UnreadableList
from ndoo.lists import SEPARATORS


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a file's text is written; ``mark`` is the byte-order mark it starts with, or empty.

    ``codec`` is None where the bytes are worked on as they are.
    """

    codec: str | None
    mark: bytes

    def decode(self, path: Path, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """Give a file's text, without its mark, as UTF-8 or Windows-1252.

        Args:
            path: the file's name, for errors.
            blocks: the file from its start, cut anywhere; the first holds the mark whole.

        Raises:
            UnreadableList: it is not sound UTF-16.
        """
        blocks = iter(blocks)
        first = next(blocks, b"").removeprefix(self.mark)
        if self.codec is None:
            if first:
                yield first
            yield from blocks
            return
        decoder = codecs.getincrementaldecoder(self.codec)()
        try:
            yield decoder.decode(first).encode()
            for block in blocks:
                yield decoder.decode(block).encode()
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            raise UnreadableList(
                path,
                "is UTF-16 text with half a character in it; export it again, as 'CSV UTF-8' at best"
                if error.reason.startswith("illegal")
                else "is UTF-16 text that ends in the middle of a character; copy or export it again",
            ) from error

    def encode(self, text: bytes) -> bytes:
        """Give part of the decoded text, whole characters, as the bytes that stand for it in the file."""
        return text if self.codec is None else text.decode().encode(self.codec)


PLAIN: Final = Encoding(None, b"")
"""UTF-8 without a mark, or Windows-1252."""

_MARKED: Final = (
    Encoding(None, codecs.BOM_UTF8),
    Encoding("utf-16-le", codecs.BOM_UTF16_LE),
    Encoding("utf-16-be", codecs.BOM_UTF16_BE),
)


def find_encoding(path: Path, start: bytes) -> Encoding:
    """Tell a file's encoding from its first bytes.

    Raises:
        UnreadableList: it looks like UTF-16 or UTF-32 of a kind that is not read.
    """
    if start.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise UnreadableList(path, "is UTF-32 text; save it as 'CSV UTF-8' and use that")
    for encoding in _MARKED:
        if start.startswith(encoding.mark):
            return encoding
    if _has_empty_halves(start):
        raise UnreadableList(
            path, "looks like UTF-16 text without a byte-order mark; save it as 'CSV UTF-8' and use that"
        )
    return PLAIN


def _has_empty_halves(start: bytes) -> bool:
    """Tell whether all but a few of every other byte are zero, as in UTF-16 with Latin letters and digits."""
    halves = start[::2], start[1::2]
    zeros = [half.count(0) for half in halves]
    return min(zeros) == 0 and 2 * max(zeros) > len(halves[1]) > 0


_WIDE: Final = [chr(code) for code in SEPARATORS if code > 127]
_WIDE_UTF_8: Final = [mark.encode() for mark in _WIDE]
_WIDE_1252: Final = "".join(_WIDE).encode("cp1252", "ignore")
_NARROW: Final = bytes(code for code in SEPARATORS if code < 128 and code != ord("\n"))
_STRAYS: Final = bytes(range(128)) + b"?" * 128


def drop_separators(text: bytes) -> bytes:
    """Drop blanks and hyphens (``SEPARATORS``) but for line feeds, whether UTF-8 or Windows-1252.

    Any other character beyond ASCII becomes question marks: it is neither digit nor separator.
    """
    text = text.translate(None, _NARROW)
    if text.isascii():
        return text
    for mark in _WIDE_UTF_8:
        text = text.replace(mark, b"")
    # In UTF-8 these bytes only follow others that are left, so that nothing turns into digits alone.
    return text.translate(_STRAYS, _WIDE_1252)


def read_text(data: bytes) -> str:
    """Decode what people have to be shown or names are looked for in."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        # What Excel writes on Windows unless asked for UTF-8.
        return data.decode("cp1252", "replace")
