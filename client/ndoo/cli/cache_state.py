"""Temporary caches as commands find them: what state each is in, and loading one to use it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ndoo.cli.clock import Clock, clock_of
from ndoo.cli.show import moment, near, span
from ndoo.errors import CacheAltered, CacheError, CacheExpired, renewal

if TYPE_CHECKING:
    from ndoo.cache import CacheStatus, TemporaryCache
    from ndoo.config import Settings


def load_cache(path: Path, settings: Settings) -> TemporaryCache:
    """Load a temporary cache of the settings' mailbox, by the clock that decides.

    Raises:
        CacheError: it must not be used.
    """
    from ndoo.cache import TemporaryCache

    clock = clock_of(settings)
    password = settings.password.get_secret_value()
    try:
        return TemporaryCache.load(path, password, clock.now, mailbox=settings.mailbox)
    except CacheExpired as error:
        raise clock.explain(error) from None


@dataclass(frozen=True, slots=True)
class CacheState:
    """What is found where a temporary cache should be.

    ``cache`` is what the file says of itself, None if nothing of it can be believed; ``error`` is why it must
    not be used; ``verified`` says that every byte is as it was made, and ``warn`` how long before its expiry
    it is to be made anew.
    """

    path: Path
    clock: Clock
    warn: timedelta
    cache: CacheStatus | None = None
    verified: bool = False
    error: CacheError | None = None

    @classmethod
    def look(cls, path: Path, settings: Settings, clock: Clock, warn: timedelta) -> CacheState:
        """Look at a file; the cache of another mailbox cannot be verified, for that needs its password."""
        from ndoo.cache import TemporaryCache, check_times, read_status

        cache = None
        verified = False
        try:
            cache = read_status(path)
            own = cache.mailbox == settings.mailbox
            clock = clock if own else Clock()
            if own and not cache.expired(clock.now()):
                TemporaryCache.verify(path, settings.password.get_secret_value())
                verified = True
            check_times(path, cache, clock.now())
        except CacheExpired as error:
            return cls(path, clock, warn, cache, verified, clock.explain(error))
        except CacheError as error:
            return cls(path, clock, warn, cache, verified, error)
        return cls(path, clock, warn, cache, verified)

    @property
    def state(self) -> str:
        """What it is, in one word for programs."""
        match self.error:
            case None:
                return "sound" if self.verified else "unverified"
            case CacheExpired():
                return "expired"
            case CacheAltered():
                return "altered"
            case _:
                return "unusable"

    @property
    def left(self) -> timedelta:
        """How long it can still be used; nothing or less where it cannot."""
        if self.cache is None:
            return timedelta(0)
        return self.cache.expires - self.clock.now()

    @property
    def is_due(self) -> bool:
        """Whether it cannot be used, or not for long."""
        return self.error is not None or self.left <= self.warn

    def problem(self) -> str | None:
        """Say in one line why it is due, and what to do; None if it is not."""
        if self.error is not None:
            return str(self.error)
        if self.cache is None or not self.is_due:
            return None
        clock = " by the simulator's clock" if self.clock.is_simulated else ""
        when = f"{moment(self.cache.expires)}, in {span(self.left)}{clock}"
        return f"{self.path}: this temporary cache expires at {when}; {renewal(self.path)}"

    def facts(self) -> list[tuple[str, int | str, str]]:
        """Describe it in a table for people."""
        found = self.cache
        if found is None:
            return [("state", self._words(), "")]
        now = self.clock.now()
        age = now - found.created
        beside = min(found.created, found.expires, key=lambda time: abs(time - now))
        return [
            ("state", self._words(), ""),
            (
                "created",
                moment(found.created, now),
                f"{span(age)} {'ago' if age >= timedelta(0) else 'from now'}",
            ),
            (
                "expires",
                moment(found.expires, now),
                f"in {span(self.left)}" if self.left > timedelta(0) else "",
            ),
            ("now", moment(now, beside) if self.clock.is_simulated else "", "by the simulator's clock"),
            ("records", f"{found.records:,}", ""),
            ("mailbox", found.mailbox, ""),
            ("local id", found.local_id, ""),
        ]

    def row(self) -> tuple[str, str, str, str, str]:
        """Describe it in a line of a table: file, state, time left, expiry in UTC and records."""
        state = {"sound": "usable"}.get(self.state, self.state)
        found = self.cache
        if found is None:
            return (near(self.path), state, "", "", "")
        left = span(self.left) if self.error is None else ""
        return (
            near(self.path),
            state,
            left,
            f"{found.expires.astimezone(UTC):%d %b %H:%M}",
            f"{found.records:,}",
        )

    def _words(self) -> str:
        match self.state:
            case "sound":
                return f"sound; can be used for {span(self.left)}"
            case "unverified":
                mailbox = self.cache.mailbox if self.cache is not None else ""
                return f"not verified, for it belongs to mailbox {mailbox}"
            case "expired":
                return f"expired {span(self.left)} ago"
            case "altered":
                return "altered; must not be used"
            case _:
                return "cannot be used"

    def fields(self) -> dict[str, Any]:
        """Describe it for programs."""
        fields: dict[str, Any] = {
            "path": self.path,
            "state": self.state,
            "expired": self.state == "expired",
            "verified": self.verified,
            "due": self.is_due,
        }
        if self.cache is not None:
            now = self.clock.now()
            fields |= {
                "created": self.cache.created,
                "expires": self.cache.expires,
                "age_s": int((now - self.cache.created).total_seconds()),
                "left_s": int(self.left.total_seconds()),
                "records": self.cache.records,
                "mailbox": self.cache.mailbox,
                "local_id": self.cache.local_id,
            }
        fields["clock"] = "simulator" if self.clock.is_simulated else "computer"
        if self.error is not None:
            fields["error"] = {"kind": type(self.error).__name__, "message": str(self.error)}
        return fields
