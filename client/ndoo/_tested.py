"""The server that the settings name, as their tests see it."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from ndoo._certificates import Certificate
from ndoo._probe import Place, Probe
from ndoo._proxy import Proxy, is_loopback
from ndoo._transport import Credentials
from ndoo.config import Settings
from ndoo.mailbox import Mailbox


@dataclass(frozen=True, slots=True)
class Server:
    """The server to be tested, and how to get there; ``patience`` is seconds a step."""

    settings: Settings
    proxy: Proxy | None
    tls: ssl.SSLContext | None
    ours: Certificate | None
    clock: Callable[[], datetime]
    patience: float

    @property
    def probe(self) -> Probe:
        """The way to it, step by step."""
        return Probe(Place.of(self.settings.url), self.proxy, self.patience)

    @property
    def secured(self) -> bool:
        """Whether TLS is spoken."""
        return self.settings.url.startswith("https:")

    @property
    def far(self) -> bool:
        """Whether it is another computer, reached without a proxy: one may be what is missing."""
        return self.proxy is None and not is_loopback(Place.of(self.settings.url).host)

    def credentials(self) -> Credentials:
        """Who we are, by the settings."""
        settings = self.settings
        return Credentials(
            settings.mailbox, settings.password.get_secret_value(), settings.shared_key.get_secret_value()
        )

    def mailbox(self, credentials: Credentials) -> Mailbox:
        """Make the mailbox, which never tries anything twice."""
        return Mailbox(
            self.settings.url,
            credentials,
            ssl=self.tls,
            timeout=3 * self.patience,
            retries=0,
            clock=self.clock,
            proxy=self.proxy_setting,
        )

    @property
    def proxy_setting(self) -> str | None:
        """The proxy as the settings have it."""
        proxy = self.settings.proxy
        return proxy.get_secret_value() if proxy else None
