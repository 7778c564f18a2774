"""Taking a case from step to step: set up, done, settled, put back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from mesh_sim.clock import real_now
from mesh_sim.conductor.errors import StageTaken
from mesh_sim.conductor.kept import write
from mesh_sim.conductor.part import Part
from mesh_sim.conductor.stagehand import Stagehand, Staging
from mesh_sim.conductor.traffic import trace_of
from mesh_sim.exchange.errors import StorageFailed
from mesh_sim.exchange.events import Events, Kind
from mesh_sim.shared import Documents
from mesh_sim.witness.cases.base import Case, Disabled, Step, Waiting
from mesh_sim.witness.rehearsal import Attempt

log = logging.getLogger("mesh_sim.witness")

DOCUMENT: Final = "witness"
"""Under which name rehearsals are kept."""

_TRY_AGAIN_AFTER: Final = timedelta(seconds=1)


class Progress:
    """What becomes of the parts; the caller sees to it that one thing happens at a time."""

    def __init__(
        self,
        parts: Mapping[str, Part],
        cases: Mapping[str, Case],
        stagehand: Stagehand,
        documents: Documents,
        events: Events,
        *,
        staged: Callable[[], None],
    ) -> None:
        """Make one; ``staged`` is told of each step set up, which what was heard meanwhile may have done."""
        self._parts = parts
        self._cases = cases
        self._stagehand = stagehand
        self._documents = documents
        self._events = events
        self._staged = staged

    async def look(self, part: Part) -> None:
        """Go on if the current step is done, and has settled."""
        attempt = part.rehearsal.current
        if attempt is None:
            await self._enable_at_last(part)
            return
        if part.done_at is None and part.unseen:
            part.unseen = False
            if self._step(attempt).done(trace_of(part.rehearsal, attempt, part.heard)):
                part.done_at = real_now()
                self._publish(part, attempt, "done")
        due = self.due(part)
        if due is not None and real_now() >= due:
            await self.go_on(part, attempt)

    def due(self, part: Part) -> datetime | None:
        """When to go on with what is done, or to put back what could not be; None where nothing is."""
        attempt = part.rehearsal.current
        if attempt is None:
            return part.enable_at
        if part.done_at is None:
            return None
        return part.done_at + self._step(attempt).settle

    def _step(self, attempt: Attempt) -> Step:
        return self._cases[attempt.case].steps[len(attempt.steps_at) - 1]

    async def go_on(self, part: Part, attempt: Attempt) -> None:
        """Set the next step up, or end the attempt after its last."""
        if len(attempt.steps_at) == len(self._cases[attempt.case].steps):
            await self.end(part, attempt)
            return
        await self.enable(part)
        try:
            await self.set_up(part, attempt)
        except (StorageFailed, StageTaken) as error:
            log.error(  # noqa: TRY400 - not the code's fault
                "case %s of mailbox %s ends, as its next step cannot be set up: %s",
                attempt.case,
                part.mailbox,
                error,
            )
            await self.end(part, attempt)

    async def set_up(self, part: Part, attempt: Attempt) -> None:
        """Set the attempt's next step up; where that fails, put back what was done of the first.

        What was done of a further one goes when the attempt ends, or is done again after a restart.

        Raises:
            StageTaken: the clock cannot be moved that far.
            StorageFailed: it could not be kept.
        """
        case = self._cases[attempt.case]
        first = not attempt.steps_at
        if first:
            part.heard.clear()
        sent = [entry.message_id for entry in part.heard if entry.operation == "send" and entry.whole]
        staging = Staging(part.mailbox, case, attempt, sent)
        props = {type(prop) for prop in case.steps[len(attempt.steps_at)].props}
        try:
            disables = Disabled in props and self._stagehand.is_active(part.mailbox)
            if disables or Waiting in props:
                # Kept before it is done: a simulator that is killed in between must know what to put back.
                part.kept = replace(part.kept, disabled=disables or part.kept.disabled, staging=first)
                await self.save()
            ready = await self._stagehand.set_up(staging)
        except BaseException:
            if first:
                await self.put_back(part)
            raise
        part.kept = replace(part.kept, staging=False)
        part.done_at = None
        part.have(ready)
        part.unseen = True
        self._staged()
        await self.keep(part)
        self._publish(part, ready, "staged")

    async def end(self, part: Part, attempt: Attempt) -> None:
        """End an attempt as it is, and put its stage back."""
        ended = replace(attempt, ended_at=real_now())
        await self.put_back(part, attempt.report_id)
        part.done_at = None
        part.have(ended)
        await self.keep(part)
        self._publish(part, ended, "ended")

    async def put_back(self, part: Part, report_id: str = "") -> None:
        """Put a stage back, as far as the storage lets it be."""
        await self.enable(part)
        try:
            await self._stagehand.clear(part.mailbox, report_id)
        except StorageFailed as error:
            log.error(  # noqa: TRY400 - not the code's fault
                "messages of the rehearsal may be left in the inbox of %s: %s", part.mailbox, error
            )
        else:
            part.kept = replace(part.kept, staging=False)

    async def enable(self, part: Part) -> None:
        """Have a mailbox take part again that the rehearsal disabled; where that fails, it is tried again."""
        if not part.kept.disabled:
            return
        failed_before, part.enable_at = part.enable_at is not None, None
        try:
            await self._stagehand.enable(part.mailbox)
        except StorageFailed as error:
            part.enable_at = real_now() + _TRY_AGAIN_AFTER
            if not failed_before:
                log.error(  # noqa: TRY400 - not the code's fault
                    "mailbox %s stays disabled until it can be kept that it is not: %s", part.mailbox, error
                )
        else:
            part.kept = replace(part.kept, disabled=False)

    async def _enable_at_last(self, part: Part) -> None:
        if part.enable_at is not None and real_now() >= part.enable_at:
            await self.enable(part)
            if not part.kept.disabled:
                await self.keep(part)

    # -- keeping -------------------------------------------------------------------------------------

    async def keep(self, part: Part) -> None:
        """Keep what has become of a rehearsal; where that fails, it goes on until the simulator stops."""
        version = part.version + 1
        try:
            version = max(version, await self.save())
        except StorageFailed as error:
            log.error("rehearsals would not survive a restart: %s", error)  # noqa: TRY400 - not the code's fault
        part.version = version

    async def save(self) -> int:
        """Keep every rehearsal; give the version of what is kept.

        Raises:
            StorageFailed: it could not be kept.
        """
        content = write(part.kept for part in self._parts.values())
        return (await self._documents.change(DOCUMENT, lambda _: content)).version

    def _publish(self, part: Part, attempt: Attempt, state: str) -> None:
        if state == "done":
            part.version += 1
        self._events.publish(
            Kind.WITNESS,
            self._stagehand.time.now(),
            mailbox=part.mailbox,
            case=attempt.case,
            step=len(attempt.steps_at) - 1,
            state=state,
        )
