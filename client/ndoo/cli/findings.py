"""How the tests of the settings are shown: a line each as they end, with why and what to do below."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

import typer

from ndoo._findings import UNTESTED
from ndoo.cli.show import printable

if TYPE_CHECKING:
    from ndoo.diagnosis import Finding

_STYLES: Final = {"ok": "green", "warning": "yellow", "failed": "bold red", "skipped": "dim"}
_WIDEST: Final = 80
_MARK, _NAME, _LABEL = 7, 13, 3


async def watch(findings: AsyncIterator[Finding], *, json: bool, quiet: bool) -> list[Finding]:
    """Take findings as they come and show each; when asked to be quiet, those that failed only.

    Tests without a point after one that failed share a line.
    """
    kept: list[Finding] = []
    untested: list[Finding] = []
    async for finding in findings:
        kept.append(finding)
        if finding.what == UNTESTED:
            untested.append(finding)
            continue
        if untested and not (json or quiet):
            _show(_folded(untested, kept))
        untested.clear()
        if not json and (finding.verdict == "failed" or not quiet):
            _show(finding)
    if untested and not (json or quiet):
        _show(_folded(untested, kept))
    return kept


def _folded(untested: list[Finding], before: list[Finding]) -> Finding:
    """Make one finding of tests that were left out in a row."""
    first, last = untested[0], untested[-1]
    failed = [finding.check for finding in before if finding.verdict == "failed"]
    through = f"... {last.check}: " if last is not first else ""
    return replace(first, what=f"{through}not tested, because {failed[-1]} failed")


def as_fields(finding: Finding) -> Mapping[str, Any]:
    """Give a finding as JSON has it."""
    return asdict(finding)


def summary(findings: list[Finding]) -> str:
    """Say in one sentence what came of it."""
    failed = [finding.check for finding in findings if finding.verdict == "failed"]
    warned = [finding.check for finding in findings if finding.verdict == "warning"]
    if failed:
        return f"failed: {', '.join(failed)}"
    return f"all is well, but look at: {', '.join(warned)}" if warned else "all is well"


def _show(finding: Finding) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False)
    console.width = min(console.width, _WIDEST)
    table = Table.grid(padding=(0, 2), pad_edge=False)
    table.add_column(style=_STYLES[finding.verdict], width=_MARK)
    table.add_column(style="dim" if finding.verdict == "skipped" else "bold", width=_NAME)
    table.add_column(overflow="fold", style="dim" if finding.verdict == "skipped" else "")
    table.add_row(finding.verdict, finding.check, _text(finding.what))
    for label, sentences in (("why", finding.why), ("do", finding.advice)):
        for index, sentence in enumerate(filter(None, sentences.split("; "))):
            line = Table.grid(padding=(0, 1), pad_edge=False)
            line.add_column(style="dim", width=_LABEL)
            line.add_column(overflow="fold")
            line.add_row("" if index else label, _text(sentence))
            table.add_row("", "", line)
    with console.capture() as captured:
        console.print(table)
    for shown in captured.get().splitlines():
        typer.echo(shown.rstrip())


def _text(text: str) -> Any:
    from rich.text import Text

    return Text(printable(text), overflow="fold")
