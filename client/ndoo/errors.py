"""Everything that can go wrong, as one tree.

NdooError
├── ConfigError                a setting or option is missing or wrong
├── ListError                  an input list cannot be used; ``path``
│   ├── UnreadableList         missing, a directory, no permission, empty, not text, gzip cut short
│   ├── ColumnError            no NHS-number column in a CSV, or several; ``columns``
│   └── InvalidNumbers         records that are not NHS numbers; ``count``, ``samples``, ``repairable``
├── MailboxBusy                another run holds the mailbox; ``mailbox``, ``holder``
├── OutputExists               the output is there already and may not be replaced; ``path``
├── CacheError                 a temporary cache must not be used; ``path``, ``reason``
│   ├── CacheExpired           it is past its expiry; ``expired_at``
│   └── CacheAltered           truncated, changed, or made for another mailbox
├── CheckError                 a submitted list; ``local_id``
│   ├── AnswerPending          no answer yet; it can be collected later
│   ├── ListRejected           the service found an invalid number
│   ├── LocalIdTaken           another process has just taken this local id
│   ├── NotDelivered           a non-delivery report came back; ``code``
│   └── SubmissionUnknown      nothing of that local id was submitted from here
└── MeshError                  a MESH request; ``mailbox``, ``message_id``, ``status``, ``event``, ``code``
    ├── ConnectionFailed       nothing answers at the address, or the connection broke
    │   └── RequestTimeout     no answer within the time allowed
    ├── CertificateRefused     TLS: ours was refused, or theirs is not trusted
    ├── AuthenticationRefused  403: password, shared key, clock, or an inactive mailbox
    ├── MessageUnknown         404: no such message
    ├── MessageGone            410: expired, failed, or acknowledged already
    ├── RecipientUnknown       417 with code 12: no such recipient
    ├── RequestRefused         any other 4xx
    ├── ServerFailed           5xx
    └── UnexpectedAnswer       an answer that does not follow the protocol
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path


class NdooError(Exception):
    """Base of every error this package raises; its text says what happened, why, and what to do."""


class ConfigError(NdooError):
    """A setting or option is missing or wrong."""


class ListError(NdooError):
    """An input list cannot be used."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path


class UnreadableList(ListError):
    """The file is missing, a directory, empty, not readable, not text, or its gzip is cut short."""


class ColumnError(ListError):
    """A CSV in which the NHS-number column cannot be told."""

    def __init__(self, path: Path, message: str, columns: Sequence[str]) -> None:
        super().__init__(path, message)
        self.columns = tuple(columns)


class InvalidNumbers(ListError):
    """A list with records that are not NHS numbers.

    ``samples`` are the first (line number, reason) pairs; the numbers themselves are never part of it.
    ``repairable`` of the ``count`` records would be valid with the leading zero they have lost.
    """

    def __init__(
        self, path: Path, count: int, samples: Sequence[tuple[int, str]], repairable: int = 0
    ) -> None:
        noun = "record is not a valid NHS number" if count == 1 else "records are not valid NHS numbers"
        lack = "lacks" if repairable == 1 else "lack"
        which = "it only lacks" if count == 1 else f"{repairable:,} of them only {lack}"
        offer = f"; {which} the leading zero that spreadsheets drop"
        super().__init__(path, f"{count:,} {noun}{offer if repairable else ''}")
        self.count = count
        self.samples = tuple(samples)
        self.repairable = repairable


class MailboxBusy(NdooError):
    """Another run holds the mailbox; it can be used once that has ended."""

    def __init__(self, mailbox: str, holder: str) -> None:
        super().__init__(
            f"mailbox {mailbox} is in use by {holder}; only one run at a time may use it: try again later"
        )
        self.mailbox = mailbox
        self.holder = holder


class OutputExists(NdooError):
    """The output is there already and may not be replaced."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} exists already; choose another name, or replace it with --force")
        self.path = path


class CacheError(NdooError):
    """A temporary cache must not be used, or not be replaced or deleted.

    ``reason`` is what the text says without the file's name and without what to do about it.
    """

    def __init__(self, path: Path, reason: str, advice: str = "") -> None:
        super().__init__(f"{path}: {reason}; {advice}" if advice else f"{path}: {reason}")
        self.path = path
        self.reason = reason


class CacheExpired(CacheError):
    """The cache is past its expiry; there is no override. ``clock`` says by which, if not the computer's."""

    def __init__(self, path: Path, expired_at: datetime, clock: str = "") -> None:
        when = " ".join(filter(None, (f"{expired_at:%Y-%m-%d %H:%M} UTC", clock)))
        super().__init__(
            path,
            f"this temporary cache expired at {when} and must not be used",
            renewal(path),
        )
        self.expired_at = expired_at


class CacheAltered(CacheError):
    """The cache is truncated, was changed after it was made, or was made for another mailbox."""

    def __init__(self, path: Path, reason: str, advice: str | None = None) -> None:
        super().__init__(path, reason, renewal(path) if advice is None else advice)


def renewal(cache: Path) -> str:
    """Say how a temporary cache is made anew."""
    name = f'"{cache}"' if " " in str(cache) else cache
    return f"make a new one with 'ndoo cache refresh LIST -o {name}'"


class CheckError(NdooError):
    """Something about a submitted list."""

    def __init__(self, local_id: str, message: str) -> None:
        super().__init__(message)
        self.local_id = local_id


class AnswerPending(CheckError):
    """No answer yet; nothing is lost and it can be collected later."""


class ListRejected(CheckError):
    """The service answered that the list holds an invalid NHS number, and checked nothing."""


class LocalIdTaken(CheckError):
    """Another process has just taken this local id for a list of its own."""


class NotDelivered(CheckError):
    """A non-delivery report came back for the submission."""

    def __init__(self, local_id: str, message: str, code: str) -> None:
        super().__init__(local_id, message)
        self.code = code


class SubmissionUnknown(CheckError):
    """Nothing of that local id was submitted from here."""


class MeshError(NdooError):
    """A MESH request that did not succeed. Fields not known are empty or None.

    ``detail`` is the server's own text, in one line.
    """

    def __init__(
        self,
        message: str,
        *,
        mailbox: str = "",
        message_id: str = "",
        status: int | None = None,
        event: str = "",
        code: str = "",
        detail: str = "",
    ) -> None:
        super().__init__(message)
        self.mailbox = mailbox
        self.message_id = message_id
        self.status = status
        self.event = event
        self.code = code
        self.detail = detail


class ConnectionFailed(MeshError):
    """Nothing answers at the address, or the connection broke on the way."""


class RequestTimeout(ConnectionFailed):
    """No answer within the time allowed."""


class CertificateRefused(MeshError):
    """TLS failed: the server refused our certificate, or its own is not trusted."""


class AuthenticationRefused(MeshError):
    """403: wrong password, wrong shared key, a clock that is off, or an inactive mailbox."""


class MessageUnknown(MeshError):
    """404: no such message."""


class MessageGone(MeshError):
    """410: the message expired, failed, or was acknowledged already."""


class RecipientUnknown(MeshError):
    """417 with code 12: the recipient is not a registered mailbox."""


class RequestRefused(MeshError):
    """Any other 4xx."""


class ServerFailed(MeshError):
    """5xx: the server failed; the text says whether it was tried again."""


class UnexpectedAnswer(MeshError):
    """The answer does not follow the protocol: probably not a MESH server."""
