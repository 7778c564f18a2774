"""``ndoo mailbox`` in scripts: the whole inbox at once, and one handshake a day."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from desks import Desk

from mesh_sim import Simulator
from ndoo.cli.boundary import ExitCode


@pytest.fixture
def sim() -> Iterator[Simulator]:
    """A simulator in a thread of its own, so that commands can run in this process."""
    with Simulator() as started:
        yield started


@pytest.fixture
def supplier(sim: Simulator, folder: Path) -> Desk:
    """A desk at the mailbox X26ABC1."""
    desk = Desk(folder)
    desk.variables |= {"NDOO_URL": sim.url, "NDOO_MAILBOX": "X26ABC1"}
    return desk


def _operations(sim: Simulator) -> list[str]:
    return [entry.operation for entry in sim.journal]


def test_collect_takes_all_but_the_answers_of_the_service(sim: Simulator, supplier: Desk) -> None:
    """Every body is saved under its id and acknowledged, a report is told, and opt-out answers stay."""
    sim.put("X26ABC2", sender="X26ABC1", local_id="weekly-7")
    sim.advance(days=5)
    report = sim.wait_for("X26ABC1", message_type="REPORT")
    (answer,) = sim.put("X26ABC1", sender="X26HC065", workflow_id="SPINE_NTT_UPHOLDING")
    waiting = sim.put("X26ABC1", sender="X26ABC2", count=2, body="hello", file_name="same.txt")
    ran = supplier.run_here("mailbox", "collect", "-o", "inbox")
    assert (ran.code, ran.err) == (0, "")
    told, *saved = ran.out.splitlines()
    assert told.startswith(f"{report.message_id} report: SEND 14 Message not collected")
    assert saved == [f"{message_id} inbox/{message_id}.dat" for message_id in waiting]
    assert [(supplier.folder / "inbox" / f"{each}.dat").read_text() for each in waiting] == ["hello"] * 2
    assert [message.message_id for message in sim.messages("X26ABC1", status="accepted")] == [answer]
    assert _operations(sim) == ["handshake", "list", *["download", "acknowledge"] * 3]


def test_collect_as_json_names_every_message(sim: Simulator, supplier: Desk) -> None:
    """A program gets the headers of what was taken, with where it is; of an empty inbox an empty list."""
    (waiting,) = sim.put("X26ABC1", sender="X26ABC2", local_id="batch-1", workflow_id="TEST_WORKFLOW")
    command = ("mailbox", "collect", "--workflow", "TEST_*", "--json")
    (taken,) = supplier.run_here(*command).json()["messages"]
    assert (taken["message_id"], taken["local_id"], taken["output"]) == (waiting, "batch-1", f"{waiting}.dat")
    assert supplier.run_here(*command).json() == {"messages": []}


def test_what_could_not_be_acknowledged_is_collected_again(sim: Simulator, supplier: Desk) -> None:
    """Nothing leaves the inbox unsaved: a run that is broken off is made good by the next."""
    (waiting,) = sim.put("X26ABC1", sender="X26ABC2", body="hello")
    with sim.fail("acknowledge", status=400):
        stopped = supplier.run_here("mailbox", "collect")
    assert (stopped.code, stopped.out) == (ExitCode.FAILED, "")
    assert supplier.run_here("mailbox", "collect").out == f"{waiting} {waiting}.dat\n"
    assert (supplier.folder / f"{waiting}.dat").read_text() == "hello"


def test_a_handshake_if_due_is_one_a_day(sim: Simulator, supplier: Desk) -> None:
    """Scripts may ask for it each time; whoever asks without that gets one each time."""
    first = supplier.run_here("mailbox", "handshake", "--if-due")
    again = supplier.run_here("mailbox", "handshake", "--if-due", "--json")
    assert (first.code, first.err) == (0, "")
    assert (again.code, again.json()["shook_hands"]) == (0, False)
    assert _operations(sim) == ["handshake"]
    assert supplier.run_here("mailbox", "handshake").code == 0
    assert "no handshake is due" in supplier.run_here("mailbox", "handshake", "--if-due").err
    assert _operations(sim) == ["handshake"] * 2
