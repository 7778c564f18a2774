"""Reaching a server from the shell: where it is, how its TLS is trusted, and whether it answers."""

from __future__ import annotations

import http.client
import ipaddress
import json
import ssl
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

from mesh_sim.certs import CertificateFolder
from mesh_sim.config import Settings, SettingsError, Tls

READY_PATH: Final = "/admin/ready"
READY: Final = {"ready": True}
"""What a simulator answers there, and no other server."""

_TRY_S: Final = 2.0
_PAUSE_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Readiness:
    """What came of asking; ``why`` is empty when it is ready."""

    ready: bool
    url: str
    why: str


def wait_until_ready(settings: Settings, url: str | None, patience: timedelta) -> Readiness:
    """Ask at least once, then again until the server is ready or ``patience`` has run out.

    Raises:
        SettingsError: the address is none, or the certificates cannot be used.
    """
    url = server_url(settings, url)
    until = time.monotonic() + patience.total_seconds()
    while True:
        why = _ask(settings, url)
        if not why or time.monotonic() >= until:
            return Readiness(not why, url, why)
        time.sleep(_PAUSE_S)


def server_url(settings: Settings, url: str | None) -> str:
    """Check the address that was given; without one, give where a server with these settings answers.

    Raises:
        SettingsError: it is no address.
    """
    if url is None:
        return _own_url(settings)
    try:
        parts = urlsplit(url)
        # Reading the port is what checks it.
        whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        whole = False
    if not whole:
        raise SettingsError(f"{url!r} is not an address; write it like http://127.0.0.1:8700")
    return url.rstrip("/")


def client_context(settings: Settings) -> ssl.SSLContext:
    """Make the TLS settings of a client of a server with these settings.

    Raises:
        SettingsError: a certificate is missing or cannot be used.
    """
    folder = CertificateFolder(settings.certs)
    # A server with a certificate of its own is known by that one.
    trusted = folder.ca if settings.tls_cert is None else settings.tls_cert
    try:
        context = ssl.create_default_context(cafile=trusted)
        if settings.tls is Tls.MUTUAL:
            # Any mailbox's certificate does: nothing is asked for on a mailbox's behalf.
            context.load_cert_chain(*folder.client(settings.ndoo_mailbox))
    except OSError as error:
        raise SettingsError(
            f"the certificates in {settings.certs} cannot be used: {error.strerror or error}; make them with "
            "'mesh-sim certs', or say where they are with MESH_SIM_CERTS"
        ) from error
    return context


def _own_url(settings: Settings) -> str:
    """Where a server with these settings answers, seen from this machine."""
    host = settings.host
    try:
        if ipaddress.ip_address(host).is_unspecified:  # listens everywhere, so on loopback too
            host = "127.0.0.1"
    except ValueError:
        pass
    shown = f"[{host}]" if ":" in host else host
    return f"{'http' if settings.tls is Tls.OFF else 'https'}://{shown}:{settings.port}"


def _ask(settings: Settings, url: str) -> str:
    """Ask once; give what is wrong, or nothing."""
    parts = urlsplit(url)
    assert parts.hostname  # noqa: S101 - server_url has seen to it
    connection = (
        http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=_TRY_S, context=client_context(settings)
        )
        if parts.scheme == "https"
        else http.client.HTTPConnection(parts.hostname, parts.port, timeout=_TRY_S)
    )
    try:
        connection.request("GET", READY_PATH)
        answer = connection.getresponse()
        body = json.loads(answer.read(4096))
    except (OSError, http.client.HTTPException) as error:
        return getattr(error, "strerror", None) or str(error) or type(error).__name__
    except ValueError:
        return "something answers there, but it is not mesh-sim"
    finally:
        connection.close()
    return "" if answer.status == 200 and body == READY else f"it answered {answer.status}"
