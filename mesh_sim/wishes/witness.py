"""What somebody who rehearses the witness test wants."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field, StringConstraints

from mesh_sim.wishes.base import Wish
from mesh_sim.wishes.mailboxes import MailboxId

_MD5: Final = re.compile(r"[0-9A-Fa-f]{32}", re.ASCII)

CaseId = Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True, min_length=1, max_length=40)]
"""Such as ``401``, or a finding's name."""


def _md5(text: str) -> str:
    if not _MD5.fullmatch(text):
        raise ValueError("must be 32 hexadecimal digits")
    return text.lower()


class StartWish(Wish):
    """A case to set the stage for; ``fresh`` begins a new rehearsal."""

    mailbox: MailboxId
    case: CaseId
    fresh: bool = False


class FinishWish(Wish):
    """The client has finished its part of a step; ``exit_status`` is that of the command that drove it."""

    mailbox: MailboxId
    step: int = Field(ge=0, le=100)
    exit_status: int | None = Field(None, ge=-(2**31), lt=2**32)


class CompareWish(Wish):
    """A file of the tester's, to be compared with what a case was about."""

    mailbox: MailboxId
    case: CaseId
    size: int = Field(ge=0, lt=2**63)
    md5: Annotated[str, AfterValidator(_md5)]
