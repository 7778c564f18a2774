"""The proxy on the way to a MESH server, if there is one.

``NDOO_PROXY`` decides. Without it the usual variables do, ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` and
``NO_PROXY`` in either letter case, and on Windows and macOS the system's own settings where none of these is
set. A server on this computer is reached without a proxy unless ``NDOO_PROXY`` names one.
"""

from __future__ import annotations

import base64
import ipaddress
import os
import urllib.request
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

from ndoo.errors import ConfigError

SETTING: Final = "NDOO_PROXY"
DIRECT: Final = frozenset({"none", "direct"})
"""Values of the setting that mean no proxy, whatever the environment says."""

_SYSTEM: Final = "this computer's proxy settings"


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy; its text is the address without user name and password, which are never shown.

    ``source`` is the variable that names it, and ``authorization`` the value of ``Proxy-Authorization``.
    """

    url: str
    host: str
    port: int
    source: str
    authorization: str = field(default="", repr=False)

    def __str__(self) -> str:
        return self.url

    @property
    def headers(self) -> dict[str, str]:
        """What the proxy itself wants to be told."""
        return {"Proxy-Authorization": self.authorization} if self.authorization else {}


def find_proxy(url: str, setting: str | None = None) -> Proxy | None:
    """Give the proxy through which ``url`` is to be reached, or None for none.

    Args:
        url: the server's address.
        setting: a proxy's address, ``none`` or ``direct``; None or nothing leaves it to the environment.

    Raises:
        ConfigError: what names the proxy is not the address of an HTTP proxy.
    """
    if setting and setting.strip():
        try:
            return read_proxy(setting)
        except ValueError as error:
            raise ConfigError(f"{SETTING} = {mask(setting)!r}: {error}") from None
    server = urlsplit(url)
    if is_loopback(server.hostname or "") or urllib.request.proxy_bypass(server.netloc):
        return None
    proxies = urllib.request.getproxies()
    for scheme in (server.scheme, "all"):
        if address := proxies.get(scheme):
            source = _variable(scheme)
            try:
                return read_proxy(address, source)
            except ValueError as error:
                raise ConfigError(
                    f"{source} = {mask(address)!r}: {error}; set {SETTING}, which comes first, to the "
                    "right one "
                    "or to none"
                ) from None
    return None


def read_proxy(text: str, source: str = SETTING) -> Proxy | None:
    """Read a proxy's address; None where it says that there is to be none.

    Raises:
        ValueError: it is not the address of an HTTP proxy; the text never holds what was given.
    """
    text = text.strip()
    if text.lower() in DIRECT:
        return None
    wrong = ValueError("must be the address of an HTTP proxy such as http://proxy.example:3128, or none")
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        port = parts.port or 80
    except ValueError:
        raise wrong from None
    host = parts.hostname or ""
    if parts.scheme != "http" or not host or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise wrong
    if not text.isprintable() or " " in host:
        raise wrong
    shown = f"[{host}]" if ":" in host else host
    authorization = ""
    if parts.username is not None:
        who = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(who.encode()).decode()
    return Proxy(f"http://{shown}:{port}", host, port, source, authorization)


def mask(text: str) -> str:
    """Hide the user name and password of an address, for showing it."""
    before, at, rest = text.strip().rpartition("@")
    scheme, mark, _ = before.partition("://")
    return f"{scheme + mark if mark else ''}***@{rest}" if at else rest


def is_loopback(host: str) -> bool:
    """Tell whether a host is this computer."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _variable(scheme: str) -> str:
    names = (f"{scheme}_proxy", f"{scheme.upper()}_PROXY")
    return next((name for name in names if os.environ.get(name)), _SYSTEM)
