"""Gzip that is a bomb, is broken, or is none: bounded work and memory, for readers and for the service."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import sys
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from controls import control
from processes import running_command
from raw import LAST, PATIENCE_S, assert_decent, assert_log_decent, head, signed, talk
from support import Caller, Callers, Simulator, both_versions

GZIP: Final = {"Content-Encoding": "gzip"}
MEGABYTE: Final = 1024 * 1024
ROOM: Final = 48 * MEGABYTE
"""By how much a server's memory may grow while it does what is asked of it here."""


def bomb(block: bytes, times: int) -> bytes:
    """Compress a block so many times over, a thousandfold where it is all the same."""
    codec = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join([*(codec.compress(block) for _ in range(times)), codec.flush()])


EMPTY: Final = gzip.compress(b"", mtime=0)
WHOLE: Final = gzip.compress(b"a body" * 100, mtime=0)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
async def test_a_bomb_takes_neither_memory_nor_turns(tmp_path: Path) -> None:
    """100 kB that are 100 MB: streamed plain, read half, sent as a list; the server's memory hardly grows."""
    packed = bomb(bytes(MEGABYTE), 100)
    assert len(packed) < 110_000
    variables = {"MESH_SIM_DATA": str(tmp_path / "data"), "MESH_SIM_OPT_OUT_RATE": "0"}
    async with running_command("mesh_sim", ["serve", "--port", "0"], tmp_path, variables) as server:
        url = await _address(server)
        before = _memory(server.pid)
        async with Caller(url, "X26ABC1") as sender, Caller(url, "X26ABC2") as recipient:
            message_id = await sender.sent(packed, headers=GZIP)
            assert await _read(url, message_id, 10 * MEGABYTE) >= 10 * MEGABYTE
            assert (await recipient.get("count")).status == 200
            assert await _read(url, message_id) > 100 * MEGABYTE
            await _submit(sender, packed, "zeros")
            await _submit(sender, bomb(b"9990000018,\n" * 87_000, 10), "records")
            assert await _answer_to(url, "zeros")
            assert await _answer_to(url, "records")
        assert _memory(server.pid) - before < ROOM


async def test_a_body_of_countless_members_is_read_in_one_go(shared: Callers) -> None:
    """Tens of thousands of gzip members, of one byte each or of none, come out whole and in one piece."""
    sender, recipient = shared.caller(), shared.caller("X26ABC2")
    one = gzip.compress(b"a", mtime=0)
    for body, plain in ((EMPTY * 40_000, b""), (one * 40_000, b"a" * 40_000)):
        message_id = await sender.sent(_pieces(body), headers=GZIP)
        assert (await recipient.get(f"inbox/{message_id}")).body == plain


BROKEN: Final = {
    "none": b"plain text",
    "two bytes": b"\x1f\x8b",
    "another method": b"\x1f\x8b\x07" + bytes(30),
    "cut short": WHOLE[:-5],
    "wrong sum": WHOLE[:-8] + bytes(8),
    "wrong length": WHOLE[:-4] + bytes(4),
    "rubbish behind": WHOLE + b"rubbish",
    "an endless name": b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * 200_000,
    "an endless extra field": b"\x1f\x8b\x08\x04" + bytes(6) + b"\xff\xff" + b"e" * 70_000,
    "zlib": zlib.compress(b"a body"),
    "a bomb with a wrong sum": bomb(bytes(MEGABYTE), 1)[:-8] + bytes(8),
}


@both_versions
@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
async def test_what_is_no_gzip_is_refused_to_who_wants_it_plain(
    shared: Callers, target: str, version: int, body: bytes
) -> None:
    """It comes as it was sent to whoever takes gzip; there is nothing plain to give to others: 406."""
    message_id = await shared.caller().sent(_pieces(body), headers=GZIP)
    recipient = shared.caller("X26ABC2")
    taken = await recipient.get(f"inbox/{message_id}", version=version, headers={"Accept-Encoding": "gzip"})
    assert (taken.status, taken.body) == (200, body)
    asked = head("GET", f"/messageexchange/X26ABC2/inbox/{message_id}", signed("X26ABC2"))
    refused, _ = (await talk(target, asked + LAST)).answers
    assert_decent(refused)
    assert refused.status == 406
    assert refused.json() == {"message": "An internal error occurred.\n\nPlease contact support."}


async def test_a_bomb_that_breaks_late_breaks_the_connection(shared: Callers) -> None:
    """Where much has been sent before it turns out, the connection is cut: nobody takes it for whole."""
    message_id = await shared.caller().sent(bomb(bytes(MEGABYTE), 20)[:-8] + bytes(8), headers=GZIP)
    with pytest.raises(asyncio.IncompleteReadError):
        await _read(shared.url, message_id, whole=True)
    assert (await shared.caller().get("count")).status == 200


LISTS: Final = {
    "zeros": bomb(bytes(MEGABYTE), 20),
    "line feeds": bomb(b"\n" * MEGABYTE, 20),
    "one endless number": bomb(b"9" * MEGABYTE, 20),
    "a bomb in a bomb": gzip.compress(bomb(bytes(MEGABYTE), 20)),
    "members of nothing": EMPTY * 50_000,
    "no gzip": b"9990000018,\n",
    "cut short": bomb(b"9990000018,\n" * 87_000, 5)[:-20],
    "rubbish behind": gzip.compress(b"9990000018,\n") + b"rubbish",
}


async def test_a_bomb_as_a_list_is_an_invalid_list(
    simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    """Each gets the service's one line for invalid lists, and a good list amid them its answer."""
    sender = simulator.caller()
    for name, body in LISTS.items():
        await _submit(sender, body, name.replace(" ", "-"))
    await _submit(sender, gzip.compress(b"9990000018,\n"), "good")
    for name in LISTS:
        answer = await _answer_to(simulator.url, name.replace(" ", "-"))
        body = await sender.get(f"inbox/{answer}")
        assert body.body.strip() == b"The file contains one or more invalid NHS Numbers.", name
    good = await sender.get(f"inbox/{await _answer_to(simulator.url, 'good')}")
    assert good.body == b"9990000018,\n"
    assert_log_decent(caplog)


async def test_a_bomb_does_not_load_opt_outs(simulator: Simulator) -> None:
    """A packed list is no list to the control API, whatever encoding it names, and nothing is loaded."""
    for headers in ({}, GZIP):
        answer = await control(
            simulator.url, "POST", "/admin/optouts/load", bomb(bytes(MEGABYTE), 20), headers=headers
        )
        assert answer.status == 400
    assert (await control(simulator.url, "GET", "/admin/optouts/statistics")).json()["opted_out"] == 0


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), MEGABYTE):
        yield data[start : start + MEGABYTE]


async def _submit(sender: Caller, body: bytes, local_id: str) -> None:
    marks = {"Mex-Subject": "list", "Mex-LocalID": local_id}
    await sender.sent(_pieces(body), to="X26HC065", workflow="SPINE_NTT_UPHOLDING", headers={**GZIP, **marks})


async def _answer_to(url: str, local_id: str) -> str:
    """Wait for the answer to a list, and give its message id."""
    query = f"mailbox=X26ABC1&sender=X26HC065&subject=list&local_id={local_id}&timeout=60s"
    answer = await control(url, "GET", f"/admin/wait?{query}")
    assert answer.status == 200, answer.body
    found: list[dict[str, Any]] = json.loads(answer.body)["messages"]
    return str(found[0]["message_id"])


async def _read(url: str, message_id: str, most: int | None = None, *, whole: bool = False) -> int:
    """Download plain and count what comes, up to ``most`` bytes; the rest is left in the pipe.

    Raises:
        IncompleteReadError: with ``whole``, it broke off.
    """
    address = urlsplit(url)
    asked = head(
        "GET", f"/messageexchange/X26ABC2/inbox/{message_id}", signed("X26ABC2"), "Connection: close"
    )
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        try:
            writer.write(asked)
            size, end = 0, b""
            while most is None or size < most:
                block = await reader.read(MEGABYTE)
                if not block:
                    if whole and end != b"0\r\n\r\n":
                        raise asyncio.IncompleteReadError(end, None)
                    break
                size, end = size + len(block), block[-5:]
        except ConnectionResetError as error:
            raise asyncio.IncompleteReadError(b"", None) from error
        finally:
            writer.transport.abort()
    return size


async def _address(server: asyncio.subprocess.Process) -> str:
    assert server.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        while line := (await server.stdout.readline()).decode():
            if found := re.search(r"http://\S+", line):
                return found[0]
    raise AssertionError("the server did not start")


def _memory(pid: int) -> int:
    """Give the most memory that a process ever had resident, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024
