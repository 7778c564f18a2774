"""The route table: every path of the server on one page (mesh-api.md section 1)."""

from __future__ import annotations

from aiohttp import web

from mesh_sim.api.authentication import authenticated
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
from mesh_sim.api.lookup import look_up_endpoint, search_workflow
from mesh_sim.api.outbox import send_chunk, send_message
from mesh_sim.api.tracking import track_local_id, track_message

MX = "/messageexchange"
BOX = MX + "/{mailbox_id}"
MESSAGE = BOX + "/inbox/{message_id}"

HEALTH_PATHS = ("/health", "/_status", "/_ping", "/healthcheck", MX + "/_ping", MX + "/deepping")

# Fixed second segments stand before {mailbox_id}. A name is the operation, for logs and faults.
ROUTES = [
    *(web.get(path, ping, allow_head=False) for path in HEALTH_PATHS),
    web.get("/admin/ready", ready, allow_head=False),
    web.get(
        MX + "/endpointlookup/{ods_code}/{workflow_id}", look_up_endpoint, name="lookup", allow_head=False
    ),
    web.get(MX + "/workflowsearch/{workflow_id}", search_workflow, name="workflowsearch", allow_head=False),
    web.post(BOX, authenticated(handshake), name="handshake"),
    web.get(BOX, authenticated(handshake), allow_head=False),
    web.post(BOX + "/outbox", authenticated(send_message), name="send"),
    web.get(BOX + "/outbox/tracking", authenticated(track_message), name="track", allow_head=False),
    web.get(
        BOX + "/outbox/tracking/{local_id}",
        authenticated(track_local_id),
        name="track-local-id",
        allow_head=False,
    ),
    web.post(BOX + "/outbox/{message_id}/{chunk_number}", authenticated(send_chunk), name="send-chunk"),
    web.get(BOX + "/inbox", authenticated(list_inbox), name="list", allow_head=False),
    web.get(BOX + "/count", authenticated(count_messages), name="count", allow_head=False),
    web.post(BOX + "/update", authenticated(update), name="update"),
    web.get(MESSAGE, authenticated(download_message), name="download", allow_head=False),
    web.head(MESSAGE, authenticated(look_at_message), name="head"),
    web.put(MESSAGE + "/status/acknowledged", authenticated(acknowledge_message), name="acknowledge"),
    web.get(
        MESSAGE + "/{chunk_number}", authenticated(download_chunk), name="download-chunk", allow_head=False
    ),
]
