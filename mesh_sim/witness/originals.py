"""The payload of a case: made up, the same each time, and never whole in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from mesh_sim.witness.digests import RunningDigest
from mesh_sim.witness.rehearsal import Original

BLOCK_BYTES: Final = 1024 * 1024
"""No block is longer."""

_LETTERS: Final = bytes.maketrans(b"0123456789abcdef", b"abcdefghijklmnop")
"""No digits: ten in a row could by chance be somebody's NHS number."""


def blocks(case_id: str, size: int, *, chunk: int = 1, chunks: int = 1) -> Iterator[bytes]:
    """Give a case's payload of ``size`` bytes, or one of its ``chunks`` (from 1), in blocks.

    Printable, and gzip makes it little more than half as long. The chunks one after the other are the whole.
    """
    begin, end = size * (chunk - 1) // chunks, size * chunk // chunks
    while begin < end:
        number, offset = divmod(begin, BLOCK_BYTES)
        block = _block(case_id, number)[offset : offset + end - begin]
        yield block
        begin += len(block)


@lru_cache(maxsize=64)
def original(case_id: str, size: int, chunks: int = 1) -> Original:
    """Give the size and digests of a case's payload; takes some four seconds a gigabyte and blocks."""
    whole = RunningDigest()
    of_chunks = []
    for number in range(1, chunks + 1):
        of_chunk = RunningDigest()
        for block in blocks(case_id, size, chunk=number, chunks=chunks):
            whole.add(block)
            of_chunk.add(block)
        of_chunks.append(of_chunk.so_far().md5)
    return Original(size, whole.so_far().md5, tuple(of_chunks))


def _block(case_id: str, number: int) -> bytes:
    # Each block by itself, so that a chunk may begin anywhere without what comes before it.
    seed = f"mesh-sim witness {case_id} {number}".encode()
    return hashlib.shake_128(seed).hexdigest(BLOCK_BYTES // 2).encode().translate(_LETTERS)
