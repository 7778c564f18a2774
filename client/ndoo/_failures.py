"""What went wrong with a call, put into this package's words, and what follows from it.

This is the only place that knows aiohttp's exceptions. Each way to fail says three things: which error
the caller gets, whether trying again can help, and whether the request may have been carried out all
the same.
"""

from __future__ import annotations

import shlex
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import client_exceptions as aio

from ndoo._proxy import Proxy, is_loopback
from ndoo.errors import (
    CertificateRefused,
    ConnectionFailed,
    MeshError,
    RequestTimeout,
    UnexpectedAnswer,
)


@dataclass(frozen=True, slots=True)
class Call:
    """One operation, as errors and logs describe it.

    ``operation`` completes "could not ..."; ``repeatable`` is False for the one request that must never
    be sent twice, the first POST of a message.
    """

    operation: str
    url: str
    mailbox: str
    message_id: str = ""
    recipient: str = ""
    workflow_id: str = ""
    local_id: str = ""
    repeatable: bool = True


class Failure(Exception):
    """One try that failed; carries the error to raise if there is no other try.

    ``retry`` is whether another try can help, or after how many seconds the server wants it;
    ``arrived`` is whether the server may have carried the request out.
    """

    def __init__(self, error: MeshError, *, retry: bool | float, arrived: bool) -> None:
        super().__init__(str(error))
        self.error = error
        self.retry = retry
        self.arrived = arrived


@dataclass(frozen=True, slots=True)
class Cause:
    """What an exception means: the error raised, its text, and the two flags of :class:`Failure`."""

    error: type[MeshError]
    text: str
    retry: bool = False
    arrived: bool = False


_UNREACHABLE = Cause(
    ConnectionFailed,
    "nothing answers at {url}; is the server running, and are host and port in NDOO_URL right?{need}",
    retry=True,
)
_BROKEN = Cause(ConnectionFailed, "{url} closed the connection{hint}", retry=True, arrived=True)
_SILENT = Cause(RequestTimeout, "{url} did not answer in time", retry=True, arrived=True)
_NOT_HTTP = Cause(UnexpectedAnswer, "what answers at {url} does not speak HTTP{hint}", arrived=True)
_BAD_URL = Cause(UnexpectedAnswer, "{url} is not an address that can be called; check NDOO_URL")
_BAD_TLS = Cause(CertificateRefused, "no secure connection to {url}: {reason}")
_PROXY = Cause(ConnectionFailed, "the proxy on the way to {url} does not let the request through")
_NO_PROXY = Cause(
    ConnectionFailed,
    "nothing answers at the proxy {proxy}; are host and port in {source} right? NDOO_PROXY names another, or "
    "none",
    retry=True,
)
_NO_PROXY_HOST = Cause(
    ConnectionFailed,
    "no host of the name of the proxy {proxy} can be found; check {source} and the network",
    retry=True,
)

CAUSES: Final[Mapping[type[Exception], Cause]] = {
    aio.ClientConnectorError: _UNREACHABLE,
    aio.ClientConnectorDNSError: Cause(
        ConnectionFailed,
        "no host of the name in {url} can be found; check NDOO_URL and the network{need}",
        retry=True,
    ),
    aio.ConnectionTimeoutError: Cause(
        RequestTimeout, "no connection to {url}{way} in time; is a firewall in the way?{need}", retry=True
    ),
    aio.ServerTimeoutError: _SILENT,
    TimeoutError: _SILENT,
    aio.ServerConnectionError: _BROKEN,
    aio.ClientConnectionError: _BROKEN,
    # aiohttp has it since 3.14.4; before, a broken upload was a ClientConnectionError.
    getattr(aio, "UploadAbortedError", aio.ClientConnectionError): _BROKEN,
    aio.ClientPayloadError: Cause(
        ConnectionFailed, "the answer of {url} broke off before its end", retry=True, arrived=True
    ),
    OSError: _BROKEN,
    aio.ClientConnectorCertificateError: _BAD_TLS,
    aio.ClientSSLError: _BAD_TLS,
    aio.ServerFingerprintMismatch: _BAD_TLS,
    ssl.SSLError: _BAD_TLS,
    aio.ClientProxyConnectionError: _NO_PROXY,
    aio.ClientHttpProxyError: _PROXY,
    aio.ClientResponseError: _NOT_HTTP,
    aio.WSMessageTypeError: _NOT_HTTP,
    aio.InvalidURL: _BAD_URL,
    aio.NonHttpUrlClientError: _BAD_URL,
    aio.RedirectClientError: _BAD_URL,
    aio.ClientError: _NOT_HTTP,
}
"""Every exception a request can end in; a class not listed is met under its nearest ancestor."""

FOREIGN: Final = tuple(CAUSES)

OUR_CERTIFICATE: Final = (
    "the server wants a client certificate it trusts; set NDOO_CERT and NDOO_KEY to the one issued "
    "for this mailbox and environment"
)
_CERTIFICATE_ALERTS: Final = (
    "ALERT_ACCESS_DENIED",
    "ALERT_BAD_CERTIFICATE",
    "ALERT_CERTIFICATE_EXPIRED",
    "ALERT_CERTIFICATE_REQUIRED",
    "ALERT_CERTIFICATE_REVOKED",
    "ALERT_CERTIFICATE_UNKNOWN",
    "ALERT_HANDSHAKE_FAILURE",
    "ALERT_UNKNOWN_CA",
)
_TLS_REASONS: Final = (
    ("Hostname mismatch", "the server's certificate is for another host; check the host in NDOO_URL"),
    ("IP address mismatch", "the server's certificate is for another host; check the host in NDOO_URL"),
    ("certificate has expired", "the server's certificate has expired, or this computer's clock is wrong"),
    ("not yet valid", "the server's certificate is not valid yet; is this computer's clock right?"),
    ("CERTIFICATE_VERIFY_FAILED", "the server's certificate is not trusted; set NDOO_CA to its authority's"),
    ("ALERT_PROTOCOL_VERSION", "the server does not speak TLS 1.2 or newer"),
    ("UNSUPPORTED_PROTOCOL", "the server does not speak TLS 1.2 or newer"),
    *((alert, OUR_CERTIFICATE) for alert in _CERTIFICATE_ALERTS),
    ("WRONG_VERSION_NUMBER", "the server does not use TLS there; try http:// instead of https://"),
    ("RECORD_LAYER_FAILURE", "the server does not use TLS there; try http:// instead of https://"),
    ("HTTP_REQUEST", "the server does not use TLS there; try http:// instead of https://"),
)
"""What OpenSSL's texts mean, first match first."""


_PROXY_STATUSES: Final = {
    0: "what answers at {proxy} is no HTTP proxy; check host and port in {source}",
    403: (
        "the proxy {proxy} does not allow connections to {host}; whoever runs it must let them through, "
        "or set "
        "NDOO_PROXY=none if none is needed"
    ),
    407: (
        "the proxy {proxy} {refuses} into its address, as in "
        "NDOO_PROXY=http://USER:PASSWORD@{place} "
        "(characters such as @ : / as %40 %3A %2F)"
    ),
}
_PROXY_PASSING: Final = frozenset({502, 503, 504})
"""What a proxy answers when it does not reach the server at the moment."""


def from_exception(error: BaseException, call: Call, tries: int, *, proxy: Proxy | None = None) -> Failure:
    """Translate an exception that ended try number ``tries`` of a call, made through ``proxy`` if any."""
    details = f"{error} {error.__cause__ or ''}"
    cause = cause_of(type(error))
    if any(alert in details for alert in _CERTIFICATE_ALERTS):
        # A TLS 1.3 server refuses our certificate after the handshake, so that it shows as a broken
        # connection; only the alert in the text tells.
        cause = _BAD_TLS
    if proxy is not None and isinstance(error, aio.ClientHttpProxyError):
        text = explain_proxy(error.status, proxy, call.url)
        return make_failure(
            cause.error, text, call, tries, retry=error.status in _PROXY_PASSING, arrived=False
        )
    if proxy is not None and isinstance(error, aio.ClientConnectorDNSError):
        # The server's name is the proxy's to find.
        cause = _NO_PROXY_HOST
    text = cause.text.format(
        url=call.url,
        hint=_hint(call) + (f"; or the proxy {proxy} closed it" if proxy else ""),
        way=f" through the proxy {proxy}" if proxy else "",
        need=_need(call) if proxy is None else "",
        reason=tls_reason(details),
        proxy=proxy,
        source=proxy.source if proxy else "NDOO_PROXY",
    )
    return make_failure(cause.error, text, call, tries, retry=cause.retry, arrived=cause.arrived)


def cause_of(kind: type[BaseException]) -> Cause:
    """Find the row of :data:`CAUSES` for a class of exceptions: its own, or its nearest ancestor's."""
    return next(CAUSES[ancestor] for ancestor in kind.__mro__ if ancestor in CAUSES)


def _hint(call: Call) -> str:
    if call.url.startswith("http://"):
        return "; if it is a TLS port, use https://"
    # A server that hangs up does not say why, and whether a certificate was given is not known here.
    return (
        "; if it demands a client certificate, it may have refused the one in NDOO_CERT, or none is set: "
        "check NDOO_CERT and NDOO_KEY (from this environment, and in date?)"
    )


def _need(call: Call) -> str:
    if is_loopback(urlsplit(call.url).hostname or ""):
        return ""
    return "; if this network reaches others through a proxy only, set NDOO_PROXY"


def explain_proxy(status: int, proxy: Proxy, url: str) -> str:
    """Say why a proxy answered ``status``, 0 for no HTTP at all, instead of passing a request on."""
    text = _PROXY_STATUSES.get(
        status, "the proxy {proxy} does not reach {host} (HTTP {status}); try again later, or set NDOO_PROXY"
    )
    refuses = (
        "refuses the user name and password given in {source}; put the right ones"
        if proxy.authorization
        else "wants a user name and password; put them"
    )
    return text.format(
        proxy=proxy,
        host=urlsplit(url).netloc,
        source=proxy.source,
        status=status,
        refuses=refuses.format(source=proxy.source),
        place=f"{proxy.host}:{proxy.port}",
    )


def tls_reason(details: str) -> str:
    """Say what a text of OpenSSL's means, and what to do about it."""
    for mark, reason in _TLS_REASONS:
        if mark in details:
            return reason
    return "the TLS handshake failed; is NDOO_URL right, and are NDOO_CA, NDOO_CERT and NDOO_KEY?"


def make_failure(
    kind: type[MeshError],
    text: str,
    call: Call,
    tries: int,
    *,
    retry: bool | float,
    arrived: bool,
    **fields: Any,
) -> Failure:
    again = f" (tried {tries} times)" if tries > 1 else ""
    fields.setdefault("message_id", call.message_id)
    error = kind(
        f"could not {call.operation}: {text}{again}{_doubt(call) if arrived else ''}",
        mailbox=call.mailbox,
        **fields,
    )
    return Failure(error, retry=retry if call.repeatable else False, arrived=arrived)


def _doubt(call: Call) -> str:
    if call.repeatable:
        return ""
    if call.local_id:
        how = f"look for it with 'ndoo mailbox track --local-id {shlex.quote(call.local_id)}'"
    else:
        how = "ask the recipient (a message sent with a local id can be tracked)"
    return f"; the message may or may not have arrived: {how} before sending it again"


def unexpected(text: str, call: Call, *, status: int | None = None) -> Failure:
    """Make the failure of an answer that does not follow the protocol; trying again would not help."""
    return make_failure(UnexpectedAnswer, text, call, 1, retry=False, arrived=True, status=status)
