"""Write a file so that it is either there whole or not there at all."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Final

from ndoo.errors import ConfigError, OutputExists

if sys.platform != "win32":
    import fcntl

NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says where there is no room for more."""


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
    with open_part(path) as (out, part):
        try:
            yield out
            out.flush()
            os.fsync(out.fileno())
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise
            advice = "make room on the disk and run it again"
            raise ConfigError(f"{path}: cannot be written: {error.strerror}; {advice}") from error
        # Somebody else may have made it during a wait of hours.
        _check_target(path, force)
        if sys.platform == "win32":
            out.close()  # a file that is open cannot be renamed there
        part.replace(path)
    sync_folder(path.parent)


@contextmanager
def open_part(path: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """Open a temporary file beside ``path``, for what is to become it; it is gone when the block ends.

    It is readable by its owner only (mode 0600). What a process that was killed left behind of the same
    ``path`` is removed first.

    Raises:
        ConfigError: nothing can be created in the folder.
    """
    remove_abandoned(path)
    try:
        out, part = _make(path.parent, _prefix(path))
    except FileNotFoundError as error:
        raise ConfigError(f"{path.parent}: no such folder; make it, or name another place") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error
    try:
        yield out, part
    finally:
        # On a full disk closing fails again; whatever matters was flushed, or has failed, before.
        with suppress(OSError):
            out.close()
        part.unlink(missing_ok=True)


def _make(folder: Path, prefix: str) -> tuple[BinaryIO, Path]:
    while True:
        descriptor, name = tempfile.mkstemp(prefix=prefix, suffix=".part", dir=folder)
        out = os.fdopen(descriptor, "w+b")
        # Another process, looking for abandoned ones, may have been quicker.
        if _claim(out) and Path(name).exists():
            return out, Path(name)
        out.close()


@contextmanager
def claim(path: Path) -> Iterator[bool]:
    """Mark a file as in use by this process while the block runs; gives whether no other was using it.

    On Windows there is no such mark, and the answer is always yes.

    Raises:
        OSError: it cannot be opened.
    """
    if sys.platform == "win32":  # where a file that is open cannot be removed either
        yield True
        return
    with path.open("rb") as file:
        yield _claim(file)


def _claim(file: BinaryIO) -> bool:
    """Mark a temporary file as in use for as long as it is open; tells whether it was not."""
    if sys.platform != "win32":
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


def remove_abandoned(path: Path) -> None:
    """Remove what processes that were killed have left of ``path``; nothing of it is worth failing for."""
    with suppress(OSError):
        for part in path.parent.glob(f"{_prefix(path)}*.part"):
            with suppress(OSError):
                if sys.platform == "win32":
                    part.unlink()  # refused there while it is in use
                else:
                    with part.open("rb") as file:
                        if _claim(file):
                            part.unlink()


def _prefix(path: Path) -> str:
    # Of fixed length, since the name may have all the characters a name can have, and in any encoding.
    return f".ndoo-{sha256(os.fsencode(path.name)).hexdigest()[:12]}-"


def absolute(path: Path) -> Path:
    """Give the whole name of a file: a link stays one, and ".." is taken as people mean it."""
    return Path(os.path.abspath(path))  # noqa: PTH100 -- Path.absolute() would keep ".."


def sync_folder(folder: Path) -> None:
    """Make durable what names a folder holds: a new name is so only once its folder is."""
    if sys.platform == "win32":  # folders cannot be opened there, and renaming is durable
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_target(path: Path, force: bool) -> None:
    if path.exists() and not path.is_file():
        # Renaming over a device such as /dev/null would replace it for the whole machine.
        raise ConfigError(f"{path}: is not a file; name a file to write to")
    if not force and os.path.lexists(path):
        raise OutputExists(path)
