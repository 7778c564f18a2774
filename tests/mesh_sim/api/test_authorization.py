"""Section 5: what an ``Authorization`` header must be, and what a refusal says."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from support import (
    HANDSHAKE,
    UNKNOWN_ID,
    Callers,
    MakeSimulator,
    Simulator,
    assert_refused,
    authorization,
    both_versions,
    minute,
)

UNREADABLE = "Error reading from Authorization header"
OTHER_MAILBOX = "Mailbox id does not match token"
INVALID = "Invalid Authentication Token"
DUPLICATED = "Error Duplicated Authentication Token"
INACTIVE = "Request Received from Inactive Mailbox"

NONCE = "bd0e2bd5-218e-41d0-83a9-73fdec414803"
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("nonce_count", "digest"),
    [
        ("0", "1d7da1305d2c4f169b097f4e7fddbc8dfba024de2ea0fdee858b64536f2a90bc"),
        ("1", "b35be3a6bdca886d8117b2f29cc9f3f90ad607efbc88c20aa41a0f3d5e65c863"),
    ],
)
def test_tests_sign_as_the_reference_does(nonce_count: str, digest: str) -> None:
    """The token these tests send is the reference's test vector, to the byte."""
    token = authorization("X26ABC1", nonce=NONCE, nonce_count=nonce_count, timestamp="202005041305")
    assert token == f"NHSMESH X26ABC1:{NONCE}:{nonce_count}:202005041305:{digest}"


# -- one row a fault, in the order they are checked -------------------------------------------------

Spoil = Callable[[str], str | None]
"""Makes a bad header from a good one."""


def signed(**fields: str) -> Spoil:
    """A header with these fields, signed as they are."""
    return lambda _: authorization("X26ABC1", **fields)


def field(index: int, value: str) -> Spoil:
    """A good header with one field changed after signing."""

    def spoil(good: str) -> str:
        parts = good.split(":")
        parts[index] = value
        return ":".join(parts)

    return spoil


REFUSED: dict[str, tuple[Spoil, str]] = {
    # 1: absent or blank
    "absent": (lambda _: None, UNREADABLE),
    "empty": (lambda _: "", UNREADABLE),
    "blank": (lambda _: "   ", UNREADABLE),
    # 2: what stands before the first colon, less the scheme, is not the path's mailbox
    "another mailbox": (lambda _: authorization("X26ABC2"), OTHER_MAILBOX),
    "mailbox in lower case": (lambda _: authorization("x26abc1"), OTHER_MAILBOX),
    "mailbox empty": (lambda _: authorization(""), OTHER_MAILBOX),
    "mailbox with more after it": (lambda _: authorization("X26ABC12"), OTHER_MAILBOX),
    "garbage": (lambda _: "nonsense", OTHER_MAILBOX),
    "only colons": (lambda _: "::::", OTHER_MAILBOX),
    "Basic": (lambda _: "Basic WDI2QUJDMTpwYXNzd29yZA==", OTHER_MAILBOX),
    "BEARER": (lambda good: good.replace("NHSMESH", "BEARER"), OTHER_MAILBOX),
    "scheme in lower case": (lambda good: good.replace("NHSMESH", "nhsmesh"), OTHER_MAILBOX),
    "two spaces": (lambda good: good.replace(" ", "  "), OTHER_MAILBOX),
    "no space": (lambda good: good.replace(" ", ""), OTHER_MAILBOX),
    "tab for the space": (lambda good: good.replace(" ", "\t"), OTHER_MAILBOX),
    "another character for the space": (lambda good: good.replace(" ", "_"), OTHER_MAILBOX),
    "colon for the space": (lambda good: good.replace(" ", ":"), OTHER_MAILBOX),
    "no scheme": (lambda good: good.removeprefix("NHSMESH "), OTHER_MAILBOX),
    "scheme only": (lambda _: "NHSMESH", OTHER_MAILBOX),
    "another mailbox, too few parts": (lambda _: "NHSMESH X26ABC2:0", OTHER_MAILBOX),
    # 3: not five parts, or a part that cannot be read
    "mailbox only": (lambda _: "NHSMESH X26ABC1", UNREADABLE),
    "four parts": (lambda good: good.rpartition(":")[0], UNREADABLE),
    "six parts": (lambda good: good + ":", UNREADABLE),
    "nonce count negative": (signed(nonce_count="-1"), UNREADABLE),
    "nonce count a letter": (signed(nonce_count="a"), UNREADABLE),
    "nonce count empty": (signed(nonce_count=""), UNREADABLE),
    "nonce count a fraction": (signed(nonce_count="1.0"), UNREADABLE),
    "nonce empty": (signed(nonce=""), UNREADABLE),
    "nonce a word": (signed(nonce="VALID"), UNREADABLE),
    "nonce too short for a GUID": (signed(nonce=NONCE[:-1]), UNREADABLE),
    "nonce with a letter no GUID has": (signed(nonce="g" + NONCE[1:]), UNREADABLE),
    # 5: the hash is not that of these fields with this password and key
    "wrong password": (signed(password="Password"), INVALID),
    "wrong shared key": (signed(shared_key="testkey"), INVALID),
    "nonce changed after signing": (field(1, NONCE), INVALID),
    "nonce count changed after signing": (field(2, "1"), INVALID),
    "nonce count written otherwise": (field(2, "00"), INVALID),
    "timestamp changed after signing": (field(3, minute(-5 * MINUTE)), INVALID),
    "hash empty": (field(4, ""), INVALID),
    "hash of zeros": (field(4, "0" * 64), INVALID),
    "hash cut short": (lambda good: good[:-1], INVALID),
    "hash too long": (lambda good: good + "0", INVALID),
    "hash not hex": (field(4, "hash"), INVALID),
    "hash not ASCII": (field(4, "é" * 64), INVALID),
    # strict: the timestamp is more than two hours from real time
    "2 h 01 behind": (lambda _: authorization("X26ABC1", timestamp=minute(-2 * HOUR - MINUTE)), INVALID),
    "2 h 02 ahead": (lambda _: authorization("X26ABC1", timestamp=minute(2 * HOUR + 2 * MINUTE)), INVALID),
    "a day behind": (lambda _: authorization("X26ABC1", timestamp=minute(-24 * HOUR)), INVALID),
    "in 1999": (signed(timestamp="199912312359"), INVALID),
    "timestamp a word": (signed(timestamp="banana"), INVALID),
    "timestamp empty": (signed(timestamp=""), INVALID),
    "timestamp in a month that is not": (signed(timestamp="202613010000"), INVALID),
    "timestamp with seconds": (lambda _: authorization("X26ABC1", timestamp=minute() + "00"), INVALID),
    "timestamp without minutes": (lambda _: authorization("X26ABC1", timestamp=minute()[:-2]), INVALID),
}


@both_versions
@pytest.mark.parametrize(("spoil", "text"), REFUSED.values(), ids=REFUSED.keys())
async def test_a_bad_header_is_refused_with_its_text(
    shared: Callers, spoil: Spoil, text: str, version: int
) -> None:
    """Each fault is answered 403 with the text of the first check it fails."""
    caller = shared.caller()
    answer = await caller.get("inbox", version=version, authorization=spoil(caller.sign()))
    assert_refused(answer, version, 403, text)


@both_versions
@pytest.mark.parametrize(
    "fields",
    [{}, {"password": "wrong"}, {"timestamp": "199912312359"}],
    ids=["well signed", "wrong hash", "stale"],
)
async def test_an_unknown_mailbox_is_named_before_its_hash_is_checked(
    shared: Callers, fields: dict[str, str], version: int
) -> None:
    """A mailbox that does not exist is answered 403 with code EPL-151, whatever the hash."""
    caller = shared.caller("X26ZZZ9")
    answer = await caller.get("inbox", version=version, authorization=authorization("X26ZZZ9", **fields))
    assert_refused(answer, version, 403, "No mailbox matched", event="SEND", code="EPL-151")


async def test_an_unknown_mailbox_is_looked_up_after_the_header_is_read(shared: Callers) -> None:
    """A header that cannot be read is the fault reported, though the mailbox does not exist either."""
    caller = shared.caller("X26ZZZ9")
    answer = await caller.get("inbox", authorization=authorization("X26ZZZ9", nonce_count="a"))
    assert_refused(answer, 1, 403, UNREADABLE)


ACCEPTED: dict[str, Spoil] = {
    "fresh": lambda good: good,
    "1 h 58 behind": lambda _: authorization("X26ABC1", timestamp=minute(-2 * HOUR + 2 * MINUTE)),
    "1 h 58 ahead": lambda _: authorization("X26ABC1", timestamp=minute(2 * HOUR - 2 * MINUTE)),
    "hash in upper case": lambda good: good[:-64] + good[-64:].upper(),
    "GUID in upper case": lambda _: authorization("X26ABC1", nonce=str(uuid.uuid4()).upper()),
    "nonce count with leading zeros": signed(nonce_count="001"),
    "nonce count of thirty digits": signed(nonce_count="9" * 30),
    "blanks around the header": lambda good: f"  {good}  ",
}


@pytest.mark.parametrize("make", ACCEPTED.values(), ids=ACCEPTED.keys())
async def test_a_good_header_is_accepted(shared: Callers, make: Spoil) -> None:
    """Every form the reference allows is answered 200."""
    caller = shared.caller()
    answer = await caller.get("inbox", authorization=make(caller.sign()))
    assert answer.status == 200, answer.body


async def test_the_path_is_upper_cased_before_it_is_compared(shared: Callers) -> None:
    """A lower-case mailbox in the path goes with the upper-case one in the token."""
    caller = shared.caller()
    answer = await caller.request("POST", "/messageexchange/x26abc1", headers=HANDSHAKE)
    assert (answer.status, answer.json()) == (200, {"mailboxId": "X26ABC1"})


# -- who is asked for a token, and when -------------------------------------------------------------

AUTHORIZED = {
    "handshake": ("POST", ""),
    "handshake by GET": ("GET", ""),
    "inbox": ("GET", "inbox"),
    "download": ("GET", f"inbox/{UNKNOWN_ID}"),
    "headers": ("HEAD", f"inbox/{UNKNOWN_ID}"),
    "chunk": ("GET", f"inbox/{UNKNOWN_ID}/1"),
    "acknowledge": ("PUT", f"inbox/{UNKNOWN_ID}/status/acknowledged"),
    "count": ("GET", "count"),
    "send": ("POST", "outbox"),
    "send chunk": ("POST", f"outbox/{UNKNOWN_ID}/2"),
    "tracking": ("GET", f"outbox/tracking?messageID={UNKNOWN_ID}"),
    "tracking by local id": ("GET", "outbox/tracking/none"),
    "update": ("POST", "update"),
}


@both_versions
@pytest.mark.parametrize(("method", "path"), AUTHORIZED.values(), ids=AUTHORIZED.keys())
async def test_every_mailbox_operation_needs_a_token(
    shared: Callers, method: str, path: str, version: int
) -> None:
    """Without a token each is 403, though the message or the required headers are missing as well."""
    answer = await shared.caller().request(method, path, version=version, authorization=None)
    if method == "HEAD":
        assert (answer.status, answer.body) == (403, b"")
    else:
        assert_refused(answer, version, 403, UNREADABLE)


FAULTY: dict[str, tuple[str, str, dict[str, str]]] = {
    "bad Accept": ("GET", "inbox", {"Accept": "application/vnd.mesh.v2+json, application/json"}),
    "bad query": ("GET", "inbox?max_results=1&continue_from=x", {}),
    "bad chunk number": ("GET", f"inbox/{UNKNOWN_ID}/0", {}),
    "no tracking query": ("GET", "outbox/tracking", {}),
    "malformed headers": ("POST", "outbox", {"Mex-To": "http://x", "Mex-WorkflowID": "w"}),
    "bad checksum": ("POST", "outbox", {"Mex-Content-Checksum": "_"}),
    "headers too long": ("POST", "outbox", {"Mex-To": "x" * 101}),
    "unsupported encoding": ("POST", "outbox", {"Content-Encoding": "br"}),
    "bad chunk range": ("POST", f"outbox/{UNKNOWN_ID}/x", {"Mex-Chunk-Range": "0:0"}),
}


@pytest.mark.parametrize(("method", "path", "headers"), FAULTY.values(), ids=FAULTY.keys())
async def test_authorization_comes_before_every_other_fault(
    shared: Callers, method: str, path: str, headers: dict[str, str]
) -> None:
    """A request with another fault and a wrong hash is answered 403."""
    caller = shared.caller(password="wrong")
    answer = await caller.request(method, path, headers=headers)
    assert answer.status == 403
    assert answer.json()["errorDescription"] == INVALID


# -- a token is valid once --------------------------------------------------------------------------


@both_versions
async def test_a_token_is_valid_once(shared: Callers, version: int) -> None:
    """The same token a second time is 403, on any operation."""
    caller = shared.caller()
    token = caller.sign()
    assert (await caller.get("inbox", authorization=token)).status == 200
    for path in ("inbox", "count"):
        answer = await caller.get(path, version=version, authorization=token)
        assert_refused(answer, version, 403, DUPLICATED)


async def test_a_replay_with_its_hash_in_other_letters_is_still_a_replay(shared: Callers) -> None:
    """The hash is read in either case, so its case does not make a token a new one."""
    caller = shared.caller()
    token = caller.sign()
    assert (await caller.get("inbox", authorization=token)).status == 200
    answer = await caller.get("inbox", authorization=token[:-64] + token[-64:].upper())
    assert_refused(answer, 1, 403, DUPLICATED)


async def test_of_many_requests_with_one_token_one_is_let_in(shared: Callers) -> None:
    """Sent at the same moment, a token still opens the door once."""
    caller = shared.caller()
    token = caller.sign()
    answers = await asyncio.gather(*(caller.get("inbox", authorization=token) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [200] + 7 * [403]


async def test_a_kept_nonce_with_another_count_is_another_token(shared: Callers) -> None:
    """One nonce serves many requests as its count changes, in whatever order."""
    caller, nonce = shared.caller(), str(uuid.uuid4())
    for nonce_count in ("0", "7", "3", "007"):
        token = authorization("X26ABC1", nonce=nonce, nonce_count=nonce_count)
        assert (await caller.get("inbox", authorization=token)).status == 200


async def test_a_token_that_failed_is_not_used_up(shared: Callers) -> None:
    """Someone who guesses a hash, or sends the token to another mailbox, does not spend it."""
    caller = shared.caller()
    token = caller.sign()
    wrong_hash = field(4, "0" * 64)(token)
    other_path = "/messageexchange/X26ABC2/inbox"
    assert (await caller.get("inbox", authorization=wrong_hash)).status == 403
    assert (await caller.get(other_path, authorization=token)).status == 403
    assert (await caller.get("inbox", authorization=token)).status == 200


async def test_a_token_is_used_up_by_a_request_that_failed_later(shared: Callers) -> None:
    """A request that passed authentication and was then answered 404 has spent its token."""
    caller = shared.caller()
    token = caller.sign()
    assert (await caller.get(f"inbox/{UNKNOWN_ID}", authorization=token)).status == 404
    assert_refused(await caller.get("inbox", authorization=token), 1, 403, DUPLICATED)


async def test_a_replay_is_refused_after_a_restart(make_simulator: MakeSimulator, tmp_path: Path) -> None:
    """Tokens seen are remembered with the data: stopping the server does not make them new."""
    first = await make_simulator(data=tmp_path / "kept")
    caller = first.caller()
    token = caller.sign()
    assert (await caller.get("inbox", authorization=token)).status == 200
    await first.stop()
    second = (await make_simulator(data=tmp_path / "kept")).caller()
    assert_refused(await second.get("inbox", authorization=token), 1, 403, DUPLICATED)
    assert (await second.get("inbox")).status == 200


# -- relaxations, inactive mailboxes, simulated time ------------------------------------------------


async def test_token_reuse_can_be_allowed(make_simulator: MakeSimulator) -> None:
    """With ``token-reuse`` a repeated token is accepted, and a stale one still is not."""
    caller = (await make_simulator(allow=frozenset({"token-reuse"}))).caller()
    token = caller.sign()
    for _ in range(2):
        assert (await caller.get("inbox", authorization=token)).status == 200
    stale = authorization("X26ABC1", timestamp="199912312359")
    assert_refused(await caller.get("inbox", authorization=stale), 1, 403, INVALID)


async def test_stale_timestamps_can_be_allowed(make_simulator: MakeSimulator) -> None:
    """With ``stale-timestamp`` any time is accepted, and a repeated token still is not."""
    caller = (await make_simulator(allow=frozenset({"stale-timestamp"}))).caller()
    for timestamp in ("199912312359", minute(-3 * HOUR), minute(3 * HOUR)):
        token = authorization("X26ABC1", timestamp=timestamp)
        assert (await caller.get("inbox", authorization=token)).status == 200
        assert_refused(await caller.get("inbox", authorization=token), 1, 403, DUPLICATED)


@both_versions
async def test_an_inactive_mailbox_is_refused(
    make_simulator: MakeSimulator, tmp_path: Path, version: int
) -> None:
    """A mailbox that is not active is answered 403 though its token is right."""
    mailboxes = [
        {"mailbox_id": "X26ABC1", "mailbox_name": "Open", "password": "password"},
        {"mailbox_id": "X26OFF1", "mailbox_name": "Closed", "password": "password", "active": False},
        {"mailbox_id": "X26HC065", "mailbox_name": "Service", "password": "password"},
    ]
    file = tmp_path / "mailboxes.jsonl"
    file.write_text("\n".join(map(json.dumps, mailboxes)), encoding="utf-8")
    simulator = await make_simulator(mailboxes=file)
    answer = await simulator.caller("X26OFF1").get("inbox", version=version)
    assert_refused(answer, version, 403, INACTIVE)
    assert (await simulator.caller("X26ABC1").get("inbox")).status == 200


async def test_tokens_stay_on_real_time(simulator: Simulator) -> None:
    """After the simulated clock has moved ten days, real time is right and simulated time is stale."""
    caller = simulator.caller()
    simulator.clock.advance(timedelta(days=10))
    assert (await caller.get("inbox")).status == 200
    simulated = simulator.clock.now().astimezone(UTC).strftime("%Y%m%d%H%M")
    answer = await caller.get("inbox", authorization=authorization("X26ABC1", timestamp=simulated))
    assert_refused(answer, 1, 403, INVALID)
