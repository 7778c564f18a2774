"""Files are their owner's alone, however open the process's mask leaves what it makes."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import MakeSimulator
from typer.testing import CliRunner

from mesh_sim.certs import CertificateFolder
from mesh_sim.config import Settings, Tls
from mesh_sim.population import write_population
from mesh_sim.server_tls import server_tls
from ndoo._lock import hold_mailbox
from ndoo.cli import app
from ndoo.lists import format_records, generate
from ndoo.output import write_output

pytestmark = pytest.mark.usefixtures("_open_mask")


@pytest.fixture
def _open_mask() -> Iterator[None]:
    """Take nothing away from the modes that a program asks for."""
    before = os.umask(0)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> dict[str, str]:
    """Give the mode of everything in a folder, and of itself, that others may read or write."""
    paths = [folder, *folder.rglob("*")]
    modes = {str(path.relative_to(folder)): path.lstat().st_mode & 0o777 for path in paths}
    return {name: oct(mode) for name, mode in modes.items() if mode & 0o077}


async def test_all_that_the_server_keeps_is_its_owner_s(
    make_simulator: MakeSimulator, tmp_path: Path
) -> None:
    """Data folder, databases, their side files and bodies can be read by nobody else, at work and at rest."""
    data = tmp_path / "data"
    simulator = await make_simulator(data=data)
    caller = simulator.caller()
    await caller.sent(b"small")
    await caller.sent(b"large" * 100_000)
    kept = {path.name for path in data.rglob("*")}
    assert {"mesh-sim.db", "mesh-sim.db-wal", "journal.db", "tokens.db", "in-use.lock"} <= kept
    for _ in range(2):
        assert data.stat().st_mode & 0o777 == 0o700
        assert [name for name in open_to_others(data) if (data / name).is_file()] == []
        await simulator.stop()


def test_of_certificates_only_what_is_public_can_be_read(tmp_path: Path) -> None:
    """In a folder of certificates keys are private; beside a pair of one's own nobody else writes."""
    pair = {"tls_cert": tmp_path / "mine" / "server.pem", "tls_key": tmp_path / "mine" / "server.key"}
    settings = Settings(certs=tmp_path / "certs", tls=Tls.MUTUAL, make_certs=True, **pair)
    server_tls(settings)
    certs = CertificateFolder(settings.certs)
    assert {Path(name).suffix for name in open_to_others(certs.path)} == {".crt"}
    assert open_to_others(tmp_path / "mine") == {".": "0o755", "server.pem": "0o644"}


async def test_all_that_the_client_keeps_is_its_owner_s(
    make_simulator: MakeSimulator, tmp_path: Path
) -> None:
    """The journal, its lists, answers, caches and logs of a client can be read by nobody else."""
    simulator = await make_simulator()
    folder = tmp_path / "practice"
    folder.mkdir(mode=0o700)
    source = tmp_path / "list.dat"
    source.write_bytes(format_records(next(generate(20, seed=3))))
    variables = {"NDOO_URL": simulator.url, "NDOO_DATA": str(folder / "journal")}
    commands = (
        ("--log", str(folder / "ndoo.log"), "check", str(source), "-o", str(folder / "answer.dat")),
        ("cache", "refresh", str(source), "-o", str(folder / "temporary.cache")),
        ("submit", str(source), "-o", str(folder / "later.dat")),
    )
    for words in commands:
        ran = await asyncio.to_thread(CliRunner().invoke, app, [*words, "--quiet"], env=variables)
        assert ran.exit_code == 0, ran.output
    names = {path.name for path in folder.rglob("*")}
    assert {"ndoo.log", "answer.dat", "temporary.cache", "journal.db", "journal-lists"} <= names
    assert [path.name for path in folder.rglob("*.dat") if path.parent.name == "journal-lists"] != []
    assert open_to_others(folder) == {}


def test_files_made_in_passing_are_private(tmp_path: Path) -> None:
    """Synthetic lists, temporary files and the sign on a mailbox's lock can be read by nobody else."""
    folder = tmp_path / "here"
    folder.mkdir(mode=0o700)
    write_population(folder / "practice.dat", 10, 1)
    with write_output(folder / "out.csv"), hold_mailbox(folder, "X26ABC1", "ndoo check"):
        assert len(list(folder.iterdir())) == 4
        assert open_to_others(folder) == {}


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_link_that_waits_for_a_file_is_not_followed(tmp_path: Path) -> None:
    """Where somebody planted links, outputs, keys and the lock's sign leave what they lead to alone."""
    theirs = tmp_path / "theirs"
    theirs.write_text("kept")
    here = tmp_path / "here"
    here.mkdir()
    for name in ("out.csv", f"X26ABC1.{os.getpid()}", "X26ABC1.holder", "server.key", "server.crt"):
        (here / name).symlink_to(theirs)
    with write_output(here / "out.csv", force=True) as out:
        out.write(b"ours")
    with hold_mailbox(here, "X26ABC1", "ndoo check"):
        pass
    server_tls(Settings(certs=here, tls=Tls.ON, make_certs=True))
    assert theirs.read_text() == "kept"
    assert (here / "out.csv").read_text() == "ours"
