"""Password and shared key in the system's keyring.

An entry's service is ``ndoo``, and its user name says whose secret it is and where it is good for. The
package ``keyring`` is imported here only, and when a secret is wanted: most runs do without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from ndoo.errors import ConfigError

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

SERVICE: Final = "ndoo"

WORDS: Final = {"password": "password", "shared_key": "shared key"}
"""What people call each secret."""

_OTHERWISE: Final = "set NDOO_PASSWORD and NDOO_SHARED_KEY, or keep them in a file: ndoo init --secrets file"


class NoKeyring(ConfigError):
    """There is no keyring that can be used here; the text says why and what to do instead."""


def read_secrets(names: Iterable[str], url: str, mailbox: str) -> dict[str, str]:
    """Look secrets up; those that are not there, or empty, are left out.

    Raises:
        NoKeyring: there is none, it is locked, or it fails.
    """
    keyring = _open()
    found = {}
    for name in names:
        try:
            value = keyring.get_password(SERVICE, _entry(name, url, mailbox))
        except Exception as error:  # noqa: BLE001 -- a keyring is somebody's plug-in and may raise anything
            raise _failed(keyring, "read", error) from None
        if value:
            found[name] = value
    return found


def keep_secrets(secrets: Mapping[str, str], url: str, mailbox: str) -> str:
    """Keep secrets in the keyring in the place of earlier ones, and give the keyring's name.

    Raises:
        NoKeyring: there is none, it is locked, it fails, or it does not give back what it was given.
    """
    keyring = _open()
    for name, value in secrets.items():
        try:
            keyring.set_password(SERVICE, _entry(name, url, mailbox), value)
        except Exception as error:  # noqa: BLE001 -- the same
            raise _failed(keyring, "written", error) from None
    if read_secrets(secrets, url, mailbox) != dict(secrets):
        raise NoKeyring(f"the keyring ({keyring.name}) does not give back what it is given; {_OTHERWISE}")
    return keyring.name


def _entry(name: str, url: str, mailbox: str) -> str:
    return f"{WORDS[name]} of {mailbox} at {url}"


def _open() -> KeyringBackend:
    from keyring import core  # noqa: PLC0415 -- only where a secret is kept there
    from keyring.backends import fail, null  # noqa: PLC0415 -- the same

    try:
        # Of those found by themselves only real ones count: some that other packages bring write plain text
        # into a file. One that somebody chose for this computer is taken as it is.
        core.init_backend(limit=core.recommended)
        found = core.get_keyring()
    except Exception as error:  # noqa: BLE001 -- a plug-in that cannot be loaded may raise anything
        raise NoKeyring(
            f"the keyring chosen for this computer cannot be loaded ({type(error).__name__}); {_OTHERWISE}"
        ) from None
    if isinstance(found, fail.Keyring | null.Keyring):
        raise NoKeyring(f"no keyring can be used here, as for most scheduled jobs and servers; {_OTHERWISE}")
    return found


def _failed(keyring: KeyringBackend, done: str, error: Exception) -> NoKeyring:
    # The text of a plug-in's exception may hold anything; its class says enough (KeyringLocked, InitError).
    return NoKeyring(
        f"the keyring ({keyring.name}) cannot be {done}: {type(error).__name__}; unlock it, or {_OTHERWISE}"
    )
