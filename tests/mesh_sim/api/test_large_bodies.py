"""Bodies too long to hold: streamed, transcoded in steps, and broken off rather than made up."""

from __future__ import annotations

import gzip
import random
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from support import Simulator, assert_generic, both_versions

PLAIN = random.Random(7).randbytes(1_500_000) + bytes(4_000_000)
GZIP = {"Content-Encoding": "gzip"}
ACCEPTS = {"Accept-Encoding": "gzip"}


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 500_000):
        yield data[start : start + 500_000]


async def test_a_long_gzip_body_is_served_plain_in_pieces(simulator: Simulator) -> None:
    """Whoever does not take gzip gets the whole body decompressed, under no declared length."""
    message_id = await simulator.caller().sent(_pieces(gzip.compress(PLAIN)), headers=GZIP)
    answer = await simulator.caller("X26ABC2").get(f"inbox/{message_id}")
    assert (answer.status, answer.body) == (200, PLAIN)
    assert "Content-Length" not in answer.headers
    assert "Content-Encoding" not in answer.headers


async def test_a_long_gzip_body_is_served_as_it_is(simulator: Simulator) -> None:
    """Whoever takes gzip gets the very bytes that were sent, with their length."""
    sent = gzip.compress(PLAIN, 1)
    message_id = await simulator.caller().sent(_pieces(sent), headers=GZIP)
    answer = await simulator.caller("X26ABC2").get(f"inbox/{message_id}", headers=ACCEPTS)
    assert (answer.status, answer.body) == (200, sent)
    assert answer.headers["Content-Length"] == str(len(sent))
    assert answer.headers["Content-Encoding"] == "gzip"


async def test_a_long_plain_body_is_compressed_for_version_2(simulator: Simulator) -> None:
    """Version 2 compresses on the way out for whoever takes gzip; version 1 leaves the bytes alone."""
    message_id = await simulator.caller().sent(_pieces(PLAIN))
    recipient = simulator.caller("X26ABC2")
    second = await recipient.get(f"inbox/{message_id}", version=2, headers=ACCEPTS)
    assert second.headers["Content-Encoding"] == "gzip"
    assert second.headers["Mex-Content-Compressed"] == "Y"
    assert gzip.decompress(second.body) == PLAIN
    first = await recipient.get(f"inbox/{message_id}", version=1, headers=ACCEPTS)
    assert first.body == PLAIN
    assert "Content-Encoding" not in first.headers


@pytest.mark.parametrize("size", [20, 200_000], ids=["small", "in a file"])
async def test_what_is_not_gzip_after_all_is_an_error_to_who_wants_it_plain(
    simulator: Simulator, size: int
) -> None:
    """Bytes declared gzip that are not come raw to whoever takes gzip, and are a 406 to others."""
    sent = b"x" * size
    message_id = await simulator.caller().sent(sent, headers=GZIP)
    recipient = simulator.caller("X26ABC2")
    for version in (1, 2):
        answer = await recipient.get(f"inbox/{message_id}", version=version)
        assert_generic(answer, 406)
    assert (await recipient.get(f"inbox/{message_id}", headers=ACCEPTS)).body == sent


async def test_gzip_that_breaks_off_late_breaks_the_connection(simulator: Simulator) -> None:
    """When the damage shows after the status is out, the body ends in a broken connection, not in peace."""
    message_id = await simulator.caller().sent(_pieces(gzip.compress(PLAIN)[:-100]), headers=GZIP)
    with pytest.raises(aiohttp.ClientPayloadError):
        await simulator.caller("X26ABC2").get(f"inbox/{message_id}")
    # The server is none the worse for it.
    assert (await simulator.caller("X26ABC2").get("count")).status == 200


async def test_a_gzip_bomb_is_served_plain_in_bounded_steps(simulator: Simulator) -> None:
    """A hundred megabytes out of a hundred kilobytes arrive whole; nothing on the way holds them all."""
    bomb = gzip.compress(bytes(100_000_000))
    message_id = await simulator.caller().sent(bomb, headers=GZIP)
    recipient = simulator.caller("X26ABC2")
    url = f"{simulator.url}/messageexchange/X26ABC2/inbox/{message_id}"
    size, largest = 0, 0
    async with (
        aiohttp.ClientSession(auto_decompress=False, skip_auto_headers=["Accept-Encoding"]) as session,
        session.get(url, headers={"Authorization": recipient.sign()}) as answer,
    ):
        async for block in answer.content.iter_any():
            size += len(block)
            largest = max(largest, len(block))
    assert size == 100_000_000
    assert largest <= 4_000_000


def _only_file(simulator: Simulator) -> Path:
    (file,) = (
        path for path in (simulator.server.core.settings.data / "payloads").rglob("*") if path.is_file()
    )
    return file


@both_versions
async def test_a_body_that_is_gone_from_the_disk_is_an_error(simulator: Simulator, version: int) -> None:
    """A body that cannot be opened is a 500 before any status went out."""
    message_id = await simulator.caller().sent(_pieces(PLAIN))
    _only_file(simulator).unlink()
    answer = await simulator.caller("X26ABC2").get(f"inbox/{message_id}", version=version, headers=ACCEPTS)
    assert_generic(answer, 500)


async def test_a_body_that_ends_too_early_on_the_disk_breaks_the_connection(simulator: Simulator) -> None:
    """A body shorter than its message says never looks complete."""
    message_id = await simulator.caller().sent(_pieces(PLAIN))
    file = _only_file(simulator)
    file.write_bytes(file.read_bytes()[:3_000_000])
    with pytest.raises(aiohttp.ClientPayloadError):
        await simulator.caller("X26ABC2").get(f"inbox/{message_id}")


async def test_storage_that_fails_costs_the_sender_nothing(simulator: Simulator) -> None:
    """A send that could not be stored is a 503, and the same token is good for the next try."""
    incoming = simulator.server.core.settings.data / "payloads" / "incoming"
    caller = simulator.caller()
    token = caller.sign()
    incoming.rmdir()
    refused = await caller.send(_pieces(PLAIN), authorization=token)
    assert_generic(refused, 503)
    incoming.mkdir()
    accepted = await caller.send(_pieces(PLAIN), authorization=token)
    assert accepted.status == 202
    assert (await caller.send(_pieces(PLAIN), authorization=token)).status == 403
