"""Who is calling: the authorization token, checked in the official order (mesh-api.md section 5)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from aiohttp import web

from mesh_sim.api.keys import EXCHANGE, SETTINGS, TOKENS
from mesh_sim.api.operations import Handler
from mesh_sim.clock import real_now
from mesh_sim.config import Relaxation
from mesh_sim.exchange.directory import Mailbox
from mesh_sim.exchange.errors import StorageFailed, Unauthorised
from ndoo.protocol import TOKEN_LIFETIME, Codes, Token, TokenError, TokenFault

MailboxHandler = Callable[[web.Request, Mailbox], Awaitable[web.StreamResponse]]

_TEXTS: Final = {
    TokenFault.ABSENT: "Error reading from Authorization header",
    TokenFault.WRONG_MAILBOX: "Mailbox id does not match token",
    TokenFault.MALFORMED: "Error reading from Authorization header",
    TokenFault.WRONG_HASH: "Invalid Authentication Token",
    TokenFault.STALE: "Invalid Authentication Token",
}

_ALWAYS: Final = 1 << 40
"""Kept under this minute, a token outside the two hours is remembered for ever."""


@dataclass(frozen=True, slots=True)
class Used:
    """A token as it is remembered: its hash, and the minute it is kept under."""

    digest: bytes
    minute: int


USED = web.RequestKey("used", Used)
"""Where a request notes the token it used up, for whoever must give it back."""


def authenticated(handler: MailboxHandler) -> Handler:
    """Give the handler the mailbox that signed the request, or refuse before anything else is looked at."""

    async def check_first(request: web.Request) -> web.StreamResponse:
        mailbox, used = await authenticate(request)
        if used is not None:
            request[USED] = used
        try:
            return await handler(request, mailbox)
        except StorageFailed:
            # Answered 503, which NHS's client tries again with the same token (section 22).
            await give_token_back(request)
            raise

    return check_first


async def give_token_back(request: web.Request) -> None:
    """Make the token of a request good again, where one was used up.

    Raises:
        StorageFailed: it could not be forgotten.
    """
    if (used := request.get(USED)) is not None:
        await request.app[TOKENS].forget(used.digest, minute=used.minute)


async def authenticate(request: web.Request) -> tuple[Mailbox, Used | None]:
    """Check the token of a request to ``/messageexchange/MB…`` and use it up.

    Only a token that passes every check is used up, so a refused request costs its sender nothing. With
    reuse allowed none is, and None is given.

    Raises:
        Unauthorised: the first check that failed.
    """
    mailbox_id = request.match_info["mailbox_id"].upper()
    settings = request.app[SETTINGS]
    header = request.headers.get("Authorization")
    now = real_now()
    try:
        token = Token.parse(header, mailbox_id)
        mailbox = request.app[EXCHANGE].directory.mailbox(mailbox_id)
        if mailbox is None:
            raise Unauthorised(Codes.MAILBOX_UNKNOWN, why="no mailbox has this id")
        token.verify(
            mailbox.password,
            settings.shared_key.get_secret_value(),
            now=now,
            any_time=Relaxation.STALE_TIMESTAMP in settings.allow,
        )
    except TokenError as error:
        raise Unauthorised(_TEXTS[error.fault], why=error.fault.value) from error
    if not mailbox.active:
        raise Unauthorised("Request Received from Inactive Mailbox", why="the mailbox is inactive")
    if Relaxation.TOKEN_REUSE in settings.allow:
        return mailbox, None
    made = token.made_at()
    fresh = made is not None and abs(now - made) <= TOKEN_LIFETIME
    # The hash covers every field and has been verified; in bytes, its letters' case tells no two apart.
    used = Used(bytes.fromhex(token.signature), _minutes(made) if made and fresh else _ALWAYS)
    if not await request.app[TOKENS].use(used.digest, minute=used.minute, now_minute=_minutes(now)):
        raise Unauthorised("Error Duplicated Authentication Token", why="the token was used before")
    return mailbox, used


def _minutes(at: datetime) -> int:
    return int(at.timestamp()) // 60
