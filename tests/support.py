"""What the API's tests share: a caller that speaks raw HTTP, and the shapes of MESH error bodies.

Nothing here comes from the packages under test. The token, the paths and the bodies are written from
NHS England's MESH API reference alone, so that a shared misreading cannot make a test pass; the
token is checked against the reference's own test vectors in ``test_authorization.py``.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
import uuid
from collections.abc import AsyncIterable, Awaitable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, TypeAlias
from urllib.parse import urlsplit

import aiohttp
import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

if TYPE_CHECKING:
    from mesh_sim.clock import SimulatedClock

SIGN: Final = "sign this request"
"""Default of ``authorization``: the caller makes a fresh token for each request."""

V1: Final = "application/json"
V2: Final = "application/vnd.mesh.v2+json"
OCTET_STREAM: Final = "application/octet-stream"

UNKNOWN_ID: Final = "20200529155357895317_3573F8"
"""Shaped like a message id (section 12), and no message's."""

MESSAGE_ID: Final = re.compile(r"\d{20}_[0-9A-F]{6}")
"""``yyyymmddHHMMSSffffff_XXXXXX`` (section 12)."""

HANDSHAKE: Final = {"mex-ClientVersion": "tests==1", "mex-OSName": "Linux", "mex-OSVersion": "6"}
"""The headers a handshake cannot do without (section 6)."""

both_versions: Final = pytest.mark.parametrize("version", [1, 2], ids=["v1", "v2"])

Body: TypeAlias = bytes | AsyncIterable[bytes] | None


# -- the authorization token (section 5) ------------------------------------------------------------


def minute(offset: timedelta = timedelta(0)) -> str:
    """Write real time plus ``offset`` as a token does: UTC, ``yyyyMMddHHmm``."""
    return (datetime.now(UTC) + offset).strftime("%Y%m%d%H%M")


def authorization(
    mailbox: str,
    *,
    password: str = "password",
    shared_key: str = "TestKey",
    nonce: str | None = None,
    nonce_count: str = "0",
    timestamp: str | None = None,
) -> str:
    """Make the value of an ``Authorization`` header (section 5); every field can be given."""
    nonce = str(uuid.uuid4()) if nonce is None else nonce
    timestamp = minute() if timestamp is None else timestamp
    signed = f"{mailbox}:{nonce}:{nonce_count}:{password}:{timestamp}"
    digest = hmac.new(shared_key.encode(), signed.encode(), hashlib.sha256).hexdigest()
    return f"NHSMESH {mailbox}:{nonce}:{nonce_count}:{timestamp}:{digest}"


# -- requests and answers ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, its body exactly as it travelled."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    def json(self) -> Any:
        """Read the body as JSON."""
        return json.loads(self.body)

    @property
    def content_type(self) -> str | None:
        """The whole ``Content-Type`` header, or None where there is none."""
        return self.headers.get("Content-Type")

    def mex(self) -> dict[str, str]:
        """The ``mex-`` headers by lower-case name."""
        return {name.lower(): value for name, value in self.headers.items() if name.lower()[:4] == "mex-"}


class Caller:
    """A mailbox's raw HTTP client: signs each request, adds no other header, follows nothing.

    Paths are relative to the mailbox (``inbox``); one that starts with ``/`` is taken as it is.
    """

    def __init__(
        self, url: str, mailbox: str, password: str = "password", shared_key: str = "TestKey"
    ) -> None:
        self.url = url
        self.mailbox = mailbox
        self.password = password
        self.shared_key = shared_key
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            connector=aiohttp.TCPConnector(limit=0),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    def sign(self) -> str:
        """Make a fresh token for one request."""
        return authorization(self.mailbox, password=self.password, shared_key=self.shared_key)

    async def request(
        self,
        method: str,
        path: str = "",
        *,
        version: int | None = None,
        headers: Mapping[str, str] | None = None,
        body: Body = None,
        authorization: str | None = SIGN,
    ) -> Answer:
        """Make one request.

        Args:
            method: any HTTP method.
            path: already percent-encoded, query included; see the class.
            version: sends the matching ``Accept``; None sends none, which means version 1.
            headers: added last, so that they replace those above.
            body: bytes travel with ``Content-Length``, an iterable with chunked encoding.
            authorization: the header's text; None leaves it out.
        """
        if not path.startswith("/"):
            path = f"/messageexchange/{self.mailbox}/{path}".rstrip("/")
        sent: CIMultiDict[str] = CIMultiDict()
        if authorization is not None:
            sent["Authorization"] = self.sign() if authorization is SIGN else authorization
        if version is not None:
            sent["Accept"] = V1 if version == 1 else V2
        sent.update(headers or {})
        async with self._session.request(
            method, URL(self.url + path, encoded=True), headers=sent, data=body, allow_redirects=False
        ) as response:
            return Answer(response.status, response.headers, await response.read())

    async def get(self, path: str, **options: Any) -> Answer:
        """GET ``path``; options are those of :meth:`request`."""
        return await self.request("GET", path, **options)

    async def send(
        self,
        body: Body = b"payload",
        *,
        to: str = "X26ABC2",
        workflow: str = "TEST_WORKFLOW",
        version: int | None = None,
        headers: Mapping[str, str] | None = None,
        authorization: str | None = SIGN,
    ) -> Answer:
        """Send a message or its first chunk (section 12)."""
        return await self.request(
            "POST",
            "outbox",
            version=version,
            headers={"Mex-To": to, "Mex-WorkflowID": workflow, **(headers or {})},
            body=body,
            authorization=authorization,
        )

    async def sent(self, body: Body = b"payload", **options: Any) -> str:
        """Send as :meth:`send` does, insist on success, and give the message id."""
        answer = await self.send(body, version=2, **options)
        assert answer.status == 202, answer.body
        return str(answer.json()["message_id"])

    async def send_chunk(
        self,
        message_id: str,
        number: int | str,
        chunk_range: str | None,
        body: Body = b"chunk",
        *,
        version: int | None = None,
        headers: Mapping[str, str] | None = None,
        authorization: str | None = SIGN,
    ) -> Answer:
        """Send a later chunk (section 13); ``chunk_range`` None leaves the header out."""
        chunk_header = {} if chunk_range is None else {"Mex-Chunk-Range": chunk_range}
        return await self.request(
            "POST",
            f"outbox/{message_id}/{number}",
            version=version,
            headers={**chunk_header, **(headers or {})},
            body=body,
            authorization=authorization,
        )

    async def acknowledge(self, message_id: str, version: int | None = None) -> Answer:
        """Acknowledge a message (section 10)."""
        return await self.request("PUT", f"inbox/{message_id}/status/acknowledged", version=version)

    async def inbox(self, query: str = "") -> list[str]:
        """List message ids as version 1 does (section 7); ``query`` without its ``?``."""
        answer = await self.get("inbox" + (query and f"?{query}"))
        assert answer.status == 200, answer.body
        return list(answer.json()["messages"])

    async def track(self, message_id: str, version: int = 2) -> Any:
        """Give the tracking body of a message (section 14)."""
        answer = await self.get(f"outbox/tracking?messageID={message_id}", version=version)
        assert answer.status == 200, answer.body
        return answer.json()


@dataclass(slots=True)
class Callers:
    """Where a simulator answers; the callers made here are closed with ``stack``."""

    url: str
    stack: AsyncExitStack = field(repr=False)
    shared_key: str = "TestKey"

    def caller(
        self, mailbox: str = "X26ABC1", password: str = "password", shared_key: str | None = None
    ) -> Caller:
        """Make a caller for one mailbox."""
        caller = Caller(self.url, mailbox, password, shared_key or self.shared_key)
        self.stack.push_async_exit(caller)
        return caller


@dataclass(slots=True)
class Simulator(Callers):
    """A running simulator of a test's own."""

    clock: SimulatedClock = field(kw_only=True)
    server: Any = field(kw_only=True)

    async def stop(self) -> None:
        """Close the callers, then the server: its data folder may be started on again."""
        await self.stack.aclose()


class MakeSimulator(Protocol):
    """The ``make_simulator`` fixture: starts a simulator with settings of one's own."""

    def __call__(self, **settings: Any) -> Awaitable[Simulator]:
        """Start it; settings left out are those of the ``simulator`` fixture."""
        ...


async def speak(url: str, data: bytes) -> tuple[int, list[bytes], bytes]:
    """Write ``data`` to a fresh connection byte for byte and read the answer to its end.

    For what no client library lets through: bytes that are not text, bodies cut short. Send
    ``Connection: close``, or nothing ends the answer.

    Returns:
        Status, header lines, body.
    """
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        async with asyncio.timeout(10):  # a server that waits for more fails the test, not the whole run
            writer.write(data)
            head = await reader.readuntil(b"\r\n\r\n")
            status, *lines = head[:-4].split(b"\r\n")
            sizes = [
                int(line.split(b":")[1]) for line in lines if line.lower().startswith(b"content-length:")
            ]
            body = await reader.readexactly(sizes[0]) if sizes else await reader.read()
    finally:
        writer.close()
    return int(status.split()[1]), lines, body


def request_head(caller: Caller, method: str, path: str, *lines: bytes) -> bytes:
    """Write a signed request's head for :func:`speak`, up to and with the blank line."""
    return b"\r\n".join(
        (
            f"{method} /messageexchange/{caller.mailbox}/{path} HTTP/1.1".encode(),
            b"Host: localhost",
            f"Authorization: {caller.sign()}".encode(),
            b"Connection: close",
            *lines,
            b"\r\n",
        )
    )


# -- error bodies (section 4) -----------------------------------------------------------------------


def assert_refused(
    answer: Answer,
    version: int,
    status: int,
    text: str,
    *,
    event: str = "",
    code: str = "",
    message_id: str | None = None,
) -> None:
    """Check a MESH error: status, content type, and the whole body in the shape of its version.

    A 417 must name a message (section 23); ``message_id`` says which, where that is known. No other
    status may.
    """
    assert answer.status == status, answer.body
    assert answer.content_type == (V1 if version == 1 else V2)
    body = answer.json()
    names = ("messageID",) if version == 1 else ("message_id", "internal_id")
    named = {name: body.pop(name) for name in names if name in body}
    if version == 1:
        assert body == {"errorEvent": event, "errorCode": code, "errorDescription": text}
    else:
        assert body == {"detail": [{"event": event, "code": code, "msg": text}]}
    if status == 417:
        assert set(named) == set(names)
        assert all(isinstance(value, str) and value for value in named.values())
        assert message_id in (None, named[names[0]])
    else:
        assert not named


def assert_invalid(answer: Answer, *faults: tuple[str, str, str]) -> None:
    """Check a validation body: exactly these (type, place, name) faults, in any order."""
    assert answer.status == 400, answer.body
    assert answer.content_type == "application/json"
    body = answer.json()
    assert set(body) == {"detail"}
    assert sorted((item["type"], *item["loc"]) for item in body["detail"]) == sorted(faults)
    assert all(isinstance(item["msg"], str) and item["msg"] for item in body["detail"])


def assert_generic(answer: Answer, status: int) -> None:
    """Check the generic body of 406 and 423."""
    assert (answer.status, answer.content_type) == (status, "application/json")
    assert answer.json() == {"message": "An internal error occurred.\n\nPlease contact support."}


def assert_router(answer: Answer, status: int, text: str) -> None:
    """Check the body of a path or method that does not exist."""
    assert (answer.status, answer.content_type) == (status, "application/json")
    assert answer.json() == {"detail": text}


def assert_unknown_message(answer: Answer, version: int) -> None:
    """Check the 404 of a message that does not exist, as downloads and acknowledgements give it."""
    assert_refused(answer, version, 404, "Message does not exist", event="RECEIVE", code="20")


def assert_gone(answer: Answer, version: int) -> None:
    """Check the 410 of a message that can no longer be downloaded."""
    assert_refused(
        answer,
        version,
        410,
        "Message no longer available for download",
        event="SEND",
        code="Message already accepted",
    )
