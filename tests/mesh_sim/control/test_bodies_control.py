"""Whatever JSON is sent to a control path, the answer is a success or a clear refusal, never a failure."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh_sim import Simulator
from mesh_sim.api.routes import CONTROL
from mesh_sim.api.sandbox.routes import SANDBOX_PATHS

STREAMS = ("/admin/events", "/admin/wait")

FIELDS = (
    "advance", "reset", "mailbox_id", "password", "active", "ods_code", "to", "from", "count", "body",
    "body_base64", "subject", "local_id", "operation", "mailbox", "action", "status", "retry_after", "delay",
    "after_bytes", "nth", "times", "probability", "seed", "rate", "nhs_numbers", "opted_out", "channel",
    "registered_at", "code", "description", "workflow_id", "linked_message_id", "event", "case", "fresh",
    "step", "exit_status", "size", "md5", "format", "after",
)  # fmt: skip
TELLING = (
    "X26ABC1", "send", "reset", "delay", "status", "truncate", "5d", "9990000018", "accepted", "error", "",
    "2026-01-01T00:00:00Z", "401", "\x00", "\ud800", "é", "漢", "-1s", "*", "AA==",
)  # fmt: skip

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(10**18, 10**30),
    st.floats(),
    st.sampled_from(TELLING),
    st.text(max_size=20),
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3), max_leaves=5)
bodies = st.one_of(
    st.dictionaries(st.sampled_from(FIELDS), values, max_size=6).map(lambda body: json.dumps(body).encode()),
    st.binary(max_size=40),
)
nestings = st.sampled_from(("", "", "", "[", '{"a":'))
segments = st.one_of(st.sampled_from(TELLING), st.text(min_size=1, max_size=20)).map(
    lambda text: quote(text.encode("utf-8", "replace"), safe="") or "x"
)


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    """One simulator for all of them: what is asked of it does not matter, only that it answers."""
    with Simulator() as simulator:
        yield simulator


def ask(simulator: Simulator, method: str, path: str, body: bytes) -> tuple[int, Any]:
    """Make a request; give its status, and its body if that is JSON."""
    connection = http.client.HTTPConnection(urlsplit(simulator.url).netloc, timeout=20)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        content = answer.read()
        is_json = (answer.getheader("Content-Type") or "").startswith("application/json")
        return answer.status, json.loads(content) if is_json and content else None
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param(method, path, id=f"{method} {path}")
        for method, path, _ in (*CONTROL, *SANDBOX_PATHS)
        if path not in STREAMS
    ],
)
def test_no_body_makes_the_server_fail(simulator: Simulator, method: str, path: str) -> None:
    """A body is understood or refused with 4xx in JSON; queries and path segments of any text too."""

    @settings(max_examples=30, deadline=None)
    @given(body=bodies, nesting=nestings, segment=segments, name=st.sampled_from(FIELDS), value=segments)
    def ask_for_it(body: bytes, nesting: str, segment: str, name: str, value: str) -> None:
        wanted = path
        for place in ("nhs_number", "rule_id", "mailbox_id", "message_id"):
            wanted = wanted.replace(f"{{{place}}}", segment)
        body = (nesting * 100_000).encode() or body
        status, told = ask(simulator, method, f"{wanted}?{name}={value}", body)
        assert status < 500, (status, told)
        if status >= 400:
            assert isinstance(told, dict), (status, told)
            assert told

    ask_for_it()
