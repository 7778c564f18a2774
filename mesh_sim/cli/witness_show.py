"""How a rehearsal is told: to people what to make their client do, to programs one object a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol, TypeAlias

import typer

from mesh_sim.cli.show import Styled, show_facts, show_indented, show_line, write_json_line

Fields: TypeAlias = Mapping[str, Any]
"""An object of the API."""

_INDENT: Final = 2
_STYLES: Final = {"passed": "bold green", "failed": "bold red", "not seen": "bold yellow"}


def styled(outcome: str | None) -> Styled:
    """Write an outcome in its colour; one that is not there yet is under way."""
    return Styled(outcome or "under way", _STYLES.get(outcome or "", "cyan"))


# -- a step -------------------------------------------------------------------------------------------


def show_stage(current: Fields, place: str = "", *, file_made: bool = False) -> None:
    """Show what the client is to do now.

    Args:
        current: the step, as the API gives it.
        place: where in the rehearsal this is, in a few words.
        file_made: the file to be sent is made for the client, and nobody has to be told how.
    """
    step = f"step {current['step'] + 1} of {current['steps']}" if current["steps"] > 1 else ""
    remark = ", ".join(filter(None, (step, place)))
    show_line(
        [
            (Styled(current["case"], "bold"), 0),
            (Styled(current["title"], "bold"), 0),
            (Styled(f"({remark})" if remark else "", "dim"), 0),
        ]
    )
    show_indented(current["tell"], _INDENT)
    sending, file = current["action"].startswith("send"), current["file"]
    made_by = "" if file is None or file_made else f"mesh-sim witness file {current['case']} FILE"
    show_facts(
        [
            ("send to", current["to"] if sending else "", ""),
            ("workflow id", current["workflow_id"] if sending else "", ""),
            ("message id", current["message_id"] if current["count"] == 1 else "", ""),
            ("messages", f"{current['count']:,}" if current["count"] > 1 else "", ""),
            ("file", "" if file is None else f"{file['size']:,} bytes, MD5 {file['md5']}", ""),
            ("made by", made_by, ""),
        ],
        indent=_INDENT,
    )


# -- an outcome ---------------------------------------------------------------------------------------


def show_outcome(found: Fields, tail: Sequence[str], exit_status: int | None) -> None:
    """Show what became of a case, the first thing that broke it, and how the command ended, if one ran."""
    outcome = found["outcome"]
    show_line([(Styled(f"{found['case']} {outcome}", _STYLES[outcome]), 0)])
    if (breach := found["breach"]) is not None:
        facts = [
            ("expected", breach["expected"], ""),
            ("seen", breach["why"], ""),
            ("to fix", breach["fix"], ""),
        ]
        show_facts(facts, indent=_INDENT)
    elif outcome == "not seen":
        show_indented("no request came that this case is about", _INDENT)
    if outcome == "passed":
        return
    if exit_status:
        show_indented(f"the command ended with exit status {exit_status}", _INDENT)
    if tail:
        show_indented(Styled("the command's last lines:", "dim"), _INDENT)
        for line in tail:
            show_indented(line, 2 * _INDENT)


# -- a whole rehearsal --------------------------------------------------------------------------------


class View(Protocol):
    """Whom a rehearsal is told to."""

    def stage(self, current: Fields, number: int, count: int) -> None:
        """Tell what the client is to do now, in a case that is one of so many."""
        ...

    def outcome(self, found: Fields, tail: Sequence[str], exit_status: int | None) -> None:
        """Tell what became of a case, as the report has it, and how the command ended, if one ran."""
        ...

    def summary(self, report: Fields, found: Sequence[Fields]) -> None:
        """Tell what became of the cases of this run, and of the rest of the traffic."""
        ...


class ForPeople:
    """Tells people."""

    def __init__(self, *, file_made: bool) -> None:
        self._file_made = file_made
        self._told_before = False

    def stage(self, current: Fields, number: int, count: int) -> None:
        """Show a step, apart from what was before it."""
        self._gap()
        show_stage(current, f"case {number} of {count}" if count > 1 else "", file_made=self._file_made)

    def outcome(self, found: Fields, tail: Sequence[str], exit_status: int | None) -> None:
        """Show an outcome under its case."""
        show_outcome(found, tail, exit_status)

    def summary(self, report: Fields, found: Sequence[Fields]) -> None:
        """Show one line of figures, what else keeps the report from passing, and where to read on."""
        self._gap()
        cases = f"{len(found)} case{'' if len(found) == 1 else 's'}:"
        counts = [(outcome, _count(found, outcome)) for outcome in _STYLES]
        cells = [
            Styled(f"{count} {outcome}", _STYLES[outcome] if count else "dim") for outcome, count in counts
        ]
        show_line([(cases, 0), *((cell, 0) for cell in cells)])
        if others := _others(report, found):
            show_line([(Styled("failed besides these:", "bold red"), 0), (", ".join(others), 0)])
        typer.echo(f"Go on with: mesh-sim witness report --mailbox {report['mailbox']}")

    def _gap(self) -> None:
        if self._told_before:
            typer.echo("")
        self._told_before = True


class ForPrograms:
    """Tells programs: a JSON object a line, which says what it is under ``told``."""

    def __init__(self, mailbox: str) -> None:
        self._mailbox = mailbox

    def stage(self, current: Fields, number: int, count: int) -> None:
        """Write a step."""
        self._write("stage", {**current, "number": number, "of": count})

    def outcome(self, found: Fields, tail: Sequence[str], exit_status: int | None) -> None:
        """Write an outcome."""
        kept = {name: found[name] for name in ("case", "title", "required", "outcome", "breach")}
        self._write("outcome", {**kept, "exit_status": exit_status, "output": list(tail)})

    def summary(self, report: Fields, found: Sequence[Fields]) -> None:
        """Write the figures."""
        counts = {outcome.replace(" ", "_"): _count(found, outcome) for outcome in _STYLES}
        self._write("summary", {**counts, "required_failed": report["required_failed"]})

    def _write(self, told: str, fields: Fields) -> None:
        write_json_line({"told": told, "mailbox": self._mailbox, **fields})


def _count(found: Sequence[Fields], outcome: str) -> int:
    return sum(each["outcome"] == outcome for each in found)


def _others(report: Fields, found: Sequence[Fields]) -> list[str]:
    """Give what is required and failed, in the report but not in this run."""
    run = {each["case"] for each in found}
    return [case for case in report["required_failed"] if case not in run]
