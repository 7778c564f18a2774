"""The control API."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel

from mesh_sim.api.control.events import EventsQuery
from mesh_sim.api.control.journal import JournalQuery
from mesh_sim.api.control.messages import MessageQuery
from mesh_sim.api.control.optouts import ChoicesWish, ListQuery, LoadQuery
from mesh_sim.api.control.wait import WaitQuery
from mesh_sim.api.openapi.parts import (
    COUNT,
    FLAG,
    JSON,
    MOMENT,
    NUMBER,
    TEXT,
    WHOLE,
    Access,
    Answer,
    Operation,
    Schema,
    choice,
    header,
    list_of,
    or_null,
    query_of,
    record,
    ref,
)
from mesh_sim.api.openapi.schemas import STATUSES, TYPES
from mesh_sim.exchange.events import Kind
from mesh_sim.faults import Action
from mesh_sim.optouts.register import Channel
from mesh_sim.wishes.clock import ClockWish
from mesh_sim.wishes.faults import FaultWish
from mesh_sim.wishes.mailboxes import MailboxWish
from mesh_sim.wishes.messages import MessageWish
from mesh_sim.wishes.optouts import ChoiceWish, RuleWish
from mesh_sim.witness.journal import WITNESSED

MODELS: Final[tuple[type[BaseModel], ...]] = (
    ChoiceWish,
    ChoicesWish,
    ClockWish,
    FaultWish,
    MailboxWish,
    MessageWish,
    RuleWish,
)
"""What the bodies of control requests say; named in the document as the class is."""

_OPT_TEXT: Final = or_null(TEXT)
_OPT_WHOLE: Final = or_null(WHOLE)
_NUMBER_TEXT: Final[Schema] = {"type": "string", "pattern": "^[0-9]{10}$"}

SCHEMAS: Final[dict[str, Schema]] = {
    "ControlRefusal": record({"error": TEXT, "problems": list_of(record({"field": TEXT, "problem": TEXT}))}),
    "Clock": record({"now": MOMENT, "real": MOMENT, "offset_s": NUMBER}),
    "Mailbox": record(
        {
            **dict.fromkeys(
                ("mailbox_id", "mailbox_name", "billing_entity", "ods_code", "org_code", "org_name"), TEXT
            ),
            "active": FLAG,
        },
        {"waiting": COUNT},
    ),
    "Message": record(
        {
            **dict.fromkeys(
                ("message_id", "sender", "recipient", "workflow_id", "local_id", "subject", "file_name"), TEXT
            ),
            "message_type": choice(*TYPES),
            "status": choice(*STATUSES),
            **dict.fromkeys(("file_size", "total_chunks"), COUNT),
            **dict.fromkeys(("created_at", "expires_at"), MOMENT),
            **dict.fromkeys(("accepted_at", "acknowledged_at"), or_null(MOMENT)),
            "failure": or_null(
                record(
                    {
                        **dict.fromkeys(("code", "event", "description", "linked_message_id"), TEXT),
                        "at": MOMENT,
                    }
                )
            ),
        }
    ),
    "Fault": record(
        {
            "id": TEXT,
            "operation": TEXT,
            "mailbox": _OPT_TEXT,
            "action": choice(*Action),
            **dict.fromkeys(("status", "retry_after", "after_bytes", "times"), _OPT_WHOLE),
            "delay": _OPT_TEXT,
            **dict.fromkeys(("nth", "seed", "calls", "hits"), WHOLE),
            "probability": NUMBER,
            "exhausted": FLAG,
        }
    ),
    "JournalEntry": record(
        {
            **dict.fromkeys(("number", "status", "received_bytes", "sent_bytes"), COUNT),
            **dict.fromkeys(("at", "simulated_at"), MOMENT),
            **dict.fromkeys(
                ("mailbox", "operation", "method", "message_id", "reason", "fault", "user_agent"), TEXT
            ),
            "duration_s": NUMBER,
            "near_misses": list_of(TEXT),
            "details": record(
                {},
                {
                    **dict.fromkeys(("in_flight", "listed", "payload_bytes", "whole_bytes"), COUNT),
                    **dict.fromkeys(("more", "gzip"), FLAG),
                    **dict.fromkeys(("chunk", "recipient", "md5", "whole_md5"), TEXT),
                    "message_type": choice(*TYPES),
                    "headers": list_of(choice(*WITNESSED)),
                },
            ),
        }
    ),
    "Person": record(
        {
            "nhs_number": _NUMBER_TEXT,
            "opted_out": FLAG,
            "by": choice("choice", "synthetic rule"),
            "history": list_of(
                record({"opted_out": FLAG, "registered_at": MOMENT, "channel": choice(*Channel)})
            ),
        }
    ),
    "OptOutStatistics": record({"opted_out": COUNT, "withdrawn": COUNT, "rate": NUMBER, "seed": WHOLE}),
}
"""Named schemas of the control API's answers."""

REFUSAL: Final = {JSON: ref("ControlRefusal")}
_REFUSED: Final[dict[int, Answer]] = {
    401: Answer(means="It needs the token of `MESH_SIM_ADMIN_TOKEN`.", content=REFUSAL),
    403: Answer(means="It was made by a page of another site, or to another name.", content=REFUSAL),
    503: Answer(
        means="It could not be made safe on disk, or the simulator is stopping.",
        content={JSON: {"anyOf": [ref("ControlRefusal"), ref("GenericError")]}},
    ),
}
INVALID: Final[dict[int, Answer]] = {
    400: Answer(means="It cannot be done as it was asked for, and nothing of it was.", content=REFUSAL)
}
LIMITED: Final[dict[int, Answer]] = {
    408: Answer(means="The body came too slowly.", content=REFUSAL),
    413: Answer(means="The body is too large.", content=REFUSAL),
}
WITH_BODY: Final = INVALID | LIMITED
NOBODY: Final[dict[int, Answer]] = {404: Answer(means="There is no such mailbox.", content=REFUSAL)}


def ok(means: str, schema: Schema, status: int = 200) -> dict[int, Answer]:
    """Describe an answer in JSON."""
    return {status: Answer(means=means, content={JSON: schema})}


def controlled(
    method: str,
    path: str,
    name: str,
    does: str,
    answers: dict[int, Answer],
    *,
    parameters: tuple[Schema, ...] = (),
    body: type[BaseModel] | None = None,
    tag: str = "Control",
) -> Operation:
    """Describe an operation that is guarded as the control API is."""
    needs_fields = body is not None and any(field.is_required() for field in body.model_fields.values())
    return Operation(
        method=method,
        path=path,
        name=name,
        does=does,
        tag=tag,
        access=Access.CONTROL,
        answers=_REFUSED | answers,
        parameters=parameters,
        body={JSON: ref(body.__name__)} if body is not None else {},
        body_required=needs_fields or body is ClockWish,
    )


_CLOCK: Final = ok("The time now.", ref("Clock"))
_PERSON: Final = ok("The person's choice now.", ref("Person")) | INVALID
_STATISTICS: Final = ok("The counts now.", ref("OptOutStatistics"))
_LOADED: Final = ok("How many choices were recorded.", record({"loaded": COUNT, "opted_out": FLAG}))
_MESSAGES: Final = ok("Those found, oldest first.", record({"messages": list_of(ref("Message"))}))
_REMOVED: Final = ok("What was removed.", record({"removed": list_of(ref("Fault"))}))
_STATUS: Final[Schema] = {"type": "string", "pattern": "^([1-9][0-9]{2}|0|[1-9][xX]{2})$"}

CONTROL: Final = (
    Operation(
        method="GET",
        path="/admin/ready",
        name="ready",
        does="Say that the server serves",
        tag="Health",
        access=Access.OPEN,
        answers=ok("It does.", record({"ready": {"const": True}})),
    ),
    controlled("GET", "/admin/clock", "show_clock", "Show the simulated time", _CLOCK),
    controlled(
        "POST", "/admin/clock", "set_clock", "Advance or reset the clock", _CLOCK | WITH_BODY, body=ClockWish
    ),
    controlled(
        "GET",
        "/admin/mailboxes",
        "list_mailboxes",
        "List the mailboxes",
        ok("All of them.", record({"mailboxes": list_of(ref("Mailbox"))})),
    ),
    controlled(
        "POST",
        "/admin/mailboxes",
        "create_mailbox",
        "Add a mailbox",
        ok("The mailbox.", ref("Mailbox"), 201)
        | WITH_BODY
        | {409: Answer(means="There is one of this id.", content=REFUSAL)},
        body=MailboxWish,
    ),
    controlled(
        "PATCH",
        "/admin/mailboxes",
        "change_mailbox",
        "Change a mailbox",
        ok("The mailbox.", ref("Mailbox")) | WITH_BODY | NOBODY,
        body=MailboxWish,
    ),
    controlled(
        "GET",
        "/admin/messages",
        "list_messages",
        "List messages",
        _MESSAGES | INVALID | NOBODY,
        parameters=query_of(MessageQuery),
    ),
    controlled(
        "POST",
        "/admin/messages",
        "put_messages",
        "Put messages into an inbox",
        ok("Their ids, in order of arrival.", record({"message_ids": list_of(TEXT)}), 201)
        | WITH_BODY
        | NOBODY,
        body=MessageWish,
    ),
    controlled(
        "GET",
        "/admin/wait",
        "wait_for_messages",
        "Wait until messages are there",
        _MESSAGES | INVALID | NOBODY | {408: Answer(means="They were not there in time.", content=REFUSAL)},
        parameters=query_of(WaitQuery, timeout={"type": "string", "default": "30s", "examples": ["30s"]}),
    ),
    controlled(
        "GET",
        "/admin/faults",
        "list_faults",
        "List the fault rules",
        ok("Those in force.", record({"faults": list_of(ref("Fault"))})),
    ),
    controlled(
        "POST",
        "/admin/faults",
        "add_fault",
        "Put a fault rule in force",
        ok("The rule.", ref("Fault"), 201) | WITH_BODY | NOBODY,
        body=FaultWish,
    ),
    controlled("DELETE", "/admin/faults", "clear_faults", "Remove every fault rule", _REMOVED),
    controlled(
        "DELETE",
        "/admin/faults/{rule_id}",
        "remove_fault",
        "Remove a fault rule",
        _REMOVED | {404: Answer(means="There is no such rule.", content=REFUSAL)},
    ),
    controlled(
        "GET",
        "/admin/optouts",
        "list_optouts",
        "List explicit choices",
        ok(
            "A page, lowest number first; `next` is the next page's `after`.",
            record(
                {
                    "choices": list_of(record({"nhs_number": _NUMBER_TEXT, "opted_out": FLAG})),
                    "next": _OPT_WHOLE,
                }
            ),
        )
        | INVALID,
        parameters=query_of(ListQuery),
    ),
    controlled(
        "PUT",
        "/admin/optouts",
        "choose_many",
        "Record one choice for several people",
        _LOADED | WITH_BODY,
        body=ChoicesWish,
    ),
    controlled(
        "PATCH",
        "/admin/optouts",
        "change_rule",
        "Change the rule for everybody without a choice",
        _STATISTICS | WITH_BODY,
        body=RuleWish,
    ),
    controlled("DELETE", "/admin/optouts", "forget_choices", "Forget every explicit choice", _STATISTICS),
    Operation(
        method="POST",
        path="/admin/optouts/load",
        name="load_choices",
        does="Record one choice for everybody in a list",
        tag="Control",
        access=Access.CONTROL,
        answers=_REFUSED | _LOADED | WITH_BODY,
        parameters=query_of(LoadQuery),
        body={"text/plain": TEXT, "application/octet-stream": {}},
        body_required=True,
    ),
    controlled(
        "GET", "/admin/optouts/statistics", "show_statistics", "Count the explicit choices", _STATISTICS
    ),
    *(
        controlled(
            method,
            "/admin/optouts/{nhs_number}",
            name,
            does,
            _PERSON if body is None else _PERSON | LIMITED,
            body=body,
        )
        for method, name, does, body in (
            ("GET", "show_choice", "Say whether a person has opted out", None),
            ("PUT", "opt_out", "Opt a person out", ChoiceWish),
            ("DELETE", "withdraw", "Withdraw a person's opt-out", ChoiceWish),
        )
    ),
    controlled(
        "GET",
        "/admin/journal",
        "show_journal",
        "List requests and what came of them",
        ok(
            "A page; oldest first, `next` is the next one's `after`; newest first, its `before` is the "
            "number of the last entry.",
            record({"entries": list_of(ref("JournalEntry")), "next": _OPT_WHOLE}),
        )
        | INVALID,
        parameters=query_of(
            JournalQuery,
            status=_STATUS,
            since={"type": "string", "examples": ["10m", "2026-11-24T10:00:00Z"]},
        ),
    ),
    controlled(
        "DELETE",
        "/admin/journal",
        "empty_journal",
        "Forget every entry",
        ok("How many there were.", record({"deleted": COUNT})),
    ),
    controlled(
        "GET",
        "/admin/events",
        "stream_events",
        "Follow what happens, as server-sent events",
        {200: Answer(means="A stream without an end.", content={"text/event-stream": TEXT})} | INVALID,
        parameters=(
            *query_of(
                EventsQuery,
                kinds={"type": "string", "maxLength": 1000, "examples": [f"{Kind.ACCEPTED},{Kind.FAULT}"]},
            ),
            header("Last-Event-ID", "the number of the last event seen, to go on from there"),
        ),
    ),
    controlled(
        "GET",
        "/metrics",
        "show_metrics",
        "Figures for Prometheus",
        {200: Answer(means="All of them.", content={"text/plain": TEXT})},
    ),
)
