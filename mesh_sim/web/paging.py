"""Where the next page of a list begins, as a text in its address."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final
from urllib.parse import urlencode

from pydantic import BeforeValidator

from mesh_sim.exchange.ports import Moment
from mesh_sim.web.forms import Form

PAGE: Final = 50
"""How many rows a page of messages or submissions has."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TOKEN: Final = re.compile(r"([0-9]{1,18})\.([0-9A-Za-z_]{1,64})", re.ASCII)
_UNREADABLE: Final = "does not say where a page begins; start again with the newest"


def token(moment: Moment) -> str:
    """Write where a page goes on."""
    return f"{(moment.created_at - _EPOCH) // timedelta(microseconds=1)}.{moment.message_id}"


def read_token(text: str) -> Moment:
    """Read where a page goes on.

    Raises:
        ValueError: it is not of our writing.
    """
    match = _TOKEN.fullmatch(text)
    if match is None:
        raise ValueError(_UNREADABLE)
    try:
        return Moment(_EPOCH + timedelta(microseconds=int(match[1])), match[2])
    except OverflowError:
        raise ValueError(_UNREADABLE) from None


def _read(value: object) -> object:
    return read_token(value) if isinstance(value, str) else value


Before = Annotated[Moment, BeforeValidator(_read)]
"""A wish's field for where its page goes on."""


def address(path: str, query: Mapping[str, str], **changes: str) -> str:
    """Write the address of a page with its query changed; a field that is '' is left out."""
    kept = {name: value for name, value in {**query, **changes}.items() if value}
    return f"{path}?{urlencode(kept)}" if kept else path


def readable(form: Form, fields: Collection[str]) -> Form:
    """Have what is wrong with the part of an address that ``fields`` do not show said of the whole form."""
    beside = {name: problem for name, problem in form.problems.items() if name in fields}
    hidden = [
        f"In the address, {name} {problem[:1].lower()}{problem[1:]}."
        for name, problem in form.problems.items()
        if name not in fields
    ]
    return Form(form.values, beside | ({"": hidden[0]} if hidden else {}))
