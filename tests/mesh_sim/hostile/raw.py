"""An attacker's client: writes any bytes to a server, and reads what comes back by the letter of HTTP.

No HTTP library stands between: what they would mend on the way out, or forgive on the way in, is what these
tests are about. :func:`assert_decent` holds what is true of every answer, whatever was asked.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from support import authorization

PATIENCE_S: Final = 20.0
"""A server that says nothing for so long hangs, and the test fails."""

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2}) [ -~]*")
_HEADER_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([\t -~\x80-\xff]*)")

_REVEALING: Final = re.compile(
    rb"Traceback|File \"|<html|<!doctype|aiohttp|llhttp|pydantic|sqlite|uvloop|Python|\.py\b"
    rb"|\bsys\.|recursion|\b[A-Z][A-Za-z]+(?:Error|Exception|Warning)\b|(?:^|\s)b['\"]",
    re.IGNORECASE | re.MULTILINE,
)
"""What shows how the server is made: traces, classes, its parts, bytes as Python writes them."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One answer as it came."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """Give a header's value; None where there is none."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def json(self) -> Any:
        """Read the body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Talk:
    """All that a connection gave until the server closed it."""

    answers: tuple[Heard, ...]

    @property
    def statuses(self) -> list[int]:
        """The answers' statuses."""
        return [answer.status for answer in self.answers]


def head(method: str, target: str | bytes, *lines: str | bytes, host: str = "localhost") -> bytes:
    """Write a request's head up to and with its blank line."""
    raw = target if isinstance(target, bytes) else target.encode("latin-1")
    first = method.encode("latin-1") + b" " + raw + b" HTTP/1.1"
    given = (line if isinstance(line, bytes) else line.encode("latin-1") for line in lines)
    return b"\r\n".join((first, f"Host: {host}".encode("latin-1"), *given, b"", b""))


def signed(mailbox: str = "X26ABC1", **fields: Any) -> str:
    """Write an ``Authorization`` line with a fresh token."""
    return f"Authorization: {authorization(mailbox, **fields)}"


def send(*lines: str | bytes) -> bytes:
    """Write the head of a send that needs only its body."""
    return head(
        "POST",
        "/messageexchange/X26ABC1/outbox",
        signed(),
        "Mex-To: X26ABC2",
        "Mex-WorkflowID: TEST_WORKFLOW",
        *lines,
    )


LAST: Final = head("GET", "/_ping", "Connection: close")
"""A request after which the server closes: sent last, its answer proves that nothing came between."""


async def talk(
    url: str,
    data: bytes | Iterable[bytes],
    *,
    tls: ssl.SSLContext | None = None,
    heads: tuple[int, ...] = (),
) -> Talk:
    """Write ``data`` and read until the server closes; it must, in time, and speak HTTP all the while.

    Args:
        url: the server's address.
        data: pieces are written one after the other, each when the one before has been taken.
        tls: for a connection over TLS.
        heads: which answers, from 0, are to HEAD and so have no body.
    """
    address = urlsplit(url)
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection(address.hostname, address.port, ssl=tls)
        try:
            try:
                for piece in [data] if isinstance(data, bytes) else data:
                    writer.write(piece)
                    await writer.drain()
            except ConnectionError:
                pass  # it answered before it had heard all
            try:
                heard = await _all(reader)
            except ConnectionResetError:
                heard = b""
        finally:
            writer.close()
    return Talk(tuple(read_answers(heard, heads)))


async def _all(reader: asyncio.StreamReader) -> bytes:
    heard = bytearray()
    while block := await reader.read(65536):
        heard += block
    return bytes(heard)


def read_answers(data: bytes, heads: tuple[int, ...] = ()) -> list[Heard]:
    """Take answers apart, forgiving nothing: a line that is none, or bytes left over, fail the test."""
    answers: list[Heard] = []
    number = 0
    while data:
        top, blank, data = data.partition(b"\r\n\r\n")
        assert blank, f"an answer breaks off in its head: {top[:200]!r}"
        first, *lines = top.split(b"\r\n")
        status = _STATUS_LINE.fullmatch(first)
        assert status, f"no status line: {first[:200]!r}"
        headers = []
        for line in lines:
            header = _HEADER_LINE.fullmatch(line)
            assert header, f"no header line: {line[:200]!r}"
            headers.append((header[1].decode(), header[2].decode("latin-1")))
        code = int(status[1])
        if code == 100:
            continue
        body, data = _body(code, {name.lower(): value for name, value in headers}, data, number in heads)
        answers.append(Heard(code, tuple(headers), body))
        number += 1
    return answers


def _body(status: int, headers: dict[str, str], data: bytes, is_head: bool) -> tuple[bytes, bytes]:
    if is_head or status in (204, 304):
        return b"", data
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while True:
            size, _, data = data.partition(b"\r\n")
            length = int(size, 16)
            assert len(data) >= length + 2, "an answer's chunk is cut short"
            assert data[length : length + 2] == b"\r\n"
            body, data = body + data[:length], data[length + 2 :]
            if length == 0:
                return body, data
    length = int(headers["content-length"])
    assert len(data) >= length, f"an answer is {length - len(data)} bytes short"
    return data[:length], data[length:]


def assert_decent(answer: Heard, *, secrets: Iterable[bytes] = ()) -> None:
    """Check what holds for every answer: a client's fault at most, in plain words or JSON, and no secret."""
    shown = answer.status, answer.body[:500]
    assert 100 <= answer.status < 500, shown
    said = b"\n".join(
        [answer.body, *(f"{name}: {value}".encode("latin-1") for name, value in answer.headers)]
    )
    assert not (found := _REVEALING.search(said)), (found, shown)
    for secret in (b"TestKey", b"NHSMESH X", *secrets):
        assert secret not in said, shown
    assert answer.header("Server") in ("mesh-sim", None), answer.header("Server")
    kind = (answer.header("Content-Type") or "").partition(";")[0]
    if kind.endswith("json"):
        if answer.body:  # none to a HEAD
            answer.json()
    elif answer.status >= 400:
        assert kind == "text/plain", shown


def assert_log_decent(caplog: pytest.LogCaptureFixture) -> None:
    """Check that nothing was logged as the server's own failure, and no token, key or password at all."""
    failed = [
        record for record in caplog.get_records("call") if record.levelno >= logging.ERROR or record.exc_info
    ]
    assert [record.getMessage() for record in failed] == []
    for secret in ("TestKey", "NHSMESH X", "TOKEN-OF-SOMEBODY"):
        assert secret not in caplog.text
