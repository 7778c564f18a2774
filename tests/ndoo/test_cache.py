from __future__ import annotations

import hashlib
import hmac
import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ndoo.cache import (
    CLOCK_SLACK,
    CacheHeader,
    CacheStatus,
    CacheWriter,
    TemporaryCache,
    check_replaceable,
    check_times,
    read_header,
    read_status,
)
from ndoo.errors import CacheAltered, CacheError, CacheExpired, OutputExists
from ndoo.lists import TEST_RANGE, NumberSet, format_records, generate

CREATED = datetime(2026, 11, 22, 10, tzinfo=UTC)
EXPIRES = CREATED + timedelta(days=21)
HEADER = CacheHeader(CREATED, EXPIRES, "X26ABC1", "weekly-0001")
NUMBERS = next(generate(200, seed=2))
PASSWORD = "password"


def during() -> datetime:
    """Some time while the cache is good."""
    return CREATED + timedelta(days=3)


def cache_bytes(records: bytes, header: CacheHeader = HEADER, password: str = PASSWORD) -> bytes:
    """Make a whole cache file."""
    writer = CacheWriter(header, password)
    return writer.start() + writer.records(records) + writer.finish()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A sound cache of 200 numbers."""
    path = tmp_path / "weekly.cache"
    path.write_bytes(cache_bytes(format_records(NUMBERS)))
    return path


def test_the_file_is_as_the_design_says():
    """Header, records and trailer are exact to the byte, the two hashes over what they should cover."""
    records = b"9990000018,\n9990000026,\n"
    start = (
        b"#ndoo-temporary-cache 1\n#created 2026-11-22T10:00:00Z\n#expires 2026-12-13T10:00:00Z\n"
        b"#mailbox X26ABC1\n#local-id weekly-0001\n"
    )
    signed = start + records + b"#end records=2 sha256=" + hashlib.sha256(records).hexdigest().encode()
    keyed = hmac.new(b"password", signed, "sha256").hexdigest().encode()
    assert cache_bytes(records) == signed + b" hmac=" + keyed + b"\n"


@given(st.lists(st.lists(st.integers(*TEST_RANGE), max_size=5), max_size=5))
def test_a_cache_holds_exactly_what_was_put_in(tmp_path_factory, parts):
    """Whatever pieces the writer is given, the loaded cache has those numbers and no others."""
    path = tmp_path_factory.mktemp("cache") / "any.cache"
    pieces = [format_records(np.array(part, np.int64)) for part in parts]
    status = TemporaryCache.create(pieces, path, HEADER, PASSWORD)
    cache = TemporaryCache.load(path, PASSWORD, during)
    numbers = [number for part in parts for number in part]
    asked = [*numbers, *NUMBERS.tolist()]
    assert cache.contains(np.array(asked, np.int64)).tolist() == [number in numbers for number in asked]
    assert (cache.records, len(cache)) == (status.records, len(cache)) == (len(numbers), len(set(numbers)))
    assert path.read_bytes() == cache_bytes(b"".join(pieces))


def test_a_cache_tells_what_it_is(path):
    """Its times, mailbox and local id can be read, with the password or, as a status, without."""
    cache = TemporaryCache.load(path, PASSWORD, during)
    told = (cache.created, cache.expires, cache.mailbox, cache.local_id, cache.records)
    assert told == (CREATED, EXPIRES, "X26ABC1", "weekly-0001", 200)
    status = read_status(path)
    assert status == CacheStatus(CREATED, EXPIRES, 200, "X26ABC1", "weekly-0001")
    assert not status.expired(EXPIRES - timedelta(seconds=1))
    assert status.expired(EXPIRES)


def test_single_numbers_are_looked_up_as_written(path):
    """A number can be given as an integer or as text with blanks; what is no number is not in."""
    cache = TemporaryCache.load(path, PASSWORD, during)
    number = int(NUMBERS[0])
    text = str(number)
    assert number in cache
    assert f"{text[:3]} {text[3:6]}-{text[6:]}" in cache
    assert number + 1 not in cache
    assert "unknown" not in cache


SPARSE = np.random.default_rng(5).choice(900_000_000, 3_000, replace=False).astype(np.int64)


@given(st.sampled_from([NUMBERS, SPARSE]), st.lists(st.integers(0, 199)), st.lists(st.integers(-3, 1 << 70)))
def test_one_number_and_many_are_looked_up_alike(numbers, inside, others):
    """``in`` says of each number what ``contains`` says of it in an array, close together or far apart."""
    status = CacheStatus(CREATED, EXPIRES, len(numbers), "A", "b")
    cache = TemporaryCache(Path("any.cache"), status, NumberSet(numbers.copy()), during)
    asked = [
        *(int(numbers[index]) for index in inside),
        *others,
        *(int(number) + 1 for number in numbers[:99]),
    ]
    assert [number in cache for number in asked] == [number in numbers for number in asked]
    fitting = np.array([number for number in asked if number < 1 << 63], np.int64)
    assert cache.contains(fitting).tolist() == [number in cache for number in fitting]  # numpy's integers too


def test_what_only_looks_like_a_number_is_no_answer(path):
    """A column of floats would be cut to integers without a word; it is refused instead."""
    cache = TemporaryCache.load(path, PASSWORD, during)
    with pytest.raises(TypeError):
        _ = float(NUMBERS[0]) + 0.5 in cache


def test_an_expired_cache_is_refused_at_loading_and_at_every_use(path):
    """From the second of expiry on nothing comes out of it, even if it was loaded in time."""
    with pytest.raises(CacheExpired, match="expired at 2026-12-13 10:00 UTC") as caught:
        TemporaryCache.load(path, PASSWORD, lambda: EXPIRES)
    assert caught.value.expired_at == EXPIRES
    assert f"'ndoo cache refresh LIST -o {path}'" in str(caught.value)

    time = EXPIRES - timedelta(seconds=1)
    cache = TemporaryCache.load(path, PASSWORD, lambda: time)
    assert cache.contains(NUMBERS).all()
    time = EXPIRES
    with pytest.raises(CacheExpired):
        cache.contains(NUMBERS)
    with pytest.raises(CacheExpired):
        _ = int(NUMBERS[0]) in cache


def test_the_computers_own_clock_is_the_default(tmp_path):
    """Without a clock given, real time decides."""
    now = datetime.now(UTC)
    path = tmp_path / "fresh.cache"
    TemporaryCache.create([], path, CacheHeader(now, now + timedelta(hours=1), "A", "b"), PASSWORD)
    assert len(TemporaryCache.load(path, PASSWORD)) == 0
    TemporaryCache.create([], path, CacheHeader(now, now, "A", "b"), PASSWORD, force=True)
    with pytest.raises(CacheExpired):
        TemporaryCache.load(path, PASSWORD)


def test_a_cache_that_expired_a_second_ago_is_refused(tmp_path):
    """By the computer's own clock, one second is as good as a year."""
    now = datetime.now(UTC)
    path = tmp_path / "late.cache"
    header = CacheHeader(now - timedelta(days=21), now - timedelta(seconds=1), "A", "b")
    TemporaryCache.create([b"9990000018,\n"], path, header, PASSWORD)
    with pytest.raises(CacheExpired):
        TemporaryCache.load(path, PASSWORD)


def test_a_clock_far_behind_is_refused(path):
    """A clock set back would keep an expired cache alive; a day of difference is allowed for."""
    early = CREATED - CLOCK_SLACK
    assert len(TemporaryCache.load(path, PASSWORD, lambda: early)) == 200
    with pytest.raises(CacheError, match="set the clock"):
        TemporaryCache.load(path, PASSWORD, lambda: early - timedelta(seconds=1))


# -- files that must not be used --------------------------------------------------------------------

RECORDS = format_records(NUMBERS[:20])
WHOLE = cache_bytes(RECORDS)


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_a_cache_changed_in_any_byte_is_refused(tmp_path_factory, place, change):
    """No byte of the file is outside what is verified."""
    altered = bytearray(WHOLE)
    altered[place] ^= change
    path = tmp_path_factory.mktemp("cache") / "altered.cache"
    path.write_bytes(altered)
    with pytest.raises(CacheError):
        TemporaryCache.load(path, PASSWORD, during)
    with pytest.raises(CacheError):
        TemporaryCache.verify(path, PASSWORD)


@given(st.integers(0, len(WHOLE)), st.binary(min_size=1, max_size=40))
def test_a_cache_with_something_added_is_refused(tmp_path_factory, place, added):
    """Nothing can be put in anywhere, a whole record neither."""
    path = tmp_path_factory.mktemp("cache") / "added.cache"
    for extra in (added, RECORDS[:12]):
        path.write_bytes(WHOLE[:place] + extra + WHOLE[place:])
        with pytest.raises(CacheError):
            TemporaryCache.load(path, PASSWORD, during)


@given(st.integers(0, len(WHOLE) - 1))
def test_a_cache_cut_anywhere_is_refused(tmp_path_factory, size):
    """Only the whole file will do, and its status is not read from a part either."""
    path = tmp_path_factory.mktemp("cache") / "cut.cache"
    path.write_bytes(WHOLE[:size])
    with pytest.raises(CacheError):
        TemporaryCache.load(path, PASSWORD, during)
    with pytest.raises(CacheError):
        read_status(path)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (WHOLE[:-1], "cut short: its last line"),
        (WHOLE[:500], "cut short"),
        (WHOLE[:30], "cut short or changed"),
        (WHOLE + WHOLE[-1:], "cut short: its last line"),
        (WHOLE.replace(RECORDS[:12], b""), "changed after it was made"),
        (WHOLE.replace(b"records=20", b"records=21"), "changed after it was made"),
        (WHOLE.replace(b"#expires 2026", b"#expires 2036"), "another mailbox or password, or its header"),
        (WHOLE.replace(b"2026-12-13", b"2026-13-13"), "header was changed"),
        (cache_bytes(RECORDS, password="other"), "another mailbox or password"),
        (cache_bytes(b"not a number\n"), "changed after it was made"),
        (cache_bytes(b"\n" * 99), "changed after it was made"),
        (WHOLE.replace(b",\n#end", b"#end"), "changed after it was made"),
        (cache_bytes(b"9990000018").replace(b"records=0", b"records=1"), "or its header was changed"),
        (WHOLE.replace(b"records=20", b"records=999999999999999"), "changed after it was made"),
    ],
)
def test_the_refusal_says_what_it_looks_like(tmp_path, data, says):
    """Cut, changed and wrongly keyed files are told apart where they can be."""
    path = tmp_path / "bad.cache"
    path.write_bytes(data)
    with pytest.raises(CacheAltered) as caught:
        TemporaryCache.load(path, PASSWORD, during)
    message = str(caught.value)
    assert says in message
    assert f"make a new one with 'ndoo cache refresh LIST -o {path}'" in message
    assert "\n" not in message
    assert caught.value.reason in message
    assert PASSWORD not in str(caught.value).replace("or password", "")


def test_what_is_no_cache_is_said_to_be_none(tmp_path, path):
    """A missing file, a folder, a plain list and a later version are each refused."""
    plain = tmp_path / "answer.dat"
    plain.write_bytes(format_records(NUMBERS))
    later = tmp_path / "later.cache"
    later.write_bytes(path.read_bytes().replace(b"cache 1\n", b"cache 2\n"))
    for wrong, says in (
        (tmp_path / "none.cache", "no such temporary cache; make a new one"),
        (Path(os.devnull), "nor a file at all"),
        (tmp_path, "cannot be read"),
        (plain, "not a temporary cache"),
        (later, "not a temporary cache of a kind known here"),
    ):
        with pytest.raises(CacheError, match=says):
            read_status(wrong)


def test_another_mailboxs_cache_is_refused_where_the_mailbox_is_told(path):
    """Two mailboxes may have the same password; then the name in the header decides."""
    assert len(TemporaryCache.load(path, PASSWORD, during, mailbox="X26ABC1")) == 200
    for use in (
        lambda: TemporaryCache.load(path, PASSWORD, during, mailbox="X26ABC2"),
        lambda: TemporaryCache.verify(path, PASSWORD, mailbox="X26ABC2"),
    ):
        with pytest.raises(CacheAltered, match="made for mailbox X26ABC1, and this is X26ABC2"):
            use()


def test_a_cache_is_verified_whether_it_has_expired_or_not(path):
    """Verifying is about bytes only, and gives what is then known to be true."""
    status = TemporaryCache.verify(path, PASSWORD)
    assert status == read_status(path)
    with pytest.raises(CacheExpired):
        check_times(path, status, EXPIRES)
    with pytest.raises(CacheAltered):
        TemporaryCache.verify(path, "other")


def test_whose_a_damaged_cache_was_can_still_be_read(path):
    """The first lines stand for themselves; without them whole nothing is said."""
    path.write_bytes(WHOLE[:-100])
    assert read_header(path) == HEADER
    path.write_bytes(WHOLE[:80])
    with pytest.raises(CacheAltered, match="first lines; delete it, then make a new one"):
        read_header(path)


def test_only_a_cache_of_the_same_mailbox_may_be_replaced(tmp_path, path):
    """A damaged one may be, or nothing at all; no other file, another's cache or one of nobody knows whom."""
    check_replaceable(path, "X26ABC1")
    check_replaceable(tmp_path / "none.cache", "X26ABC1")
    with pytest.raises(CacheError, match="cache of mailbox X26ABC1, and this is X26ABC2"):
        check_replaceable(path, "X26ABC2")
    path.write_bytes(WHOLE[:-100])
    check_replaceable(path, "X26ABC1")
    path.write_bytes(WHOLE[:80])
    with pytest.raises(CacheAltered, match="delete it"):
        check_replaceable(path, "X26ABC1")
    for data in (b"", b"9990000018,\n"):
        path.write_bytes(data)
        with pytest.raises(CacheError, match="not replaced, for it is not a temporary cache"):
            check_replaceable(path, "X26ABC1")
    with pytest.raises(CacheError, match="not replaced, for it cannot be read"):
        check_replaceable(tmp_path, "X26ABC1")


def test_the_way_to_a_new_cache_can_be_copied(tmp_path):
    """A name with a blank is quoted in the command that a refusal gives."""
    with pytest.raises(CacheError, match=r'LIST -o ".*my list\.cache"'):
        read_status(tmp_path / "my list.cache")


# -- making one -------------------------------------------------------------------------------------


def test_a_cache_of_nobody_is_made_from_the_empty_answer(tmp_path):
    """The single line feed that answers an all-opted-out list gives a cache without records."""
    path = tmp_path / "nobody.cache"
    assert TemporaryCache.create([b"\n"], path, HEADER, PASSWORD).records == 0
    assert len(TemporaryCache.load(path, PASSWORD, during)) == 0


def test_nothing_is_made_from_an_answer_that_is_no_list(tmp_path):
    """The answer that refuses a list does not become a cache, and no file is left."""
    with pytest.raises(CacheError, match="not a cleaned list"):
        TemporaryCache.create([RECORDS, b"Sorry."], tmp_path / "none.cache", HEADER, PASSWORD)
    assert list(tmp_path.iterdir()) == []


def test_a_cache_is_for_its_owner_only_and_not_replaced_by_accident(path):
    """Its mode is 0600, and an existing file needs force."""
    with pytest.raises(OutputExists):
        TemporaryCache.create([], path, HEADER, PASSWORD)
    TemporaryCache.create([], path, HEADER, PASSWORD, force=True)
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_status(path).records == 0


def test_times_are_kept_in_utc_to_the_second():
    """A header given in another zone, with fractions, says the same moment."""
    local = timezone(timedelta(hours=1))
    header = CacheHeader(
        datetime(2026, 6, 1, 1, 0, 0, 999_999, local), datetime(2026, 6, 22, 1, tzinfo=local), "A", "b"
    )
    assert b"#created 2026-06-01T00:00:00Z\n#expires 2026-06-22T00:00:00Z\n" in header.to_bytes()


@pytest.mark.parametrize(
    "changes",
    [
        {"mailbox": "A\n#mailbox B"},
        {"mailbox": ""},
        {"local_id": "b\r"},
        {"local_id": "b" * 5000},
        {"created": CREATED.replace(tzinfo=None)},
    ],
)
def test_a_header_that_could_not_be_read_back_is_refused(changes):
    """Line breaks, nothing at all, endless text and times without a zone are mistakes of the caller."""
    fields = {"created": CREATED, "expires": EXPIRES, "mailbox": "A", "local_id": "b"}
    with pytest.raises(ValueError, match=r"must be one line|time zone"):
        CacheHeader(**(fields | changes))
