"""One run at a time on a mailbox: a lock in the user's data folder, and the name of who holds it.

MESH wants at most one thread a mailbox (witness-tests.md, case 801), and two runs that collect from one
inbox would take each other's messages.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from ndoo.errors import ConfigError, MailboxBusy


@contextmanager
def hold_mailbox(folder: Path, mailbox: str, command: str) -> Iterator[None]:
    """Keep every other run away from a mailbox while the block runs, whatever its server is called.

    A process that is killed lets go of it.

    Args:
        folder: where the lock is; made with mode 0700 where it is missing.
        mailbox: the mailbox id.
        command: what is being done, for whoever finds the mailbox taken.

    Raises:
        MailboxBusy: another run holds it; the text says which.
        ConfigError: the lock cannot be made.
    """
    holder = folder / f"{mailbox}.holder"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = FileLock(folder / f"{mailbox}.lock", timeout=0, mode=0o600)
        lock.acquire()
    except Timeout:
        raise MailboxBusy(mailbox, _describe(holder)) from None
    except OSError as error:
        raise ConfigError(f"{folder}: no lock can be made there: {error.strerror}") from error
    try:
        _sign(holder, command)
        yield
    finally:
        with suppress(OSError):
            holder.unlink(missing_ok=True)
        lock.release()


def _sign(holder: Path, command: str) -> None:
    """Say who holds the lock; whole at once, for somebody may read it at any moment."""
    fields = {"process": os.getpid(), "command": command, "since": datetime.now(UTC).isoformat()}
    with suppress(OSError):  # without it the mailbox is just as taken
        # A name that nobody can guess, and a file that is made here: no link that waits for it is followed.
        descriptor, name = tempfile.mkstemp(prefix=f".{holder.name}.", dir=holder.parent)
        try:
            with os.fdopen(descriptor, "w") as fresh:
                json.dump(fields, fresh)
            Path(name).replace(holder)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise


def _describe(holder: Path) -> str:
    try:
        fields = json.loads(holder.read_text())
        since = datetime.fromisoformat(fields["since"]).astimezone(UTC)
        return f"'{fields['command']}' (process {int(fields['process'])}, since {since:%d %B %H:%M} UTC)"
    except (OSError, ValueError, KeyError, TypeError):
        # The other run has the lock but has not signed yet, or is just leaving.
        return "another run of ndoo"
