"""Everything here that reads what somebody else wrote, as functions of bytes.

Each returns for any bytes at all, within the refusals that its parser documents; anything else it raises is
a fault found. ``test_parsers.py`` runs them with hypothesis, ``fuzzing.py`` with atheris.
"""

from __future__ import annotations

import functools
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
from pydantic import BaseModel, ValidationError
from table import TARGETS, as_header, scratch, target

from mesh_sim import gzip as gzip_steps
from mesh_sim import participants
from mesh_sim.api.control.journal import JournalQuery
from mesh_sim.api.control.optouts import ChoicesWish
from mesh_sim.api.control_file import _LENGTHS, _check_text
from mesh_sim.api.cursors import make_cursor, read_cursor
from mesh_sim.api.sandbox.admin import EventGiven, ReportGiven
from mesh_sim.api.sandbox.requests import _parsed
from mesh_sim.api.sandbox.rich import _read_cursor, _read_start
from mesh_sim.api.validation import ValidationFailed
from mesh_sim.config import SettingsError
from mesh_sim.durations import format_duration, parse_duration
from mesh_sim.exchange.directory import Directory, Mailbox
from mesh_sim.exchange.errors import Malformed
from mesh_sim.exchange.filters import WorkflowFilter
from mesh_sim.exchange.ports import Side
from mesh_sim.faults import RuleRefused
from mesh_sim.optouts.loading import InvalidNumbers, ListLoader
from mesh_sim.scenario import load_scenario
from mesh_sim.wishes.base import problems_of
from mesh_sim.wishes.clock import ClockWish
from mesh_sim.wishes.faults import FaultWish
from mesh_sim.wishes.mailboxes import MailboxWish
from mesh_sim.wishes.messages import MessageWish
from mesh_sim.wishes.optouts import RuleWish
from mesh_sim.witness.near_misses import Refused, near_misses
from ndoo._cache_file import CacheHeader, CacheWriter, read_frame, read_numbers
from ndoo.errors import CacheAltered, CacheError, ConfigError
from ndoo.journal import Draft, Form, Journal
from ndoo.lists import NumberRule, RecordReader, parse_number
from ndoo.protocol import ChunkRange, Token, TokenError, api_version

__all__ = ["TARGETS"]

BOX: Final = "X26ABC1"
NOW: Final = datetime(2026, 11, 24, 12, tzinfo=UTC)
KEY: Final = "TestKey"
PASSWORD: Final = "password"
MOST_PLAIN: Final = 8 * 1024 * 1024
"""As much as is unpacked of one body."""

# -- the wire ---------------------------------------------------------------------------------------

_TOKEN: Final = str(Token.sign(BOX, PASSWORD, KEY, now=NOW, nonce="bd0e2bd5-218e-41d0-83a9-73fdec414803"))


@target(_TOKEN, words=f"NHSMESH {BOX}: : 0: 202611241200: {_TOKEN.split(':')[1]}: {_TOKEN.split(':')[4]}")
def token(data: bytes) -> None:
    """A token is read and judged, or refused with its fault; read, it is written the same."""
    header = as_header(data)
    with suppress(TokenError):
        read = Token.parse(header, BOX)
        assert str(read) == header.strip()
        read.made_at()
        read.verify(PASSWORD, KEY, now=NOW)
        assert header.strip().lower() == _TOKEN.lower()


_DIRECTORY: Final = Directory([Mailbox(BOX, BOX, PASSWORD), Mailbox("X26ABC2", "X26ABC2", "s3cret")], [])


@target(_TOKEN, words=f"NHSMESH Bearer Basic authorization: {BOX}: %3A 2026-11-24T12:00: 202611241200")
def near_miss(data: bytes) -> None:
    """Whatever was sent as a token is explained in words that hold neither password nor key."""
    refused = Refused(
        header=as_header(data), path_mailbox=BOX, directory=_DIRECTORY, shared_key="k3y", now=NOW
    )
    for miss in near_misses(refused):
        assert "k3y" not in miss.replace(as_header(data), "")


@target("1:3", " 01 : 02 ", "1:999999", words=": 0 1 999999 1000000")
def chunk_range(data: bytes) -> None:
    """A chunk range is two numbers in their bounds, and written as it was read."""
    with suppress(ValueError):
        read = ChunkRange.parse(as_header(data))
        assert 1 <= read.number <= read.total <= 999_999
        assert ChunkRange.parse(str(read)) == read


@target("application/vnd.mesh.v2+json;q=1", words="application/ vnd.mesh .v1 .v2 .v3 +json ; , */*")
def accept(data: bytes) -> None:
    """An Accept header asks for version 1 or 2, or is refused."""
    with suppress(ValueError):
        assert api_version(as_header(data)) in (1, 2)


@target("Report", "sha256: aB9-/z", "https://example", words="http:// https:// : / - \t")
def send_headers(data: bytes) -> None:
    """The text of a send's headers is taken or malformed."""
    text = data.decode("latin-1")
    for name in _LENGTHS:
        with suppress(Malformed):
            _check_text({str(other): text if other == name else "" for other in _LENGTHS})


@target("!WF_*", "*_ACK*", words="! * WF _ACK")
def workflow_filter(data: bytes) -> None:
    """Every text is a filter; with one more ! in front it lists exactly what it did not."""
    text = data.decode("utf-8", "replace")
    read = WorkflowFilter.parse(text)
    if not read.negated:
        other = WorkflowFilter.parse("!" + text.strip())
        assert all(read.accepts(name) is not other.accepts(name) for name in ("WF_A", "", text))


@target(make_cursor(BOX, 7), make_cursor(BOX, 2**63 - 1), make_cursor(BOX, 10**19 - 1))
def cursor(data: bytes) -> None:
    """A page's token is a position of this mailbox, or none; a position comes back."""
    text = data.decode("utf-8", "replace")
    position = read_cursor(text, BOX)
    if position is not None:
        assert 0 <= position < 2**63
        assert read_cursor(make_cursor(BOX, position), BOX) == position


@target("cmljaC9pbmJveC9YMjZBQkMxLzIwMjYtMTEtMjRUMTI6MDA6MDAvTQ==", "2026-11-24T12:00:00+01:00")
def rich_query(data: bytes) -> None:
    """A rich list's token and start are a moment in UTC, or none."""
    text = data.decode("utf-8", "replace")
    start = _read_start(text)
    assert start is None or start.utcoffset() == timedelta()
    _read_cursor(text, Mailbox(BOX, ""), Side.INBOX)


@target(gzip.compress(b"a body"), gzip.compress(b"one") + gzip.compress(b"two"), gzip.compress(bytes(9_999)))
def packed_body(data: bytes) -> None:
    """Gzip cut anywhere is what Python's own makes of it, if that reads it, in bounded steps, or refused."""
    size = 1 + data[-1] % 64 if data else 1
    unpacker = gzip_steps.Decompressor()
    plain = bytearray()

    def steps() -> Iterator[bytes]:
        for start in range(0, len(data), size):
            yield from unpacker.feed(data[start : start + size])
        yield from unpacker.finish()

    try:
        for step in steps():
            assert 0 < len(step) <= gzip_steps.STEP_BYTES
            plain += step
            if len(plain) > MOST_PLAIN:
                return
    except gzip_steps.GzipError:
        return
    with suppress(zlib.error):  # isal reads codes that zlib calls incomplete
        assert plain == gzip.decompress(data)


# -- lists and files --------------------------------------------------------------------------------

_LIST: Final = b"9990000018,\n9990000026,\r\n9990000034\n"


@target(_LIST, b"\n", words="9990000018, 999000001 9.99E+09 , 0")
def number_list(data: bytes) -> None:
    """A list is read alike whole and in pieces, and keeping every record gives its bytes."""
    for rule in NumberRule:
        whole = list(RecordReader(rule).read([data]))
        size = 1 + len(data) % 13
        pieces = [data[start : start + size] for start in range(0, len(data), size)]
        cut = list(RecordReader(rule).read(pieces))
        for name in ("numbers", "faults"):
            one, other = (
                np.concatenate([np.zeros(0, np.int64), *(getattr(block, name) for block in blocks)])
                for blocks in (whole, cut)
            )
            assert np.array_equal(one, other)
        kept = b"".join(block.select(np.ones(len(block), np.bool_)) for block in whole)
        assert kept in (data, data + b"\n") or any(len(line) > 60 for line in data.split(b"\n"))
        list(RecordReader(rule, answer=True).read([data]))


@target("999 000 0018", "999-000-0018,", words="9 999 000 0018 E+ . , -")
def written_number(data: bytes) -> None:
    """A written number is ten digits, or has a fault with a reason."""
    for rule in NumberRule:
        number, fault = parse_number(data.decode("utf-8", "replace"), rule)
        assert (number is None) is bool(fault.reason)
        assert number is None or 0 <= number < 10**10


@target(_LIST, words="9990000018, 999000001")
def opt_out_list(data: bytes) -> None:
    """A list of choices is loaded whole, or refused by line."""
    loader = ListLoader(NumberRule.CHECKSUM)
    with suppress(InvalidNumbers):
        loader.feed(data[: len(data) // 2])
        loader.feed(data[len(data) // 2 :])
        assert len(loader.finish()) > 0


def _cache() -> bytes:
    writer = CacheWriter(CacheHeader(NOW, NOW + timedelta(days=21), BOX, "weekly-0001"), PASSWORD)
    return writer.start() + writer.records(b"9990000018,\n9990000026,\n") + writer.finish()


CACHE: Final = _cache()


@target(CACHE, words="#ndoo-temporary-cache #created #expires #mailbox #local-id #end records= sha256= hmac=")
def cache_file(data: bytes) -> None:
    """No file but the one that was made is a sound cache."""
    path = Path("a.cache")
    try:
        stream = io.BytesIO(data)
        numbers = read_numbers(path, stream, read_frame(path, stream), PASSWORD)
    except (CacheError, CacheAltered):
        return
    assert data == CACHE
    assert numbers.tolist() == [9990000018, 9990000026]


@target("5d", "1h30m", "0.5s", "36525d", words="w d h m s . 0 1 -")
def duration(data: bytes) -> None:
    """A length of time is up to a century, or refused; whole seconds come back."""
    with suppress(ValueError):
        length = parse_duration(data.decode("utf-8", "replace"))
        assert timedelta() <= length <= timedelta(days=36525)
        if not length % timedelta(seconds=1):
            assert parse_duration(format_duration(length)) == length


_SCENARIO: Final = """\
[clock]
advance = "1d"
[[mailboxes]]
mailbox_id = "NEW01"
[[workflows]]
workflow_id = "W"
senders = ["*"]
receivers = ["NEW01"]
[optouts]
rate = 0.1
seed = 1
numbers = ["9990000018"]
[[messages]]
to = "NEW01"
from = "X26ABC1"
count = 2
body = "text"
[[faults]]
action = "status"
status = 503
retry_after = "10s"
"""


@target(
    _SCENARIO,
    b"a=" + b"[" * 5_000,
    '[optouts]\nfile = "\\u0000"',
    words=" ".join(dict.fromkeys(_SCENARIO.split())),
)
def scenario(data: bytes) -> None:
    """A scenario file is understood, or refused in lines that name it."""
    path = scratch("scenario.toml")
    path.write_bytes(data)
    directory = Directory(_DIRECTORY.mailboxes, _DIRECTORY.workflows)
    said = str(path)
    try:
        load_scenario(path, directory, NumberRule.CHECKSUM)
    except SettingsError as error:
        said = str(error)
    assert str(path) in said


_MAILBOXES: Final = '{"mailbox_id": "A", "mailbox_name": "a", "password": "p", "active": true}'
_WORKFLOWS: Final = '{"workflow_id": "W", "senders": ["A", null], "receivers": ["B"]}'


@target(
    *(_MAILBOXES, _WORKFLOWS, b"[" * 5_000, b"1" * 5_000),
    *('{"mailbox_id": "A", "mailbox_name": "\\ud800"}', '{"mailbox_id": "A", "mailbox_name": "\u2028"}'),
    words='{ } [ ] , : " null true 1 "mailbox_id": "active": "senders": "W"',
)
def participants_file(data: bytes) -> None:
    """A file of mailboxes or workflows is understood, or refused by line; what is read can be written."""
    path = scratch("lines.jsonl")
    path.write_bytes(data)
    for kind in (participants._mailbox, participants._workflow):
        with suppress(SettingsError):
            for line in participants._lines(path, "mailboxes.jsonl"):
                json.dumps(asdict(kind(*line)), ensure_ascii=False, default=sorted).encode()


@functools.cache
def _journal() -> bytes:
    journal, list_file = Journal(scratch("new.db")), scratch("list.dat")
    list_file.write_bytes(_LIST)
    draft = Draft(
        **dict.fromkeys(("subject", "url", "workflow_id", "column", "rule"), "a text"),
        mailbox=BOX,
        service_mailbox="X26HC065",
        source=list_file,
        output=list_file,
        form=Form.LIST,
        records=3,
        blank=0,
        skipped=0,
    )
    journal.prepare(draft, list_file, journal.next_local_id(BOX))
    return journal.path.read_bytes()


@target(b"\x0b\n00\x80\t", b"\t\x00'\x01\x80\x00")
def client_journal(data: bytes) -> None:
    """A journal's file that is damaged is refused, and no other error comes of it."""
    path = scratch("journal.db")
    whole = bytearray(_journal())
    # The first two bytes of each six say where the other four go.
    for start in range(0, len(data) - 5, 6):
        place = int.from_bytes(data[start : start + 2], "big") % len(whole)
        whole[place : place + 4] = data[start + 2 : start + 6]
    path.write_bytes(data if len(data) % 6 else whole)
    with suppress(ConfigError):
        Journal(path).pending()


# -- control requests -------------------------------------------------------------------------------

_WISHES: Final[tuple[type[BaseModel], ...]] = (
    *(FaultWish, MailboxWish, MessageWish, ClockWish, ChoicesWish, RuleWish),
    *(EventGiven, ReportGiven, JournalQuery),
)


@target(
    '{"action": "status", "status": 503, "retry_after": "1.5s"}',
    '{"to": "X26ABC1", "count": 2, "body": "text", "local_id": "a"}',
    '{"mailbox_id": "NEW01", "active": false, "password": "p"}',
    b'{"since": "' + b":" * 60_000 + b'"}',
    words='{ } [ ] , : " null true 1 1e999 NaN "to": "count": "action": "delay": "status": "advance": "a"',
)
def control_body(data: bytes) -> None:
    """A body is a wish that can be carried out, or has problems in words."""
    with suppress(ValidationFailed):
        _parsed(data)
    try:
        given = json.loads(data)
    except (ValueError, RecursionError):
        return
    for model in _WISHES:
        try:
            wish = model.model_validate(given)
        except ValidationError as error:
            problems_of(error, model)
            continue
        _carry_out(wish)


def _carry_out(wish: BaseModel) -> None:
    if isinstance(wish, FaultWish):
        with suppress(RuleRefused):
            wish.rule()
    elif isinstance(wish, MessageWish):
        next(wish.messages(NOW))
    elif isinstance(wish, MailboxWish):
        repr(wish.mailbox()).encode()
    elif isinstance(wish, JournalQuery):
        wish.as_filter()
