"""Gzip in both directions, in bounded steps, with either library."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import AsyncIterator, Callable
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isal import isal_zlib

from ndoo import _bodies

BODY = bytes(range(256)) * 1000


backends = pytest.mark.parametrize("backend", [zlib, isal_zlib], ids=["zlib", "isal"])


@pytest.fixture
def gunzip(backend: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[bytes]], bytes]:
    """Decompress pieces with one of the two libraries."""
    monkeypatch.setattr(_bodies, "zlib", backend)

    def decompress(pieces: list[bytes]) -> bytes:
        stream = _bodies.Gunzip()
        whole = b"".join(block for piece in pieces for block in stream.feed(piece))
        stream.finish()
        return whole

    return decompress


@backends
def test_gzip_of_any_members_in_any_pieces_comes_back(gunzip: Callable[[list[bytes]], bytes]) -> None:
    """Members, zero padding and the places where the network cuts make no difference."""

    @given(
        members=st.lists(
            st.binary(max_size=300) | st.integers(0, 3_000_000).map(bytes), min_size=1, max_size=3
        ),
        padding=st.integers(0, 20),
        step=st.integers(1, 400),
    )
    def check(members: list[bytes], padding: int, step: int) -> None:
        wire = bytes(padding).join(map(gzip.compress, members)) + bytes(padding)
        assert gunzip([wire[at : at + step] for at in range(0, len(wire), step)]) == b"".join(members)

    check()


@backends
@given(body=st.binary(max_size=300), data=st.data())
def test_gzip_cut_anywhere_is_noticed(backend: ModuleType, body: bytes, data: st.DataObject) -> None:
    """Any beginning of a gzip stream short of its end is refused, but for none of it at all."""
    wire = gzip.compress(body)
    stream = _bodies.Gunzip()
    list(stream.feed(wire[: data.draw(st.integers(1, len(wire) - 1))]))
    with pytest.raises(_bodies.DamagedGzip):
        stream.finish()


def test_no_bytes_are_an_empty_gzip_stream() -> None:
    """An empty chunk declared gzip is empty, not damaged."""
    stream = _bodies.Gunzip()
    assert list(stream.feed(b"")) == []
    stream.finish()


def test_a_small_input_grows_one_block_at_a_time() -> None:
    """Two hundred thousand bytes that stand for two hundred million come out in bounded steps."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    wire = b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(200)), packer.flush()])
    sizes = [len(block) for block in _bodies.Gunzip().feed(wire)]
    assert sum(sizes) == 200 << 20
    assert max(sizes) <= _bodies.BLOCK


@backends
async def test_what_is_compressed_is_one_gzip_member(
    backend: ModuleType, gunzip: Callable[[list[bytes]], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small blocks and large ones, compressed with either library, decompress with the standard one."""
    blocks = [b"a" * 10, b"", BODY, b"z"]

    async def stream() -> AsyncIterator[bytes]:
        for block in blocks:
            yield block

    packed = b"".join([part async for part in _bodies.gzip_blocks(stream())])
    assert gzip.decompress(packed) == gunzip([packed]) == b"".join(blocks)
