"""The rules of injected faults, without a server: what is refused, and which calls fail."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_sim.faults import Action, FaultRule, Faults, RuleRefused

OPERATIONS = ("send", "list", "lookup")
OF_MAILBOXES = ("send", "list")
BOX = "X26ABC1"

SEEDS = st.integers(0, 2**63 - 1)
CALLS = st.lists(st.tuples(st.sampled_from(OPERATIONS[:2]), st.sampled_from([BOX, "X26ABC2"])), max_size=60)


def make(*rules: FaultRule) -> Faults:
    """Put rules in force."""
    faults = Faults(OPERATIONS, of_mailboxes=OF_MAILBOXES)
    for rule in rules:
        faults.add(rule)
    return faults


def rule(**fields: Any) -> FaultRule:
    """Make a rule that loses responses."""
    return FaultRule(**{"action": Action.LOSE_RESPONSE, **fields})


def decided(faults: Faults, calls: list[tuple[str, str]]) -> list[str | None]:
    """Give the id of the rule that acts on each call."""
    rules = [faults.decide(*call) for call in calls]
    return [rule and rule.id for rule in rules]


# -- what makes sense -------------------------------------------------------------------------------

REFUSED: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "status too low": ({"action": Action.STATUS, "status": 200}, {"status": "must be from 400 to 599"}),
    "status too high": ({"action": Action.STATUS, "status": 600}, {"status": "must be from 400 to 599"}),
    "no status": (
        {"action": Action.STATUS},
        {"status": "is needed with action status: from 400 to 599"},
    ),
    "status elsewhere": (
        {"action": Action.RESET, "status": 503},
        {"status": "goes only with action status, not with reset"},
    ),
    "Retry-After elsewhere": (
        {"action": Action.RESET, "retry_after_s": 1},
        {"retry_after": "goes only with action status, not with reset"},
    ),
    "Retry-After too long": (
        {"action": Action.STATUS, "status": 503, "retry_after_s": 86_401},
        {"retry_after": "must be from 0 to 86400"},
    ),
    "no delay": ({"action": Action.DELAY}, {"delay": "is needed with action delay: up to 10 minutes"}),
    "delay of nothing": (
        {"action": Action.DELAY, "delay": timedelta()},
        {"delay": "must be longer than 0 and at most 10 minutes"},
    ),
    "delay too long": (
        {"action": Action.DELAY, "delay": timedelta(minutes=10, microseconds=1)},
        {"delay": "must be longer than 0 and at most 10 minutes"},
    ),
    "bytes elsewhere": (
        {"action": Action.LOSE_RESPONSE, "after_bytes": 0},
        {"after_bytes": "goes only with action truncate, not with lose-response"},
    ),
    "bytes below 0": (
        {"action": Action.TRUNCATE, "after_bytes": -1},
        {"after_bytes": "must be from 0 to 1000000000000"},
    ),
    "zeroth call": ({"action": Action.RESET, "nth": 0}, {"nth": "must be from 1 to 1000000000"}),
    "no times": ({"action": Action.RESET, "times": 0}, {"times": "must be from 1 to 1000000000"}),
    "probability above 1": (
        {"action": Action.RESET, "probability": 1.5},
        {"probability": "must be from 0 to 1"},
    ),
    "probability that is none": (
        {"action": Action.RESET, "probability": float("nan")},
        {"probability": "must be from 0 to 1"},
    ),
    "seed below 0": ({"action": Action.RESET, "seed": -1}, {"seed": "must be from 0 to 9223372036854775807"}),
    "all at once": (
        {"action": Action.RESET, "status": 200, "nth": 0},
        {
            "status": "must be from 400 to 599",
            "nth": "must be from 1 to 1000000000",
        },
    ),
}


@pytest.mark.parametrize(("fields", "problems"), REFUSED.values(), ids=REFUSED.keys())
def test_a_rule_that_makes_no_sense_is_refused(fields: dict[str, Any], problems: dict[str, str]) -> None:
    """Every field that is wrong is named with what is allowed."""
    with pytest.raises(RuleRefused) as refused:
        FaultRule(**fields)
    assert refused.value.problems == problems
    assert all(f"{field}: {problem}" in str(refused.value) for field, problem in problems.items())


@pytest.mark.parametrize(
    "fields",
    [
        {"action": Action.STATUS, "status": 400, "retry_after_s": 0},
        {"action": Action.STATUS, "status": 599, "retry_after_s": 86_400},
        {"action": Action.DELAY, "delay": timedelta(microseconds=1)},
        {"action": Action.DELAY, "delay": timedelta(minutes=10)},
        {"action": Action.TRUNCATE},
        {"action": Action.TRUNCATE, "after_bytes": 0},
        {"action": Action.RESET, "probability": 0},
        {"action": Action.LOSE_RESPONSE, "nth": 10**9, "times": 1, "seed": 0},
    ],
)
def test_the_ends_of_each_range_are_allowed(fields: dict[str, Any]) -> None:
    """What is allowed includes both of its ends."""
    assert make().add(FaultRule(**fields)).id == "f1"


def test_a_rule_is_for_what_exists() -> None:
    """An operation that does not exist, or a mailbox for calls that name none, is refused; none is added."""
    faults = make()
    with pytest.raises(RuleRefused, match="known are send, list, lookup, and \\* for all"):
        faults.add(rule(operation="collect"))
    with pytest.raises(RuleRefused, match="does not go with lookup"):
        faults.add(rule(operation="lookup", mailbox=BOX))
    assert faults.counted() == ()


# -- adding and removing ----------------------------------------------------------------------------


def test_ids_are_never_used_again() -> None:
    """What a journal says of f1 stays true after f1 is gone."""
    faults = make(rule(), rule())
    assert [counted.rule.id for counted in faults.counted()] == ["f1", "f2"]
    removed = faults.remove("f1")
    assert removed is not None
    assert removed.rule.id == "f1"
    assert faults.remove("f1") is None
    assert [counted.rule.id for counted in faults.clear()] == ["f2"]
    assert faults.counted() == ()
    assert faults.add(rule()).id == "f3"


def test_the_first_rule_that_is_due_acts() -> None:
    """Rules stand in the order they were added; once one has acted as often as it may, the next does."""
    faults = make(rule(times=1), rule(operation="send", mailbox="x26abc1", times=2))
    assert decided(faults, [("send", BOX)] * 4) == ["f1", "f2", "f2", None]
    first, second = faults.counted()
    assert (first.calls, first.hits, first.exhausted) == (4, 1, True)
    assert (second.calls, second.hits, second.exhausted) == (4, 2, True)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, [True, True, True, True]),
        ({"operation": "send"}, [True, True, False, False]),
        ({"mailbox": BOX}, [True, False, True, False]),
        ({"operation": "list", "mailbox": "X26ABC2"}, [False, False, False, False]),
    ],
)
def test_operation_and_mailbox_choose_the_calls(fields: dict[str, str], expected: list[bool]) -> None:
    """A rule is for one operation or all, of one mailbox or all."""
    calls = [("send", BOX), ("send", "X26ABC3"), ("list", BOX), ("lookup", "")]
    faults = make(rule(**fields))
    assert [name is not None for name in decided(faults, calls)] == expected
    assert faults.counted()[0].calls == sum(expected)


# -- which calls ------------------------------------------------------------------------------------


@given(nth=st.integers(1, 50), times=st.none() | st.integers(1, 50), count=st.integers(0, 120))
def test_a_rule_acts_from_its_nth_call_for_so_many_times(nth: int, times: int | None, count: int) -> None:
    """A certain rule acts on one unbroken run of calls."""
    acted = decided(make(rule(nth=nth, times=times)), [("send", BOX)] * count)
    before = [None] * min(nth - 1, count)
    run = ["f1"] * min(count - len(before), count if times is None else times)
    assert acted == before + run + [None] * (count - len(before) - len(run))


@given(
    nth=st.integers(1, 20),
    times=st.none() | st.integers(1, 20),
    probability=st.floats(0, 1),
    seed=SEEDS,
    calls=CALLS,
)
def test_chance_keeps_within_nth_and_times(
    nth: int, times: int | None, probability: float, seed: int, calls: list[tuple[str, str]]
) -> None:
    """However the chances fall, nothing happens before the nth matching call or after the last time."""
    faults = make(rule(mailbox=BOX, nth=nth, times=times, probability=probability, seed=seed))
    acted = decided(faults, calls)
    matching = [name for name, (_, mailbox) in zip(acted, calls, strict=True) if mailbox == BOX]
    assert not any(matching[: nth - 1])
    hits = sum(name is not None for name in acted)
    assert hits == sum(name is not None for name in matching)
    assert times is None or hits <= times
    (counted,) = faults.counted()
    assert (counted.calls, counted.hits) == (len(matching), hits)


@given(probability=st.floats(0, 1), seed=SEEDS, calls=CALLS, other=st.floats(0, 1), other_seed=SEEDS)
def test_chance_is_the_same_each_time_whatever_other_rules_do(
    probability: float, seed: int, calls: list[tuple[str, str]], other: float, other_seed: int
) -> None:
    """A seed decides alike for the same calls, on every call that an earlier rule leaves to it."""
    chance = rule(probability=probability, seed=seed)
    alone = decided(make(chance), calls)
    assert decided(make(chance), calls) == alone
    earlier = rule(operation="send", probability=other, seed=other_seed)
    beside = decided(make(earlier, chance), calls)
    assert all(
        name == "f1" or (name is None) is (lone is None) for name, lone in zip(beside, alone, strict=True)
    )


@given(nth=st.integers(1, 60), probability=st.floats(0, 1), seed=SEEDS)
def test_the_chance_of_a_call_is_that_of_its_number(nth: int, probability: float, seed: int) -> None:
    """Beginning later changes nothing about the calls from there on."""
    calls = [("send", BOX)] * 60
    whole = decided(make(rule(probability=probability, seed=seed)), calls)
    later = decided(make(rule(probability=probability, seed=seed, nth=nth)), calls)
    assert later == [None] * (nth - 1) + whole[nth - 1 :]


@given(seed=SEEDS)
def test_certainty_and_impossibility_are_no_chance(seed: int) -> None:
    """Probability 1 always acts and 0 never does."""
    calls = [("send", BOX)] * 50
    assert decided(make(rule(probability=1, seed=seed)), calls) == ["f1"] * 50
    assert decided(make(rule(probability=0, seed=seed)), calls) == [None] * 50


def test_a_probability_is_a_share_of_the_calls() -> None:
    """One in four of many calls, and not the same ones for another seed."""
    calls = [("send", BOX)] * 4000
    first, second = (decided(make(rule(probability=0.25, seed=seed)), calls) for seed in (1, 2))
    assert 900 < first.count("f1") < 1100
    assert first != second
