"""The sandbox's store modes: where messages are, and which are there at the start (section 19)."""

from __future__ import annotations

import gzip
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from controls import control
from support import MakeSimulator, assert_gone

from mesh_sim.config import Settings
from mesh_sim.store_modes import data_folder


@pytest.fixture(autouse=True)
def _own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Temporary folders are made where the test can see them."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.mark.parametrize("mode", ["memory", "canned"])
def test_a_folder_that_goes(tmp_path: Path, mode: str) -> None:
    """In memory and canned mode the data is in a folder that is removed in the end, whatever was set."""
    settings = Settings(data=tmp_path / "mine", store_mode=mode)
    with data_folder(settings) as used:
        assert used.data.is_dir()
        assert used.data.stat().st_mode & 0o077 == 0
        (used.data / "file").write_text("x")
    assert list(tmp_path.iterdir()) == []
    assert used.model_copy(update={"data": settings.data}) == settings


def test_the_data_folder_stays(tmp_path: Path) -> None:
    """In file mode the settings are used as they are."""
    settings = Settings(data=tmp_path / "mine")
    with data_folder(settings) as used:
        assert used is settings


def names(folder: Path) -> list[str]:
    """List what is in a folder."""
    return [path.name for path in folder.iterdir()]


async def test_a_simulator_in_memory_leaves_nothing(make_simulator: MakeSimulator, tmp_path: Path) -> None:
    """What was sent to it is gone with it, and the folder that was set is not touched."""
    data = tmp_path / "mine"
    simulator = await make_simulator(store_mode="memory", data=data)
    await simulator.caller().sent(b"x" * 200_000)
    await simulator.stop()
    assert names(tmp_path) == []
    again = await make_simulator(store_mode="memory", data=data)
    assert await again.caller("X26ABC2").inbox() == []


async def test_the_canned_messages(make_simulator: MakeSimulator) -> None:
    """One waits, one was not delivered, and one is in two chunks of gzip; all can be tracked."""
    simulator = await make_simulator(store_mode="canned")
    first, second = simulator.caller(), simulator.caller("X26ABC2")
    assert await first.inbox() == ["SIMPLE_MESSAGE"]
    assert await second.inbox() == ["CHUNKED_MESSAGE_GZ"]
    answer = await first.get("inbox/SIMPLE_MESSAGE")
    assert (answer.status, len(answer.body)) == (200, 662)
    assert answer.mex()["mex-workflowid"] == "TEST_WORKFLOW"
    assert_gone(await first.get("inbox/UNDELIVERED_MESSAGE"), 1)
    assert (await second.track("UNDELIVERED_MESSAGE"))["status"] == "undeliverable"
    text = b""
    for number, status in ((1, 206), (2, 200)):
        headers = {"Accept-Encoding": "gzip"}
        answer = await second.get(f"inbox/CHUNKED_MESSAGE_GZ/{number}", headers=headers)
        assert (answer.status, answer.headers["Content-Encoding"]) == (status, "gzip")
        text += gzip.decompress(answer.body)
    assert text.startswith(b"The first half")
    assert text.endswith(b"the second.\n")
    tracked = await first.track("CHUNKED_MESSAGE_GZ", version=1)
    assert (tracked["status"], tracked["chunkCount"]) == ("Accepted", 2)


async def test_canned_messages_for_nobody(make_simulator: MakeSimulator, tmp_path: Path) -> None:
    """Where their mailboxes do not take part there are no canned messages."""
    mailboxes = tmp_path / "mailboxes.jsonl"
    mailboxes.write_text('{"mailbox_id": "X26ABC1", "mailbox_name": "ONE", "password": "password"}\n')
    simulator = await make_simulator(store_mode="canned", mailboxes=mailboxes)
    assert await simulator.caller().inbox() == []


@pytest.mark.parametrize("query", ["", "?everything=true"])
async def test_a_reset_puts_the_canned_messages_there_again(
    make_simulator: MakeSimulator, query: str
) -> None:
    """After a reset the three are as at the start, sent just now; with everything reset, in real time."""
    simulator = await make_simulator(store_mode="canned")
    await control(simulator.url, "POST", "/admin/clock", {"advance": "40d"})
    assert "SIMPLE_MESSAGE" not in await simulator.caller().inbox()
    assert (await control(simulator.url, "DELETE", f"/admin/reset{query}")).status == 200
    assert await simulator.caller().inbox() == ["SIMPLE_MESSAGE"]
    messages = (await control(simulator.url, "GET", "/admin/messages")).json()["messages"]
    assert len(messages) == 3
    now = simulator.clock.now()
    assert all(now - datetime.fromisoformat(each["created_at"]) < timedelta(minutes=1) for each in messages)
    assert all(datetime.fromisoformat(each["created_at"]) <= now for each in messages)
