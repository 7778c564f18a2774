"""A report's verdicts, and which requests it shows as evidence."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta

import pytest
from rehearsed import (
    CADENCE,
    CASES,
    MISSING,
    ONCE,
    RECEIVING,
    SENT,
    TOKENS,
    attempt,
    made,
    staged,
    traffic,
)
from traces import BEGUN, MAILBOX, Tape, message_id

from mesh_sim.witness.cases.base import Breach, Case, Outcome, Rule
from mesh_sim.witness.rehearsal import Rehearsal
from mesh_sim.witness.report.evidence import MOST_LINES
from mesh_sim.witness.report.model import CaseReport, Report, report_of
from mesh_sim.witness.report.wording import unseen

MISSES = ("hash is right for what the token says: yes", "timestamp is 3 h behind the server's")
"""What is found of a token whose client's clock is off."""


def _case(report: Report, case: str) -> CaseReport:
    (found,) = (each for each in report.cases if each.case == case)
    return found


def test_every_case_is_judged_in_the_catalogues_order() -> None:
    """Each has its outcome, and the counts are those of the outcomes."""
    report = made()
    assert [(case.case, case.outcome.value) for case in report.cases] == [
        ("201", "passed"),
        ("202", "not seen"),
        ("401", "failed"),
        ("704", "not seen"),
        ("803", "not seen"),
        ("handshake-cadence", "failed"),
        ("token-once", "failed"),
    ]
    assert [report.count(outcome) for outcome in Outcome] == [1, 3, 3]
    assert report.ids(Outcome.FAILED, required=True) == ["401", "handshake-cadence", "token-once"]
    assert report.ids(Outcome.NOT_SEEN, required=True) == ["704", "803"]
    assert report.ids(Outcome.NOT_SEEN, required=False) == ["202"]


def test_the_whole_catalogue_is_judged_unless_told_otherwise() -> None:
    """No case is forgotten, each once, and a client that did nothing has passed none."""
    report = report_of(MAILBOX, None, (), BEGUN, "0.1.0", None)
    ids = [case.case for case in report.cases]
    assert {"201", "202", "401", "402", "501", "502", "601", "701", "705", "803", "paging"} <= set(ids)
    assert len(set(ids)) == len(ids)
    assert report.count(Outcome.NOT_SEEN) == len(ids)
    assert (report.requests, report.first_request_at, report.last_request_at) == (0, None, None)


def test_the_first_broken_rule_and_its_line() -> None:
    """It is the one that the earliest request broke: with why, by which request, and what to fix."""
    case = _case(made(), "401")
    assert [(rule.kept, rule.entry) for rule in case.rules] == [(False, None), (False, 5)]
    assert case.breach == case.rules[1]
    assert case.breach is not None
    assert case.breach.why == "downloaded 3 times before it was acknowledged"
    assert case.breach.fix == ONCE.fix
    assert [line.number for line in case.evidence if line.broke] == [5]
    (broken,) = (line for line in case.evidence if line.broke)
    assert broken.note.startswith(case.breach.why)


def test_a_kept_rule_says_nothing_but_what_it_expects() -> None:
    """Where nothing broke it there is no why, and no request."""
    case = _case(made(), "201")
    assert [(rule.expected, rule.kept, rule.why, rule.entry) for rule in case.rules] == [
        (SENT.expected, True, "", None)
    ]
    assert case.breach is None


def test_lines_stand_in_the_order_in_which_requests_began() -> None:
    """A request that broke a rule is shown in its place also where the case's evidence leaves it out."""
    tape, rehearsal = traffic()
    tape.entries.reverse()
    case = _case(made(tape, rehearsal), "token-once")
    assert [(line.number, line.operation, line.broke) for line in case.evidence] == [
        (5, "download", True),
        (6, "list", True),
    ]
    assert case.evidence[1].reason == "the token was used before"


def test_a_line_says_what_its_columns_do_not() -> None:
    """Recipient, what an inbox had, compression, digests, overlaps, faults and broken connections."""
    tape = Tape()
    tape.send(method="POST", received=70, sent=20, gzip=True).list(0).list(500, more=True, in_flight=2)
    tape.download(message_id(1), sent=9, md5="aa", message_type="REPORT", chunk="1:2").request("list", 0)
    tape.send_chunk(message_id(2), "2:2", whole_md5="bb")
    tape.entries[4] = replace(tape.entries[4], fault="f1")
    lines = made(tape, cases=[CADENCE]).cases[0].evidence
    assert [line.note for line in lines] == [
        "to X26WIT01; travelled as gzip",
        "nothing waiting",
        "named 500, more waited; begun while 2 others went on",
        "a report; MD5 aa",
        "the connection broke before an answer; the injected fault f1 acted on it",
        "MD5 of the whole bb",
    ]
    assert [line.bytes for line in lines[:4]] == [70, 0, 0, 9]
    assert lines[3].chunk == "1:2"


@pytest.mark.parametrize("broke", [(), (900,), (0,), (1799,), (400, 1200), tuple(range(100, 1700, 40))])
def test_long_evidence_is_cut_around_what_broke_a_rule(broke: tuple[int, ...]) -> None:
    """The first, the last, and each line that broke a rule with its neighbours; the others are counted."""
    tape = Tape()
    for number in range(1800):
        tape.download(message_id(number))
    rules = [
        Rule(f"rule {place}", lambda trace, place=place: Breach("so", trace.entries[place]), "fix")
        for place in broke
    ]
    case = Case("601", "high volume", "600 messages", tuple(rules), lambda trace: trace.entries)
    (found,) = made(tape, cases=[case]).cases
    numbers = [line.number for line in found.evidence]
    assert numbers == sorted(numbers)
    assert len(numbers) == MOST_LINES
    assert {1, 1800, *(place + 1 for place in broke)} <= set(numbers)
    if len(broke) == 1:
        assert set(range(broke[0] - 5, broke[0] + 7)) & set(range(1, 1801)) <= set(numbers)
    assert found.evidence_left_out == 1800 - MOST_LINES
    gaps = [line.left_out_before for line in found.evidence]
    assert gaps == [number - before - 1 for before, number in zip((0, *numbers), numbers, strict=False)]


def test_a_staged_case_is_judged_by_its_latest_attempt() -> None:
    """What an earlier attempt got wrong no longer counts; how many there were is said."""
    tape, rehearsal = traffic()
    begin = tape.now
    tape.download(message_id(8)).acknowledge(message_id(8))
    again = attempt("401", begin, tape.now)
    rehearsal = replace(rehearsal, attempts=(*rehearsal.attempts, again))
    once = Rule(
        "once in the attempt",
        lambda trace: (
            Breach("more than one") if sum(e.operation == "download" for e in trace.within) > 1 else None
        ),
        "",
    )
    (found,) = made(tape, rehearsal, cases=[staged("401", "download", once)]).cases
    assert (found.outcome, found.attempts) == (Outcome.PASSED, 2)
    assert (found.started_at, found.ended_at, found.under_way) == (begin, again.ended_at, False)
    assert [line.message_id for line in found.evidence] == [message_id(8)]


def test_a_case_sees_when_each_stage_of_any_attempt_was_set_up() -> None:
    """When anything was set up or put back, in whichever attempt, is known to every case, in order."""
    tape, rehearsal = traffic()
    rehearsal = replace(rehearsal, attempts=rehearsal.attempts[::-1])
    seen = []
    rule = Rule("", lambda trace: seen.append(trace.stagings), "")
    made(tape, rehearsal, cases=[Case("x", "findings", "x", (rule,), lambda trace: trace.entries)])
    moments = [at for each in rehearsal.attempts for at in (*each.steps_at, each.ended_at)]
    assert seen == [tuple(sorted(at for at in moments if at))]
    assert len(seen[0]) > len(rehearsal.attempts)


def test_a_staged_case_that_was_never_started_is_not_seen() -> None:
    """Not even where the traffic has requests that would do."""
    tape, rehearsal = traffic()
    found = made(tape, Rehearsal(MAILBOX, BEGUN, rehearsal.attempts[:1]), cases=[RECEIVING]).cases[0]
    assert (found.outcome, found.attempts, found.started_at) == (Outcome.NOT_SEEN, 0, None)
    assert (found.rules, found.evidence) == ((), ())
    assert found.expected == tuple(rule.expected for rule in RECEIVING.rules)
    assert made(tape, cases=[RECEIVING]).cases[0].outcome is Outcome.NOT_SEEN


def test_an_attempt_under_way_is_judged_so_far() -> None:
    """It has begun and not ended; without a request it is not seen."""
    tape = Tape()
    rehearsal = Rehearsal(MAILBOX, BEGUN, (attempt("704", BEGUN, None),))
    found = made(tape, rehearsal, cases=[MISSING]).cases[0]
    assert (found.outcome, found.under_way, found.attempts) == (Outcome.NOT_SEEN, True, 1)
    tape.download(message_id(1), 404)
    assert made(tape, rehearsal, cases=[MISSING]).cases[0].outcome is Outcome.PASSED


def test_an_attempt_under_way_is_not_blamed_for_what_may_yet_come() -> None:
    """It fails by a request that was wrong; for one that is missing only once it has ended."""
    tape = Tape().list(1).download(message_id(1))
    ended = Rehearsal(MAILBOX, BEGUN, (attempt("401", BEGUN, tape.now),))
    under_way = Rehearsal(MAILBOX, BEGUN, (attempt("401", BEGUN, None),))
    assert made(tape, ended, cases=[RECEIVING]).cases[0].outcome is Outcome.FAILED
    found = made(tape, under_way, cases=[RECEIVING]).cases[0]
    assert (found.outcome, found.rules, found.breach) == (Outcome.NOT_SEEN, (), None)
    assert [line.operation for line in found.evidence] == ["download"]
    assert unseen(found, MAILBOX).startswith("It is under way")
    tape.download(message_id(1))
    assert made(tape, under_way, cases=[RECEIVING]).cases[0].outcome is Outcome.FAILED


def test_what_came_before_the_rehearsal_does_not_count() -> None:
    """Nor do the requests of other mailboxes; without a rehearsal everything of the mailbox does."""
    tape = Tape()
    tape.request("list", 403).handshake().list(0)
    tape.entries[0] = replace(tape.entries[0], at=BEGUN - timedelta(seconds=1))
    tape.entries[2] = replace(tape.entries[2], mailbox="X26ABC2")
    report = made(tape, Rehearsal(MAILBOX, BEGUN), cases=[TOKENS])
    assert (report.requests, report.cases[0].outcome) == (1, Outcome.NOT_SEEN)
    assert report.first_request_at == report.last_request_at == tape.entries[1].at
    report = made(tape, cases=[TOKENS])
    assert (report.requests, report.cases[0].outcome) == (2, Outcome.FAILED)
    assert report.begun_at is None


@pytest.mark.parametrize(
    ("lost", "rehearsed", "complete"),
    [(None, True, True), (0, True, True), (-5, True, True), (5, True, False), (None, False, True)],
)
def test_a_journal_that_lost_something_of_the_rehearsal(
    lost: int | None, rehearsed: bool, complete: bool
) -> None:
    """It is not complete where it reaches back only to some time after the rehearsal began."""
    tape, rehearsal = traffic()
    oldest_kept = None if lost is None else BEGUN + timedelta(seconds=lost)
    report = made(tape, rehearsal if rehearsed else None, oldest_kept=oldest_kept)
    assert report.journal_complete is complete


def test_the_clients_are_named_once() -> None:
    """By their User-Agent, in order of appearance, and not without end."""
    tape = Tape()
    for number in range(20):
        tape.list(0)
        tape.entries[-1] = replace(tape.entries[-1], user_agent=f"client/{number // 2}" if number else "")
    assert made(tape).clients == tuple(f"client/{number}" for number in range(5))


def test_why_a_token_was_refused_is_shown() -> None:
    """What the simulator found beside the reason goes with it: there the developer finds what to mend."""
    tape = Tape().request("list", 403, reason="the timestamp is not within 2 hours")
    tape.entries[0] = replace(tape.entries[0], near_misses=MISSES)
    (line,) = made(tape, cases=[CADENCE]).cases[0].evidence
    assert line.note == f"looked at closely: {MISSES[1]}"


def test_a_hundred_thousand_requests_are_judged_in_seconds() -> None:
    """The whole catalogue over a full journal: no rule looks at all of it again for each request."""
    tape = Tape()
    tape.handshake()
    while len(tape.entries) < 100_000:
        wanted = message_id(len(tape.entries))
        tape.list(1).download(wanted, md5="aa").acknowledge(wanted).send().list(0).wait(minutes=6)
    began = time.perf_counter()
    report = report_of(MAILBOX, None, tape.entries, tape.now, "0.1.0", None)
    assert time.perf_counter() - began < 20
    assert report.requests == len(tape.entries)


def test_rules_of_the_tests_own_can_break() -> None:
    """A client that does everything right keeps the rules of the made-up cases."""
    tape = Tape()
    tape.handshake().download(message_id(1)).acknowledge(message_id(1))
    trace = tape.trace()
    assert not any(rule.check(trace) for case in CASES for rule in case.rules)
