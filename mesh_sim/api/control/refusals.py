"""What the control API refuses, and the one shape in which it says so.

``{"error": "what is wrong, and what is allowed", "problems": [{"field": "…", "problem": "…"}]}``

A value that was given is never echoed: it may be a password or an NHS number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from mesh_sim.wishes.base import Problem


class ControlRefused(Exception):
    """A control request that is not carried out; nothing of it was."""

    def __init__(self, status: int, error: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.problems = problems

    @classmethod
    def invalid(cls, problems: Iterable[Problem]) -> ControlRefused:
        """Refuse fields whose values are not allowed: 400."""
        found = list(problems)
        return cls(400, "; ".join(map(str, found)), found)

    @classmethod
    def field(cls, field: str, problem: str) -> ControlRefused:
        """Refuse one field: 400."""
        return cls.invalid([Problem(field, problem)])

    def body(self) -> dict[str, Any]:
        """The answer's JSON body."""
        listed = [{"field": problem.field, "problem": problem.problem} for problem in self.problems]
        return {"error": self.error, "problems": listed}
