"""What people are told of a refusal: whole sentences, and what to do."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from support import authorization

from mesh_sim.exchange.directory import Directory, Mailbox
from mesh_sim.web.explaining import Explained, explain
from mesh_sim.witness.journal import REPLAYED, Entry
from mesh_sim.witness.near_misses import Refused, near_misses, replay_miss
from ndoo.protocol import TokenFault

NOW = datetime(2026, 11, 24, 10, 31, 20, tzinfo=UTC)
DIRECTORY = Directory(
    [
        Mailbox("X26ABC1", "TESTMB1", password="a-password-of-one", ods_code="A11111"),
        Mailbox("X26ABC2", "TESTMB2", password="a-password-of-two", ods_code="B22222"),
    ],
    [],
)
ENTRY = Entry(
    number=1,
    at=NOW,
    simulated_at=NOW,
    mailbox="X26ABC1",
    operation="list",
    method="GET",
    status=403,
    received_bytes=0,
    sent_bytes=100,
    duration_s=0.001,
)


def token(mailbox: str = "X26ABC1", *, ahead: timedelta = timedelta(), **changes: str) -> str:
    """A header that is right but for these changes."""
    right = {
        "password": "a-password-of-one",
        "shared_key": "a-key-that-is-configured",
        "timestamp": (NOW + ahead).strftime("%Y%m%d%H%M"),
    }
    return authorization(mailbox, **right | changes)


def of_token(header: str, path: str = "X26ABC1") -> Explained:
    """What is told of a request with this header."""
    refused = Refused(header, path, DIRECTORY, "a-key-that-is-configured", NOW)
    return explain(replace(ENTRY, reason=TokenFault.WRONG_HASH.value, near_misses=near_misses(refused)))


MISTAKES = {
    "no header": ("", "There was no Authorization header.", "NHSMESH mailbox:nonce"),
    "blank header": (" ", "The Authorization header is blank.", "NHSMESH mailbox:nonce"),
    "other scheme": ("Bearer abc", "The scheme is 'Bearer', not NHSMESH.", "NHSMESH mailbox:nonce"),
    "scheme in lower case": (
        token().replace("NHSMESH", "nhsmesh"),
        "The scheme NHSMESH is in lower case.",
        "one blank after NHSMESH",
    ),
    "no blank": (
        token().replace(" ", ""),
        "The blank after NHSMESH is missing.",
        "one blank after NHSMESH",
    ),
    "two blanks": (token().replace(" ", "  "), "After NHSMESH come two blanks.", "one blank after NHSMESH"),
    "a dash": (
        token().replace(" ", "-"),
        "After NHSMESH comes something but a blank.",
        "one blank after NHSMESH",
    ),
    "lower case": (
        token("x26abc1"),
        "The token has the mailbox in lower case.",
        "upper case",
    ),
    "another mailbox": (
        token("X26ABC2", password="a-password-of-two"),
        "The token is for another mailbox (X26ABC2) than the path.",
        "Use the same mailbox",
    ),
    "too few parts": ("NHSMESH X26ABC1:abc", "The token has 2 parts, not 5.", "NHSMESH mailbox:nonce"),
    "nonce": (token(nonce="1"), "The nonce is not a GUID.", "GUID"),
    "a public key": (
        token(shared_key="Banana"),
        "The hash would be right for the shared key 'Banana' (mesh-sandbox's default).",
        "MESH_SIM_SHARED_KEY",
    ),
    "another's password": (
        token(password="a-password-of-two"),
        "The hash would be right for another mailbox's password (X26ABC2).",
        "this mailbox's own password",
    ),
    "password with a line break": (
        token(password="a-password-of-one\n"),
        "The hash would be right with a line break after the password.",
        "nothing after it",
    ),
    "password in capitals": (
        token(password="A-PASSWORD-OF-ONE"),
        "The hash would be right with the password in upper case.",
        "this mailbox's own password",
    ),
    "a cut hash": (
        token()[:-4],
        "The hash is right, but cut to 60 of its 64 characters.",
        "all 64 characters",
    ),
    "unknown": (
        token(password="wrong"),
        "usual mistakes explains the hash: the password, the shared key or a signed field differs.",
        "Compare the client's password and shared key",
    ),
    "stale": (
        token(ahead=-timedelta(hours=5, minutes=3)),
        "The timestamp is 5 h 3 min behind the server's.",
        "real time in UTC",
    ),
}


@pytest.mark.parametrize(("header", "finding", "advice"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_a_token_is_named_with_its_remedy(header: str, finding: str, advice: str) -> None:
    """Each usual mistake is told in a whole sentence, and what to do fits it."""
    told = of_token(header)
    assert any(finding in sentence for sentence in told.findings), told.findings
    assert advice in told.advice
    for sentence in told.findings:
        assert re.fullmatch(r"[A-Z].*[^:]\.", sentence), sentence
        assert not re.search(r": (yes|no)\b", sentence), sentence


@pytest.mark.parametrize(
    ("path", "finding"),
    [
        ("X26ABC9", r"There is a mailbox of nearly the path's id: X26ABC\d."),
        ("Z99ZZZ9", "No mailbox has the id in the path."),
        ("A11111", r"The path has the ODS code of a mailbox \(X26ABC1\), not its id."),
    ],
)
def test_a_mailbox_that_does_not_exist(path: str, finding: str) -> None:
    """It is told whether another was meant, and where those that exist are listed."""
    told = of_token(token(path), path)
    assert any(re.fullmatch(finding, sentence) for sentence in told.findings), told.findings
    assert "overview" in told.advice


@pytest.mark.parametrize("fault", list(TokenFault))
def test_no_refused_token_is_without_a_remedy(fault: TokenFault) -> None:
    """Also where no near miss was found, what to do is told of every kind of refused token."""
    told = explain(replace(ENTRY, reason=fault.value))
    assert told.advice
    assert told.findings == ()


def test_a_token_that_was_used_before() -> None:
    """Its first use is told, and that every request needs a new one."""
    miss = replay_miss(NOW - timedelta(seconds=3), NOW)
    told = explain(replace(ENTRY, reason=REPLAYED, near_misses=(miss,)))
    assert told.reason == "The token was used before."
    assert told.findings == ("This token was first used at 10:31:17 UTC (real time), 3.0 s before.",)
    assert told.advice.startswith("Make a new token")


@pytest.mark.parametrize(
    ("reason", "told", "advice"),
    [
        ("mex-to: Field required", "The header Mex-To is missing.", "Name in it the mailbox"),
        (
            "mex-to: Field required; mex-workflowid: Field required",
            "The header Mex-To is missing; the header Mex-WorkflowID is missing.",
            "Name in it the mailbox",
        ),
        (
            "mex-to: String should have at least 1 character",
            "The header Mex-To should have at least 1 character.",
            "Name in it",
        ),
        ("mex-workflowid: Field required", "The header Mex-WorkflowID is missing.", "such as TEST_WORKFLOW"),
        (
            "the body is larger than 100000000 bytes (X)",
            "The body is larger than 100,000,000 bytes (X).",
            "chunks",
        ),
        ("Message does not exist", "Message does not exist.", "List the inbox"),
    ],
)
def test_reasons_made_for_programs_are_told_in_plain_words(reason: str, told: str, advice: str) -> None:
    """Headers have their usual spelling, long numbers their commas, and each has something to do about it."""
    explained = explain(replace(ENTRY, reason=reason))
    assert explained.reason == told
    assert advice in explained.advice


def test_what_succeeded_needs_no_explanation() -> None:
    """Of a request that went well nothing is told beyond what was noted."""
    told = explain(replace(ENTRY, status=200))
    assert (told.reason, told.findings, told.advice) == ("", (), "")


def test_words_that_are_not_known_yet_are_shown_as_they_are() -> None:
    """A reason or near miss that has no words here is still shown, as a sentence."""
    told = explain(replace(ENTRY, reason="something new happened", near_misses=("sign of it: yes",)))
    assert (told.reason, told.findings) == ("Something new happened.", ("Sign of it.",))
