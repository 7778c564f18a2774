"""``/admin/faults``: rules are added, listed and removed, and what makes no sense changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from controls import assert_control_refused, control
from support import MakeSimulator, Simulator

FIELDS = {
    "id": "f1",
    "operation": "*",
    "mailbox": None,
    "action": "reset",
    "status": None,
    "retry_after": None,
    "delay": None,
    "after_bytes": None,
    "nth": 1,
    "times": None,
    "probability": 1.0,
    "seed": 1,
    "calls": 0,
    "hits": 0,
    "exhausted": False,
}


async def _listed(simulator: Simulator) -> list[dict[str, Any]]:
    answer = await control(simulator.url, "GET", "/admin/faults")
    assert answer.status == 200
    rules: list[dict[str, Any]] = answer.json()["faults"]
    return rules


RULES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "the least": ({"action": "reset"}, {}),
    "a status": (
        {"action": "status", "status": 429, "retry_after": 30, "operation": "send", "mailbox": " x26abc1 "},
        {"action": "status", "status": 429, "retry_after": 30, "operation": "send", "mailbox": "X26ABC1"},
    ),
    "Retry-After as a duration": (
        {"action": "status", "status": 503, "retry_after": "2m"},
        {"action": "status", "status": 503, "retry_after": 120},
    ),
    "a delay": ({"action": "delay", "delay": "1m30s"}, {"action": "delay", "delay": "1m30s"}),
    "a delay in seconds": ({"action": "delay", "delay": 0.25}, {"action": "delay", "delay": "0.25s"}),
    "a cut": (
        {"action": "truncate", "after_bytes": 0, "nth": 2, "times": 3},
        {"action": "truncate", "after_bytes": 0, "nth": 2, "times": 3},
    ),
    "a chance": (
        {"action": "lose-response", "probability": 0.25, "seed": 7, "mailbox": ""},
        {"action": "lose-response", "probability": 0.25, "seed": 7},
    ),
}


@pytest.mark.parametrize(("wish", "expected"), RULES.values(), ids=RULES.keys())
async def test_a_rule_is_added_and_listed(
    simulator: Simulator, wish: dict[str, Any], expected: dict[str, Any]
) -> None:
    """A new rule comes back with its id and every field, and so does the list; what it says can be said."""
    added = await control(simulator.url, "POST", "/admin/faults", wish)
    assert (added.status, added.json()) == (201, FIELDS | expected)
    assert await _listed(simulator) == [FIELDS | expected]
    again = {name: value for name, value in added.json().items() if name in FIELDS.keys() - COUNTED}
    assert (await control(simulator.url, "POST", "/admin/faults", again)).json() == added.json() | {
        "id": "f2"
    }


COUNTED = {"id", "calls", "hits", "exhausted"}
"""What a rule has from the server."""

REFUSED: dict[str, tuple[Any, str, str]] = {
    "no action": ({}, "action", "is needed"),
    "an unknown action": (
        {"action": "explode"},
        "action",
        "'status', 'delay', 'reset', 'truncate' or 'lose-response'",
    ),
    "an unknown operation": ({"action": "reset", "operation": "collect"}, "operation", "known are lookup, "),
    "a mailbox that does not exist": ({"action": "reset", "mailbox": "X26ABD9"}, "mailbox", "X26ABC1"),
    "a mailbox where none is named": (
        {"action": "reset", "operation": "lookup", "mailbox": "X26ABC1"},
        "mailbox",
        "does not go with lookup",
    ),
    "an unknown field": ({"action": "reset", "time": 1}, "time", "did you mean times?"),
    "probability 1.5": ({"action": "reset", "probability": 1.5}, "probability", "from 0 to 1"),
    "no probability": ({"action": "reset", "probability": None}, "probability", "must be a number"),
    "a probability that is none": (b'{"action": "reset", "probability": NaN}', "probability", "from 0 to 1"),
    "status 200": ({"action": "status", "status": 200}, "status", "from 400 to 599"),
    "a status in words": ({"action": "status", "status": "bad"}, "status", "must be a whole number"),
    "a status that is true": ({"action": "status", "status": True}, "status", "must be a whole number"),
    "no status": ({"action": "status"}, "status", "is needed with action status"),
    "a status to a reset": ({"action": "reset", "status": 500}, "status", "goes only with action status"),
    "Retry-After to a reset": (
        {"action": "reset", "retry_after": 5},
        "retry_after",
        "goes only with action status",
    ),
    "Retry-After of half a second": (
        {"action": "status", "status": 503, "retry_after": "0.5s"},
        "retry_after",
        "whole seconds",
    ),
    "Retry-After of more than a day": (
        {"action": "status", "status": 503, "retry_after": "2d"},
        "retry_after",
        "from 0 to 86400",
    ),
    "a delay in words": ({"action": "delay", "delay": "soon"}, "delay", "write it like 5d"),
    "a delay of a day": ({"action": "delay", "delay": "1d"}, "delay", "at most 10 minutes"),
    "a delay below 0": ({"action": "delay", "delay": -1}, "delay", "cannot be negative"),
    "no delay": ({"action": "delay"}, "delay", "is needed with action delay"),
    "bytes to a status": (
        {"action": "status", "status": 500, "after_bytes": 1},
        "after_bytes",
        "goes only with action truncate",
    ),
    "bytes below 0": ({"action": "truncate", "after_bytes": -1}, "after_bytes", "from 0"),
    "the zeroth call": ({"action": "reset", "nth": 0}, "nth", "from 1"),
    "never": ({"action": "reset", "times": 0}, "times", "from 1"),
    "a seed below 0": ({"action": "reset", "seed": -1}, "seed", "from 0"),
}


@pytest.mark.parametrize(("wish", "field", "text"), REFUSED.values(), ids=REFUSED.keys())
async def test_a_rule_that_makes_no_sense_is_refused(
    simulator: Simulator, wish: Any, field: str, text: str
) -> None:
    """The refusal names the field and what is allowed, and no rule is in force."""
    answer = await control(simulator.url, "POST", "/admin/faults", wish)
    status = 404 if "X26ABD9" in str(wish) else 400
    assert_control_refused(answer, status, field=field, text=text)
    assert await _listed(simulator) == []


@pytest.mark.parametrize(
    ("body", "text"), [(b"{", "not JSON"), (b"[]", "object"), (b'"reset"', "object")], ids=repr
)
async def test_a_body_that_is_no_rule_is_refused(simulator: Simulator, body: bytes, text: str) -> None:
    """Anything but a JSON object is refused."""
    assert_control_refused(await control(simulator.url, "POST", "/admin/faults", body), 400, text=text)


async def test_every_fault_of_a_wish_is_named(simulator: Simulator) -> None:
    """Several wrong fields are told of in one answer."""
    wish = {"action": "status", "status": 200, "nth": 0, "probability": 1.5}
    answer = await control(simulator.url, "POST", "/admin/faults", wish)
    assert {problem["field"] for problem in answer.json()["problems"]} == {"status", "nth", "probability"}


async def test_rules_are_removed_one_by_one_or_all(simulator: Simulator) -> None:
    """A rule that is removed comes back with what came of it, and no longer acts."""
    for wish in ({"action": "status", "status": 500}, {"action": "reset"}, {"action": "truncate"}):
        assert (await control(simulator.url, "POST", "/admin/faults", wish)).status == 201
    assert (await simulator.caller().get("inbox")).status == 500
    removed = await control(simulator.url, "DELETE", "/admin/faults/f1")
    assert removed.status == 200
    (rule,) = removed.json()["removed"]
    assert (rule["id"], rule["calls"], rule["hits"]) == ("f1", 1, 1)
    gone = await control(simulator.url, "DELETE", "/admin/faults/f1")
    assert_control_refused(gone, 404, text="in force are: f2, f3")
    cleared = await control(simulator.url, "DELETE", "/admin/faults")
    assert (cleared.status, [rule["id"] for rule in cleared.json()["removed"]]) == (200, ["f2", "f3"])
    gone = await control(simulator.url, "DELETE", "/admin/faults/f2")
    assert_control_refused(gone, 404, text="in force are: none")
    assert (await control(simulator.url, "DELETE", "/admin/faults")).json() == {"removed": []}
    assert (await simulator.caller().get("inbox")).status == 200


async def test_the_token_guards_the_rules(make_simulator: MakeSimulator) -> None:
    """With a control token set, nobody lists, adds or removes a rule without it."""
    simulator = await make_simulator(admin_token="open-sesame")
    for method, path in (
        ("GET", "/admin/faults"),
        ("POST", "/admin/faults"),
        ("DELETE", "/admin/faults"),
        ("DELETE", "/admin/faults/f1"),
    ):
        assert_control_refused(await control(simulator.url, method, path), 401)
    token = {"Authorization": "Bearer open-sesame"}
    wish = {"action": "reset"}
    assert (await control(simulator.url, "POST", "/admin/faults", wish, headers=token)).status == 201
