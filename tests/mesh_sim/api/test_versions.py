"""Sections 2 to 4: versions by ``Accept``, content types, and what the router itself answers."""

from __future__ import annotations

import pytest
from support import (
    HANDSHAKE,
    UNKNOWN_ID,
    V1,
    V2,
    Answer,
    Callers,
    assert_refused,
    assert_router,
    both_versions,
)

ACCEPTS: dict[str, tuple[str | None, int]] = {
    "absent": (None, 1),
    "empty": ("", 1),
    "blank": ("  ", 1),
    "JSON": ("application/json", 1),
    "version 1": ("application/vnd.mesh.v1+json", 1),
    "version 1 with parameter": ("application/vnd.mesh.v1+json;q=0.5", 1),
    "text/html": ("text/html", 1),
    "anything": ("*/*", 1),
    "version 2 in upper case": ("APPLICATION/VND.MESH.V2+JSON", 1),
    "version 2": ("application/vnd.mesh.v2+json", 2),
    "version 2 with parameter": ("application/vnd.mesh.v2+json;q=0.9", 2),
    "version 2 with parameter and blank": (" application/vnd.mesh.v2+json ; q=0.9", 2),
    "JSON, then version 2": ("application/json;application/vnd.mesh.v2+json", 2),
    "the first MESH type counts": ("application/vnd.mesh.v1+json;application/vnd.mesh.v2+json", 1),
}


@pytest.mark.parametrize(("accept", "version"), ACCEPTS.values(), ids=ACCEPTS.keys())
async def test_accept_chooses_the_version(shared: Callers, accept: str | None, version: int) -> None:
    """The inbox is listed in the shape of the version asked for; anything not MESH means version 1."""
    headers = {} if accept is None else {"Accept": accept}
    answer = await shared.caller().get("inbox", headers=headers)
    assert answer.status == 200
    assert answer.content_type == (V1 if version == 1 else V2)
    assert ("links" in answer.json()) is (version == 2)


BAD_ACCEPTS = [
    "application/vnd.mesh.v2+json, application/json",
    "application/json, application/vnd.mesh.v2+json",
    "application/vnd.mesh.v2",
    "application/vnd.mesh.vX+json",
    "application/vnd.mesh+json",
    "application/vnd.mesh.v0+json",
    "application/vnd.mesh.v3+json",
    "application/vnd.mesh.v22+json",
    "text/vnd.mesh.v2+json",
    "application/vnd.mesh.v3+json;application/vnd.mesh.v2+json",
]


def assert_bad_accept(answer: Answer) -> None:
    """Check the one body for every bad Accept: version 1's shape."""
    assert_refused(answer, 1, 400, "Accept header api format incorrect")


@pytest.mark.parametrize("accept", BAD_ACCEPTS)
async def test_a_mesh_type_that_is_no_version_is_refused(shared: Callers, accept: str) -> None:
    """A MESH media type that is not exactly version 1 or 2 is answered 400."""
    assert_bad_accept(await shared.caller().get("inbox", headers={"Accept": accept}))


EXAMINED = {
    "handshake": ("POST", ""),
    "inbox": ("GET", "inbox"),
    "download": ("GET", f"inbox/{UNKNOWN_ID}"),
    "chunk": ("GET", f"inbox/{UNKNOWN_ID}/1"),
    "acknowledge": ("PUT", f"inbox/{UNKNOWN_ID}/status/acknowledged"),
    "count": ("GET", "count"),
    "send": ("POST", "outbox"),
    "send chunk": ("POST", f"outbox/{UNKNOWN_ID}/2"),
    "tracking": ("GET", f"outbox/tracking?messageID={UNKNOWN_ID}"),
    "endpoint lookup": ("GET", "/messageexchange/endpointlookup/X26/TEST_WORKFLOW"),
    "workflow search": ("GET", "/messageexchange/workflowsearch/TEST_WORKFLOW"),
}


@pytest.mark.parametrize(("method", "path"), EXAMINED.values(), ids=EXAMINED.keys())
async def test_accept_is_examined_before_the_request_is(shared: Callers, method: str, path: str) -> None:
    """A bad Accept is the answer, though the message is unknown or headers are missing."""
    answer = await shared.caller().request(method, path, headers={"Accept": BAD_ACCEPTS[0]})
    assert_bad_accept(answer)


async def test_accept_is_not_examined_where_no_version_matters(shared: Callers) -> None:
    """Headers of a message, tracking by local id, update and ping answer whatever Accept says."""
    caller = shared.caller()
    message = await caller.sent(headers={"Mex-LocalID": "accept-is-not-examined"})
    recipient = shared.caller("X26ABC2")
    bad = {"Accept": BAD_ACCEPTS[0]}
    assert (await recipient.request("HEAD", f"inbox/{message}", headers=bad)).status == 200
    assert (await caller.get("outbox/tracking/accept-is-not-examined", headers=bad)).status == 200
    assert (await caller.request("POST", "update", headers=bad)).status == 200
    assert (await caller.get("/messageexchange/_ping", headers=bad)).status == 200


@both_versions
async def test_json_answers_carry_the_media_type_of_their_version(shared: Callers, version: int) -> None:
    """Every JSON success is ``application/json`` in version 1 and the MESH media type in version 2."""
    sender, recipient = shared.caller(), shared.caller("X26ABC2")
    sent = await sender.send(version=version)
    first = await sender.sent(headers={"Mex-Chunk-Range": "1:2"})
    answers = {
        "send": sent,
        "send chunk": await sender.send_chunk(first, 2, "2:2", version=version),
        "inbox": await recipient.get("inbox", version=version),
        "count": await recipient.get("count", version=version),
        "tracking": await sender.get(f"outbox/tracking?messageID={first}", version=version),
        "endpoint lookup": await sender.get(EXAMINED["endpoint lookup"][1], version=version),
        "workflow search": await sender.get(EXAMINED["workflow search"][1], version=version),
    }
    assert all(answer.status in (200, 202) for answer in answers.values())
    expected = V1 if version == 1 else V2
    assert {name: answer.content_type for name, answer in answers.items()} == dict.fromkeys(answers, expected)


async def test_version_2_leaves_handshake_and_acknowledge_empty(shared: Callers) -> None:
    """The two have no body and no content type in version 2, and say so with a length of nought."""
    message = await shared.caller().sent()
    recipient = shared.caller("X26ABC2")
    for answer in (
        await recipient.request("POST", version=2, headers=HANDSHAKE),
        await recipient.acknowledge(message, version=2),
    ):
        assert (answer.status, answer.body, answer.content_type) == (200, b"", None)
        assert answer.headers["Content-Length"] == "0"


# -- the router -------------------------------------------------------------------------------------


@both_versions
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/nowhere"),
        ("GET", "/nowhere"),
        ("GET", "/messageexchange"),
        ("GET", "nowhere"),
        ("GET", f"inbox/{UNKNOWN_ID}/1/2"),
        ("PUT", f"inbox/{UNKNOWN_ID}/status/read"),
        ("GET", "outbox/tracking/local/id"),
        ("GET", "/messageexchange/endpointlookup/X26/TEST_WORKFLOW/more"),
    ],
)
async def test_a_path_that_does_not_exist_is_404(
    shared: Callers, method: str, path: str, version: int
) -> None:
    """An unknown path is the router's 404 in either version."""
    assert_router(await shared.caller().request(method, path, version=version), 404, "Not Found")


NOT_ALLOWED = {
    "handshake": ("PUT", "", "POST"),
    "inbox": ("POST", "inbox", "GET"),
    "download": ("DELETE", f"inbox/{UNKNOWN_ID}", "HEAD"),
    "chunk": ("PUT", f"inbox/{UNKNOWN_ID}/1", "GET"),
    "acknowledge": ("POST", f"inbox/{UNKNOWN_ID}/status/acknowledged", "PUT"),
    "count": ("POST", "count", "GET"),
    "send": ("GET", "outbox", "POST"),
    "send chunk": ("GET", f"outbox/{UNKNOWN_ID}/2", "POST"),
    "tracking": ("POST", f"outbox/tracking?messageID={UNKNOWN_ID}", "GET"),
    "endpoint lookup": ("POST", "/messageexchange/endpointlookup/X26/TEST_WORKFLOW", "GET"),
    "health": ("POST", "/health", "GET"),
}


@pytest.mark.parametrize(("method", "path", "allowed"), NOT_ALLOWED.values(), ids=NOT_ALLOWED.keys())
async def test_a_method_that_does_not_exist_is_405(
    shared: Callers, method: str, path: str, allowed: str
) -> None:
    """A known path with another method is 405 and says which method it takes, token or none."""
    answer = await shared.caller().request(method, path, authorization=None)
    assert_router(answer, 405, "Method Not Allowed")
    assert allowed in answer.headers["Allow"].replace(" ", "").split(",")


@pytest.mark.parametrize(
    "path", ["", "inbox", f"inbox/{UNKNOWN_ID}", "outbox", "count", "/messageexchange/_ping"]
)
async def test_options_is_not_allowed_anywhere(shared: Callers, path: str) -> None:
    """OPTIONS is 405 on every path."""
    assert_router(await shared.caller().request("OPTIONS", path), 405, "Method Not Allowed")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "inbox",
        f"inbox/{UNKNOWN_ID}/1",
        "count",
        f"outbox/tracking?messageID={UNKNOWN_ID}",
        "/messageexchange/_ping",
        "/messageexchange/workflowsearch/TEST_WORKFLOW",
    ],
)
async def test_head_is_for_messages_only(shared: Callers, path: str) -> None:
    """HEAD is 405 on every path but a message's."""
    answer = await shared.caller().request("HEAD", path)
    assert (answer.status, answer.body) == (405, b"")


@pytest.mark.parametrize("path", ["messageexchange/X26ABC1/inbox", "messageexchange/_ping", "health"])
async def test_a_trailing_slash_is_redirected(shared: Callers, path: str) -> None:
    """A path with a slash too many is 307 to the absolute address without it, before any token is read."""
    answer = await shared.caller().request("GET", f"/{path}/", authorization=None)
    assert (answer.status, answer.body) == (307, b"")
    assert answer.headers["Location"] == f"{shared.url}/{path}"
