"""Requests whose length, end or form is not what it seems: refused whole, or read as exactly one request."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

import pytest
from raw import LAST, Heard, assert_decent, head, read_answers, send, signed, talk
from support import MakeSimulator, speak

from mesh_sim.certs import CertificateFolder

PING: Final = head("GET", "/_ping")
"""What must not be seen as a request where it is part of a body."""

CHUNKED: Final = "Transfer-Encoding: chunked"
LONGEST: Final = 2**64 - 1


LENGTHS: Final = [
    "Content-Length: -1",
    "Content-Length: +5",
    "Content-Length: 0x5",
    "Content-Length: 5, 5",
    "Content-Length: 1 5",
    "Content-Length: 5.0",
    "Content-Length: \u0665".encode(),
    "Content-Length: 1" + "0" * 30,
    "Content-Length:",
    "Content-Length : 5",
    "Content-Length: 5\r\nContent-Length: 5",
    "Content-Length: 5\r\nContent-Length: 6",
    "Content-Length: 5\r\n Content-Length: 6",
    "Content-Length: 2",
]

ENCODINGS: Final = [
    f"{CHUNKED}\r\nContent-Length: 5",
    f"Content-Length: 5\r\n{CHUNKED}",
    f"{CHUNKED}\r\n{CHUNKED}",
    f"{CHUNKED}\r\nTransfer-Encoding: identity",
    "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding: chunked, gzip",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: identity",
    'Transfer-Encoding: "chunked"',
    "Transfer-Encoding: \x0bchunked",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding\r\n : chunked",
]

CHUNKS: Final = {
    "no size": b"\r\nhello\r\n0\r\n\r\n",
    "no number": b"zz\r\nhello\r\n0\r\n\r\n",
    "0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "negative": b"-5\r\nhello\r\n0\r\n\r\n",
    "plus": b"+5\r\nhello\r\n0\r\n\r\n",
    "blank": b"5 5\r\nhello\r\n0\r\n\r\n",
    "too large a number": b"F" * 17 + b"\r\nhello\r\n0\r\n\r\n",
    "too short": b"3\r\nhello\r\n0\r\n\r\n",
    "too long": b"7\r\nhello\r\n0\r\n\r\n",
    "line feeds alone": b"5\nhello\n0\n\n",
    "line feed in an extension": b"5;a\nhello\r\n0\r\n\r\n",
    "a trailer with a length": b"5\r\nhello\r\n0\r\nContent-Length: 500\r\n\r\n",
    "a trailer without a colon": b"5\r\nhello\r\n0\r\nMex-To\r\n\r\n",
}

HEADERS: Final = {
    "folded": "Mex-Subject: a\r\n b",
    "carriage return": "Mex-Subject: a\rMex-To: X26ABC3",
    "line feed": "Mex-Subject: a\nMex-To: X26ABC3",
    "NUL": "Mex-Subject: a\0b",
    "control character": "Mex-Subject: a\x01b",
    "DEL": "Mex-Subject: a\x7fb",
    "NUL in a name": "Mex\0-Subject: a",
    "blank in a name": "Mex Subject: a",
    "no name": ": a",
    "no colon": "Mex-Subject",
    "letters beyond ASCII in a name": "Mex-Sübject: a".encode(),
    "a second Host": "Host: elsewhere",
}

STARTS: Final = {
    "HTTP/0.9": b"GET /health\r\n\r\n",
    "HTTP/0.9 by name": b"GET /health HTTP/0.9\r\nHost: a\r\n\r\n",
    "HTTP/1.2": b"GET /health HTTP/1.2\r\nHost: a\r\n\r\n",
    "HTTP/2": b"GET /health HTTP/2.0\r\nHost: a\r\n\r\n",
    "HTTP/9.9": b"GET /health HTTP/9.9\r\nHost: a\r\n\r\n",
    "HTTP/2's greeting": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(30),
    "a TLS greeting": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "an SSH greeting": b"SSH-2.0-OpenSSH_9.6\r\n",
    "zeros": bytes(2000),
    "no method": b" /health HTTP/1.1\r\nHost: a\r\n\r\n",
    "a method in small letters": head("get", "/health"),
    "an unknown method": head("STEAL", "/health"),
    "a method with a NUL": head("GE\0T", "/health"),
    "a path without a slash": head("GET", "health"),
    "an address without a host": head("GET", "http:///health"),
    "an address that breaks off": head("GET", "http://[::1/health"),
    "an impossible port": head("GET", "http://a:99999999/health"),
    "an authority that is none": head("CONNECT", ":"),
    "a NUL in the path": head("GET", "/hea\0lth"),
    "a raw byte in the path": head("GET", b"/messageexchange/X26ABC1/inbox/\xff"),
    "raw UTF-8 in the query": head("GET", "/messageexchange/X26ABC1/inbox?a=é".encode()),
    "no Host": b"GET /health HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("lines", LENGTHS)
async def test_a_length_that_is_none_is_refused(target: str, lines: str | bytes) -> None:
    """A request with an impossible or doubtful Content-Length is 400, and nothing after it is looked at."""
    _assert_refused(await _answers(target, send(lines) + b"hello" + LAST))


@pytest.mark.parametrize("lines", ENCODINGS)
async def test_a_transfer_encoding_that_is_doubtful_is_refused(target: str, lines: str) -> None:
    """Two lengths, two encodings or an unknown one: 400, as two readers might see two different requests."""
    _assert_refused(await _answers(target, send(lines) + b"0\r\n\r\n" + PING + LAST))


async def test_a_body_packed_for_its_transfer_is_not_kept(target: str) -> None:
    """What a proxy may pack and unpack as it likes is no body that could be given back byte by byte."""
    data = send("Transfer-Encoding: gzip, chunked") + b"5\r\nhello\r\n0\r\n\r\n"
    assert [answer.status for answer in await _answers(target, data + LAST)] == [422, 200]


@pytest.mark.parametrize("body", CHUNKS.values(), ids=CHUNKS)
async def test_chunks_that_are_none_are_refused(target: str, body: bytes) -> None:
    """A chunked body that is not what it says is 400; no message comes of it."""
    _assert_refused(await _answers(target, send(CHUNKED) + body + LAST))


@pytest.mark.parametrize("line", HEADERS.values(), ids=HEADERS)
async def test_header_lines_that_are_none_are_refused(target: str, line: str | bytes) -> None:
    """A line that could be read as two, or as none, is 400 (mesh-api.md section 2)."""
    _assert_refused(await _answers(target, send(line, "Content-Length: 5") + b"hello" + LAST))


@pytest.mark.parametrize("data", STARTS.values(), ids=STARTS)
async def test_what_is_not_http_1_is_refused(target: str, data: bytes) -> None:
    """Other protocols, other versions and broken request lines are 400, in the sandbox's words."""
    _assert_refused(await _answers(target, data + LAST))


@pytest.mark.parametrize(
    "line", ["GET /health", "POST /admin/clock", "GET /health HTTP/0.9", "GET /admin/clock1.1"]
)
async def test_no_request_is_without_a_version(target: str, line: str) -> None:
    """A first line without its version is 400, not a request of HTTP/0.9, which has no Host."""
    _assert_refused(await _answers(target, f"{line}\r\n".encode() + b"\r\n"))


@pytest.mark.parametrize(
    "request_bytes",
    [
        send(f"Content-Length: {2 * len(PING)}") + PING * 2,
        send(f"Content-Length: {len(PING)}") + PING,
        send(CHUNKED) + b"%x\r\n%b\r\n0\r\n\r\n" % (len(PING), PING),
        send(CHUNKED)
        + b'%x;q="GET / HTTP/1.1"\r\n%b\r\n0\r\nX-Trailer: GET /_ping\r\n\r\n' % (len(PING), PING),
        send("Transfer-Encoding: CHUNKED") + b"000%x\r\n%b\r\n0\r\n\r\n" % (len(PING), PING),
        send("Transfer-Encoding:\tchunked") + b"%X\r\n%b\r\n000\r\n\r\n" % (len(PING), PING),
        send("Upgrade: websocket", "Connection: Upgrade", f"Content-Length: {len(PING)}") + PING,
    ],
    ids=["two", "counted", "chunked", "extension and trailer", "capitals", "tab", "upgrade"],
)
async def test_a_request_in_a_body_is_not_one(target: str, request_bytes: bytes) -> None:
    """What looks like a request inside a body stays the body of the one that was sent; none answers it."""
    answers = await _answers(target, request_bytes + LAST)
    assert [answer.status for answer in answers] == [202, 200]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/messageexchange/X26ABC1/outbox", 403),
        ("GET", "/messageexchange/X26ABC1/inbox", 403),
        ("HEAD", "/messageexchange/X26ABC1/inbox/X", 403),
        ("HEAD", "/health", 405),
        ("POST", "/nowhere", 404),
        ("PUT", "/health", 405),
        ("GET", "/health", 200),
        ("POST", "/messageexchange/X26ABC1/outbox/", 307),
        ("POST", "/admin/clock", 400),
    ],
)
async def test_a_body_that_nobody_reads_is_not_a_request(
    target: str, method: str, path: str, status: int
) -> None:
    """Where a request is answered without its body, the body is passed over, and the next request is next."""
    for lines, body in (
        (f"Content-Length: {len(PING)}", PING),
        (CHUNKED, b"%x\r\n%b\r\n0\r\n\r\n" % (len(PING), PING)),
    ):
        data = head(method, path, lines) + body + LAST
        answers = (await talk(target, data, heads=(0,) if method == "HEAD" else ())).answers
        assert [answer.status for answer in answers] == [status, 200]
        assert_decent(answers[0])


@pytest.mark.parametrize(
    "data",
    [
        head("GET", "/health", f"Content-Length: {LONGEST}"),
        send(f"Content-Length: {LONGEST}"),
        send(f"Content-Length: {LONGEST - 1}"),
        head("POST", "/messageexchange/X26ABC1/outbox", f"Content-Length: {10**12}"),
    ],
    ids=["to health", "to send", "one less", "without a token"],
)
async def test_a_length_beyond_all_bounds_is_answered_at_once(target: str, data: bytes) -> None:
    """Whoever announces more than is ever taken is answered before anything of it comes."""
    status, _, body = await speak(target, data + b"hello")
    assert status in (200, 403, 413)
    assert body


async def test_other_forms_of_a_path_lead_to_the_same_places(target: str) -> None:
    """An absolute address is read by its path; ``*`` and an authority lead nowhere."""
    for data, status in (
        (head("GET", "http://elsewhere.example/health"), 200),
        (head("GET", "http://elsewhere.example/messageexchange/X26ABC1/inbox"), 403),
        (head("OPTIONS", "*"), 404),
        (head("CONNECT", "elsewhere.example:443"), 404),
        (head("CONNECT", "/messageexchange/X26ABC1/inbox", signed()), 404),
        (head("GET", "//elsewhere.example/health"), 404),
        (head("GET", "/../health"), 404),
        (head("TRACE", "/messageexchange/X26ABC1/inbox", signed()), 405),
    ):
        answers = await _answers(target, data + LAST)
        assert [answer.status for answer in answers] == [status, 200], data


async def test_what_a_client_expects_breaks_nothing(target: str) -> None:
    """``100-continue`` is followed by the answer; a request that expects anything else is as any other."""
    met = await _answers(target, send("Expect: 100-continue", "Content-Length: 5") + b"hello" + LAST)
    assert [answer.status for answer in met] == [202, 200]
    other = await _answers(target, send("Expect: a-miracle", "Content-Length: 5") + b"hello" + LAST)
    assert [answer.status for answer in other] == [202, 200]


async def test_many_requests_in_one_packet_are_all_answered_in_turn(target: str) -> None:
    """A thousand requests written at once get a thousand answers, each to its own."""
    paths = ["/_ping", "/nowhere", "/messageexchange/X26ABC1/inbox"] * 333
    answers = await _answers(target, b"".join(head("GET", path) for path in paths) + LAST)
    assert [answer.status for answer in answers] == [200, 404, 403] * 333 + [200]


async def test_no_header_flood_is_held(target: str) -> None:
    """Thousands of lines or trailers, lines of many kilobytes and endless addresses are 431, not memory."""
    for data in (
        head("GET", "/health", *(f"a{number}: b" for number in range(5000))),
        head("GET", "/health", *["Accept: */*"] * 5000),
        head("GET", "/health", "X: " + "a" * 70_000),
        head("GET", "/" + "a" * 70_000),
        head("GET", "/health?" + "a=b&" * 20_000),
        send(CHUNKED) + b"5\r\nhello\r\n0\r\n" + b"a: b\r\n" * 5000 + b"\r\n",
    ):
        answers = await _answers(target, data + LAST)
        assert [answer.status for answer in answers] == [431]


async def test_it_is_no_different_over_tls(make_simulator: MakeSimulator, tmp_path: Path) -> None:
    """Behind TLS the same is refused in the same words; what is not TLS is cut off."""
    certs = tmp_path / "certs"
    simulator = await make_simulator(tls="on", certs=certs, make_certs=True)
    tls = ssl.create_default_context(cafile=CertificateFolder(certs).ca)
    smuggled = send("Content-Length: 5", CHUNKED) + b"0\r\n\r\n" + PING + LAST
    _assert_refused((await talk(simulator.url, smuggled, tls=tls)).answers)
    assert (await talk(simulator.url, PING)).answers == ()
    assert (await talk(simulator.url, LAST, tls=tls)).statuses == [200]


def test_answers_are_read_by_the_letter() -> None:
    """The tests' own reader takes no answer with a line break or bytes too many."""
    for broken in (
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nMex-Subject: a\rb\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
    ):
        with pytest.raises(AssertionError):
            read_answers(broken)


async def _answers(url: str, data: bytes) -> tuple[Heard, ...]:
    answers = (await talk(url, data)).answers
    for answer in answers:
        assert_decent(answer)
    return answers


def _assert_refused(answers: tuple[Heard, ...]) -> None:
    (answer,) = answers
    assert (answer.status, answer.body) == (400, b"Invalid HTTP request received.")
    assert (answer.header("Content-Type") or "").startswith("text/plain")
