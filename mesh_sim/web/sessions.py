"""Who looks at the pages: a signed cookie, and the tokens by which a form proves that it is one of ours.

Nothing is kept: a cookie says until when it is good and whether its browser has signed in, and is signed.
With a token of the control API the key is made from it, so that restarts and further servers know a cookie
again; without one it is chance.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

LIFETIME_S: Final = 12 * 3600
"""How long a cookie is good: a working day."""

_SALT: Final = b"mesh-sim pages"
_WORK: Final = {"n": 2**14, "r": 8, "p": 1}
"""What making the key costs: some 50 ms, so that nobody tries tokens out on a cookie that got lost."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One browser's visit, as its cookie tells."""

    cookie: str
    signed_in: bool
    csrf: str
    """What its forms carry."""
    is_new: bool
    """Whether the cookie has to be set."""


class Sessions:
    """Makes and checks the cookies of one simulator."""

    def __init__(self, admin_token: str | None, *, now: Callable[[], float] = time.time) -> None:
        """Make one; ``now`` is real time, in seconds since 1970."""
        self._token = admin_token
        self._now = now

    @property
    def needs_token(self) -> bool:
        """Whether the pages are only for those who have the control API's token."""
        return self._token is not None

    def visit(self, cookie: str) -> Visit:
        """Take up a visit; with a cookie that is not ours, or not good any more, a new one begins."""
        signed_in = self._read(cookie)
        if signed_in is None:
            return self._begin(signed_in=False)
        return Visit(cookie, signed_in or not self.needs_token, self._sign("form", cookie), is_new=False)

    def sign_in(self, token: str) -> Visit | None:
        """Begin a visit of somebody who gives the control API's token; None if it is another."""
        expected = (self._token or "").encode("utf-8", "surrogateescape")
        given = token.encode("utf-8", "surrogateescape")
        return self._begin(signed_in=True) if hmac.compare_digest(given, expected) else None

    def is_ours(self, visit: Visit, csrf: str) -> bool:
        """Tell whether a form was made for this visit."""
        return hmac.compare_digest(csrf.encode("utf-8", "replace"), visit.csrf.encode())

    def _begin(self, *, signed_in: bool) -> Visit:
        words = f"{'in' if signed_in else 'out'}.{int(self._now()) + LIFETIME_S}.{secrets.token_urlsafe(16)}"
        cookie = f"{words}.{self._sign('cookie', words)}"
        return Visit(cookie, signed_in or not self.needs_token, self._sign("form", cookie), is_new=True)

    def _read(self, cookie: str) -> bool | None:
        """Tell whether a cookie's browser has signed in; None if it is not ours, or not good any more."""
        words, _, signature = cookie.rpartition(".")
        if not hmac.compare_digest(
            signature.encode("utf-8", "replace"), self._sign("cookie", words).encode()
        ):
            return None
        state, until, _ = words.split(".")
        return state == "in" if int(until) > self._now() else None

    def _sign(self, purpose: str, words: str) -> str:
        return hmac.new(
            self._key, f"{purpose}:{words}".encode("utf-8", "replace"), hashlib.sha256
        ).hexdigest()

    @cached_property
    def _key(self) -> bytes:
        if self._token is None:
            return secrets.token_bytes(32)
        return hashlib.scrypt(self._token.encode("utf-8", "surrogateescape"), salt=_SALT, **_WORK)
