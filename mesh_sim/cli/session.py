"""What a command has a running simulator do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from mesh_sim.cli.boundary import UsageError

if TYPE_CHECKING:
    from mesh_sim.control import ControlClient

T = TypeVar("T")


def with_simulator(url: str | None, use: Callable[[ControlClient], Awaitable[T]]) -> T:
    """Connect to the simulator at ``url``, or where the settings say; use it, disconnect.

    Raises:
        SettingsError: a setting is wrong, or the certificates cannot be used.
        ControlError: the simulator did not do what it was asked for.
    """
    from mesh_sim.config import load_settings
    from mesh_sim.control import ControlClient

    client = ControlClient.of(load_settings(), url)

    async def run() -> T:
        async with client:
            return await use(client)

    return asyncio.run(run())


def ask(url: str | None, method: str, path: str, **options: Any) -> Any:
    """Ask the simulator for one thing; ``options`` are those of ``ControlClient.ask``."""
    return with_simulator(url, lambda client: client.ask(method, path, **options))


def ask_about(what: str, listed_by: str, url: str | None, method: str, path: str, **options: Any) -> Any:
    """Ask for something about one thing, such as ``message X``, which ``listed_by`` lists.

    Raises:
        UsageError: there is no such thing.
    """
    from mesh_sim.control import RequestRefused

    try:
        return ask(url, method, path, **options)
    except RequestRefused as refused:
        if refused.status != HTTPStatus.NOT_FOUND:
            raise
        raise UsageError(f"there is no {what}; 'mesh-sim {listed_by}' shows those there are") from refused


def segment(text: str) -> str:
    """Write a text as one segment of a path, whatever characters it has.

    Raises:
        UsageError: it is empty, and would name something else.
    """
    if not text.strip():
        raise UsageError("an empty text names nothing; see --help")
    return quote(text.strip(), safe="").replace(".", "%2E")


def given(**values: object) -> dict[str, Any]:
    """Keep what was given: the API has its own defaults for the rest."""
    return {name: value for name, value in values.items() if value is not None}


def in_query(**values: object) -> dict[str, str]:
    """Write what was given as a query's parameters."""
    return {name: str(value) for name, value in given(**values).items()}
