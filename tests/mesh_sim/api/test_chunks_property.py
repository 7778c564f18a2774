"""Whatever is sent, however it is cut and packed, comes back the same (sections 8, 9, 12 and 13)."""

from __future__ import annotations

import gzip
import random

from hypothesis import given, settings
from hypothesis import strategies as st
from support import Caller

# Around 64 KiB the simulator changes where it keeps a body, so bodies grow past it.
PIECES = st.lists(
    st.builds(lambda piece, times: piece * times, st.binary(min_size=1, max_size=200), st.integers(1, 700)),
    min_size=1,
    max_size=6,
)


async def download(caller: Caller, message: str, headers: dict[str, str]) -> list[bytes]:
    """Download every chunk, unpacked."""
    bodies: list[bytes] = []
    status = 206
    while status == 206:
        answer = await caller.get(f"inbox/{message}/{len(bodies) + 1}", version=2, headers=headers)
        status, body = answer.status, answer.body
        bodies.append(gzip.decompress(body) if answer.headers.get("Content-Encoding") == "gzip" else body)
    assert status == 200
    return bodies


@settings(max_examples=25, deadline=None)
@given(
    pieces=PIECES, packed=st.booleans(), accepts_gzip=st.booleans(), order=st.randoms(use_true_random=False)
)
async def test_any_body_in_any_chunks_comes_back_the_same(
    standing_url: str, pieces: list[bytes], packed: bool, accepts_gzip: bool, order: random.Random
) -> None:
    """Chunks sent in any order, plain or gzip, to a reader who takes gzip or not, are what was sent."""
    total = len(pieces)
    stored = [gzip.compress(piece, 1) for piece in pieces] if packed else pieces
    encoding = {"Content-Encoding": "gzip"} if packed else {}
    later = list(range(2, total + 1))
    order.shuffle(later)
    async with Caller(standing_url, "X26ABC1") as sender, Caller(standing_url, "X26ABC2") as recipient:
        message = await sender.sent(stored[0], headers={"Mex-Chunk-Range": f"1:{total}", **encoding})
        for number in later:
            answer = await sender.send_chunk(
                message, number, f"{number}:{total}", stored[number - 1], headers=encoding
            )
            assert answer.status == 202
        accepts = {"Accept-Encoding": "gzip"} if accepts_gzip else {}
        assert await download(recipient, message, accepts) == pieces
        assert (await sender.track(message, version=1))["fileSize"] == sum(map(len, stored))
