"""Cases 201 and 202: sending."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import pytest
from hypothesis import given
from traces import SENT_HEADERS, Tape, any_trace, broken, message_id

from mesh_sim.witness.cases.base import Case, Outcome, judge
from mesh_sim.witness.cases.sending import CASES
from mesh_sim.witness.journal import Entry
from mesh_sim.witness.rehearsal import COUNTERPART, DORMANT, Compared, Original
from mesh_sim.witness.trace import Trace

PLAIN, COMPRESSED = CASES

ORIGINAL = Original(2_000, "a" * 32)
GZIPPED = (*SENT_HEADERS, "Content-Encoding: gzip", "Mex-Content-Compressed: Y")

HANDSHAKE = "the client has shaken hands in the 24 hours before its first other request"
SENT = "a message is sent to X26WIT01, and all of it is accepted"
UNCOMPRESSED = "the message is sent uncompressed"
GZIP = "every send is compressed and says so with Content-Encoding: gzip"
MARKED = "every send says Mex-Content-Compress: Y, or Mex-Content-Compressed: Y"
HEADERS = (
    "every send has Authorization, Mex-From, Mex-To, Mex-WorkflowID, Content-Type: application/octet-stream"
)
UNALTERED = "the message arrives unaltered"
CHECKED = "the inbox is checked after the send"


class Sender(Tape):
    """A client set to send the case's file."""

    def begin(self) -> Self:
        """Set the case up."""
        return self.stage(recipient=COUNTERPART, original=ORIGINAL)

    def put(self, **options: Any) -> Self:
        """Send the file, in one part, as the case wants it."""
        if self.attempt is not None and self.attempt.case == "202":
            options = {"headers": GZIPPED, "gzip": True, **options}
        return self.send(**{"payload_bytes": ORIGINAL.size, "md5": ORIGINAL.md5, **options})


def ready(case: str) -> Sender:
    """Give a client that has shaken hands, the case set up."""
    return Sender(case).handshake().begin()


def after_days(case: str) -> Tape:
    """Shake hands, and send a day, a poll's interval and a second later."""
    return Sender(case).handshake().wait(hours=24, minutes=5).begin().put().list()


def compared(case: str, md5: str) -> Tape:
    """Send a file of the tester's own, and have another compared with what arrived."""
    tape = ready(case).put(md5="b" * 32).list()
    return tape.end(compared=(Compared(tape.now, 3, "c" * 32), Compared(tape.now, 3, md5)))


Make = Callable[[str], Tape]

KEPT: dict[str, Make] = {
    "as the catalogue has it": lambda case: ready(case).put().list(),
    "shaken hands within the case": lambda case: Sender(case).begin().handshake().put().list(),
    "shaken hands a day before": lambda case: (
        Sender(case).handshake().wait(hours=23, minutes=59).begin().put().list()
    ),
    "a poll just before the next day's handshake": lambda case: (
        Sender(case).handshake().wait(hours=24).begin().list().handshake().put().list()
    ),
    "another message sent as well": lambda case: (
        ready(case).send(to=DORMANT, headers=()).put().send(to=DORMANT, headers=()).list()
    ),
    "inbox checked before as well": lambda case: ready(case).list().put().list(),
    "tracked in between": lambda case: ready(case).put().request("track").list(),
    "sent again after the server failed": lambda case: (
        ready(case).put(status=503, headers=()).put(status=0, reason="broke off").put().list()
    ),
    "check of the inbox lost to a fault": lambda case: ready(case).put().list(status=503),
    "handshake lost to a fault": lambda case: Sender(case).handshake(status=503).begin().put().list(),
    "mended and sent once more": lambda case: ready(case).put(md5="b" * 32).put().list(),
    "a file of the tester's own": lambda case: compared(case, "b" * 32),
}
"""How each of the two cases may go well."""

FLAWS: dict[str, tuple[Make, str, int | None]] = {
    "no handshake": (lambda case: Sender(case).begin().put().list(), HANDSHAKE, 1),
    "handshake a day ago": (after_days, HANDSHAKE, 2),
    "handshake refused": (lambda case: Sender(case).handshake(status=403).begin().put().list(), HANDSHAKE, 2),
    "handshake after the send": (lambda case: Sender(case).begin().put().handshake().list(), HANDSHAKE, 1),
    "nothing but a handshake": (lambda case: Sender(case).begin().handshake(), SENT, None),
    "sent to another": (lambda case: ready(case).put(to=DORMANT).list(), SENT, 2),
    "sent to nobody": (lambda case: ready(case).put(to="", status=417).list(), SENT, 2),
    "second part refused": (
        lambda case: (
            ready(case)
            .put(chunk="1:2", message=message_id(7))
            .send_chunk(message_id(7), "2:2", 417, reason="the range is malformed")
            .list()
        ),
        SENT,
        3,
    ),
    "send refused": (lambda case: ready(case).put(status=417).list(), SENT, 2),
    "second part left out": (lambda case: ready(case).put(chunk="1:2").list(), SENT, None),
    "no Mex-From": (
        lambda case: (
            ready(case)
            .put(
                headers=tuple(header for header in GZIPPED[: 5 + 2 * (case == "202")] if header != "Mex-From")
            )
            .list()
        ),
        HEADERS,
        2,
    ),
    "altered": (lambda case: ready(case).put(md5="b" * 32).list(), UNALTERED, 2),
    "not gzip after all": (lambda case: ready(case).put(md5="").list(), UNALTERED, 2),
    "not the file compared": (lambda case: compared(case, "d" * 32), UNALTERED, 2),
    "inbox not checked": (lambda case: ready(case).put(), CHECKED, None),
    "inbox checked before only": (lambda case: ready(case).list().put(), CHECKED, None),
    "inbox checked a moment before": (
        lambda case: ready(case).list().wait(milliseconds=-990).put(),
        CHECKED,
        None,
    ),
    "second part left out, and no check": (lambda case: ready(case).put(chunk="1:2"), SENT, None),
    "inbox checked while it was sent": (lambda case: ready(case).put(seconds=9).list(), CHECKED, None),
    "check of the inbox refused": (lambda case: ready(case).put().list(status=403), CHECKED, None),
}
"""How each of the two may fail: the rule that is broken, and by which request."""

FLAWS_OF_ONE: dict[str, tuple[Case, Tape, str, int]] = {
    "compressed": (PLAIN, ready("201").put(gzip=True).list(), UNCOMPRESSED, 2),
    "not compressed": (
        COMPRESSED,
        ready("202").put(headers=(*SENT_HEADERS, GZIPPED[-1]), gzip=False).list(),
        GZIP,
        2,
    ),
    "not marked": (COMPRESSED, ready("202").put(headers=GZIPPED[:-1]).list(), MARKED, 2),
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
@pytest.mark.parametrize("good", KEPT.values(), ids=KEPT.keys())
def test_a_good_send_passes(case: Case, good: Make) -> None:
    """A client that does what the catalogue asks for passes, whatever else it does."""
    verdict = judge(case, good(case.id).trace())
    assert [ruling.breach for ruling in verdict.rulings if ruling.breach] == []
    assert verdict.outcome is Outcome.PASSED


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
@pytest.mark.parametrize(("flawed", "expected", "entry"), FLAWS.values(), ids=FLAWS.keys())
def test_a_flawed_send_breaks_one_rule(case: Case, flawed: Make, expected: str, entry: int | None) -> None:
    """Each flaw breaks the rule that is about it, at the request to blame, and no other."""
    assert broken(case, flawed(case.id).trace()) == [(expected, entry)]


@pytest.mark.parametrize(
    ("case", "flawed", "expected", "entry"), FLAWS_OF_ONE.values(), ids=FLAWS_OF_ONE.keys()
)
def test_compression_is_as_the_case_wants_it(case: Case, flawed: Tape, expected: str, entry: int) -> None:
    """Case 201 goes plain; 202 goes as gzip and says so."""
    assert broken(case, flawed.trace()) == [(expected, entry)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_every_rule_of_sending_has_a_flaw(case: Case) -> None:
    """No rule is without a trace that breaks it."""
    shown = {expected for _, expected, _ in FLAWS.values()}
    shown |= {expected for flawed, _, expected, _ in FLAWS_OF_ONE.values() if flawed is case}
    assert {rule.expected for rule in case.rules} == shown


def test_what_is_missing_is_named() -> None:
    """Every header that a send lacks is told."""
    trace = ready("201").put(headers=("Authorization", "Mex-To", "Mex-WorkflowID")).list().trace()
    [ruling] = [ruling for ruling in judge(PLAIN, trace).rulings if ruling.breach]
    assert ruling.breach is not None
    assert ruling.breach.why == (
        "it was sent without Mex-From and without Content-Type: application/octet-stream"
    )


@pytest.mark.parametrize(
    ("tape", "why"),
    [
        (ready("201").list(), "nothing was sent"),
        (ready("201").put(to=DORMANT).list(), f"it was sent to {DORMANT}"),
        (
            ready("201").put(to=DORMANT, status=403, reason="the hash is wrong"),
            f"it named {DORMANT}: it was answered 403 (the hash is wrong)",
        ),
        (
            ready("201").put(to="", status=417, reason="no such mailbox"),
            "it named no mailbox that there is: it was answered 417 (no such mailbox)",
        ),
        (
            ready("201")
            .put(chunk="1:2", message=message_id(7))
            .send_chunk(message_id(7), "2:2", 417, reason="the range is malformed"),
            "part 2 of 2 was never accepted: it was answered 417 (the range is malformed)",
        ),
    ],
    ids=["nothing", "elsewhere", "refused elsewhere", "to nobody", "second part refused"],
)
def test_what_became_of_the_send_is_told(tape: Tape, why: str) -> None:
    """Where the message did not arrive, what was sent instead is said, with the reason of its refusal."""
    breaches = {ruling.rule.expected: ruling.breach for ruling in judge(PLAIN, tape.trace()).rulings}
    breach = breaches[SENT]
    assert breach is not None
    assert breach.why == why


def test_a_handshake_that_was_refused_is_the_first_breach() -> None:
    """A client that stops at the refused handshake, with its clock off, say, is told of that."""
    tape = Sender("201").begin().handshake(status=403, reason="the timestamp is 3 h behind")
    breach = judge(PLAIN, tape.trace()).breach
    assert breach is not None
    assert breach.rule.expected == HANDSHAKE
    assert breach.breach is not None
    assert breach.breach.why == (
        "the handshake had no success: it was answered 403 (the timestamp is 3 h behind)"
    )
    rule = judge(PLAIN, tape.put().list().trace()).breach
    assert rule is not None
    assert rule.breach is not None
    assert rule.breach.why.endswith("no success: it was answered 403 (the timestamp is 3 h behind)")


@pytest.mark.parametrize(
    ("chunk", "why"),
    [
        ("", "what arrived could not be compared: its body is not the gzip that it says it is"),
        ("1:2", "what arrived could not be compared: its parts came out of order"),
    ],
    ids=["one part", "two parts"],
)
def test_why_a_send_could_not_be_compared_is_told(chunk: str, why: str) -> None:
    """Nothing is said of an MD5 that is not known."""
    tape = ready("201").put(md5="", chunk=chunk, message=message_id(7)).send_chunk(message_id(7), "2:2")
    [ruling] = [ruling for ruling in judge(PLAIN, tape.list().trace()).rulings if ruling.breach]
    assert ruling.breach is not None
    assert ruling.breach.why == why


def test_a_case_without_requests_was_not_seen() -> None:
    """A handshake of before does not make an attempt at the case."""
    assert judge(PLAIN, ready("201").trace()).outcome is Outcome.NOT_SEEN
    assert judge(PLAIN, Tape().handshake().send().list().trace()).outcome is Outcome.NOT_SEEN


def test_the_handshake_that_counts_is_part_of_the_evidence() -> None:
    """The last one before the case comes first, then what was asked in the case and nothing else."""
    tape = Sender("201").handshake().list().handshake().list()
    trace = tape.begin().put().list().end().list().trace()
    assert [entry.number for entry in judge(PLAIN, trace).evidence] == [3, 5, 6]


def done_after(tape: Tape, case: Case) -> list[int]:
    """Give the numbers of the requests after which the case's step is done."""
    trace = tape.trace()
    return [
        place
        for place in range(1, len(trace.entries) + 1)
        if case.steps[0].done(Trace(trace.entries[:place], trace.now, trace.attempt))
    ]


@pytest.mark.parametrize(
    ("tape", "after"),
    [
        (ready("201").list().put().request("track").list(), [5]),
        (ready("201").put(md5="", headers=()).list(), [3]),
        (ready("201").put(status=417).list().put(to=DORMANT).list(), []),
        (ready("201").put(seconds=9).list(), []),
        (ready("201").put(chunk="1:2").list(), []),
        (ready("201").put(chunk="1:2", message=message_id(7)).send_chunk(message_id(7), "2:2").list(), [4]),
        (
            ready("201").put(chunk="1:3", message=message_id(7)).send_chunk(message_id(7), "3:3").list(),
            [4],
        ),
    ],
    ids=["right", "wrongly sent", "not accepted", "too early", "half", "in parts", "a part left out"],
)
def test_a_send_is_done_once_the_inbox_was_checked_after_it(tape: Tape, after: list[int]) -> None:
    """It takes an accepted message, good or bad, and a check of the inbox that began when it had ended."""
    assert done_after(tape, PLAIN) == after


def test_a_last_part_whose_answer_was_lost_counts() -> None:
    """The part comes again and is told that the message is complete: it had arrived."""
    message = message_id(7)
    tape = ready("201").put(chunk="1:2", message=message)
    tape.send_chunk(message, "2:2", 0, reason="broken off")
    tape.send_chunk(message, "2:2", 423).list()
    assert broken(PLAIN, tape.trace()) == []


@given(trace=any_trace("201"))
def test_any_traffic_can_be_judged_for_sending(trace: Trace) -> None:
    """Whatever was asked, there is a verdict, and it blames requests that there were."""
    for case in CASES:
        verdict = judge(case, trace)
        rulings = [rule.check(trace) for rule in case.rules]
        blamed: list[Entry] = [breach.entry for breach in rulings if breach and breach.entry]
        assert set(map(id, blamed)) <= set(map(id, trace.entries))
        assert verdict.outcome is not Outcome.PASSED or not any(rulings)
        case.steps[0].done(trace)
