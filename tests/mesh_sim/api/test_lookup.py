"""Section 15: lookups by ODS code and workflow id, which need no token."""

from __future__ import annotations

import pytest
from support import Callers, assert_refused, assert_router, both_versions

LOOKUPS: dict[str, tuple[str, str, list[tuple[str, str]]]] = {
    "one receiver": ("X26", "TEST_WORKFLOW", [("X26ABC2", "TESTMB2")]),
    "in file order": ("X26", "TEST_WORKFLOW2", [("X26ABC1", "TESTMB1"), ("X26ABC2", "TESTMB2")]),
    "the other organisation": ("X27", "TEST_WORKFLOW2", [("X26ABC3", "TESTMB3")]),
    "senders play no part": ("X27", "TEST_WORKFLOW", []),
    "unknown organisation": ("ZZZ", "TEST_WORKFLOW", []),
    "organisation in lower case": ("x26", "TEST_WORKFLOW", []),
    "unknown workflow": ("X26", "NO_SUCH", []),
    "workflow in lower case": ("X26", "test_workflow", []),
}


def version_1(found: list[tuple[str, str]]) -> list[dict[str, str]]:
    """Write receivers as version 1's endpoint lookup does."""
    return [{"address": mailbox, "description": name, "endpoint_type": "MESH"} for mailbox, name in found]


def version_2(found: list[tuple[str, str]]) -> list[dict[str, str]]:
    """Write receivers as version 2 and the workflow search do."""
    return [{"mailbox_id": mailbox, "mailbox_name": name} for mailbox, name in found]


@both_versions
@pytest.mark.parametrize(("ods_code", "workflow", "found"), LOOKUPS.values(), ids=LOOKUPS.keys())
async def test_endpoint_lookup_gives_the_receivers(
    shared: Callers, ods_code: str, workflow: str, found: list[tuple[str, str]], version: int
) -> None:
    """A workflow's receivers with that ODS code are found; no match is an empty list, not an error."""
    path = f"/messageexchange/endpointlookup/{ods_code}/{workflow}"
    answer = await shared.caller().get(path, version=version, authorization=None)
    assert answer.status == 200
    body = answer.json()
    if version == 1:
        assert isinstance(body.pop("query_id"), str)
        assert body == {"results": version_1(found)}
    else:
        assert body == {"results": version_2(found)}


async def test_query_ids_are_new_each_time(shared: Callers) -> None:
    """Version 1 names each query."""
    caller, path = shared.caller(), "/messageexchange/endpointlookup/X26/TEST_WORKFLOW"
    ids = {(await caller.get(path, authorization=None)).json()["query_id"] for _ in range(3)}
    assert len(ids) == 3


@both_versions
@pytest.mark.parametrize(
    ("workflow", "found"),
    [
        ("TEST_WORKFLOW", [("X26ABC2", "TESTMB2")]),
        ("TEST_WORKFLOW_ACK", [("X26ABC1", "TESTMB1"), ("X26ABC3", "TESTMB3")]),
        ("NO_SUCH", []),
        ("test_workflow", []),
    ],
)
async def test_workflow_search_gives_every_receiver(
    shared: Callers, workflow: str, found: list[tuple[str, str]], version: int
) -> None:
    """A workflow's receivers are found whatever their organisation, in one shape for both versions."""
    path = f"/messageexchange/workflowsearch/{workflow}"
    answer = await shared.caller().get(path, version=version, authorization=None)
    assert (answer.status, answer.json()) == (200, {"results": version_2(found)})


@pytest.mark.parametrize("workflow", ["SPINE_NTT_UPHOLDING", "SPINE_NTT_UPHOLDING_CACHE"])
async def test_the_opt_out_service_can_be_looked_up(shared: Callers, workflow: str) -> None:
    """Both workflows of the opt-out service lead to its mailbox."""
    answer = await shared.caller().get(f"/messageexchange/workflowsearch/{workflow}", authorization=None)
    assert [result["mailbox_id"] for result in answer.json()["results"]] == ["X26HC065"]


@both_versions
@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("endpointlookup/%20/TEST_WORKFLOW", "ods code missing"),
        ("endpointlookup/X26/%20", "workflow id missing"),
        ("workflowsearch/%20", "workflow id missing"),
    ],
)
async def test_a_blank_segment_is_refused(shared: Callers, path: str, text: str, version: int) -> None:
    """A blank ODS code or workflow id is 400."""
    answer = await shared.caller().get(f"/messageexchange/{path}", version=version, authorization=None)
    assert_refused(answer, version, 400, text)


async def test_an_absent_segment_is_another_path(shared: Callers) -> None:
    """Without a workflow id there is no such endpoint lookup, and the search reads as a mailbox."""
    caller = shared.caller()
    assert_router(await caller.get("/messageexchange/endpointlookup/X26"), 404, "Not Found")
    answer = await caller.get("/messageexchange/workflowsearch")
    assert_refused(answer, 1, 403, "Mailbox id does not match token")
