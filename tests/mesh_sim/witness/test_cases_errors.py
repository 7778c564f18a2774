"""Cases 701 to 705: what breaks each of their rules, what does not, and when a step is done."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flaws import Flaw, check, faulty, found, repeat, try_everything, without_flaw
from hypothesis import given
from traces import Tape, any_trace, message_id

from mesh_sim.witness.cases.base import Case, Expiry, Outcome, judge
from mesh_sim.witness.cases.errors import CASES
from mesh_sim.witness.rehearsal import DORMANT, NOBODY
from mesh_sim.witness.trace import Trace

BY_ID = {case.id: case for case in CASES}
REPORT, NAMED, REFUSED = message_id(801), message_id(802), message_id(803)


def disabled() -> Tape:
    """Case 701, set up."""
    return Tape("701").stage()


def to_nobody() -> Tape:
    """Case 702, set up."""
    return Tape("702").stage(recipient=NOBODY)


def refused(tape: Tape | None = None) -> Tape:
    """A send that meets 417."""
    return (tape or to_nobody()).send(417, to=NOBODY, message=REFUSED)


def to_dormant() -> Tape:
    """Case 703, set up."""
    return Tape("703").stage(recipient=DORMANT)


def expired(tape: Tape | None = None) -> Tape:
    """Case 703 with the message sent and the report waiting."""
    return (tape or to_dormant().send(to=DORMANT)).stage(report_id=REPORT)


def named(case: str) -> Tape:
    """Case 704 or 705, set up."""
    return Tape(case).stage(message_ids=(NAMED,))


PASSING: dict[str, tuple[str, Callable[[], Tape]]] = {
    "701, stops at once": ("701", lambda: disabled().handshake(status=403)),
    "701, tries twice more": ("701", lambda: repeat(3, disabled(), lambda tape: tape.list(status=403))),
    "701, asks before and after": (
        "701",
        lambda: repeat(9, repeat(9, Tape("701"), Tape.list).stage().list(status=403).end(), Tape.list),
    ),
    "701, the server failed now and then": (
        "701",
        lambda: repeat(9, disabled(), lambda tape: tape.list(status=503)).list(status=403),
    ),
    "702, reported": ("702", lambda: refused().end(exit_statuses=(1,))),
    "702, by hand": ("702", lambda: refused().end(exit_statuses=(None,))),
    "702, not ended yet": ("702", refused),
    "702, once more": ("702", lambda: refused(refused())),
    "702, after the server failed": (
        "702",
        lambda: refused(repeat(3, to_nobody(), lambda tape: tape.send(503, to=NOBODY))),
    ),
    "702, to a mistyped mailbox": ("702", lambda: to_nobody().send(417, to="")),
    "702, tokens refused first": (
        "702",
        lambda: refused(repeat(3, to_nobody(), lambda tape: tape.send(403, to=NOBODY))),
    ),
    "702, another message tracked": ("702", lambda: refused().request("track", message=message_id(1))),
    "702, a refusal without an id": (
        "702",
        lambda: to_nobody().request("send", 417, recipient=NOBODY).request("track", 404),
    ),
    "703": ("703", lambda: expired().download(REPORT, message_type="REPORT").acknowledge(REPORT)),
    "703, a download broke off": (
        "703",
        lambda: expired().download(REPORT, 0).download(REPORT).acknowledge(REPORT),
    ),
    "703, acknowledged twice": (
        "703",
        lambda: expired().download(REPORT).acknowledge(REPORT, status=503).acknowledge(REPORT),
    ),
    "703, the answer to the acknowledgement was lost": (
        "703",
        lambda: expired().download(REPORT).acknowledge(REPORT, status=0),
    ),
    "703, in chunks": (
        "703",
        lambda: (
            expired(to_dormant().send(to=DORMANT, message=NAMED, chunk="1:2").send_chunk(NAMED, "2:2"))
            .download(REPORT)
            .acknowledge(REPORT)
        ),
    ),
    "703, the answer to the last chunk was lost": (
        "703",
        lambda: (
            expired(
                to_dormant()
                .send(to=DORMANT, message=NAMED, chunk="1:2")
                .send_chunk(NAMED, "2:2", 0)
                .send_chunk(NAMED, "2:2", 423)
            )
            .download(REPORT)
            .acknowledge(REPORT)
        ),
    ),
    "703, refused before it was sent": (
        "703",
        lambda: (
            expired(to_dormant().send(400, to=DORMANT).send(to=DORMANT)).download(REPORT).acknowledge(REPORT)
        ),
    ),
    "704": ("704", lambda: named("704").download(NAMED, 404)),
    "704, twice more": ("704", lambda: repeat(3, named("704"), lambda tape: tape.download(NAMED, 404))),
    "704, put off first": (
        "704",
        lambda: repeat(9, named("704"), lambda tape: tape.download(NAMED, 429)).download(NAMED, 404),
    ),
    "704, a fault injected": ("704", lambda: faulty(named("704").download(NAMED, 400)).download(NAMED, 404)),
    "704, asks for the headers first": ("704", lambda: named("704").request("head", 404, message=NAMED)),
    "705": ("705", lambda: named("705").download(NAMED, 410)),
    "705, another message downloaded often": (
        "705",
        lambda: repeat(5, named("705"), lambda tape: tape.download(message_id(1))).download(NAMED, 410),
    ),
}

NOT_SEEN: dict[str, tuple[str, Callable[[], Tape]]] = {
    "701, not started": ("701", lambda: Tape().list(status=403)),
    "701, nothing asked": ("701", lambda: Tape("701").list(status=403).stage()),
    "701, the server failed": ("701", lambda: disabled().list(status=503).list(status=0)),
    "702, sent to another mailbox": ("702", lambda: to_nobody().send()),
    "702, the server failed": ("702", lambda: to_nobody().send(503, to=NOBODY)),
    "703, sent to another mailbox": ("703", lambda: to_dormant().send()),
    "703, the server failed": ("703", lambda: to_dormant().send(503, to=DORMANT)),
    "704, another message": ("704", lambda: named("704").download(message_id(1), 404)),
    "704, no id yet": ("704", lambda: Tape("704").stage().download("", 404)),
    "705, broke off": ("705", lambda: named("705").download(NAMED, 0)),
}

FLAWS: dict[str, Flaw] = {
    "701, a path that there is not": Flaw(
        BY_ID["701"], 0, 1, "answered 404", lambda: disabled().request("-", 404)
    ),
    "701, hammers": Flaw(
        BY_ID["701"],
        1,
        4,
        "7 such requests",
        lambda: repeat(7, disabled(), lambda tape: tape.list(status=403)),
    ),
    "701, hammers with handshakes and lists": Flaw(
        BY_ID["701"],
        1,
        4,
        "4 such requests",
        lambda: repeat(2, disabled(), lambda tape: tape.handshake(status=403).list(status=403)),
    ),
    "702, no recipient": Flaw(BY_ID["702"], 0, 1, "answered 400", lambda: to_nobody().send(400, to="")),
    "702, tracks": Flaw(
        BY_ID["702"],
        1,
        2,
        f"tracked message {REFUSED}",
        lambda: refused().request("track", 404, message=REFUSED),
    ),
    "702, tracks much later": Flaw(
        BY_ID["702"],
        1,
        2,
        "tracked",
        lambda: refused().end().wait(hours=1).request("track", 404, message=REFUSED),
    ),
    "702, goes on with chunks": Flaw(
        BY_ID["702"], 1, 2, "another chunk", lambda: refused().send_chunk(REFUSED, "2:2", 404)
    ),
    "702, hammers": Flaw(
        BY_ID["702"], 2, 3, "5 such requests, where 2 are enough", lambda: repeat(5, to_nobody(), refused)
    ),
    "702, takes 417 for success": Flaw(
        BY_ID["702"], 3, 1, "status 0", lambda: refused().end(exit_statuses=(0,))
    ),
    "703, refused": Flaw(BY_ID["703"], 0, 1, "answered 400", lambda: to_dormant().send(400, to=DORMANT)),
    "703, a chunk missing": Flaw(
        BY_ID["703"],
        0,
        1,
        "chunks of the message are missing",
        lambda: to_dormant().send(to=DORMANT, message=NAMED, chunk="1:3").send_chunk(NAMED, "3:3"),
    ),
    "703, given up before it expired": Flaw(
        BY_ID["703"], 1, None, "no report", lambda: to_dormant().send(to=DORMANT).end()
    ),
    "703, report left": Flaw(
        BY_ID["703"], 1, None, "never downloaded", lambda: expired().list(1).acknowledge(REPORT)
    ),
    "703, report put off and not asked for again": Flaw(
        BY_ID["703"], 1, None, "never downloaded", lambda: expired().download(REPORT, 503)
    ),
    "703, report acknowledged in vain": Flaw(
        BY_ID["703"],
        2,
        2,
        "not acknowledged",
        lambda: expired().download(REPORT).acknowledge(REPORT, status=400),
    ),
    "703, report refused": Flaw(BY_ID["703"], 1, 2, "answered 400", lambda: expired().download(REPORT, 400)),
    "703, report not acknowledged": Flaw(
        BY_ID["703"], 2, 2, "not acknowledged", lambda: expired().download(REPORT)
    ),
    "703, acknowledged before": Flaw(
        BY_ID["703"], 2, 3, "not acknowledged", lambda: expired().acknowledge(REPORT).download(REPORT)
    ),
    "704, refused otherwise": Flaw(
        BY_ID["704"], 0, 1, "answered 403", lambda: named("704").download(NAMED, 403)
    ),
    "704, hammers": Flaw(
        BY_ID["704"],
        1,
        4,
        "60 such",
        lambda: repeat(60, named("704"), lambda tape: tape.download(NAMED, 404)),
    ),
    "704, hammers with HEAD": Flaw(
        BY_ID["704"],
        1,
        4,
        "4 such",
        lambda: repeat(
            2, named("704"), lambda tape: tape.request("head", 404, message=NAMED).download(NAMED, 404)
        ),
    ),
    "705, still there": Flaw(BY_ID["705"], 0, 1, "answered 200", lambda: named("705").download(NAMED)),
    "705, hammers": Flaw(
        BY_ID["705"],
        1,
        4,
        "4 such",
        lambda: repeat(
            2, named("705"), lambda tape: tape.download(NAMED, 410).download_chunk(NAMED, "", 410)
        ),
    ),
}


@pytest.mark.parametrize("name", PASSING)
def test_what_a_sound_client_does_passes(name: str) -> None:
    """A client that does as the case asks passes it, retries after trouble included."""
    case, tape = PASSING[name]
    assert found(BY_ID[case], tape()) == (Outcome.PASSED, [])


@pytest.mark.parametrize("name", NOT_SEEN)
def test_a_case_whose_subject_is_missing_is_not_seen(name: str) -> None:
    """Without a request that the case is about, there is nothing to judge."""
    case, tape = NOT_SEEN[name]
    assert found(BY_ID[case], tape()) == (Outcome.NOT_SEEN, [])


@pytest.mark.parametrize("name", FLAWS)
def test_a_flaw_breaks_its_rule_alone(name: str) -> None:
    """A flaw breaks one rule, at the request that shows it, in words that have the figures."""
    check(FLAWS[name])


def test_every_rule_has_a_flaw_and_every_case_a_trace_that_passes() -> None:
    """Each rule of the set is broken by one of the flaws above, and each case is passed."""
    assert without_flaw(CASES, FLAWS.values()) == []
    assert {case for case, _ in PASSING.values()} == set(BY_ID)


@pytest.mark.parametrize(
    ("case", "step", "before", "after"),
    [
        ("701", 0, lambda: disabled().list(status=503), lambda tape: tape.list(status=403)),
        ("702", 0, lambda: to_nobody().send(503, to=NOBODY).send(), refused),
        ("702", 0, to_nobody, lambda tape: tape.send(400, to="")),
        ("703", 0, lambda: to_dormant().send(400, to=DORMANT).send(), lambda tape: tape.send(to=DORMANT)),
        (
            "703",
            0,
            lambda: to_dormant().send(to=DORMANT, message=NAMED, chunk="1:2"),
            lambda tape: tape.send_chunk(NAMED, "2:2"),
        ),
        ("703", 1, lambda: expired().download(REPORT), lambda tape: tape.acknowledge(REPORT)),
        (
            "703",
            1,
            lambda: expired().acknowledge(REPORT, status=503),
            lambda tape: tape.acknowledge(REPORT),
        ),
        ("703", 1, lambda: expired().acknowledge(NAMED), lambda tape: tape.acknowledge(REPORT)),
        ("704", 0, lambda: named("704").download(NAMED, 503), lambda tape: tape.download(NAMED, 404)),
        ("704", 0, lambda: named("704").list(1), lambda tape: tape.download(NAMED, 403)),
        ("705", 0, lambda: named("705").download(NAMED, 0), lambda tape: tape.download(NAMED, 200)),
    ],
)
def test_a_step_is_done_when_all_of_it_was_seen(
    case: str, step: int, before: Callable[[], Tape], after: Callable[[Tape], Tape]
) -> None:
    """A step is done with its last request, rightly or wrongly answered, and not before."""
    tape, done = before(), BY_ID[case].steps[step].done
    assert not done(tape.trace())
    assert done(after(tape).trace())


def test_only_the_cases_that_wait_for_expiry_move_the_clock() -> None:
    """Simulated time passes in 703's second step and before 705's only one."""
    assert [case.id for case in CASES if case.moves_clock] == ["703", "705"]
    assert BY_ID["703"].steps[1].props == (Expiry(),)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_what_to_do_is_told_with_known_placeholders(case: Case) -> None:
    """Each step's words can be filled in, and name whom or what the client needs to know."""
    for step in case.steps:
        told = step.tell.format(
            mailbox="X26ABC1", recipient="TO", message_id="MESSAGE", workflow="WORKFLOW", count=1
        )
        assert {"send": "TO", "collect": "X26ABC1", "download": "MESSAGE"}[step.action] in told


def test_the_check_that_named_the_report_is_shown() -> None:
    """Where the report was left, the send stands in the evidence, and the inbox that had it."""
    tape = Tape("703").list().stage(recipient=DORMANT).send(to=DORMANT).list()
    verdict = judge(BY_ID["703"], expired(tape).list(1).trace())
    assert [entry.number for entry in verdict.evidence] == [2, 4]


@given(trace=any_trace("703"))
def test_nothing_raises_whatever_was_asked(trace: Trace) -> None:
    """No rule, evidence or step of the set fails on any traffic, and no more is shown than can be read."""
    for case in CASES:
        try_everything(case, trace)
