"""Cases 801 to 803: what breaks each of their rules over a mailbox's whole traffic, and what does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flaws import Flaw, check, faulty, found, repeat, try_everything, without_flaw
from hypothesis import given
from traces import Tape, any_trace, message_id

from mesh_sim.witness.cases.base import Outcome, judge
from mesh_sim.witness.cases.declared import CASES
from mesh_sim.witness.trace import Trace

BY_ID = {case.id: case for case in CASES}
ONE, TWO = message_id(901), message_id(902)


def report(message: str, tape: Tape | None = None) -> Tape:
    """A non-delivery report is downloaded."""
    return (tape or Tape()).download(message, message_type="REPORT")


PASSING: dict[str, tuple[str, Callable[[], Tape]]] = {
    "801": ("801", lambda: Tape().handshake().list().send().list()),
    "802": ("802", lambda: Tape().handshake().list().send().list()),
    "802, an id that no message has": ("802", lambda: Tape().download(ONE, 404)),
    "802, a local id that no message has": ("802", lambda: Tape().request("track-local-id", 404)),
    "802, a chunk of a message that there is not": ("802", lambda: Tape().download_chunk(ONE, "", 404)),
    "802, refused for other reasons": (
        "802",
        lambda: Tape().list(status=403).download(ONE, 410).send(417).send(503),
    ),
    "802, faults injected": (
        "802",
        lambda: faulty(faulty(faulty(Tape().list(status=400)).request("-", 404)).request("track", 404)),
    ),
    "803": ("803", lambda: report(ONE).acknowledge(ONE)),
    "803, the acknowledgement repeated": (
        "803",
        lambda: report(ONE).acknowledge(ONE, status=503).acknowledge(ONE),
    ),
    "803, the answer to the acknowledgement was lost": (
        "803",
        lambda: report(ONE).acknowledge(ONE, status=0),
    ),
    "803, two at once": ("803", lambda: report(TWO, report(ONE)).acknowledge(ONE).acknowledge(TWO)),
    "803, a message that is no report left": ("803", lambda: report(ONE).acknowledge(ONE).download(TWO)),
    "803, a download that broke off": (
        "803",
        lambda: (
            Tape()
            .download(TWO, message_type="REPORT", reason="broken off before the whole answer was sent")
            .list()
            .download(ONE, message_type="REPORT")
            .acknowledge(ONE)
        ),
    ),
}

NOT_SEEN: dict[str, tuple[str, Callable[[], Tape]]] = {
    "801, no traffic": ("801", Tape),
    "802, no traffic": ("802", Tape),
    "803, no report": ("803", lambda: Tape().download(ONE).acknowledge(ONE)),
    "803, no report downloaded whole": ("803", lambda: Tape().download(ONE, 503, message_type="REPORT")),
}

FLAWS: dict[str, Flaw] = {
    "801, one other": Flaw(
        BY_ID["801"],
        0,
        2,
        "another request was still being answered",
        lambda: Tape().handshake(seconds=5).list(in_flight=1).list(),
    ),
    "801, several others": Flaw(
        BY_ID["801"], 0, 1, "3 other requests were", lambda: Tape().list(in_flight=3).list(in_flight=1)
    ),
    "801, late in the traffic": Flaw(
        BY_ID["801"], 0, 101, "another request", lambda: repeat(100, Tape(), Tape.list).list(in_flight=1)
    ),
    "802, malformed": Flaw(
        BY_ID["802"],
        0,
        2,
        "answered 400 (max_results is no number)",
        lambda: Tape().list().list(status=400, reason="max_results is no number"),
    ),
    "802, an encoding that there is not": Flaw(BY_ID["802"], 0, 1, "422", lambda: Tape().send(422)),
    "802, a body above 100 MB": Flaw(BY_ID["802"], 0, 1, "413", lambda: Tape().send(413)),
    "802, a chunk beyond the total": Flaw(
        BY_ID["802"], 0, 1, "406", lambda: Tape().send_chunk(ONE, "4:3", 406)
    ),
    "802, no such path": Flaw(
        BY_ID["802"],
        1,
        2,
        "no operation has this path",
        lambda: Tape().list().request("-", 404, reason="no operation has this path"),
    ),
    "802, no such method": Flaw(BY_ID["802"], 1, 1, "405", lambda: Tape().request("-", 405)),
    "802, a slash at the end": Flaw(BY_ID["802"], 1, 1, "307", lambda: Tape().request("-", 307)),
    "802, late in the traffic": Flaw(
        BY_ID["802"], 1, 101, "307", lambda: repeat(100, Tape(), Tape.list).request("-", 307)
    ),
    "802, a malformed message id": Flaw(BY_ID["802"], 2, 2, "404", lambda: Tape().list().download("", 404)),
    "802, a malformed message id acknowledged": Flaw(
        BY_ID["802"], 2, 1, "404", lambda: Tape().acknowledge("", status=404)
    ),
    "802, a chunk after the last": Flaw(
        BY_ID["802"],
        3,
        3,
        "no such chunk",
        lambda: (
            Tape().download(ONE, 206, chunk="1:2").download_chunk(ONE, "2:2").download_chunk(ONE, "", 404)
        ),
    ),
    "803, left": Flaw(BY_ID["803"], 0, 1, ONE, lambda: report(ONE)),
    "803, one of two left": Flaw(BY_ID["803"], 0, 2, TWO, lambda: report(TWO, report(ONE)).acknowledge(ONE)),
    "803, acknowledged before": Flaw(BY_ID["803"], 0, 2, ONE, lambda: report(ONE, Tape().acknowledge(ONE))),
    "803, acknowledged in vain": Flaw(
        BY_ID["803"], 0, 1, ONE, lambda: report(ONE).acknowledge(ONE, status=403)
    ),
}


@pytest.mark.parametrize("name", PASSING)
def test_what_a_sound_client_does_passes(name: str) -> None:
    """A client that keeps to what was declared of it passes, in spite of trouble that others make."""
    case, tape = PASSING[name]
    assert found(BY_ID[case], tape()) == (Outcome.PASSED, [])


@pytest.mark.parametrize("name", NOT_SEEN)
def test_a_case_whose_subject_is_missing_is_not_seen(name: str) -> None:
    """Without a request that the case is about, there is nothing to judge."""
    case, tape = NOT_SEEN[name]
    assert found(BY_ID[case], tape()) == (Outcome.NOT_SEEN, [])


@pytest.mark.parametrize("name", FLAWS)
def test_a_flaw_breaks_its_rule_alone(name: str) -> None:
    """A flaw breaks one rule, at the request that shows it, however much came before."""
    check(FLAWS[name])


def test_every_rule_has_a_flaw_and_every_case_a_trace_that_passes() -> None:
    """Each rule of the set is broken by one of the flaws above, and each case is passed."""
    assert without_flaw(CASES, FLAWS.values()) == []
    assert {case for case, _ in PASSING.values()} == set(BY_ID)


def test_an_overlap_is_shown_with_the_request_that_it_overlaps() -> None:
    """The evidence of 801 has the request that was still being answered, and leaves out the others."""
    tape = repeat(70, Tape(), Tape.list).handshake(seconds=5).list(in_flight=1).list()
    assert [entry.number for entry in judge(BY_ID["801"], tape.trace()).evidence] == [71, 72]


def test_the_report_that_was_left_is_shown_alone() -> None:
    """The evidence of 803 leaves out the reports that were dealt with."""
    tape = report(TWO, report(ONE).acknowledge(ONE))
    assert [entry.number for entry in judge(BY_ID["803"], tape.trace()).evidence] == [3]


@given(trace=any_trace())
def test_nothing_raises_whatever_was_asked(trace: Trace) -> None:
    """No rule, evidence or step of the set fails on any traffic, and no more is shown than can be read."""
    for case in CASES:
        try_everything(case, trace)
