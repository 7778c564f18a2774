"""What an answer that is no success means: its body, its status, and what to do about it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http.client import responses
from typing import Final

from ndoo import protocol
from ndoo._failures import OUR_CERTIFICATE, Call, Failure, explain_proxy, make_failure
from ndoo._proxy import Proxy
from ndoo.errors import (
    AuthenticationRefused,
    CertificateRefused,
    ConnectionFailed,
    MeshError,
    MessageGone,
    MessageUnknown,
    RecipientUnknown,
    RequestRefused,
    ServerFailed,
    UnexpectedAnswer,
)

MAX_RETRY_AFTER: Final = 60.0
"""The longest a server's ``Retry-After`` is followed, in seconds."""

RETRIED_STATUSES: Final = frozenset({425, 429, 502, 503, 504})
"""Statuses after which another try can help; the same as NHS's own client's (section 22)."""

CLOCK_SUSPECT: Final = protocol.TOKEN_LIFETIME - timedelta(minutes=10)
"""From this difference on a refused token is put down to the clock: the token holds whole minutes only."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What an error body says (section 4); empty where it says nothing."""

    event: str = ""
    code: str = ""
    text: str = ""
    message_id: str = ""

    @classmethod
    def parse(cls, body: bytes) -> Fault:
        """Read an error body of either version, or of the validation, generic or router shape.

        A body that is none of these (HTML of a proxy, SOAP, nothing) gives an empty fault: it is not
        shown, for nobody can say what is in it.
        """
        try:
            fields = json.loads(body)
        except ValueError:
            return cls()
        if not isinstance(fields, dict):
            return cls()
        if "errorDescription" in fields:
            return cls(
                _line(fields.get("errorEvent")),
                _line(fields.get("errorCode")),
                _line(fields["errorDescription"]),
                _line(fields.get("messageID")),
            )
        detail = fields.get("detail", fields.get("message"))
        if not isinstance(detail, list):
            return cls(text=_line(detail))
        first = detail[0] if detail and isinstance(detail[0], dict) else {}
        # A validation item has a place but no code; its "input" repeats what was sent and is left out.
        place = first.get("loc")
        where = f"{_line(place[-1])}: " if isinstance(place, list) and place else ""
        return cls(
            _line(first.get("event")),
            _line(first.get("code")),
            where + _line(first.get("msg")),
            _line(fields.get("message_id")),
        )

    def __str__(self) -> str:
        """Event, code and text as far as there are any, for people."""
        label = "/".join(filter(None, (self.event, self.code)))
        return f"{label} {self.text}".strip() if self.text != self.code else label


def _line(value: object) -> str:
    """Make one printable line of at most 200 characters of a field another machine filled in."""
    text = value if isinstance(value, str) else ""
    return "".join(character if character.isprintable() else " " for character in text[:200]).strip()


BAD_HASH: Final = "Invalid Authentication Token"
"""What a 403 says of a token whose hash is wrong: the password or the shared key is, or the time."""

INACTIVE_MAILBOX: Final = "Request Received from Inactive Mailbox"

_REFUSED_TOKENS: Final = {
    BAD_HASH: (
        "the password or the shared key is wrong; check NDOO_PASSWORD and NDOO_SHARED_KEY ('ndoo doctor' "
        "helps)"
    ),
    protocol.Codes.MAILBOX_UNKNOWN.text: (
        "there is no mailbox {mailbox} there; check NDOO_MAILBOX, and that NDOO_URL is the right environment"
    ),
    INACTIVE_MAILBOX: ("mailbox {mailbox} is inactive; whoever runs the server must activate it"),
    "Error Duplicated Authentication Token": (
        "the server had seen this token before; does a proxy on the way repeat requests?"
    ),
    "Mailbox id does not match token": (
        "the token does not belong to the mailbox in the address; does a proxy on the way change requests?"
    ),
    "Error reading from Authorization header": (
        "the server could not read the Authorization header; does a proxy on the way remove it?"
    ),
    "Forbidden": "it belongs to another mailbox than {mailbox}",
}
"""What the texts of a 403 mean (section 5); "Forbidden" is that of a message of somebody else's."""

_CERTIFICATE_PAGES: Final = (b"No required SSL certificate was sent", b"The SSL certificate error")
"""What nginx answers, after a TLS handshake that it lets succeed, to a client certificate it refuses."""

_ANY_REFUSAL: Final = (
    "the server refused the credentials and did not say why; check NDOO_MAILBOX, NDOO_PASSWORD, "
    "NDOO_SHARED_KEY, this computer's clock, and that the mailbox is active"
)

_HINTS: Final = {
    protocol.Codes.SENDER_NOT_ALLOWED.code: "mailbox {mailbox} may not send on workflow {workflow_id}",
    protocol.Codes.WORKFLOW_NOT_REGISTERED.code: (
        "mailbox {recipient} is not registered for workflow {workflow_id}"
    ),
    protocol.Codes.UNREGISTERED_RECIPIENT.code: (
        "there is no mailbox {recipient} to send to (workflow {workflow_id})"
    ),
}

_STATUSES: Final[Mapping[int, tuple[type[MeshError], str]]] = {
    300: (RequestRefused, "several messages have this local id; track by message id instead"),
    410: (MessageGone, "the message expired, failed, or was acknowledged already"),
    413: (RequestRefused, "the server takes no body of this size; send in smaller chunks"),
    423: (RequestRefused, "the message takes no more chunks"),
    429: (RequestRefused, "the server asks for fewer requests"),
}


def from_answer(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    call: Call,
    tries: int,
    *,
    now: datetime,
    proxy: Proxy | None = None,
) -> Failure:
    """Translate an answer that is no success; ``now`` is our clock, compared with the server's."""
    fault = Fault.parse(body)
    kind, text = _explain(status, headers, fault, call, now)
    if proxy is not None and _is_of_proxy(status, fault, call):
        kind, text = ConnectionFailed, explain_proxy(status, proxy, call.url)
    if b"HTTP request was sent to HTTPS port" in body:
        kind, text = UnexpectedAnswer, f"{call.url} is a TLS port; use https://"
    if status == 400 and any(mark in body for mark in _CERTIFICATE_PAGES):
        kind, text = CertificateRefused, OUR_CERTIFICATE
    if fault.text and fault.text != responses.get(status):
        text = f"{text} [{fault}]"
    retry: bool | float = status in RETRIED_STATUSES
    if retry and (wait := _retry_after(headers.get("Retry-After"), now)) is not None:
        retry = wait
    return make_failure(
        kind,
        f"{text} (HTTP {status})",
        call,
        tries,
        retry=retry,
        arrived=status >= 500,
        status=status,
        event=fault.event,
        code=fault.code,
        message_id=fault.message_id or call.message_id,
        detail=fault.text,
    )


def _is_of_proxy(status: int, fault: Fault, call: Call) -> bool:
    """Whether a proxy answered instead of the server: only without a tunnel, and never in MESH's words."""
    return call.url.startswith("http:") and (status == 407 or (status == 403 and not fault.text))


def clock_ahead(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """How far ``now``, our clock, is ahead of that of whoever answered; None where the answer has no date."""
    server = _http_date(headers.get("Date"))
    return None if server is None else now - server


def _explain(
    status: int, headers: Mapping[str, str], fault: Fault, call: Call, now: datetime
) -> tuple[type[MeshError], str]:
    kind: type[MeshError]
    match status:
        case 403:
            kind, text = AuthenticationRefused, _explain_refusal(headers, fault, now)
        case 404:
            kind, text = _explain_absence(call)
        case 417 if fault.code == protocol.Codes.UNREGISTERED_RECIPIENT.code:
            kind, text = RecipientUnknown, _HINTS[fault.code]
        case _ if status in _STATUSES:
            kind, text = _STATUSES[status]
        case _ if status >= 500:
            kind, text = ServerFailed, "the server failed"
        case _ if status < 400:
            kind, text = UnexpectedAnswer, "{url} redirects elsewhere; check NDOO_URL"
        case _:
            kind, text = RequestRefused, _HINTS.get(fault.code, "the server refused the request")
    return kind, text.format(
        url=call.url, mailbox=call.mailbox, recipient=call.recipient, workflow_id=call.workflow_id
    )


def _explain_absence(call: Call) -> tuple[type[MeshError], str]:
    if call.message_id:
        return MessageUnknown, "the server knows no message of this id"
    if call.local_id and not call.recipient:
        return MessageUnknown, "mailbox {mailbox} sent no message of this local id"
    return UnexpectedAnswer, "{url} has no MESH API; check NDOO_URL"


def _explain_refusal(headers: Mapping[str, str], fault: Fault, now: datetime) -> str:
    if fault.text in {"", BAD_HASH}:
        ahead = clock_ahead(headers, now)
        if ahead is not None and abs(ahead) > CLOCK_SUSPECT:
            return (
                f"this computer's clock is {clock_difference(ahead)}; "
                "set it right (tokens are valid for two hours)"
            )
    return _REFUSED_TOKENS.get(fault.text, _ANY_REFUSAL)


def clock_difference(ahead: timedelta) -> str:
    """Write how far our clock is ahead of the server's, or behind: ``5 minutes behind the server's``."""
    minutes = round(abs(ahead).total_seconds() / 60)
    counted = f"{minutes} minute{'' if minutes == 1 else 's'}"
    side = "ahead of the server's" if ahead > timedelta() else "behind the server's"
    return f"{counted} {side}" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min {side} ({counted})"


def _retry_after(value: str | None, now: datetime) -> float | None:
    if value is None:
        return None
    if value.strip().isdecimal():
        seconds = float(value)
    else:
        moment = _http_date(value)
        if moment is None:
            return None
        seconds = (moment - now).total_seconds()
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


def _http_date(value: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value or "")
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
