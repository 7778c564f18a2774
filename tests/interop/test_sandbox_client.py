"""A client written for NHS's mesh-sandbox, its environment and its admin calls included, runs unchanged.

``rehearse`` is such a client. It knows of nothing but the sandbox: it has passed on mesh-sandbox 1.0.137,
in each of the environments below, before it was let loose on ours.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from asyncio import to_thread
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from mesh_client import MeshClient
from support import authorization

KEY = "Banana"
SENDER, RECIPIENT = "X26ABC1", "X26ABC2"
NDR = "Message not collected by recipient after 5 days"

Environment = dict[str, str]


# -- the client -------------------------------------------------------------------------------------


def rehearse(url: str, verify: str | bool = True) -> None:
    """Do once what tests of a MESH client do on the sandbox, with its admin calls in between."""

    def call(method: str, path: str, body: object = None, status: int = 200, **headers: str) -> Any:
        with requests.request(method, url + path, json=body, headers=headers, verify=verify) as answer:
            assert answer.status_code == status, (method, path, answer.text)
            return answer.json() if answer.content else None

    def connect(mailbox: str) -> MeshClient:
        return MeshClient(
            url, mailbox, "password", shared_key=KEY.encode(), max_chunk_size=100, verify=verify
        )

    for path in ("/health", "/_status", "/_ping", "/healthcheck", "/messageexchange/_ping"):
        assert call("GET", path)["status"] == "running"
    assert call("DELETE", "/messageexchange/admin/reset") == {"message": "all mailboxes reset"}

    with connect(SENDER) as sender, connect(RECIPIENT) as recipient:
        assert sender.handshake() == b"hello"
        _exchange_messages(call, sender, recipient)
        _move_a_message_about(call, sender, recipient)
        _receive_a_report(call, sender)
        _look_at_the_outbox(call, sender)

        call("DELETE", f"/admin/reset/{SENDER.lower()}")
        assert sender.list_messages() == []
        sent = sender.send_message(RECIPIENT, b"the last", workflow_id="TEST_WORKFLOW")
        assert sent in recipient.list_messages()
        call("DELETE", f"/admin/reset/{RECIPIENT}")
        assert recipient.list_messages() == []
        call("GET", "/admin/message/NO_SUCH_MESSAGE", status=404)
        sender.send_message(RECIPIENT, b"for the end", workflow_id="TEST_WORKFLOW")


def reset(url: str) -> None:
    """Forget everything, and find it gone: after a reset in file mode the sandbox reads its files again."""
    with MeshClient(url, RECIPIENT, "password", shared_key=KEY.encode()) as recipient:
        assert len(recipient.list_messages()) == 1
        requests.delete(f"{url}/admin/reset").close()
        assert recipient.list_messages() == []


Call = Callable[..., Any]


def _exchange_messages(call: Call, sender: MeshClient, recipient: MeshClient) -> None:
    payload = b"a line of a list\n" * 50
    message_id = sender.send_message(
        RECIPIENT, payload, workflow_id="TEST_WORKFLOW", local_id="local-1", subject="a list"
    )
    details = call("GET", f"/messageexchange/admin/message/{message_id}")
    assert (details["status"], details["chunk_count"], details["file_size"]) == ("Accepted", 9, 850)
    assert recipient.list_messages() == [message_id]
    with recipient.retrieve_message(message_id) as message:
        assert message.read() == payload
        assert (message.sender, message.local_id, message.subject) == (SENDER, "local-1", "a list")
    assert recipient.list_messages() == []
    assert sender.track_message(message_id)["status"] == "acknowledged"
    assert "download_timestamp" in call("GET", f"/admin/message/{message_id}")


def _move_a_message_about(call: Call, sender: MeshClient, recipient: MeshClient) -> None:
    message_id = sender.send_message(RECIPIENT, b"again", workflow_id="TEST_WORKFLOW")
    recipient.acknowledge_message(message_id)
    call("POST", f"/messageexchange/admin/message/{message_id}/event", {"status": "accepted"})
    assert recipient.list_messages() == [message_id]
    call("POST", f"/admin/message/{message_id}/event", {"status": "undeliverable"})
    assert recipient.list_messages() == []
    with pytest.raises(requests.HTTPError) as gone:
        recipient.retrieve_message(message_id)
    assert gone.value.response is not None
    assert gone.value.response.status_code == 410
    gone.value.response.close()
    assert sender.track_message(message_id)["status"] == "undeliverable"
    call("POST", "/admin/message/NO_SUCH_MESSAGE/event", {"status": "accepted"}, status=404)


def _receive_a_report(call: Call, sender: MeshClient) -> None:
    given = {"mailbox_id": SENDER, "code": "14", "description": NDR, "workflow_id": "TEST_WORKFLOW"}
    extras = {"subject": "a list", "local_id": "local-1", "linked_message_id": "LINKED_1"}
    message_id = call("POST", "/messageexchange/admin/report", given | extras)["message_id"]
    assert sender.list_messages() == [message_id]
    with sender.retrieve_message(message_id) as report:
        assert report.read() == b""
        assert (report.message_type, report.subject) == ("REPORT", "NDR: a list")
        headers = dict(report.mex_headers())
        assert (report.local_id, headers["linkedmsgid"]) == ("local-1", "LINKED_1")
        assert (headers["statuscode"], headers["statusdescription"]) == ("14", NDR)
    assert sender.list_messages() == []
    call("POST", "/messageexchange/admin/report", given | {"mailbox_id": "NOBODY"}, status=404)
    call("POST", "/messageexchange/admin/report", {}, status=400)


def _look_at_the_outbox(call: Call, sender: MeshClient) -> None:
    for _ in range(11):
        sender.send_message(RECIPIENT, b"one of many", workflow_id="TEST_WORKFLOW")
    path, shown = f"/messageexchange/{SENDER}/outbox/rich?max_results=10", []
    while path:
        body = call("GET", path, Authorization=authorization(SENDER, shared_key=KEY))
        shown += [message["status"] for message in body["messages"]]
        path = body["links"].get("next")
    assert shown == ["accepted"] * 11 + ["undeliverable", "acknowledged"]
    (found,) = sender.lookup_endpoint("X26", "TEST_WORKFLOW")["results"]
    assert found["mailbox_id"] == RECIPIENT
    details = call("GET", f"/messageexchange/mailbox/{RECIPIENT}")
    assert (details["mailbox_name"], details["billing_entity"]) == ("TESTMB2", "Wales")


# -- what it runs against ---------------------------------------------------------------------------


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@asynccontextmanager
async def served(folder: Path, environment: Environment) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run ``mesh-sim serve`` in an environment that names no setting of ours, until it answers."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MESH_SIM_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mesh_sim", "serve",
        cwd=folder, env=own | environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        await _wait_until_open(int(environment["PORT"]), process)
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def _wait_until_open(port: int, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                assert process.returncode is None, await process.communicate()
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


@pytest.mark.parametrize(
    "environment",
    [
        {"AUTH_MODE": "full", "STORE_MODE": "file"},
        {"AUTH_MODE": "full", "STORE_MODE": "memory"},
        {"AUTH_MODE": "none", "STORE_MODE": "memory", "SSL": "no"},
        {"STORE_MODE": "memory"},
    ],
    ids=["full, file", "full, memory", "none, memory", "memory"],
)
async def test_a_client_of_the_sandbox_runs_unchanged(tmp_path: Path, environment: Environment) -> None:
    """With the sandbox's variables alone, and no setting of ours, the same client passes."""
    port = free_port()
    environment |= {"SHARED_KEY": KEY, "MAILBOXES_DATA_DIR": str(tmp_path / "store"), "PORT": str(port)}
    async with served(tmp_path, environment):
        await to_thread(rehearse, f"http://127.0.0.1:{port}")
        await to_thread(reset, f"http://127.0.0.1:{port}")
    kept = ["store"] if environment["STORE_MODE"] == "file" else []
    assert await to_thread(os.listdir, tmp_path) == kept


async def test_the_same_over_https(tmp_path: Path) -> None:
    """With SSL=yes and no certificate there, one is made that the client can trust."""
    port = free_port()
    certificate = tmp_path / "tls" / "server-cert.pem"
    environment = {
        "AUTH_MODE": "full",
        "STORE_MODE": "memory",
        "SHARED_KEY": KEY,
        "SSL": "yes",
        "SSL_CRTFILE": str(certificate),
        "SSL_KEYFILE": str(tmp_path / "tls" / "server-cert.key"),
        "PORT": str(port),
    }
    async with served(tmp_path, environment):
        await to_thread(rehearse, f"https://localhost:{port}", str(certificate))
    assert (tmp_path / "tls" / "server-cert.key").stat().st_mode & 0o077 == 0


async def test_the_sandbox_s_canned_messages(tmp_path: Path) -> None:
    """In canned mode, with canned tokens, the three messages are where they are in the sandbox."""
    port = free_port()
    environment = {"AUTH_MODE": "canned", "STORE_MODE": "canned", "PORT": str(port)}

    def look(path: str) -> tuple[int, bytes]:
        mailbox, _, _ = path.partition("/")
        headers = {"Authorization": f"NHSMESH {mailbox}:VALID:1:things", "Accept-Encoding": "identity"}
        with requests.get(f"http://127.0.0.1:{port}/messageexchange/{path}", headers=headers) as answer:
            return answer.status_code, answer.content

    def rehearse_canned() -> None:
        assert look("X26ABC1/inbox") == (200, b'{"messages":["SIMPLE_MESSAGE"]}')
        assert look("X26ABC2/inbox") == (200, b'{"messages":["CHUNKED_MESSAGE_GZ"]}')
        status, body = look("X26ABC1/inbox/SIMPLE_MESSAGE")
        assert (status, len(body)) == (200, 662)
        assert look("X26ABC1/inbox/UNDELIVERED_MESSAGE")[0] == 410
        assert look("X26ABC2/inbox/CHUNKED_MESSAGE_GZ")[0] == 206
        assert look("X26ABC2/inbox/CHUNKED_MESSAGE_GZ/2")[0] == 200
        assert look("X26ABC2/inbox/CHUNKED_MESSAGE_GZ/3")[0] == 404

    async with served(tmp_path, environment):
        await to_thread(rehearse_canned)
