"""What exceptions and refusals mean: the two tables behind every error of the client."""

from __future__ import annotations

import inspect
import json
import ssl
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from aiohttp import client_exceptions
from hypothesis import given
from hypothesis import strategies as st

from ndoo._failures import CAUSES, FOREIGN, Call, cause_of, from_exception
from ndoo._refusals import MAX_RETRY_AFTER, Fault, from_answer
from ndoo.errors import (
    AuthenticationRefused,
    CertificateRefused,
    MeshError,
    MessageGone,
    MessageUnknown,
    RecipientUnknown,
    RequestRefused,
    ServerFailed,
    UnexpectedAnswer,
)

NOW = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)
CALL = Call("test", "https://mesh.example", "X26ABC1")


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("86400", MAX_RETRY_AFTER),
        ("Sat, 21 Nov 2026 20:00:09 GMT", 9.0),
        ("Sat, 21 Nov 2026 19:00:00 GMT", 0.0),
        ("soon", True),
        ("Sat, 99 Nov 2026 20:00:09 GMT", True),
    ],
)
def test_retry_after_is_seconds_or_a_date_within_a_bound(value: str, wait: float) -> None:
    """Both notations are read, a past date is now, a long wait is shortened, nonsense is ignored."""
    assert from_answer(503, {"Retry-After": value}, b"", CALL, 1, now=NOW).retry == wait


def test_the_table_of_exceptions_is_complete() -> None:
    """Every exception class of aiohttp is caught, and meets a row more telling than the last resort."""
    classes = [
        kind
        for _, kind in inspect.getmembers(client_exceptions, inspect.isclass)
        if issubclass(kind, Exception) and kind.__module__ == client_exceptions.__name__
    ]
    assert len(classes) > 20
    uncaught = [kind for kind in classes if not issubclass(kind, FOREIGN)]
    vague = [kind for kind in classes if cause_of(kind) is CAUSES[aiohttp.ClientError]]
    assert uncaught == []
    assert [kind for kind in vague if not issubclass(kind, NOT_HTTP_CLASSES)] == [aiohttp.ClientError]


NOT_HTTP_CLASSES = (aiohttp.ClientResponseError, aiohttp.WSMessageTypeError)
"""These share the last resort's words on purpose."""


@pytest.mark.parametrize("kind", [TimeoutError, ConnectionResetError, BrokenPipeError, ssl.SSLError, OSError])
def test_what_the_system_raises_is_translated_too(kind: type[Exception]) -> None:
    """Exceptions that pass through aiohttp unchanged are caught by the same table."""
    assert issubclass(kind, FOREIGN)
    assert issubclass(cause_of(kind).error, MeshError)


V1 = '{{"errorEvent":"{0}","errorCode":"{1}","errorDescription":"{2}"}}'
V2 = '{{"detail":[{{"event":"{0}","code":"{1}","msg":"{2}"}}]}}'


@pytest.mark.parametrize("shape", [V1, V2], ids=["v1", "v2"])
@pytest.mark.parametrize(
    ("status", "fault", "kind", "advice"),
    [
        (
            403,
            ("", "", "Invalid Authentication Token"),
            AuthenticationRefused,
            "NDOO_PASSWORD and NDOO_SHARED_KEY",
        ),
        (403, ("SEND", "EPL-151", "No mailbox matched"), AuthenticationRefused, "no mailbox X26ABC1"),
        (403, ("", "", "Mailbox id does not match token"), AuthenticationRefused, "change requests"),
        (403, ("", "", "Request Received from Inactive Mailbox"), AuthenticationRefused, "is inactive"),
        (403, ("", "", "Error Duplicated Authentication Token"), AuthenticationRefused, "repeat requests"),
        (403, ("", "", "Error reading from Authorization header"), AuthenticationRefused, "remove it"),
        (403, ("", "", "Forbidden"), AuthenticationRefused, "another mailbox"),
        (404, ("RECEIVE", "20", "Message does not exist"), MessageUnknown, "no message of this id"),
        (410, ("SEND", "Message already accepted", "no longer"), MessageGone, "acknowledged already"),
        (417, ("SEND", "12", "Unregistered to address"), RecipientUnknown, "no mailbox X26ABC9.*workflow WF"),
        (417, ("SEND", "16", "not allowed"), RequestRefused, "X26ABC1 may not send on workflow WF"),
        (417, ("SEND", "17", "not registered"), RequestRefused, "X26ABC9 is not registered for workflow WF"),
        (400, ("TRANSFER", "06", "MalformedControlFile"), RequestRefused, r"\[TRANSFER/06 Malformed"),
        (413, ("", "", "Too large"), RequestRefused, "smaller chunks"),
        (300, ("", "", "Multiple Choices"), RequestRefused, "several messages"),
        (307, ("", "", ""), UnexpectedAnswer, "redirects"),
        (500, ("", "", ""), ServerFailed, "server failed"),
    ],
)
def test_what_a_refusal_means(
    shape: str, status: int, fault: tuple[str, str, str], kind: type[MeshError], advice: str
) -> None:
    """Status and body of either version give the error, its fields and a text that says what to do."""
    call = Call("try", "http://x", "X26ABC1", message_id="M1", recipient="X26ABC9", workflow_id="WF")
    failure = from_answer(status, {}, shape.format(*fault).encode(), call, 1, now=NOW)
    error = failure.error
    assert type(error) is kind
    assert (error.mailbox, error.message_id, error.status) == ("X26ABC1", "M1", status)
    assert (error.event, error.code) == fault[:2]
    with pytest.raises(kind, match=advice):
        raise error


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", Fault()),
        (b"<html>sorry</html>", Fault()),
        (b'<?xml version="1.0"?><soap:Fault/>', Fault()),
        (b"[1]", Fault()),
        (b'{"detail":"Not Found"}', Fault(text="Not Found")),
        (b'{"message":"An internal error\\noccurred."}', Fault(text="An internal error occurred.")),
        (b'{"detail":[]}', Fault()),
        (
            b'{"detail":[{"type":"missing","loc":["header","mex-to"],"msg":"Field required","input":"x"}]}',
            Fault(text="mex-to: Field required"),
        ),
        (
            b'{"message_id":"M1","detail":[{"event":"SEND","code":"InvalidHeaderChunks","msg":"Invalid"}]}',
            Fault("SEND", "InvalidHeaderChunks", "Invalid", "M1"),
        ),
    ],
)
def test_every_shape_of_error_body_is_read(body: bytes, expected: Fault) -> None:
    """The shapes of section 4 are read, and what a proxy sends instead is not shown."""
    assert Fault.parse(body) == expected


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["detail", "message", "msg", "loc", "errorDescription", "errorCode", "x"]), inner
        )
    ),
    max_leaves=9,
)


@given(st.binary(max_size=99) | _JSON.map(lambda value: json.dumps(value).encode()))
def test_no_error_body_breaks_its_reading(body: bytes) -> None:
    """Whatever bytes come with a refusal, one printable line is made of them."""
    assert str(Fault.parse(body)).isprintable()


@pytest.mark.parametrize(
    "body", [b"", b'{"detail":[{"event":"","code":"","msg":"Invalid Authentication Token"}]}']
)
@pytest.mark.parametrize(
    ("off", "text"),
    [(timedelta(hours=3, minutes=5), "3 h 5 min ahead of"), (-timedelta(days=1), "24 h 0 min behind")],
)
def test_a_clock_that_is_off_is_named(body: bytes, off: timedelta, text: str) -> None:
    """A refused token with the server's clock hours away is put down to this computer's clock."""
    headers = {"Date": "Sat, 21 Nov 2026 20:00:00 GMT"}
    assert text in str(from_answer(403, headers, body, CALL, 1, now=NOW + off).error)
    assert "clock is" not in str(from_answer(403, headers, body, CALL, 1, now=NOW + off / 99).error)


def test_a_refusal_without_a_reason_names_every_cause() -> None:
    """The official 403 has no body; the text then lists what to check."""
    text = str(from_answer(403, {}, b"", CALL, 1, now=NOW).error)
    assert all(
        word in text for word in ("NDOO_MAILBOX", "NDOO_PASSWORD", "NDOO_SHARED_KEY", "clock", "active")
    )


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate", "NDOO_CA"),
        (
            "[SSL: CERTIFICATE_VERIFY_FAILED] Hostname mismatch, not valid for 'x'",
            "another host",
        ),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] IP address mismatch", "another host"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate has expired", "expired"),
        ("[SSL: TLSV1_ALERT_PROTOCOL_VERSION] tlsv1 alert protocol version", "TLS 1.2"),
        ("[SSL: TLSV1_ALERT_UNKNOWN_CA] tlsv1 alert unknown ca", "NDOO_CERT and NDOO_KEY"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number", "http://"),
        ("[SSL] something new", "NDOO_CA, NDOO_CERT and NDOO_KEY"),
    ],
)
def test_what_tls_says_becomes_advice(text: str, advice: str) -> None:
    """OpenSSL's texts lead to the setting that puts them right."""
    failure = from_exception(ssl.SSLError(1, text), CALL, 1)
    assert type(failure.error) is CertificateRefused
    assert advice in str(failure.error)
    assert failure.retry is False


def test_a_certificate_refused_after_the_handshake_is_no_broken_connection() -> None:
    """TLS 1.3 reports a missing certificate late; it is neither tried again nor a lost connection."""
    late = aiohttp.ClientOSError(
        1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required"
    )
    failure = from_exception(late, CALL, 1)
    assert type(failure.error) is CertificateRefused
    assert (failure.retry, failure.arrived) == (False, False)
