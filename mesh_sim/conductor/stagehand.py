"""Setting a stage up and putting it back: what a case asks for, done to mailboxes, messages and the clock."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from mesh_sim.clock import real_now
from mesh_sim.conductor.errors import StageTaken
from mesh_sim.exchange.bodies import take_in
from mesh_sim.exchange.desk import ServiceDesk
from mesh_sim.exchange.directory import Directory, Mailbox
from mesh_sim.exchange.errors import NotFound, StorageFailed
from mesh_sim.exchange.messages import Chunk, Message, MessageType, Metadata, Stored, new_message_id
from mesh_sim.exchange.ports import PayloadStore, Wanted
from mesh_sim.exchange.states import Status, Step, advance
from mesh_sim.gzip import compressed
from mesh_sim.mailboxes import MailboxExists, MailboxRegister, UnknownMailbox
from mesh_sim.timekeeper import TimeKeeper
from mesh_sim.witness.cases.base import Case, Disabled, Expiry, NoSuchMessage, Prop, SendTo, Waiting
from mesh_sim.witness.originals import blocks, original
from mesh_sim.witness.rehearsal import COUNTERPART, DORMANT, NOBODY, WORKFLOW, Attempt

_PARTNERS: Final = {COUNTERPART: "Witness test: counterpart", DORMANT: "Witness test: dormant"}
_AT_ONCE: Final = 500
"""How many messages are taken out of an inbox at once."""
_A_SECOND: Final = timedelta(seconds=1)
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(slots=True)
class Staging:
    """One step of a case while it is being set up."""

    mailbox: str
    case: Case
    attempt: Attempt
    """With all that has been set up so far."""
    sent: Sequence[str] = ()
    """Ids of the messages that the client has sent in this attempt."""
    at: datetime | None = None
    """When the client could first see something of it, in real time."""

    def show(self) -> None:
        """Note that from now on the client may see something of it."""
        self.at = self.at or real_now()

    def ready(self) -> Attempt:
        """Give the attempt with this step set up."""
        self.show()
        return replace(self.attempt, steps_at=(*self.attempt.steps_at, self.at or real_now()))


class Stagehand:
    """Sets up what cases ask for, and puts it back."""

    def __init__(
        self,
        desk: ServiceDesk,
        mailboxes: MailboxRegister,
        directory: Directory,
        time: TimeKeeper,
        payloads: PayloadStore,
        *,
        inbox_expiry: timedelta,
    ) -> None:
        self.time = time
        self._desk = desk
        self._mailboxes = mailboxes
        self._directory = directory
        self._payloads = payloads
        self._inbox_expiry = inbox_expiry
        self._set_up: Mapping[type[Prop], Callable[[Staging, Any], Awaitable[None]]] = {
            Waiting: self._put_messages,
            SendTo: self._name_recipient,
            NoSuchMessage: self._name_no_message,
            Disabled: self._disable,
            Expiry: self._let_expire,
        }

    def is_active(self, mailbox_id: str) -> bool:
        """Tell whether a mailbox is there and not disabled."""
        mailbox = self._directory.mailbox(mailbox_id)
        return mailbox is not None and mailbox.active

    async def set_up(self, staging: Staging) -> Attempt:
        """Set the attempt's next step up; what fails half-way is for :meth:`clear` to put back.

        Raises:
            StageTaken: the clock cannot be moved that far, or a mailbox is not as the case needs it.
            StorageFailed: it could not be kept.
        """
        for mailbox_id, name in _PARTNERS.items():
            if self._directory.mailbox(mailbox_id) is None:
                with contextlib.suppress(MailboxExists):  # another process was quicker
                    await self._mailboxes.create(Mailbox(mailbox_id, name, "password"))
        for prop in staging.case.steps[len(staging.attempt.steps_at)].props:
            await self._set_up[type(prop)](staging, prop)
        return staging.ready()

    async def enable(self, mailbox_id: str) -> None:
        """Let a mailbox take part again, if it still exists."""
        with contextlib.suppress(UnknownMailbox):
            await self._mailboxes.change(mailbox_id, {"active": True})

    async def clear(self, mailbox_id: str, report_id: str) -> None:
        """Take out of the inboxes what an attempt leaves there, so that the next case begins without it."""
        await self._take_out(Wanted(sender=COUNTERPART, recipient=mailbox_id))
        for partner in _PARTNERS:
            await self._take_out(Wanted(sender=mailbox_id, recipient=partner))
        if report_id:
            with contextlib.suppress(NotFound):
                report = await self._desk.message(report_id)
                if report.waiting:
                    await self._desk.set_status(report.message_id, Status.ACKNOWLEDGED)

    async def _take_out(self, wanted: Wanted) -> None:
        # As acknowledged: any other way out of an inbox makes a failure of it, or a report.
        waiting = replace(wanted, status=Status.ACCEPTED)
        while found := await self._desk.find(waiting, _AT_ONCE):
            await asyncio.gather(*(self._acknowledge(message) for message in found))

    async def _acknowledge(self, message: Message) -> None:
        with contextlib.suppress(NotFound):
            await self._desk.set_status(message.message_id, Status.ACKNOWLEDGED)

    # -- the props -----------------------------------------------------------------------------------

    async def _put_messages(self, staging: Staging, prop: Waiting) -> None:
        whole = await asyncio.to_thread(original, staging.case.id, prop.size, prop.chunks)
        drafts: list[tuple[Message, Sequence[Chunk]]] = []
        bodies: list[Stored] = []
        try:
            chunks: Sequence[Chunk] = ()
            for message in _messages(staging, prop, self.time.now()):
                if not chunks or bodies:  # a body in the payload store belongs to one message
                    chunks = await self._chunks(staging.case, prop, bodies)
                drafts.append((message, chunks))
            staging.show()
            await self._desk.put(drafts)
        except StorageFailed:
            await self._payloads.delete(bodies)
            raise
        ids = tuple(message.message_id for message, _ in drafts)
        staging.attempt = replace(staging.attempt, message_ids=ids, original=whole)

    async def _chunks(self, case: Case, prop: Waiting, bodies: list[Stored]) -> list[Chunk]:
        """Keep the chunks of one message; those in the payload store are added to ``bodies``."""
        chunks = []
        for number in range(1, prop.chunks + 1):
            plain = _in_thread(blocks(case.id, prop.size, chunk=number, chunks=prop.chunks))
            body, size = await take_in(compressed(plain) if prop.gzip else plain, self._payloads, None)
            if isinstance(body, Stored):
                bodies.append(body)
            chunks.append(Chunk(number, size, body))
        return chunks

    async def _name_recipient(self, staging: Staging, prop: SendTo) -> None:
        self._check_recipient(prop.mailbox)
        file = staging.attempt.original
        if prop.size is not None:
            file = await asyncio.to_thread(original, staging.case.id, prop.size)
        staging.attempt = replace(staging.attempt, recipient=prop.mailbox, original=file)

    def _check_recipient(self, mailbox_id: str) -> None:
        # Both may come from the settings; what the client then meets would be held against it.
        if mailbox_id == NOBODY:
            if self._directory.mailbox(mailbox_id) is not None:
                raise StageTaken(
                    f"the case needs an id that no mailbox has, and there is a mailbox {mailbox_id}; take it "
                    "out of the mailboxes file or the scenario"
                )
        elif not self.is_active(mailbox_id):
            raise StageTaken(
                f"mailbox {mailbox_id}, which the case needs, is disabled; enable it with mesh-sim mailbox "
                f"enable {mailbox_id}"
            )

    async def _name_no_message(self, staging: Staging, _prop: NoSuchMessage) -> None:
        message_id = new_message_id(self.time.now())
        staging.attempt = replace(staging.attempt, message_ids=(message_id,))

    async def _disable(self, staging: Staging, _prop: Disabled) -> None:
        staging.show()
        await self._mailboxes.change(staging.mailbox, {"active": False})

    async def _let_expire(self, staging: Staging, _prop: Expiry) -> None:
        # The counterpart has collected by then: of what it had not, the client would get reports as well.
        await self._take_out(Wanted(recipient=COUNTERPART))
        staging.show()
        await self._advance(timedelta())
        # A simulator that was stopped amid this has moved the clock already. Twice, and the report would be
        # given up as well.
        report_id = await self._report_on(staging.sent)
        if not report_id:
            await self._advance(self._inbox_expiry + _A_SECOND)
            report_id = await self._report_on(staging.sent)
        staging.attempt = replace(staging.attempt, report_id=report_id)

    async def _advance(self, by: timedelta) -> None:
        """Move the clock; what is due by then, if only since the simulator was started, has happened."""
        try:
            await self.time.advance(by)
        except ValueError as error:
            raise StageTaken(f"the case needs simulated time to pass, but {error}") from error

    async def _report_on(self, sent: Sequence[str]) -> str:
        for message_id in sent:
            with contextlib.suppress(NotFound):
                message = await self._desk.message(message_id)
                if message.failure is not None and message.failure.linked_message_id:
                    return message.failure.linked_message_id
        return ""


def _messages(staging: Staging, prop: Waiting, at: datetime) -> Iterator[Message]:
    """Make the messages of the counterpart, as if each had been sent a microsecond after the other."""
    for number in range(prop.count):
        moment = at + number * _MICROSECOND
        yield Message(
            message_id=new_message_id(moment),
            message_type=MessageType.DATA,
            sender=COUNTERPART,
            recipient=staging.mailbox,
            workflow_id=WORKFLOW,
            status=advance(None, Step.SEND),
            total_chunks=prop.chunks,
            created_at=moment,
            accepted_at=moment,
            metadata=Metadata(
                subject=f"witness test, case {staging.case.id}",
                local_id=f"witness-{staging.case.id}-{number + 1}",
                content_encoding="gzip" if prop.gzip else "",
                compressed=prop.gzip,
            ),
        )


async def _in_thread(source: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Have blocks made where nobody waits for them."""
    while block := await asyncio.to_thread(next, source, b""):
        yield block
