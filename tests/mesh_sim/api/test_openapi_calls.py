"""Calls made up from a description, ours and NHS England's: every answer is one that it describes."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import APIOperation, Case, GenerationMode, Response
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from support import V1, V2, authorization

from mesh_sim import Simulator
from mesh_sim.api.routes import ROUTES

CASES: Final = int(os.environ.get("MESH_SIM_TEST_CALLS", "6"))
"""Calls of each operation, and as many of the kind its description forbids; thousands for a long run."""

CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
NHS_FILE: Final = os.environ.get("MESH_SIM_TEST_NHS_OPENAPI")
"""NHS England's file, which is not ours to keep here."""

PATIENCE_S: Final = 20
ENDLESS: Final = "/admin/events"

OFTEN: Final = st.integers(0, 9).map(bool)
ACCEPTS: Final = st.sampled_from([V2, V1, V2, V1, "*/*", "", "application/vnd.mesh.v3+json"])
PACKINGS: Final = st.sampled_from(["gzip", "identity", "br, gzip;q=0.5"])
BOX, OTHER = "X26ABC1", "X26ABC3"
MAILBOX_FIELDS: Final = ("mailbox_id", "mailbox", "sender", "to", "from")


Place: TypeAlias = tuple[str, str]
APIMap: TypeAlias = dict[Place, APIOperation]

_BOX: Final = "/messageexchange/{mailbox_id}"
_MESSAGE: Final = _BOX + "/inbox/{message_id}"
_ACKNOWLEDGED: Final = _MESSAGE + "/status/acknowledged"

EMPTY: Final[dict[Place, str]] = {
    ("POST", _BOX): "section 6",
    ("GET", _BOX): "section 6",
    ("PUT", _ACKNOWLEDGED): "section 10",
}
"""Successes without a body in version 2, which OpenAPI cannot say beside version 1's."""

UNDESCRIBED: Final[dict[Place, dict[int, str]]] = {
    ("GET", _MESSAGE): {406: "section 8, content-encoding against accept-encoding"},
    ("GET", _MESSAGE + "/{chunk_number}"): {406: "section 8, content-encoding against accept-encoding"},
    ("PUT", _ACKNOWLEDGED): {404: "section 23, acknowledge, tracking"},
    ("GET", _BOX + "/outbox/tracking"): {404: "section 23, acknowledge, tracking"},
    ("GET", _BOX + "/outbox/tracking/{local_id}"): {404: "section 23, acknowledge, tracking"},
    ("POST", _BOX + "/outbox"): {422: "section 23, unsupported encoding"},
    ("POST", _BOX + "/outbox/{message_id}/{chunk_number}"): {406: "section 23, chunk beyond total"},
}
"""Statuses that the official file does not know, and where mesh-api.md tells of them."""

TYPES_OF_ITS_OWN: Final[dict[Place, str]] = {
    ("GET", _MESSAGE): "section 8, content-type rule",
    ("GET", _MESSAGE + "/{chunk_number}"): "section 8, content-type rule",
}
"""Successes that may have another content type than the official file knows: what the sender named.

So may every error in version 2, since the file has version 1's content type alone (section 4, MESH error).
"""


@dataclass(frozen=True, slots=True)
class Known:
    """Something there that calls may be about."""

    url: str
    message_ids: list[str]
    session: requests.Session

    def send(self, sender: str, to: str, body: bytes = b"payload", **headers: str) -> str:
        """Send a message; give its id."""
        answer = self.session.post(
            f"{self.url}/messageexchange/{sender}/outbox",
            body,
            headers={
                "Authorization": authorization(sender),
                "Mex-To": to,
                "Mex-WorkflowID": "ANY",
                "Mex-LocalID": "a",
                **headers,
            },
            timeout=PATIENCE_S,
        )
        assert answer.status_code == 202, answer.text
        return str(answer.json()["messageID"])


@pytest.fixture(scope="module")
def known() -> Iterator[Known]:
    """A simulator with a message in each state a call can meet, and a rehearsal."""
    with Simulator() as simulator, requests.Session() as session:
        begun = session.post(f"{simulator.url}/admin/witness", json={"mailbox": OTHER, "case": "401"})
        assert begun.status_code == 201, begun.text
        yield Known(simulator.url, [], session)


def fill(known: Known) -> None:
    """Have messages waiting: for this mailbox and another, begun, packed, and last one that is no gzip."""
    packed = {"Content-Encoding": "gzip", "Content-Type": "text/plain"}
    known.message_ids[:] = [
        known.send(BOX, BOX),
        known.send(BOX, "X26ABC2"),
        known.send(BOX, BOX, **{"Mex-Chunk-Range": "1:3"}),
        known.send("X26ABC2", BOX, gzip.compress(b"payload"), **packed),
        known.send("X26ABC2", BOX, b"not gzip", **packed),
    ]


def operations(schema: Any) -> APIMap:
    """Give the operations of a description by method and path."""
    found = [result.ok() for result in schema.get_all_operations()]
    return {(operation.method.upper(), operation.path): operation for operation in found}


def can_be_wrong(operation: APIOperation) -> bool:
    """Tell whether there is anything in a call that cannot be any text."""
    shaped = "{mailbox_id}" in operation.path or "{message_id}" in operation.path
    return shaped or bool(operation.query or operation.body)


def prepare(case: Case, known: Known, draw: Any) -> None:
    """Sign a call, have most be about something there, and none take long."""
    path = case.path_parameters or {}
    if "mailbox_id" in path and draw(OFTEN):
        path["mailbox_id"] = BOX
    if "message_id" in path and draw(OFTEN):
        path["message_id"] = draw(st.sampled_from(known.message_ids))
    if "chunk_number" in path and draw(st.booleans()):
        path["chunk_number"] = draw(st.integers(0, 5))
    if case.method == "GET" and case.path in ("/admin/wait", "/admin/witness"):
        case.query["timeout"] = draw(st.sampled_from(["0s", "0.01s", "-1", "never", "11m"]))
    for fields in (case.query, case.body):
        if isinstance(fields, dict):
            fields.update({name: OTHER for name in MAILBOX_FIELDS if name in fields and draw(OFTEN)})
            if "case" in fields and draw(OFTEN):
                fields["case"] = draw(st.sampled_from(("201", "401", "703", "704", "801")))
            if isinstance(fields.get("count"), int):
                fields["count"] = min(fields["count"], 20)
    if draw(OFTEN):
        case.headers["Authorization"] = authorization(BOX)


def wanted_checks(case: Case, response: Response, *, official: bool) -> list[Any]:
    """Give the checks that an answer has to pass: all, but for what the tables say."""
    place, status = (case.method.upper(), case.path), response.status_code
    if status == 200 and not response.content and place in EMPTY:
        return CHECKS[:2]
    if official and status in UNDESCRIBED.get(place, {}):
        return CHECKS[:1]
    if official and (place in TYPES_OF_ITS_OWN if status < 400 else response.headers["content-type"] == [V2]):
        return CHECKS[:2]
    return CHECKS


def try_operation(operation: APIOperation, known: Known, *, official: bool = False) -> None:
    """Make calls of one operation, with what its description allows and with what it does not."""
    if "{message_id}" in operation.path:
        fill(known)
    make_calls(operation, known, GenerationMode.POSITIVE, official=official)
    if can_be_wrong(operation):
        make_calls(operation, known, GenerationMode.NEGATIVE, official=official)
    if operation.path == "/admin/faults":
        known.session.delete(known.url + operation.path, timeout=PATIENCE_S)  # others are to be answered


def make_calls(operation: APIOperation, known: Known, mode: GenerationMode, *, official: bool) -> None:
    """Make calls of one kind, and judge the answers."""

    @settings(
        max_examples=CASES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), data=st.data())
    def call(case: Case, data: st.DataObject) -> None:
        prepare(case, known, data.draw)
        # Given here, or schemathesis and requests send some of their own.
        accept = {"Accept": data.draw(ACCEPTS), "Accept-Encoding": data.draw(PACKINGS)}
        if (case.path_parameters or {}).get("message_id") in known.message_ids[-1:]:
            accept["Accept-Encoding"] = "identity"  # this caller could not unpack it either
        response = case.call(known.url, session=known.session, headers=accept, timeout=PATIENCE_S)
        case.validate_response(response, checks=wanted_checks(case, response, official=official))

    call()


@pytest.fixture(scope="module")
def ours(known: Known) -> APIMap:
    """The operations of the simulator's own document, as it is served."""
    served = known.session.get(known.url + "/openapi.json", timeout=PATIENCE_S).json()
    return operations(schemathesis.openapi.from_dict(served))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param(route.method, route.path, id=f"{route.method} {route.path}")
        for route in ROUTES
        if route.path != ENDLESS
    ],
)
def test_every_answer_is_one_that_our_document_describes(
    ours: APIMap, known: Known, method: str, path: str
) -> None:
    """Whatever is sent, status, content type and body are as described, and nothing is the server's fault."""
    try_operation(ours[method, path], known)


@pytest.mark.skipif(
    NHS_FILE is None, reason="MESH_SIM_TEST_NHS_OPENAPI does not name NHS England's OpenAPI file of MESH"
)
def test_every_answer_is_one_that_the_official_file_describes(known: Known) -> None:
    """NHS England's own description holds for the simulator, but for what the tables above say."""
    assert NHS_FILE is not None
    theirs = operations(schemathesis.openapi.from_path(NHS_FILE))
    assert set(UNDESCRIBED) <= set(theirs) <= {(route.method, route.path) for route in ROUTES}
    for operation in theirs.values():
        try_operation(operation, known, official=True)
