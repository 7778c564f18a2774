"""What the settings open: the mailbox, and the opt-out service behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ndoo._lock import hold_mailbox
from ndoo._tls import check_pair
from ndoo.check import Service
from ndoo.config import Settings
from ndoo.mailbox import Credentials, Mailbox, tls_context


def open_mailbox(settings: Settings) -> Mailbox:
    """Make the mailbox the settings name; enter it to connect.

    Raises:
        ConfigError: the certificate files cannot be used.
    """
    check_pair(settings.cert, settings.key)  # half of a pair is a mistake also where it is not needed
    secured = settings.url.startswith("https:")
    return Mailbox(
        settings.url,
        Credentials(
            settings.mailbox, settings.password.get_secret_value(), settings.shared_key.get_secret_value()
        ),
        ssl=tls_context(settings.ca, settings.cert, settings.key) if secured else None,
        proxy=settings.proxy.get_secret_value() if settings.proxy else None,
    )


@asynccontextmanager
async def use_mailbox(settings: Settings, command: str) -> AsyncIterator[Mailbox]:
    """Connect to the mailbox the settings name, for as long as the block runs, and alone.

    Args:
        settings: the settings.
        command: what it is used for, for whoever wants to use it meanwhile.

    Raises:
        MailboxBusy: another run uses it.
        ConfigError: the certificate files cannot be used, or the data folder cannot.
    """
    with hold_mailbox(settings.data, settings.mailbox, f"ndoo {command}"):
        async with open_mailbox(settings) as mailbox:
            yield mailbox


def service_of(settings: Settings) -> Service:
    """Describe the opt-out service of the profile."""
    environment = settings.environment
    return Service(
        mailbox_id=settings.service_mailbox,
        poll_interval=environment.poll_interval,
        cache_workflow=environment.cache_workflow,
    )
