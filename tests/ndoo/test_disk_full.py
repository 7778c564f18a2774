"""A disk that fills up while an answer is written loses nothing: the answer stays in the inbox."""

from __future__ import annotations

import resource
from datetime import timedelta
from pathlib import Path

import pytest
from desks import Desk
from support import MakeSimulator

from ndoo.cli.boundary import ExitCode
from ndoo.lists import generate


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs Linux to limit another process")
@pytest.mark.parametrize(
    ("limit", "where"), [(1_000_000, "out.csv"), (100_000, "journal-lists")], ids=["the output", "the answer"]
)
async def test_an_answer_that_cannot_be_written_is_not_acknowledged(
    folder: Path, make_simulator: MakeSimulator, monkeypatch: pytest.MonkeyPatch, limit: int, where: str
) -> None:
    """Exit 1 in one line, no half a file, the message still there; with room again it is collected."""
    simulator = await make_simulator(ndoo_reply_delay=timedelta(hours=1))
    desk = Desk(folder, simulator.url)
    numbers = [int(number) for batch in generate(10_000, seed=2) for number in batch]
    rows = "".join(f"{number},{'An invented address; ' * 10}\r\n" for number in numbers)
    desk.write("list.csv", f"NHS Number,Address\r\n{rows}")
    assert (await desk.run("submit", "list.csv", "-o", "out.csv")).code == 0
    simulator.clock.advance(timedelta(hours=2))

    # Coverage measuring could not write its own file either, and would say so.
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
    # No file may become longer than this: what a full disk, or a quota, is to a program.
    async with desk.running("collect", "--timeout", "20s") as process:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (limit, limit))
        out, err = await process.communicate()
    assert (process.returncode, out) == (ExitCode.FAILED, b"")
    assert where in err.decode()
    assert "cannot be written" in err.decode()
    assert err.count(b"\n") == 1
    assert desk.files() == {"list.csv"}
    assert [path.name for path in desk.journal.folder.iterdir()] == [
        f"{desk.journal.pending()[0].local_id}.dat"
    ]
    assert len(await simulator.caller("X99GP001").inbox()) == 1

    assert (await desk.run("collect")).code == 0
    assert (folder / "out.csv").read_bytes() == (folder / "list.csv").read_bytes()
    assert await simulator.caller("X99GP001").inbox() == []
