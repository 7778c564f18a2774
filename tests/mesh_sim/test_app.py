"""Starting and stopping: what one process leaves, the next one puts in order."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from support import Caller

from mesh_sim.app import Server, running
from mesh_sim.clock import real_now
from mesh_sim.config import Settings, SettingsError
from mesh_sim.core import Core, open_core
from mesh_sim.exchange.drafts import Draft
from mesh_sim.exchange.messages import Metadata
from mesh_sim.storage.submissions import SqlSubmissions
from ndoo.protocol import WORKFLOW_CHECK

RECORD = b"9990000018,\n"


def _settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data", port=0, opt_out_rate=0.0)


def _submission(core: Core) -> Draft:
    return Draft(
        message_id=core.exchange.new_message_id(),
        recipient="X26HC065",
        workflow_id=WORKFLOW_CHECK,
        metadata=Metadata(subject="s", local_id="one"),
    )


async def _blocks(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _inbox_of(server: Server, mailbox_id: str) -> list[str]:
    async with Caller(server.url, mailbox_id) as caller:
        return await caller.inbox()


async def test_a_claim_of_a_killed_process_does_not_delay_the_answer(tmp_path: Path) -> None:
    """A claim whose owner is gone is free for the next process at once, not when its lease lapses."""
    settings = _settings(tmp_path)
    async with open_core(settings) as core:  # no worker runs here
        sender = core.exchange.directory.mailbox("X26ABC1")
        assert sender is not None
        await core.exchange.send(sender, _submission(core), _blocks(RECORD))
        real = real_now()
        claims = await SqlSubmissions(core.database).claim(
            "X26HC065", "killed", limit=1, now=core.clock.now(), real=real, until=real + timedelta(days=1)
        )
        assert len(claims) == 1
    async with running(settings) as server:
        while len(await _inbox_of(server, "X26ABC1")) < 2:
            await server.exchange.arrivals.wait("X26ABC1", 10)


async def test_who_comes_second_to_a_folder_sweeps_nothing(tmp_path: Path) -> None:
    """A body that has no row yet is another process's work, unless nobody else is there."""
    settings = _settings(tmp_path)
    async with open_core(settings) as first:
        body, _ = await first.payloads.write(_blocks(b"not yet named"))
        async with open_core(settings) as second:
            assert await second.payloads.keys() == [body.key]
    async with open_core(settings) as alone:
        assert await alone.payloads.keys() == []


async def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """A file where the data folder belongs stops the start with what to do."""
    (tmp_path / "data").write_text("in the way")
    with pytest.raises(SettingsError, match="set MESH_SIM_DATA"):
        async with open_core(_settings(tmp_path)):
            pass


@pytest.mark.parametrize("name", ["mesh-sim.db", "tokens.db"])
async def test_a_damaged_database_is_named(tmp_path: Path, name: str) -> None:
    """A file that is no database stops the start with its name and what to do."""
    settings = _settings(tmp_path)
    settings.data.mkdir()
    (settings.data / name).write_bytes(b"this is no database, but long enough to look at" * 100)
    with pytest.raises(SettingsError, match=f"{name} cannot be used"):
        async with running(settings):
            pass


async def test_a_token_waits_for_another_process_without_holding_up_the_rest(tmp_path: Path) -> None:
    """While somebody else writes to the tokens, an authorised request waits and others go on."""
    settings = _settings(tmp_path)
    async with running(settings) as server, Caller(server.url, "X26ABC1") as caller:
        other = sqlite3.connect(settings.data / "tokens.db", isolation_level=None)
        with closing(other):
            other.execute("BEGIN IMMEDIATE")
            waiting = asyncio.create_task(caller.get("count"))
            assert (await caller.get("/health", authorization=None)).status == 200
            assert not waiting.done()
            other.execute("ROLLBACK")
        assert (await waiting).status == 200
