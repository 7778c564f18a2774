"""NHS's npm package in a rehearsal, by the steps of docs/witness.md that a pipeline takes."""

from __future__ import annotations

import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

from programs import bash, blocks, environment_of

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "witness.md").read_text("utf-8")


def test_the_package_passes_every_required_case(tmp_path: Path, modules: Path, unused_tcp_port: int) -> None:
    """The page's script succeeds, and its JUnit report has every case, the optional ones skipped."""
    (script,) = (block for block in blocks(PAGE, "sh") if "node client.mjs" in block)
    (tmp_path / "node_modules").symlink_to(modules)
    shutil.copy(ROOT / "examples" / "witness" / "client.mjs", tmp_path)
    environment = environment_of(MESH_SIM_PORT=str(unused_tcp_port))
    # What it starts in the background ends with it.
    done = bash(f"trap 'kill $(jobs -p); wait' EXIT\n{script}", tmp_path, environment)
    assert done.returncode == 0, done.stdout + done.stderr
    cases = ET.parse(tmp_path / "witness.xml").getroot().findall(".//testcase")
    skipped = [case.attrib["name"][:3] for case in cases if case.find("skipped") is not None]
    assert skipped == ["202", "402", "501", "502"]
    assert [case for case in cases if case.find("failure") is not None] == []
    assert len(cases) > 20
