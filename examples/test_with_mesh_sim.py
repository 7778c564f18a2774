"""Tests of a MESH client with nothing but the fixture ``mesh_sim``. Yours takes the place of ``ndoo``."""

import os
import subprocess
import sys


def test_people_who_opted_out_are_removed(mesh_sim, tmp_path):
    """Of two people one has opted out, and the other is in the answer."""
    mesh_sim.opt_out("999 000 0018")
    (tmp_path / "patients.txt").write_text("999 000 0018\n999 000 0026\n")
    command = [sys.executable, "-m", "ndoo", "check", "patients.txt", "-o", "cleaned.txt"]
    subprocess.run(command, cwd=tmp_path, env=os.environ | mesh_sim.environment(), check=True)
    assert (tmp_path / "cleaned.txt").read_text() == "999 000 0026\n"


def test_a_message_that_nobody_collects_comes_back_as_a_report(mesh_sim):
    """Five days after its delivery the sender is told, and it is gone."""
    mesh_sim.put("X26ABC2", local_id="letter-1", sender="X26ABC1")
    mesh_sim.advance(days=5)
    assert mesh_sim.wait_for("X26ABC1", message_type="REPORT").local_id == "letter-1"
    assert not mesh_sim.messages("X26ABC2", status="accepted")
