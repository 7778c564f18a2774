"""What people fill in: read as a wish, or given back with what is wrong beside each field."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from aiohttp import web
from pydantic import ValidationError

from mesh_sim.api.limits import ask_for_body
from mesh_sim.web.refusals import PageRefused
from mesh_sim.wishes.base import Problem, Wish, problems_of

W = TypeVar("W", bound=Wish)

CSRF: Final = "csrf"
"""The field by which a form proves that it is ours."""

MAX_FORM_BYTES: Final = 64 * 1024
"""Of a form; ours have a few hundred."""

_UNREADABLE: Final = ("This form cannot be read", "Its text is not in UTF-8.")

_READ = web.RequestKey("form", Mapping[str, str])


@dataclass(frozen=True, slots=True)
class Form:
    """A form as it is shown: what was filled in, and what is wrong with it, by field.

    A problem of the form as a whole, or of a field that it does not show, stands under ''.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)

    def value(self, name: str, default: str = "") -> str:
        """Give what a field holds."""
        return self.values.get(name, default)

    def problem(self, name: str) -> str:
        """Say what is wrong with a field; '' where nothing is."""
        return self.problems.get(name, "")


class FormRefused(ValueError):
    """A form that cannot be carried out; ``form`` is it with what is wrong."""

    def __init__(self, form: Form) -> None:
        super().__init__("; ".join(form.problems.values()))
        self.form = form


async def read_form(request: web.Request) -> Mapping[str, str]:
    """Read what was filled in, without blanks around it; fields that were left empty are left out.

    Raises:
        PageRefused: it is not a form, or a longer one than any of ours.
    """
    if _READ in request:
        return request[_READ]
    if request.content_type != "application/x-www-form-urlencoded":
        raise PageRefused(415, "This is not a form", "A page takes what its own form sends.")
    # Python knows encodings that take it many seconds to read a megabyte of.
    if (request.charset or "utf-8").lower() != "utf-8":
        raise PageRefused(400, *_UNREADABLE)
    await ask_for_body(request)
    try:
        given = await request.clone(client_max_size=MAX_FORM_BYTES).post()
    except web.HTTPRequestEntityTooLarge as error:
        raise PageRefused(413, "Too long", f"A form may hold {MAX_FORM_BYTES} bytes.") from error
    except ValueError as error:
        raise PageRefused(400, *_UNREADABLE) from error
    request[_READ] = filled_in((name, str(value)) for name, value in given.items())
    return request[_READ]


def filled_in(given: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Give the fields that were filled in; of one given twice the last counts."""
    return {name: value.strip() for name, value in given if value.strip()}


def as_wish(values: Mapping[str, str], model: type[W], *, numbers: Collection[str] = ()) -> W:
    """Read what was filled in as what ``model`` describes.

    Args:
        values: from :func:`read_form`, or of a query.
        model: what is wished for; fields of the form that it does not have are passed over.
        numbers: the fields that are numbers, which the model may want strictly.

    Raises:
        FormRefused: a field's value is not allowed.
    """
    known = {given.alias or name for name, given in model.model_fields.items()}
    kept = {
        name: _number(value) if name in numbers else value for name, value in values.items() if name in known
    }
    try:
        return model.model_validate(kept)
    except ValidationError as error:
        raise refused(values, problems_of(error, model)) from error


def refused(values: Mapping[str, str], problems: Iterable[Problem]) -> FormRefused:
    """Refuse a form for these problems."""
    said: dict[str, str] = {}
    for problem in problems:
        said.setdefault(problem.field, problem.problem[:1].upper() + problem.problem[1:])
    return FormRefused(Form(values, said))


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
