"""The environment variables of NHS's mesh-sandbox, turned into settings of ours (mesh-api.md section 19).

SHARED_KEY, MAILBOXES_DATA_DIR, FILE_STORE_DIR, ENV and BUILD_LABEL only have another name here, so
``mesh_sim.config`` takes them as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

VARIABLES: Final = (
    "AUTH_MODE",
    "INBOX_EXPIRY_DAYS",
    "MESSAGE_EXPIRY_DAYS",
    "PORT",
    "SSL",
    "SSL_CRTFILE",
    "SSL_KEYFILE",
    "STORE_MODE",
)
"""What is read here."""

_TELLING: Final = ("AUTH_MODE", "SSL", "STORE_MODE")
"""Where one of these is set, the environment was written for the sandbox, and so is what expects its port."""

_AUTH_MODES: Final = ("full", "canned", "none")
_STORE_MODES: Final = ("file", "memory", "canned")
_WHOLE = re.compile(r"[0-9]{1,5}", re.ASCII)
_MAX_DAYS: Final = 36525


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """What the variables ask for, by names of settings.

    ``values`` count as much as any variable; ``defaults`` only where nobody says anything else.
    """

    values: Mapping[str, Any]
    defaults: Mapping[str, Any]
    warnings: tuple[str, ...]


def read_sandbox_environment(environment: Mapping[str, str]) -> SandboxSettings:
    """Read the sandbox's variables; an empty one counts as not set, as all of ours do.

    Raises:
        ValueError: a value is not allowed; the text names the variable, the value and what is allowed.
    """
    given = {name: environment[name].strip() for name in VARIABLES if environment.get(name, "").strip()}
    values: dict[str, Any] = {}
    warnings = []

    def take(variable: str, setting: str, read: Callable[[str, str], object]) -> None:
        if variable in given:
            values[setting] = read(variable, given[variable])

    take("PORT", "port", _port)
    take("STORE_MODE", "store_mode", _store_mode)
    take("INBOX_EXPIRY_DAYS", "inbox_expiry", _days)
    take("MESSAGE_EXPIRY_DAYS", "deletion", _days)
    if (mode := given.get("AUTH_MODE")) is not None:
        values["auth_mode"] = mode if mode in _AUTH_MODES else "full"
        if mode not in _AUTH_MODES:
            warnings.append(
                f"AUTH_MODE = {mode!r} checks whole tokens, as it does in mesh-sandbox; "
                f"the modes are {', '.join(_AUTH_MODES)}"
            )
    ssl = _yes("SSL", given["SSL"]) if "SSL" in given else False
    if "SSL" in given:
        values |= _tls(given) if ssl else {"tls": "off"}
    port = {"port": 443 if ssl else 80}
    return SandboxSettings(
        values,
        port if any(name in given for name in _TELLING) and "port" not in values else {},
        tuple(warnings),
    )


def _tls(given: Mapping[str, str]) -> dict[str, Any]:
    """HTTPS, with certificates that are made where there are none."""
    values: dict[str, Any] = {"tls": "on", "make_certs": True}
    pair = {"tls_cert": "SSL_CRTFILE", "tls_key": "SSL_KEYFILE"}
    files = {setting: Path(given[variable]) for setting, variable in pair.items() if variable in given}
    if len(files) == 1:
        raise ValueError("SSL_CRTFILE and SSL_KEYFILE belong together: set both or neither")
    return values | files


def _port(variable: str, value: str) -> int:
    return _number(variable, value, 65535, "a port number from 0 to 65535")


def _days(variable: str, value: str) -> timedelta:
    return timedelta(
        days=_number(variable, value, _MAX_DAYS, f"a whole number of days from 0 to {_MAX_DAYS}")
    )


def _number(variable: str, value: str, highest: int, allowed: str) -> int:
    if not _WHOLE.fullmatch(value) or int(value) > highest:
        raise _refused(variable, value, allowed)
    return int(value)


def _store_mode(variable: str, value: str) -> str:
    if value not in _STORE_MODES:
        raise _refused(variable, value, " or ".join((", ".join(_STORE_MODES[:-1]), _STORE_MODES[-1])))
    return value


def _yes(variable: str, value: str) -> bool:
    if value.lower() not in ("yes", "no"):
        raise _refused(variable, value, "yes or no")
    return value.lower() == "yes"


def _refused(variable: str, value: str, allowed: str) -> ValueError:
    return ValueError(f"{variable} = {value!r}: must be {allowed}")
