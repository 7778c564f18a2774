"""A body's first lines as people may see them: as text, short, and with nobody's number."""

from __future__ import annotations

import codecs
import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from mesh_sim.web.masking import mask

PREVIEW_BYTES: Final = 16 * 1024
"""What is looked at of a body, plain."""

MOST_LINES: Final = 20
LONGEST_LINE: Final = 200

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16's, which it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_LAYOUT: Final = "\t\n\r\f"
"""The control characters that texts have."""
_OLD_END: Final = "\x1a"
"""With it old systems end their files."""

_MOST_ODD: Final = 0.3
"""The share of bytes beyond ASCII up to which what is not UTF-8 may still be a text of Western Europe."""


@dataclass(frozen=True, slots=True)
class Preview:
    """The first lines of a body, if it is text, and what is to be said of them or instead of them."""

    lines: tuple[str, ...] = ()
    more: bool = False
    """Whether there is more than is shown."""
    note: str = ""


def preview(start: bytes, *, whole: bool) -> Preview:
    """Show the first lines of a body that begins with ``start``; ``whole``: and ends with it."""
    if not start:
        return Preview(note="It is empty." if whole else "Nothing of it can be read without unpacking more.")
    text = read_text(start, whole=whole)
    if text is None:
        return Preview(note="It is not text, so none of it is shown.")
    lines = _LINE_END.split(mask(text, cut=not whole))
    if lines[-1] == "":
        lines.pop()
    shown = tuple(_shortened(line) for line in lines[:MOST_LINES])
    return Preview(shown, more=not whole or len(lines) > MOST_LINES)


def read_text(start: bytes, *, whole: bool) -> str | None:
    """Read bytes as text in UTF-8, UTF-16, UTF-32 or Windows' encoding of Western Europe; None if none is."""
    for encoding in _encodings(start):
        try:
            text = codecs.getincrementaldecoder(encoding)().decode(start, final=whole)
        except UnicodeDecodeError:
            continue
        text = text.removeprefix("\ufeff").removesuffix(_OLD_END)
        return text if all(_is_written(letter) for letter in set(text)) else None
    return None


def _encodings(start: bytes) -> tuple[str, ...]:
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            return (encoding,)
    if b"\0" in start:
        # UTF-16 without a mark: of what is written in most languages, every other byte is nothing.
        even, odd = start[::2].count(0), start[1::2].count(0)
        return ("utf-16-be",) if even > odd else ("utf-16-le",)
    beyond = len(start) - len(start.translate(None, bytes(range(0x80, 0x100))))
    return ("utf-8", "cp1252") if beyond <= _MOST_ODD * len(start) else ("utf-8",)


def _is_written(letter: str) -> bool:
    return letter in _LAYOUT or unicodedata.category(letter) not in ("Cc", "Cn", "Co", "Cs")


def _shortened(line: str) -> str:
    return line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}\N{HORIZONTAL ELLIPSIS}"
