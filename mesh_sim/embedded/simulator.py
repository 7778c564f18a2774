"""The simulator in plain Python: ``with Simulator() as sim:``, and in tests as the fixture ``mesh_sim``.

>>> with Simulator() as sim:
...     mailbox, password, shared_key = sim.credentials("X26ABC1")
...     ...  # a client sends from there to X26ABC2, at sim.url
...     (message,) = sim.messages("X26ABC2", status="accepted")
...     sim.advance(days=5)
...     (report,) = sim.messages("X26ABC1", message_type="REPORT")

It runs beside the program that uses it, in a thread of its own. Every call waits until what it asks for is
done, which takes milliseconds; only :meth:`Simulator.wait_for` may take long.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeVar, Unpack, cast

from pydantic import ValidationError

from mesh_sim.api.control.wait import until_found
from mesh_sim.app import Server
from mesh_sim.conductor.state import Cue
from mesh_sim.durations import parse_duration
from mesh_sim.embedded.faults import Fault, action_of
from mesh_sim.embedded.hosted import Hosted
from mesh_sim.embedded.keywords import FaultOptions, Filters, MailboxFields, MessageFields, Units
from mesh_sim.embedded.seen import SHOWN, Credentials, MessageQuery, NothingCame, SeenMessage, refusal
from mesh_sim.exchange.messages import INLINE_LIMIT, Message
from mesh_sim.exchange.states import Status
from mesh_sim.faults import ANY, FaultRule
from mesh_sim.gzip import decompressed
from mesh_sim.optouts.loading import parse_numbers
from mesh_sim.wishes.base import Wish, problems_of
from mesh_sim.wishes.faults import FaultWish
from mesh_sim.wishes.mailboxes import MailboxWish
from mesh_sim.wishes.messages import MessageWish
from mesh_sim.witness.journal import Entry, JournalFilter
from mesh_sim.witness.report import Report

__all__ = ["Credentials", "Cue", "Fault", "NothingCame", "Report", "SeenMessage", "Simulator"]

W = TypeVar("W", bound=Wish)

_ALL: Final = 10_000_000
_GZIP: Final = "gzip"


class Simulator(Hosted):
    """A simulator on a free loopback port, nobody opted out, its data in a folder that goes when it stops.

    Settings are those of ``mesh-sim.toml``, by name: ``Simulator(tls="mutual", ndoo_reply_delay="40m")``.
    Only what is given here counts: neither variables nor files of whoever runs the program do.
    ``Simulator(data=folder)`` keeps the data, for another simulator to go on with.

    Mailbox ids may be in either letter case. A mailbox that does not exist raises a ``LookupError``, any
    other value that is not allowed a ``ValueError``, and calls before the start or after the stop a
    ``RuntimeError``.

    Raises:
        SettingsError: there is no such setting, or a value is not allowed; so do ``start`` and ``with``.
    """

    # -- mailboxes and people -----------------------------------------------------------------------

    def mailbox(self, mailbox: str, **fields: Unpack[MailboxFields]) -> Credentials:
        """Change a mailbox, or create it: with the password ``password``, unless another is given."""
        wish = _wished(MailboxWish, {"mailbox_id": mailbox, **fields})

        async def settle(server: Server) -> None:
            mailboxes, exchange = server.core.mailboxes, server.exchange
            if exchange.directory.mailbox(wish.mailbox_id) is None:
                await mailboxes.create(wish.mailbox())
            else:
                await mailboxes.change(wish.mailbox_id, wish.changes())

        self._host.run(settle)
        return self.credentials(wish.mailbox_id)

    def disable(self, mailbox: str) -> None:
        """Have a mailbox refused, as caller and as recipient."""
        self.mailbox(self._known(mailbox).mailbox_id, active=False)

    def enable(self, mailbox: str) -> None:
        """Let a mailbox take part again."""
        self.mailbox(self._known(mailbox).mailbox_id, active=True)

    def opt_out(self, *nhs_numbers: str | int, registered_at: datetime | None = None) -> None:
        """Opt people out, from now on or from ``registered_at``; all of them, or none if one is invalid."""
        self._choose(nhs_numbers, registered_at, opted_out=True)

    def withdraw(self, *nhs_numbers: str | int, registered_at: datetime | None = None) -> None:
        """Withdraw people's opt-outs: whatever ``opt_out_rate`` is, they have not opted out."""
        self._choose(nhs_numbers, registered_at, opted_out=False)

    # -- time ---------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """The simulated time, in UTC."""
        return self._host.server.clock.now()

    def advance(self, by: str | timedelta = timedelta(), **units: Unpack[Units]) -> None:
        """Move simulated time forward: ``advance(days=5)`` or ``advance("5d")``.

        Messages that are then due to expire or to be deleted have been. An answer of the opt-out service
        that is due then comes by itself, within moments: :meth:`wait_for` it.
        """
        length = (parse_duration(by) if isinstance(by, str) else by) + timedelta(**units)
        self._host.run(lambda server: server.core.time.advance(length))

    # -- messages -----------------------------------------------------------------------------------

    def messages(self, mailbox: str | None = None, **filters: Unpack[Filters]) -> list[SeenMessage]:
        """List the messages that are there, oldest first: those for a mailbox, or all.

        Acknowledged and expired ones too; ``status="accepted"`` gives those that wait to be collected.
        """
        query = self._query(mailbox, filters)
        return [SeenMessage.of(message) for message in self._find(query)]

    def body(self, message: SeenMessage | str) -> bytes:
        """Give the body of a message, or of the one with this id: all chunks, without their compression.

        Raises:
            LookupError: there is no such message, or it is still uploading.
        """
        message_id = message if isinstance(message, str) else message.message_id
        return self._host.run(lambda server: _body(server, message_id))

    def wait_for(
        self, mailbox: str | None = None, *, timeout: float = 10.0, **filters: Unpack[Filters]
    ) -> SeenMessage:
        """Wait until there is a message that :meth:`messages` would list, and give the first.

        It blocks; in asynchronous code: ``await asyncio.to_thread(simulator.wait_for, …)``.

        Args:
            mailbox: whom it is for.
            timeout: seconds of real time.
            **filters: what it must be.

        Raises:
            NothingCame: a ``TimeoutError``; its text says what there is instead and what was refused.
        """
        query, patience = self._query(mailbox, filters), timedelta(seconds=timeout)

        async def wait(server: Server) -> Sequence[Message] | None:
            desk, events = server.core.desk, server.exchange.events
            return await until_found(desk, events, query.wanted(), 1, 1, patience)

        found = self._host.run(wait)
        if not found:
            raise NothingCame(query, timeout, self.messages(query.mailbox), self._refused())
        return SeenMessage.of(found[0])

    def put(
        self,
        mailbox: str,
        body: str | bytes = "a message for testing",
        *,
        count: int = 1,
        **fields: Unpack[MessageFields],
    ) -> list[str]:
        """Put messages into an inbox, as if each had been sent after the other; give their ids.

        They come from X26ABC1 with the workflow TEST_WORKFLOW unless ``fields`` say otherwise. Whether the
        sender may send them is not asked.
        """
        payload = body.encode() if isinstance(body, str) else body
        if len(payload) > INLINE_LIMIT:
            raise ValueError(f"a body put here has at most {INLINE_LIMIT} bytes; send it through a client")
        encoded = base64.b64encode(payload).decode()
        given: dict[str, object] = {"to": mailbox, "count": count, "body_base64": encoded, **fields}
        if "sender" in given:
            given["from"] = given.pop("sender")
        wish = _wished(MessageWish, given)
        for named in (wish.to, wish.sender):
            self._known(named)

        async def put(server: Server) -> list[str]:
            return await server.core.desk.put_many(wish.messages(server.exchange.now()))

        return self._host.run(put)

    # -- the witness test ----------------------------------------------------------------------------

    def rehearse(self, mailbox: str, case: str) -> Cue:
        """Set the stage for a case of the witness test; give what the client is to do.

        The case ends by itself once the client has done it; starting another ends it as it is.

        Raises:
            ValueError: there is no such case, it needs no start, or the mailbox is none of a client.
            RuntimeError: another mailbox's case, or this one's, needs the clock.
        """
        mailbox_id = self._known(mailbox).mailbox_id
        state = self._host.run(lambda server: server.conductor.start(mailbox_id, case))
        return cast("Cue", state.cue)  # there is one: nobody went on before the state was taken

    def witness_report(self, mailbox: str) -> Report:
        """Judge the witness test by what a mailbox has asked so far."""
        mailbox_id = self._known(mailbox).mailbox_id
        return self._host.run(lambda server: server.conductor.report(mailbox_id))

    # -- what goes wrong ----------------------------------------------------------------------------

    def fail(self, operation: str = ANY, *, reset: bool = False, **options: Unpack[FaultOptions]) -> Fault:
        """Have calls fail: ``fail("send", status=503, times=2)``, ``fail("list", delay="2s")``.

        ``reset=True`` breaks the connection; ``action="truncate"`` cuts the answer short, and
        ``action="lose-response"`` loses it after the work is done.

        Args:
            operation: its name in the journal, such as send, list, download or acknowledge; ``*`` for all.
            reset: break the connection, without an answer.
            **options: what happens to which calls.

        Returns:
            The rule; in a ``with`` block it ends with the block.
        """
        action = action_of(options, reset=reset)
        given = {"operation": operation, **options} | ({"action": action} if action else {})
        rule = _wished(FaultWish, given).rule()
        if rule.mailbox:
            self._known(rule.mailbox)

        async def add(server: Server) -> FaultRule:
            return server.faults.add(rule)

        return Fault(self._host, self._host.run(add))

    @property
    def journal(self) -> list[Entry]:
        """Every request so far, oldest first, with the reason of each refusal."""
        wanted = JournalFilter(limit=_ALL, oldest_first=True)
        return list(self._host.run(lambda server: server.journal.entries(wanted)))

    def refusals(self) -> str:
        """Say of the last ten requests that came to nothing which they were and why, a line each."""
        return "\n".join(map(refusal, self._refused()[-SHOWN:]))

    def reset(self) -> None:
        """Have everything be as at the start: messages, people, mailboxes, time, faults, journal, witness."""
        self._host.run(lambda server: server.fresh_start.everything())

    # -- inside -------------------------------------------------------------------------------------

    def _query(self, mailbox: str | None, filters: Filters) -> MessageQuery:
        query = _wished(MessageQuery, {"mailbox": mailbox, **filters})
        for named in (query.mailbox, query.sender):
            if named:
                self._known(named)
        return query

    def _find(self, query: MessageQuery) -> Sequence[Message]:
        return self._host.run(lambda server: server.core.desk.find(query.wanted(), _ALL))

    def _refused(self) -> Sequence[Entry]:
        wanted = JournalFilter(unsuccessful=True, limit=_ALL, oldest_first=True)
        return self._host.run(lambda server: server.journal.entries(wanted))

    def _choose(
        self, nhs_numbers: Sequence[str | int], registered_at: datetime | None, *, opted_out: bool
    ) -> None:
        texts = (number if isinstance(number, str) else f"{number:010}" for number in nhs_numbers)
        numbers = parse_numbers(texts, self._host.server.core.settings.nhs_number_rule)

        async def record(server: Server) -> None:
            await server.core.register.load(numbers, opted_out=opted_out, registered_at=registered_at)

        self._host.run(record)


def _wished(model: type[W], given: Mapping[str, object]) -> W:
    try:
        return model.model_validate(given)
    except ValidationError as error:
        # From None: pydantic's own text holds the values, secret ones too.
        raise ValueError("; ".join(map(str, problems_of(error, model)))) from None


async def _body(server: Server, message_id: str) -> bytes:
    message = await server.core.messages.message(message_id)
    if message is None:
        raise LookupError(f"there is no message {message_id}")
    if message.status is Status.UPLOADING:
        raise LookupError(f"message {message_id} is still uploading; wait for it with status='accepted'")

    async def sent() -> AsyncIterator[bytes]:
        for number in range(1, message.total_chunks + 1):
            chunk = await server.core.messages.chunk(message_id, number)
            if chunk is not None:  # a report has none, nor has one that missing-chunks lets through
                async for block in server.exchange.payload(chunk):
                    yield block

    plain = decompressed(sent()) if message.metadata.content_encoding == _GZIP else sent()
    return b"".join([block async for block in plain])
