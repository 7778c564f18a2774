"""The route table: every path of the server on one page (mesh-api.md section 1)."""

from __future__ import annotations

from typing import Final

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
from mesh_sim.api.operations import Handler
from mesh_sim.api.outbox import send_chunk, send_message
from mesh_sim.api.tracking import track_local_id, track_message

MX = "/messageexchange"
BOX = MX + "/{mailbox_id}"
MESSAGE = BOX + "/inbox/{message_id}"

HEALTH_PATHS = ("/health", "/_status", "/_ping", "/healthcheck", MX + "/_ping", MX + "/deepping")

# Fixed second segments stand before {mailbox_id}. A name is the operation, for logs, journal and faults.
_OPERATIONS: list[tuple[str, str, str, Handler]] = [
    ("lookup", "GET", MX + "/endpointlookup/{ods_code}/{workflow_id}", look_up_endpoint),
    ("workflowsearch", "GET", MX + "/workflowsearch/{workflow_id}", search_workflow),
    ("handshake", "POST", BOX, authenticated(handshake)),
    ("handshake", "GET", BOX, authenticated(handshake)),
    ("send", "POST", BOX + "/outbox", authenticated(send_message)),
    ("track", "GET", BOX + "/outbox/tracking", authenticated(track_message)),
    ("track-local-id", "GET", BOX + "/outbox/tracking/{local_id}", authenticated(track_local_id)),
    ("send-chunk", "POST", BOX + "/outbox/{message_id}/{chunk_number}", authenticated(send_chunk)),
    ("list", "GET", BOX + "/inbox", authenticated(list_inbox)),
    ("count", "GET", BOX + "/count", authenticated(count_messages)),
    ("update", "POST", BOX + "/update", authenticated(update)),
    ("download", "GET", MESSAGE, authenticated(download_message)),
    ("head", "HEAD", MESSAGE, authenticated(look_at_message)),
    ("acknowledge", "PUT", MESSAGE + "/status/acknowledged", authenticated(acknowledge_message)),
    ("download-chunk", "GET", MESSAGE + "/{chunk_number}", authenticated(download_chunk)),
]

OPERATIONS: Final = tuple(dict.fromkeys(operation for operation, *_ in _OPERATIONS))
"""The names of what a client can ask MESH for."""

OPERATION_NAMES: Final = {handler: operation for operation, _, _, handler in _OPERATIONS}


def _route(method: str, path: str, handler: Handler) -> web.RouteDef:
    # HEAD is an operation of its own, and only on messages (section 2).
    return web.get(path, handler, allow_head=False) if method == "GET" else web.route(method, path, handler)


ROUTES = [
    *(_route("GET", path, ping) for path in HEALTH_PATHS),
    _route("GET", "/admin/ready", ready),
    *(_route(method, path, handler) for _, method, path, handler in _OPERATIONS),
]
