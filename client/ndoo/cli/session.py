"""What the settings open: the mailbox, and the opt-out service behind it."""

from __future__ import annotations

from ndoo.check import Service
from ndoo.config import Settings
from ndoo.mailbox import Credentials, Mailbox, tls_context


def open_mailbox(settings: Settings) -> Mailbox:
    """Make the mailbox the settings name; enter it to connect.

    Raises:
        ConfigError: the certificate files cannot be used.
    """
    secured = settings.url.startswith("https:")
    return Mailbox(
        settings.url,
        Credentials(
            settings.mailbox, settings.password.get_secret_value(), settings.shared_key.get_secret_value()
        ),
        ssl=tls_context(settings.ca, settings.cert, settings.key) if secured else None,
    )


def service_of(settings: Settings) -> Service:
    """Describe the opt-out service of the profile."""
    environment = settings.environment
    return Service(
        mailbox_id=settings.service_mailbox,
        poll_interval=environment.poll_interval,
        cache_workflow=environment.cache_workflow,
    )
