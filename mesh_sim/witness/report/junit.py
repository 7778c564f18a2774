"""A report as JUnit XML, for pipelines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from xml.etree import ElementTree as ET

from mesh_sim.witness.cases.base import Outcome
from mesh_sim.witness.report.evidence import Line
from mesh_sim.witness.report.model import CaseReport, Report
from mesh_sim.witness.report.wording import clock, day, fit, forgotten, moment, unseen


def as_junit(report: Report) -> bytes:
    """Write the report as JUnit XML: a suite for each set of cases."""
    root = ET.Element("testsuites", {"name": f"witness test of {report.mailbox}"} | _counts(report.cases))
    for name, cases in groupby(report.cases, key=lambda case: case.set):
        _suite(root, name, list(cases), report)
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{fit(text)}\n'.encode()


def _suite(root: ET.Element, name: str, cases: Sequence[CaseReport], report: Report) -> None:
    named = {"name": name, "timestamp": f"{report.made_at:%Y-%m-%dT%H:%M:%S}"}
    suite = ET.SubElement(root, "testsuite", named | _counts(cases))
    properties = ET.SubElement(suite, "properties")
    for key, value in _properties(report):
        ET.SubElement(properties, "property", name=key, value=value)
    for case in cases:
        test = ET.SubElement(
            suite,
            "testcase",
            classname=f"witness.{case.set}",
            name=f"{case.case} {case.title}",
            time=f"{_seconds(case):.3f}",
        )
        if case.outcome is Outcome.NOT_SEEN:
            ET.SubElement(test, "skipped", message=f"not seen. {unseen(case, report.mailbox)}")
        elif case.breach is not None:
            failure = ET.SubElement(test, "failure", message=case.breach.why, type=case.breach.expected)
            failure.text = "\n".join(_failure(case, report))


def _properties(report: Report) -> Iterator[tuple[str, str]]:
    yield "mailbox", report.mailbox
    if report.begun_at is not None:
        yield "begun", moment(report.begun_at)
    yield "requests", str(report.requests)
    yield "version", report.version
    if warning := forgotten(report):
        yield "warning", warning


def _counts(cases: Sequence[CaseReport]) -> dict[str, str]:
    outcomes = [case.outcome for case in cases]
    return {
        "tests": str(len(cases)),
        "failures": str(outcomes.count(Outcome.FAILED)),
        "errors": "0",
        "skipped": str(outcomes.count(Outcome.NOT_SEEN)),
        "time": f"{sum(map(_seconds, cases)):.3f}",
    }


def _seconds(case: CaseReport) -> float:
    """How long the attempt took; 0 where there was none."""
    if case.started_at is None or case.ended_at is None:
        return 0.0
    return (case.ended_at - case.started_at).total_seconds()


def _failure(case: CaseReport, report: Report) -> Iterator[str]:
    first = case.breach
    broken = [rule for rule in case.rules if not rule.kept]
    for rule in sorted(broken, key=lambda rule: rule != first):
        yield f"expected: {rule.expected}"
        yield f"seen: {rule.why}" + ("" if rule.entry is None else f" (request {rule.entry})")
        yield f"what to fix: {rule.fix}"
        yield ""
    if warning := forgotten(report):
        yield warning
        yield ""
    yield f"evidence, {len(case.evidence) + case.evidence_left_out:,} requests; times are in UTC:"
    for before, line in zip((None, *case.evidence), case.evidence, strict=False):
        if before is None or day(before.at) != day(line.at):
            yield f"  {day(line.at)}"
        if line.left_out_before:
            yield f"  ... {line.left_out_before:,} left out"
        yield _line(line)


def _line(line: Line) -> str:
    said = [
        clock(line.at),
        f"{line.number:>6}",
        f"{line.method} {line.operation}",
        str(line.status or "---"),
        line.message_id,
        f"chunk {line.chunk}" if line.chunk else "",
        f"{line.bytes:,} B",
        line.reason,
        line.note,
    ]
    return ("> " if line.broke else "  ") + "  ".join(filter(None, said))
