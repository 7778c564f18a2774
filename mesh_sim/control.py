"""The control API's client: what the commands ask a running simulator for.

Errors::

    ControlError
    +-- Unreachable      no server answers, or the connection broke
    +-- OtherServer      something answers that is not a simulator
    +-- TokenRefused     401: the control API's token is missing or wrong
    +-- RequestRefused   any other 4xx: what was asked for makes no sense
    +-- NotInTime        408: what was waited for did not happen
    +-- ServerFailed     5xx: the simulator could not do it
"""

from __future__ import annotations

import contextlib
import json
import os
import ssl
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final, Self

import aiohttp
from yarl import URL

from mesh_sim.config import Settings
from mesh_sim.readiness import READY, READY_PATH, client_context, server_url

CONNECT_S: Final = 5.0
PATIENCE: Final = timedelta(minutes=5)
"""How long an answer may take: an advance that expires a hundred thousand messages takes its time."""

_SILENCE_S: Final = 60.0
"""A stream of events that is silent for so long, its heartbeat included, has broken."""


class ControlError(Exception):
    """The simulator did not do what it was asked for; the text says why and what to do."""


class Unreachable(ControlError):
    """No server answers there, or the connection broke."""

    def __init__(self, url: str, why: str, advice: str) -> None:
        super().__init__(f"{url}: {why}; {advice}")
        self.url = url


class OtherServer(ControlError):
    """Something answers there, and it is not a simulator."""

    def __init__(self, url: str) -> None:
        super().__init__(
            f"{url}: what answers there is not mesh-sim, or not of this version; say where it is with --url"
        )
        self.url = url


class TokenRefused(ControlError):
    """The control API's token is missing or wrong."""

    def __init__(self, url: str, *, given: bool) -> None:
        super().__init__(
            f"{url}: the value of MESH_SIM_ADMIN_TOKEN is not this server's token; set it to the one that "
            "'mesh-sim serve' was started with"
            if given
            else f"{url}: its control API needs a token; set MESH_SIM_ADMIN_TOKEN to the one that "
            "'mesh-sim serve' was started with"
        )
        self.url = url


class RequestRefused(ControlError):
    """What was asked for makes no sense; nothing of it was done.

    ``problems`` are fields and what is wrong with each, where the simulator names them.
    """

    def __init__(self, status: int, error: str, problems: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(error)
        self.status = status
        self.problems = problems


class NotInTime(ControlError):
    """What was waited for did not happen in time."""


class ServerFailed(ControlError):
    """The simulator could not do it."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(f"the simulator answered {status}: {error}; its log says more")
        self.status = status


@dataclass(frozen=True, slots=True)
class News:
    """One event as it came: its number, and what it says."""

    number: int
    data: dict[str, Any]


class ControlClient:
    """Speaks to one simulator; enter it to connect.

    Raises (every method):
        ControlError: the simulator did not do it.
    """

    def __init__(self, url: str, *, token: str | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.url = url
        self._token = token
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def of(cls, settings: Settings, url: str | None = None) -> ControlClient:
        """Make the client of the server with these settings, or of the one at ``url``.

        Raises:
            SettingsError: the address is none, or the certificates cannot be used.
        """
        url = server_url(settings, url)
        token = settings.admin_token
        return cls(
            url,
            token=None if token is None else token.get_secret_value(),
            tls=client_context(settings) if url.startswith("https:") else None,
        )

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._tls or True),
            headers={} if self._token is None else {"Authorization": f"Bearer {self._token}"},
        )
        try:
            await self._greet()
        except BaseException:
            await self._session.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str, query: Mapping[str, str] | None = None, **options: Any) -> Any:
        """GET a path; the answer's JSON. ``options`` are those of :meth:`ask`."""
        return await self.ask("GET", path, query=query, **options)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | AsyncIterable[bytes] | None = None,
        patience: timedelta = PATIENCE,
    ) -> Any:
        """Ask for something; the answer's JSON, None where it is empty.

        Args:
            method: the HTTP method.
            path: from the root, percent-encoded.
            query: its parameters.
            body: sent as JSON, or block by block.
            patience: how long the answer may take.
        """
        async with self._answer(method, path, query=query, body=body, patience=patience) as answer:
            text = await answer.text()
        return json.loads(text) if text else None

    async def text(self, path: str, query: Mapping[str, str] | None = None) -> str:
        """GET what is no JSON."""
        async with self._answer("GET", path, query=query) as answer:
            return await answer.text()

    async def events(self, query: Mapping[str, str], after: int | None = None) -> AsyncGenerator[News, None]:
        """Give what happens from now on, or since the event numbered ``after``; it ends only by an error."""
        headers = {} if after is None else {"Last-Event-ID": str(after)}
        silence = timedelta(seconds=_SILENCE_S)
        async with self._answer(
            "GET", "/admin/events", query=query, headers=headers, patience=silence
        ) as answer:
            number = 0
            async for line in answer.content:
                name, _, value = line.decode().rstrip("\r\n").partition(": ")
                if name == "id":
                    number = int(value)
                elif name == "data":
                    yield News(number, json.loads(value))
        raise Unreachable(self.url, "the server ended the stream of events", _BROKEN)

    async def _greet(self) -> None:
        """Make sure that it is a simulator, before it is told anything."""
        try:
            async with self._answer("GET", READY_PATH) as answer:
                found = answer.status == HTTPStatus.OK and json.loads(await answer.read()) == READY
        except (RequestRefused, ServerFailed, TokenRefused, ValueError):
            found = False
        if not found:
            raise OtherServer(self.url)

    @contextlib.asynccontextmanager
    async def _answer(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | AsyncIterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        patience: timedelta = PATIENCE,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Make a request and give its answer, unless that is a refusal."""
        if self._session is None:
            raise TypeError("a ControlClient is entered before it is used")
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_S, sock_read=patience.total_seconds()
        )
        sent: dict[str, Any] = {"json": body} if isinstance(body, Mapping) else {"data": body}
        url = URL(self.url + path, encoded=True).with_query(query)
        try:
            async with self._session.request(
                method, url, headers=headers, timeout=timeout, allow_redirects=False, **sent
            ) as answer:
                if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
                    raise self._refusal(answer.status, await answer.read())
                yield answer
        except (aiohttp.ClientError, OSError) as error:
            raise self._failure(error) from error

    def _refusal(self, status: int, body: bytes) -> ControlError:
        if status == HTTPStatus.UNAUTHORIZED:
            return TokenRefused(self.url, given=self._token is not None)
        told = _told(body)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return ServerFailed(status, told[0] if told else "no reason given")
        if told is None:
            return OtherServer(self.url)
        return NotInTime(told[0]) if status == HTTPStatus.REQUEST_TIMEOUT else RequestRefused(status, *told)

    def _failure(self, error: Exception) -> ControlError:
        for kind, why, advice in _FAILURES:
            if isinstance(error, kind):
                return OtherServer(self.url) if advice is None else Unreachable(self.url, why(error), advice)
        raise error


# -- what goes wrong on the way ----------------------------------------------------------------------

_START: Final = "start one with 'mesh-sim serve', or say where it is with --url"
_TLS: Final = (
    "MESH_SIM_CERTS is the folder of its certificates, and MESH_SIM_TLS=mutual shows it one of a client"
)
_BROKEN: Final = (
    "see whether the server still runs, speaks what the address says (http or https), and wants a client's "
    "certificate (MESH_SIM_TLS=mutual)"
)


def _reason(error: Exception) -> str:
    match error:
        case aiohttp.ClientConnectorCertificateError(certificate_error=Exception() as cause):
            return _reason(cause)
        case aiohttp.ClientConnectorError(os_error=OSError() as cause):
            return _reason(cause)
        case ssl.SSLError(reason=str(reason)):
            return str(getattr(error, "verify_message", reason.lower().replace("_", " ")))
        case OSError(errno=int(number), strerror=str(reason)):
            # asyncio's own text of a refused connection says that a call failed, not why.
            return os.strerror(number) if number > 0 else reason
    return str(error) or type(error).__name__


_FAILURES: Final[tuple[tuple[type[Exception], Callable[[Exception], str], str | None], ...]] = (
    (aiohttp.ClientSSLError, lambda error: f"no secure connection ({_reason(error)})", _TLS),
    (ssl.SSLError, lambda error: f"no secure connection ({_reason(error)})", _TLS),
    (aiohttp.ClientConnectorError, lambda error: f"no simulator answers ({_reason(error)})", _START),
    (aiohttp.ConnectionTimeoutError, lambda _: f"no simulator answers within {CONNECT_S:g} s", _START),
    (TimeoutError, lambda _: "no answer came in time", _BROKEN),
    # What it says is not HTTP.
    (aiohttp.ClientResponseError, str, None),
    (aiohttp.ClientError, lambda error: f"the connection broke ({_reason(error)})", _BROKEN),
    (OSError, lambda error: f"the connection broke ({_reason(error)})", _BROKEN),
)
"""Foreign exceptions, the special before the general: what is said of each and what to do about it."""


# -- what a refusal says -----------------------------------------------------------------------------


def _told(body: bytes) -> tuple[str, tuple[tuple[str, str], ...]] | None:
    """Read a refusal: the control API's own shape, or one of MESH's, which the sandbox's paths have.

    Gives None for any other, such as that of a path that leads nowhere.
    """
    try:
        told = json.loads(body)
    except ValueError:
        return None
    match told:
        case {"error": str(error), "problems": list(problems)}:
            return error, tuple((str(each["field"]), str(each["problem"])) for each in problems)
        case {"detail": list(faults)}:
            return "; ".join(map(_fault, faults)), ()
        case {"errorDescription": str(error)} | {"message": str(error)}:
            return error, ()
    return None


def _fault(fault: Mapping[str, Any]) -> str:
    place = fault.get("loc") or [""]
    return f"{place[-1]}: {fault['msg']}" if place[-1] else str(fault["msg"])
