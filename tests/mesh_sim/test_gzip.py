"""Gzip in bounded steps."""

from __future__ import annotations

import gzip as reference
import random
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh_sim import gzip


async def _pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def _plain(data: bytes, size: int = 65536) -> bytes:
    return b"".join([block async for block in gzip.decompressed(_pieces(data, size))])


@settings(max_examples=50, deadline=None)
@given(members=st.lists(st.binary(max_size=200), min_size=1, max_size=4), size=st.integers(1, 40))
async def test_members_joined_anywhere_come_out_as_one(members: list[bytes], size: int) -> None:
    """Concatenated gzip members are one body, however the pieces fall."""
    joined = b"".join(reference.compress(member) for member in members)
    assert await _plain(joined, size) == b"".join(members)


@settings(max_examples=30, deadline=None)
@given(body=st.binary(max_size=300), size=st.integers(1, 64))
async def test_compressing_gives_what_others_can_read(body: bytes, size: int) -> None:
    """Both ways of compressing give gzip that the standard library reads back."""
    streamed = b"".join([block async for block in gzip.compressed(_pieces(body, size))])
    assert reference.decompress(streamed) == reference.decompress(gzip.compress(body)) == body


async def test_large_bodies_pass_through_in_threads_unchanged() -> None:
    """Blocks big enough for a thread come out in order and whole."""
    body = random.Random(1).randbytes(1_500_000) + bytes(3_000_000)
    streamed = b"".join([block async for block in gzip.compressed(_pieces(body, 700_000))])
    assert await _plain(streamed, 500_000) == body


async def test_a_bomb_comes_out_a_megabyte_at_a_time() -> None:
    """A body that expands a thousandfold never makes a block above the limit."""
    bomb = reference.compress(bytes(64_000_000))
    sizes = [len(block) async for block in gzip.decompressed(_pieces(bomb, 1_000_000))]
    assert sum(sizes) == 64_000_000
    assert max(sizes) <= gzip.STEP_BYTES


def test_members_of_a_byte_each_make_one_step() -> None:
    """Thousands of tiny members in a block are no thousands of blocks for whoever sends them on."""
    steps = list(gzip.Decompressor().feed(reference.compress(b"a", mtime=0) * 5000))
    assert [len(step) for step in steps] == [5000]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"plain text, not gzip at all",
        reference.compress(b"abc" * 99)[:-1],
        reference.compress(b"abc") + b"x",
    ],
    ids=["nothing", "not gzip", "cut short", "trailing rubbish"],
)
async def test_what_is_not_whole_gzip_raises(data: bytes) -> None:
    """Nothing, other bytes, a cut and trailing rubbish are all told from a body."""
    with pytest.raises(gzip.GzipError):
        await _plain(data)
