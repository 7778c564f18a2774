"""Keyrings for tests: one that keeps in a file, one that is locked, and none."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked

HERE = str(Path(__file__).parent)

NONE = {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
"""Variables of a computer without a keyring."""

LOCKED = {"PYTHON_KEYRING_BACKEND": f"{__name__}.Locked", "PYTHONPATH": HERE}
"""Variables of one whose keyring nobody unlocks."""


def in_folder(folder: Path) -> dict[str, str]:
    """Give the variables of a computer whose keyring is a file below ``folder``."""
    return {"PYTHON_KEYRING_BACKEND": "keyrings.alt.file.PlaintextKeyring", "XDG_DATA_HOME": str(folder)}


class Locked(KeyringBackend):
    """A keyring that stays locked; what it says holds more than may be shown."""

    priority = 1

    def get_password(self, service: str, username: str) -> NoReturn:
        raise KeyringLocked("hush-hush")

    def set_password(self, service: str, username: str, password: str) -> NoReturn:
        raise KeyringLocked(password)
