"""A token's hash that is not right: which usual mistake would have made it (mesh-api.md section 5)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from mesh_sim.witness.timestamps import MINUTE

PUBLIC_KEYS: Final = {
    "TestKey": "mesh-sim's own default",
    "Banana": "mesh-sandbox's default",
    "BackBone": "mesh-client's built-in default",
}
"""Shared keys that everybody knows. No other is ever tried or named."""

_DIGEST_SIZES: Final = frozenset((20, 32, 64))

_DASHED: Final = re.compile(r"[0-9A-Fa-f]{2}(?:[- ][0-9A-Fa-f]{2})+", re.ASCII)
_LEAST_CUT: Final = 8
"""A hash cut to fewer characters than this could be anything."""


@dataclass(frozen=True, slots=True)
class Signed:
    """What a hash is made of: the token's fields as they were sent, the password and the shared key."""

    mailbox: str
    nonce: str
    nonce_count: str
    password: str
    timestamp: str
    shared_key: str

    def text(self) -> bytes:
        """Give the signed text."""
        return _joined(self.mailbox, self.nonce, self.nonce_count, self.password, self.timestamp)

    def digest(self) -> bytes:
        """Give the right hash."""
        return self.hmac(self.text())

    def hmac(self, text: bytes, algorithm: str = "sha256") -> bytes:
        """Hash another text with the shared key."""
        return hmac.digest(_encoded(self.shared_key), text, algorithm)


Mistake = Callable[[Signed], bytes]

_MISTAKES: Final[tuple[tuple[str, Mistake], ...]] = (
    ("for an empty password", lambda it: replace(it, password="").digest()),
    ("with the password left out", lambda it: it.hmac(_without(it, "password"))),
    ("with a line break after the password", lambda it: replace(it, password=it.password + "\n").digest()),
    ("with the password in lower case", lambda it: replace(it, password=it.password.lower()).digest()),
    ("with the password in upper case", lambda it: replace(it, password=it.password.upper()).digest()),
    (
        "with a capital at the beginning of the password",
        lambda it: replace(it, password=it.password.capitalize()).digest(),
    ),
    (
        "with the password and the shared key swapped",
        lambda it: replace(it, password=it.shared_key, shared_key=it.password).digest(),
    ),
    ("for an empty shared key", lambda it: replace(it, shared_key="").digest()),
    (
        "with a line break after the shared key",
        lambda it: replace(it, shared_key=it.shared_key + "\n").digest(),
    ),
    (
        "with the timestamp before the password",
        lambda it: replace(it, password=it.timestamp, timestamp=it.password).digest(),
    ),
    ("with the mailbox id in lower case", lambda it: replace(it, mailbox=it.mailbox.lower()).digest()),
    ("with the mailbox id in upper case", lambda it: replace(it, mailbox=it.mailbox.upper()).digest()),
    ("with the nonce count left out", lambda it: it.hmac(_without(it, "nonce_count"))),
    ("for nonce count 0, not the token's", lambda it: replace(it, nonce_count="0").digest()),
    ("for a nonce count one less than the token's", lambda it: _counted(it, -1)),
    ("for a nonce count one more than the token's", lambda it: _counted(it, 1)),
    ("for the minute before the token's", lambda it: _moved(it, -1)),
    ("for the minute after the token's", lambda it: _moved(it, 1)),
    ("with 'NHSMESH ' before the signed text", lambda it: it.hmac(b"NHSMESH " + it.text())),
    ("with a line break after the signed text", lambda it: it.hmac(it.text() + b"\n")),
    (
        "with nothing between the fields",
        lambda it: it.hmac(_encoded(it.mailbox + it.nonce + it.nonce_count + it.password + it.timestamp)),
    ),
    (
        "with the signed text in UTF-16",
        lambda it: it.hmac(_decoded(it.text()).encode("utf-16-le", "replace")),
    ),
    (
        "with the shared key and the signed text swapped",
        lambda it: hmac.digest(it.text(), _encoded(it.shared_key), "sha256"),
    ),
    ("in SHA-1, not SHA-256", lambda it: it.hmac(it.text(), "sha1")),
    ("in SHA-512, not SHA-256", lambda it: it.hmac(it.text(), "sha512")),
    ("without the shared key (plain SHA-256, no HMAC)", lambda it: hashlib.sha256(it.text()).digest()),
)


def hash_misses(signed: Signed, given: str, other_passwords: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Say how ``given`` comes near the right hash of ``signed``, or that it does not.

    Args:
        signed: the token's own fields with the right password and shared key.
        given: the hash as it was sent.
        other_passwords: mailbox ids and passwords of other mailboxes.
    """
    right = signed.digest()
    if cut := _cut_or_longer(given, right.hex()):
        yield cut
        return
    digest, form = _read(given)
    if form:
        yield f"hash is {form}: yes"
    elif len(given) != 2 * len(right):
        yield f"hash has {len(given)} characters, not {2 * len(right)}"
    if digest is not None and hmac.compare_digest(digest, right):
        yield "hash is right for what the token says: yes"
    elif digest is not None:
        tries = _tries(signed, other_passwords)
        yield (
            f"hash is right {tries[digest]}: yes"
            if digest in tries
            else f"hash tried with {len(tries)} usual mistakes, none fits: the password, the shared key or a "
            "signed field differs"
        )


def _tries(signed: Signed, other_passwords: Iterable[tuple[str, str]]) -> dict[bytes, str]:
    """Make every mistake; give what came of it, with the words for it."""
    tries: dict[bytes, str] = {}
    for text, mistake in _MISTAKES:
        tries.setdefault(mistake(signed), text)
    for key, origin in PUBLIC_KEYS.items():
        tries.setdefault(replace(signed, shared_key=key).digest(), f"for the shared key '{key}' ({origin})")
    for mailbox, password in other_passwords:
        digest = replace(signed, password=password).digest()
        tries.setdefault(digest, f"for another mailbox's password ({mailbox})")
    tries.pop(signed.digest(), None)  # a mistake that changes nothing of this token
    return tries


def _cut_or_longer(given: str, right: str) -> str:
    if not given:
        return "hash is empty: yes"
    lower, more = given.lower(), len(given) - len(right)
    if more > 0 and _same(lower[: len(right)], right):
        return f"hash is right but {more} characters longer than it should be: yes"
    if more < 0 and len(given) >= _LEAST_CUT and _same(lower, right[: len(lower)]):
        return f"hash is right but cut to {len(given)} of its {len(right)} characters: yes"
    return ""


def _same(given: str, right: str) -> bool:
    return hmac.compare_digest(_encoded(given), _encoded(right))


def _read(given: str) -> tuple[bytes | None, str]:
    """Give the bytes that a hash spells and, if it is not plain hex, how it spells them."""
    if _DASHED.fullmatch(given):
        return bytes.fromhex(given.replace("-", " ")), "in pairs with something between them"
    try:
        return bytes.fromhex(given), ""
    except ValueError:
        pass
    standard = given.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        digest = base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) in _DIGEST_SIZES:
        return digest, "base64, not hex"
    return None, "not hex"


def _counted(signed: Signed, step: int) -> bytes:
    try:
        return replace(signed, nonce_count=str(int(signed.nonce_count) + step)).digest()
    except ValueError:  # it is no number, or one of thousands of digits
        return signed.digest()


def _moved(signed: Signed, minutes: int) -> bytes:
    try:
        made = datetime.strptime(signed.timestamp, MINUTE).replace(tzinfo=UTC) + timedelta(minutes=minutes)
    except (ValueError, OverflowError):
        return signed.digest()
    return replace(signed, timestamp=made.strftime(MINUTE)).digest()


def _without(signed: Signed, field: str) -> bytes:
    fields = ("mailbox", "nonce", "nonce_count", "password", "timestamp")
    return _joined(*(getattr(signed, name) for name in fields if name != field))


def _joined(*fields: str) -> bytes:
    return _encoded(":".join(fields))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "replace")
