"""No name that comes over the network becomes a path, on either side."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from support import Simulator
from typer.testing import CliRunner

from ndoo.cli import app
from ndoo.journal import Journal

NAMES = [
    "../../outside",
    "/etc/outside",
    "..",
    ".",
    "a/b",
    "a\\b",
    "C:outside",
    ".bashrc",
    "-rf",
    "%2e%2e%2foutside",
    "..%00outside",
    "ndoo.toml",
    "mesh-sim.toml",
    "outside.sh",
    "outside.dat/",
    "ou\xa0tside",
    "x" * 300,
    "",
]


def names_below(folder: Path) -> set[str]:
    """Name every file and folder, however deep."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


async def test_no_name_reaches_the_server_s_folder(simulator: Simulator, tmp_path: Path) -> None:
    """Whatever a sender calls a large body, it is kept under a random name."""
    caller = simulator.caller()
    for name in NAMES:
        headers = {"Mex-FileName": name, "Mex-LocalID": name, "Mex-Subject": name}
        assert (await caller.send(b"x" * 100_000, headers=headers)).status in {202, 400}
    bodies = names_below(tmp_path / "data-0" / "payloads")
    assert len(bodies) > len(NAMES)
    assert all(re.fullmatch(r"incoming|[0-9a-f]{2}|([0-9a-f]{2})/\1[0-9a-f]{30}", name) for name in bodies)
    assert {name.partition("/")[0] for name in names_below(tmp_path)} == {"data-0"}


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST"])
async def test_no_id_in_a_path_leads_anywhere(simulator: Simulator, tmp_path: Path, method: str) -> None:
    """A message or mailbox id made of dots, slashes and zeros is refused, and names no file."""
    caller = simulator.caller()
    before = names_below(tmp_path)
    for written in ("..%2F..%2Fmesh-sim.db", "%2Fetc%2Fpasswd", "..%5C..", "%00", "....%2F%2F", "~"):
        for path in (f"inbox/{written}", f"inbox/{written}/1", f"outbox/{written}/2", f"../{written}"):
            answer = await caller.request(method, path, body=b"x" if method == "POST" else None)
            assert 400 <= answer.status < 500, (path, answer.status)
            assert b"root:" not in answer.body
    assert names_below(tmp_path) == before


async def test_a_sender_s_name_stays_in_the_reader_s_folder(simulator: Simulator, tmp_path: Path) -> None:
    """Saved without a name of one's own, a body is a data file here: never elsewhere, hidden, or settings."""
    folder = tmp_path / "outer" / "here"
    folder.mkdir(parents=True)
    sent = [
        message_id
        for name in NAMES
        if (answer := await simulator.caller().send(b"body", headers={"Mex-FileName": name})).status == 202
        for message_id in [answer.json()["message_id" if "message_id" in answer.json() else "messageID"]]
    ]
    assert len(sent) > 10
    variables = {"NDOO_URL": simulator.url, "NDOO_MAILBOX": "X26ABC2", "NDOO_DATA": str(tmp_path / "journal")}

    def read_all() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            for message_id in sent:
                ran = CliRunner().invoke(app, ["mailbox", "read", message_id], env=variables)
                assert ran.exit_code == 0, ran.output

    await asyncio.to_thread(read_all)
    assert names_below(tmp_path / "outer") - {"here"} == {f"here/{message_id}.dat" for message_id in sent}


def test_an_answer_that_is_kept_aside_stays_in_the_journal(tmp_path: Path) -> None:
    """The file of a refused answer is named after a message id, of which only harmless characters stay."""
    journal = Journal(tmp_path / "journal.db")
    for name in NAMES:
        kept = journal.refused("X26ABC1-241126-0001", name)
        assert kept.parent == journal.folder
        assert re.fullmatch(r"[A-Za-z0-9_.-]*", kept.name)
