"""Write a file so that it is either there whole or not there at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ndoo.errors import ConfigError, OutputExists


@contextmanager
def write_output(path: Path, force: bool = False) -> Iterator[BinaryIO]:
    """Open ``path`` for writing; it appears, complete and on the disk, when the block ends well.

    Until then the bytes are in a temporary file in the same folder, readable by its owner only (mode
    0600, which the output keeps: it holds NHS numbers). Any exception, an interrupt too, removes it.

    Args:
        path: the output's name.
        force: replace a file that is there already.

    Raises:
        OutputExists: ``path`` exists, before or after writing, and ``force`` is not given.
        ConfigError: ``path`` is a folder or a device, or nothing can be created in its folder.
    """
    _check_target(path, force)
    try:
        descriptor, name = tempfile.mkstemp(prefix=".ndoo-", suffix=".part", dir=path.parent)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        # Somebody else may have made it during a wait of hours.
        _check_target(path, force)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _check_target(path: Path, force: bool) -> None:
    if path.exists() and not path.is_file():
        # Renaming over a device such as /dev/null would replace it for the whole machine.
        raise ConfigError(f"{path}: is not a file; name a file to write to")
    if not force and os.path.lexists(path):
        raise OutputExists(path)


def _sync_folder(folder: Path) -> None:
    # The new name is durable only once the folder that holds it is.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
