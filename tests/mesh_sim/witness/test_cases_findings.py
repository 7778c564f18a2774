"""The findings over a mailbox's whole traffic: what breaks each of their rules, and what does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from flaws import Flaw, check, collected, faulty, found, repeat, staged, started, try_everything, without_flaw
from hypothesis import given
from traces import Tape, any_trace, message_id

from mesh_sim.witness.cases.base import Case, Outcome, judge
from mesh_sim.witness.cases.findings import CASES
from mesh_sim.witness.cases.follow_ups import ACKNOWLEDGE_PROMPTLY, INBOX_AFTER_SEND, PAGING
from mesh_sim.witness.journal import REPLAYED, Entry
from mesh_sim.witness.trace import Trace

FOLLOW_UPS = {case.id for case in (INBOX_AFTER_SEND, ACKNOWLEDGE_PROMPTLY, PAGING)}
"""Those that have tests of their own."""
BY_ID = {case.id: case for case in CASES if case.id not in FOLLOW_UPS}
ONE, TWO = message_id(901), message_id(902)
BROKEN_OFF = "broken off before the whole answer was sent"


def timer_of_five_minutes() -> Tape:
    """A client that polls every five minutes to the second, whatever it does in between."""
    tape = Tape()
    begun = tape.now
    for poll in range(4):
        tape.now = begun + timedelta(minutes=5 * poll)
        collected(tape.list(1), message_id(poll)).wait(seconds=40).list().wait(seconds=60).send().list()
    return tape


def checked_by_hand() -> Tape:
    """A timer of five minutes takes the check that a staging calls for; then comes the tester's own."""
    tape = staged(Tape().list().wait(seconds=295)).wait(seconds=3).list()
    return tape.wait(seconds=9).list().wait(seconds=289).list().wait(seconds=299).list()


PASSING: dict[str, tuple[str, Callable[[], Tape]]] = {
    "one handshake": ("handshake-cadence", lambda: started().list().send().list()),
    "a handshake 23 hours ago": ("handshake-cadence", lambda: started().wait(hours=23).list()),
    "a handshake a day": (
        "handshake-cadence",
        lambda: repeat(5, Tape(), lambda tape: tape.handshake().list().wait(hours=23)),
    ),
    "handshakes alone, a day apart": (
        "handshake-cadence",
        lambda: repeat(5, Tape(), lambda tape: tape.handshake().wait(hours=24)),
    ),
    "a poll just before the next day's handshake": (
        "handshake-cadence",
        lambda: started().wait(hours=24).list().handshake(),
    ),
    "two handshakes in a row": ("handshake-cadence", lambda: started().handshake().list()),
    "handshakes tried again": (
        "handshake-cadence",
        lambda: repeat(4, Tape(), lambda tape: tape.handshake(status=503)).handshake().list(),
    ),
    "handshakes refused": (
        "handshake-cadence",
        lambda: repeat(3, Tape(), lambda tape: tape.handshake(status=403)).handshake().list(),
    ),
    "a request too late, but put off": (
        "handshake-cadence",
        lambda: started().wait(hours=25).list(status=503).handshake().list(),
    ),
    "a handshake that broke off": ("handshake-cadence", lambda: Tape().handshake(status=0).list()),
    "nothing but the server's failures": ("handshake-cadence", lambda: Tape().list(status=503)),
    "downloaded once": ("download-once", lambda: collected(Tape(), ONE, TWO)),
    "each chunk downloaded once": (
        "download-once",
        lambda: (
            Tape()
            .download(ONE, 206, chunk="1:3")
            .download_chunk(ONE, "2:3", 206)
            .download_chunk(ONE, "3:3")
            .acknowledge(ONE)
        ),
    ),
    "downloaded again after it broke off": (
        "download-once",
        lambda: Tape().download(ONE, reason=BROKEN_OFF).download(ONE, 0).download(ONE, 503).download(ONE),
    ),
    "downloaded again after a fault": ("download-once", lambda: faulty(Tape().download(ONE)).download(ONE)),
    "downloaded again after its acknowledgement": (
        "download-once",
        lambda: collected(collected(Tape(), ONE), ONE),
    ),
    "a poll every five minutes": (
        "polling",
        lambda: repeat(5, Tape(), lambda tape: tape.list().wait(seconds=299)),
    ),
    "a poll every five minutes, by an inexact timer": (
        "polling",
        lambda: repeat(5, Tape(), lambda tape: tape.list().wait(seconds=297)),
    ),
    "a poll every five minutes, whatever comes between": ("polling", timer_of_five_minutes),
    "a check by hand beside the timer": ("polling", checked_by_hand),
    "polled across a staging": ("polling", lambda: staged(Tape().list()).list()),
    "polled after a send": ("polling", lambda: Tape().list().send().list()),
    "polled after an acknowledgement": ("polling", lambda: collected(Tape().list(), ONE).list()),
    "polled again after the server failed": (
        "polling",
        lambda: Tape().list(status=503).list(status=503).list(status=0).list(),
    ),
    "polled while something waits": ("polling", lambda: Tape().list(2).list(2).list(1).list()),
    "tokens used once": ("token-once", lambda: started().list()),
    "tokens refused otherwise": (
        "token-once",
        lambda: Tape().list(status=403, reason="the hash is wrong").list(status=503, reason=REPLAYED),
    ),
}

NOT_SEEN: dict[str, tuple[str, Callable[[], Tape]]] = {
    "no traffic for handshakes": ("handshake-cadence", Tape),
    "nothing but a refused handshake": ("handshake-cadence", lambda: Tape().handshake(status=403)),
    "no download": ("download-once", lambda: started().list().download(ONE, 404)),
    "no list": ("polling", lambda: started().send().list(status=403)),
    "no traffic for tokens": ("token-once", Tape),
}


def flaw(case: str, rule: int, entry: int, why: str, tape: Callable[[], Tape]) -> Flaw:
    """Name a flaw's case by its id."""
    return Flaw(BY_ID[case], rule, entry, why, tape)


FLAWS: dict[str, Flaw] = {
    "never shakes hands": flaw(
        "handshake-cadence", 0, 1, "(list) came with no handshake", lambda: Tape().list().send().handshake()
    ),
    "shakes hands after the first request": flaw(
        "handshake-cadence", 0, 1, "no handshake", lambda: Tape().list().handshake().list()
    ),
    "handshakes refused, and goes on": flaw(
        "handshake-cadence",
        0,
        2,
        "no success: it was answered 403",
        lambda: Tape().handshake(status=403).list(),
    ),
    "no handshake for a day": flaw(
        "handshake-cadence", 0, 3, "25.0 hours earlier", lambda: started().list().wait(hours=25).list()
    ),
    "shakes hands in a burst": flaw(
        "handshake-cadence",
        1,
        3,
        "5 handshakes",
        lambda: repeat(5, Tape(), lambda tape: tape.handshake()).list().handshake(),
    ),
    "shakes hands in a burst, after a handshake of the day before": flaw(
        "handshake-cadence",
        1,
        4,
        "3 handshakes",
        lambda: repeat(3, started().wait(hours=20), lambda tape: tape.handshake()),
    ),
    "shakes hands in a burst, then never": flaw(
        "handshake-cadence",
        1,
        84,
        "3 handshakes",
        lambda: repeat(80, started(), Tape.list).handshake().handshake().handshake(),
    ),
    "downloads twice": flaw(
        "download-once", 0, 3, "2 times", lambda: Tape().download(ONE).download(TWO).download(ONE)
    ),
    "downloads again after an acknowledgement in vain": flaw(
        "download-once",
        0,
        3,
        "2 times",
        lambda: Tape().download(ONE).acknowledge(ONE, status=403).download(ONE),
    ),
    "downloads 66 times": flaw(
        "download-once",
        0,
        4,
        "66 times",
        lambda: repeat(66, collected(Tape(), TWO), lambda tape: tape.download(ONE)).acknowledge(ONE),
    ),
    "downloads a chunk twice": flaw(
        "download-once",
        0,
        3,
        "2 times",
        lambda: (
            Tape()
            .download(ONE, 206, chunk="1:2")
            .download_chunk(ONE, "2:2")
            .download_chunk(ONE, "2:2")
            .acknowledge(ONE)
        ),
    ),
    "downloads the first chunk by both paths": flaw(
        "download-once",
        0,
        2,
        "2 times",
        lambda: Tape().download(ONE, 206, chunk="1:2").download_chunk(ONE, "1:2", 206),
    ),
    "polls every minute": flaw(
        "polling", 0, 2, "after 61 s", lambda: repeat(5, Tape(), lambda tape: tape.list().wait(minutes=1))
    ),
    "polls again and again after a send": flaw(
        "polling", 0, 4, "after 2 s", lambda: Tape().send().list().list().list()
    ),
    "polls again and again after a staging": flaw(
        "polling", 0, 3, "after 3 s", lambda: staged(Tape().list()).list().list()
    ),
    "polls after a send that was refused": flaw(
        "polling", 0, 3, "after 2 s", lambda: Tape().list().send(417).list()
    ),
    "polls late in the traffic": flaw(
        "polling",
        0,
        82,
        "after 1 s",
        lambda: repeat(80, Tape(), lambda tape: tape.list().wait(minutes=6)).list().list(),
    ),
    "uses a token twice": flaw(
        "token-once",
        0,
        82,
        "used before",
        lambda: repeat(80, started(), Tape.list).list(status=403, reason=REPLAYED).list(),
    ),
}


@pytest.mark.parametrize("name", PASSING)
def test_what_a_sound_client_does_passes(name: str) -> None:
    """A client that does what the assurance team asks passes, in spite of trouble that others make."""
    case, tape = PASSING[name]
    assert found(BY_ID[case], tape()) == (Outcome.PASSED, [])


@pytest.mark.parametrize("name", NOT_SEEN)
def test_a_finding_whose_subject_is_missing_is_not_seen(name: str) -> None:
    """Without a request that could be judged by now, nothing is said of it."""
    case, tape = NOT_SEEN[name]
    assert found(BY_ID[case], tape()) == (Outcome.NOT_SEEN, [])


@pytest.mark.parametrize("name", FLAWS)
def test_a_flaw_breaks_its_rule_alone(name: str) -> None:
    """A flaw breaks one rule, at the request that shows it, however much came before."""
    check(FLAWS[name])


def test_every_rule_has_a_flaw_and_every_finding_a_trace_that_passes() -> None:
    """Each rule of the set is broken by one of the flaws above, and each finding is passed."""
    assert without_flaw(BY_ID.values(), FLAWS.values()) == []
    assert {case for case, _ in PASSING.values()} == set(BY_ID)


def shown(case: str, tape: Tape) -> list[int]:
    """The numbers of the requests that are shown of a finding."""
    return [entry.number for entry in judge(BY_ID[case], tape.trace()).evidence]


def test_a_message_downloaded_again_is_shown_alone() -> None:
    """All downloads of that message and its acknowledgement are shown, and nothing of others."""
    tape = collected(Tape().download(ONE), TWO).download(ONE).acknowledge(ONE)
    assert shown("download-once", tape) == [1, 4, 5]


def test_the_first_request_without_a_handshake_is_shown_with_the_handshakes() -> None:
    """Where the cadence is broken, the handshakes are shown and the request that had none."""
    tape = started().list().send().wait(hours=25).list().list()
    assert shown("handshake-cadence", tape) == [1, 4]


@given(trace=any_trace())
def test_nothing_raises_whatever_was_asked(trace: Trace) -> None:
    """No rule, evidence or step of the set fails on any traffic, and no more is shown than can be read."""
    for case in CASES:
        try_everything(case, trace)


class Counted(tuple[Entry, ...]):  # noqa: SLOT001 - it counts, which takes an attribute
    """Requests that count how many of them were read."""

    read: int = 0

    def __iter__(self) -> Iterator[Entry]:
        for entry in super().__iter__():
            self.read += 1
            yield entry


def busy(messages: int) -> Tape:
    """Much traffic: each message is listed, downloaded, acknowledged and answered."""
    tape = started()
    for number in range(messages):
        collected(tape.list(1), message_id(number)).send().list(500, more=True).wait(seconds=1)
    return tape


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_finding_reads_the_traffic_a_few_times_over(case: Case) -> None:
    """However much traffic there is, each request is read a small number of times."""
    trace = busy(2_000).trace()
    entries = Counted(trace.entries)
    judge(case, Trace(entries, trace.now, stagings=trace.stagings))
    assert len(entries) <= entries.read <= 10 * len(entries)
