"""Names under which a browser keeps what it downloads (RFC 6266, RFC 8187)."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

_LONGEST: Final = 120
_LONGEST_EXTENSION: Final = 20

_NOT_IN_A_NAME: Final = re.compile(r'[<>:"|?*%]')
_DEVICE: Final = re.compile(r"(?i:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)")
_NOT_ASCII: Final = re.compile(r"[^\x20-\x7e]")


def safe_name(name: str, otherwise: str) -> str:
    """Give a file name that leads to no other folder, hides nothing and is one on every system.

    Args:
        name: what a sender called it.
        otherwise: the name where nothing is left of that.
    """
    name = re.split(r"[/\\]", name)[-1]
    name = "".join(letter if letter.isprintable() else "_" for letter in name)
    name = _NOT_IN_A_NAME.sub("_", name).strip(". ")
    if len(name) > _LONGEST:
        stem, dot, extension = name.rpartition(".")
        end = dot + extension if stem and len(extension) <= _LONGEST_EXTENSION else ""
        name = name[: _LONGEST - len(end)].rstrip(". ") + end
    if not name:
        return otherwise
    return f"_{name}" if _DEVICE.match(name) else name


def attachment(name: str) -> str:
    """Write the ``Content-Disposition`` of a download of this name, a safe one."""
    plain = _NOT_ASCII.sub("_", name)
    header = f'attachment; filename="{plain}"'
    return header if plain == name else f"{header}; filename*=UTF-8''{quote(name, safe='')}"
