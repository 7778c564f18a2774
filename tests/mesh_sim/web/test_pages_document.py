"""What docs/pages.md says: its commands run as they stand, and the pages have what it names."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Final

import pytest
from pages import visiting
from support import Simulator

from mesh_sim.web.page import NAVIGATION

ROOT: Final = Path(__file__).parents[3]
PAGE: Final = (ROOT / "docs" / "pages.md").read_text("utf-8")

pytestmark = pytest.mark.skipif(
    not shutil.which("curl") or not shutil.which("openssl"), reason="needs curl and openssl"
)


def _block(containing: str) -> str:
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (block,) = (block for block in blocks if containing in block)
    return str(block)


async def _run(folder: Path, script: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    process = await asyncio.create_subprocess_exec(
        "bash", "-euo", "pipefail", "-c", script,
        cwd=folder, env=os.environ | {"PATH": path},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err.decode()
    return out.decode()


async def test_the_refused_request_is_explained(simulator: Simulator, tmp_path: Path) -> None:
    """Who sends the example's request, with a wrong shared key, finds on the overview why it was refused."""
    script = _block("NotTheKey").replace("http://127.0.0.1:8700", simulator.url)
    assert "errorDescription" in await _run(tmp_path, script)
    async with visiting(simulator.url) as visitor:
        overview = await visitor.get("/")
    assert "403 Forbidden" in overview.text
    assert "The hash does not match" in overview.text
    assert "Compare the client's password and shared key" in overview.text


async def test_the_browser_s_certificate_is_made(tmp_path: Path) -> None:
    """The example makes a file that holds a client's certificate and its key."""
    await _run(tmp_path, _block("pkcs12"))
    shown = await _run(tmp_path, "openssl pkcs12 -in X26ABC1.p12 -passin pass:rehearsal -nodes")
    assert "BEGIN CERTIFICATE" in shown
    assert "PRIVATE KEY" in shown


def test_every_page_is_described() -> None:
    """Each page that the navigation leads to stands in the table, by its name and its address."""
    for address, name in NAVIGATION:
        assert f"| {name}, `{address}` |" in PAGE, name


@pytest.mark.parametrize("document", ["README.md", "docs/pages.md"])
def test_every_picture_is_there_and_small(document: str) -> None:
    """Pictures of pages that a document shows exist, have a text in their place, and are quickly loaded."""
    text = (ROOT / document).read_text("utf-8")
    pictures = re.findall(r"!\[[^]]+\]\((\S*images/pages/\S+)\)", text)
    pictures += re.findall(r'<img src="(\S*images/pages/\S+)"[^>]* alt="[^"]+"', text)
    assert len(pictures) == 3
    assert len(pictures) == text.count("images/pages/")
    for source in pictures:
        assert 0 < (ROOT / document).parent.joinpath(source).stat().st_size < 150_000, source
