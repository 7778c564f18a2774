"""A disk without room costs what cannot be kept a 503 that says why, and nothing once there is room again."""

from __future__ import annotations

import asyncio
import contextlib
import random
import resource
import shutil
import sqlite3
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from controls import control
from crashing.checks import check_folder
from crashing.lists import VARIABLES, made_up
from crashing.server import Process
from support import Answer, Caller, assert_generic

limits_others = pytest.mark.skipif(
    not hasattr(resource, "prlimit"), reason="needs Linux to limit another process"
)

MEGABYTE = 1_000_000
PAGE = 4120
"""A page of a database, as its log has it."""

APART = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")
"""Runs a line of shell with mounts of its own, which end with it."""
SMALL_DISK = 'mount -t tmpfs -o size=32m none "$0" && exec "$@"'
"""Mounts 32 MiB on a folder, and runs the rest there."""


def may_mount(folder: Path) -> bool:
    """Tell whether a small disk can be had here."""
    try:
        return (
            subprocess.run([*APART, SMALL_DISK, folder, "true"], check=False, capture_output=True).returncode
            == 0
        )
    except FileNotFoundError:
        return False


@asynccontextmanager
async def started(folder: Path, **options: Any) -> AsyncIterator[Process]:
    """Run a server that logs to ``log``; the options are those of Process.spawn."""
    server = await Process.start(folder / "data", log=folder / "log", **options)
    try:
        async with asyncio.timeout(60):  # whatever the disk does, nothing hangs
            yield server
    finally:
        await server.kill()


def fill(server: Process, most: int) -> None:
    """Let no file of the server become longer than this: what a full disk, or a quota, is to a program."""
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))


def make_room(server: Process) -> None:
    """Take the limit away."""
    fill(server, resource.RLIM_INFINITY)


async def pieces(size: int) -> AsyncIterator[bytes]:
    """Give a body of so many megabytes in pieces."""
    for number in range(size):
        yield bytes([number]) * MEGABYTE


async def reasons(url: str) -> list[str]:
    """Give the journal's reasons for the requests that were answered 503."""
    answer = await control(url, "GET", "/admin/journal?status=503&limit=1000")
    return [entry["reason"] for entry in answer.json()["entries"]]


def payload_files(data: Path) -> list[Path]:
    """List the files of bodies, unfinished ones too."""
    return [path for path in (data / "payloads").rglob("*") if path.is_file()]


@limits_others
async def test_a_body_without_room(tmp_path: Path) -> None:
    """5 MB break off in a 503 that leaves no file and costs no token; smaller ones and reading go on."""
    async with (
        started(tmp_path) as server,
        Caller(server.url, "X26ABC1") as sender,
        Caller(server.url, "X26ABC2") as recipient,
    ):
        begun = await sender.sent(b"first", workflow="FULL", headers={"Mex-Chunk-Range": "1:2"})
        tokens = [sender.sign(), sender.sign()]
        # The second time the disk takes a part of the last piece.
        for version, room in ((1, 2 * MEGABYTE), (2, 5 * MEGABYTE - 1000)):
            fill(server, room)
            answer = await sender.send(pieces(5), workflow="FULL", version=version, authorization=tokens[0])
            assert_generic(answer, 503)
        assert_generic(await sender.send_chunk(begun, 2, "2:2", pieces(5), authorization=tokens[1]), 503)
        assert payload_files(tmp_path / "data") == []
        assert len(found := await reasons(server.url)) == 3
        assert all("the body could not be stored" in why and "File too large" in why for why in found)
        assert (tmp_path / "log").read_text().count("the body could not be stored") == 3
        small = await sender.sent(b"x" * 100_000, workflow="FULL")
        assert (await recipient.get(f"inbox/{small}")).body == b"x" * 100_000

        make_room(server)
        answer = await sender.send(pieces(5), workflow="FULL", authorization=tokens[0])
        assert answer.status == 202
        whole = b"".join([piece async for piece in pieces(5)])
        assert (await recipient.get(f"inbox/{answer.json()['messageID']}")).body == whole
        answer = await sender.send_chunk(begun, 2, "2:2", pieces(5), authorization=tokens[1])
        assert answer.status == 202
        assert (await recipient.get(f"inbox/{begun}/2")).body == whole
        assert await server.stop() == 0
    check_folder(tmp_path / "data")


@limits_others
async def test_a_message_database_without_room(tmp_path: Path) -> None:
    """What would change it is a 503 that costs no token, control requests included; what reads it goes on."""
    async with (
        started(tmp_path) as server,
        Caller(server.url, "X26ABC1") as sender,
        Caller(server.url, "X26ABC2") as recipient,
    ):
        data = tmp_path / "data"
        sent = [await sender.sent(bytes([number]) * 60_000, workflow="FULL") for number in range(20)]
        begun = await sender.sent(b"first", workflow="FULL", headers={"Mex-Chunk-Range": "1:2"})
        fill(server, (data / "mesh-sim.db-wal").stat().st_size)
        token, other, third = sender.sign(), recipient.sign(), sender.sign()

        async def change() -> list[Answer]:
            path = f"inbox/{sent[0]}/status/acknowledged"
            return [
                await sender.send(b"small", workflow="FULL", authorization=token),
                await sender.send_chunk(begun, 2, "2:2", b"x" * 100_000, authorization=third),
                await recipient.request("PUT", path, authorization=other),
            ]

        controls = [
            ("/admin/messages", {"to": "X26ABC2", "from": "X26ABC1"}),
            ("/admin/clock", {"advance": "1m"}),
            ("/admin/mailboxes", {"mailbox_id": "X26NEW", "mailbox_name": "NEW"}),
        ]
        for answer in await change():
            assert_generic(answer, 503)
        for path, wish in controls:
            assert (await control(server.url, "POST", path, wish)).status == 503, path
        assert payload_files(data) == []
        assert len(found := await reasons(server.url)) == 3
        assert all("the database answered" in why for why in found)
        assert await recipient.inbox() == sent
        assert (await recipient.get("count")).json()["count"] == 20
        assert (await recipient.get(f"inbox/{sent[7]}")).body == b"\7" * 60_000
        assert (await sender.track(sent[0]))["status"] == "accepted"
        assert (await control(server.url, "GET", "/admin/ready")).status == 200

        make_room(server)
        assert [answer.status for answer in await change()] == [202, 202, 200]
        for path, wish in controls:
            assert (await control(server.url, "POST", path, wish)).status in (200, 201), path
        listed = await recipient.inbox()
        assert listed[:19] == sent[1:]
        assert len(listed) == 22
        assert await server.stop() == 0
    check_folder(data)


@limits_others
async def test_a_token_file_without_room(tmp_path: Path) -> None:
    """A token that cannot be noted is a 503 and stays good; the control API goes on."""
    async with started(tmp_path) as server, Caller(server.url, "X26ABC1") as caller:
        for _ in range(100):
            assert (await caller.get("count")).status == 200
        fill(server, (tmp_path / "data/tokens.db-wal").stat().st_size)
        token = caller.sign()
        for _ in range(2):
            assert_generic(await caller.send(b"kept", workflow="FULL", authorization=token), 503)
        assert len(found := await reasons(server.url)) == 2
        assert all("the used token could not be noted" in why for why in found)
        put = await control(server.url, "POST", "/admin/messages", {"to": "X26ABC2", "from": "X26ABC1"})
        assert put.status == 201

        make_room(server)
        assert (await caller.send(b"kept", workflow="FULL", authorization=token)).status == 202
        assert (await caller.send(b"kept", workflow="FULL", authorization=token)).status == 403
        assert await server.stop() == 0
    check_folder(tmp_path / "data")


@limits_others
async def test_a_journal_without_room(tmp_path: Path) -> None:
    """Requests are answered as ever, and shown from memory; with room again the file has every one."""
    async with started(tmp_path) as server, Caller(server.url, "X26ABC1") as caller:
        data = tmp_path / "data"

        async def knock(times: int) -> None:
            for _ in range(times):
                answer = await caller.get(
                    "count", authorization="nonsense", headers={"User-Agent": "u" * 200}
                )
                assert answer.status == 403

        await knock(700)
        assert (await control(server.url, "GET", "/admin/journal")).status == 200  # they are written now
        full = (data / "journal.db-wal").stat().st_size
        assert full > (data / "mesh-sim.db-wal").stat().st_size
        fill(server, full)
        await knock(100)
        await caller.sent(b"kept", workflow="FULL")
        answer = await control(server.url, "GET", "/admin/journal?limit=101")
        numbers = [entry["number"] for entry in answer.json()["entries"]]
        assert numbers == list(range(801, 700, -1))
        assert "the journal cannot be kept" in (tmp_path / "log").read_text()

        make_room(server)
        assert (await control(server.url, "GET", "/admin/journal")).status == 200
        assert await server.stop() == 0
    with closing(sqlite3.connect(data / "journal.db")) as database:
        assert database.execute("SELECT COUNT(*), MAX(number) FROM entries").fetchall() == [(801, 801)]
    check_folder(data)


@limits_others
@pytest.mark.parametrize(
    ("records", "others", "why"),
    [(150_000, 0, "the body could not be stored"), (20_000, 10, "the database answered")],
    ids=["its body", "its row"],
)
async def test_an_answer_without_room(tmp_path: Path, records: int, others: int, why: str) -> None:
    """A list whose answer cannot be stored is answered once there is room, once, and nothing else is left."""
    data, log = tmp_path / "data", tmp_path / "log"
    variables = VARIABLES | {"MESH_SIM_NDOO_REPLY_DELAY": "1h"}
    async with (
        started(tmp_path, variables=variables) as server,
        Caller(server.url, "X26ABC3") as practice,
    ):
        for _ in range(others):  # which make the database longer than the answer
            await practice.sent(b"x" * 60_000, to="X26ABC2", workflow="FULL")
        submission, file = made_up(random.Random(2), records)
        assert len(submission.answer) > records * 8

        async def body() -> AsyncIterator[bytes]:
            yield file

        headers = {"Mex-Subject": "s", "Mex-LocalID": "list-1"}
        await practice.sent(body(), to="X26HC065", workflow=submission.workflow, headers=headers)
        while not await practice.inbox():  # noqa: ASYNC110 - the receipt comes from another process
            await asyncio.sleep(0.02)
        # Room for the claim, but not for the answer.
        fill(server, (data / "mesh-sim.db-wal").stat().st_size + 12 * PAGE)
        assert (await control(server.url, "POST", "/admin/clock", {"advance": "2h"})).status == 200
        while "could not be dealt with" not in log.read_text():  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(0.02)
        assert why in log.read_text()
        assert len(payload_files(data)) == 1  # the submission's
        make_room(server)
        while len(listed := await practice.inbox()) < 2:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.02)
        answer = await practice.get(f"inbox/{listed[1]}")
        assert submission.answer in answer.body
        async with Caller(server.url, "X26HC065") as service:
            assert await service.inbox() == []
        assert len(payload_files(data)) == 2
        assert await server.stop() == 0
    check_folder(data)


@limits_others
async def test_a_mailbox_that_cannot_be_enabled_again(tmp_path: Path) -> None:
    """What a rehearsal has disabled is let in once there is room again, and without it no case is begun."""
    async with started(tmp_path) as server, Caller(server.url, "X26ABC1") as caller:
        data = tmp_path / "data"
        wish = {"mailbox": "X26ABC1", "case": "701"}
        assert (await control(server.url, "POST", "/admin/witness", wish)).status == 201
        assert (await caller.get("inbox")).status == 403
        fill(server, (data / "mesh-sim.db-wal").stat().st_size)
        finish = {"mailbox": "X26ABC1", "step": 0, "exit_status": 1}
        answer = await control(server.url, "POST", "/admin/witness/finish", finish)
        assert (answer.status, answer.json()["current"]) == (200, None)
        assert (await caller.get("inbox")).status == 403
        assert "mailbox X26ABC1 stays disabled until" in (tmp_path / "log").read_text()
        for case in ("601", "501"):
            answer = await control(server.url, "POST", "/admin/witness", wish | {"case": case})
            assert answer.status == 503, case
        assert payload_files(data) == []

        make_room(server)
        while (await caller.get("inbox")).status == 403:  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.1)
        assert await caller.inbox() == []
        assert await server.stop() == 0
    check_folder(data)


async def test_a_disk_without_any_room(tmp_path: Path) -> None:
    """A whole disk fills under load: all that was answered 202 is kept, every 503 is good again with room."""
    data = tmp_path / "data"
    data.mkdir()
    if not may_mount(data):
        pytest.skip("a small disk needs the right to mount one")
    async with (
        started(tmp_path, within=(*APART, SMALL_DISK, str(data))) as server,
        Caller(server.url, "X26ABC1") as sender,
        Caller(server.url, "X26ABC2") as recipient,
    ):
        inside = Path(f"/proc/{server.process.pid}/root{data}")
        accepted: dict[str, bytes] = {}
        refused: dict[str, bytes] = {}

        async def send(token: str, body: bytes) -> None:
            answer = await sender.send(body, workflow="FULL", authorization=token)
            if answer.status == 202:
                accepted[answer.json()["messageID"]] = body
                refused.pop(token, None)
            else:
                assert_generic(answer, 503)
                refused[token] = body

        await send(sender.sign(), b"first")
        with (inside / "ballast").open("wb", buffering=0) as ballast:
            with contextlib.suppress(OSError):
                while ballast.write(bytes(65_536)):
                    pass
            for number in range(10):  # each time with a little room, which ends amid the work
                ballast.truncate(ballast.tell() - (number + 1) * 65_536)
                bodies = [bytes([number, place]) * size for place, size in enumerate((1, 3_000, 90_000) * 4)]
                await asyncio.gather(*(send(sender.sign(), body) for body in bodies))
        assert len(refused) > 20
        for path in ("/admin/ready", "/admin/messages", "/admin/journal", "/metrics"):
            assert (await control(server.url, "GET", path)).status == 200, path

        (inside / "ballast").unlink()
        for token, body in list(refused.items()):
            await send(token, body)
        assert not refused
        listed = await recipient.inbox()
        assert sorted(listed) == sorted(accepted)
        for message_id in listed:
            assert (await recipient.get(f"inbox/{message_id}")).body == accepted[message_id]
        assert (await control(server.url, "GET", "/admin/journal")).status == 200  # all of it is written now
        shutil.copytree(inside, tmp_path / "copy")
        assert await server.stop() == 0
    check_folder(tmp_path / "copy")
