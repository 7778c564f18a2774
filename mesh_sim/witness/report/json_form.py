"""A report for programs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from mesh_sim.witness.cases.base import Outcome
from mesh_sim.witness.report.evidence import Line
from mesh_sim.witness.report.model import CaseReport, Checked, Report


def as_json(report: Report) -> dict[str, Any]:
    """Give the report as one JSON object."""
    return {
        "mailbox": report.mailbox,
        "made_at": report.made_at.isoformat(),
        "begun_at": _time(report.begun_at),
        "requests": report.requests,
        "first_request_at": _time(report.first_request_at),
        "last_request_at": _time(report.last_request_at),
        "journal_complete": report.journal_complete,
        "version": report.version,
        "passed": report.count(Outcome.PASSED),
        "failed": report.count(Outcome.FAILED),
        "not_seen": report.count(Outcome.NOT_SEEN),
        "required_failed": report.ids(Outcome.FAILED, required=True),
        "required_not_seen": report.missing,
        "cases": [_case(case) for case in report.cases],
    }


def _case(case: CaseReport) -> dict[str, Any]:
    return {
        "case": case.case,
        "set": case.set,
        "title": case.title,
        "required": case.required,
        "outcome": case.outcome.value,
        "started_at": _time(case.started_at),
        "ended_at": _time(case.ended_at),
        "attempts": case.attempts,
        "rules": [
            {
                "expected": rule.expected,
                "kept": rule.kept,
                "why": rule.why,
                "entry": rule.entry,
                "fix": rule.fix,
            }
            for rule in case.rules
        ],
        "breach": _breach(case.breach),
        "evidence": [_line(line) for line in case.evidence],
        "evidence_left_out": case.evidence_left_out,
    }


def _breach(breach: Checked | None) -> dict[str, Any] | None:
    if breach is None:
        return None
    return {"expected": breach.expected, "why": breach.why, "entry": breach.entry, "fix": breach.fix}


def _line(line: Line) -> dict[str, Any]:
    return {
        "number": line.number,
        "at": line.at.isoformat(),
        "operation": line.operation,
        "method": line.method,
        "status": line.status,
        "message_id": line.message_id,
        "chunk": line.chunk,
        "bytes": line.bytes,
        "duration_s": round(line.duration_s, 6),
        "reason": line.reason,
        "note": line.note,
    }


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
