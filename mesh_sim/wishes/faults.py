"""A rule of injected faults as somebody wants it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, StrictFloat, StrictInt

from mesh_sim.durations import Duration
from mesh_sim.faults import ANY, Action, FaultRule, RuleRefused
from mesh_sim.wishes.base import Wish
from mesh_sim.wishes.mailboxes import MailboxId


class FaultWish(Wish):
    """A rule to put in force; what is left out is as :class:`FaultRule` has it."""

    action: Action
    operation: str = ANY
    mailbox: Annotated[MailboxId | None, BeforeValidator(lambda value: value or None)] = None
    status: StrictInt | None = None
    retry_after: Duration | None = None
    delay: Duration | None = None
    after_bytes: StrictInt | None = None
    nth: StrictInt = 1
    times: StrictInt | None = None
    probability: StrictFloat = 1.0
    seed: StrictInt = 1

    def rule(self) -> FaultRule:
        """Give it as a rule.

        Raises:
            RuleRefused: it makes no sense.
        """
        return FaultRule(
            action=self.action,
            operation=self.operation.strip(),
            mailbox=self.mailbox or "",
            status=self.status,
            retry_after_s=None if self.retry_after is None else _whole_seconds(self.retry_after),
            delay=self.delay,
            after_bytes=self.after_bytes,
            nth=self.nth,
            times=self.times,
            probability=self.probability,
            seed=self.seed,
        )


def _whole_seconds(duration: timedelta) -> int:
    if duration % timedelta(seconds=1):
        raise RuleRefused({"retry_after": "must be whole seconds"})
    return duration // timedelta(seconds=1)
