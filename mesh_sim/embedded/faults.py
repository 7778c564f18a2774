"""A fault that a test injects, in the test's hands."""

from __future__ import annotations

from typing import Self

from mesh_sim.app import Server
from mesh_sim.embedded.host import Host
from mesh_sim.embedded.keywords import FaultOptions
from mesh_sim.faults import Counted, FaultRule


def action_of(options: FaultOptions, *, reset: bool) -> str | None:
    """Give the action that is meant where it is not named; None if nothing tells.

    Raises:
        ValueError: several are meant.
    """
    meant = {"status": "status" in options, "delay": "delay" in options, "reset": reset}
    named = [action for action, is_meant in meant.items() if is_meant]
    if "action" in options:
        named.append(options["action"])
    if len(set(named)) > 1:
        raise ValueError(f"one fault does one thing, not {' and '.join(named)}; inject two")
    return named[0] if named else None


class Fault:
    """A rule in force until it is removed, or until its ``with`` block ends."""

    def __init__(self, host: Host, rule: FaultRule) -> None:
        self._host = host
        self._counted = Counted(rule, calls=0, hits=0)

    @property
    def rule(self) -> FaultRule:
        """The rule itself."""
        return self._counted.rule

    @property
    def hits(self) -> int:
        """How many calls it has acted on; the last count once it is removed."""
        return self._look().hits

    @property
    def calls(self) -> int:
        """How many calls it was for, whether or not it acted on them."""
        return self._look().calls

    def remove(self) -> None:
        """Take it out of force; if it is not, or the simulator was stopped, nothing happens."""
        if not self._host.alive:
            return

        async def remove(server: Server) -> Counted | None:
            return server.faults.remove(self.rule.id)

        self._counted = self._host.run(remove) or self._counted

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def __repr__(self) -> str:
        return f"<Fault {self.rule}>"

    def _look(self) -> Counted:
        async def look(server: Server) -> Counted | None:
            of_all = server.faults.counted()
            return next((counted for counted in of_all if counted.rule.id == self.rule.id), None)

        self._counted = self._host.run(look) or self._counted
        return self._counted
