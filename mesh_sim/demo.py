"""The demonstration: one real check end to end over mutual TLS, with nothing set up beforehand.

The server runs in this process; the client is the `ndoo` command in a process of its own, as a practice
would run it, and everything shown comes from what it answers.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from mesh_sim.app import Server, running
from mesh_sim.certs import CertificateFolder, make_certificates
from mesh_sim.clock import real_now
from mesh_sim.config import load_settings
from mesh_sim.participants import load_directory

PRACTICE: Final = "X99GP001"


@dataclass(frozen=True, slots=True)
class Run:
    """One `ndoo check`: what it was asked for and what it answered."""

    title: str
    output: Path
    answer: dict[str, Any]


class DemoFailed(Exception):
    """A command of the demonstration did not succeed."""


def run_demo(out: Path) -> int:
    """Run the demonstration, writing what comes back to the folder ``out``; give the exit code."""
    console = Console()
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="mesh-sim-demo-") as folder:
        try:
            asyncio.run(_demo(console, Path(folder), out))
        except DemoFailed as error:
            console.print(f"[red]The demonstration failed:[/red] {error}", highlight=False)
            return 1
    return 0


async def _demo(console: Console, folder: Path, out: Path) -> None:
    began = time.monotonic()
    settings = load_settings(
        host="127.0.0.1", port=0, data=folder / "data", certs=folder / "certs", tls="mutual"
    )
    mailboxes = [(box.mailbox_id, box.ods_code) for box in load_directory(settings).mailboxes]
    certificates = make_certificates(settings.certs, mailboxes, now=real_now())
    source = _example()
    async with running(settings) as server:
        console.print(
            f"mesh-sim is serving at {server.url}; client certificates are demanded", soft_wrap=True
        )
        environment = _environment(server, certificates, folder)
        runs = [
            await _check(console, environment, "cleaned list", source, out / "patients-cleaned.csv"),
            await _check(console, environment, "temporary cache", source, out / "patients.cache", "--cache"),
        ]
    console.print()
    console.print(_table(source, runs))
    console.print(f"One real check, twice, in {time.monotonic() - began:.1f} s. Nobody in it exists.")


def _example() -> Path:
    """Find the example list: beside this module in an installed wheel, in examples/ in a checkout."""
    installed = Path(str(resources.files("mesh_sim"))) / "builtin" / "patients.csv"
    return installed if installed.exists() else installed.parents[2] / "examples" / "patients.csv"


def _environment(server: Server, certificates: CertificateFolder, folder: Path) -> dict[str, str]:
    mailbox = server.exchange.directory.mailbox(PRACTICE)
    if mailbox is None:
        raise DemoFailed(f"the demonstration sends from {PRACTICE}, which is not among the mailboxes")
    certificate, key = certificates.client(PRACTICE)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("NDOO_")}
    return inherited | {
        "NDOO_URL": server.url,
        "NDOO_MAILBOX": PRACTICE,
        "NDOO_PASSWORD": mailbox.password,
        "NDOO_SHARED_KEY": server.core.settings.shared_key.get_secret_value(),
        "NDOO_SERVICE_MAILBOX": server.core.settings.ndoo_mailbox,
        "NDOO_CA": str(certificates.ca),
        "NDOO_CERT": str(certificate),
        "NDOO_KEY": str(key),
        "NDOO_DATA": str(folder / "ndoo"),
    }


async def _check(
    console: Console, environment: dict[str, str], title: str, source: Path, output: Path, *options: str
) -> Run:
    command = ["check", str(source), "-o", str(output), "--force", "--timeout", "60s", *options]
    console.print(f"[bold]$ ndoo {shlex.join(command)}[/bold]", highlight=False, soft_wrap=True)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ndoo", *command, "--json",
        env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    printed, complaint = await process.communicate()
    if process.returncode != 0:
        raise DemoFailed(complaint.decode().strip() or f"ndoo ended with {process.returncode}")
    return Run(title, output, json.loads(printed))


def _table(source: Path, runs: list[Run]) -> Table:
    table = Table(title=f"National data opt-outs: {source.name}", title_style="bold")
    table.add_column("")
    for run in runs:
        table.add_column(run.title, justify="right")
    for count in ("submitted", "removed", "kept", "duplicates", "blank"):
        table.add_row(count, *(f"{run.answer[count]:,}" for run in runs))
    table.add_row("file", *(str(run.output) for run in runs))
    table.add_row("expires", *(_expiry(run.answer["cache_expires"]) for run in runs))
    return table


def _expiry(at: str | None) -> str:
    return f"{datetime.fromisoformat(at):%Y-%m-%d %H:%M} UTC" if at else "-"
