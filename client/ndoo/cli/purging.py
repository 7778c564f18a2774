"""Finding temporary caches on the disk, and deleting those that have expired.

Nothing is deleted but a regular file that says itself, from its first line to its last, that it is a
temporary cache. No link is followed. No password is needed: what is deleted is of no use.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from ndoo.cache import CacheStatus, read_header, read_status
from ndoo.cli.show import span
from ndoo.errors import CacheAltered, CacheError


class Fate(StrEnum):
    """What becomes of a file."""

    DELETED = "deleted"
    """It was, or with ``dry_run`` would be."""

    KEPT = "kept"
    """It has not expired."""

    LEFT = "left"
    """It is damaged or cannot be read; whether it may go is for a person to say."""

    FAILED = "failed"
    """It was to be deleted, or was named, and could not be."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A file, what became of it, and why."""

    path: Path
    fate: Fate
    why: str
    expires: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Purge:
    """How to purge.

    Args:
        now: gives the time that decides for the caches of a mailbox.
        recursive: look into folders inside folders.
        altered: delete caches that were cut short, too.
        dry_run: delete nothing.
    """

    now: Callable[[str], datetime]
    recursive: bool = False
    altered: bool = False
    dry_run: bool = False

    def run(self, paths: Iterable[Path]) -> Iterator[Judged]:
        """Purge files and folders; each file is judged once."""
        seen: set[str] = set()
        for path in paths:
            if path.is_symlink():
                yield Judged(path, Fate.FAILED, "is a link; name what it leads to")
                continue
            named = not path.is_dir()
            files: Iterable[Path | Judged] = [path] if named else files_in(path, recursive=self.recursive)
            for file in files:
                if isinstance(file, Judged):
                    yield file
                elif (place := os.path.realpath(file)) not in seen:
                    seen.add(place)
                    if (judged := self._judge(file, named=named)) is not None:
                        yield judged

    def _judge(self, path: Path, *, named: bool) -> Judged | None:
        """Decide about a file; None for one of a folder that is no temporary cache."""
        try:
            before = path.lstat()
            status = read_status(path)
        except CacheAltered:
            return self._judge_altered(path)
        except CacheError as error:
            if named:
                return Judged(path, Fate.FAILED, error.reason)
            unreadable = isinstance(error.__cause__, OSError)
            return Judged(path, Fate.LEFT, error.reason) if unreadable else None
        except OSError as error:
            return Judged(path, Fate.FAILED, f"cannot be found: {error.strerror}") if named else None
        now = self.now(status.mailbox)
        if not status.expired(now):
            return Judged(path, Fate.KEPT, f"expires in {span(status.expires - now)}", status.expires)
        return self._delete(path, before, f"expired {span(now - status.expires)} ago", status)

    def _judge_altered(self, path: Path) -> Judged:
        try:
            before = path.lstat()
            read_header(path)
        except (CacheError, OSError):
            return Judged(path, Fate.LEFT, "its first lines are damaged")
        if not self.altered:
            return Judged(path, Fate.LEFT, "was cut short; --altered deletes it")
        return self._delete(path, before, "was cut short")

    def _delete(
        self, path: Path, before: os.stat_result, why: str, status: CacheStatus | None = None
    ) -> Judged:
        expires = status.expires if status is not None else None
        if not self.dry_run:
            try:
                if _identity(path.lstat()) != _identity(before):
                    return Judged(path, Fate.KEPT, "was replaced a moment ago")  # by a refresh
                path.unlink()
            except OSError as error:
                return Judged(path, Fate.FAILED, f"cannot be deleted: {error.strerror}", expires)
        return Judged(path, Fate.DELETED, why, expires)


def _identity(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_dev, found.st_ino, found.st_mtime_ns


def files_in(folder: Path, *, recursive: bool = False) -> Iterator[Path | Judged]:
    """Give the regular files of a folder in the order of their names; a folder that cannot be read is told.

    Files that ``ndoo`` is just writing are left out.
    """
    unreadable: list[Judged] = []

    def failed(error: OSError) -> None:
        path = Path(error.filename)
        fate = Fate.FAILED if path == folder else Fate.LEFT
        unreadable.append(Judged(path, fate, f"cannot be looked into: {error.strerror}"))

    for parent, folders, names in os.walk(folder, onerror=failed):
        folders[:] = sorted(folders) if recursive else []
        for name in sorted(names):
            path = Path(parent, name)
            written_now = name.startswith(".ndoo-") and name.endswith(".part")
            if not written_now and _is_regular(path):
                yield path
    yield from unreadable


def caches_in(folder: Path) -> list[Path]:
    """List the temporary caches of a folder, sound or not."""
    found = []
    for path in files_in(folder):
        if isinstance(path, Path):
            try:
                read_header(path)
            except CacheAltered:
                pass
            except CacheError:
                continue
            found.append(path)
    return found


def _is_regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False
