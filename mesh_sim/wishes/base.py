"""The base of all wishes, and what is wrong with one in this project's words."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from mesh_sim.durations import format_duration


class Wish(BaseModel):
    """Something asked for; fields that do not exist are refused."""

    # What was given may be a password, and a refusal may end up in a log.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where it stands (``messages[2].count``), and what is allowed."""

    field: str
    problem: str

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}" if self.field else self.problem


def header_safe(text: str) -> str:
    """Give text that is to travel as a header's value; for use as a validator.

    Raises:
        ValueError: a header cannot hold it.
    """
    if not all(char == "\t" or "\x20" <= char <= "\x7e" or "\xa0" <= char <= "\xff" for char in text):
        raise ValueError("becomes a header, so it may hold no line breaks and only Latin-1 characters")
    return text


MOST_PROBLEMS: Final = 20
"""How many of the things that are wrong are said: a body may hold a hundred thousand."""

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
    "datetime_from_date_parsing": "must be a time with its zone, such as 2026-11-22T10:00:00Z",
    "datetime_parsing": "must be a time with its zone, such as 2026-11-22T10:00:00Z",
    "timezone_aware": "must be a time with its zone, such as 2026-11-22T10:00:00Z",
}
"""Pydantic's kinds of findings in this API's words."""


def problems_of(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Put pydantic's findings into this API's words, the first of them."""
    found = error.errors(include_url=False, include_input=False)
    problems = [_problem(dict(item), model) for item in found[:MOST_PROBLEMS]]
    if left := len(found) - len(problems):
        problems.append(Problem("", f"{left} more are wrong"))
    return problems


def _problem(item: dict[str, Any], model: type[BaseModel]) -> Problem:
    field = _key(item["loc"])
    if item["type"] == "extra_forbidden":
        known = _fields(model, item["loc"][:-1])
        return Problem(field, f"there is no such field; {nearest(str(item['loc'][-1]), known)}")
    return Problem(field, in_words(item))


def nearest(name: str, known: Sequence[str]) -> str:
    """Say which known name was meant, or which there are."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"


def in_words(item: Mapping[str, Any]) -> str:
    """Put one of pydantic's findings into this project's words."""
    if said := _SAID.get(item["type"]):
        allowed = {name: _written(value) for name, value in item.get("ctx", {}).items()}
        return said.format(**allowed)
    text = str(item["msg"]).removeprefix("Value error, ")
    return text if text[:2].isupper() else text[:1].lower() + text[1:]


def _key(path: Sequence[str | int]) -> str:
    """Write where a value stands: ``messages[2].count``."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return "".join(parts).removeprefix(".")


def _fields(model: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    """List what may stand at a place, by the names people write."""
    for part in path:
        if isinstance(part, str):
            found = [field for name, field in model.model_fields.items() if part in (name, field.alias)]
            model = _model_in(found[0].annotation)
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel]:
    """Find the model in ``Model``, ``list[Model]`` or ``Model | None``."""
    candidates = [annotation, *get_args(annotation)]
    return next(kind for kind in candidates if isinstance(kind, type) and issubclass(kind, BaseModel))


def _written(value: object) -> str:
    return format_duration(value) if isinstance(value, timedelta) else str(value)
