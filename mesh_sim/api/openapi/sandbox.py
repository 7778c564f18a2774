"""The sandbox's admin paths (mesh-api.md section 18), whose refusals keep its shapes."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel

from mesh_sim.api.openapi.control import LIMITED, REFUSAL, controlled, ok
from mesh_sim.api.openapi.parts import JSON, TEXT, V2, Answer, Operation, Schema, query, record, ref
from mesh_sim.api.routes import MX
from mesh_sim.api.sandbox.admin import EventGiven, ReportGiven

MODELS: Final[tuple[type[BaseModel], ...]] = (EventGiven, ReportGiven)
"""What the bodies say."""

_SANDBOX_404: Final = {
    404: Answer(means="There is none.", content={JSON: ref("MeshErrorV1"), V2: ref("MeshErrorV2")})
}
_FORM: Final = LIMITED | {400: Answer(means="The body is not right.", content={JSON: ref("FormError")})}
_DONE: Final = ok("Done.", ref("Done"))


def _both(
    method: str,
    path: str,
    name: str,
    does: str,
    answers: dict[int, Answer],
    *,
    parameters: tuple[Schema, ...] = (),
    body: type[BaseModel] | None = None,
) -> tuple[Operation, ...]:
    return tuple(
        controlled(
            method, prefix + path, name, does, answers, parameters=parameters, body=body, tag="mesh-sandbox"
        )
        for prefix in ("", MX)
    )


def _mailbox_details(path: str) -> Operation:
    details = ok("Its details.", ref("MailboxDetails")) | _SANDBOX_404
    return controlled("GET", path, "show_mailbox", "Show a mailbox", details, tag="mesh-sandbox")


SANDBOX: Final = (
    *_both(
        "DELETE",
        "/admin/reset",
        "reset_everything",
        "Forget every message",
        _DONE | {409: Answer(means="A file of mailboxes or workflows is not right.", content=REFUSAL)},
        parameters=(
            query("everything", "`true`: choices, faults, the journal and the clock too", {"type": "string"}),
        ),
    ),
    *_both(
        "DELETE",
        "/admin/reset/{mailbox_id}",
        "reset_mailbox",
        "Empty a mailbox's inbox and outbox",
        _DONE | _SANDBOX_404,
    ),
    *_both(
        "POST",
        "/admin/message/{message_id}/event",
        "put_event",
        "Put a message into any status",
        {200: Answer(means="It is in it.")} | _SANDBOX_404 | _FORM,
        body=EventGiven,
    ),
    *_both(
        "GET",
        "/admin/message/{message_id}",
        "show_message",
        "Show a message",
        ok("Its details.", ref("MessageDetails")) | _SANDBOX_404,
    ),
    _mailbox_details("/admin/mailbox/{mailbox_id}"),
    _mailbox_details(MX + "/admin/mailbox/{mailbox_id}"),
    _mailbox_details(MX + "/mailbox/{mailbox_id}"),
    controlled(
        "POST",
        MX + "/admin/report",
        "put_report",
        "Put a report into an inbox",
        ok("The report's message id.", record({"message_id": TEXT})) | _SANDBOX_404 | _FORM,
        body=ReportGiven,
        tag="mesh-sandbox",
    ),
)
