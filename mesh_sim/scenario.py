"""Scenario files: one TOML file with who takes part, who has opted out, what waits and what fails.

A file is read and checked as a whole before anything of it happens.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import numpy as np
from pydantic import Field, StringConstraints, ValidationError

from mesh_sim.config import SettingsError
from mesh_sim.durations import Duration
from mesh_sim.exchange.desk import ServiceDesk
from mesh_sim.exchange.directory import ANYONE, Directory, Mailbox, Workflow
from mesh_sim.faults import FaultRule, Faults, RuleRefused
from mesh_sim.optouts.loading import InvalidNumbers, ListLoader, parse_numbers
from mesh_sim.optouts.register import OptOutRegister
from mesh_sim.optouts.snapshot import SyntheticRule
from mesh_sim.shared import Documents
from mesh_sim.timekeeper import TimeKeeper
from mesh_sim.wishes.base import Problem, Wish, problems_of
from mesh_sim.wishes.faults import FaultWish
from mesh_sim.wishes.mailboxes import MailboxId, MailboxWish
from mesh_sim.wishes.messages import MessageWish
from ndoo.lists import NumberRule, Numbers

_MARKER: Final = "scenario"
"""The document that says which file's messages and opt-outs this data folder has got."""

_BLOCK_BYTES: Final = 1024 * 1024

SenderId = Annotated[str, StringConstraints(strip_whitespace=True, to_upper=True, min_length=1)]


class WorkflowWish(Wish):
    """A restricted workflow; ``*`` among the senders stands for everybody."""

    workflow_id: Annotated[str, StringConstraints(min_length=1, max_length=300)]
    senders: list[SenderId] = Field(default_factory=lambda: [ANYONE])
    receivers: list[MailboxId] = Field(min_length=1)


class OptOutsWish(Wish):
    """Who has opted out: by name, from a file beside the scenario, and of all others a share."""

    rate: float | None = Field(default=None, ge=0, le=1)
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    numbers: list[str] = Field(default_factory=list)
    withdrawn: list[str] = Field(default_factory=list)
    file: Path | None = None


class ClockWish(Wish):
    """What time it is: so far ahead of the real one."""

    advance: Duration


class ScenarioWish(Wish):
    """A whole scenario file."""

    clock: ClockWish | None = None
    mailboxes: list[MailboxWish] = Field(default_factory=list)
    workflows: list[WorkflowWish] = Field(default_factory=list)
    optouts: OptOutsWish = OptOutsWish()
    messages: list[MessageWish] = Field(default_factory=list)
    faults: list[FaultWish] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario that was read and found sound."""

    wish: ScenarioWish
    mailboxes: tuple[Mailbox, ...]
    workflows: tuple[Workflow, ...]
    rules: tuple[FaultRule, ...]
    opted_out: Numbers
    withdrawn: Numbers
    digest: str

    def rule(self, given: SyntheticRule) -> SyntheticRule:
        """The synthetic rule: what the file says of it, and of the rest ``given``."""
        rate, seed = self.wish.optouts.rate, self.wish.optouts.seed
        return SyntheticRule(given.rate if rate is None else rate, given.seed if seed is None else seed)


def load_scenario(path: Path, directory: Directory, number_rule: NumberRule) -> Scenario:
    """Read and check a file; its mailboxes and workflows then take part in ``directory``.

    Raises:
        SettingsError: naming the file, the key and what is allowed.
    """
    wish, digest = _read(path)
    mailboxes = tuple(mailbox.mailbox() for mailbox in wish.mailboxes)
    workflows = tuple(
        Workflow(workflow.workflow_id, frozenset(workflow.senders), tuple(workflow.receivers))
        for workflow in wish.workflows
    )
    everybody = Directory((*directory.mailboxes, *mailboxes), (*directory.workflows, *workflows))
    _refuse(path, _unknown_mailboxes(wish, everybody))
    scenario = Scenario(
        wish=wish,
        mailboxes=mailboxes,
        workflows=workflows,
        rules=tuple(_rules(path, wish)),
        opted_out=np.concatenate(
            [
                _numbers(path, "optouts.numbers", wish.optouts.numbers, number_rule),
                _listed(path, wish.optouts.file, number_rule),
            ]
        ),
        withdrawn=_numbers(path, "optouts.withdrawn", wish.optouts.withdrawn, number_rule),
        digest=digest,
    )
    directory.replace(everybody.mailboxes, everybody.workflows)
    return scenario


def refuse_unknown_operations(scenario: Scenario, faults: Faults) -> None:
    """Check what a file cannot be checked for by itself: that its faults are for operations there are.

    Raises:
        SettingsError: naming the fault and the operations.
    """
    for place, rule in enumerate(scenario.rules):
        try:
            faults.check(rule)
        except RuleRefused as error:
            raise SettingsError(f"the scenario's faults[{place}].{error}") from error


class Stage:
    """Sets a scenario up: its faults at every start, its messages and opt-outs once for a data folder."""

    def __init__(
        self,
        scenario: Scenario,
        *,
        desk: ServiceDesk,
        register: OptOutRegister,
        time: TimeKeeper,
        documents: Documents,
    ) -> None:
        self.scenario = scenario
        self._desk = desk
        self._register = register
        self._time = time
        self._documents = documents

    async def set_up(self, faults: Faults) -> None:
        """Do what is not done yet.

        Raises:
            SettingsError: a fault is for an operation that does not exist.
            StorageFailed: it could not be kept.
        """
        refuse_unknown_operations(self.scenario, faults)
        for rule in self.scenario.rules:
            faults.add(rule)
        done = await self._documents.document(_MARKER)
        if done is None or done.content != self.scenario.digest:
            await self._set_up_once()
            await self._documents.change(_MARKER, lambda _: self.scenario.digest)

    async def forget(self) -> None:
        """Have everything set up again next time."""
        await self._documents.change(_MARKER, lambda _: "")

    async def _set_up_once(self) -> None:
        scenario = self.scenario
        if scenario.wish.clock is not None:
            await self._time.advance(scenario.wish.clock.advance)
        for numbers, opted_out in ((scenario.opted_out, True), (scenario.withdrawn, False)):
            if len(numbers):
                await self._register.load(numbers, opted_out=opted_out)
        for wish in scenario.wish.messages:
            await self._desk.put_many(wish.messages(self._time.now()))


def _read(path: Path) -> tuple[ScenarioWish, str]:
    try:
        data = path.read_bytes()
        given = tomllib.loads(data.decode())
    except OSError as error:
        raise SettingsError(f"the scenario {path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # not UTF-8, or not TOML; the latter says where
        raise SettingsError(f"the scenario {path} is not TOML: {error}") from error
    try:
        wish = ScenarioWish.model_validate(given)
    except ValidationError as error:
        _refuse(path, problems_of(error, ScenarioWish))
        raise
    return wish, hashlib.sha256(data).hexdigest()


def _refuse(path: Path, problems: list[Problem]) -> None:
    if problems:
        raise SettingsError("\n".join(f"the scenario {path}: {problem}" for problem in problems))


def _unknown_mailboxes(wish: ScenarioWish, directory: Directory) -> list[Problem]:
    return [
        Problem(key, directory.unknown(mailbox_id))
        for key, mailbox_id in _named_mailboxes(wish)
        if directory.mailbox(mailbox_id) is None
    ]


def _named_mailboxes(wish: ScenarioWish) -> Iterator[tuple[str, str]]:
    for place, workflow in enumerate(wish.workflows):
        for side, ids in (("senders", workflow.senders), ("receivers", workflow.receivers)):
            for index, mailbox_id in enumerate(ids):
                if mailbox_id != ANYONE:
                    yield f"workflows[{place}].{side}[{index}]", mailbox_id
    for place, message in enumerate(wish.messages):
        yield f"messages[{place}].to", message.to
        yield f"messages[{place}].from", message.sender
    for place, fault in enumerate(wish.faults):
        if fault.mailbox:
            yield f"faults[{place}].mailbox", fault.mailbox


def _rules(path: Path, wish: ScenarioWish) -> Iterator[FaultRule]:
    for place, fault in enumerate(wish.faults):
        try:
            yield fault.rule()
        except RuleRefused as error:
            _refuse(
                path, [Problem(f"faults[{place}].{field}", said) for field, said in error.problems.items()]
            )


def _numbers(path: Path, key: str, texts: list[str], rule: NumberRule) -> Numbers:
    try:
        return parse_numbers(texts, rule)
    except InvalidNumbers as error:
        _refuse(path, [Problem(key + place, reason) for place, reason in error.problems])
        raise


def _listed(path: Path, file: Path | None, rule: NumberRule) -> Numbers:
    if file is None:
        return np.zeros(0, np.int64)
    loader = ListLoader(rule)
    try:
        with (path.parent / file).open("rb") as source:
            while block := source.read(_BLOCK_BYTES):
                loader.feed(block)
        return loader.finish()
    except OSError as error:
        raise SettingsError(
            f"the scenario {path}: optouts.file: {file} cannot be read: {error.strerror}; it is looked for "
            "beside the scenario"
        ) from error
    except InvalidNumbers as error:
        raise SettingsError(
            f"the scenario {path}: optouts.file: {file}, {error}; nothing was loaded"
        ) from error
    except ValueError as error:
        raise SettingsError(f"the scenario {path}: optouts.file: {error}: no file has such a name") from error
