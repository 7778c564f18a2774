"""JSON bodies of the sandbox's admin paths, refused in its own shape (mesh-api.md section 4).

Other than the sandbox's, a refusal does not repeat what was given.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeVar

from aiohttp import web
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    StringConstraints,
    ValidationError,
)
from pydantic_core import PydanticCustomError

from mesh_sim.api.control.refusals import ControlRefused
from mesh_sim.api.control.requests import NotJson, parse_json
from mesh_sim.api.limits import MAX_JSON_BYTES
from mesh_sim.api.validation import Fault, ValidationFailed
from mesh_sim.wishes.base import header_safe

_LONGEST: Final = 500


class Given(BaseModel):
    """Base of what a body says; keys that are not known are passed over, as the sandbox does."""

    model_config = ConfigDict(frozen=True)


G = TypeVar("G", bound=Given)


def _lower(value: object) -> str:
    if not isinstance(value, str):
        raise PydanticCustomError("string_type", "Input should be a valid string")
    return value.lower()


HeaderText = Annotated[str, StringConstraints(max_length=_LONGEST), AfterValidator(header_safe)]
"""Text that a download or a tracking answer will carry as a header's value."""

AnyCase = BeforeValidator(_lower)
"""Has the letters of a word be in either case."""


async def read_given(request: web.Request, model: type[G]) -> G:
    """Read a JSON body as what ``model`` describes, whatever content type the request names.

    Raises:
        ValidationFailed: it is not JSON, not an object, or fields of it are missing or not allowed.
        ControlRefused: it is too large.
    """
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise ControlRefused(413, f"the body is larger than {MAX_JSON_BYTES} bytes") from error
    if not body:
        raise ValidationFailed([{"type": "missing", "loc": ["body"], "msg": "Field required"}])
    given = _parsed(body)
    if not isinstance(given, dict):
        message = "Input should be a valid dictionary or object to extract fields from"
        raise ValidationFailed([{"type": "model_attributes_type", "loc": ["body"], "msg": message}])
    try:
        return model.model_validate(given)
    except ValidationError as error:
        items = error.errors(include_url=False, include_context=False, include_input=False)
        raise ValidationFailed([_fault(dict(item)) for item in items]) from error


def _parsed(body: bytes) -> Any:
    try:
        return parse_json(body)
    except NotJson as error:
        fault: Fault = {"type": "json_invalid", "loc": ["body", error.place], "msg": "JSON decode error"}
        raise ValidationFailed([fault | {"ctx": {"error": str(error)}}]) from error


def _fault(item: dict[str, Any]) -> Fault:
    message = str(item["msg"]).removeprefix("Value error, ")
    return {"type": item["type"], "loc": ["body", *item["loc"]], "msg": message}
