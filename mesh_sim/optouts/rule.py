"""The synthetic rule as it was changed since the start, for every process and over restarts."""

from __future__ import annotations

import json

from mesh_sim.optouts.register import OptOutRegister
from mesh_sim.optouts.snapshot import SyntheticRule
from mesh_sim.shared import Documents


class SharedRule:
    """Changes which numbers without a choice count as opted out; as a document, the rate and the seed."""

    name = "synthetic opt-outs"

    def __init__(self, register: OptOutRegister, documents: Documents) -> None:
        self._register = register
        self._documents = documents
        self._given = register.synthetic

    def follow(self, content: str) -> None:
        """Take over a rule; an empty document stands for that of the settings."""
        self._register.synthetic = SyntheticRule(**json.loads(content)) if content else self._given

    async def set(self, rule: SyntheticRule) -> None:
        """Have another rule from now on."""
        await self._keep(json.dumps({"rate": rule.rate, "seed": rule.seed}))

    async def restore(self) -> None:
        """Return to the rule of the settings."""
        await self._keep("")

    async def _keep(self, content: str) -> None:
        self.follow((await self._documents.change(self.name, lambda _: content)).content)
        self._register.changed()
