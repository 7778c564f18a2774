"""Validation of headers, queries and paths: all faults of a request in one 400 (mesh-api.md section 4)."""

from __future__ import annotations

import re
from typing import Any

from aiohttp import web

from mesh_sim.api.header_bytes import as_latin1

Fault = dict[str, Any]

_INTEGER = re.compile(r"\s*[+-]?[0-9]{1,4000}\s*", re.ASCII)


class ValidationFailed(Exception):
    """Faults of a request's form; ``faults`` are the items of the body's ``detail``."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("; ".join(f"{fault['loc'][-1]}: {fault['msg']}" for fault in faults))
        self.faults = faults


class Validator:
    """Reads parameters and collects what is wrong with them; :meth:`check` raises it all at once."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self.faults: list[Fault] = []

    def check(self) -> None:
        """Raise ValidationFailed if anything was wrong so far."""
        if self.faults:
            raise ValidationFailed(self.faults)

    def header(self, name: str, *, required: bool = False, max_length: int | None = None) -> str:
        """Read a header as text; absent is an empty string."""
        value = self._request.headers.get(name)
        place = ["header", name.lower()]
        if value is None:
            if required:
                self._missing(place)
            return ""
        value = as_latin1(value)
        if max_length is not None and len(value) > max_length:
            self._too_long(place, value, max_length)
        return value

    def query_text(self, name: str, *, min_length: int, max_length: int) -> str | None:
        """Read a query parameter as text of a length within bounds; absent is None."""
        value = self._request.query.get(name)
        place = ["query", name]
        if value is None:
            return None
        if len(value) < min_length:
            self._too_short(place, value, min_length)
        elif len(value) > max_length:
            self._too_long(place, value, max_length)
        return value

    def required_query(self, name: str) -> str:
        """Read a query parameter that must be there and not empty."""
        value = self._request.query.get(name)
        place = ["query", name]
        if value is None:
            self._missing(place)
            return ""
        if not value:
            self._too_short(place, value, 1)
        return value

    def query_integer(self, name: str, *, default: int, low: int, high: int) -> int:
        """Read a query parameter as an integer within bounds."""
        value = self._request.query.get(name)
        return default if value is None else self._integer(["query", name], value, low, high)

    def path_integer(self, name: str, *, low: int | None = None) -> int:
        """Read a path segment as an integer."""
        return self._integer(["path", name], self._request.match_info[name], low, None)

    def refuse(self, place: list[str], value: str, message: str) -> None:
        """Note a fault of another kind."""
        self._note("value_error", place, message, value)

    def _integer(self, place: list[str], value: str, low: int | None, high: int | None) -> int:
        if not _INTEGER.fullmatch(value):
            self._note(
                "int_parsing",
                place,
                "Input should be a valid integer, unable to parse string as an integer",
                value,
            )
            return 0
        number = int(value)
        if low is not None and number < low:
            message = f"Input should be greater than or equal to {low}"
            self._note("greater_than_equal", place, message, value, {"ge": low})
        elif high is not None and number > high:
            message = f"Input should be less than or equal to {high}"
            self._note("less_than_equal", place, message, value, {"le": high})
        return number

    def _missing(self, place: list[str]) -> None:
        self.faults.append({"type": "missing", "loc": place, "msg": "Field required"})

    def _too_long(self, place: list[str], value: str, limit: int) -> None:
        message = f"String should have at most {limit} character{'s' if limit != 1 else ''}"
        self._note("string_too_long", place, message, value, {"max_length": limit})

    def _too_short(self, place: list[str], value: str, limit: int) -> None:
        message = f"String should have at least {limit} character{'s' if limit != 1 else ''}"
        self._note("string_too_short", place, message, value, {"min_length": limit})

    def _note(
        self, kind: str, place: list[str], message: str, value: str, context: dict[str, int] | None = None
    ) -> None:
        fault: Fault = {"type": kind, "loc": place, "msg": message, "input": value}
        if context:
            fault["ctx"] = context
        self.faults.append(fault)
