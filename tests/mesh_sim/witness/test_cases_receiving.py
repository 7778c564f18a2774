"""Cases 401 and 402: receiving."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import pytest
from hypothesis import given
from traces import Tape, any_trace, broken, message_id

from mesh_sim.witness.cases.base import Case, Outcome, judge
from mesh_sim.witness.cases.receiving import CASES
from mesh_sim.witness.rehearsal import Compared, Original
from mesh_sim.witness.trace import Trace

PLAIN, COMPRESSED = CASES

MESSAGE, ANOTHER = message_id(1), message_id(2)
ORIGINAL = Original(2_000, "a" * 32, ("a" * 32,))

HANDSHAKE = "the client has shaken hands in the 24 hours before its first other request"
LISTED = "the inbox is checked before anything is downloaded"
WHOLE = "the message is downloaded, every chunk of it"
ONCE = "the message is downloaded once"
ACKNOWLEDGED = "the message is acknowledged after it was downloaded"
ACCEPTS_GZIP = "the download accepts gzip"
COMES_AS_GZIP = "the message comes compressed"
UNALTERED = "what is downloaded equals the original"
WRITTEN = "the file that the client wrote equals the original, where it was compared"


class Receiver(Tape):
    """A client set to collect the case's message."""

    def begin(self) -> Self:
        """Set the case up."""
        return self.stage(message_ids=(MESSAGE,), original=ORIGINAL)

    def check(self, **options: Any) -> Self:
        """Check the inbox, where the message waits."""
        return self.list(1, **options)

    def get(self, **options: Any) -> Self:
        """Download the message, with gzip."""
        gzip = {"gzip": True, "headers": ("Authorization", "Accept-Encoding: gzip")}
        return self.download(MESSAGE, **{"md5": ORIGINAL.md5, **gzip, **options})

    def done(self, **options: Any) -> Self:
        """Acknowledge the message."""
        return self.acknowledge(MESSAGE, **options)


def ready(case: str) -> Receiver:
    """Give a client that has shaken hands, the message waiting."""
    return Receiver(case).handshake().begin()


def with_handshake(case: str) -> Receiver:
    """Give a client that shakes hands once the message is waiting."""
    return Receiver(case).begin().handshake()


def compared(case: str, *md5s: str) -> Tape:
    """Collect the message, and have what was written compared."""
    tape = ready(case).check().get().done()
    return tape.end(compared=tuple(Compared(tape.now, 2_000, md5) for md5 in md5s))


def with_another(case: str) -> Tape:
    """Collect a message that waited already, twice over, then the case's."""
    return ready(case).check().download(ANOTHER).download(ANOTHER).acknowledge(ANOTHER).get().done()


Make = Callable[[str], Tape]

KEPT: dict[str, Make] = {
    "as the catalogue has it": lambda case: ready(case).check().get().done(),
    "shaken hands after it was set up": lambda case: with_handshake(case).check().get().done(),
    "check of the inbox lost to a fault": lambda case: ready(case).check(status=503).get().done(),
    "download broke off": lambda case: (
        ready(case).check().get(reason="broken off", md5="").get(status=503, md5="").get().done()
    ),
    "acknowledgement lost to a fault": lambda case: ready(case).check().get().done(status=0).done(),
    "acknowledgement failed": lambda case: ready(case).check().get().done(status=503),
    "downloaded again later": lambda case: ready(case).check().get().done().get(),
    "compared": lambda case: compared(case, "b" * 32, ORIGINAL.md5),
    "another message besides": with_another,
}

FLAWS: dict[str, tuple[Make, str, int | None]] = {
    "no handshake": (lambda case: Receiver(case).begin().check().get().done(), HANDSHAKE, 1),
    "inbox not checked": (lambda case: ready(case).get().done(), LISTED, 2),
    "inbox checked after the download": (lambda case: ready(case).get().check().done(), LISTED, 2),
    "check of the inbox refused": (lambda case: ready(case).check(status=403).get().done(), LISTED, 3),
    "nothing but a handshake": (with_handshake, WHOLE, None),
    "not downloaded": (lambda case: ready(case).check(), WHOLE, None),
    "acknowledged without a download": (lambda case: ready(case).check().done(), WHOLE, 3),
    "download refused": (lambda case: ready(case).check().get(status=403).done(), WHOLE, 3),
    "download only broke off": (lambda case: ready(case).check().get(status=0).done(), WHOLE, 3),
    "downloaded twice": (lambda case: ready(case).check().get().get().done(), ONCE, 4),
    "downloaded three times": (lambda case: ready(case).check().get().get().get().done(), ONCE, 4),
    "not acknowledged": (lambda case: ready(case).check().get(), ACKNOWLEDGED, None),
    "acknowledgement refused": (lambda case: ready(case).check().get().done(status=403), ACKNOWLEDGED, None),
    "acknowledged first": (lambda case: ready(case).check().done().get(), ACKNOWLEDGED, 3),
    "acknowledged while it was downloaded": (
        lambda case: ready(case).check().get(seconds=5).done(),
        ACKNOWLEDGED,
        4,
    ),
    "altered": (lambda case: ready(case).check().get(md5="b" * 32).done(), UNALTERED, 3),
    "not comparable": (lambda case: ready(case).check().get(md5="").done(), UNALTERED, 3),
    "written wrongly": (lambda case: compared(case, ORIGINAL.md5, "b" * 32), WRITTEN, None),
}

FLAWS_OF_GZIP: dict[str, tuple[Tape, str, int]] = {
    "gzip not accepted": (
        ready("402").check().get(headers=("Authorization",), gzip=False).done(),
        ACCEPTS_GZIP,
        3,
    ),
    "came plain": (ready("402").check().get(gzip=False).done(), COMES_AS_GZIP, 3),
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
@pytest.mark.parametrize("good", KEPT.values(), ids=KEPT.keys())
def test_a_good_receipt_passes(case: Case, good: Make) -> None:
    """A client that does what the catalogue asks for passes, with faults and other messages about."""
    trace = good(case.id).trace()
    assert broken(case, trace) == []
    assert judge(case, trace).outcome is Outcome.PASSED


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
@pytest.mark.parametrize(("flawed", "expected", "entry"), FLAWS.values(), ids=FLAWS.keys())
def test_a_flawed_receipt_breaks_one_rule(case: Case, flawed: Make, expected: str, entry: int | None) -> None:
    """Each flaw breaks the rule that is about it, at the request to blame, and no other."""
    assert broken(case, flawed(case.id).trace()) == [(expected, entry)]


@pytest.mark.parametrize(("flawed", "expected", "entry"), FLAWS_OF_GZIP.values(), ids=FLAWS_OF_GZIP.keys())
def test_gzip_is_asked_of_402_alone(flawed: Tape, expected: str, entry: int) -> None:
    """Case 402 wants it accepted and sent; to 401 it is all the same."""
    assert broken(COMPRESSED, flawed.trace()) == [(expected, entry)]
    assert broken(PLAIN, flawed.trace()) == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_every_rule_of_receiving_has_a_flaw(case: Case) -> None:
    """No rule is without a trace that breaks it."""
    shown = {expected for _, expected, _ in FLAWS.values()}
    if case is COMPRESSED:
        shown |= {expected for _, expected, _ in FLAWS_OF_GZIP.values()}
    assert {rule.expected for rule in case.rules} == shown


@pytest.mark.parametrize(("times", "why"), [(2, "downloaded 2 times"), (66, "downloaded 66 times")])
def test_how_often_it_was_downloaded_is_told(times: int, why: str) -> None:
    """The breach counts every download before the acknowledgement."""
    tape = ready("401").check()
    for _ in range(times):
        tape.get()
    [ruling] = [ruling for ruling in judge(PLAIN, tape.done().trace()).rulings if ruling.breach]
    assert ruling.breach is not None
    assert ruling.breach.why == f"it was {why} before it was acknowledged"


@pytest.mark.parametrize(
    ("tape", "done"),
    [
        (ready("401").check().get().done(), True),
        (ready("401").done(), True),
        (ready("401").check().get(), False),
        (ready("401").check().get().done(status=403), False),
        (ready("401").check().get().done(status=503), False),
        (ready("401").check().acknowledge(ANOTHER), False),
        (Receiver("401").done().begin().check().get(), False),
        (Tape().list().acknowledge(MESSAGE), False),
    ],
    ids=["right", "not downloaded", "not acknowledged", "refused", "failed", "another", "before", "no case"],
)
def test_a_receipt_is_done_with_the_acknowledgement(tape: Tape, done: bool) -> None:
    """It takes the acknowledgement of what was put there, however it came about."""
    assert PLAIN.steps[0].done(tape.trace()) is done


@given(trace=any_trace("401"))
def test_any_traffic_can_be_judged_for_receiving(trace: Trace) -> None:
    """Whatever was asked, there is a verdict, and it blames requests that there were."""
    for case in CASES:
        judge(case, trace)
        rulings = [rule.check(trace) for rule in case.rules]
        blamed = [breach.entry for breach in rulings if breach and breach.entry]
        assert set(map(id, blamed)) <= set(map(id, trace.entries))
        case.steps[0].done(trace)
