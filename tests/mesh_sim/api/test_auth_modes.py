"""Section 5: the sandbox's three authorization modes."""

from __future__ import annotations

import pytest
from support import MakeSimulator, assert_refused, authorization, both_versions

HEADERS = [
    None,
    "",
    "junk",
    "NHSMESH X26ABC1:VALID:1:things",
    authorization("X26ABC1"),
    authorization("X26ABC2"),
    authorization("X26ABC1", password="wrong"),
]


async def test_without_authorization_any_caller_is_the_mailbox(make_simulator: MakeSimulator) -> None:
    """In mode ``none`` the header is not looked at, and nothing is used up."""
    caller = (await make_simulator(auth_mode="none")).caller()
    for header in [*HEADERS, HEADERS[4]]:
        answer = await caller.get("inbox", authorization=header)
        assert (answer.status, answer.json()) == (200, {"messages": []})


@pytest.mark.parametrize(
    "header",
    [
        "NHSMESH X26ABC1:VALID:1:things",
        "NHSMESH X26ABC1:valid",
        "nhsmesh X26ABC1:VALID::",
        "X26ABC1:Valid:1:202005041305:abc",
        "NHSMESH:X26ABC1:VALID",
    ],
)
async def test_a_canned_token_needs_the_mailbox_and_the_word(
    make_simulator: MakeSimulator, header: str
) -> None:
    """In mode ``canned`` the nonce says VALID, in any letters; the rest may be anything, also twice."""
    caller = (await make_simulator(auth_mode="canned")).caller()
    for _ in range(2):
        assert (await caller.get("inbox", authorization=header)).status == 200


@both_versions
@pytest.mark.parametrize(
    ("header", "text"),
    [
        (None, "Error reading from Authorization header"),
        (" ", "Error reading from Authorization header"),
        ("NHSMESH X26ABC2:VALID:1:things", "Mailbox id does not match token"),
        ("NHSMESH x26abc1:VALID:1:things", "Mailbox id does not match token"),
        ("NHSMESH  X26ABC1:VALID:1:things", "Mailbox id does not match token"),
        ("junk", "Mailbox id does not match token"),
        ("NHSMESH X26ABC1", "Invalid Authentication Token"),
        ("NHSMESH X26ABC1:INVALID:1:things", "Invalid Authentication Token"),
        pytest.param(authorization("X26ABC1"), "Invalid Authentication Token", id="a good token"),
    ],
)
async def test_other_tokens_are_refused_in_canned_mode(
    make_simulator: MakeSimulator, header: str | None, text: str, version: int
) -> None:
    """A token of another mailbox, or without the word, is 403 in the sandbox's words."""
    caller = (await make_simulator(auth_mode="canned")).caller()
    assert_refused(await caller.get("inbox", authorization=header, version=version), version, 403, text)


@pytest.mark.parametrize("mode", ["none", "canned"])
async def test_a_mailbox_must_exist_in_any_mode(make_simulator: MakeSimulator, mode: str) -> None:
    """A mailbox that does not take part is 403 with its code."""
    caller = (await make_simulator(auth_mode=mode)).caller("NOBODY")
    answer = await caller.get("inbox", authorization="NHSMESH NOBODY:VALID:1:things")
    assert_refused(answer, 1, 403, "No mailbox matched", event="SEND", code="EPL-151")


@pytest.mark.parametrize("mode", ["none", "canned", "full"])
async def test_an_inactive_mailbox_is_refused_in_any_mode(make_simulator: MakeSimulator, mode: str) -> None:
    """A mailbox that was disabled gets in by no mode."""
    caller = (await make_simulator(auth_mode=mode)).caller()
    answer = await caller.request(
        "PATCH",
        "/admin/mailboxes",
        body=b'{"mailbox_id": "X26ABC1", "active": false}',
        authorization=None,
    )
    assert answer.status == 200
    header = caller.sign() if mode == "full" else "NHSMESH X26ABC1:VALID:1:things"
    refused = await caller.get("inbox", authorization=header)
    assert_refused(refused, 1, 403, "Request Received from Inactive Mailbox")
