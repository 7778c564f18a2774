"""Where the next page of an inbox begins: an arrival position, as an opaque token.

A position, not a message, so that acknowledging while paging neither repeats nor skips.
"""

from __future__ import annotations

import base64
import binascii
import re

_PLAIN = re.compile(r"inbox/([^/]+)/([0-9]{1,19})")


def make_cursor(mailbox_id: str, position: int) -> str:
    """Make the token for the page after ``position``; at least 24 characters, as the API demands."""
    plain = f"inbox/{mailbox_id}/{position:019d}"
    return base64.urlsafe_b64encode(plain.encode()).decode()


def read_cursor(token: str, mailbox_id: str) -> int | None:
    """Give the position a token of this mailbox stands for; None if it is not one."""
    try:
        plain = base64.b64decode(token, altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    match = _PLAIN.fullmatch(plain)
    if match is None or match[1] != mailbox_id or int(match[2]) >= 2**63:
        return None
    return int(match[2])
