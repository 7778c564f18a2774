"""Beginning again: the simulator as it was when it was first started, without starting it."""

from __future__ import annotations

import asyncio

from mesh_sim.conductor.conductor import Conductor
from mesh_sim.config import StoreMode
from mesh_sim.core import Core
from mesh_sim.exchange.directory import Directory
from mesh_sim.faults import Faults
from mesh_sim.participants import load_directory
from mesh_sim.scenario import Scenario, load_scenario, refuse_unknown_operations
from mesh_sim.store_modes import put_canned_messages
from mesh_sim.witness.journal import Journal


class FreshStart:
    """Resets one simulator, the messages alone or everything there is."""

    def __init__(self, core: Core, faults: Faults, journal: Journal, conductor: Conductor) -> None:
        self._core = core
        self._faults = faults
        self._journal = journal
        self._conductor = conductor

    async def set_up(self) -> None:
        """Set up what the settings say there is at the start.

        Raises:
            SettingsError: the scenario has a fault for an operation that does not exist.
            StorageFailed: it could not be kept.
        """
        if self._core.stage is not None:
            await self._core.stage.set_up(self._faults)
        await self._put_canned()

    async def messages(self) -> None:
        """Forget every message, and have mailboxes and workflows be what their files say now.

        Raises:
            SettingsError: a file cannot be used; nothing was reset.
            StorageFailed: it could not be kept.
        """
        directory, scenario = await self._read_files()
        async with self._conductor.interrupted():
            await self._forget_messages(directory, scenario)
            await self._put_canned()

    async def everything(self) -> None:
        """Forget choices, faults, journal and rehearsals too, return to real time, set the scenario up again.

        Raises:
            SettingsError: a file cannot be used; nothing was reset.
            StorageFailed: it could not be kept.
        """
        core = self._core
        directory, scenario = await self._read_files()
        async with self._conductor.interrupted(forget=True):
            self._faults.clear()
            await core.register.clear()
            await core.rule.restore()
            await self._forget_messages(directory, scenario)
            await core.time.reset()
            await self._journal.clear()
            if core.stage is not None:
                await core.stage.forget()
            await self.set_up()

    async def _read_files(self) -> tuple[Directory, Scenario | None]:
        settings = self._core.settings

        def read() -> tuple[Directory, Scenario | None]:
            directory = load_directory(settings)
            if settings.scenario is None:
                return directory, None
            return directory, load_scenario(settings.scenario, directory, settings.nhs_number_rule)

        directory, scenario = await asyncio.to_thread(read)
        if scenario is not None:
            refuse_unknown_operations(scenario, self._faults)
        return directory, scenario

    async def _forget_messages(self, directory: Directory, scenario: Scenario | None) -> None:
        core = self._core
        if core.stage is not None and scenario is not None:
            core.stage.scenario = scenario
        core.mailboxes.give(directory.mailboxes, directory.workflows)
        await core.mailboxes.restore()
        await core.desk.reset()

    async def _put_canned(self) -> None:
        if self._core.settings.store_mode is StoreMode.CANNED:
            await put_canned_messages(self._core.desk, self._core.exchange)
