"""The document itself, put together from the tables."""

from __future__ import annotations

from collections import Counter
from importlib.metadata import version
from typing import Any, Final

from mesh_sim.api.openapi import control, sandbox, witness
from mesh_sim.api.openapi.mesh import OPERATIONS
from mesh_sim.api.openapi.parts import (
    JSON,
    TEXT,
    Access,
    Answer,
    Operation,
    Schema,
    model_schema,
    path_names,
)
from mesh_sim.api.openapi.schemas import MESH

_ABOUT: Final = """\
What this simulator of NHS England's MESH answers, and the control API with which a test prepares, watches and
disturbs it. Where NHS England describes MESH, that description decides.

The `Accept` header asks for the version of MESH's bodies: 2 with `application/vnd.mesh.v2+json`; 1 with
`application/vnd.mesh.v1+json`, `application/json`, anything that does not name MESH, or none.

Every answer of a MESH operation can also be a status from 400 to 599 that a fault rule was told to give. A
path that does not exist is answered 404 and a method that a path does not have 405, both as `RouterError`; a
slash too many at the end 307; a request that is not HTTP 400 in plain text; a header past its limits 431, one
too slow 408, and a connection too many 503, each as `{"detail": …}`.
"""

_PATH_PARAMETERS: Final[dict[str, tuple[str, Schema]]] = {
    "mailbox_id": (
        "a mailbox, in letters of either case",
        {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,40}$"},
    ),
    "message_id": (
        "a message id, in letters of either case",
        {"type": "string", "pattern": "^[A-Za-z0-9_]{1,60}$"},
    ),
    "chunk_number": ("the chunk, from 1", {"type": "integer", "minimum": 1}),
    "local_id": ("the sender's own id", {"type": "string", "minLength": 1}),
    "ods_code": ("an organisation's code", {"type": "string", "minLength": 1}),
    "workflow_id": ("a workflow", {"type": "string", "minLength": 1}),
    "rule_id": ("the rule's id", {"type": "string", "minLength": 1}),
    "nhs_number": ("ten digits", {"type": "string", "minLength": 1}),
}

_ACCESS: Final[dict[Access, Schema]] = {
    Access.MAILBOX: {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": (
            "`NHSMESH mailbox:nonce:count:yyyyMMddHHmm:hash`, made anew for every request. The hash is the "
            "HMAC-SHA256 in hex, under the shared key, of `mailbox:nonce:count:password:yyyyMMddHHmm`."
        ),
    },
    Access.CONTROL: {
        "type": "http",
        "scheme": "bearer",
        "description": "The value of `MESH_SIM_ADMIN_TOKEN`, where that is set; else nothing.",
    },
}

_ITSELF: Final = Operation(
    method="GET",
    path="/openapi.json",
    name="show_document",
    does="This document",
    tag="Health",
    access=Access.OPEN,
    answers={200: Answer(means="OpenAPI 3.1.", content={JSON: {"type": "object"}})},
)


def document() -> dict[str, Any]:
    """Put the document together."""
    paths: dict[str, dict[str, Any]] = {}
    seen: Counter[str] = Counter()
    for operation in (*OPERATIONS, *control.CONTROL, *witness.WITNESS, *sandbox.SANDBOX, _ITSELF):
        seen[operation.name] += 1
        number = seen[operation.name]
        name = operation.name if number == 1 else f"{operation.name}_{number}"
        item = paths.setdefault(operation.path, _path_item(operation.path))
        item[operation.method.lower()] = _operation(operation, name)
    return {
        "openapi": "3.1.0",
        "info": {"title": "mesh-sim", "version": version("mesh-sim"), "description": _ABOUT},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": MESH | control.SCHEMAS | witness.SCHEMAS | _models(),
            "securitySchemes": {access.value: scheme for access, scheme in _ACCESS.items()},
        },
    }


def _path_item(path: str) -> dict[str, Any]:
    parameters = []
    for name in path_names(path):
        means, schema = _PATH_PARAMETERS[name]
        parameters.append(
            {"name": name, "in": "path", "description": means, "required": True, "schema": schema}
        )
    return {"parameters": parameters} if parameters else {}


def _operation(operation: Operation, name: str) -> dict[str, Any]:
    described: dict[str, Any] = {"operationId": name, "summary": operation.does, "tags": [operation.tag]}
    if operation.access is Access.MAILBOX:
        described["security"] = [{operation.access.value: []}]
    elif operation.access is Access.CONTROL:
        described["security"] = [{}, {operation.access.value: []}]
    if operation.parameters:
        described["parameters"] = list(operation.parameters)
    if operation.body:
        described["requestBody"] = {
            "required": operation.body_required,
            "content": _content(operation.body),
        }
    described["responses"] = {
        str(status): _answer(answer) for status, answer in sorted(operation.answers.items())
    }
    return described


def _answer(answer: Answer) -> dict[str, Any]:
    described: dict[str, Any] = {"description": answer.means}
    if answer.headers:
        described["headers"] = {
            str(name): {"description": means, "schema": TEXT} for name, means in answer.headers.items()
        }
    if answer.content:
        described["content"] = _content(answer.content)
    return described


def _content(content: Any) -> dict[str, Any]:
    return {media_type: {"schema": schema} for media_type, schema in content.items()}


def _models() -> dict[str, Schema]:
    """Give the schemas of the models, and of what stands in them, by name."""
    schemas: dict[str, Schema] = {}
    for model in (*control.MODELS, *witness.MODELS, *sandbox.MODELS):
        schema = model_schema(model)
        schemas |= schema.pop("$defs", {})
        schemas[model.__name__] = schema
    for schema in schemas.values():
        schema.pop("description", None)  # the docstring, which speaks to whoever reads the code
    return schemas
