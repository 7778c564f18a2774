"""What time it is, for telling whether a temporary cache has expired.

The computer's clock decides, except in a rehearsal: the simulator's clock can be advanced, and the caches it
makes are dated by it. With profile sim the later of the two clocks is taken, so that a cache expires when
the simulated three weeks are over, and can be used again once the simulator's clock was set back. The
profiles int and live know the computer's clock only.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from ndoo.cli.show import moment
from ndoo.errors import CacheExpired

if TYPE_CHECKING:
    from http.client import HTTPConnection

    from ndoo.config import Settings

_PATIENCE: Final = 1.0
"""Seconds to wait for the simulator; it is asked for its clock and not needed for anything else."""

_MOST_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Clock:
    """A clock that is ``ahead`` of the computer's, where a simulator's decides."""

    ahead: timedelta = timedelta(0)

    @property
    def is_simulated(self) -> bool:
        """Whether a simulator's clock decides."""
        return bool(self.ahead)

    def now(self) -> datetime:
        """Give the present time, in UTC."""
        return datetime.now(UTC) + self.ahead

    def explain(self, error: CacheExpired) -> CacheExpired:
        """Say by what clock a cache has expired, where that is not the computer's."""
        if not self.is_simulated or error.expired_at <= datetime.now(UTC):
            return error
        clock = f"by the simulator's clock (now {moment(self.now(), error.expired_at)})"
        return CacheExpired(error.path, error.expired_at, clock)


def clock_of(settings: Settings) -> Clock:
    """Find the clock that decides with these settings.

    A simulator that cannot be reached within a second, or does not show its clock, has no say.
    """
    from ndoo.config import Profile

    if settings.profile is not Profile.SIM:
        return Clock()
    simulated = _simulated_now(settings)
    if simulated is None:
        return Clock()
    return Clock(max(simulated - datetime.now(UTC), timedelta(0)))


def _simulated_now(settings: Settings) -> datetime | None:
    """Ask the simulator for the time (control API, ``GET /admin/clock``); None unless it was changed."""
    from http.client import HTTPException

    from ndoo.errors import NdooError

    try:
        connection = _connection(settings)
        try:
            connection.request("GET", f"{urlsplit(settings.url).path.rstrip('/')}/admin/clock")
            response = connection.getresponse()
            answer = json.loads(response.read(_MOST_BYTES)) if response.status == 200 else {}
        finally:
            connection.close()
        if not answer.get("offset_s"):
            return None
        return datetime.fromisoformat(answer["now"]).astimezone(UTC)
    except (OSError, HTTPException, NdooError, ValueError, LookupError, TypeError, AttributeError):
        return None


def _connection(settings: Settings) -> HTTPConnection:
    from http.client import HTTPConnection, HTTPSConnection

    from ndoo._tls import tls_context

    address = urlsplit(settings.url)
    host = address.hostname or ""
    if address.scheme == "https":
        context = tls_context(settings.ca, settings.cert, settings.key)
        return HTTPSConnection(host, address.port, timeout=_PATIENCE, context=context)
    return HTTPConnection(host, address.port, timeout=_PATIENCE)
