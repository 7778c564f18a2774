"""How the pages write a rule of injected faults: what it is for, what it does, and when."""

from __future__ import annotations

from typing import Final

from mesh_sim.durations import format_duration
from mesh_sim.faults import ANY, Action, FaultRule
from mesh_sim.web.wording import status_text

OPERATIONS: Final = {
    ANY: "Any request",
    "send": "Send a message",
    "send-chunk": "Send a further chunk",
    "list": "List the inbox",
    "count": "Count the inbox",
    "download": "Download a message",
    "download-chunk": "Download a further chunk",
    "head": "Look at a message's headers",
    "acknowledge": "Acknowledge a message",
    "track": "Track by message id",
    "track-local-id": "Track by local id",
    "handshake": "Handshake",
    "lookup": "Look up a mailbox",
    "workflowsearch": "Look up a workflow",
    "rich-inbox": "List the inbox in detail (sandbox)",
    "rich-outbox": "List the outbox in detail (sandbox)",
    "update": "Update (sandbox)",
}
"""What a client asks for, in plain words, by the names of the route table; those used most come first."""

ACTIONS: Final = {
    Action.STATUS: (
        "Answer with an error",
        "Nothing is done. The client gets the status below, with Retry-After if you say when to try again.",
    ),
    Action.DELAY: (
        "Answer late",
        "The request waits for a while of real time, then goes on as usual.",
    ),
    Action.RESET: ("Break the connection", "Nothing is done, and the client gets no answer."),
    Action.TRUNCATE: (
        "Cut the answer short",
        "The request is carried out, but the answer's body ends early: after so many bytes, or half way.",
    ),
    Action.LOSE_RESPONSE: (
        "Lose the answer",
        "The request is carried out, a message is accepted, and the connection breaks before the answer.",
    ),
}
"""Each action, and what it does, for whoever chooses one."""


def calls_meant(rule: FaultRule) -> str:
    """Say which requests a rule is for."""
    return OPERATIONS.get(rule.operation, rule.operation)


def does(rule: FaultRule) -> str:
    """Say what a rule does to them."""
    match rule.action:
        case Action.STATUS:
            retry = "" if rule.retry_after_s is None else f", try again after {rule.retry_after_s} s"
            return f"Answer {status_text(rule.status or 0)}{retry}"
        case Action.DELAY if rule.delay is not None:
            return f"Answer {format_duration(rule.delay)} late"
        case Action.TRUNCATE if rule.after_bytes is not None:
            return f"Cut the answer short after {rule.after_bytes:,} bytes"
        case Action.TRUNCATE:
            return "Cut the answer short half way"
    return ACTIONS[rule.action][0]


def when(rule: FaultRule) -> str:
    """Say on which of them it acts."""
    parts = []
    if rule.nth > 1:
        parts.append(f"from the {rule.nth:,}{_ordinal(rule.nth)} on")
    if rule.times is not None:
        parts.append("once" if rule.times == 1 else f"{rule.times:,} times")
    if rule.probability < 1:
        parts.append(f"with a chance of {rule.probability:g} (seed {rule.seed})")
    said = ", ".join(parts) or "always"
    return said[:1].upper() + said[1:]


def _ordinal(number: int) -> str:
    if number % 100 in (11, 12, 13):
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
