"""Case 601: six hundred messages waiting."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import pytest
from hypothesis import given
from traces import Tape, any_trace, broken, message_id

from mesh_sim.witness.cases import chunking, receiving, sending, volume
from mesh_sim.witness.cases.base import Case, Outcome, Waiting, judge
from mesh_sim.witness.rehearsal import COUNTERPART, NOBODY, WORKFLOW
from mesh_sim.witness.trace import Trace

[CASE] = volume.CASES

COUNT, PAGE = 6, 5
"""What stands for 600 messages of which one check names 500."""
IDS = tuple(message_id(number) for number in range(COUNT))

HANDSHAKE = "the client has shaken hands in the 24 hours before its first other request"
LISTED = "the inbox is checked before anything is downloaded"
DOWNLOADED = "everything that waits is downloaded"
ACKNOWLEDGED = "everything that was downloaded is acknowledged"
ONE_BY_ONE = "each message is acknowledged before the next is downloaded"
CHECK_BY_CHECK = "all that one check of the inbox names is acknowledged before the next check"


class Collector(Tape):
    """A client with many messages waiting."""

    def begin(self, ids: tuple[str, ...] = IDS) -> Self:
        """Have the messages wait."""
        return self.stage(message_ids=ids)

    def get(self, *ids: str) -> Self:
        """Download messages."""
        for wanted in ids:
            self.download(wanted)
        return self

    def done(self, *ids: str) -> Self:
        """Acknowledge messages."""
        for wanted in ids:
            self.acknowledge(wanted)
        return self

    def collect(self, ids: Iterable[str]) -> Self:
        """Download and acknowledge one message after the other."""
        for wanted in ids:
            self.get(wanted).done(wanted)
        return self


def ready(ids: tuple[str, ...] = IDS) -> Collector:
    """Give a client that has shaken hands, the messages waiting."""
    return Collector("601").handshake().begin(ids)


def first_page() -> Collector:
    """Give one that has collected what the first check named."""
    return ready().list(PAGE, more=True).collect(IDS[:PAGE])


def with_faults() -> Tape:
    """Have some of the requests fail, and the client try them again."""
    tape = ready().list(status=503).list(PAGE, more=True).list(status=0, reason="broken off")
    tape.download(IDS[0], 503).download(IDS[0], reason="broken off").download(IDS[0])
    tape.acknowledge(IDS[0], status=429).acknowledge(IDS[0])
    return tape.collect(IDS[1:PAGE]).list(1).collect(IDS[PAGE:])


KEPT: dict[str, Tape] = {
    "as the catalogue has it": first_page().list(1).collect(IDS[PAGE:]),
    "checked until empty": first_page().list(1).collect(IDS[PAGE:]).list(0),
    "checked while empty": ready().list(0).list(0).list(COUNT).collect(IDS),
    "some requests failed": with_faults(),
    "a download failed, and waits for the next check": (
        ready().list(COUNT).download(IDS[0], 503).collect(IDS[1:]).list(1).collect(IDS[:1])
    ),
    "an acknowledgement failed": (
        ready().list(COUNT).get(IDS[0]).acknowledge(IDS[0], status=503).collect(IDS[1:])
    ),
    "a message that waited already": ready().list(COUNT + 1).collect([message_id(99), *IDS]).list(0),
}

FLAWS: dict[str, tuple[Tape, str, int | None]] = {
    "no handshake": (Collector("601").begin().list(COUNT).collect(IDS), HANDSHAKE, 1),
    "inbox not checked first": (ready().collect(IDS), LISTED, 2),
    "nothing but a handshake": (Collector("601").begin().handshake(), DOWNLOADED, None),
    "first page only": (first_page(), DOWNLOADED, None),
    "one acknowledged unseen": (
        ready().list(COUNT).collect(IDS[:-1]).done(IDS[-1]),
        DOWNLOADED,
        None,
    ),
    "one refused, and acknowledged": (
        ready().list(COUNT).collect(IDS[:-1]).download(IDS[-1], 404).done(IDS[-1]),
        DOWNLOADED,
        None,
    ),
    "one not acknowledged": (
        ready().list(COUNT).get(IDS[0]).collect(IDS[1:]),
        ACKNOWLEDGED,
        None,
    ),
    "two at a time": (
        ready().list(COUNT).get(IDS[0], IDS[1]).done(IDS[0], IDS[1]).collect(IDS[2:]),
        ONE_BY_ONE,
        4,
    ),
    "all downloaded, then all acknowledged": (
        ready().list(COUNT).get(*IDS).done(*IDS),
        ONE_BY_ONE,
        4,
    ),
    "acknowledged before its download": (
        ready().list(COUNT).done(IDS[0]).get(IDS[0]).collect(IDS[1:]),
        ONE_BY_ONE,
        3,
    ),
    "both pages read first": (
        ready().list(PAGE, more=True).list(1).collect(IDS),
        CHECK_BY_CHECK,
        3,
    ),
    "second check not dealt with": (
        ready().list(3).collect(IDS[:3]).list(3).collect(IDS[3:4]).list(2).collect(IDS[4:]),
        CHECK_BY_CHECK,
        12,
    ),
    "checked after every message": (
        ready().list(PAGE).collect(IDS[:1]).list(PAGE).collect(IDS[1:]),
        CHECK_BY_CHECK,
        5,
    ),
}


@pytest.mark.parametrize("good", KEPT.values(), ids=KEPT.keys())
def test_a_client_that_collects_everything_passes(good: Tape) -> None:
    """Check, download and acknowledge one by one, check again: that passes, failures of ours aside."""
    assert broken(CASE, good.trace()) == []
    assert judge(CASE, good.trace()).outcome is Outcome.PASSED


@pytest.mark.parametrize(("flawed", "expected", "entry"), FLAWS.values(), ids=FLAWS.keys())
def test_a_flawed_collection_breaks_one_rule(flawed: Tape, expected: str, entry: int | None) -> None:
    """Each flaw breaks the rule that is about it, at the request to blame, and no other."""
    assert broken(CASE, flawed.trace()) == [(expected, entry)]


def test_every_rule_of_high_volume_has_a_flaw() -> None:
    """No rule is without a trace that breaks it."""
    assert {rule.expected for rule in CASE.rules} == {expected for _, expected, _ in FLAWS.values()}


def test_what_was_left_is_counted() -> None:
    """The breach says how many were collected, of how many, and where it stopped."""
    [ruling] = [ruling for ruling in judge(CASE, first_page().trace()).rulings if ruling.breach]
    assert ruling.breach is not None
    assert ruling.breach.why == f"5 of 6 were; the first that was not is {IDS[PAGE]}"


def test_the_step_is_done_with_the_last_acknowledgement() -> None:
    """Not before, and also where nothing was downloaded; 600 messages are told apart as quickly as six."""
    ids = tuple(message_id(number) for number in range(600))
    tape = ready(ids).list(500).collect(ids[:500]).list(100).collect(ids[500:])
    trace = tape.trace()
    [step] = CASE.steps
    assert step.done(trace)
    assert not step.done(Trace(trace.entries[:-1], trace.now, trace.attempt))
    assert step.done(ready().done(*IDS).trace())
    assert not step.done(ready().done(*IDS[:-1], IDS[0]).trace())
    assert judge(CASE, trace).outcome is Outcome.PASSED


@pytest.mark.parametrize(
    "case",
    [*sending.CASES, *receiving.CASES, *chunking.CASES, *volume.CASES],
    ids=lambda case: case.id,
)
def test_what_to_do_is_told_with_what_the_step_knows(case: Case) -> None:
    """The words have only the placeholders of a step, and end as sentences; a rule's do not."""
    [step] = case.steps
    told = step.tell.format(
        mailbox="X26ABC1", recipient=COUNTERPART, message_id=NOBODY, workflow=WORKFLOW, count=COUNT
    )
    assert told.endswith(".")
    assert "X26ABC1" in told
    assert any(isinstance(prop, Waiting) for prop in step.props) or COUNTERPART in told
    for rule in case.rules:
        assert not rule.expected.endswith(".")
        assert rule.fix.endswith(".")


@given(trace=any_trace("601"))
def test_any_traffic_can_be_judged_for_high_volume(trace: Trace) -> None:
    """Whatever was asked, there is a verdict, and it blames requests that there were."""
    judge(CASE, trace)
    rulings = [rule.check(trace) for rule in CASE.rules]
    blamed = [breach.entry for breach in rulings if breach and breach.entry]
    assert set(map(id, blamed)) <= set(map(id, trace.entries))
    CASE.steps[0].done(trace)
