"""One signed request to a MESH server, tried again where that can help.

Everything that goes over the network goes through :class:`Transport`; whatever goes wrong leaves it as
one of this package's errors.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Final, TypeVar

import aiohttp
import stamina
from yarl import URL

from ndoo import protocol
from ndoo._bodies import BLOCK, DamagedGzip, Gunzip
from ndoo._failures import FOREIGN, Call, Failure, from_exception, unexpected
from ndoo._proxy import find_proxy
from ndoo._refusals import clock_ahead, from_answer
from ndoo.errors import ConfigError

LOG = logging.getLogger(__name__)

# Each retry is a warning of stamina's, which Python would print on a terminal where no logging is set up.
logging.getLogger("stamina").addHandler(logging.NullHandler())

CLIENT_VERSION: Final = version("mesh-sim")
"""Version of the distribution, for ``User-Agent`` and the handshake."""

MAX_ANSWER_BYTES: Final = 16 * BLOCK
"""The largest JSON answer accepted, decompressed: some 30 times the longest inbox page."""

_MAX_ERROR_BYTES: Final = 1 << 16
_READ_BUFFER: Final = 1 << 18

_CONNECT_SECONDS: Final = 30.0

_KEEP_ALIVE_SECONDS: Final = 4.0
"""Shorter than any common server's: a connection the server is just closing would leave it unknown
whether a first POST, which is never repeated, has arrived."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who calls: a mailbox with its password, and the environment's shared key (section 5).

    The mailbox id is upper-cased; secrets are left out of the repr.

    Raises:
        ConfigError: the mailbox id is empty or has characters no mailbox id has.
    """

    mailbox: str
    password: str = field(repr=False)
    shared_key: str = field(repr=False)

    def __post_init__(self) -> None:
        mailbox = self.mailbox.strip().upper()
        if not mailbox.isascii() or not mailbox.replace("_", "").replace("-", "").isalnum():
            raise ConfigError(f"not a mailbox id: {self.mailbox!r}; set NDOO_MAILBOX, for example X26ABC1")
        object.__setattr__(self, "mailbox", mailbox)


@dataclass(frozen=True, slots=True)
class Request:
    """One request; ``body`` is called anew for each try.

    ``target`` is percent-encoded and begins with ``/messageexchange/``. ``size`` is the body's length
    in bytes, or None where compression leaves it open. ``done_status`` is a refusal that means "already
    done" once an earlier try may have got through.
    """

    call: Call
    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Callable[[], AsyncIterable[bytes | memoryview]] | None = None
    size: int | None = None
    done_status: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole small answer, decompressed; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Upload:
    """A request body on its way: each block moves the deadline on, and a failing source is remembered.

    aiohttp wraps what the source raises into a connection error; :attr:`error` keeps the original.
    """

    def __init__(self, blocks: AsyncIterable[bytes | memoryview], deadline: asyncio.Timeout, pause: float):
        self.error: Exception | None = None
        self._blocks = blocks
        self._deadline: asyncio.Timeout | None = deadline
        self._pause = pause

    def settle(self) -> None:
        """Leave the deadline alone from now on: the answer is there, though we may not be done sending."""
        self._deadline = None

    async def __aiter__(self) -> AsyncIterator[bytes | memoryview]:
        clock = asyncio.get_running_loop().time
        try:
            async for block in self._blocks:
                yield block
                if self._deadline is not None and not self._deadline.expired():
                    self._deadline.reschedule(clock() + self._pause)
        except Exception as error:
            self.error = error
            raise


class Transport:
    """A session with one MESH server on behalf of one mailbox.

    ``proxy`` is as in NDOO_PROXY; None leaves it to the environment. ``clock_ahead`` is how far our clock was
    ahead of the server's at its last answer, None before one that told its time.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        *,
        tls: ssl.SSLContext | None,
        timeout: float,
        retries: int,
        clock: Callable[[], datetime],
        proxy: str | None = None,
    ) -> None:
        self.url = _base_url(url)
        self.proxy = find_proxy(self.url, proxy)
        self.clock_ahead: timedelta | None = None
        self.credentials = credentials
        self.retries = retries
        self._tls = tls
        self._timeout = timeout
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self.turn = asyncio.Lock()
        """Held by a request until its answer is there: MESH wants one at a time a mailbox
        (witness-tests.md, case 801). A body that is streamed may be read while another request goes on."""

    async def open(self) -> None:
        """Open the session; connections are made when they are needed."""
        if self._session is not None:
            raise RuntimeError("this Mailbox is open already")
        connector = aiohttp.TCPConnector(
            ssl=self._tls if self._tls is not None else True, keepalive_timeout=_KEEP_ALIVE_SECONDS
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            # The size of a body is not known to its reader; only silence is limited, not duration.
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=min(_CONNECT_SECONDS, self._timeout), sock_read=self._timeout
            ),
            headers={
                "Accept": protocol.MEDIA_TYPE[protocol.ApiVersion.V2],
                "Accept-Encoding": "gzip",
                "User-Agent": f"ndoo/{CLIENT_VERSION}",
            },
            skip_auto_headers=("Content-Type",),
            cookie_jar=aiohttp.DummyCookieJar(),
            # Each chunk is gzip or not on its own, and must not grow without bounds (section 8).
            auto_decompress=False,
            read_bufsize=_READ_BUFFER,
            middlewares=(self._sign,),
        )

    async def close(self) -> None:
        """Close the session and its connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _sign(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        # A middleware, because aiohttp itself repeats GET and PUT when a kept connection turns out to be
        # closed: a token made any earlier would be sent twice, and it is valid once (section 5).
        who = self.credentials
        token = protocol.Token.sign(who.mailbox, who.password, who.shared_key, now=self._clock())
        request.headers["Authorization"] = str(token)
        return await handler(request)

    async def fetch(self, request: Request) -> Answer:
        """Carry a request out and read its whole answer.

        Raises:
            MeshError: every try failed, or trying again would not help.
        """
        in_doubt = False

        async def once(tries: int) -> Answer:
            nonlocal in_doubt
            try:
                async with self.turn:
                    response = await self.attempt(request, tries)
                    async with response:
                        body = await self._read_all(response, MAX_ANSWER_BYTES, request.call, tries)
                return Answer(response.status, decode_headers(response), body)
            except Failure as failure:
                done = request.done_status
                if in_doubt and done is not None and failure.error.status == done:
                    return Answer(done, {}, b"")
                in_doubt = in_doubt or failure.arrived
                raise

        return await self.retrying(once, retries=self.retries if request.call.repeatable else 0)

    async def retrying(self, once: Callable[[int], Awaitable[_T]], *, retries: int) -> _T:
        """Call ``once`` with the number of the try, again after a :class:`Failure` that allows it.

        Waits half a second before the second try and twice as long each time after, up to half a
        minute; or as long as the server asks.

        Raises:
            MeshError: that of the last failure.
        """
        try:
            async for attempt in stamina.retry_context(
                on=_wait_after,
                attempts=retries + 1,
                timeout=None,
                wait_initial=0.5,
                wait_max=30.0,
                wait_jitter=0.5,
            ):
                with attempt:
                    return await once(attempt.num)
        except Failure as failure:
            raise failure.error from failure.__cause__
        raise AssertionError("the last attempt returns or raises")

    async def attempt(self, request: Request, tries: int) -> aiohttp.ClientResponse:
        """Send a request once and give its successful answer with the body still to be read.

        Raises:
            Failure: no answer, or no success.
        """
        begun = time.perf_counter()
        try:
            response = await self._exchange(request)
        except FOREIGN as error:
            LOG.debug("%s to %s: %s", request.method, request.call.operation, type(error).__name__)
            raise from_exception(error, request.call, tries, proxy=self.proxy) from _harmless(error)
        now = self._clock()
        self.clock_ahead = clock_ahead(response.headers, now)
        LOG.debug(
            "%s to %s: %d in %.3f s",
            request.method,
            request.call.operation,
            response.status,
            time.perf_counter() - begun,
        )
        if 200 <= response.status < 300:
            return response
        body = b""
        async with response:
            # The status alone says enough where its explanation cannot be read.
            with suppress(Failure):
                body = await self._read_all(response, _MAX_ERROR_BYTES, request.call, tries)
        raise from_answer(
            response.status, response.headers, body, request.call, tries, now=now, proxy=self.proxy
        )

    async def _exchange(self, request: Request) -> aiohttp.ClientResponse:
        if self._session is None:
            raise RuntimeError(
                "use the Mailbox as an async context manager: async with Mailbox(...) as mailbox"
            )
        headers = dict(request.headers)
        if request.size is not None:
            headers["Content-Length"] = str(request.size)
        proxy = self.proxy
        if proxy is not None and self.url.startswith("http:"):
            # Without a tunnel the proxy reads the request itself.
            headers |= proxy.headers
        upload: _Upload | None = None
        try:
            # aiohttp's own limits do not cover a server that stops reading.
            async with asyncio.timeout(self._timeout) as deadline:
                if request.body is not None:
                    upload = _Upload(request.body(), deadline, self._timeout)
                return await self._session.request(
                    request.method,
                    URL(self.url + request.target, encoded=True),
                    headers=headers,
                    data=upload,
                    allow_redirects=False,
                    proxy=None if proxy is None else proxy.url,
                    proxy_headers=None if proxy is None else proxy.headers,
                )
        except FOREIGN:
            if upload is not None and upload.error is not None:
                raise upload.error from None
            raise
        finally:
            if upload is not None:
                upload.settle()

    async def read(self, response: aiohttp.ClientResponse, call: Call, tries: int = 1) -> bytes:
        """Read what has come in of an answer's body, as sent; nothing at its end.

        Raises:
            Failure: the connection broke before the end.
        """
        try:
            return await response.content.readany()
        except FOREIGN as error:
            raise from_exception(error, call, tries, proxy=self.proxy) from _harmless(error)

    async def _read_all(self, response: aiohttp.ClientResponse, limit: int, call: Call, tries: int) -> bytes:
        gunzip = Gunzip() if is_gzip(response) else None
        body = bytearray()
        while data := await self.read(response, call, tries):
            try:
                for block in gunzip.feed(data) if gunzip else (data,):
                    body += block
                    if len(body) > limit:
                        raise unexpected(f"the answer is longer than {limit:,} bytes", call)
            except DamagedGzip as error:
                raise unexpected(f"the answer cannot be decompressed: {error}", call) from error
        try:
            if gunzip:
                gunzip.finish()
        except DamagedGzip as error:
            raise unexpected(f"the answer cannot be decompressed: {error}", call) from error
        return bytes(body)


def decode_headers(response: aiohttp.ClientResponse) -> dict[str, str]:
    """Give an answer's headers as text, names in lower case: UTF-8 if they are, else latin-1 (section 2)."""
    decoded = {}
    for name, value in response.raw_headers:
        try:
            text = value.decode()
        except UnicodeDecodeError:
            text = value.decode("latin-1")
        decoded[name.decode("latin-1").lower()] = text
    return decoded


def is_gzip(response: aiohttp.ClientResponse) -> bool:
    """Tell whether this one answer's body is gzip; each chunk decides for itself (section 8)."""
    return response.headers.get("Content-Encoding", "").strip().lower() == "gzip"


def _wait_after(error: Exception) -> bool | float:
    return error.retry if isinstance(error, Failure) else False


def _harmless(error: BaseException) -> BaseException | None:
    # The repr of aiohttp's response errors shows the request's headers, the token among them.
    return None if isinstance(error, aiohttp.ClientResponseError) else error


def _base_url(url: str) -> str:
    try:
        return protocol.base_url(url)
    except ValueError as error:
        raise ConfigError(
            f"not a server's address: {url!r}; set NDOO_URL, for example https://127.0.0.1:8700"
        ) from error
