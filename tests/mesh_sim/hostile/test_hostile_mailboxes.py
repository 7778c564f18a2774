"""Tokens that are not one's own, or not of now; and other mailboxes' messages, by every verb and path."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import pytest
from raw import LAST, Heard, assert_decent, head, talk
from support import HANDSHAKE, V1, V2, Callers, Simulator, authorization, minute

from mesh_sim.api.routes import OF_MAILBOXES

SECRET: Final = "nobody-else-s-business"
"""In the subject, local id, file name and body of the messages that are attacked."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One operation as a third mailbox tries it; ``path`` is what follows its mailbox id."""

    method: str
    path: str
    status: int
    """What it is answered; for some operations, as if there were no such message."""
    lines: tuple[str, ...] = ()
    body: bytes = b""

    def request(self, mailbox: str, token: str, version: str, **ids: str) -> bytes:
        """Write it down."""
        return (
            head(
                self.method,
                f"/messageexchange/{mailbox}{self.path.format(**ids)}",
                f"Authorization: {token}",
                f"Accept: {version}",
                f"Content-Length: {len(self.body)}",
                *self.lines,
            )
            + self.body
        )


ATTEMPTS: Final[dict[str, list[Attempt]]] = {
    "handshake": [Attempt("POST", "", 200, tuple(f"{name}: {value}" for name, value in HANDSHAKE.items()))],
    "list": [
        Attempt("GET", "/inbox", 200),
        Attempt("GET", "/inbox?workflow_filter=**", 200),
        Attempt("GET", "/inbox?continue_from={whole}", 400),
    ],
    "count": [Attempt("GET", "/count", 200)],
    "rich-inbox": [Attempt("GET", "/inbox/rich", 200)],
    "rich-outbox": [Attempt("GET", "/outbox/rich", 200)],
    "download": [Attempt("GET", "/inbox/{whole}", 403), Attempt("GET", "/inbox/{partial}", 403)],
    "download-chunk": [Attempt("GET", "/inbox/{whole}/1", 403), Attempt("GET", "/inbox/{partial}/1", 403)],
    "head": [Attempt("HEAD", "/inbox/{whole}", 404), Attempt("HEAD", "/inbox/{partial}", 404)],
    "acknowledge": [
        Attempt("PUT", "/inbox/{whole}/status/acknowledged", 403),
        Attempt("PUT", "/inbox/{partial}/status/acknowledged", 403),
    ],
    "send": [
        Attempt(
            "POST", "/outbox", 417, ("Mex-To: X26ABC2", "Mex-WorkflowID: W", "Mex-From: X26ABC1"), b"forged"
        )
    ],
    "send-chunk": [
        Attempt("POST", "/outbox/{partial}/2", 403, ("Mex-Chunk-Range: 2:2",), b"forged"),
        Attempt("POST", "/outbox/{partial}/1", 403, ("Mex-Chunk-Range: 1:2",), b"forged"),
        Attempt("POST", "/outbox/{whole}/1", 403, ("Mex-Chunk-Range: 1:1",), b"forged"),
    ],
    "track": [Attempt("GET", "/outbox/tracking?messageID={whole}", 404)],
    "track-local-id": [Attempt("GET", f"/outbox/tracking/{SECRET}", 404)],
    "update": [Attempt("POST", "/update", 200)],
}


def test_there_is_an_attempt_at_every_operation() -> None:
    """An operation that names a mailbox cannot be added without saying what others get of it."""
    assert set(ATTEMPTS) == OF_MAILBOXES


@pytest.mark.parametrize("version", [V1, V2], ids=["v1", "v2"])
async def test_a_third_mailbox_learns_and_changes_nothing(simulator: Simulator, version: str) -> None:
    """With its own good token, by every operation, it sees nothing of others' messages and changes none."""
    ids = await _messages(simulator)
    third = simulator.caller("X26ABC3")
    for attempts in ATTEMPTS.values():
        for attempt in attempts:
            if attempt.path.endswith("continue_from={whole}") and version == V1:
                continue  # in version 1 an unknown one begins at the start
            data = attempt.request("X26ABC3", third.sign(), version, **ids)
            answer = await _answer(simulator.url, data, attempt.method)
            assert answer.status == attempt.status, (attempt, answer)
            seen = answer.body + b"".join(value.encode("latin-1") for _, value in answer.headers)
            assert SECRET.encode() not in seen, attempt
            named = ids["whole"].encode() in answer.body
            assert not named or attempt.status != 200, attempt
    await _assert_untouched(simulator, ids)


async def test_a_token_opens_one_mailbox_only(simulator: Simulator) -> None:
    """The sender's own token on another's path is 403 by every operation, however the path is written."""
    ids = await _messages(simulator)
    sender = simulator.caller("X26ABC1")
    for attempt in (attempt for attempts in ATTEMPTS.values() for attempt in attempts):
        for mailbox in ("X26ABC2", "x26abc2", "X26ABC3", "X26ABC1%00", "%58%32%36ABC2", "X26ABC2%20"):
            data = attempt.request(mailbox, sender.sign(), V1, **ids)
            answer = await _answer(simulator.url, data, attempt.method)
            assert answer.status == 403, (attempt, mailbox)
            if attempt.method != "HEAD":
                assert answer.json()["errorDescription"] == "Mailbox id does not match token"
    await _assert_untouched(simulator, ids)


FORGED: Final = {
    "no token": "",
    "a scheme alone": "NHSMESH",
    "Basic": "Basic WDI2QUJDMTpwYXNzd29yZA==",
    "digits of another script in the count": authorization("X26ABC1", nonce_count="\u0660"),
    "fullwidth digits in the time": authorization(
        "X26ABC1", timestamp=minute().translate({ord(digit): 0xFEE0 + ord(digit) for digit in "0123456789"})
    ),
    "a count with a sign": authorization("X26ABC1", nonce_count="+1"),
    "a count with an underline": authorization("X26ABC1", nonce_count="1_0"),
    "no count": authorization("X26ABC1", nonce_count=""),
    "no nonce": authorization("X26ABC1", nonce=""),
    "a nonce of 30,000 characters": authorization("X26ABC1", nonce="a" * 30_000),
    "a colon more": authorization("X26ABC1") + ":",
    "a hash of nothing": authorization("X26ABC1").rpartition(":")[0] + ":",
    "a hash of another's password": authorization("X26ABC1", password="guess"),
    "zeros for a hash": authorization("X26ABC1").rpartition(":")[0] + ":" + "0" * 64,
    "an endless hash": authorization("X26ABC1").rpartition(":")[0] + ":" + "0" * 30_000,
    "bytes for a hash": authorization("X26ABC1").rpartition(":")[0] + ":" + "\xff" * 64,
    "the day before the first": authorization("X26ABC1", timestamp="000001010000"),
    "a month that is none": authorization("X26ABC1", timestamp="202613010000"),
    "the last minute there is": authorization("X26ABC1", timestamp="999912312359"),
    "seconds too": authorization("X26ABC1", timestamp=minute() + "00"),
    "a minute too old": authorization("X26ABC1", timestamp=minute(timedelta(hours=-2, minutes=-1))),
    "half an hour too young": authorization("X26ABC1", timestamp=minute(timedelta(hours=2, minutes=30))),
    "colons by the thousand": "NHSMESH X26ABC1" + ":" * 30_000,
    "mailboxes by the thousand": "NHSMESH " + "X26ABC1 " * 4_000 + ":::::",
}


@pytest.mark.parametrize("token", FORGED.values(), ids=FORGED)
async def test_a_forged_token_opens_nothing(target: str, token: str) -> None:
    """Whatever part is missing, too long, too odd or of another time: 403, and nothing is said of the key."""
    lines = [f"Authorization: {token}".encode("latin-1" if "\xff" in token else "utf-8")]
    for method, path in (("GET", "inbox"), ("POST", "outbox"), ("PUT", "inbox/X/status/acknowledged")):
        data = head(method, f"/messageexchange/X26ABC1/{path}", *lines, "Content-Length: 0")
        assert (await _answer(target, data, method)).status == 403


async def test_tokens_at_the_edges_of_their_time_are_good(shared: Callers) -> None:
    """Almost two hours to either side is near enough (section 5)."""
    caller = shared.caller()
    for offset in (timedelta(hours=-1, minutes=-58), timedelta(hours=1, minutes=59)):
        token = authorization("X26ABC1", timestamp=minute(offset))
        assert (await caller.get("count", authorization=token)).status == 200
        assert (await caller.get("count", authorization=token)).status == 403


async def test_a_token_used_at_once_by_many_connections_sends_one_message(simulator: Simulator) -> None:
    """Thirty sends that race with one token are one message and twenty-nine refusals."""
    token = simulator.caller().sign()
    send = Attempt("POST", "/outbox", 202, ("Mex-To: X26ABC2", "Mex-WorkflowID: TEST_WORKFLOW"), b"once")
    data = send.request("X26ABC1", token, V1)
    answers = await asyncio.gather(*(_answer(simulator.url, data, "POST") for _ in range(30)))
    assert sorted(answer.status for answer in answers) == [202] + [403] * 29
    assert len(await simulator.caller("X26ABC2").inbox()) == 1


async def _messages(simulator: Simulator) -> dict[str, str]:
    """Have a whole message and the first chunk of another lie between two mailboxes."""
    sender = simulator.caller("X26ABC1")
    marks = dict.fromkeys(("Mex-Subject", "Mex-LocalID", "Mex-FileName", "Mex-PartnerID"), SECRET)
    whole = await sender.sent(SECRET.encode(), headers=marks)
    partial = await sender.sent(SECRET.encode(), headers={"Mex-Subject": SECRET, "Mex-Chunk-Range": "1:2"})
    return {"whole": whole, "partial": partial}


async def _assert_untouched(simulator: Simulator, ids: dict[str, str]) -> None:
    """Check that both are still what their sender sent, for the recipient to have."""
    sender, recipient = simulator.caller("X26ABC1"), simulator.caller("X26ABC2")
    assert await recipient.inbox() == [ids["whole"]]
    assert (await recipient.get(f"inbox/{ids['whole']}")).body == SECRET.encode()
    assert (await sender.track(ids["partial"]))["status"] == "uploading"
    assert (await sender.send_chunk(ids["partial"], 2, "2:2", b"end")).status == 202
    pieces: list[Any] = [(await recipient.get(f"inbox/{ids['partial']}/{number}")).body for number in (1, 2)]
    assert pieces == [SECRET.encode(), b"end"]


async def _answer(url: str, data: bytes, method: str) -> Heard:
    answer, _ = (await talk(url, data + LAST, heads=(0,) if method == "HEAD" else ())).answers
    assert_decent(answer)
    return answer
