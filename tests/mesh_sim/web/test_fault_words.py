"""How the pages write a rule of injected faults."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from mesh_sim.api import routes
from mesh_sim.faults import ANY, Action, FaultRule
from mesh_sim.web.fault_words import ACTIONS, OPERATIONS, calls_meant, does, when


def test_everything_there_is_has_its_words() -> None:
    """Each operation of the route table and each action is offered, and nothing else."""
    assert set(OPERATIONS) == {ANY, *routes.OPERATIONS}
    assert set(ACTIONS) == set(Action)
    assert len(set(OPERATIONS.values())) == len(OPERATIONS)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (FaultRule(action=Action.STATUS, status=503), "Answer 503 Service Unavailable"),
        (
            FaultRule(action=Action.STATUS, status=429, retry_after_s=30),
            "Answer 429 Too Many Requests, try again after 30 s",
        ),
        (FaultRule(action=Action.DELAY, delay=timedelta(seconds=90)), "Answer 1m30s late"),
        (FaultRule(action=Action.RESET), "Break the connection"),
        (FaultRule(action=Action.TRUNCATE), "Cut the answer short half way"),
        (FaultRule(action=Action.TRUNCATE, after_bytes=1000), "Cut the answer short after 1,000 bytes"),
        (FaultRule(action=Action.LOSE_RESPONSE), "Lose the answer"),
    ],
)
def test_what_a_rule_does(rule: FaultRule, words: str) -> None:
    """With the values that it does it by."""
    assert does(rule) == words


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "Always"),
        ({"times": 1}, "Once"),
        ({"nth": 2, "times": 3}, "From the 2nd on, 3 times"),
        ({"nth": 11}, "From the 11th on"),
        ({"nth": 1023}, "From the 1,023rd on"),
        ({"nth": 101, "probability": 0.25, "seed": 7}, "From the 101st on, with a chance of 0.25 (seed 7)"),
    ],
)
def test_when_a_rule_acts(given: dict[str, Any], words: str) -> None:
    """In words, and without what goes without saying."""
    assert when(FaultRule(action=Action.RESET, **given)) == words


def test_which_requests_a_rule_is_for() -> None:
    """By what a client asks for, not by its name."""
    assert calls_meant(FaultRule(action=Action.RESET, operation="send")) == "Send a message"
    assert calls_meant(FaultRule(action=Action.RESET)) == "Any request"
