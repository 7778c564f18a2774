"""The conductor: sets the stage for a case, hears when the client has done its part, and goes on itself."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from mesh_sim.clock import real_now
from mesh_sim.conductor.errors import CannotRehearse, NothingToCompare, NotRehearsing, StageTaken
from mesh_sim.conductor.kept import Kept, read
from mesh_sim.conductor.part import MOST_WATCHED, Part
from mesh_sim.conductor.progress import DOCUMENT, Progress
from mesh_sim.conductor.stagehand import Stagehand
from mesh_sim.conductor.state import Standing, State, cue_of
from mesh_sim.conductor.traffic import Traffic
from mesh_sim.exchange.events import Events, Kind
from mesh_sim.shared import Documents
from mesh_sim.witness.cases.base import Case, SendTo
from mesh_sim.witness.catalogue import CASES
from mesh_sim.witness.journal import Entry
from mesh_sim.witness.rehearsal import COUNTERPART, DORMANT, Attempt, Compared, Original, Rehearsal

if TYPE_CHECKING:
    from mesh_sim.witness.report import Report

log = logging.getLogger("mesh_sim.witness")

_RESTING: Final = 4.0
"""How much longer than looking the pause after it is, so that a client in a loop leaves others their time."""
_LONGEST_REST_S: Final = 0.25

_NEWS: Final = frozenset((Kind.WITNESS, Kind.RESET))
"""What may change how a rehearsal stands."""


class Conductor:
    """Holds the rehearsals of one simulator. To be used from one event loop."""

    def __init__(
        self,
        stagehand: Stagehand,
        traffic: Traffic,
        documents: Documents,
        events: Events,
        *,
        service: str,
        cases: Sequence[Case] = CASES,
    ) -> None:
        """Make one; ``service`` is the mailbox that the simulator itself answers for."""
        self.cases = {case.id: case for case in cases}
        self.rehearsing: set[str] = set()
        """The mailboxes that have a rehearsal; it changes as they do."""
        self._traffic = traffic
        self._documents = documents
        self._events = events
        self.not_to_rehearse = {
            service: "is the opt-out service's, which the simulator answers for",
            COUNTERPART: "is the counterpart of those who rehearse",
            DORMANT: "is the dormant one of those who rehearse",
        }
        """The mailboxes that cannot rehearse, and why."""
        self._parts: dict[str, Part] = {}
        self._one_at_a_time = asyncio.Lock()
        self._one_report = asyncio.Lock()
        self._news = asyncio.Event()
        self._last_heard: int | None = None
        self._progress = Progress(
            self._parts, self.cases, stagehand, documents, events, staged=self._news.set
        )

    # -- listening -----------------------------------------------------------------------------------

    async def open(self) -> None:
        """Take up what was under way when the simulator stopped.

        Raises:
            StorageFailed: what is kept cannot be read.
        """
        document = await self._documents.document(DOCUMENT)
        if document is None:
            return
        every = _read(document.content)
        for kept in every:
            self._parts[kept.rehearsal.mailbox] = Part(kept, version=document.version, unseen=True)
            self.rehearsing.add(kept.rehearsal.mailbox)
        for part in list(self._parts.values()):
            await self._take_up(part)
        if tuple(part.kept for part in self._parts.values()) != every:
            await self._progress.save()

    async def _take_up(self, part: Part) -> None:
        attempt = part.rehearsal.current
        if attempt is None:
            await (self._progress.put_back(part) if part.kept.staging else self._progress.enable(part))
        elif attempt.case not in self.cases:
            await self._progress.end(part, attempt)
        else:
            part.heard += (await self._traffic.of(part.mailbox, attempt.steps_at[0]))[-MOST_WATCHED:]
        if not part.rehearsal.attempts:  # it was stopped before the first stage was set up
            self._forget(part.mailbox)

    def heard(self, entry: Entry) -> None:
        """Take note of a request that has ended."""
        if self._last_heard is None:
            for part in self._parts.values():
                if part.kept.after is None:
                    part.kept = replace(part.kept, after=entry.number - 1)
        self._last_heard = entry.number
        if (its := self._parts.get(entry.mailbox.upper())) is not None:
            its.hear(entry)
            self._news.set()

    async def run(self) -> None:
        """Go on with what is done, whenever it is, until cancelled."""
        while True:
            self._news.clear()
            began = time.perf_counter()
            for part in list(self._parts.values()):
                async with self._one_at_a_time:
                    try:
                        await self._progress.look(part)
                    except Exception:
                        log.exception("the rehearsal of mailbox %s cannot go on", part.mailbox)
                        part.done_at = None  # or it would be tried again without end
            took = time.perf_counter() - began
            await asyncio.sleep(min(_RESTING * took, _LONGEST_REST_S))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._news.wait()

    def _pause(self) -> float | None:
        """How long nothing is due by itself, in seconds; None for ever."""
        dues = list(filter(None, map(self._progress.due, self._parts.values())))
        return max((min(dues) - real_now()).total_seconds(), 0.0) if dues else None

    # -- what people ask for -------------------------------------------------------------------------

    async def start(self, mailbox_id: str, case_id: str, *, fresh: bool = False) -> State:
        """Set the stage for a case; its mailbox's case that is under way ends.

        Args:
            mailbox_id: one that exists.
            case_id: one that has steps.
            fresh: begin a new rehearsal; the attempts so far are forgotten.

        Raises:
            CannotRehearse: the mailbox or the case is none to start.
            StageTaken: another case needs the clock.
            StorageFailed: the stage cannot be set up; nothing of it stays.
        """
        if mailbox_id in self.not_to_rehearse:
            why = self.not_to_rehearse[mailbox_id]
            raise CannotRehearse("mailbox", f"{mailbox_id} {why}; name the mailbox of your client")
        case = self._startable(case_id)
        async with self._one_at_a_time:
            self._refuse_if_taken(mailbox_id, case)
            part = self._parts.get(mailbox_id)
            known = part is not None
            if part is None:
                part = self._parts[mailbox_id] = Part(self._begun(mailbox_id))
                self.rehearsing.add(mailbox_id)
            elif (current := part.rehearsal.current) is not None:
                await self._progress.end(part, current)
            before = part.rehearsal, part.kept.after
            if fresh:
                part.kept = replace(self._begun(mailbox_id), disabled=part.kept.disabled)
            try:
                await self._progress.set_up(part, Attempt(case.id, ()))
            except BaseException:
                part.kept = replace(part.kept, rehearsal=before[0], after=before[1])
                if not known:
                    self._forget(mailbox_id)
                await self._progress.keep(part)
                raise
            return await self.state(mailbox_id)

    async def stop(self, mailbox_id: str) -> State:
        """End the case that is under way, if one is, and put its stage back.

        Raises:
            NotRehearsing: the mailbox has no rehearsal.
        """
        async with self._one_at_a_time:
            part = self._part(mailbox_id)
            if (attempt := part.rehearsal.current) is not None:
                await self._progress.end(part, attempt)
            return await self.state(mailbox_id)

    async def finish(self, mailbox_id: str, step: int, exit_status: int | None) -> State:
        """Note that the client has finished its part of a step: a command ended, or the tester says so.

        If it is the current step and done, the case goes on without settling; if it is not done, it ends.

        Raises:
            NotRehearsing: the mailbox has no rehearsal.
            StageTaken: that step was not set up.
        """
        async with self._one_at_a_time:
            part = self._part(mailbox_id)
            attempt = part.rehearsal.attempts[-1]
            if step >= len(attempt.steps_at):
                raise StageTaken(
                    f"step {step} of case {attempt.case} is not set up; the last one that is: "
                    f"{len(attempt.steps_at) - 1}"
                )
            statuses = [*attempt.exit_statuses, *[None] * (step + 1 - len(attempt.exit_statuses))]
            statuses[step] = exit_status
            part.have(replace(attempt, exit_statuses=tuple(statuses)))
            await self._progress.look(part)
            current = part.rehearsal.current
            if current is None or len(current.steps_at) != step + 1:
                await self._progress.keep(part)
            elif part.done_at is None:
                await self._progress.end(part, current)
            else:
                await self._progress.go_on(part, current)
            return await self.state(mailbox_id)

    async def compare(self, mailbox_id: str, case_id: str, size: int, md5: str) -> Original:
        """Note a file of the tester's; give what it is compared with: what was sent, or was to be received.

        Raises:
            NotRehearsing: the mailbox has no rehearsal.
            CannotRehearse: there is no such case, or it is none to start.
            NothingToCompare: there is nothing to compare with.
        """
        case = self._startable(case_id)
        async with self._one_at_a_time:
            part = self._part(mailbox_id)
            attempt = part.rehearsal.latest(case.id)
            if attempt is None:
                raise NothingToCompare(f"case {case.id} was not started for {mailbox_id}; start it first")
            if any(isinstance(prop, SendTo) for step in case.steps for prop in step.props):
                other = await self._traffic.last_body(mailbox_id, attempt)
                missing = "nothing arrived whole in it yet; have the client send first"
            else:
                other, missing = attempt.original, "in it no file is sent or received"
            if other is None:
                raise NothingToCompare(f"case {case.id} has nothing to compare with: {missing}")
            part.have(replace(attempt, compared=(*attempt.compared, Compared(real_now(), size, md5))))
            await self._progress.keep(part)
        return other

    async def state(self, mailbox_id: str) -> State:
        """Tell how a mailbox's rehearsal stands.

        Raises:
            NotRehearsing: it has none.
        """
        now = self.standing(mailbox_id)
        outcomes = await self._traffic.outcomes(now.rehearsal, self.cases)
        return State(now.rehearsal, now.version, now.cue, outcomes)

    def standing(self, mailbox_id: str) -> Standing:
        """Tell what a mailbox's rehearsal has come to, at once and without judging anything.

        Raises:
            NotRehearsing: it has none.
        """
        part = self._part(mailbox_id)
        cue, attempt = None, part.rehearsal.current
        if attempt is not None:
            done = part.done_at is not None
            cue = cue_of(mailbox_id, self.cases[attempt.case], attempt, done=done)
        return Standing(part.rehearsal, part.version, cue)

    def position(self, mailbox_id: str) -> tuple[int, int]:
        """Give what changes with every step of a mailbox's rehearsal, and with every request of it."""
        part = self._parts.get(mailbox_id)
        return (-1, self._last_heard or 0) if part is None else (part.version, part.last_heard)

    async def changed(self, mailbox_id: str, known: int, timeout: timedelta) -> State:
        """Wait until a rehearsal has another version than the one known, at most so long; tell how it stands.

        Raises:
            NotRehearsing: the mailbox has none, or none any more.
        """
        with contextlib.suppress(TimeoutError), self._events.watch(kinds=_NEWS) as news:
            async with asyncio.timeout(timeout.total_seconds()):
                while self._part(mailbox_id).version == known and await news.next() is not None:
                    pass
        async with self._one_at_a_time:  # not between the end of one case and the start of the next
            return await self.state(mailbox_id)

    async def seen(self, mailbox_id: str) -> tuple[Rehearsal | None, tuple[Entry, ...], datetime | None]:
        """Give what a report is made of.

        Returns:
            The rehearsal, if there is one; the mailbox's requests since it began, else all; and from when on
            the journal has everything, if it lost something of the rehearsal.
        """
        part = self._parts.get(mailbox_id)
        if part is None:
            return None, await self._traffic.of(mailbox_id, None), None
        entries = await self._traffic.of_rehearsal(part.rehearsal)
        return part.rehearsal, entries, await self._traffic.oldest_kept(part.kept, self._last_heard)

    async def report(self, mailbox_id: str, cases: Sequence[str] = ()) -> Report:
        """Judge a rehearsal; without one, all that the journal has of the mailbox.

        Args:
            mailbox_id: whose.
            cases: which cases and findings, by their ids; all, where none is named.

        Raises:
            CannotRehearse: one of them does not exist.
        """
        # Only now, as most simulators are asked for none, and every start would take the longer.
        from mesh_sim.witness.report import report_of  # noqa: PLC0415

        chosen = {self._case(case_id).id for case_id in cases} or self.cases.keys()
        async with self._one_report:  # it may take all of the journal into memory
            rehearsal, entries, oldest_kept = await self.seen(mailbox_id)
            return await asyncio.to_thread(  # days of traffic take a while to judge
                report_of,
                mailbox_id,
                rehearsal,
                entries,
                real_now(),
                version("mesh-sim"),
                oldest_kept,
                cases=[case for case in self.cases.values() if case.id in chosen],
            )

    @contextlib.asynccontextmanager
    async def interrupted(self, *, forget: bool = False) -> AsyncIterator[None]:
        """End every case that is under way, and let none begin until the context is left.

        With ``forget`` every rehearsal is forgotten as well.

        Raises:
            StorageFailed: it could not be kept that there are none.
        """
        async with self._one_at_a_time:
            for part in self._parts.values():
                if (attempt := part.rehearsal.current) is not None:
                    await self._progress.end(part, attempt)
            if forget:
                for mailbox_id in list(self._parts):
                    self._forget(mailbox_id)
                self._traffic.forget()
                await self._progress.save()
            yield

    # -- inside --------------------------------------------------------------------------------------

    def _begun(self, mailbox_id: str) -> Kept:
        return Kept(Rehearsal(mailbox_id, real_now()), after=self._last_heard)

    def _forget(self, mailbox_id: str) -> None:
        del self._parts[mailbox_id]
        self.rehearsing.discard(mailbox_id)

    def _part(self, mailbox_id: str) -> Part:
        part = self._parts.get(mailbox_id)
        if part is None:
            raise NotRehearsing(mailbox_id)
        return part

    def _case(self, case_id: str) -> Case:
        case = self.cases.get(case_id.strip().lower())
        if case is None:
            known = ", ".join(self.cases)
            raise CannotRehearse("case", f"there is no such case; known are {known}")
        return case

    def _startable(self, case_id: str) -> Case:
        case = self._case(case_id)
        if not case.steps:
            raise CannotRehearse("case", f"{case.id} is judged by the whole traffic, and needs no start")
        return case

    def _refuse_if_taken(self, mailbox_id: str, case: Case) -> None:
        """Refuse a case while another needs the clock, or it the other's."""
        for part in self._parts.values():
            attempt = part.rehearsal.current
            if attempt is None:
                continue
            open_case = self.cases[attempt.case]
            if part.mailbox == mailbox_id:
                taken = open_case.moves_clock and open_case is not case
            else:
                taken = open_case.moves_clock or case.moves_clock
            if taken:
                mover = open_case if open_case.moves_clock else case
                raise StageTaken(
                    f"case {open_case.id} is under way for mailbox {part.mailbox}, and simulated time passes "
                    f"in case {mover.id}; finish it first, or end it with mesh-sim witness stop --mailbox "
                    f"{part.mailbox}"
                )


def _read(content: str) -> tuple[Kept, ...]:
    try:
        return read(content)
    except ValueError:
        log.warning(
            "the rehearsals of another version of mesh-sim cannot be read; they are forgotten, and a mailbox "
            "that one of them disabled stays so until mesh-sim mailbox enable"
        )
        return ()
