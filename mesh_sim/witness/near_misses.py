"""Near misses: which usual mistakes would explain a refused token (mesh-api.md section 5).

Each is a short question with its answer, in words for the person who has to mend a client. None ever
holds a password, a hash or a shared key, but for the keys that everybody knows.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from mesh_sim.exchange.directory import Directory
from mesh_sim.witness.hashes import Signed, hash_misses
from mesh_sim.witness.timestamps import span, timestamp_misses

MOST_MAILBOXES: Final = 200
"""How many other mailboxes are tried, so that a refusal costs no more with a hundred thousand of them."""

_LONGEST_TRIED: Final = 1000
"""Up to how many characters of a token are tried: a stranger could have the server hash megabytes."""

_SCHEME: Final = "NHSMESH"
_HEADER_NAME: Final = "authorization:"
_OTHER_SCHEME: Final = re.compile(
    r"(Bearer|Basic|Digest|Negotiate|Token|ApiKey)\b\s*", re.ASCII | re.IGNORECASE
)
_GAP: Final = re.compile(r"\s+|[:_=,-]?", re.ASCII)
_ENCODED_COLON: Final = re.compile(r"%3A", re.IGNORECASE)
_ISO_TIME: Final = re.compile(r":[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:", re.ASCII)

_LOOKS: Final = {
    "nonce": re.compile(r"[0-9A-Fa-f]{8}(-?)[0-9A-Fa-f]{4}\1[0-9A-Fa-f]{4}\1[0-9A-Fa-f]{4}\1[0-9A-Fa-f]{12}"),
    "nonce count": re.compile(r"[0-9]+", re.ASCII),
    "timestamp": re.compile(r"[0-9]{12}(?:[0-9]{2})?", re.ASCII),
    "hash": re.compile(r"[0-9A-Fa-f]{64}"),
}
"""What stands in a token after its mailbox, in order."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A request refused on account of its token, and what the simulator knows of who may have sent it."""

    header: str
    """The ``Authorization`` header; '' where there was none."""
    path_mailbox: str
    """The mailbox as it is written in the path."""
    directory: Directory
    shared_key: str
    now: datetime
    """Real time."""

    @property
    def mailbox_id(self) -> str:
        """The mailbox that the path means."""
        return self.path_mailbox.upper()


def near_misses(refused: Refused) -> tuple[str, ...]:
    """Say what is nearly right about a refused token, and what is not."""
    return tuple(_found(refused))


def replay_miss(first_used: datetime, now: datetime) -> str:
    """Say when a token that came again was first used; both in real time, UTC."""
    day = "" if first_used.date() == now.date() else f" on {first_used:%Y-%m-%d}"
    seconds = max((now - first_used).total_seconds(), 0.0)
    ago = f"{seconds:.1f} s" if seconds < 60 else span(now - first_used)
    return f"this token was first used at {first_used:%H:%M:%S} UTC{day} (real time), {ago} before"


def _found(refused: Refused) -> Iterator[str]:
    text = refused.header.strip()
    if not text:
        yield "Authorization header is blank: yes" if refused.header else "Authorization header was sent: no"
        yield from _unknown_mailbox(refused)
        return
    misses, credentials = _without_scheme(text)
    yield from misses
    parts = credentials.split(":")
    if len(parts) > 1:
        yield from _mailbox(parts[0], refused)
    yield from _unknown_mailbox(refused)
    if len(parts) == 5:
        yield from _fields(parts, refused)
    elif credentials:
        yield from _number_of_parts(parts, credentials)


def _without_scheme(text: str) -> tuple[list[str], str]:
    """Give what is odd about a header up to its scheme, and the token that comes after it."""
    misses = []
    if text[0] in "\"'":
        misses.append("header's value is in quotation marks: yes")
        text = text.strip("\"'")
    if text.lower().startswith(_HEADER_NAME):
        misses.append("header's name is repeated in its value: yes")
        text = text[len(_HEADER_NAME) :].lstrip()
    if _ENCODED_COLON.search(text):
        misses.append("colons are written as %3A: yes")
        text = _ENCODED_COLON.sub(":", text)
    if other := _OTHER_SCHEME.match(text):
        misses.append(f"scheme is '{other[1]}', not NHSMESH: yes")
        return misses, text[other.end() :].removeprefix(_SCHEME).lstrip()
    scheme, rest = text[: len(_SCHEME)], text[len(_SCHEME) :]
    if scheme.upper() != _SCHEME:
        misses.append("scheme NHSMESH is missing: yes")
        return misses, text
    if scheme != _SCHEME:
        misses.append("scheme NHSMESH in lower case: yes")
    gap = _GAP.match(rest)
    length = gap.end() if gap else 0
    if not rest:
        misses.append("nothing follows NHSMESH: yes")
    elif rest[:length] != " ":
        misses.append(_gap(rest[:length]))
    return misses, rest[length:]


def _gap(gap: str) -> str:
    if not gap:
        return "blank after NHSMESH is missing: yes"
    if gap.strip(" "):
        return "something else than a blank after NHSMESH: yes"
    return f"{'two' if len(gap) == 2 else len(gap)} blanks after NHSMESH: yes"


def _mailbox(given: str, refused: Refused) -> Iterator[str]:
    if given == refused.mailbox_id:
        return
    if not given:
        yield "mailbox is missing in the token: yes"
    elif given.strip() == refused.mailbox_id:
        yield "blanks around the mailbox in the token: yes"
    elif given.upper() == refused.mailbox_id:
        yield f"mailbox in {'lower' if given == given.lower() else 'mixed'} case in the token: yes"
    elif other := refused.directory.mailbox(given.strip().upper()):
        yield f"token is for another mailbox ({other.mailbox_id}) than the path: yes"
    else:
        yield "token is for another mailbox than the path, and for none that exists: yes"


def _unknown_mailbox(refused: Refused) -> Iterator[str]:
    wanted, directory = refused.mailbox_id, refused.directory
    if directory.mailbox(wanted) is not None:
        return
    known = directory.mailboxes[:MOST_MAILBOXES]
    for mailbox in known:
        if wanted in (mailbox.ods_code.upper(), mailbox.mailbox_name.upper()):
            what = "ODS code" if wanted == mailbox.ods_code.upper() else "name"
            yield f"path has the {what} of a mailbox ({mailbox.mailbox_id}), not its id: yes"
            return
    near = difflib.get_close_matches(wanted[:40], [mailbox.mailbox_id for mailbox in known], n=1, cutoff=0.8)
    yield (
        f"a mailbox of nearly the path's id exists ({near[0]}): yes"
        if near
        else "a mailbox with the path's id exists: no"
    )


def _number_of_parts(parts: list[str], credentials: str) -> Iterator[str]:
    yield f"token has {len(parts)} part{'s' if len(parts) != 1 else ''}, not 5"
    if _ISO_TIME.search(credentials):
        yield "timestamp is in ISO form, not yyyyMMddHHmm: yes"
    elif len(parts) == 4:
        for left_out in _LOOKS:
            others = [look for field, look in _LOOKS.items() if field != left_out]
            if all(look.fullmatch(part) for look, part in zip(others, parts[1:], strict=True)):
                yield f"{left_out} is left out: yes"
                return
    elif len(parts) == 6 and _LOOKS["timestamp"].fullmatch(parts[4]) and _LOOKS["nonce"].fullmatch(parts[1]):
        yield "password stands in the token, where it goes only into the hash: yes"


def _fields(parts: list[str], refused: Refused) -> Iterator[str]:
    name, nonce, nonce_count, timestamp, given = parts
    if not _LOOKS["nonce"].fullmatch(nonce):
        yield f"nonce is {'not a GUID' if nonce else 'empty'}: yes"
    if not _LOOKS["nonce count"].fullmatch(nonce_count):
        yield f"nonce count is {'not digits only' if nonce_count else 'empty'}: yes"
    directory = refused.directory
    mailbox = directory.mailbox(name.strip().upper()) or directory.mailbox(refused.mailbox_id)
    if sum(map(len, parts)) > _LONGEST_TRIED:
        yield "token is far too long to be tried with the usual mistakes: yes"
    elif mailbox is not None:
        signed = Signed(name, nonce, nonce_count, mailbox.password, timestamp, refused.shared_key)
        others = ((other.mailbox_id, other.password) for other in directory.mailboxes)
        yield from hash_misses(signed, given, itertools.islice(others, MOST_MAILBOXES))
    yield from timestamp_misses(timestamp, refused.now)
