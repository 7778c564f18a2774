"""The MESH client: one mailbox, every operation, streaming both ways.

>>> async with Mailbox("http://127.0.0.1:8700", credentials) as mailbox:
...     await mailbox.handshake()
...     message_id = await mailbox.send("X26ABC2", "TEST_WORKFLOW", b"hello", local_id="first-1")
...     async for waiting in mailbox.messages():
...         async with mailbox.receive(waiting) as message:
...             await message.save(Path(message.headers.file_name))
...         await mailbox.acknowledge(waiting)

Sections named in docstrings are those of NHS England's MESH API reference.
"""

from __future__ import annotations

import platform
import ssl as tls
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

from ndoo import protocol
from ndoo._answers import (
    Endpoint,
    InboxPage,
    MessageHeaders,
    Tracking,
    read_count,
    read_endpoints,
    read_message_id,
    read_object,
)
from ndoo._bodies import Body, Source, open_source
from ndoo._failures import Call, unexpected
from ndoo._message import Message
from ndoo._outgoing import CHUNK_SIZE, MAX_GZIP_CHUNK, Outgoing
from ndoo._tls import tls_context
from ndoo._transport import CLIENT_VERSION, Credentials, Request, Transport
from ndoo.errors import RequestRefused
from ndoo.protocol import Codes, Header

__all__ = [
    "CHUNK_SIZE",
    "Body",
    "Credentials",
    "Endpoint",
    "InboxPage",
    "Mailbox",
    "Message",
    "MessageHeaders",
    "Tracking",
    "tls_context",
]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Mailbox:
    """A MESH mailbox; an async context manager that owns its connections.

    Every request carries a new token (section 5). A request that fails for a passing reason is tried
    again, with growing pauses or after the time the server asks for; except the first POST of a
    message, which could deliver it twice.

    Every operation raises :class:`ndoo.errors.MeshError` (its subclasses say what happened) and no
    exception of the HTTP library.

    Args:
        url: The server's address, as in NDOO_URL.
        credentials: Mailbox id, password and shared key.
        ssl: TLS settings, see :func:`tls_context`; None trusts the system's authorities.
        timeout: Longest silence of the server, in seconds; whole bodies may take longer.
        retries: How many times a request is tried again.
        chunk_size: Size of a chunk before compression, in bytes; at most 100,000,000.
        clock: Gives the current time for tokens; real time, whatever time is simulated.
        proxy: Address of an HTTP proxy, perhaps with user name and password; ``none`` for none. Without it
            HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY are followed, but not for this computer.

    Raises:
        ConfigError: the address cannot be one, or that of the proxy cannot.
        ValueError: a number is out of range.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        *,
        ssl: tls.SSLContext | None = None,
        timeout: float = 600.0,
        retries: int = 3,
        chunk_size: int = CHUNK_SIZE,
        clock: Callable[[], datetime] = _utc_now,
        proxy: str | None = None,
    ) -> None:
        if not 1 <= chunk_size <= protocol.MAX_REQUEST_BYTES:
            raise ValueError(f"chunk_size must be 1 to {protocol.MAX_REQUEST_BYTES:,}, not {chunk_size:,}")
        if timeout <= 0 or retries < 0:
            raise ValueError("timeout must be more than 0 seconds, and retries 0 or more")
        self.credentials = credentials
        self.chunk_size = chunk_size
        self._clock = clock
        self._shook_hands_at: datetime | None = None
        self._transport = Transport(
            url, credentials, tls=ssl, timeout=timeout, retries=retries, clock=clock, proxy=proxy
        )

    @property
    def mailbox_id(self) -> str:
        """Whose mailbox this is, in upper case."""
        return self.credentials.mailbox

    @property
    def url(self) -> str:
        """The server's address, written as :func:`ndoo.protocol.base_url` does."""
        return self._transport.url

    @property
    def clock_ahead(self) -> timedelta | None:
        """How far our clock is ahead of the server's, by the ``Date`` of its last answer; None if unknown."""
        return self._transport.clock_ahead

    async def __aenter__(self) -> Self:
        await self._transport.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.close()

    async def handshake(self) -> None:
        """Show that the server is there and accepts the credentials (section 6); once a day is enough."""
        headers: dict[str, str] = {
            Header.CLIENT_VERSION: f"ndoo=={CLIENT_VERSION}",
            Header.OS_NAME: platform.system(),
            Header.OS_VERSION: platform.release(),
            Header.OS_ARCHITECTURE: platform.machine(),
        }
        await self._transport.fetch(Request(self._call("shake hands"), "POST", self._target(), headers))
        self._shook_hands_at = self._clock()

    async def handshake_if_due(self) -> None:
        """Shake hands unless that was done here within a day: MESH asks for one a day (section 2)."""
        last = self._shook_hands_at
        if last is None or self._clock() - last >= protocol.HANDSHAKE_EVERY:
            await self.handshake()

    async def ping(self) -> dict[str, Any]:
        """Ask the server how it is (section 17)."""
        request = Request(self._call("ping"), "GET", "/messageexchange/_ping")
        return read_object(await self._transport.fetch(request), request.call)

    # -- sending ------------------------------------------------------------------------------------

    async def send(  # noqa: PLR0913 -- the optional ones are keywords, one for each header
        self,
        recipient: str,
        workflow_id: str,
        body: Body,
        *,
        local_id: str = "",
        subject: str = "",
        file_name: str = "",
        content_type: str = "application/octet-stream",
        checksum: str = "",
        partner_id: str = "",
        encrypted: bool = False,
        compress: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> str:
        """Send a message, in as many chunks as it needs, and give its message id (sections 12, 13).

        Give a local id: it is what tells whether a message has arrived when the answer is lost.

        Args:
            recipient: Mailbox id.
            workflow_id: What kind of message this is.
            body: Bytes, a file, or a stream; a stream is copied first, for its size must be known.
            local_id: The sender's own name for the message; no personal data.
            subject: Free text.
            file_name: The name the recipient sees.
            content_type: Media type of the body.
            checksum: As the recipient wants it, such as ``sha256: ab12``; MESH does not compare it.
            partner_id: Free text.
            encrypted: Tells the recipient that the body is encrypted.
            compress: Compress each chunk on the way; the recipient gets the body as it was.
            progress: Called with the number of bytes of the body taken so far; it goes back when a
                chunk is sent again.

        Raises:
            RecipientUnknown: there is no such mailbox.
            RequestRefused: the body is empty, a text is not printable ASCII, or the server refuses.
            UnreadableList: the file cannot be read, or changed on the way.
            MeshError: anything else; the text says whether the message may have arrived.
        """
        call = Call(
            f"send a message to {recipient}",
            self.url,
            self.mailbox_id,
            recipient=recipient,
            workflow_id=workflow_id,
            local_id=local_id,
            repeatable=False,
        )
        texts: dict[str, str] = {
            Header.FROM: self.mailbox_id,
            Header.TO: recipient,
            Header.WORKFLOW_ID: workflow_id,
            Header.LOCAL_ID: local_id,
            Header.SUBJECT: subject,
            Header.FILE_NAME: file_name,
            Header.CONTENT_CHECKSUM: checksum,
            Header.PARTNER_ID: partner_id,
            Header.CONTENT_ENCRYPTED: "Y" if encrypted else "",
        }
        async with open_source(body) as source:
            step = self._chunk_step(self.chunk_size, compress=compress)
            outgoing = Outgoing(source, step, compress, progress)
            self._check(source, outgoing.total, {**texts, "Content-Type": content_type})
            headers = {name: text for name, text in texts.items() if text}
            if outgoing.total > 1:
                # A chunk is no document of that type by itself (section 22).
                headers[Header.CONTENT_TYPE] = content_type
                content_type = "application/octet-stream"
            first = outgoing.request(1, call, self._target("outbox"), headers, content_type)
            message_id = read_message_id(await self._transport.fetch(first), call)
            await self._send_rest(outgoing, message_id)
        return message_id

    async def resume(
        self,
        message_id: str,
        body: Body,
        *,
        chunk_size: int | None = None,
        compress: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Go on with a message whose sending was broken off after its first chunk (section 13).

        All later chunks are sent, for nothing tells which of them have arrived; the server takes one again
        until the message is complete.

        Args:
            message_id: as tracking by the local id gave it, with the status uploading.
            body: the same as at first.
            chunk_size: as at first, in bytes; by default the mailbox's. With another one the recipient may
                get a message that is not what was sent, without anybody's noticing.
            compress: as at first.
            progress: as for :meth:`send`.

        Raises:
            RequestRefused: the message was complete, or body or chunk size are not the same.
            UnreadableList: the file cannot be read, or changed on the way.
            MeshError: anything else; the message can be resumed again.
        """
        async with open_source(body) as source:
            step = self._chunk_step(chunk_size or self.chunk_size, compress=compress)
            await self._send_rest(Outgoing(source, step, compress, progress), message_id)

    async def _send_rest(self, outgoing: Outgoing, message_id: str) -> None:
        for number in range(2, outgoing.total + 1):
            await self._transport.fetch(self._chunk(outgoing, number, message_id))

    @staticmethod
    def _chunk_step(chunk_size: int, *, compress: bool) -> int:
        return min(chunk_size, MAX_GZIP_CHUNK) if compress else chunk_size

    def _check(self, source: Source, total: int, texts: Mapping[str, str]) -> None:
        """Refuse, before anything is sent, what the server would refuse or the wire would change."""
        if not source.size:
            raise RequestRefused(
                "the message is empty; MESH takes no message without a body",
                mailbox=self.mailbox_id,
                event=Codes.DATA_MISSING.event,
                code=Codes.DATA_MISSING.code,
            )
        if total > protocol.MAX_CHUNKS:
            raise RequestRefused(
                f"the message would need {total:,} chunks; at most {protocol.MAX_CHUNKS:,} are possible",
                mailbox=self.mailbox_id,
            )
        for name, text in texts.items():
            # MESH reads headers as latin-1 and aiohttp writes UTF-8: only ASCII arrives as it was.
            if not (text.isascii() and text.isprintable()):
                raise RequestRefused(
                    f"{name} may have printable ASCII characters only", mailbox=self.mailbox_id
                )

    def _chunk(self, outgoing: Outgoing, number: int, message_id: str) -> Request:
        call = self._call(
            f"send chunk {number} of {outgoing.total} of message {message_id} (the recipient sees nothing "
            "of it unless all arrive)",
            message_id,
        )
        return outgoing.request(
            number, call, self._target("outbox", message_id, str(number)), {}, "application/octet-stream"
        )

    # -- the inbox ----------------------------------------------------------------------------------

    async def list(self, *, workflow_filter: str = "", max_results: int = protocol.DEFAULT_PAGE) -> InboxPage:
        """List the oldest messages of the inbox (section 7).

        Args:
            workflow_filter: ``W``, ``W*`` (begins with), ``*W*`` (contains), each with ``!`` for not.
            max_results: 10 to 5000.

        Raises:
            ValueError: ``max_results`` is out of range.
        """
        if not protocol.MIN_PAGE <= max_results <= protocol.MAX_PAGE:
            raise ValueError(
                f"a page has {protocol.MIN_PAGE} to {protocol.MAX_PAGE} messages, not {max_results}"
            )
        query = {"max_results": str(max_results)}
        if workflow_filter:
            query["workflow_filter"] = workflow_filter
        return await self._page(f"{self._target('inbox')}?{urlencode(query)}")

    async def messages(
        self, *, workflow_filter: str = "", page_size: int = protocol.DEFAULT_PAGE
    ) -> AsyncIterator[str]:
        """Give the ids of all messages of the inbox, oldest first, a page at a time.

        Messages may be acknowledged meanwhile. A filtered page may be empty with more to come, so that
        only the link decides (section 7).

        Raises:
            ValueError: ``page_size`` is out of range.
        """
        async for page in self.pages(workflow_filter=workflow_filter, page_size=page_size):
            for message_id in page.messages:
                yield message_id

    async def pages(
        self, *, workflow_filter: str = "", page_size: int = protocol.DEFAULT_PAGE
    ) -> AsyncIterator[InboxPage]:
        """Give the whole inbox page by page, as :meth:`messages` does message by message.

        Raises:
            ValueError: ``page_size`` is out of range.
        """
        page = await self.list(workflow_filter=workflow_filter, max_results=page_size)
        followed: set[str] = set()
        while True:
            yield page
            if not page.next:
                return
            followed.add(page.next)
            page = await self._page(page.next)
            if page.next in followed:
                raise unexpected(
                    "the server's next page is one that it gave before",
                    self._call(f"list the inbox of {self.mailbox_id}"),
                ).error

    async def _page(self, target: str) -> InboxPage:
        call = self._call(f"list the inbox of {self.mailbox_id}")
        if not target.startswith("/messageexchange/"):
            # Nothing but a path of this server may get a token.
            raise unexpected("the link to the next page leads elsewhere", call).error
        return InboxPage.parse(await self._transport.fetch(Request(call, "GET", target)), call)

    async def count(self) -> int:
        """Count the messages waiting in the inbox (section 11)."""
        request = Request(self._call("count the inbox"), "GET", self._target("count"))
        return read_count(await self._transport.fetch(request), request.call)

    async def head(self, message_id: str) -> MessageHeaders:
        """Ask for a message's headers without its body (section 8)."""
        request = Request(
            self._call(f"look at message {message_id}", message_id), "HEAD", self._target("inbox", message_id)
        )
        answer = await self._transport.fetch(request)
        return MessageHeaders.parse(answer.headers, request.call)

    @asynccontextmanager
    async def receive(self, message_id: str) -> AsyncIterator[Message]:
        """Open a message: its headers at once, its body as it is read (sections 8, 9).

        Leaving does not acknowledge it; do so once its content is safe.

        Raises:
            MessageUnknown: there is no such message.
            MessageGone: it expired, failed, or was acknowledged already.
        """
        message = Message(self._transport, partial(self._chunk_request, message_id))
        try:
            await message.open()
            yield message
        finally:
            message.close()

    def _chunk_request(self, message_id: str, number: int) -> Request:
        part = f"chunk {number} of " if number > 1 else ""
        call = self._call(f"receive {part}message {message_id}", message_id)
        steps = (message_id, str(number)) if number > 1 else (message_id,)
        return Request(call, "GET", self._target("inbox", *steps))

    async def acknowledge(self, message_id: str) -> None:
        """Tell MESH that a message is safely here; it leaves the inbox for good (section 10)."""
        call = self._call(f"acknowledge message {message_id}", message_id)
        target = self._target("inbox", message_id, "status", "acknowledged")
        await self._transport.fetch(Request(call, "PUT", target))

    # -- tracking and lookup ------------------------------------------------------------------------

    async def track(self, message_id: str = "", *, local_id: str = "") -> Tracking:
        """Ask what became of a message this mailbox sent (section 14).

        Raises:
            ValueError: not exactly one of ``message_id`` and ``local_id`` is given.
            MessageUnknown: this mailbox sent no such message.
            RequestRefused: several messages have this local id (status 300).
        """
        if bool(message_id) == bool(local_id):
            raise ValueError("track one message: by its message id or by its local id")
        call = Call(
            f"track message {message_id}" if message_id else f"track local id {local_id}",
            self.url,
            self.mailbox_id,
            message_id=message_id,
            local_id=local_id,
        )
        if message_id:
            target = f"{self._target('outbox', 'tracking')}?{urlencode({'messageID': message_id})}"
        else:
            target = self._target("outbox", "tracking", local_id)
        return Tracking.parse(await self._transport.fetch(Request(call, "GET", target)), call)

    async def look_up(self, ods_code: str, workflow_id: str) -> tuple[Endpoint, ...]:
        """Find the mailboxes of an organisation that receive a workflow (section 15); perhaps none."""
        call = self._call(f"look up {ods_code} for workflow {workflow_id}")
        target = f"/messageexchange/endpointlookup/{quote(ods_code, safe='')}/{quote(workflow_id, safe='')}"
        return read_endpoints(await self._transport.fetch(Request(call, "GET", target)), call)

    # -- shared -------------------------------------------------------------------------------------

    def _call(self, operation: str, message_id: str = "") -> Call:
        return Call(operation, self.url, self.mailbox_id, message_id=message_id)

    def _target(self, *steps: str) -> str:
        return "/".join(("/messageexchange", *(quote(step, safe="") for step in (self.mailbox_id, *steps))))
