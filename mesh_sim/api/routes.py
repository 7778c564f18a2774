"""The route table: every path of the server on one page (mesh-api.md section 1)."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from mesh_sim.api.authentication import authenticated
from mesh_sim.api.control.clock import set_clock, show_clock
from mesh_sim.api.control.events import stream_events
from mesh_sim.api.control.faults import add_fault, clear_faults, list_faults, remove_fault
from mesh_sim.api.control.journal import empty_journal, show_journal
from mesh_sim.api.control.mailboxes import change_mailbox, create_mailbox, list_mailboxes
from mesh_sim.api.control.messages import list_messages, put_messages
from mesh_sim.api.control.optouts import (
    change_rule,
    choose_many,
    forget_choices,
    list_optouts,
    load_choices,
    opt_out,
    show_choice,
    show_statistics,
    withdraw,
)
from mesh_sim.api.control.requests import guarded
from mesh_sim.api.control.wait import wait_for_messages
from mesh_sim.api.control.witness import (
    compare_file,
    finish_step,
    list_cases,
    show_rehearsal,
    show_report,
    start_case,
    stop_case,
)
from mesh_sim.api.handshake import handshake
from mesh_sim.api.health import ping, ready, update
from mesh_sim.api.inbox import (
    acknowledge_message,
    count_messages,
    download_chunk,
    download_message,
    list_inbox,
    look_at_message,
)
from mesh_sim.api.limits import await_wish
from mesh_sim.api.lookup import look_up_endpoint, search_workflow
from mesh_sim.api.metrics import show_metrics
from mesh_sim.api.openapi.handler import show_document
from mesh_sim.api.operations import Handler
from mesh_sim.api.outbox import send_chunk, send_message
from mesh_sim.api.sandbox.rich import rich_inbox, rich_outbox
from mesh_sim.api.sandbox.routes import SANDBOX_PATHS
from mesh_sim.api.tracking import track_local_id, track_message

MX = "/messageexchange"
BOX = MX + "/{mailbox_id}"
MESSAGE = BOX + "/inbox/{message_id}"

HEALTH_PATHS = ("/health", "/_status", "/_ping", "/healthcheck", MX + "/_ping", MX + "/deepping")

# What has a fixed segment stands before what could be mistaken for it, and of the rest what is asked most
# comes first: a request is matched with one after the other. A name is the operation, for logs, journal and
# faults.
_OPERATIONS: list[tuple[str, str, str, Handler]] = [
    ("lookup", "GET", MX + "/endpointlookup/{ods_code}/{workflow_id}", look_up_endpoint),
    ("workflowsearch", "GET", MX + "/workflowsearch/{workflow_id}", search_workflow),
    ("send", "POST", BOX + "/outbox", authenticated(send_message)),
    ("list", "GET", BOX + "/inbox", authenticated(list_inbox)),
    ("rich-inbox", "GET", BOX + "/inbox/rich", authenticated(rich_inbox)),
    ("download", "GET", MESSAGE, authenticated(download_message)),
    ("head", "HEAD", MESSAGE, authenticated(look_at_message)),
    ("acknowledge", "PUT", MESSAGE + "/status/acknowledged", authenticated(acknowledge_message)),
    ("download-chunk", "GET", MESSAGE + "/{chunk_number}", authenticated(download_chunk)),
    ("rich-outbox", "GET", BOX + "/outbox/rich", authenticated(rich_outbox)),
    ("track", "GET", BOX + "/outbox/tracking", authenticated(track_message)),
    ("track-local-id", "GET", BOX + "/outbox/tracking/{local_id}", authenticated(track_local_id)),
    ("send-chunk", "POST", BOX + "/outbox/{message_id}/{chunk_number}", authenticated(send_chunk)),
    ("handshake", "POST", BOX, authenticated(handshake)),
    ("handshake", "GET", BOX, authenticated(handshake)),
    ("count", "GET", BOX + "/count", authenticated(count_messages)),
    ("update", "POST", BOX + "/update", authenticated(update)),
]

# What a test wants to do to the simulator. Fixed segments stand before {nhs_number}.
CONTROL: list[tuple[str, str, Handler]] = [
    ("GET", "/admin/clock", show_clock),
    ("POST", "/admin/clock", set_clock),
    ("GET", "/admin/mailboxes", list_mailboxes),
    ("POST", "/admin/mailboxes", create_mailbox),
    ("PATCH", "/admin/mailboxes", change_mailbox),
    ("GET", "/admin/messages", list_messages),
    ("POST", "/admin/messages", put_messages),
    ("GET", "/admin/wait", wait_for_messages),
    ("GET", "/admin/faults", list_faults),
    ("POST", "/admin/faults", add_fault),
    ("DELETE", "/admin/faults", clear_faults),
    ("DELETE", "/admin/faults/{rule_id}", remove_fault),
    ("GET", "/admin/optouts", list_optouts),
    ("PUT", "/admin/optouts", choose_many),
    ("PATCH", "/admin/optouts", change_rule),
    ("DELETE", "/admin/optouts", forget_choices),
    ("POST", "/admin/optouts/load", load_choices),
    ("GET", "/admin/optouts/statistics", show_statistics),
    ("GET", "/admin/optouts/{nhs_number}", show_choice),
    ("PUT", "/admin/optouts/{nhs_number}", opt_out),
    ("DELETE", "/admin/optouts/{nhs_number}", withdraw),
    ("GET", "/admin/journal", show_journal),
    ("DELETE", "/admin/journal", empty_journal),
    ("GET", "/admin/witness", show_rehearsal),
    ("POST", "/admin/witness", start_case),
    ("DELETE", "/admin/witness", stop_case),
    ("POST", "/admin/witness/finish", finish_step),
    ("POST", "/admin/witness/compare", compare_file),
    ("GET", "/admin/witness/cases", list_cases),
    ("GET", "/admin/witness/report", show_report),
    ("GET", "/admin/events", stream_events),
    ("GET", "/metrics", show_metrics),
]

OPERATIONS: Final = tuple(dict.fromkeys(operation for operation, *_ in _OPERATIONS))
"""The names of what a client can ask MESH for."""

OF_MAILBOXES: Final = frozenset(operation for operation, _, path, _ in _OPERATIONS if path.startswith(BOX))
"""Those of them that name a mailbox in their path."""

OPERATION_NAMES: Final = {handler: operation for operation, _, _, handler in _OPERATIONS}


def route(method: str, path: str, handler: Handler) -> web.RouteDef:
    """Have a path answered by a handler, which is the one to ask for a body that waits to be asked for."""
    # HEAD is an operation of its own, and only on messages (section 2).
    if method == "GET":
        return web.get(path, handler, allow_head=False, expect_handler=await_wish)
    return web.route(method, path, handler, expect_handler=await_wish)


ROUTES = [
    *(route("GET", path, ping) for path in HEALTH_PATHS),
    route("GET", "/admin/ready", ready),
    route("GET", "/openapi.json", show_document),
    *(route(method, path, guarded(handler)) for method, path, handler in CONTROL),
    *(route(method, path, guarded(handler)) for method, path, handler in SANDBOX_PATHS),
    *(route(method, path, handler) for _, method, path, handler in _OPERATIONS),
]
