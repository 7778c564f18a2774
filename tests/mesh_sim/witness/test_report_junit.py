"""A report as JUnit XML, read back by another project's reader."""

from __future__ import annotations

from datetime import timedelta
from xml.etree import ElementTree as ET

import pytest
from hostile_texts import HOSTILE, rehearsed_with
from junitparser import Failure, JUnitXml, Skipped, TestCase
from rehearsed import WANTED, made, traffic
from traces import BEGUN, Tape, message_id

from mesh_sim.witness.cases.base import Breach, Case, Rule
from mesh_sim.witness.report import Report, as_junit


def _read(report: Report) -> JUnitXml:
    return JUnitXml.fromstring(as_junit(report))


def _cases(xml: JUnitXml) -> dict[str, TestCase]:
    return {str(case.name): case for suite in xml for case in suite}


def test_each_set_is_a_suite_with_its_counts() -> None:
    """In the catalogue's order; the whole has the sums."""
    xml = _read(made())
    assert [(suite.name, suite.tests, suite.failures, suite.skipped, suite.errors) for suite in xml] == [
        ("sending", 2, 0, 1, 0),
        ("receiving", 1, 1, 0, 0),
        ("errors", 1, 0, 1, 0),
        ("declared", 1, 0, 1, 0),
        ("findings", 2, 2, 0, 0),
    ]
    assert (xml.tests, xml.failures, xml.skipped, xml.errors) == (7, 3, 3, 0)
    for suite in xml:
        said = (suite.tests, suite.failures, suite.skipped, suite.time)
        suite.update_statistics()
        assert said == (suite.tests, suite.failures, suite.skipped, suite.time)


def test_each_case_is_a_test() -> None:
    """By its set, id and title, with the time that its attempt took and what became of it."""
    cases = _cases(_read(made()))
    assert {(case.classname, name, case.time) for name, case in cases.items()} == {
        ("witness.sending", "201 send uncompressed", 3),
        ("witness.sending", "202 send compressed", 0),
        ("witness.receiving", "401 receive uncompressed", 6),
        ("witness.errors", "704 no such message", 0),
        ("witness.declared", "803 undelivered reports are dealt with", 0),
        ("witness.findings", "handshake-cadence a handshake a day", 0),
        ("witness.findings", "token-once no token is used twice", 0),
    }
    assert not cases["201 send uncompressed"].result


def test_a_failure_says_why_and_shows_it() -> None:
    """What was expected and seen, what to fix, and the requests with the one that broke it marked."""
    (failure,) = _cases(_read(made()))["401 receive uncompressed"].result
    assert isinstance(failure, Failure)
    assert failure.message == "downloaded 3 times before it was acknowledged"
    assert failure.type == "the message is downloaded once"
    assert str(failure.text).splitlines() == [
        "expected: the message is downloaded once",
        "seen: downloaded 3 times before it was acknowledged (request 5)",
        "what to fix: acknowledge it before the inbox is checked again",
        "",
        "expected: a handshake came in the 24 hours before",
        "seen: no handshake was seen at all",
        "what to fix: have the client shake hands once a day",
        "",
        "evidence, 3 requests; times are in UTC:",
        "  Tuesday 24 November 2026",
        f"  09:00:13.000       3  GET download  200  {WANTED}  2,000 B  MD5 9e107d9d372bb6826bd81d3542a419d6",
        f"> 09:00:15.000       5  GET download  200  {WANTED}  2,000 B  {failure.message}",
        f"  09:00:17.000       7  GET download  200  {WANTED}  2,000 B",
    ]


def test_what_is_left_out_of_the_evidence_is_counted() -> None:
    """In its place, and in the sum; a new day is named."""
    tape = Tape()
    for number in range(100):
        tape.download(message_id(number)).wait(hours=1)
    rule = Rule("all is well", lambda trace: Breach("it is not", trace.entries[50]), "mend it")
    case = Case("601", "high volume", "600 messages", (rule,), lambda trace: trace.entries)
    (failure,) = _cases(_read(made(tape, cases=[case])))["601 600 messages"].result
    lines = str(failure.text).splitlines()
    assert "evidence, 100 requests; times are in UTC:" in lines
    left_out = [int(line.split()[1]) for line in lines if line.startswith("  ... ")]
    assert sum(left_out) == 40
    assert len(left_out) == 2
    assert "  Wednesday 25 November 2026" in lines


def test_a_case_that_was_not_seen_is_skipped_and_says_how_to_start_it() -> None:
    """With the command, unless it is judged by the whole traffic."""
    cases = _cases(_read(made()))
    results = {name[:3]: case.result[0] for name, case in cases.items() if case.is_skipped}
    assert all(isinstance(result, Skipped) for result in results.values())
    assert "'mesh-sim witness start --mailbox X26ABC1 --case 704'" in results["704"].message
    assert "needs no start" in results["803"].message


@pytest.mark.parametrize("complete", [True, False])
def test_the_suites_say_what_was_rehearsed(complete: bool) -> None:
    """The mailbox, when it began, the program's version; a warning where the journal lost something."""
    oldest_kept = None if complete else BEGUN + timedelta(seconds=5)
    for suite in _read(made(*traffic(), oldest_kept=oldest_kept)):
        properties = {each.name: each.value for each in suite.properties()}
        assert ("--fresh" in properties.pop("warning", "")) is not complete
        assert properties == {
            "mailbox": "X26ABC1",
            "begun": "2026-11-24 09:00:00 UTC",
            "requests": "8",
            "version": "0.1.0",
        }


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_of_clients_are_no_markup(text: str) -> None:
    """Whatever a request's reason holds, it is read back as text; what XML cannot hold is replaced."""
    written = as_junit(rehearsed_with(text))
    root = ET.fromstring(written)
    assert {element.tag for element in root.iter()} == {
        "testsuites", "testsuite", "properties", "property", "testcase", "failure",
    }  # fmt: skip
    assert len(list(_read(rehearsed_with(text)))) == 1
