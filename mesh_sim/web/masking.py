"""Taking out of a text what may be somebody's NHS number, however it is written."""

from __future__ import annotations

import re
from typing import Final

from ndoo.lists import mask as mask_number

_SHOWN: Final = 3
"""So many digits of a number stay."""

_BETWEEN: Final = (
    " \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"  # spaces
    "\\-\u2010-\u2015\u2212\ufe58\ufe63\uff0d"  # dashes
    ".\u00b7\u2024\u2027\uff0e"  # dots
)
_UNSEEN: Final = "\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"

# The digits of any script. Nothing is tried twice (*+), so the time that it takes grows with the text alone.
_STEP: Final = rf"[{_UNSEEN}]*+[{_BETWEEN}]?+[{_UNSEEN}]*+\d"
_NUMBER: Final = re.compile(rf"\d(?:{_STEP}){{9,}}")
_PART: Final = re.compile(rf"[\d{_BETWEEN}{_UNSEEN}]")

_MESSAGE_ID: Final = re.compile(
    r"(?<!\w)(2[01][0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
    r"(?:[01][0-9]|2[0-3])[0-5][0-9][0-5][0-9][0-9]{6}_[0-9A-F]{6})(?!\w)"
)


def mask(text: str, *, cut: bool = False) -> str:
    """Make every run of ten or more digits unreadable, also with a blank, dash or dot between them.

    Ten of them are written ``999 *** **12``; of more, as of a number with a date behind it, the first three
    stay. Message ids stay whole.

    Args:
        text: what somebody may see.
        cut: whether it goes on where it ends: then no digits that it ends with are shown, as they may be
            the beginning of a number.
    """
    pieces = _MESSAGE_ID.split(text)
    pieces[::2] = [_NUMBER.sub(_masked, piece) for piece in pieces[::2]]
    if cut:
        pieces[-1] = _without_end(pieces[-1])
    return "".join(pieces)


def _masked(number: re.Match[str]) -> str:
    digits = "".join(filter(str.isdecimal, number[0]))
    if len(digits) == len("9990000018"):
        return mask_number(int(digits))
    left = _SHOWN
    written = []
    for letter in number[0]:
        if letter.isdecimal():
            left -= 1
            written.append(letter if left >= 0 else "*")
        else:
            written.append(letter)
    return "".join(written)


def _without_end(text: str) -> str:
    start = len(text)
    while start and _PART.match(text, start - 1):
        start -= 1
    return text[:start] + "".join("*" if letter.isdecimal() else letter for letter in text[start:])
