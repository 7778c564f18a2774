"""Why a server refuses our password and shared key, as far as that can be found out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Final
from urllib.parse import urlencode

from ndoo._failures import Call
from ndoo._findings import Finding, Verdict
from ndoo._local_checks import cleaned, oddities
from ndoo._refusals import BAD_HASH, CLOCK_SUSPECT, INACTIVE_MAILBOX, clock_difference
from ndoo._secrets import WORDS
from ndoo._tested import Server
from ndoo._transport import Credentials, Request, Transport
from ndoo.config import Profile, profile_defaults
from ndoo.errors import AuthenticationRefused, MeshError
from ndoo.protocol import Codes

MOST_TRIES: Final = 3
"""How many handshakes are made to find out what is wrong with the secrets, at the most."""

_DISTINCT_MISS: Final = "hash is right "
"""How the simulator's journal begins what it knows for certain of a wrong token."""

_SWAPPED: Final = ("password and shared key are swapped", "enter each in the other's place")
"""What is wrong then, and what to do."""


async def explain_refusal(
    server: Server, error: AuthenticationRefused, ahead: timedelta | None, *, trying: bool
) -> Finding:
    """Say what a 403 to the handshake means: from its text, the clocks, the simulator, or by trying.

    Args:
        server: the server.
        error: what its answer became.
        ahead: how far our clock is ahead of the server's, if that is known.
        trying: whether at most three more handshakes may find out which secret is wrong.
    """
    if known := _known(server, error, ahead):
        return known
    check, simulated = "handshake", server.settings.profile is Profile.SIM
    said = await _ask_simulator(server) if simulated else ""
    named = [WORDS[name] for name in ("password", "shared_key") if WORDS[name] in said]
    if named and _DISTINCT_MISS in said:
        what, advice = f"the {named[0]} is wrong", f"enter the {named[0]} again"
        if len(named) > 1:
            what, advice = _SWAPPED
        why = f"the simulator's journal says: {said}"
        return Finding(check, Verdict.FAILED, what, why, f"{advice}: ndoo init")
    if trying and (found := await _try_others(server)) is not None:
        return found
    return _undecided(server, said, known=bool(error.detail), tried=trying)


def _known(server: Server, error: AuthenticationRefused, ahead: timedelta | None) -> Finding | None:
    """Give the finding where the answer itself says what is wrong, or the clocks do."""
    check, settings = "handshake", server.settings
    why, _, advice = str(error).removeprefix("could not shake hands: ").partition("; ")
    if error.detail == INACTIVE_MAILBOX:
        what, why = f"mailbox {settings.mailbox} is inactive", "the server says so (403)"
        if settings.profile is Profile.SIM:
            advice = f"run: mesh-sim mailbox enable {settings.mailbox}"
        else:
            advice = "have it activated by whoever runs MESH there"
    elif error.detail == Codes.MAILBOX_UNKNOWN.text:
        what = f"there is no mailbox {settings.mailbox} at {settings.url}"
        why = f"each environment has mailboxes of its own, and this is profile {settings.profile}"
        advice = "check NDOO_MAILBOX, and that profile and NDOO_URL are those of its environment"
    elif ahead is not None and abs(ahead) > CLOCK_SUSPECT:
        what = "the server refuses our token"
        why, advice = f"this computer's clock is {clock_difference(ahead)}", "set the clock right"
    elif error.detail not in ("", BAD_HASH):
        what = "the server refuses us (403)"
    else:
        return None
    return Finding(check, Verdict.FAILED, what, why, advice)


def _undecided(server: Server, said: str, *, known: bool, tried: bool) -> Finding:
    settings = server.settings
    why = (
        "a wrong password and a wrong shared key get the same answer: it cannot tell which of the two it is"
        + ("" if known else "; the mailbox may also be inactive, or unknown there")
        + (f"; the simulator's journal says: {said}" if said else "")
    )
    odd = oddities(settings)
    hints = [f"look at this first: {'; '.join(odd)}"] if odd else []
    hints.append(
        "the password is this mailbox's alone, the shared key that of all mailboxes of an environment; "
        "if another mailbox works here with this key, the password is wrong; if none does, the key is"
    )
    if not tried:
        hints.append("'ndoo doctor --try' also tries both without blanks around them, and swapped")
    hints.append("enter them again with 'ndoo init'")
    return Finding(
        "handshake", Verdict.FAILED, "the server refuses password and shared key (403)", why, "; ".join(hints)
    )


async def _try_others(server: Server) -> Finding | None:
    """Shake hands with what may have been meant; None where none of that is right either."""
    for credentials, what, advice in _others(server):
        async with server.mailbox(credentials) as mailbox:
            try:
                await mailbox.handshake()
            except MeshError:
                continue
        why = "tried out: with that the server accepts the handshake"
        return Finding("handshake", Verdict.FAILED, what, why, f"{advice}: ndoo init")
    return None


def _others(server: Server) -> Iterator[tuple[Credentials, str, str]]:
    """Give what may have been meant, most likely first, with what would be wrong then and what to do."""
    given = server.credentials()
    tidy = replace(given, password=cleaned(given.password), shared_key=cleaned(given.shared_key))
    others = [
        (tidy, "password or shared key has blanks or quotation marks around it", "enter both without them")
    ]
    if server.settings.profile is Profile.SIM:
        usual = profile_defaults(Profile.SIM)
        others += [
            (
                replace(given, shared_key=usual["shared_key"]),
                "the shared key is wrong, the password is right",
                "enter the simulator's shared key",
            ),
            (
                replace(given, password=usual["password"]),
                "the password is wrong, the shared key is right",
                "enter the password of this mailbox",
            ),
        ]
    swapped = replace(tidy, password=tidy.shared_key, shared_key=tidy.password)
    others.append((swapped, *_SWAPPED))
    seen, left = {given}, MOST_TRIES
    for credentials, what, advice in others:
        if left and credentials not in seen and credentials.password and credentials.shared_key:
            seen.add(credentials)
            left -= 1
            yield credentials, what, advice


async def _ask_simulator(server: Server) -> str:
    """Ask the simulator why it refused the last handshake; nothing where that is not told."""
    settings = server.settings
    query = urlencode(
        {"mailbox": settings.mailbox, "operation": "handshake", "refused": "true", "limit": "1"}
    )
    request = Request(
        Call("read the journal", settings.url, settings.mailbox), "GET", f"/admin/journal?{query}"
    )
    transport = Transport(
        settings.url,
        server.credentials(),
        tls=server.tls,
        timeout=server.patience,
        retries=0,
        clock=server.clock,
        proxy=server.proxy_setting,
    )
    await transport.open()
    try:
        entry = json.loads((await transport.fetch(request)).body)["entries"][0]
        return "; ".join(str(each) for each in entry["near_misses"] or [entry["reason"]])
    except (MeshError, ValueError, LookupError, TypeError):
        return ""
    finally:
        await transport.close()
