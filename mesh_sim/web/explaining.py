"""Why a request was refused and what to do, for people who see such a thing for the first time."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from mesh_sim.web.wording import sentence
from mesh_sim.witness.journal import REPLAYED, Entry
from ndoo.protocol import TokenFault


@dataclass(frozen=True, slots=True)
class Explained:
    """A request of the journal, with what people are told of it beyond what was noted."""

    entry: Entry
    reason: str
    """Why it was refused; '' where it was not."""
    findings: tuple[str, ...]
    """What is nearly right about a refused token, and what is not."""
    advice: str
    """What its sender may do; '' where nothing follows from the reason."""


_HEADER: Final = (
    "Send a header with every request: Authorization: NHSMESH mailbox:nonce:nonce_count:timestamp:hash, with "
    "one blank after NHSMESH and colons between the parts."
)
_UPPER: Final = "Write the mailbox's id in upper case, in the token and in the text that is hashed."
_OWN: Final = "Use the same mailbox in the path, in the token and in the text that is hashed."
_NONCE: Final = "Make a new GUID for each token, and count the requests that use it in digits."
_SIGNING: Final = (
    "Hash mailbox:nonce:nonce_count:password:timestamp, each just as the token has it, by HMAC-SHA-256 with "
    "the shared key, and write all 64 characters of the hash in hex."
)
_OF_MAILBOX: Final = (
    "Give the client this mailbox's own password, with nothing after it; it goes into the hash only."
)
_OF_SIMULATOR: Final = (
    "Sign with this simulator's shared key: what MESH_SIM_SHARED_KEY was when it started, or TestKey if that "
    "was not set."
)
_COMPARE: Final = (
    "Compare the client's password and shared key with this simulator's, then the text that is hashed: "
    "mailbox:nonce:nonce_count:password:timestamp."
)
_CLOCK: Final = (
    "Make the timestamp from the real time in UTC, as yyyyMMddHHmm; the simulated time does not count here."
)
_EXISTING: Final = "Use the id of a mailbox on the overview, or make one: mesh-sim mailbox create."
_FRESH: Final = "Make a new token for every request, also for one that is sent again."

_PART: Final = re.compile(r"(hash|header|nonce|password|path|scheme|timestamp|token)\b")
"""Parts of a request that near misses begin with, without an article."""

_HEADERS: Final = {
    name.lower(): name
    for name in ("Mex-To", "Mex-WorkflowID", "Mex-LocalID", "Mex-Subject", "Mex-FileName", "Mex-From")
}
_NAMED: Final = "|".join(_HEADERS)
_MISSING: Final = re.compile(rf"\b({_NAMED}): Field required")
_LENGTH: Final = re.compile(rf"\b({_NAMED}): String should have (at (?:least|most) \d+ characters?)")
_MANY_BYTES: Final = re.compile(r"\d{4,}(?= bytes)", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Finding:
    """What a near miss says: in words of its own, where it is not a sentence but for its 'yes'."""

    pattern: str
    advice: str
    sentence: str = ""
    """With the pattern's groups as ``\\1``."""


_FINDINGS: Final = (
    _Finding("Authorization header was sent: no", _HEADER, "There was no Authorization header"),
    _Finding("Authorization header is blank: yes", _HEADER, "The Authorization header is blank"),
    _Finding("scheme NHSMESH in lower case: yes", _HEADER, "The scheme NHSMESH is in lower case"),
    _Finding(
        "something else than a blank after NHSMESH: yes", _HEADER, "After NHSMESH comes something but a blank"
    ),
    _Finding("blank after NHSMESH is missing: yes", _HEADER, "The blank after NHSMESH is missing"),
    _Finding(r"(\w+) blanks after NHSMESH: yes", _HEADER, r"After NHSMESH come \1 blanks"),
    _Finding("header|colons|scheme|nothing follows", _HEADER),
    _Finding(
        "blanks around the mailbox in the token: yes", _OWN, "The token has blanks around the mailbox's id"
    ),
    _Finding(
        r"mailbox in (lower|mixed) case in the token: yes", _UPPER, r"The token has the mailbox in \1 case"
    ),
    _Finding("mailbox is missing", _OWN, "The token does not name a mailbox"),
    _Finding("token is for another mailbox", _OWN),
    _Finding("a mailbox with the path's id exists: no", _EXISTING, "No mailbox has the id in the path"),
    _Finding(
        r"a mailbox of nearly the path's id exists \((.*)\): yes",
        _EXISTING,
        r"There is a mailbox of nearly the path's id: \1",
    ),
    _Finding("path has the (ODS code|name)", _EXISTING),
    _Finding("timestamp", _CLOCK),
    _Finding("token has|password stands|nonce is left out|nonce count is left out|hash is left out", _HEADER),
    _Finding("nonce", _NONCE),
    _Finding("hash is right for what the token says: yes", "", "The hash is right for what the token says"),
    _Finding(r"hash is right (for the shared key .*): yes", _OF_SIMULATOR, r"The hash would be right \1"),
    _Finding(
        r"hash is right (for an empty shared key|with a line break after the shared key): yes",
        _OF_SIMULATOR,
        r"The hash would be right \1",
    ),
    _Finding(
        r"hash is right (for an empty password|with the password left out|"
        r"with a line break after the password|with the password in (?:lower|upper) case|"
        r"with a capital at the beginning of the password|"
        r"with the password and the shared key swapped|for another mailbox's password .*): yes",
        _OF_MAILBOX,
        r"The hash would be right \1",
    ),
    _Finding("hash is right (but .*): yes", _SIGNING, r"The hash is right, \1"),
    _Finding(r"hash is right (.*): yes", _SIGNING, r"The hash would be right \1"),
    _Finding(
        r"hash tried with (\d+) usual mistakes, none fits: (.*)",
        _COMPARE,
        r"None of \1 usual mistakes explains the hash: \2",
    ),
    _Finding("hash", _SIGNING),
    _Finding("this token was first used", _FRESH),
)
"""Near misses by how they begin; the first that fits counts."""

_REASONS: Final[tuple[tuple[str, str], ...]] = (
    (TokenFault.ABSENT, _HEADER),
    (TokenFault.WRONG_MAILBOX, _OWN),
    (TokenFault.MALFORMED, _HEADER),
    (TokenFault.WRONG_HASH, _COMPARE),
    (TokenFault.STALE, _CLOCK),
    (REPLAYED, _FRESH),
    ("no mailbox has this id", _EXISTING),
    ("the mailbox is inactive", "Enable it: mesh-sim mailbox enable, and its id."),
    ("the recipient mailbox is unknown", f"Mex-To names whom it is for. {_EXISTING}"),
    ("the recipient mailbox is inactive", "Enable it: mesh-sim mailbox enable, and its id."),
    ("Mex-To is blank", f"Name in Mex-To whom it is for. {_EXISTING}"),
    ("the header Mex-To", f"Name in it the mailbox that the message is for. {_EXISTING}"),
    ("the header Mex-WorkflowID", "Name in it the kind of message, such as TEST_WORKFLOW."),
    ("Mex-From is not", "Leave Mex-From out, or have it name the mailbox that sends."),
    ("Mex-MessageType is not", "Leave Mex-MessageType out, or have it say DATA: reports are MESH's own."),
    ("the sender is not among", "Send on a workflow that is open to this mailbox, or to all."),
    ("the recipient is not among", "Send on a workflow that the recipient is registered for."),
    ("it may hold", "Wait until the recipient has acknowledged some of what is in its inbox."),
    ("the body is empty", "Send at least one byte."),
    (
        "Mex-Chunk-Range is not",
        "Write it as 2:3, for the second chunk of three: a colon between them, and none past the last.",
    ),
    (
        "Mex-Chunk-Range and path",
        "Chunk 2 of 3 goes to outbox/MESSAGE_ID/2 with the header Mex-Chunk-Range: 2:3.",
    ),
    ("a message begins with", "Send chunk 1 to outbox; the further ones go to outbox/MESSAGE_ID/NUMBER."),
    ("the first chunk announced", "Announce all chunks in the Mex-Chunk-Range of the first."),
    ("the message is complete", "It needs no further chunk: it has been delivered."),
    ("Content-Encoding differs", "Compress every chunk of a message, or none."),
    ("Content-Encoding may only", "Send the body as it is, or gzipped with Content-Encoding: gzip."),
    ("the body is larger", "Send it in chunks, with the header Mex-Chunk-Range."),
    ("only the recipient may", "Ask with the mailbox that the message was sent to."),
    (
        "Message does not exist",
        "List the inbox, and ask for an id that it names: this one is mistyped, or its message was deleted.",
    ),
    ("the message was begun by another", "Send the further chunks from the mailbox that sent the first."),
    ("the message is acknowledged", "Keep what was downloaded: once acknowledged, it is given no more."),
    ("the message is undeliverable", "Nobody collected it in time. Have its sender send it anew."),
    ("no operation has this path", "A path of MESH begins with /messageexchange and the mailbox's id."),
    ("the path ends with a slash", "Leave the slash at the end out."),
)
"""What to do about a reason, by how it begins."""


def explained(entries: Iterable[Entry]) -> list[Explained]:
    """Explain requests as pages show them."""
    return [explain(entry) for entry in entries]


def explain(entry: Entry) -> Explained:
    """Put into whole sentences why a request was refused, and say what to do about it."""
    findings: list[str] = []
    advice = ""
    for miss in entry.near_misses:
        text, remedy = _read(miss)
        findings.append(text)
        advice = advice or remedy
    reason = _legible(entry.reason)
    return Explained(entry, _said(reason), tuple(findings), advice or _remedy(reason))


def _read(miss: str) -> tuple[str, str]:
    """Give a near miss as a sentence, and what to do about it."""
    for finding in _FINDINGS:
        if match := re.match(finding.pattern, miss):
            said = match.expand(finding.sentence) if finding.sentence else miss
            return _said(said.removesuffix(": yes")), finding.advice
    return _said(miss.removesuffix(": yes")), ""


def _remedy(reason: str) -> str:
    return next((advice for begin, advice in _REASONS if reason.startswith(begin)), "")


def _said(text: str) -> str:
    return sentence(f"the {text}" if _PART.match(text) else text)


def _legible(reason: str) -> str:
    """Put a reason that is made for programs into plain words."""
    reason = _MISSING.sub(lambda found: f"the header {_HEADERS[found[1]]} is missing", reason)
    reason = _LENGTH.sub(lambda found: f"the header {_HEADERS[found[1]]} should have {found[2]}", reason)
    return _MANY_BYTES.sub(lambda number: f"{int(number[0]):,}", reason)
