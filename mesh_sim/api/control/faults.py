"""``/admin/faults``: the rules of injected faults, listed, added and removed."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from mesh_sim.api.control.mailboxes import known_mailbox
from mesh_sim.api.control.refusals import ControlRefused
from mesh_sim.api.control.requests import answer, read_wish
from mesh_sim.api.keys import FAULTS
from mesh_sim.durations import format_duration
from mesh_sim.faults import Counted, RuleRefused
from mesh_sim.wishes.base import Problem
from mesh_sim.wishes.faults import FaultWish


async def list_faults(request: web.Request) -> web.Response:
    """List the rules in force, in their order, with what came of them."""
    return answer({"faults": [_shown(counted) for counted in request.app[FAULTS].counted()]})


async def add_fault(request: web.Request) -> web.Response:
    """Put a rule in force, after those that are."""
    wish = await read_wish(request, FaultWish)
    if wish.mailbox:
        known_mailbox(request, "mailbox", wish.mailbox)
    try:
        rule = request.app[FAULTS].add(wish.rule())
    except RuleRefused as refused:
        raise _refusal(refused) from refused
    return answer(_shown(Counted(rule, calls=0, hits=0)), status=201)


async def clear_faults(request: web.Request) -> web.Response:
    """Take every rule out of force, and tell what came of them."""
    return answer({"removed": [_shown(counted) for counted in request.app[FAULTS].clear()]})


async def remove_fault(request: web.Request) -> web.Response:
    """Take one rule out of force, and tell what came of it."""
    faults = request.app[FAULTS]
    removed = faults.remove(request.match_info["rule_id"].lower())
    if removed is None:
        known = ", ".join(counted.rule.id for counted in faults.counted())
        raise ControlRefused(404, f"there is no such rule; in force are: {known or 'none'}")
    return answer({"removed": [_shown(removed)]})


def _refusal(refused: RuleRefused) -> ControlRefused:
    return ControlRefused.invalid(Problem(field, problem) for field, problem in refused.problems.items())


def _shown(counted: Counted) -> dict[str, Any]:
    rule = counted.rule
    return {
        "id": rule.id,
        "operation": rule.operation,
        "mailbox": rule.mailbox or None,
        "action": rule.action.value,
        "status": rule.status,
        "retry_after": rule.retry_after_s,
        "delay": None if rule.delay is None else format_duration(rule.delay),
        "after_bytes": rule.after_bytes,
        "nth": rule.nth,
        "times": rule.times,
        "probability": rule.probability,
        "seed": rule.seed,
        "calls": counted.calls,
        "hits": counted.hits,
        "exhausted": counted.exhausted,
    }
