"""A mailbox as somebody wants it."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, SecretStr, StringConstraints

from mesh_sim.exchange.directory import Mailbox
from mesh_sim.wishes.base import Wish

_MAILBOX_ID = re.compile(r"[A-Za-z0-9_-]{1,40}", re.ASCII)


def _mailbox_id(text: str) -> str:
    if not _MAILBOX_ID.fullmatch(text.strip()):
        raise ValueError("a mailbox id has 1 to 40 letters, digits, - or _")
    return text.strip().upper()


MailboxId = Annotated[str, AfterValidator(_mailbox_id)]
"""Letters, digits, ``-`` and ``_``; upper-cased, as MESH compares them."""

ShortText = Annotated[str, StringConstraints(max_length=200)]


class MailboxWish(Wish):
    """What a mailbox is to be; of one that is there already, what is not given stays."""

    mailbox_id: MailboxId
    mailbox_name: ShortText | None = None
    password: SecretStr | None = Field(None, max_length=200)
    billing_entity: ShortText | None = None
    ods_code: ShortText | None = None
    org_code: ShortText | None = None
    org_name: ShortText | None = None
    active: bool | None = None

    def mailbox(self) -> Mailbox:
        """The mailbox to create: called by its id, with the password ``password``, unless said otherwise."""
        given = {"mailbox_name": self.mailbox_id, "password": "password", **self.changes()}
        return Mailbox(self.mailbox_id, **given)

    def changes(self) -> dict[str, Any]:
        """What was given, by the names of a mailbox's fields."""
        given = self.model_dump(exclude={"mailbox_id"}, exclude_none=True)
        if self.password is not None:
            given["password"] = self.password.get_secret_value()
        return given
