"""What a test sees of a simulator: who may call, the messages, what was refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from mesh_sim.exchange.messages import Message, MessageType
from mesh_sim.exchange.ports import Wanted
from mesh_sim.exchange.states import Status
from mesh_sim.wishes.base import Wish
from mesh_sim.wishes.mailboxes import MailboxId
from mesh_sim.witness.journal import BROKEN, Entry

SHOWN: Final = 10
"""How many messages or refusals a text names."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who calls: ``mailbox, password, shared_key = credentials``. Secrets are left out of the repr."""

    mailbox: str
    password: str = field(repr=False)
    shared_key: str = field(repr=False)

    def __iter__(self) -> Iterator[str]:
        return iter((self.mailbox, self.password, self.shared_key))


@dataclass(frozen=True, slots=True)
class SeenMessage:
    """A message as it was when it was looked at.

    ``status`` is uploading, accepted, acknowledged, undeliverable or error; ``message_type`` DATA or REPORT;
    ``sender`` '' on a report; ``file_size`` the bytes of the body as sent, 0 while it is uploading.
    """

    message_id: str
    status: str
    sender: str
    recipient: str
    workflow_id: str
    local_id: str
    subject: str
    file_name: str
    message_type: str
    file_size: int

    @classmethod
    def of(cls, message: Message) -> Self:
        """Take the view of a message."""
        return cls(
            message_id=message.message_id,
            status=message.status.value,
            sender=message.sender,
            recipient=message.recipient,
            workflow_id=message.workflow_id,
            local_id=message.metadata.local_id,
            subject=message.metadata.subject,
            file_name=message.file_name,
            message_type=message.message_type.value,
            file_size=message.file_size,
        )

    def __str__(self) -> str:
        return (
            f"{self.message_id} {self.message_type} {self.status}, {self.sender or 'MESH'} to "
            f"{self.recipient}, workflow {self.workflow_id!r}, local id {self.local_id!r}"
        )


class MessageQuery(Wish):
    """A mailbox that messages are for, and filters, checked."""

    mailbox: MailboxId | None = None
    sender: MailboxId | None = None
    workflow_id: str | None = None
    local_id: str | None = None
    subject: str | None = None
    status: Status | None = None
    message_type: MessageType | None = None

    def wanted(self) -> Wanted:
        """The same for the service desk."""
        return Wanted(recipient=self.mailbox, **self.model_dump(exclude={"mailbox"}))

    def __str__(self) -> str:
        given = self.model_dump(exclude_none=True, mode="json")
        return " and ".join(f"{name} {value!r}" for name, value in given.items()) or "anything"


class NothingCame(TimeoutError):
    """The message that was waited for was not there in time; the text says what there was instead.

    Attributes:
        query: what was waited for.
        instead: the messages there were, for the same mailbox if one was named, oldest first.
        refused: the last requests that were refused or broke off, oldest first.
    """

    def __init__(
        self, query: MessageQuery, timeout: float, instead: Sequence[SeenMessage], refused: Sequence[Entry]
    ) -> None:
        whose = f"messages for {query.mailbox}" if query.mailbox else "messages"
        lines = [
            f"no message with {query} within {timeout:g} s",
            *_listed(whose, [str(message) for message in instead]),
            *_listed("requests refused", [refusal(entry) for entry in refused]),
        ]
        super().__init__("\n".join(lines))
        self.query = query
        self.instead = tuple(instead)
        self.refused = tuple(refused)


def refusal(entry: Entry) -> str:
    """Say in one line which request came to nothing, and why."""
    outcome = "broken off" if entry.status == BROKEN else str(entry.status)
    fault = f"injected fault {entry.fault}" if entry.fault else ""
    why = "; ".join(filter(None, (fault, entry.reason, *entry.near_misses)))
    text = f"{entry.at:%H:%M:%S} {entry.mailbox or '-'} {entry.operation} {outcome}"
    return f"{text}: {why}" if why else text


def _listed(what: str, lines: list[str]) -> list[str]:
    if not lines:
        return [f"{what}: none"]
    of_all = f", the last {SHOWN} of {len(lines)}" if len(lines) > SHOWN else ""
    return [f"{what}{of_all}:", *(f"  {line}" for line in lines[-SHOWN:])]
