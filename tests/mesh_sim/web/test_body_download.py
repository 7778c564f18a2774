"""Downloads of bodies: all of one, as a file, and never as a page."""

from __future__ import annotations

import gzip
import random
from collections.abc import AsyncIterator

import aiohttp
import pytest
from controls import control
from pages import visiting
from support import UNKNOWN_ID, Answer, MakeSimulator, Simulator

from mesh_sim.exchange.messages import INLINE_LIMIT

GZIPPED = {"Content-Encoding": "gzip"}
NOISE = random.Random(1).randbytes(3_000_000)
"""What gzip makes no smaller, and more of it than is read ahead."""


async def blocks(data: bytes) -> AsyncIterator[bytes]:
    """Send a body as large ones are."""
    for start in range(0, len(data), 500_000):
        yield data[start : start + 500_000]


async def download(simulator: Simulator, message_id: str, query: str = "") -> Answer:
    """Download a body."""
    return await control(simulator.url, "GET", f"/messages/{message_id}/body{query}")


async def in_chunks(simulator: Simulator, *chunks: bytes, **headers: str) -> str:
    """Send a message in chunks."""
    caller = simulator.caller()
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    first = given | {"Mex-Chunk-Range": f"1:{len(chunks)}"}
    begun = (await caller.send(blocks(chunks[0]), version=2, headers=first)).json()["message_id"]
    for number, chunk in enumerate(chunks[1:], 2):
        await caller.send_chunk(begun, number, f"{number}:{len(chunks)}", blocks(chunk), headers=given)
    return str(begun)


async def test_a_download_is_a_file_and_no_page(simulator: Simulator) -> None:
    """It has a safe name, and nothing that a browser would show or run."""
    headers = {"Mex-FileName": '../<"Zo\u00eb">.html', "Content-Type": "text/html"}
    sent = await simulator.caller().sent(b"<script>9990000018</script>", headers=headers)
    answer = await download(simulator, sent)
    assert (answer.status, answer.body) == (200, b"<script>9990000018</script>")
    assert answer.content_type == "application/octet-stream"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert answer.headers["Cache-Control"] == "no-store"
    named = answer.headers["Content-Disposition"]
    assert named.startswith('attachment; filename="__Zo')
    assert "filename*=UTF-8''__Zo%C3%" in named
    assert named.endswith("__.html")
    plain = await simulator.caller().sent()
    assert f'filename="{plain}.dat"' in (await download(simulator, plain)).headers["Content-Disposition"]


async def test_whoever_collected_it_and_whatever_became_of_it(simulator: Simulator) -> None:
    """A body can be downloaded as long as it is kept: acknowledged or expired, and often."""
    read, lost = await simulator.caller().sent(b"read"), await simulator.caller().sent(b"lost")
    await simulator.caller("X26ABC2").acknowledge(read)
    await control(simulator.url, "POST", "/admin/clock", {"advance": "5d"})
    for _ in range(2):
        assert (await download(simulator, read)).body == b"read"
        assert (await download(simulator, lost)).body == b"lost"


async def test_chunks_follow_each_other(simulator: Simulator) -> None:
    """All chunks are one file, small or large."""
    small = await in_chunks(simulator, b"one,", b"two,", b"three")
    assert (await download(simulator, small)).body == b"one,two,three"
    large = await in_chunks(simulator, NOISE, b"x" * (INLINE_LIMIT + 1), NOISE[:10])
    answer = await download(simulator, large)
    assert answer.body == NOISE + b"x" * (INLINE_LIMIT + 1) + NOISE[:10]
    assert answer.headers["Content-Length"] == str(len(answer.body))


@pytest.mark.parametrize(
    "plain", [b"9990000018,\r\n", NOISE, b"x" * 30_000_000], ids=["short", "long", "bomb"]
)
async def test_unpacked_or_as_sent(simulator: Simulator, plain: bytes) -> None:
    """A gzip body is unpacked, or given as it was sent under a name that says so, however it was cut."""
    packed = gzip.compress(plain, 1)
    half = len(packed) // 2
    sent = await simulator.caller().sent(blocks(packed), headers=GZIPPED | {"Mex-FileName": "list.dat"})
    cut = await in_chunks(simulator, packed[:half], packed[half:], Content_Encoding="gzip")
    each = await in_chunks(simulator, packed, packed, Content_Encoding="gzip")
    answer = await download(simulator, sent)
    assert answer.body == plain
    assert 'filename="list.dat"' in answer.headers["Content-Disposition"]
    assert "Content-Encoding" not in answer.headers
    as_sent = await download(simulator, sent, "?packed=1")
    assert as_sent.body == packed
    assert 'filename="list.dat.gz"' in as_sent.headers["Content-Disposition"]
    assert "Content-Encoding" not in as_sent.headers
    assert (await download(simulator, cut)).body == plain
    assert (await download(simulator, each)).body == plain * 2


async def test_what_is_not_gzip_after_all(simulator: Simulator) -> None:
    """A body that cannot be unpacked is a page that says so, as long as nothing was sent."""
    for wrong in (b"plain", gzip.compress(b"plain")[:-1], gzip.compress(b"plain") + b"more"):
        sent = await simulator.caller().sent(wrong, headers=GZIPPED)
        async with visiting(simulator.url) as visitor:
            page = await visitor.get(f"/messages/{sent}/body")
        assert (page.status, page.title) == (409, "This body cannot be unpacked")
        assert (await download(simulator, sent, "?packed=1")).body == wrong
    late = await simulator.caller().sent(blocks(gzip.compress(NOISE, 1)[:-20]), headers=GZIPPED)
    with pytest.raises(aiohttp.ClientError):
        await download(simulator, late)


async def test_what_cannot_be_downloaded(make_simulator: MakeSimulator) -> None:
    """A report, an upload on its way, an unknown message, and what is gone: a page says which it is."""
    simulator = await make_simulator(allow=["missing-chunks"])
    caller = simulator.caller()
    begun = (await caller.send(version=2, headers={"Mex-Chunk-Range": "1:3"})).json()["message_id"]
    gone = await caller.sent(b"x" * (INLINE_LIMIT + 1))
    (file,) = simulator.server.core.settings.data.glob("payloads/??/*")
    file.unlink()
    async with visiting(simulator.url) as visitor:
        for message_id, said in (
            (begun, "still being uploaded"),
            (gone, "not here any more"),
            (UNKNOWN_ID, "It may have been deleted"),
        ):
            page = await visitor.get(f"/messages/{message_id}/body")
            assert page.status == 404
            assert said in page.text
        await caller.send_chunk(begun, 3, "3:3")
        page = await visitor.get(f"/messages/{begun}/body")
        assert "Of its 3 chunks 2 are here" in page.text
        await control(simulator.url, "POST", "/admin/clock", {"advance": "5d"})
        report, *_ = await caller.inbox()
        assert "A report has no body" in (await visitor.get(f"/messages/{report}/body")).text
