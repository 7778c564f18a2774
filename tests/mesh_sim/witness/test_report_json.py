"""A report for programs."""

from __future__ import annotations

import json

from rehearsed import ONCE, WANTED, made
from traces import Tape

from mesh_sim.witness.report import as_json, report_of


def test_a_report_has_the_documented_fields() -> None:
    """The report's own, a case's, a rule's, a breach's and a line's: these and no others."""
    report = as_json(made())
    assert {name: value for name, value in report.items() if name != "cases"} == {
        "mailbox": "X26ABC1",
        "made_at": "2026-11-24T09:01:20+00:00",
        "begun_at": "2026-11-24T09:00:00+00:00",
        "requests": 8,
        "first_request_at": "2026-11-24T09:00:01+00:00",
        "last_request_at": "2026-11-24T09:00:18+00:00",
        "journal_complete": True,
        "version": "0.1.0",
        "passed": 1,
        "failed": 3,
        "not_seen": 3,
        "required_failed": ["401", "handshake-cadence", "token-once"],
        "required_not_seen": ["704", "803"],
    }
    case = report["cases"][2]
    broken = {
        "expected": ONCE.expected,
        "why": "downloaded 3 times before it was acknowledged",
        "entry": 5,
        "fix": ONCE.fix,
    }
    assert {name: value for name, value in case.items() if name not in ("rules", "evidence")} == {
        "case": "401",
        "set": "receiving",
        "title": "receive uncompressed",
        "required": True,
        "outcome": "failed",
        "started_at": "2026-11-24T09:00:13+00:00",
        "ended_at": "2026-11-24T09:00:19+00:00",
        "attempts": 1,
        "breach": broken,
        "evidence_left_out": 0,
    }
    assert case["rules"][1] == broken | {"kept": False}
    assert case["evidence"][1] == {
        "number": 5,
        "at": "2026-11-24T09:00:15+00:00",
        "operation": "download",
        "method": "GET",
        "status": 200,
        "message_id": WANTED,
        "chunk": "",
        "bytes": 2000,
        "duration_s": 0.0214,
        "reason": "",
        "note": "downloaded 3 times before it was acknowledged",
    }


def test_what_did_not_happen_is_null() -> None:
    """Of an empty journal without a rehearsal, and of a case that was kept or not seen."""
    report = as_json(report_of("X26ABC1", None, (), Tape().now, "0.1.0", None))
    assert [report[name] for name in ("begun_at", "first_request_at", "last_request_at")] == [None] * 3
    case = report["cases"][0]
    assert [case[name] for name in ("breach", "started_at", "ended_at")] == [None] * 3
    assert [case[name] for name in ("outcome", "attempts", "rules", "evidence")] == ["not seen", 0, [], []]
    assert as_json(made())["cases"][0]["breach"] is None


def test_it_is_json() -> None:
    """Nothing in it but JSON's own types."""
    report = as_json(made())
    assert json.loads(json.dumps(report)) == report
