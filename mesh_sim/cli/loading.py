"""``mesh-sim optouts load``: a list of millions into the register."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Final, TypeAlias

import typer

from mesh_sim.cli import options
from mesh_sim.cli.boundary import UsageError
from mesh_sim.cli.session import in_query, with_simulator
from mesh_sim.cli.show import Progress, progress, show_facts, write_json

if TYPE_CHECKING:
    from mesh_sim.control import ControlClient

_PATH: Final = "/admin/optouts/load"
_BLOCK: Final = 1024 * 1024
_GZIP_MAGIC: Final = b"\x1f\x8b"

At: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        show_default=False,
        help="When it was registered, such as 2026-11-22T10:00:00Z. By default now, in simulated time.",
    ),
]
Channel: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="CHANNEL", show_default="staff", help="How: app, web, phone, post, staff or proxy."),
]


def add_to(app: typer.Typer) -> None:
    """Add the command to its group."""
    app.command(epilog="Example: [bold]mesh-sim optouts load optouts.dat.gz[/bold]")(load)


def load(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", show_default=False, help="One NHS number a line; also .gz. - is standard input."
        ),
    ],
    *,
    withdrawn: Annotated[
        bool, typer.Option("--withdrawn", metavar="", help="They withdraw their opt-outs.")
    ] = False,
    at: At = None,
    channel: Channel = None,
    url: options.Url = None,
    json: options.Json = False,
) -> None:
    """Opt everybody in a list out: all of them or, if one line is wrong, none."""
    query = in_query(opted_out=not withdrawn, registered_at=at, channel=channel)
    with _opened(path) as (file, total), progress(f"Loading {path}", total=total, quiet=json) as shown:
        upload = _Upload(path, file, shown)

        async def send(client: ControlClient) -> Any:
            from mesh_sim.control import ControlError, RequestRefused

            try:
                return await client.ask("POST", _PATH, query=query, body=upload.blocks())
            except RequestRefused as refused:
                raise UsageError(f"{path}: {refused}; nothing was loaded") from refused
            except ControlError:
                # What kept the list from being read made the sending fail; it says more.
                if upload.failure is not None:
                    raise upload.failure from None
                raise

        loaded = with_simulator(url, send)
    show_loaded(loaded, json=json)


def show_loaded(loaded: dict[str, Any], *, json: bool) -> None:
    """Show how many choices were recorded."""
    if json:
        write_json(loaded)
        return
    done = "opted out" if loaded["opted_out"] else "withdrawn"
    show_facts([(done, loaded["loaded"], "person" if loaded["loaded"] == 1 else "people")])


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, int | None]]:
    """Open a list, and say how long it is if that is known."""
    if str(path) == options.STDIN:
        yield sys.stdin.buffer, None
        return
    with path.open("rb") as file:
        yield file, path.stat().st_size if path.is_file() else None


class _Upload:
    """A list on its way, decompressed where it is compressed; keeps what went wrong with reading it."""

    def __init__(self, path: Path, file: BinaryIO, shown: Progress) -> None:
        self._path = path
        self._file = file
        self._shown = shown
        self.failure: Exception | None = None

    async def blocks(self) -> AsyncIterator[bytes]:
        """Give the list, block by block."""
        from mesh_sim.gzip import GzipError, decompressed

        try:
            first = await self._read()
            if first.startswith(_GZIP_MAGIC):
                async for block in decompressed(self._raw(first)):
                    yield block
            else:
                async for block in self._raw(first):
                    yield block
        except GzipError as error:
            self.failure = UsageError(f"{self._path}: {error}; nothing was loaded")
            raise self.failure from error
        except OSError as error:
            self.failure = error
            raise

    async def _raw(self, block: bytes) -> AsyncIterator[bytes]:
        while block:
            yield block
            self._shown.advance(len(block))
            block = await self._read()

    async def _read(self) -> bytes:
        return await asyncio.to_thread(self._file.read, _BLOCK)
