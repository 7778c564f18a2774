"""``mesh-sim witness file`` and ``compare``: the payloads of a rehearsal, before it and after."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from mesh_sim.cli import options
from mesh_sim.cli.boundary import ExitCode, UsageError
from mesh_sim.cli.session import ask
from mesh_sim.cli.show import Styled, progress, show_facts, show_line, write_json
from mesh_sim.cli.witness_start import PATH, Mailbox

if TYPE_CHECKING:
    from mesh_sim.witness.digests import Digest

_BLOCK: Final = 1_048_576


def add_to(app: typer.Typer) -> None:
    """Add the commands to their group."""
    example = "Example: [bold]mesh-sim witness {}[/bold]"
    app.command(epilog=example.format("file 201 to-send.dat"))(file)
    app.command(epilog=example.format("compare 401 received.dat --mailbox X26ABC1"))(compare)


def file(
    case: Annotated[str, typer.Argument(metavar="CASE", show_default=False, help="Such as 201 or 502.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", show_default=False, help="The file to write.")],
    *,
    force: Annotated[
        bool, typer.Option("--force", metavar="", help="Replace the file if it is there.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Write the file that your client is to send in a case; needs no server."""
    size = _size(case)
    if out.is_dir():
        raise UsageError(f"{out} is a folder; name the file to write in it, such as {out / 'to-send.dat'}")
    from mesh_sim.witness.digests import RunningDigest
    from mesh_sim.witness.originals import blocks

    digest = RunningDigest()
    try:
        with (
            out.open("wb" if force else "xb") as written,
            progress(f"Writing {out}", total=size, quiet=json) as shown,
        ):
            for block in blocks(case.strip().lower(), size):
                written.write(block)
                digest.add(block)
                shown.advance(len(block))
    except FileExistsError:
        raise FileExistsError(f"{out} exists already; replace it with --force") from None
    md5 = digest.so_far().md5
    if json:
        write_json({"case": case, "file": str(out), "size": size, "md5": md5})
    else:
        show_facts([("file", str(out), ""), ("bytes", f"{size:,}", ""), ("MD5", md5, "")])


def _size(wanted: str) -> int:
    """Give the size of a case's file.

    Raises:
        UsageError: it has none.
    """
    from mesh_sim.witness.cases.base import SendTo
    from mesh_sim.witness.catalogue import STAGED

    sizes = {
        case.id: prop.size
        for case in STAGED
        for step in case.steps
        for prop in step.props
        if isinstance(prop, SendTo) and prop.size is not None
    }
    try:
        return sizes[wanted.strip().lower()]
    except KeyError:
        raise UsageError(
            f"there is no file to send in a case {wanted!r}; there is one in {', '.join(sizes)}"
        ) from None


def compare(
    case: Annotated[str, typer.Argument(metavar="CASE", show_default=False, help="Such as 201 or 401.")],
    path: Annotated[
        Path,
        typer.Argument(metavar="FILE", show_default=False, help="What your client sent or received."),
    ],
    *,
    mailbox: Mailbox,
    url: options.Url = None,
    json: options.Json = False,
) -> None:
    """Compare a file with what travelled in a case; the report goes by it too.

    Where your client sends, that is the message as it arrived; else as it was
    put into the inbox. By size and MD5. Exit 1 if they are not equal.
    """
    digest = _digest(path, quiet=json)
    size, md5 = digest.size, digest.md5
    wish = {"mailbox": mailbox, "case": case.strip().lower(), "size": size, "md5": md5}
    found = ask(url, "POST", f"{PATH}/compare", body=wish)
    if json:
        write_json(found)
    elif found["equal"]:
        show_line([(Styled("equal", "bold green"), 0), (f"{size:,} bytes, MD5 {md5}", 0)])
    else:
        show_line([(Styled("not equal", "bold red"), 0)])
        show_facts(
            [
                (str(path), f"{size:,} bytes, MD5 {md5}", ""),
                (f"case {case}", f"{found['size']:,} bytes, MD5 {found['md5']}", ""),
            ]
        )
    if not found["equal"]:
        raise typer.Exit(ExitCode.FAILED)


def _digest(path: Path, *, quiet: bool) -> Digest:
    from mesh_sim.witness.digests import RunningDigest

    digest = RunningDigest()
    with (
        path.open("rb") as read,
        progress(f"Reading {path}", total=path.stat().st_size, quiet=quiet) as shown,
    ):
        while block := read.read(_BLOCK):
            digest.add(block)
            shown.advance(len(block))
    return digest.so_far()
