"""The findings on what follows a request: a check after a send, an acknowledgement, the next page."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flaws import Flaw, check, collected, found, repeat, staged, started, without_flaw
from traces import Tape, message_id

from mesh_sim.witness.cases.base import Outcome, judge
from mesh_sim.witness.cases.follow_ups import ACKNOWLEDGE_PROMPTLY, INBOX_AFTER_SEND, PAGING

CASES = (INBOX_AFTER_SEND, ACKNOWLEDGE_PROMPTLY, PAGING)
BY_ID = {case.id: case for case in CASES}
ONE, TWO = message_id(901), message_id(902)


PASSING: dict[str, tuple[str, Callable[[], Tape]]] = {
    "checked after a send": ("inbox-after-send", lambda: Tape().send().list()),
    "checked 59 s after a send": ("inbox-after-send", lambda: Tape().send().wait(seconds=58).list()),
    "checked in vain": ("inbox-after-send", lambda: Tape().send().list(status=503).wait(hours=1)),
    "checked after a slow send": (
        "inbox-after-send",
        lambda: Tape().send(seconds=300).wait(seconds=320).list(),
    ),
    "checked after a run of sends": (
        "inbox-after-send",
        lambda: repeat(5, Tape(), lambda tape: tape.send().wait(seconds=50)).list(),
    ),
    "tracked and shaken hands before the check": (
        "inbox-after-send",
        lambda: Tape().send().request("track").handshake().list(),
    ),
    "checked after the last chunk": (
        "inbox-after-send",
        lambda: (
            Tape()
            .send(message=ONE, chunk="1:3")
            .wait(minutes=5)
            .send_chunk(ONE, "2:3")
            .wait(minutes=5)
            .send_chunk(ONE, "3:3")
            .list()
        ),
    ),
    "checked after a run that ends with chunks": (
        "inbox-after-send",
        lambda: (
            Tape()
            .send()
            .send(message=ONE, chunk="1:2", seconds=90)
            .wait(seconds=95)
            .send_chunk(ONE, "2:2")
            .list()
        ),
    ),
    "a send refused": ("inbox-after-send", lambda: Tape().send().list().send(417).wait(hours=1)),
    "a send not sent to the end": (
        "inbox-after-send",
        lambda: Tape().send().list().send(message=ONE, chunk="1:2").wait(hours=1),
    ),
    "acknowledged at once": ("acknowledge-promptly", lambda: collected(Tape(), ONE, TWO)),
    "acknowledged 59 s later": (
        "acknowledge-promptly",
        lambda: Tape().download(ONE).wait(seconds=58).acknowledge(ONE),
    ),
    "acknowledged after a slow download": (
        "acknowledge-promptly",
        lambda: Tape().download(ONE, seconds=300).wait(seconds=320).acknowledge(ONE),
    ),
    "acknowledged after the last chunk": (
        "acknowledge-promptly",
        lambda: (
            Tape().download(ONE, 206, chunk="1:2").wait(minutes=5).download_chunk(ONE, "2:2").acknowledge(ONE)
        ),
    ),
    "acknowledged again after the server failed": (
        "acknowledge-promptly",
        lambda: Tape().download(ONE).acknowledge(ONE, status=503).wait(minutes=5).acknowledge(ONE),
    ),
    "acknowledged after a second download": (
        "acknowledge-promptly",
        lambda: Tape().download(ONE, 0).wait(minutes=5).download(ONE).acknowledge(ONE).wait(hours=1),
    ),
    "pages one after the other": (
        "paging",
        lambda: Tape().list(500, more=True).list(500, more=True).list(100).handshake().wait(hours=1),
    ),
    "the first page listed anew": (
        "paging",
        lambda: collected(Tape().list(500, more=True), ONE).wait(hours=1).list(1),
    ),
    "a stage set up while a page is worked through": (
        "paging",
        lambda: collected(staged(collected(Tape().list(500, more=True), ONE)), TWO).list(100),
    ),
    "the next page refused by the server": (
        "paging",
        lambda: Tape().list(500, more=True).list(status=503).wait(hours=1),
    ),
    "still working through the second page": (
        "paging",
        lambda: collected(Tape().list(500, more=True).list(500, more=True).wait(hours=1), ONE),
    ),
}

NOT_SEEN: dict[str, tuple[str, Callable[[], Tape]]] = {
    "no send": ("inbox-after-send", lambda: started().list()),
    "a send too lately to judge": ("inbox-after-send", lambda: started().send()),
    "no download to acknowledge": ("acknowledge-promptly", lambda: started().acknowledge(ONE)),
    "a download too lately to judge": ("acknowledge-promptly", lambda: started().download(ONE)),
    "a message not downloaded to the end": (
        "acknowledge-promptly",
        lambda: started().download(ONE, 206, chunk="1:2").wait(hours=1),
    ),
    "no list of more than a page": ("paging", lambda: started().list(500)),
    "still working through the first page": (
        "paging",
        lambda: collected(started().list(500, more=True).wait(hours=1), ONE),
    ),
}


def flaw(case: str, rule: int, entry: int, why: str, tape: Callable[[], Tape]) -> Flaw:
    """Name a flaw's case by its id."""
    return Flaw(BY_ID[case], rule, entry, why, tape)


FLAWS: dict[str, Flaw] = {
    "never checks after a send": flaw(
        "inbox-after-send", 0, 1, "not checked after this send", lambda: Tape().send().wait(minutes=2)
    ),
    "goes on without the check": flaw(
        "inbox-after-send", 0, 1, "not checked", lambda: Tape().send().download(ONE)
    ),
    "checks at the next poll": flaw(
        "inbox-after-send", 0, 2, "only 301 s after", lambda: Tape().send().wait(minutes=5).list()
    ),
    "puts off the check for a send that is refused": flaw(
        "inbox-after-send",
        0,
        3,
        "only 102 s after",
        lambda: Tape().send().wait(seconds=50).send(417).wait(seconds=50).list(),
    ),
    "checks one send of two": flaw(
        "inbox-after-send", 0, 1, "not checked", lambda: Tape().send().wait(minutes=2).send().list()
    ),
    "no check after the last chunk": flaw(
        "inbox-after-send",
        0,
        3,
        "not checked",
        lambda: Tape().send(message=ONE, chunk="1:2").list().send_chunk(ONE, "2:2").wait(hours=1),
    ),
    "no check after a last chunk whose answer was lost": flaw(
        "inbox-after-send",
        0,
        3,
        "not checked",
        lambda: (
            Tape()
            .send(message=ONE, chunk="1:2")
            .send_chunk(ONE, "2:2", 0)
            .send_chunk(ONE, "2:2", 423)
            .wait(hours=1)
        ),
    ),
    "never acknowledges": flaw(
        "acknowledge-promptly", 0, 1, "not acknowledged", lambda: Tape().download(ONE).wait(minutes=2)
    ),
    "acknowledges in vain": flaw(
        "acknowledge-promptly",
        0,
        1,
        "not acknowledged",
        lambda: Tape().download(ONE).acknowledge(ONE, status=403).wait(minutes=2),
    ),
    "acknowledges at the next poll": flaw(
        "acknowledge-promptly",
        0,
        2,
        "only 301 s after",
        lambda: Tape().download(ONE).wait(minutes=5).acknowledge(ONE),
    ),
    "never acknowledges a report in chunks": flaw(
        "acknowledge-promptly",
        0,
        2,
        "not acknowledged",
        lambda: (
            Tape()
            .download_chunk(ONE, "2:2", message_type="REPORT")
            .download(ONE, 206, chunk="1:2", message_type="REPORT")
            .wait(hours=1)
        ),
    ),
    "leaves the second page for good": flaw(
        "paging", 0, 1, "500 messages were named", lambda: Tape().list(500, more=True).wait(minutes=2)
    ),
    "turns to something else": flaw(
        "paging", 0, 1, "not listed again", lambda: collected(Tape().list(500, more=True), ONE).send()
    ),
    "leaves the second page when the case is over": flaw(
        "paging", 0, 1, "not listed again", lambda: staged(collected(Tape().list(500, more=True), ONE))
    ),
    "lists anew for the next case only": flaw(
        "paging",
        0,
        1,
        "not listed again",
        lambda: staged(collected(Tape().list(500, more=True), ONE)).send().list(100),
    ),
    "leaves the third page": flaw(
        "paging",
        0,
        2,
        "not listed again",
        lambda: repeat(2, Tape(), lambda tape: tape.list(500, more=True)).send(),
    ),
    "has the next page refused": flaw(
        "paging", 0, 1, "not listed again", lambda: Tape().list(500, more=True).list(status=400)
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
    assert without_flaw(CASES, FLAWS.values()) == []
    assert {case for case, _ in PASSING.values()} == set(BY_ID)


def test_what_was_acknowledged_late_is_shown_with_its_acknowledgement() -> None:
    """The downloads whose acknowledgement came late or never are shown, and no others."""
    tape = collected(Tape(), TWO).download(ONE).wait(minutes=2).acknowledge(ONE)
    shown = judge(ACKNOWLEDGE_PROMPTLY, tape.trace()).evidence
    assert [entry.number for entry in shown] == [3, 4]
