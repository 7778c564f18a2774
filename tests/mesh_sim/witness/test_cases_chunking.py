"""Cases 501 and 502: messages of more than 200 MB, in chunks."""

from __future__ import annotations

from typing import Any, Self

import pytest
from hypothesis import given
from traces import SENT_HEADERS, Tape, any_trace, broken, message_id

from mesh_sim.witness.cases.base import Case, Outcome, judge
from mesh_sim.witness.cases.chunking import CASES
from mesh_sim.witness.rehearsal import COUNTERPART, DORMANT, Compared, Original
from mesh_sim.witness.trace import Trace

RECEIVING, SENDING = CASES

MESSAGE = message_id(1)
CHUNK = 70_000_000
ORIGINAL = Original(3 * CHUNK, "a" * 32, ("1" * 32, "2" * 32, "3" * 32))

HANDSHAKE = "the client has shaken hands in the 24 hours before its first other request"
LISTED = "the inbox is checked before anything is downloaded"
WHOLE = "the message is downloaded, every chunk of it"
ACKNOWLEDGED = "the message is acknowledged after it was downloaded"
DOWNLOAD_UNALTERED = "what is downloaded equals the original"
WRITTEN = "the file that the client wrote equals the original, where it was compared"
SENT = "a message is sent to X26WIT01, and all of it is accepted"
NUMBERED = "the message is sent in parts, each with Mex-Chunk-Range"
LAST = "the final part is sent last"
LARGE = "the message has more than 200,000,000 bytes"
UNALTERED = "the message arrives unaltered"
CHECKED = "the inbox is checked after the send"


class Client(Tape):
    """A client set to send or collect a large message."""

    def get(self, number: int, **options: Any) -> Self:
        """Download a chunk."""
        options = {"md5": ORIGINAL.chunk_md5s[number - 1], "chunk": f"{number}:3", **options}
        if number == 1:
            return self.download(MESSAGE, **options)
        return self.download_chunk(MESSAGE, options.pop("chunk"), **options)

    def put(self, number: int, total: int = 3, **options: Any) -> Self:
        """Send a part; the digest of the whole is noted where the last came in order."""
        options = {"payload_bytes": CHUNK, **options}
        if number == 1:
            headers = (*SENT_HEADERS, "Mex-Chunk-Range")
            return self.send(**{"message": MESSAGE, "chunk": f"1:{total}", "headers": headers, **options})
        return self.send_chunk(MESSAGE, f"{number}:{total}", **options)

    def last(self, **options: Any) -> Self:
        """Send the last part, all in order."""
        return self.put(3, **{"whole_bytes": ORIGINAL.size, "whole_md5": ORIGINAL.md5, **options})


def collecting() -> Client:
    """Give a client that has shaken hands, the message waiting."""
    return Client("501").handshake().stage(message_ids=(MESSAGE,), original=ORIGINAL)


def checked() -> Client:
    """Give one that has checked its inbox as well."""
    return collecting().list(1)


def sending(*, handshake: bool = True) -> Client:
    """Give a client that has shaken hands, told what to send."""
    tape = Client("502").handshake() if handshake else Client("502")
    return tape.stage(recipient=COUNTERPART, original=ORIGINAL)


def without_handshake() -> Tape:
    """Collect the message without a handshake."""
    tape = Client("501").stage(message_ids=(MESSAGE,), original=ORIGINAL)
    return tape.list(1).get(1).get(2).get(3).acknowledge(MESSAGE)


def compared(tape: Tape, md5: str) -> Tape:
    """Have a file of the tester's compared."""
    return tape.end(compared=(Compared(tape.now, ORIGINAL.size, md5),))


KEPT: dict[str, tuple[Case, Tape]] = {
    "collected": (RECEIVING, checked().get(1).get(2).get(3).acknowledge(MESSAGE)),
    "collected out of order": (RECEIVING, checked().get(1).get(3).get(2).acknowledge(MESSAGE)),
    "a chunk broke off": (
        RECEIVING,
        checked().get(1).get(2, reason="broken off", md5="").get(2).get(3).acknowledge(MESSAGE),
    ),
    "collected and compared": (
        RECEIVING,
        compared(checked().get(1).get(2).get(3).acknowledge(MESSAGE), ORIGINAL.md5),
    ),
    "sent": (SENDING, sending().put(1).put(2).last().list()),
    "a part sent again": (SENDING, sending().put(1).put(2, status=503, headers=()).put(2).last().list()),
    "last part's answer lost": (
        SENDING,
        sending().put(1).put(2).put(3, status=0, payload_bytes=None).put(3, status=423).list(),
    ),
    "another message sent as well": (
        SENDING,
        sending().put(1).send(to=DORMANT, headers=()).put(2).last().list(),
    ),
    "a file of the tester's own": (
        SENDING,
        compared(sending().put(1).put(2).last(whole_md5="b" * 32).list(), "b" * 32),
    ),
}

FLAWS: dict[str, tuple[Case, Tape, str, int | None]] = {
    "collected without a handshake": (RECEIVING, without_handshake(), HANDSHAKE, 1),
    "inbox not checked first": (
        RECEIVING,
        collecting().get(1).get(2).get(3).acknowledge(MESSAGE),
        LISTED,
        2,
    ),
    "nothing but a handshake": (RECEIVING, collecting().handshake(), WHOLE, None),
    "first chunk only": (RECEIVING, checked().get(1).acknowledge(MESSAGE), WHOLE, 4),
    "second chunk left out": (RECEIVING, checked().get(1).get(3).acknowledge(MESSAGE), WHOLE, 5),
    "second chunk left out, not acknowledged": (RECEIVING, checked().get(1).get(3), WHOLE, None),
    "second left out, the first refused once": (
        RECEIVING,
        checked().get(1, status=403).get(1).get(3).acknowledge(MESSAGE),
        WHOLE,
        6,
    ),
    "third chunk refused": (
        RECEIVING,
        checked().get(1).get(2).get(3, status=403).acknowledge(MESSAGE),
        WHOLE,
        5,
    ),
    "not acknowledged": (RECEIVING, checked().get(1).get(2).get(3), ACKNOWLEDGED, None),
    "acknowledged before the last chunk": (
        RECEIVING,
        checked().get(1).get(2).acknowledge(MESSAGE).get(3),
        ACKNOWLEDGED,
        5,
    ),
    "a chunk altered": (
        RECEIVING,
        checked().get(1).get(2, md5="b" * 32).get(3).acknowledge(MESSAGE),
        DOWNLOAD_UNALTERED,
        4,
    ),
    "put together wrongly": (
        RECEIVING,
        compared(checked().get(1).get(2).get(3).acknowledge(MESSAGE), "b" * 32),
        WRITTEN,
        None,
    ),
    "sent without a handshake": (
        SENDING,
        sending(handshake=False).put(1).put(2).last().list(),
        HANDSHAKE,
        1,
    ),
    "nothing sent": (SENDING, sending().list(), SENT, None),
    "refused at once": (SENDING, sending().put(1, status=417).list(), SENT, 2),
    "a part left out": (SENDING, sending().put(1).last(whole_md5="").list(), SENT, None),
    "last part never accepted": (SENDING, sending().put(1).put(2).last(status=503).list(), SENT, 4),
    "a part without its range": (
        SENDING,
        sending().put(1).put(2, status=417, headers=("Authorization",)).put(2).last().list(),
        NUMBERED,
        3,
    ),
    "in one part": (
        SENDING,
        sending().put(1, 1, payload_bytes=ORIGINAL.size, md5=ORIGINAL.md5).list(),
        NUMBERED,
        2,
    ),
    "final part before another": (SENDING, sending().put(1).put(3).put(2).list(), LAST, 3),
    "too small": (
        SENDING,
        sending().put(1).put(2).last(payload_bytes=60_000_000).list(),
        LARGE,
        4,
    ),
    "altered": (SENDING, sending().put(1).put(2).last(whole_md5="b" * 32).list(), UNALTERED, 4),
    "out of order": (
        SENDING,
        sending().put(1, 4).put(3, 4).put(2, 4).put(4, 4).list(),
        UNALTERED,
        5,
    ),
    "compressed as a whole, then cut": (
        SENDING,
        sending()
        .put(1, gzip=True, payload_bytes=None)
        .put(2, gzip=True, payload_bytes=None)
        .last(gzip=True, payload_bytes=None, whole_md5="")
        .list(),
        UNALTERED,
        2,
    ),
    "inbox not checked": (SENDING, sending().put(1).put(2).last(), CHECKED, None),
    "inbox checked between the parts": (
        SENDING,
        sending().put(1).put(2).list().last(),
        CHECKED,
        None,
    ),
}


@pytest.mark.parametrize(("case", "good"), KEPT.values(), ids=KEPT.keys())
def test_a_good_large_message_passes(case: Case, good: Tape) -> None:
    """All chunks, whole and unaltered, with the calls around them: that passes, failures of ours aside."""
    assert broken(case, good.trace()) == []
    assert judge(case, good.trace()).outcome is Outcome.PASSED


@pytest.mark.parametrize(("case", "flawed", "expected", "entry"), FLAWS.values(), ids=FLAWS.keys())
def test_a_flawed_large_message_breaks_one_rule(
    case: Case, flawed: Tape, expected: str, entry: int | None
) -> None:
    """Each flaw breaks the rule that is about it, at the request to blame, and no other."""
    assert broken(case, flawed.trace()) == [(expected, entry)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_every_rule_of_chunking_has_a_flaw(case: Case) -> None:
    """No rule is without a trace that breaks it."""
    shown = {expected for flawed, _, expected, _ in FLAWS.values() if flawed is case}
    assert {rule.expected for rule in case.rules} == shown


@pytest.mark.parametrize(
    ("tape", "done"),
    [
        (sending().put(1).put(2).last().list(), True),
        (sending().put(1).put(3).list(), True),
        (sending().put(1, 1).list(), True),
        (sending().put(1).put(2).list(), False),
        (sending().put(1).put(2).last(), False),
        (sending().put(1).put(2).last(seconds=9).list(), False),
    ],
    ids=["right", "a part left out", "one part", "last part to come", "not checked", "checked meanwhile"],
)
def test_a_large_send_is_done_when_its_last_part_went_off(tape: Tape, done: bool) -> None:
    """It takes the last part, wherever it stands, and a check of the inbox after all that came."""
    assert SENDING.steps[0].done(tape.trace()) is done


def test_a_large_receipt_is_done_with_the_acknowledgement() -> None:
    """Also where a chunk was left out: the client has finished with it."""
    assert RECEIVING.steps[0].done(checked().get(1).acknowledge(MESSAGE).trace())
    assert not RECEIVING.steps[0].done(checked().get(1).get(2).get(3).trace())


@given(trace=any_trace("501"))
def test_any_traffic_can_be_judged_for_chunking(trace: Trace) -> None:
    """Whatever was asked, there is a verdict, and it blames requests that there were."""
    for case in CASES:
        judge(case, trace)
        rulings = [rule.check(trace) for rule in case.rules]
        blamed = [breach.entry for breach in rulings if breach and breach.entry]
        assert set(map(id, blamed)) <= set(map(id, trace.entries))
        case.steps[0].done(trace)
