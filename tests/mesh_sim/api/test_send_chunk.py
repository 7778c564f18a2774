"""Section 13: the later chunks of a message."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any

import pytest
from support import (
    UNKNOWN_ID,
    Answer,
    Callers,
    MakeSimulator,
    Simulator,
    assert_generic,
    assert_invalid,
    assert_refused,
    assert_unknown_message,
    both_versions,
    request_head,
    speak,
)

RANGE_TEXT = "Invalid chunk values sent in mex-Chunk-Range header"


async def begin(sender: Any, total: int = 3, **options: Any) -> str:
    """Send the first of ``total`` chunks."""
    return str(await sender.sent(b"one.", headers={"Mex-Chunk-Range": f"1:{total}"}, **options))


async def download(simulator: Callers, message: str, total: int) -> list[bytes]:
    """Download every chunk as the recipient."""
    recipient = simulator.caller("X26ABC2")
    return [(await recipient.get(f"inbox/{message}/{number}")).body for number in range(1, total + 1)]


def assert_range_refused(answer: Answer, version: int, message: str) -> None:
    """Check the 417 of a chunk range."""
    assert_refused(
        answer, version, 417, RANGE_TEXT, event="SEND", code="InvalidHeaderChunks", message_id=message
    )


# -- what is accepted -------------------------------------------------------------------------------


@both_versions
async def test_the_answer_names_the_message(shared: Callers, version: int) -> None:
    """A chunk is 202 with the message's id, and in version 1 its own number."""
    sender = shared.caller()
    message = await begin(sender)
    answer = await sender.send_chunk(message, 2, "2:3", version=version)
    body = {"messageID": message, "blockID": 2} if version == 1 else {"message_id": message}
    assert (answer.status, answer.json()) == (202, body)


@pytest.mark.parametrize("order", list(itertools.permutations([2, 3, 4])), ids=str)
async def test_chunks_come_in_any_order(shared: Callers, order: tuple[int, ...]) -> None:
    """The message completes with the last chunk that was missing, whichever its number."""
    sender = shared.caller()
    message = await begin(sender, 4)
    for number in order:
        assert (await sender.track(message))["status"] == "uploading"
        assert (await sender.send_chunk(message, number, f"{number}:4", b"%d." % number)).status == 202
    assert (await sender.track(message))["status"] == "accepted"
    assert await download(shared, message, 4) == [b"one.", b"2.", b"3.", b"4."]


async def test_the_last_number_waits_for_those_missing(simulator: Simulator) -> None:
    """The chunk of the highest number does not complete a message that lacks another."""
    sender, recipient = simulator.caller(), simulator.caller("X26ABC2")
    message = await begin(sender)
    assert (await sender.send_chunk(message, 3, "3:3")).status == 202
    assert await recipient.inbox() == []
    assert (await sender.send_chunk(message, 2, "2:3")).status == 202
    assert await recipient.inbox() == [message]


async def test_missing_chunks_can_be_allowed(make_simulator: MakeSimulator) -> None:
    """With ``missing-chunks`` the last number completes a message, and those missing are 404."""
    simulator = await make_simulator(allow=frozenset({"missing-chunks"}))
    sender, recipient = simulator.caller(), simulator.caller("X26ABC2")
    message = await begin(sender)
    assert (await sender.send_chunk(message, 3, "3:3", b"three.")).status == 202
    assert await recipient.inbox() == [message]
    assert (await recipient.get(f"inbox/{message}/3")).body == b"three."
    assert_unknown_message(await recipient.get(f"inbox/{message}/2"), 1)


async def test_a_chunk_sent_again_replaces_the_first(shared: Callers) -> None:
    """Any chunk, the first too, may be sent again until the message is complete; the latest counts."""
    sender = shared.caller()
    message = await begin(sender)
    for number, body in ((2, b"two"), (1, b"ONE, longer"), (2, b"2"), (3, b"three")):
        assert (await sender.send_chunk(message, number, f"{number}:3", body)).status == 202
    assert await download(shared, message, 3) == [b"ONE, longer", b"2", b"three"]
    assert (await sender.track(message, version=1))["fileSize"] == len(b"ONE, longer2three")


@pytest.mark.parametrize("chunk_range", ["2:2", "2:5", "2:999999", " 2 : 3 ", "02:03"])
async def test_the_total_of_a_later_chunk_is_not_compared(shared: Callers, chunk_range: str) -> None:
    """Only the number must be right; blanks and leading zeros may stand around it."""
    sender = shared.caller()
    message = await begin(sender)
    assert (await sender.send_chunk(message, 2, chunk_range)).status == 202


async def test_a_later_chunk_may_be_empty(shared: Callers) -> None:
    """An empty chunk is kept as one."""
    sender = shared.caller()
    message = await begin(sender, 2)
    assert (await sender.send_chunk(message, 2, "2:2", b"")).status == 202
    answer = await shared.caller("X26ABC2").get(f"inbox/{message}/2")
    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize(("first", "later"), [("gzip", "GZIP"), ("GZIP", "gzip"), ("", None), (None, "")])
async def test_an_encoding_written_otherwise_is_the_same(
    shared: Callers, first: str | None, later: str | None
) -> None:
    """The encoding is compared in lower case, and an empty one is none."""
    sender = shared.caller()
    encodings = [{} if text is None else {"Content-Encoding": text} for text in (first, later)]
    message = await sender.sent(headers={"Mex-Chunk-Range": "1:2", **encodings[0]})
    assert (await sender.send_chunk(message, 2, "2:2", headers=encodings[1])).status == 202


async def test_other_headers_of_a_later_chunk_are_ignored(shared: Callers) -> None:
    """The message keeps the headers of its first chunk."""
    sender = shared.caller()
    message = await begin(sender, 2)
    headers = {"Mex-To": "X26ABC3", "Mex-Subject": "changed", "Content-Type": "text/html"}
    assert (await sender.send_chunk(message, 2, "2:2", headers=headers)).status == 202
    answer = await shared.caller("X26ABC2").get(f"inbox/{message}/2")
    assert answer.status == 200
    assert not {"mex-subject", "mex-content-type"} & set(answer.mex())


async def test_the_id_may_be_written_in_lower_case(shared: Callers) -> None:
    """Message ids in a path are upper-cased, and answered so."""
    sender = shared.caller()
    message = await begin(sender)
    answer = await sender.send_chunk(message.lower(), 2, "2:3", version=2)
    assert (answer.status, answer.json()["message_id"]) == (202, message)


# -- what is refused, in the order of the checks ----------------------------------------------------


@dataclass(frozen=True)
class Attempt:
    """A chunk that would be accepted, until a fault changes it."""

    mailbox: str = "X26ABC1"
    password: str = "password"
    begun: int = 3
    complete: bool = False
    known: bool = True
    number: str = "2"
    chunk_range: str | None = "2:3"
    encoding: str = ""


@dataclass(frozen=True)
class Fault:
    """One row of the checks: what brings it about, and what it is answered with."""

    changes: dict[str, Any]
    status: int
    text: str = ""
    code: str = ""
    invalid: tuple[str, str, str] | None = None


FAULTS: dict[str, Fault] = {
    "1 wrong password": Fault({"password": "wrong"}, 403, "Invalid Authentication Token"),
    "2 range too long": Fault(
        {"chunk_range": "2:" + "3" * 19}, 400, invalid=("string_too_long", "header", "mex-chunk-range")
    ),
    "3 range mismatch": Fault({"chunk_range": "1:3"}, 417, RANGE_TEXT, "InvalidHeaderChunks"),
    "4 unknown message": Fault({"known": False}, 404, "Not Found"),
    "5 not the sender": Fault({"mailbox": "X26ABC3"}, 403, "Forbidden"),
    "6 complete": Fault({"complete": True}, 423),
    "7 beyond the total": Fault({"number": "4", "chunk_range": "4:9"}, 406),
    "8 other encoding": Fault({"encoding": "gzip"}, 417, "cannot change content encoding"),
}


async def send_attempt(shared: Callers, attempt: Attempt, version: int) -> tuple[str, Answer]:
    """Bring the message into its state, then send the chunk; gives the id it was sent under."""
    owner = shared.caller()
    message = await begin(owner, attempt.begun)
    if attempt.complete:
        for number in range(2, attempt.begun + 1):
            assert (await owner.send_chunk(message, number, f"{number}:{attempt.begun}")).status == 202
    named = message if attempt.known else UNKNOWN_ID
    caller = shared.caller(attempt.mailbox, attempt.password)
    headers = {"Content-Encoding": attempt.encoding} if attempt.encoding else {}
    answer = await caller.send_chunk(
        named, attempt.number, attempt.chunk_range, version=version, headers=headers
    )
    return named, answer


def assert_fault(answer: Answer, version: int, fault: Fault, message: str) -> None:
    """Check that this fault, of all there may be, was answered."""
    if fault.invalid:
        assert_invalid(answer, fault.invalid)
    elif fault.text:
        named = message if fault.status == 417 else None
        assert_refused(
            answer,
            version,
            fault.status,
            fault.text,
            event="SEND" if fault.code else "",
            code=fault.code,
            message_id=named,
        )
    else:
        assert_generic(answer, fault.status)


@both_versions
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
async def test_each_fault_has_its_answer(shared: Callers, fault: Fault, version: int) -> None:
    """One fault alone is answered with its status and body."""
    message, answer = await send_attempt(shared, replace(Attempt(), **fault.changes), version)
    assert_fault(answer, version, fault, message)


SAME_HEADER = ("2 range too long", "3 range mismatch", "7 beyond the total")
"""Faults of one header, of which a request can have one."""

PAIRS = [pair for pair in itertools.combinations(FAULTS, 2) if not set(pair) <= set(SAME_HEADER)]


@both_versions
@pytest.mark.parametrize("pair", PAIRS, ids=" before ".join)
async def test_of_two_faults_the_earlier_is_answered(
    shared: Callers, pair: tuple[str, str], version: int
) -> None:
    """Where two things are wrong, the check that stands first in the reference decides."""
    earlier, later = (FAULTS[name] for name in pair)
    attempt = replace(Attempt(), **later.changes | earlier.changes)
    message, answer = await send_attempt(shared, attempt, version)
    assert_fault(answer, version, earlier, message)


@both_versions
@pytest.mark.parametrize("number", ["x", "1.5", "%20"])
async def test_a_chunk_number_that_is_none(shared: Callers, number: str, version: int) -> None:
    """A last segment that is no whole number is 400, before anything else is looked at."""
    answer = await shared.caller().send_chunk(UNKNOWN_ID, number, None, version=version)
    assert_invalid(answer, ("int_parsing", "path", "chunk_number"))


RANGES: dict[str, tuple[str, str | None]] = {
    "absent": ("2", None),
    "empty": ("2", ""),
    "blank": ("2", "   "),
    "one number": ("2", "2"),
    "three numbers": ("2", "2:3:3"),
    "words": ("2", "two:three"),
    "fraction": ("2", "2.0:3"),
    "another number": ("2", "3:3"),
    "number of nought": ("0", "0:3"),
    "number below nought": ("-1", "-1:3"),
    "number beyond its total": ("3", "3:2"),
    "total of nought": ("2", "2:0"),
}


@both_versions
@pytest.mark.parametrize(("number", "chunk_range"), RANGES.values(), ids=RANGES.keys())
async def test_a_range_that_does_not_fit_is_refused(
    shared: Callers, number: str, chunk_range: str | None, version: int
) -> None:
    """The range must be there, be two numbers, and name the chunk of the path."""
    sender = shared.caller()
    message = await begin(sender)
    answer = await sender.send_chunk(message, number, chunk_range, version=version)
    assert_range_refused(answer, version, message)


async def test_an_unchunked_message_takes_no_chunk(shared: Callers) -> None:
    """A message never chunked was complete at once."""
    sender = shared.caller()
    assert_generic(await sender.send_chunk(await sender.sent(), 1, "1:1"), 423)


async def test_the_recipient_may_not_add_to_a_message(shared: Callers) -> None:
    """The message's recipient is not its sender."""
    message = await begin(shared.caller())
    answer = await shared.caller("X26ABC2").send_chunk(message, 2, "2:3")
    assert_refused(answer, 1, 403, "Forbidden")


async def test_a_gzip_message_takes_no_plain_chunk(shared: Callers) -> None:
    """A later chunk without the first one's encoding is refused too, and may be sent again with it."""
    sender = shared.caller()
    message = await sender.sent(headers={"Mex-Chunk-Range": "1:2", "Content-Encoding": "gzip"})
    answer = await sender.send_chunk(message, 2, "2:2")
    assert_refused(answer, 1, 417, "cannot change content encoding")
    answer = await sender.send_chunk(message, 2, "2:2", headers={"Content-Encoding": "gzip"})
    assert answer.status == 202


async def test_a_refused_chunk_changes_nothing(shared: Callers) -> None:
    """What was refused is not stored in place of what was accepted."""
    sender = shared.caller()
    message = await begin(sender)
    assert (await sender.send_chunk(message, 2, "2:3", b"kept")).status == 202
    refused = await sender.send_chunk(message, 2, "2:3", b"spoilt", headers={"Content-Encoding": "gzip"})
    assert refused.status == 417
    assert (await sender.send_chunk(message, 3, "3:3", b"last")).status == 202
    assert await download(shared, message, 3) == [b"one.", b"kept", b"last"]


async def test_a_chunk_over_100_mb_is_refused(shared: Callers) -> None:
    """A chunk announced as one byte too long is 413, however little of it has come."""
    sender = shared.caller()
    message = await begin(sender)
    head = request_head(
        sender, "POST", f"outbox/{message}/2", b"Mex-Chunk-Range: 2:3", b"Content-Length: 100000001"
    )
    status, _, _ = await speak(shared.url, head + b"x" * 1000)
    assert status == 413
    assert (await sender.send_chunk(message, 2, "2:3")).status == 202
