"""Tests of the settings, from the file they stand in to a handshake with the server, each with its finding.

>>> async for finding in diagnose():
...     print(finding.check, finding.verdict, finding.what)

This is what ``ndoo doctor`` shows. No finding holds a secret.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from datetime import UTC, datetime
from typing import Final

from ndoo._findings import UNTESTED, Finding, Verdict
from ndoo._local_checks import (
    check_authorities,
    check_certificate,
    check_data,
    check_file,
    check_private_key,
    check_proxy,
    check_secrets,
    check_settings,
)
from ndoo._remote_checks import check_handshake, check_way
from ndoo._tested import Server
from ndoo._tls import tls_context
from ndoo.config import Profile
from ndoo.errors import ConfigError

__all__ = ["CHECKS", "Finding", "Verdict", "diagnose", "passed"]

CHECKS: Final = (
    "settings file",
    "settings",
    "secrets",
    "certificate",
    "private key",
    "authorities",
    "data folder",
    "proxy",
    "name",
    "connection",
    "TLS",
    "handshake",
    "clock",
)
"""The tests, in their order."""

_STEP_SECONDS: Final = 10.0


def _utc_now() -> datetime:
    return datetime.now(UTC)


def passed(findings: Iterable[Finding]) -> bool:
    """Tell whether nothing failed; warnings do not count."""
    return not any(finding.verdict is Verdict.FAILED for finding in findings)


async def diagnose(
    profile: str | None = None,
    *,
    trying: bool = False,
    clock: Callable[[], datetime] = _utc_now,
    patience: float = _STEP_SECONDS,
) -> AsyncIterator[Finding]:
    """Test the settings, and give a finding for every one of :data:`CHECKS`, in that order.

    With the profiles int and live one handshake is made and no more, unless ``trying`` asks for at most three
    further ones, which find out whether blanks around a secret are to blame, or two that were swapped. With
    sim, the simulator's own journal is asked as well, and these are always made when it cannot tell.

    Args:
        profile: sim, int or live, as on the command line; None leaves it to the settings.
        trying: shake hands with other secrets where ours are refused.
        clock: gives the time.
        patience: how long a step of the connection may take, in seconds; the handshake, three times that.
    """
    left = list(CHECKS)
    async for finding in _findings(profile, trying, clock, patience):
        while left and (check := left.pop(0)) != finding.check:
            yield _skipped(check)
        yield finding
    for check in left:
        yield _skipped(check)


def _skipped(check: str) -> Finding:
    return Finding(check, Verdict.SKIPPED, UNTESTED)


async def _findings(
    profile: str | None, trying: bool, clock: Callable[[], datetime], patience: float
) -> AsyncIterator[Finding]:
    yield check_file()
    finding, settings = check_settings(profile)
    yield finding
    if settings is None:
        return
    now = clock()
    certificate, ours = check_certificate(settings, now)
    proxied, proxy = check_proxy(settings)
    at_hand = [
        check_secrets(settings),
        certificate,
        check_private_key(settings),
        check_authorities(settings, now),
        check_data(settings),
        proxied,
    ]
    for finding in at_hand:
        yield finding
    if proxied.verdict is Verdict.FAILED:
        return
    try:
        secured = settings.url.startswith("https:")
        tls = tls_context(settings.ca, settings.cert, settings.key) if secured else None
    except ConfigError as error:
        if passed(at_hand):  # else it has been told
            yield Finding("TLS", Verdict.FAILED, str(error))
        return
    server = Server(settings, proxy, tls, ours, clock, patience)
    async for finding in check_way(server):
        yield finding
    if finding.verdict is Verdict.FAILED:
        return
    async for finding in check_handshake(server, trying=trying or settings.profile is Profile.SIM):
        yield finding
