"""Injected faults as rules: which calls fail, when, and how. What that does to an answer is the API's part.

Nothing here reads a clock or draws from a shared source of chance: the same rules meeting the same calls
decide the same.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Final

ANY: Final = "*"
"""The operation of a rule that is for every one."""

MAX_DELAY: Final = timedelta(minutes=10)
"""As long as NHS's client waits for an answer (mesh-api.md section 22)."""


class Action(StrEnum):
    """What a rule does to a call."""

    STATUS = "status"
    DELAY = "delay"
    RESET = "reset"
    TRUNCATE = "truncate"
    LOSE_RESPONSE = "lose-response"


_GOES_WITH: Final = {
    "status": Action.STATUS,
    "retry_after_s": Action.STATUS,
    "delay": Action.DELAY,
    "after_bytes": Action.TRUNCATE,
}
"""The one action that each of these belongs to."""

_NEEDED: Final = {"status": "from 400 to 599", "delay": "up to 10 minutes"}
"""What its action cannot do without."""

_BOUNDS: Final[dict[str, tuple[int, int]]] = {
    "status": (400, 599),
    "retry_after_s": (0, 86_400),
    "after_bytes": (0, 1_000_000_000_000),
    "nth": (1, 1_000_000_000),
    "times": (1, 1_000_000_000),
    "probability": (0, 1),
    "seed": (0, 2**63 - 1),
}


_WRITTEN: Final = {"retry_after_s": "retry_after"}
"""How people write a field, where that differs."""


class RuleRefused(ValueError):
    """A rule that makes no sense: for each field that is wrong, as people write it, what is allowed."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{field}: {problem}" for field, problem in problems.items()))
        self.problems = dict(problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRule:
    """One rule: the calls it is for, and what it does to them.

    Attributes:
        action: what it does.
        operation: the name of a MESH operation, or ``*`` for all.
        mailbox: the mailbox in the path, in upper case; '' for all, and for calls that name none.
        status: the status to answer with.
        retry_after_s: the answer's ``Retry-After``, in seconds; None sends none.
        delay: how long to wait before going on, in real time.
        after_bytes: how many bytes of the body get through; None means half of them.
        nth: the first matching call that it acts on, from 1.
        times: how many calls it acts on; None means no end.
        probability: how often it acts on a call that is due, from 0 to 1.
        seed: what the chance is drawn from, so that the same run fails the same way.
        id: its name among the rules, given by :meth:`Faults.add`.

    Raises:
        RuleRefused: a value is out of its range, or does not go with the action.
    """

    action: Action
    operation: str = ANY
    mailbox: str = ""
    status: int | None = None
    retry_after_s: int | None = None
    delay: timedelta | None = None
    after_bytes: int | None = None
    nth: int = 1
    times: int | None = None
    probability: float = 1.0
    seed: int = 1
    id: str = ""

    def __post_init__(self) -> None:
        if problems := {_WRITTEN.get(field, field): problem for field, problem in self._problems()}:
            raise RuleRefused(problems)

    def matches(self, operation: str, mailbox: str) -> bool:
        """Tell whether a call is one of those it is for."""
        return self.operation in (ANY, operation) and self.mailbox in ("", mailbox)

    def _problems(self) -> Iterator[tuple[str, str]]:
        for field, action in _GOES_WITH.items():
            given = getattr(self, field) is not None
            if given and self.action is not action:
                yield field, f"goes only with action {action}, not with {self.action}"
            elif not given and self.action is action and field in _NEEDED:
                yield field, f"is needed with action {action}: {_NEEDED[field]}"
        for field, (low, high) in _BOUNDS.items():
            value = getattr(self, field)
            if value is not None and not low <= value <= high:
                yield field, f"must be from {low} to {high}"
        if self.delay is not None and not timedelta() < self.delay <= MAX_DELAY:
            yield "delay", "must be longer than 0 and at most 10 minutes"


@dataclass(frozen=True, slots=True)
class Counted:
    """A rule and what came of it: the calls it is for, and those it acted on."""

    rule: FaultRule
    calls: int
    hits: int

    @property
    def exhausted(self) -> bool:
        """Whether it has acted as often as it may."""
        return self.rule.times is not None and self.hits >= self.rule.times


class _Watch:
    """One rule's count of calls, and its own source of chance."""

    def __init__(self, rule: FaultRule) -> None:
        self.rule = rule
        self.calls = 0
        self.hits = 0
        self._chance = random.Random(rule.seed)  # noqa: S311 - chance that repeats is what is wanted

    def is_due(self) -> bool:
        """Count a call that matches, and tell whether the rule would act on it."""
        self.calls += 1
        # Drawn for every call, so that what other rules do shifts nothing.
        by_chance = self._chance.random() < self.rule.probability
        return by_chance and self.calls >= self.rule.nth and not self.counted().exhausted

    def counted(self) -> Counted:
        """Give the rule with its counters as they are now."""
        return Counted(self.rule, self.calls, self.hits)


class Faults:
    """The rules in force, in the order they were added."""

    def __init__(self, operations: Collection[str], *, of_mailboxes: Collection[str]) -> None:
        """Know what rules may be for.

        Args:
            operations: the names of all operations.
            of_mailboxes: those of them whose path names a mailbox.
        """
        self._operations = operations
        self._of_mailboxes = of_mailboxes
        self._watches: dict[str, _Watch] = {}
        self._added = 0

    def add(self, rule: FaultRule) -> FaultRule:
        """Put a rule in force, after those that are; give it with its id, which no other ever had.

        Raises:
            RuleRefused: as :meth:`check` does.
        """
        self.check(rule)
        self._added += 1
        rule = replace(rule, id=f"f{self._added}", mailbox=rule.mailbox.upper())
        self._watches[rule.id] = _Watch(rule)
        return rule

    def check(self, rule: FaultRule) -> None:
        """Make sure that a rule is for calls there can be.

        Raises:
            RuleRefused: there is no such operation, or no mailbox makes it.
        """
        if rule.operation not in (ANY, *self._operations):
            known = ", ".join(self._operations)
            raise RuleRefused(
                {"operation": f"there is no such operation; known are {known}, and {ANY} for all"}
            )
        if rule.mailbox and rule.operation not in (ANY, *self._of_mailboxes):
            raise RuleRefused(
                {"mailbox": f"does not go with {rule.operation}, which names none; leave it out"}
            )

    def remove(self, rule_id: str) -> Counted | None:
        """Take a rule out of force and give what came of it; None where there is no such rule."""
        watch = self._watches.pop(rule_id, None)
        return None if watch is None else watch.counted()

    def clear(self) -> tuple[Counted, ...]:
        """Take every rule out of force, and give what came of them."""
        counted = self.counted()
        self._watches.clear()
        return counted

    def counted(self) -> tuple[Counted, ...]:
        """Give the rules with their counters, those included that are exhausted."""
        return tuple(watch.counted() for watch in self._watches.values())

    @property
    def in_force(self) -> bool:
        """Whether there is any rule, exhausted or not."""
        return bool(self._watches)

    def decide(self, operation: str, mailbox: str) -> FaultRule | None:
        """Count a call with every rule it matches, and give the first that acts on it.

        Args:
            operation: the call's name.
            mailbox: the mailbox it names, in upper case; '' if it names none.
        """
        matching = [watch for watch in self._watches.values() if watch.rule.matches(operation, mailbox)]
        due = [watch for watch in matching if watch.is_due()]
        if not due:
            return None
        due[0].hits += 1
        return due[0].rule
