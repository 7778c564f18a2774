"""Looking up who receives a workflow; no authorization (mesh-api.md section 15)."""

from __future__ import annotations

import secrets

from aiohttp import web

from mesh_sim.api.answers import json_answer, wanted_version
from mesh_sim.api.keys import EXCHANGE
from mesh_sim.exchange.errors import Malformed
from ndoo.protocol import ApiVersion


async def look_up_endpoint(request: web.Request) -> web.Response:
    """Find the mailboxes of an organisation that receive a workflow."""
    version = wanted_version(request)
    ods_code = request.match_info["ods_code"].strip()
    workflow_id = _workflow_id(request, ods_code)
    found = request.app[EXCHANGE].directory.receivers(workflow_id, ods_code)
    if version is ApiVersion.V2:
        results = [{"mailbox_id": box.mailbox_id, "mailbox_name": box.mailbox_name} for box in found]
        return json_answer(version, {"results": results})
    results = [
        {"address": box.mailbox_id, "description": box.mailbox_name, "endpoint_type": "MESH"} for box in found
    ]
    return json_answer(version, {"query_id": secrets.token_hex(16), "results": results})


async def search_workflow(request: web.Request) -> web.Response:
    """Find all mailboxes that receive a workflow; the same body in both versions."""
    version = wanted_version(request)
    found = request.app[EXCHANGE].directory.receivers(_workflow_id(request))
    results = [{"mailbox_id": box.mailbox_id, "mailbox_name": box.mailbox_name} for box in found]
    return json_answer(version, {"results": results})


def _workflow_id(request: web.Request, ods_code: str | None = None) -> str:
    if ods_code == "":
        raise Malformed("ods code missing")
    workflow_id = request.match_info["workflow_id"].strip()
    if not workflow_id:
        raise Malformed("workflow id missing")
    return workflow_id
