"""What the tables of operations are made of, and the few shapes of schema they need."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, TypeAlias

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core.core_schema import TimedeltaSchema

Schema: TypeAlias = dict[str, Any]
"""A schema, or another object of an OpenAPI document."""

JSON: Final = "application/json"
V2: Final = "application/vnd.mesh.v2+json"
ANY_TYPE: Final = "*/*"


class Access(StrEnum):
    """Who may call an operation; the value is the security scheme's name, '' for everybody."""

    OPEN = ""
    MAILBOX = "meshToken"
    CONTROL = "adminToken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One status of an operation: what it means, and a schema for each content type, none for no body."""

    means: str
    content: Mapping[str, Schema] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path.

    Attributes:
        method: in upper case.
        path: as in the route table; its parameters are described by name in ``document``.
        name: the handler's, in words; several paths of one handler are numbered.
        does: what a caller gets of it, in a line.
        parameters: those of the query, and headers.
        body: the request's content types and their schemas.
        body_required: whether there must be one.
        answers: by status.
    """

    method: str
    path: str
    name: str
    does: str
    tag: str
    access: Access
    answers: Mapping[int, Answer]
    parameters: tuple[Schema, ...] = ()
    body: Mapping[str, Schema] = field(default_factory=dict)
    body_required: bool = False


# -- schemas ----------------------------------------------------------------------------------------

TEXT: Final[Schema] = {"type": "string"}
WHOLE: Final[Schema] = {"type": "integer"}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
NUMBER: Final[Schema] = {"type": "number"}
FLAG: Final[Schema] = {"type": "boolean"}
MOMENT: Final[Schema] = {"type": "string", "format": "date-time"}
"""ISO 8601 with its zone."""

DURATION: Final[Schema] = {
    "anyOf": [
        {"type": "string", "pattern": r"^\s*[0-9].*$", "examples": ["5d", "12h", "1h30m"]},
        {"type": "number", "minimum": 0},
    ],
    "description": "weeks, days, hours, minutes and seconds as in 5d, 40m or 1h30m; a bare number is seconds",
}


def ref(name: str) -> Schema:
    """Refer to one of the document's named schemas."""
    return {"$ref": f"#/components/schemas/{name}"}


def choice(*values: str) -> Schema:
    """Describe a text that is one of these."""
    return {"type": "string", "enum": list(values)}


def list_of(items: Schema) -> Schema:
    """Describe a list."""
    return {"type": "array", "items": items}


def or_null(schema: Schema) -> Schema:
    """Describe something that may be null."""
    return {"anyOf": [schema, {"type": "null"}]}


def record(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """Describe an object that has these keys and no others."""
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }


# -- parameters -------------------------------------------------------------------------------------


def query(name: str, means: str, schema: Schema, *, required: bool = False) -> Schema:
    """Describe a query parameter."""
    return {"name": name, "in": "query", "description": means, "required": required, "schema": schema}


def header(name: str, means: str, schema: Schema = TEXT, *, required: bool = False) -> Schema:
    """Describe a request header."""
    return {"name": name, "in": "header", "description": means, "required": required, "schema": schema}


def query_of(model: type[BaseModel], **wire: Schema) -> tuple[Schema, ...]:
    """Describe the query that a model reads; ``wire``: how fields travel that become another type."""
    schema = model_schema(model)
    needed, named = schema.get("required", []), schema.get("$defs", {})
    parameters = []
    for name, described in schema["properties"].items():
        kinds = [kind for kind in described.get("anyOf", [described]) if kind.get("type") != "null"]
        kind = wire.get(name) or named.get(kinds[0].get("$ref", "").rpartition("/")[2], kinds[0])
        kind = {key: value for key, value in kind.items() if key != "description"}  # that of an enumeration
        parameters.append(query(name, name.replace("_", " "), kind, required=name in needed))
    return tuple(parameters)


# -- pydantic's models ------------------------------------------------------------------------------

_DEFINITIONS: Final = "#/components/schemas/{model}"


class _AsWritten(GenerateJsonSchema):
    """Schemas of what people write: lengths of time are not ISO 8601 here."""

    def timedelta_schema(self, schema: TimedeltaSchema) -> Schema:  # noqa: ARG002 - alike for all
        """Describe a length of time as ``mesh_sim.durations`` reads it."""
        return dict(DURATION)


def model_schema(model: type[BaseModel]) -> Schema:
    """Give a model's schema; models and enumerations within it stay under ``$defs``."""
    schema = model.model_json_schema(ref_template=_DEFINITIONS, schema_generator=_AsWritten)
    untitled: Schema = _without_titles(schema)
    return untitled


def _without_titles(schema: Any) -> Any:
    """Leave out the titles that pydantic makes of names."""
    if isinstance(schema, list):
        return [_without_titles(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if not (key == "title" and isinstance(value, str))}
    return {key: _without_titles(value) for key, value in kept.items()}


def path_names(path: str) -> list[str]:
    """Give the names in a path's braces."""
    return re.findall(r"\{(\w+)\}", path)
