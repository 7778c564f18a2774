"""Desks for the tests of the ``ndoo`` command."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from desks import Desk
from practices import HERE, SERVICE, Relay, Staged, World, make_world, relay_to
from support import MakeSimulator, Simulator


@pytest.fixture(autouse=True)
def _own_settings_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Settings of the person who runs the tests do not reach them."""
    for name in list(os.environ):
        if name.startswith("NDOO_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder to work in."""
    path = tmp_path / "desk"
    path.mkdir()
    return path


@pytest.fixture
def desk(folder: Path) -> Desk:
    """A desk without a server."""
    return Desk(folder)


@pytest.fixture
def connected(folder: Path, simulator: Simulator) -> Desk:
    """A desk at a simulator of its own."""
    return Desk(folder, simulator.url)


@pytest.fixture
def shared_desk(folder: Path, standing_url: str) -> Desk:
    """A desk at the session's simulator, in whose mailboxes others leave messages too."""
    return Desk(folder, standing_url)


@pytest.fixture
def practice(tmp_path: Path) -> Path:
    """A folder for the practice's files."""
    folder = tmp_path / "practice"
    folder.mkdir()
    return folder


@pytest.fixture
async def world(simulator: Simulator, practice: Path) -> AsyncIterator[World]:
    """A practice, and a service that answers at once."""
    async with AsyncExitStack() as stack:
        yield await make_world(simulator, practice, stack)


@pytest.fixture
async def staged(make_simulator: MakeSimulator, practice: Path, tmp_path: Path) -> AsyncIterator[Staged]:
    """A service mailbox that no worker looks into."""
    workflows = tmp_path / "workflows.jsonl"
    workflows.write_text("")  # no workflow is restricted, so that a mailbox may answer
    simulator = await make_simulator(ndoo_mailbox="X26ABC3", workflows=workflows)
    async with AsyncExitStack() as stack:
        world = await make_world(simulator, practice, stack)
        yield Staged(world, await world.open(SERVICE))


@pytest.fixture
async def relay(world: World) -> AsyncIterator[Relay]:
    """A relay that the world's mailbox is reached through."""
    async with relay_to(world.simulator.url) as relay:
        world.mailbox = await world.open(HERE, relay.url)
        yield relay
