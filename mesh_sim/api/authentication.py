"""Who is calling: the authorization token, checked in the official order (mesh-api.md section 5)."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from aiohttp import web

from mesh_sim.api.journal import NEAR_MISSES
from mesh_sim.api.keys import EXCHANGE, SETTINGS, TOKENS
from mesh_sim.api.operations import Handler
from mesh_sim.clock import real_now
from mesh_sim.config import AuthMode, Relaxation
from mesh_sim.exchange.directory import Mailbox
from mesh_sim.exchange.errors import StorageFailed, Unauthorised
from mesh_sim.witness.journal import REPLAYED
from mesh_sim.witness.near_misses import Refused, near_misses, replay_miss
from ndoo.protocol import TOKEN_LIFETIME, Codes, Token, TokenError, TokenFault

MailboxHandler = Callable[[web.Request, Mailbox], Awaitable[web.StreamResponse]]

_TEXTS: Final = {
    TokenFault.ABSENT: "Error reading from Authorization header",
    TokenFault.WRONG_MAILBOX: "Mailbox id does not match token",
    TokenFault.MALFORMED: "Error reading from Authorization header",
    TokenFault.WRONG_HASH: "Invalid Authentication Token",
    TokenFault.STALE: "Invalid Authentication Token",
}

_SCHEME = re.compile(r"\ANHSMESH.?", re.IGNORECASE)

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
        try:
            mailbox, used = await authenticate(request)
        except Unauthorised:
            if NEAR_MISSES not in request and request.app[SETTINGS].auth_mode is AuthMode.FULL:
                request[NEAR_MISSES] = _near_misses(request)
            raise
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
    """Make the token of a request good again, where one was used up."""
    if (used := request.get(USED)) is not None:
        await request.app[TOKENS].forget(used.digest, minute=used.minute)


async def authenticate(request: web.Request) -> tuple[Mailbox, Used | None]:
    """Check the token of a request to ``/messageexchange/MB…`` and use it up.

    Only a token that passes every check is used up, so a refused request costs its sender nothing. With
    reuse allowed, or in an authorization mode that makes do without whole tokens, none is, and None is given.

    Raises:
        Unauthorised: the first check that failed.
    """
    mailbox_id = request.match_info["mailbox_id"].upper()
    settings = request.app[SETTINGS]
    header = request.headers.get("Authorization")
    if settings.auth_mode is not AuthMode.FULL:
        if settings.auth_mode is AuthMode.CANNED:
            _check_canned(header, mailbox_id)
        return _active(_known(request, mailbox_id)), None
    now = real_now()
    try:
        token = Token.parse(header, mailbox_id)
        mailbox = _known(request, mailbox_id)
        made = token.verify(
            mailbox.password,
            settings.shared_key.get_secret_value(),
            now=now,
            any_time=Relaxation.STALE_TIMESTAMP in settings.allow,
        )
    except TokenError as error:
        raise Unauthorised(_TEXTS[error.fault], why=error.fault.value) from error
    _active(mailbox)
    if Relaxation.TOKEN_REUSE in settings.allow:
        return mailbox, None
    fresh = made is not None and abs(now - made) <= TOKEN_LIFETIME
    # The hash covers every field and has been verified; in bytes, its letters' case tells no two apart.
    used = Used(bytes.fromhex(token.signature), _minutes(made) if made and fresh else _ALWAYS)
    first_used = await request.app[TOKENS].use(used.digest, minute=used.minute, now=now)
    if first_used is not None:
        request[NEAR_MISSES] = (replay_miss(first_used, now),)
        raise Unauthorised("Error Duplicated Authentication Token", why=REPLAYED)
    return mailbox, used


def _known(request: web.Request, mailbox_id: str) -> Mailbox:
    mailbox = request.app[EXCHANGE].directory.mailbox(mailbox_id)
    if mailbox is None:
        raise Unauthorised(Codes.MAILBOX_UNKNOWN, why="no mailbox has this id")
    return mailbox


def _active(mailbox: Mailbox) -> Mailbox:
    if not mailbox.active:
        raise Unauthorised("Request Received from Inactive Mailbox", why="the mailbox is inactive")
    return mailbox


def _check_canned(header: str | None, mailbox_id: str) -> None:
    """Check a token as the sandbox's canned mode does: the mailbox, and a nonce that says VALID."""
    text = (header or "").strip()
    if not text:
        raise Unauthorised(_TEXTS[TokenFault.ABSENT], why=TokenFault.ABSENT.value)
    named, _, rest = _SCHEME.sub("", text).partition(":")
    if named != mailbox_id:
        raise Unauthorised(
            _TEXTS[TokenFault.WRONG_MAILBOX], why="the token does not name the mailbox in the path"
        )
    if rest.partition(":")[0].upper() != "VALID":
        raise Unauthorised(
            _TEXTS[TokenFault.WRONG_HASH], why="the nonce is not VALID, as AUTH_MODE=canned demands"
        )


def _near_misses(request: web.Request) -> tuple[str, ...]:
    return near_misses(
        Refused(
            header=request.headers.get("Authorization", ""),
            path_mailbox=request.match_info["mailbox_id"],
            directory=request.app[EXCHANGE].directory,
            shared_key=request.app[SETTINGS].shared_key.get_secret_value(),
            now=real_now(),
        )
    )


def _minutes(at: datetime) -> int:
    return int(at.timestamp()) // 60
