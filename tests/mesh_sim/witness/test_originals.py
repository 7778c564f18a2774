"""The payloads that are made up for cases."""

from __future__ import annotations

import gzip
import hashlib
from itertools import islice

import pytest

from mesh_sim.witness.originals import BLOCK_BYTES, blocks, original


def md5(data: bytes) -> str:
    """Give the MD5 of bytes in hex."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@pytest.mark.parametrize("size", [1, 2_000, BLOCK_BYTES, BLOCK_BYTES + 1, 2 * BLOCK_BYTES + 12_345])
@pytest.mark.parametrize("chunks", [1, 3])
def test_the_chunks_are_the_whole(size: int, chunks: int) -> None:
    """Chunks joined are the payload, of the size asked for, and the digests are of what they say."""
    whole = b"".join(blocks("501", size))
    parts = [b"".join(blocks("501", size, chunk=number + 1, chunks=chunks)) for number in range(chunks)]
    assert len(whole) == size
    assert b"".join(parts) == whole
    made = original("501", size, chunks)
    assert (made.size, made.md5) == (size, md5(whole))
    assert list(made.chunk_md5s) == [md5(part) for part in parts]


def test_it_is_the_same_each_time_and_another_for_another_case() -> None:
    """Whoever writes the file elsewhere gets the bytes that the server compares with."""
    assert b"".join(blocks("201", 5_000)) == b"".join(blocks("201", 5_000))
    assert b"".join(blocks("201", 5_000)) != b"".join(blocks("202", 5_000))
    assert original("201", 2_000).md5 == "00fd33b1b64144c4196b904ed29be868"


def test_it_is_printable_compressible_and_holds_no_number() -> None:
    """A payload is letters only, which gzip makes shorter: no NHS number can be in it."""
    text = b"".join(blocks("402", 100_000))
    assert text.isalpha()
    assert len(gzip.compress(text)) < 0.7 * len(text)


def test_no_block_is_longer_than_a_megabyte() -> None:
    """Payloads of any size are made a block at a time."""
    sizes = [len(block) for block in islice(blocks("501", 10**15, chunk=2, chunks=7), 5)]
    assert max(sizes) == BLOCK_BYTES
