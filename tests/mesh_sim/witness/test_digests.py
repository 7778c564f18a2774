"""Digests of payloads as they pass by, and of messages whose chunks do."""

from __future__ import annotations

import gc
import gzip
import hashlib
import itertools
import random
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_sim.witness.digests import Digest, PayloadDigest, Reassemblies, RunningDigest

MESSAGE: Final = "20200529155357895317_3573F8"


def of(payload: bytes) -> Digest:
    """What the digest of a payload has to be."""
    return Digest(len(payload), hashlib.md5(payload, usedforsecurity=False).hexdigest())


def passed(body: bytes, cuts: list[int] | None = None, *, gzip: bool = False) -> Digest | None:
    """The digest of a body that passes by, cut at these places."""
    digest = PayloadDigest(gzip=gzip)
    places = [0, *sorted(cut % (len(body) + 1) for cut in cuts or []), len(body)]
    for start, end in itertools.pairwise(places):
        digest.feed(body[start:end])
    digest.end()
    return digest.digest


cuts = st.lists(st.integers(0, 10_000), max_size=8)
payloads = st.binary(max_size=2000)


@given(payload=payloads, cuts=cuts)
def test_a_payload_cut_anywhere_has_its_digest(payload: bytes, cuts: list[int]) -> None:
    """Size and MD5 are those of the payload, however its blocks fall."""
    assert passed(payload, cuts) == of(payload)


@given(members=st.lists(payloads, min_size=1, max_size=4), cuts=cuts)
def test_gzip_has_the_digest_of_what_is_in_it(members: list[bytes], cuts: list[int]) -> None:
    """One gzip member or several, cut anywhere, have the digest of what comes out of them."""
    body = b"".join(gzip.compress(member) for member in members)
    assert passed(body, cuts, gzip=True) == of(b"".join(members))


def test_a_bomb_is_followed_only_so_far() -> None:
    """A body that becomes too long has no digest, and no more of it is decompressed."""
    for most, found in ((5_000_000, of(bytes(5_000_000))), (4_999_999, None)):
        whole = RunningDigest()
        digest = PayloadDigest(gzip=True, whole=whole, most=most)
        digest.feed(gzip.compress(bytes(5_000_000)))
        digest.end()
        assert digest.digest == found
    digest = PayloadDigest(gzip=True, most=1_000_000, whole=(whole := RunningDigest()))
    for _ in range(3):
        digest.feed(gzip.compress(bytes(5_000_000)))
    digest.end()
    assert whole.so_far().size <= 3_000_000


@given(payload=payloads, cuts=cuts, left=st.integers(0, 10_000))
def test_gzip_cut_short_has_none(payload: bytes, cuts: list[int], left: int) -> None:
    """A gzip body that lacks its end, even all of it, has no digest."""
    body = gzip.compress(payload)
    assert passed(body[: left % len(body)], cuts, gzip=True) is None


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"plain after all", id="plain"),
        pytest.param(gzip.compress(b"payload") + b"and more", id="garbage behind it"),
        pytest.param(gzip.compress(b"payload")[:-8] + bytes(8), id="wrong checksum"),
    ],
)
@pytest.mark.parametrize("step", [1, 1000])
def test_what_is_not_gzip_has_none(body: bytes, step: int) -> None:
    """A body that only says that it is gzip has no digest, and what follows of it is passed over."""
    assert passed(body, list(range(0, len(body), step)), gzip=True) is None


def test_a_body_that_did_not_end_has_none() -> None:
    """As long as more may come there is no digest."""
    digest = PayloadDigest()
    digest.feed(b"the beginning")
    assert digest.digest is None


# -- messages in chunks -----------------------------------------------------------------------------


class Sending:
    """One message being sent in chunks, as the API tells of it."""

    def __init__(self, total: int, among: Reassemblies | None = None, message_id: str = MESSAGE) -> None:
        self.among = Reassemblies() if among is None else among
        self.total = total
        self.message_id = message_id
        self.there: set[int] = set()

    def begin(self, number: int) -> PayloadDigest:
        """A chunk begins to arrive."""
        return PayloadDigest(whole=self.among.begin(self.message_id, number))

    def take(self, number: int, payload: PayloadDigest, body: bytes) -> Digest | None:
        """The chunk has arrived and is taken in; gives the whole's digest where it was the last to come."""
        payload.feed(body)
        payload.end()
        self.among.take(self.message_id, number, payload)
        self.there.add(number)
        if len(self.there) < self.total:
            return None
        return self.among.complete(self.message_id, self.total)

    def chunk(self, number: int, body: bytes) -> Digest | None:
        """A chunk arrives and is taken in."""
        return self.take(number, self.begin(number), body)


@given(chunks=st.lists(payloads, min_size=2, max_size=6), data=st.data())
def test_chunks_in_order_make_the_whole(chunks: list[bytes], data: st.DataObject) -> None:
    """At the last chunk the whole's digest is known, though others broke off or came again, even changed."""
    sending, whole = Sending(len(chunks)), None
    for number, body in enumerate(chunks, 1):
        for _ in range(data.draw(st.integers(0, 2), label="broke off")):
            sending.begin(number).feed(data.draw(payloads))
        if number < len(chunks):
            for _ in range(data.draw(st.integers(0, 2), label="came before")):
                assert sending.chunk(number, data.draw(payloads)) is None
        whole = sending.chunk(number, body)
    assert whole == of(b"".join(chunks))
    assert len(sending.among) == 0


@given(order=st.lists(st.integers(1, 4), max_size=12), data=st.data())
def test_a_whole_that_is_known_is_right(order: list[int], data: st.DataObject) -> None:
    """In whatever order chunks come, again and changed too, the whole is what was kept, or is not known."""
    sending, kept = Sending(4), dict[int, bytes]()
    for number in (*order, 1, 2, 3, 4):
        kept[number] = data.draw(st.binary(max_size=3))
        whole = sending.chunk(number, kept[number])
        if len(sending.there) == 4:
            assert whole in (None, of(b"".join(kept[number] for number in sorted(kept))))
            break
    assert len(sending.among) == 0


@pytest.mark.parametrize("order", [(1, 3, 2), (2, 1, 3), (2, 3, 1), (3, 2, 1), (1, 2, 1, 3)], ids=str)
def test_chunks_out_of_order_make_no_whole(order: tuple[int, ...]) -> None:
    """A chunk that does not follow the last one leaves the whole unknown, and nothing is held of it."""
    sending = Sending(3)
    for number in order:
        assert sending.chunk(number, b"chunk") is None
    assert len(sending.among) == 0


def test_chunks_that_overlap_make_no_whole() -> None:
    """A chunk that began before the one before it was taken in is out of order."""
    sending = Sending(3)
    sending.chunk(1, b"one")
    second, third = sending.begin(2), sending.begin(3)
    sending.take(2, second, b"two")
    assert sending.take(3, third, b"three") is None


def test_a_chunk_sent_again_while_the_next_arrives_makes_no_whole() -> None:
    """The next chunk began from one that has been replaced since, so that its digest would be wrong."""
    sending = Sending(3)
    sending.chunk(1, b"one")
    sending.chunk(2, b"two")
    third, again = sending.begin(3), sending.begin(2)
    sending.take(2, again, b"TWO")
    assert sending.take(3, third, b"three") is None


def test_the_same_chunk_twice_at_once_counts_as_it_was_taken_in() -> None:
    """Of two arrivals of one chunk the later to be taken in is in the whole, as it is in the message."""
    sending = Sending(2)
    sending.chunk(1, b"one")
    # Of the first chunk again, as the last completes the message.
    first, again = sending.begin(1), sending.begin(1)
    sending.take(1, first, b"ONE")
    sending.take(1, again, b"uno")
    assert sending.chunk(2, b"two") == of(b"unotwo")


def test_a_chunk_without_a_digest_makes_no_whole() -> None:
    """A chunk that is not the gzip it should be leaves the whole unknown."""
    sending = Sending(2)
    sending.chunk(1, b"one")
    broken = PayloadDigest(gzip=True, whole=sending.among.begin(MESSAGE, 2))
    assert sending.take(2, broken, b"not gzip") is None
    assert len(sending.among) == 0


def test_a_message_followed_from_its_middle_is_not_known() -> None:
    """Whoever begins to listen after the first chunk knows each further chunk, and no whole."""
    sending = Sending(3)
    sending.there.add(1)
    payload = sending.begin(2)
    assert sending.take(2, payload, b"two") is None
    assert payload.digest == of(b"two")
    assert sending.chunk(3, b"three") is None


def test_only_so_many_messages_are_followed() -> None:
    """The oldest gives way: what was left unfinished takes no more room, and the rest are known."""
    among = Reassemblies(most=3)
    begun = [Sending(2, among, f"message {number}") for number in range(5)]
    for sending in begun:
        sending.chunk(1, b"one")
    assert len(among) == 3
    whole = of(b"onetwo")
    assert [sending.chunk(2, b"two") for sending in begun] == [None, None, whole, whole, whole]
    assert len(among) == 0


def test_many_chunks_hold_no_more_than_a_few() -> None:
    """A message of thousands of chunks does not hold the state after each of them."""
    sending, body = Sending(3000), random.Random(1).randbytes(10)
    gc.collect()
    before = running_digests()
    for number in range(1, 3000):
        sending.chunk(number, body)
    assert running_digests() - before < 5
    assert sending.chunk(3000, body) == of(body * 3000)


def running_digests() -> int:
    """How many states are held in this process."""
    return sum(isinstance(held, RunningDigest) for held in gc.get_objects())
