"""Asking a server whether it answers, for scripts and container health checks."""

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

_TRY_S: Final = 2.0
_PAUSE_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Readiness:
    """What came of asking; ``why`` is empty when it is ready."""

    ready: bool
    url: str
    why: str


def wait_until_ready(settings: Settings, url: str | None, patience: timedelta) -> Readiness:
    """Ask at least once, then again until the server is ready or ``patience`` has run out."""
    url = url or _own_url(settings)
    until = time.monotonic() + patience.total_seconds()
    while True:
        why = _ask(settings, url)
        if not why or time.monotonic() >= until:
            return Readiness(not why, url, why)
        time.sleep(_PAUSE_S)


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
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(f"{url!r} is not an address; write it like http://127.0.0.1:8700")
    connection = (
        http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=_TRY_S, context=_client_context(settings)
        )
        if parts.scheme == "https"
        else http.client.HTTPConnection(parts.hostname, parts.port, timeout=_TRY_S)
    )
    try:
        connection.request("GET", "/admin/ready")
        answer = connection.getresponse()
        body = json.loads(answer.read(4096))
    except (OSError, http.client.HTTPException) as error:
        return getattr(error, "strerror", None) or str(error) or type(error).__name__
    except ValueError:
        return "something answers there, but it is not mesh-sim"
    finally:
        connection.close()
    return "" if answer.status == 200 and body == {"ready": True} else f"it answered {answer.status}"


def _client_context(settings: Settings) -> ssl.SSLContext:
    folder = CertificateFolder(settings.certs)
    try:
        context = ssl.create_default_context(cafile=folder.ca)
        if settings.tls is Tls.MUTUAL:
            # Any mailbox's certificate does: readiness is not asked for on a mailbox's behalf.
            context.load_cert_chain(*folder.client(settings.ndoo_mailbox))
    except OSError as error:
        raise SettingsError(
            f"the certificates in {settings.certs} cannot be used: {error}; make them with 'mesh-sim certs'"
        ) from error
    return context
