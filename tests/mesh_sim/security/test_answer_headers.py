"""What the headers of answers tell browsers, and what they do not tell anybody."""

from __future__ import annotations

import pytest
from controls import control
from support import Callers, MakeSimulator, speak

from mesh_sim.api.routes import CONTROL, SANDBOX_PATHS

POLICY = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


async def test_no_control_answer_is_a_page(shared: Callers) -> None:
    """Every answer for a program, good or refused, is nothing to run, to frame, to guess about or to keep."""
    evil = {"Origin": "http://evil.example"}
    for path, headers, status in (
        ("/admin/clock", {}, 200),
        ("/metrics", {}, 200),
        ("/admin/mailboxes", {}, 200),
        ("/admin/mailboxes", evil, 403),
        ("/admin/messages?zzz=1", {}, 400),
        ("/admin/nothing", {}, 404),
        ("/admin/faults/f1", {}, 405),
    ):
        answer = await control(shared.url, "GET", path, headers=headers)
        assert answer.status == status
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
        assert {name: answer.headers.get(name) for name in POLICY} == POLICY


async def test_every_control_path_has_the_policy(make_simulator: MakeSimulator) -> None:
    """No path is left out, the sandbox's admin paths included; nor is the answer to who has no token."""
    simulator = await make_simulator(admin_token="a token for tests")
    for method, path, _ in (*CONTROL, *SANDBOX_PATHS):
        answer = await control(simulator.url, method, path.replace("{", "").replace("}", ""))
        assert answer.status == 401, path
        assert {name: answer.headers.get(name) for name in POLICY} == POLICY, path


async def test_mesh_s_own_answers_have_the_protocol_s_headers_only(shared: Callers) -> None:
    """A MESH operation's answer carries nothing that a live one would not, but the server's name."""
    caller = shared.caller()
    for answer in (await caller.get("inbox"), await caller.get("inbox", authorization="nonsense")):
        assert set(answer.headers) == {"Content-Type", "Content-Length", "Date", "Server"}


async def test_a_body_is_never_a_page(make_simulator: MakeSimulator) -> None:
    """A browser that is led to a message, where no token is asked for, gets bytes to save, not its script."""
    simulator = await make_simulator(auth_mode="none")
    page = {"Content-Type": "text/html", "Mex-Content-Type": "text/html", "Mex-FileName": "page.html"}
    message = await simulator.caller().sent(b"<script>fetch('/admin/clock')</script>", headers=page)
    for accepted in ("text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8", "*/*"):
        answer = await control(
            simulator.url, "GET", f"/messageexchange/X26ABC2/inbox/{message}", headers={"Accept": accepted}
        )
        assert (answer.status, answer.content_type) == (200, "application/octet-stream")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /admin/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"DELETE /admin/clock HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /messageexchange/X26ABC1/inbox HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nSecret: said \x01\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
    ids=["ready", "no path", "no method", "refused", "a control character", "not HTTP"],
)
async def test_no_answer_says_what_the_server_is_made_of(standing_url: str, request_bytes: bytes) -> None:
    """The server names itself without a version, also to what is not HTTP, and repeats nothing of that."""
    status, lines, body = await speak(standing_url, request_bytes)
    assert [line for line in lines if line.lower().startswith(b"server:")] == [b"Server: mesh-sim"]
    everything = b"\n".join((*lines, body)).lower()
    assert not [word for word in (b"aiohttp", b"python", b"said", b"traceback") if word in everything]
    assert status in {200, 400, 403, 404, 405}
