"""Lists for the opt-out service and their right answers, worked out from the rule's description alone."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import json
import random
import re
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Final

from crashing.told import Submission

CHECK: Final = "SPINE_NTT_UPHOLDING"
CACHE: Final = "SPINE_NTT_UPHOLDING_CACHE"

RATE: Final = 0.3
SEED: Final = 7
VARIABLES: Final = {"MESH_SIM_OPT_OUT_RATE": str(RATE), "MESH_SIM_OPT_OUT_SEED": str(SEED)}
"""How the servers are to be set up for these answers."""

_WORD: Final = 2**64 - 1
_GAMMA: Final = 0x9E3779B97F4A7C15

_INVALID: Final = b"The file contains one or more invalid NHS Numbers."
_EMPTY: Final = b"\n"


@cache
def pool(count: int = 7000) -> tuple[int, ...]:
    """Give valid numbers of the test range, always the same."""
    numbers: list[int] = []
    stem = 999_000_000
    while len(numbers) < count:
        stem += 113
        total = sum(int(digit) * weight for digit, weight in zip(str(stem), range(10, 1, -1), strict=True))
        check = (11 - total % 11) % 11
        if check < 10:
            numbers.append(stem * 10 + check)
    return tuple(numbers)


@cache
def opted_out(number: int, rate: float = RATE, seed: int = SEED) -> bool:
    """Judge a number by the seeded rule: splitmix64 of number and seed falls under the rate."""
    offset = _mixed(seed * _GAMMA & _WORD)
    return _mixed((number * _GAMMA + offset) & _WORD) < int(rate * 2**64)


def _mixed(word: int) -> int:
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 & _WORD
    word = (word ^ word >> 27) * 0x94D049BB133111EB & _WORD
    return word ^ word >> 31


def made_up(chance: random.Random, records: int | None = None) -> tuple[Submission, bytes]:
    """Make up a submission; give what is right about it, and its file."""
    if records is None:
        records = chance.choice((1, 20, 300, 7000))
    numbers = chance.choices(pool(), k=records)
    data = _records(numbers)
    answer = _records([number for number in numbers if not opted_out(number)]) or _EMPTY
    if chance.random() < 0.1:
        data += b"9990000000,\n"  # its check digit is wrong
        answer = _INVALID
    workflow = chance.choice((CHECK, CACHE))
    return Submission(workflow, hashlib.sha256(data).hexdigest(), len(data), answer), data


@lru_cache(maxsize=1)
def long_list(seed: str) -> tuple[Submission, bytes]:
    """Make up a submission that takes a while."""
    return made_up(random.Random(seed), 200_000)


def packed(data: bytes) -> bytes:
    """Compress a file as a client may."""
    return gzip.compress(data, 1)


def check_reply(submission: Submission, local_id: str, kind: str, body: bytes, *, password: str) -> None:
    """Check every byte of a receipt or an answer."""
    if kind == "receipt":
        metadata = json.loads(body)["metadata"]
        assert (metadata["file_hash"], metadata["filesize"]) == (submission.sha256, submission.size)
        assert metadata["request"]["extra"]["local_id"] == local_id
    elif submission.workflow == CACHE and submission.answer != _INVALID:
        _check_cache(submission, local_id, body, password)
    else:
        assert body == submission.answer


def _check_cache(submission: Submission, local_id: str, body: bytes, password: str) -> None:
    records = b"" if submission.answer == _EMPTY else submission.answer
    found = re.fullmatch(
        rb"#ndoo-temporary-cache 1\n#created \S+\n#expires \S+\n#mailbox X26ABC3\n#local-id (\S+)\n"
        rb"((?:\d{10},\n)*)(#end records=(\d+) sha256=(\w{64})) hmac=(\w{64})\n",
        body,
    )
    assert found, "not a whole temporary cache"
    assert found[1].decode() == local_id
    assert found[2] == records
    assert int(found[4]) == records.count(b"\n")
    assert found[5].decode() == hashlib.sha256(records).hexdigest()
    signed = body[: body.rindex(b" hmac=")]
    assert found[6].decode() == hmac.new(password.encode(), signed, hashlib.sha256).hexdigest()


def _records(numbers: Sequence[int]) -> bytes:
    return b"".join(b"%d,\n" % number for number in numbers)
