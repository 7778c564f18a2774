"""What the control API refuses, and the one shape in which it says so.

``{"error": "what is wrong, and what is allowed", "problems": [{"field": "…", "problem": "…"}]}``

A value that was given is never echoed: it may be a password or an NHS number.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from mesh_sim.durations import format_duration


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: the field's name (dotted, for nested ones), and what is allowed."""

    field: str
    problem: str

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}" if self.field else self.problem


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


_SAID: Final = {
    "missing": "is needed",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "greater_than": "must be more than {gt}",
    "less_than": "must be less than {lt}",
    "enum": "must be {expected}",
    "literal_error": "must be {expected}",
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must have at least {min_length} characters",
    "too_long": "must have at most {max_length} items",
    "too_short": "must have at least {min_length} items",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": "must be text",
}
"""Pydantic's kinds of findings in this API's words."""


def problems_of(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Put pydantic's findings into this API's words."""
    known = [field.alias or name for name, field in model.model_fields.items()]
    return [_problem(dict(item), known) for item in error.errors(include_url=False, include_input=False)]


def _problem(item: dict[str, Any], known: list[str]) -> Problem:
    field = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden" and len(item["loc"]) == 1:
        near = difflib.get_close_matches(field, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
        return Problem(field, f"there is no such field; {hint}")
    if said := _SAID.get(item["type"]):
        allowed = {name: _written(value) for name, value in item.get("ctx", {}).items()}
        return Problem(field, said.format(**allowed))
    text = str(item["msg"]).removeprefix("Value error, ")
    return Problem(field, text[:1].lower() + text[1:])


def _written(value: object) -> str:
    return format_duration(value) if isinstance(value, timedelta) else str(value)
