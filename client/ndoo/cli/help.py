"""How ``--help`` writes options and arguments: in words of this command, without Python's types."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer
from typer.core import TyperArgument, TyperGroup, TyperOption


class _Argument(TyperArgument):
    """An argument that is called in help what its messages call it, and no more."""

    def display_type_rich(self, ctx: Any) -> str | None:  # noqa: ARG002 -- Typer's signature
        return None

    def get_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ARG002 -- the same
        name = self.display_name_raw if self.required else f"[{self.display_name_raw}]"
        return [name if self.nargs == 1 else f"{name}..."]


def hide_types(group: TyperGroup) -> None:
    """Take Python's types out of the help of a group and of all its commands."""
    for command in _all(group):
        # Made beforehand with the names that the root's settings give it; Typer keeps the one it has made.
        options = typer.Context(command, **group.context_settings)
        for parameter in (*command.params, command.get_help_option(options)):
            if isinstance(parameter, TyperOption) and parameter.is_flag:
                parameter.metavar = ""
            elif type(parameter) is TyperArgument:
                parameter.__class__ = _Argument  # there is no way to ask Typer for another class


def _all(command: Any) -> Iterator[Any]:
    yield command
    for below in getattr(command, "commands", {}).values():
        yield from _all(below)
