"""A report on a terminal: each case's outcome, and under those that failed why, and what to fix."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

import typer

from mesh_sim.cli.show import (
    Days,
    Styled,
    duration,
    moment,
    note,
    show_facts,
    show_indented,
    show_line,
    show_table,
    status_style,
)
from mesh_sim.cli.witness_show import Fields, styled

_AROUND: Final = 3
"""How many requests are shown on either side of one that broke a rule."""
_MOST: Final = 20
"""How many of a case are shown; the other formats have more."""

_INDENT: Final = 2
_UNDER_OPERATION: Final = 18


def show_report(found: Fields) -> None:
    """Show a report, its last line being the counts."""
    _show_head(found)
    _show_outcomes(found["cases"])
    for case in found["cases"]:
        if case["outcome"] == "failed":
            typer.echo("")
            _show_failed(case)
    typer.echo("")
    if found["required_not_seen"]:
        show_indented(f"required and not seen: {', '.join(found['required_not_seen'])}", 0)
    show_line([(Styled(counts(found), "bold red" if found["required_failed"] else "bold"), 0)])


def counts(found: Fields) -> str:
    """Say how many cases passed, failed and were not seen, and which of the required failed."""
    said = f"{found['passed']} passed, {found['failed']} failed, {found['not_seen']} not seen"
    if found["required_failed"]:
        said += f"; required and failed: {', '.join(found['required_failed'])}"
    return said


def _show_head(found: Fields) -> None:
    period = f"from {moment(found['first_request_at'])} to {moment(found['last_request_at'])}"
    show_facts(
        [
            ("mailbox", found["mailbox"], ""),
            ("begun", moment(found["begun_at"]), ""),
            ("requests", found["requests"], period if found["requests"] else ""),
        ]
    )
    if not found["journal_complete"]:
        note(
            "the journal no longer has every request since the rehearsal began, so a case may be judged "
            f"wrongly; begin anew with 'mesh-sim witness start --mailbox {found['mailbox']} --fresh'"
        )
    typer.echo("")


def _show_outcomes(cases: Iterable[Fields]) -> None:
    show_table(
        ["case", "outcome", "what is checked", "set", "needed"],
        [
            [
                case["case"],
                styled(case["outcome"]),
                case["title"],
                case["set"],
                "required" if case["required"] else "optional",
            ]
            for case in cases
        ],
    )


def _show_failed(case: Fields) -> None:
    show_line(
        [(Styled(case["case"], "bold"), 0), (styled(case["outcome"]), 0), (Styled(case["title"], "bold"), 0)]
    )
    first = case["breach"]
    broken = [rule for rule in case["rules"] if not rule["kept"]]
    for rule in sorted(broken, key=lambda rule: rule["expected"] != first["expected"]):
        told = [
            ("expected", rule["expected"], ""),
            ("seen", Styled(rule["why"], "red"), ""),
            ("to fix", rule["fix"], ""),
        ]
        show_facts(told, indent=_INDENT)
    _show_evidence(case, {rule["entry"] for rule in broken if rule["entry"] is not None})


def _show_evidence(case: Fields, broke: set[int]) -> None:
    from mesh_sim.witness.report.evidence import around

    lines = case["evidence"]
    places = around([line["number"] in broke for line in lines], reach=_AROUND, most=_MOST)
    days, above = Days(), -1
    for place in places:
        if place > above + 1:
            show_indented(Styled("...", "dim"), _INDENT)
        _show_request(lines[place], days, broke=lines[place]["number"] in broke)
        above = place
    if left_out := len(lines) + case["evidence_left_out"] - len(places):
        more = "1 more request is" if left_out == 1 else f"{left_out:,} more requests are"
        show_indented(Styled(f"{more} this case's evidence", "dim"), _INDENT)


def _show_request(line: dict[str, Any], days: Days, *, broke: bool) -> None:
    status = line["status"]
    time = days.time(line["at"], exact=True)
    show_line(
        [
            (Styled(">" if broke else " ", "bold red"), 1),
            (time, 12),
            (line["operation"], 14),
            (Styled(str(status) if status else "---", status_style(status)), 3),
            (duration(timedelta(seconds=line["duration_s"])), -7),
            (line["message_id"], 27 if line["chunk"] else 0),
            (line["chunk"], 0),
        ]
    )
    for text, style in ((line["note"], "red" if broke else "dim"), (line["reason"], "red")):
        if text:
            show_indented(Styled(text, style), _UNDER_OPERATION)
