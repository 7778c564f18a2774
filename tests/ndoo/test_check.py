"""The round trip against the real simulator, whole and broken off at every step."""

from __future__ import annotations

import asyncio
import gzip
import io
import os
import stat
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook, load_workbook
from practices import (
    HERE,
    OPTED_OUT,
    POOL,
    QUICK,
    SERVICE,
    Relay,
    Staged,
    Told,
    World,
    make_world,
    matching,
    records,
    relay_to,
    staying,
    table,
)
from support import MakeSimulator
from yarl import URL

from mesh_sim.exchange.messages import Failure, Message, MessageType, Metadata
from mesh_sim.exchange.states import Step, advance
from ndoo.cache import CacheHeader, TemporaryCache
from ndoo.check import CheckResult, check_opt_outs, choose_form, collect, submit
from ndoo.errors import (
    AnswerPending,
    AuthenticationRefused,
    CheckError,
    ColumnError,
    ConfigError,
    ConnectionFailed,
    InvalidNumbers,
    ListRejected,
    MessageGone,
    NdooError,
    NotDelivered,
    OutputExists,
    RecipientUnknown,
    UnexpectedAnswer,
    UnreadableList,
)
from ndoo.filtering import FilterSummary
from ndoo.journal import Draft, Form, Journal, Stage, Submission
from ndoo.lists import NumberRule, generate, parse_number
from ndoo.mailbox import Credentials, Mailbox
from ndoo.protocol import INVALID_LIST_ANSWER, WORKFLOW_CACHE, WORKFLOW_CHECK, Codes

# -- the whole of it --------------------------------------------------------------------------------


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(
    numbers=st.lists(st.sampled_from(POOL), min_size=1, max_size=80),
    form=st.sampled_from([Form.LIST, Form.TABLE]),
    chunk_size=st.sampled_from([50, 1000, 75_000_000]),
)
async def test_what_comes_back_is_the_list_less_the_opted_out(
    world: World, numbers: list[int], form: Form, chunk_size: int
) -> None:
    """Any list comes back in its order, whatever chunks it travels in; a repeated number is sent once."""
    write, name = (records, "any.dat") if form is Form.LIST else (table, "any.csv")
    source = world.source(write(numbers), name)
    mailbox = await world.open(HERE, chunk_size=chunk_size)
    output = world.folder / f"result{source.suffix}"
    submission = await submit(mailbox, world.journal, source, output, service=QUICK, force=True)
    result = await collect(mailbox, world.journal, submission, service=QUICK, timeout=10, force=True)
    sent = list(dict.fromkeys(numbers))
    kept = staying(sent)
    if form is Form.LIST:
        assert output.read_bytes() == (records(kept) or b"\n")
    else:
        rows = [row for row in source.read_bytes().splitlines(True)[1:] if int(row.split(b",")[1]) in kept]
        assert output.read_bytes() == b"".join([source.read_bytes().splitlines(True)[0], *rows])
    assert (result.submitted, result.returned, result.removed) == (
        len(sent),
        len(kept),
        len(sent) - len(kept),
    )
    assert result.submission.duplicates == len(numbers) - len(sent)
    assert result.notes == (() if kept else ("everybody on the list has opted out",))
    assert await world.waiting() == []


async def test_a_table_keeps_its_rows(world: World) -> None:
    """A practice's CSV loses the rows of the opted out and of nobody else, and the counts say so."""
    gone, stays, other = POOL[0], POOL[1], POOL[2]
    content = (
        "\ufeffName;NHS Number\r\n"
        f"Example;{gone}\r\n"
        f'"Sample; Two";{str(stays)[:3]} {str(stays)[3:6]} {str(stays)[6:]}\r\n'
        "Blank;\r\n"
        f"Last;{other}"
    ).encode()
    result = await world.check(world.source(content, "patients.csv"), "cleared.csv")
    lines = content.splitlines(True)
    assert result.output.read_bytes() == lines[0] + lines[2] + lines[4]
    assert result.table == FilterSummary(rows=4, kept=2, removed=1, blank=1, invalid=0)
    assert (result.submitted, result.returned, result.removed) == (3, 2, 1)
    assert (result.submission.blank, result.submission.skipped) == (1, 0)
    assert stat.S_IMODE(result.output.stat().st_mode) == 0o600


@pytest.mark.parametrize("output", [b"Pr\xe9.csv", b"Pr\xe9.dat", b"Pr\xe9.cache"])
async def test_a_file_name_that_is_not_text_makes_the_round_trip(world: World, output: bytes) -> None:
    """Names in an old encoding are those of the files read and written, and the note of it is text."""
    source = world.source(table(POOL), os.fsdecode(b"Liste-Pr\xe9.csv"))
    form = Form.CACHE if output.endswith(b".cache") else None
    result = await world.check(source, os.fsdecode(output), form=form)
    assert os.fsencode(result.output.name) == output
    assert output in {os.fsencode(path.name) for path in world.folder.iterdir()}
    recorded = Journal(world.journal.path).get(result.submission.local_id)
    assert (recorded.source, recorded.output) == (source, result.output)
    assert recorded.stage is Stage.COLLECTED
    assert recorded.note.endswith(os.fsdecode(output).replace("\udce9", "?"))


async def test_the_service_makes_a_temporary_cache(world: World) -> None:
    """With the cache workflow the output is a cache that works with the mailbox's password and expires."""
    result = await world.check(world.source(), "patients.cache", form=Form.CACHE)
    cache = TemporaryCache.load(result.output, "password")
    assert cache.contains(np.array(POOL)).tolist() == [number not in OPTED_OUT for number in POOL]
    assert (cache.mailbox, cache.local_id) == (HERE, result.submission.local_id)
    assert result.cache_expires == cache.expires == cache.created + timedelta(days=21)
    assert result.submission.workflow_id == WORKFLOW_CACHE
    assert result.returned == len(staying(POOL)) == cache.records


async def test_a_cache_is_made_here_where_the_service_makes_none(world: World) -> None:
    """Made from the cleaned list, a cache lasts from when the list was submitted, not from its collection."""
    service = replace(QUICK, cache_workflow=False, cache_lifetime=timedelta(days=3))
    world.journal = Journal(world.journal.path, now=lambda: datetime.now(UTC) - timedelta(hours=4))
    submission = await world.submit("patients.cache", form=Form.CACHE, service=service)
    assert submission.workflow_id == WORKFLOW_CHECK
    result = await world.collect(submission, service=service)
    cache = TemporaryCache.load(result.output, "password")
    assert cache.contains(np.array(POOL)).tolist() == [number not in OPTED_OUT for number in POOL]
    assert cache.created == submission.prepared_at.replace(microsecond=0)
    assert result.cache_expires == cache.expires == cache.created + timedelta(days=3)


async def test_an_all_opted_out_list_makes_an_empty_cache(world: World) -> None:
    """The one line feed that stands for nobody is not a record, wherever the cache is made."""
    source = world.source(records(sorted(OPTED_OUT)))
    for name, cache_workflow in (("theirs", True), ("ours", False)):
        service = replace(QUICK, cache_workflow=cache_workflow)
        result = await world.check(source, f"{name}.cache", form=Form.CACHE, service=service)
        assert (result.returned, len(TemporaryCache.load(result.output, "password"))) == (0, 0)
        assert result.notes == ("everybody on the list has opted out",)


async def test_submissions_in_flight_at_once_get_their_own_answers(world: World) -> None:
    """Several round trips in one inbox at the same time do not take each other's answers."""
    lists = [POOL[start::4] for start in range(4)]
    results = await asyncio.gather(
        *(
            world.check(world.source(records(numbers), f"{place}.dat"), f"{place}.out.dat")
            for place, numbers in enumerate(lists)
        )
    )
    for numbers, result in zip(lists, results, strict=True):
        assert result.output.read_bytes() == records(staying(numbers))
    assert len({result.submission.local_id for result in results}) == 4
    assert await world.waiting() == []
    assert world.journal.pending() == ()


async def test_a_long_list_is_compressed_on_the_way_and_reported_on(world: World, relay: Relay) -> None:
    """More than a megabyte travels as gzip, each chunk of it, and progress counts up to the whole list."""
    numbers = [int(number) for batch in generate(90_000) for number in batch]
    source = world.source(records(numbers))
    world.mailbox = await world.open(HERE, relay.url, chunk_size=500_000)
    progress = Told()
    result = await world.check(source, "out.dat", progress=progress)
    posts = [
        encoding
        for (method, path), encoding in zip(relay.seen, relay.encodings, strict=True)
        if method == "POST" and "/outbox" in path
    ]
    assert posts == ["gzip"] * 3
    size = source.stat().st_size
    assert progress.bytes["validating"][-1] == progress.bytes["sending"][-1] == (size, size)
    assert progress.bytes["receiving"][-1] == (result.output.stat().st_size, 0)
    assert progress.steps[:2] == ["validated", "submitted"]
    assert progress.steps[-3:] == ["received", "written", "collected"]
    assert result.output.read_bytes() == records(staying(numbers))


# -- before anything is sent ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "output", "options", "error"),
    [
        (b"9990000000,\n12,\n", "out.dat", {}, InvalidNumbers),
        (b"", "out.dat", {}, UnreadableList),
        (None, "out.dat", {}, UnreadableList),
        (records(POOL), "there.dat", {}, OutputExists),
        (records(POOL), "missing/out.dat", {}, ConfigError),
        (records(POOL), "list.dat", {"force": True}, ConfigError),
        (records(POOL), ".", {"form": Form.LIST, "force": True}, ConfigError),
        (records(POOL), "out.csv", {}, ConfigError),
        (records(POOL), "out.xlsx", {}, ConfigError),
        (records(POOL), "out.dat", {"column": "NHS"}, ColumnError),
    ],
    ids=[
        "invalid",
        "empty",
        "missing",
        "output-exists",
        "no-folder",
        "source",
        "folder",
        "no-table",
        "name",
        "column",
    ],
)
async def test_what_cannot_end_well_is_refused_before_anything_is_sent(
    world: World, content: bytes | None, output: str, options: dict[str, Any], error: type[NdooError]
) -> None:
    """A list or an output that is not in order leaves no message, no submission and no file behind."""
    (world.folder / "there.dat").write_text("precious")
    source = world.folder / "list.dat" if content is None else world.source(content)
    before = {path: path.read_bytes() for path in world.folder.iterdir()}
    with pytest.raises(error):
        await submit(world.mailbox, world.journal, source, world.folder / output, service=QUICK, **options)
    assert {path: path.read_bytes() for path in world.folder.iterdir()} == before
    assert world.journal.pending() == ()
    assert await world.waiting() == []
    assert await world.waiting(SERVICE) == []


async def test_invalid_rows_can_be_left_out(world: World) -> None:
    """With ``skip_invalid`` the rest of the list makes the round trip, and the counts name the rest."""
    source = world.source(table(POOL) + b"99,12345,Short\r\n", "patients.csv")
    result = await world.check(source, "cleared.csv", skip_invalid=True)
    assert (result.submission.records, result.submission.skipped) == (len(POOL), 1)
    assert result.table is not None
    assert (result.table.kept, result.table.invalid) == (len(staying(POOL)), 1)


@pytest.mark.parametrize(
    ("source", "output", "form"),
    [
        ("a.csv", "b.csv", Form.TABLE),
        ("a.CSV.gz", "b.csv", Form.TABLE),
        ("a.csv", "b.dat", Form.LIST),
        ("a.txt", "b.txt", Form.TABLE),
        ("a.dat.gz", "b.txt", Form.TABLE),
        ("a.dat", "b.DAT", Form.LIST),
        ("a.tsv.gz", "b.tsv", Form.TABLE),
        ("a.xlsx", "b.xlsx", Form.TABLE),
        ("a.xlsx.gz", "b.csv", Form.TABLE),
        ("a.xlsx", "b.dat", Form.LIST),
    ],
)
def test_the_name_of_the_output_decides_its_form(source: str, output: str, form: Form) -> None:
    """A .dat is a cleaned list; any other has the source's rows."""
    assert choose_form(Path(source), Path(output)) is form


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("a.csv", "b.xlsx"),
        ("a.xlsx", "b.txt"),
        ("a.dat", "b.csv"),
        ("a.csv", "b.tsv"),
        ("a.tsv", "b.csv"),
        ("a.csv", "b.txt"),
        ("a.csv", "b.doc"),
    ],
)
def test_rows_of_one_kind_are_not_made_into_any_other(source: str, output: str) -> None:
    """What cannot be made of a source is refused by name, with what can."""
    with pytest.raises(ConfigError, match=rf"b\.\w+: \.\w+ is not made of a \.{source[2:]}; name the output"):
        choose_form(Path(source), Path(output))


@pytest.mark.parametrize(
    "name", ["list.csv", "list.tsv.gz", "list.xlsx", "list.xlsx.gz", "list.txt", "list.dat"]
)
async def test_a_list_of_any_kind_makes_the_round_trip(world: World, name: str) -> None:
    """Doubled numbers are sent once; the output has the rows of all who may be used, in the list's form."""
    numbers = [*POOL[:12], POOL[1], POOL[0]]
    kind = name.removesuffix(".gz").rpartition(".")[2]
    output = f"out.{kind}" if kind != "dat" else "out.txt"
    if kind == "xlsx":
        book = Workbook()
        assert book.active is not None
        for row in ("Name", "NHS Number"), *(("Example", number) for number in numbers):
            book.active.append(row)
        stream = io.BytesIO()
        book.save(stream)
        content = stream.getvalue()
    elif kind in ("csv", "tsv"):
        rows = ["Name,NHS Number", *(f"Example,{number}" for number in numbers)]
        content = "\n".join([*rows, ""]).replace(",", "\t" if kind == "tsv" else ",").encode()
    else:
        content = records(numbers)
    result = await world.check(
        world.source(gzip.compress(content) if name.endswith(".gz") else content, name), output
    )
    assert (result.submitted, result.submission.duplicates) == (12, 2)
    kept = [number for number in numbers if number not in OPTED_OUT]
    if kind == "xlsx":
        sheet = load_workbook(result.output).active
        assert [row[1] for row in sheet.values] == ["NHS Number", *kept]
    else:
        lines = result.output.read_text().splitlines()
        assert [line.strip(",")[-10:] for line in lines if line[-1] != "r"] == list(map(str, kept))
    assert result.table is not None
    assert (result.table.kept, result.table.removed) == (len(kept), len(numbers) - len(kept))
    assert result.notes == ()


async def test_lost_zeros_are_put_back_only_if_asked(world: World) -> None:
    """Nine digits are refused, with the offer; repaired they are sent, counted, and kept as they stand."""
    # Of a person born in month ninety-nine: as a CHI number it can be nobody's.
    with_zero = next(n for n in range(199_000_000, 200_000_000) if parse_number(f"{n:010d}")[0] is not None)
    source = world.source(f"NHS Number\n{with_zero}\n{POOL[1]}\n".encode(), "list.csv")
    with pytest.raises(InvalidNumbers, match="leading zero"):
        await world.check(source, "out.csv")
    result = await world.check(source, "out.csv", repair=True)
    assert (result.submitted, result.submission.repaired) == (2, 1)
    assert result.output.read_bytes() == source.read_bytes()


async def test_an_unknown_service_is_a_failed_submission(world: World) -> None:
    """A refused list is recorded as failed with the reason, so that nobody waits for its answer."""
    with pytest.raises(RecipientUnknown):
        await world.submit(service=replace(QUICK, mailbox_id="X26NOBODY"))
    (failed,) = [world.journal.get(f"{HERE}-{datetime.now(UTC):%d%m%y}-0001")]
    assert failed.stage is Stage.FAILED
    assert "X26NOBODY" in failed.note
    with pytest.raises(CheckError, match="ended"):
        await world.collect(failed)


async def test_a_wrong_password_is_said_before_anything_is_sent(world: World) -> None:
    """Credentials the server refuses end the submission, and it does not wait for an answer."""
    credentials = Credentials(HERE, "wrong", "TestKey")
    world.mailbox = await world.stack.enter_async_context(Mailbox(world.simulator.url, credentials))
    with pytest.raises(AuthenticationRefused):
        await world.submit()
    assert world.journal.pending() == ()


async def test_a_lost_journal_does_not_bring_back_old_local_ids(world: World) -> None:
    """A journal that starts anew passes over the local ids this mailbox has sent lists with before."""
    first = await world.submit()
    world.journal = Journal(world.folder.parent / "new" / "journal.db")
    second = await world.submit("second.dat")
    assert first.local_id.endswith("-0001")
    assert second.local_id.endswith("-0002")
    assert world.journal.pending() == (second,)


async def test_a_local_id_that_several_messages_have_is_passed_over(world: World) -> None:
    """Where tracking cannot even choose among earlier messages, the local id counts as used."""
    taken = f"{HERE}-{datetime.now(UTC):%d%m%y}-0001"
    for _ in range(2):
        await world.mailbox.send("X26ABC2", "TEST_WORKFLOW", b"mail", local_id=taken)
    submission = await world.submit()
    assert submission.local_id.endswith("-0002")
    assert [each.local_id for each in world.journal.pending()] == [submission.local_id]


# -- the answer, and what else is in the inbox ------------------------------------------------------


@pytest.mark.parametrize("headers", [(), ("file_name",)], ids=["plain", "named like the answer"])
async def test_the_receipt_is_not_the_answer(staged: Staged, headers: tuple[str, ...]) -> None:
    """A receipt is acknowledged and remembered, and the waiting goes on until the answer is there."""
    world = staged.world
    submission = await world.submit()
    await staged.receipt(submission, **dict.fromkeys(headers, f"{submission.local_id}.dat"))
    with pytest.raises(AnswerPending, match="confirmed that it has the list") as pending:
        await world.collect(submission, timeout=0)
    assert pending.value.local_id == submission.local_id
    assert await world.waiting() == []
    assert world.journal.get(submission.local_id).receipt_at is not None
    assert not (world.folder / "out.dat").exists()

    await staged.send(submission, records(POOL[:5]))
    result = await world.collect(submission)
    assert result.output.read_bytes() == records(POOL[:5])
    assert (result.returned, result.removed) == (5, len(POOL) - 5)


async def test_what_belongs_to_others_is_left_alone(staged: Staged) -> None:
    """Messages of another submission, sender or kind stay in the inbox and are asked about once."""
    world = staged.world
    other, mine = await world.submit("other.dat"), await world.submit("mine.dat")
    stranger = await world.open("X26ABC2")
    foreign = [
        await staged.send(other, records(POOL[:3])),
        await stranger.send(
            HERE, WORKFLOW_CHECK, records(POOL[:4]), local_id=mine.local_id, file_name=f"{mine.local_id}.dat"
        ),
        await staged.send(mine, b"what is this", file_name="odd.txt", subject="odd"),
        await stranger.send(HERE, "ANOTHER_WORKFLOW", b"mail", local_id=mine.local_id),
    ]
    async with relay_to(world.simulator.url) as relay:
        world.mailbox = await world.open(HERE, relay.url)
        told = Told()

        async def answer_at_the_third_look(request: web.Request) -> None:
            if request.path.endswith("/inbox") and len(told.waits) == 2:
                await staged.send(mine, records(POOL[:5]))

        relay.meanwhile = answer_at_the_third_look
        result = await world.collect(mine, progress=told)
    assert result.output.read_bytes() == records(POOL[:5])
    assert await world.waiting() == foreign
    heads = [path for method, path in relay.seen if method == "HEAD"]
    assert len(heads) == len(set(heads)) == 4  # three of this workflow, and the answer
    assert told.waits == sorted(told.waits)
    assert len(told.waits) == 2
    # The answer to the other list is awaited here, and is nothing to wonder about.
    assert [note for note in result.notes if "3 other messages wait" in note] == list(result.notes)


async def test_a_message_that_is_not_understood_is_mentioned(staged: Staged) -> None:
    """Something from the service that is neither receipt nor answer is named while the wait goes on."""
    submission = await staged.world.submit()
    odd = await staged.send(submission, b"news", file_name="news.txt")
    with pytest.raises(AnswerPending, match=odd):
        await staged.world.collect(submission, timeout=0)
    assert await staged.world.waiting() == [odd]


@pytest.mark.parametrize("linked", [True, False], ids=["linked", "by local id"])
async def test_a_report_ends_the_wait(staged: Staged, linked: bool) -> None:
    """A non-delivery report about the list is acknowledged and raised with its code and text."""
    world = staged.world
    submission = await world.submit()
    core = world.simulator.server.core
    now = core.clock.now()
    await core.messages.add(
        Message(
            message_id="20261122100000000000_ABCDEF",
            message_type=MessageType.REPORT,
            sender="",
            recipient=HERE,
            workflow_id=WORKFLOW_CHECK,
            status=advance(None, Step.SEND),
            total_chunks=0,
            created_at=now,
            accepted_at=now,
            metadata=Metadata(local_id="" if linked else submission.local_id),
            failure=Failure(Codes.NOT_COLLECTED, now, submission.message_id if linked else ""),
        ),
        [],
    )
    with pytest.raises(NotDelivered, match="not collected by recipient") as raised:
        await world.collect(submission)
    assert (raised.value.code, raised.value.local_id) == ("14", submission.local_id)
    assert world.journal.get(submission.local_id).stage is Stage.FAILED
    assert await world.waiting() == []


async def test_a_list_the_service_finds_invalid_is_rejected(world: World) -> None:
    """The service's sentence about invalid numbers ends the submission, with advice, and is no output."""
    wrong = POOL[0] + (1 if POOL[0] % 10 < 9 else -1)
    source = world.source(records([*POOL, wrong]))
    with pytest.raises(ListRejected, match="ndoo numbers validate") as raised:
        await world.check(source, "out.dat", rule=NumberRule.DIGITS)
    assert world.journal.get(raised.value.local_id).stage is Stage.FAILED
    assert not (world.folder / "out.dat").exists()
    assert await world.waiting() == []


def cache_file(folder: Path, numbers: list[int], **changes: str) -> bytes:
    """Make the bytes of a temporary cache."""
    now = datetime.now(UTC)
    given = {"mailbox": HERE, "local_id": "", "password": "password"} | changes
    header = CacheHeader(now, now + timedelta(days=21), given["mailbox"], given["local_id"])
    path = folder / "made.cache"
    TemporaryCache.create([records(numbers)], path, header, given["password"], force=True)
    content = path.read_bytes()
    path.unlink()
    return content


def altered(folder: Path, local_id: str) -> bytes:
    """Make a cache and change one number in it."""
    return cache_file(folder, POOL, local_id=local_id).replace(b"%d" % POOL[4], b"%d" % POOL[5])


BAD_LISTS: Final[dict[str, bytes]] = {
    "html": b"<html><body>Proxy error</body></html>",
    "half a record": records(POOL[:2]) + b"99900",
    "blank line": records(POOL[:2]) + b"\n" + records(POOL[2:4]),
    "more records": records([*POOL, POOL[0]]),
    "far more": records(POOL) * 20,
    "more than the sentence": INVALID_LIST_ANSWER + b" Really.",
}
BAD_CACHES: Final[dict[str, Callable[[Path, str], bytes]]] = {
    "cleaned list": lambda _folder, _local_id: records(POOL),
    "altered": altered,
    "cut short": lambda folder, local_id: cache_file(folder, POOL, local_id=local_id)[:-20],
    "other password": lambda folder, local_id: cache_file(folder, POOL, local_id=local_id, password="other"),
    "other submission": lambda folder, _local_id: cache_file(folder, POOL, local_id="other-1"),
    "other mailbox": lambda folder, local_id: cache_file(folder, POOL, local_id=local_id, mailbox="X26ABC2"),
    "more records": lambda folder, local_id: cache_file(folder, [*POOL, POOL[0]], local_id=local_id),
}


@pytest.mark.parametrize(
    ("form", "body"),
    [
        *(pytest.param(Form.LIST, body, id=f"list-{name}") for name, body in BAD_LISTS.items()),
        *(pytest.param(Form.TABLE, body, id=f"table-{name}") for name, body in BAD_LISTS.items()),
        *(pytest.param(Form.CACHE, body, id=f"cache-{name}") for name, body in BAD_CACHES.items()),
    ],
)
async def test_an_answer_to_something_else_is_not_accepted(
    staged: Staged, form: Form, body: bytes | Callable[[Path, str], bytes]
) -> None:
    """What is not the answer to this list is neither written nor acknowledged, and the list stays pending."""
    world = staged.world
    submission = await world.submit("out", form=form)
    content = body if isinstance(body, bytes) else body(world.folder, submission.local_id)
    message_id = await staged.send(submission, content)
    with pytest.raises(UnexpectedAnswer, match="still in the inbox") as raised:
        await world.collect(submission)
    assert raised.value.message_id == message_id
    assert not (world.folder / "out").exists()
    assert world.leftovers() == []
    assert await world.waiting() == [message_id]
    assert [each.stage for each in world.journal.pending()] == [Stage.SENT]


async def test_the_answer_may_be_compressed_and_chunked(staged: Staged) -> None:
    """However the service cuts and packs its answer, the output is the same."""
    world = staged.world
    submission = await world.submit()
    service = await world.open(SERVICE, chunk_size=77)
    await service.send(
        HERE,
        WORKFLOW_CHECK,
        records(POOL[:50]),
        local_id=submission.local_id,
        subject=submission.subject,
        file_name=f"{submission.local_id}.dat",
        compress=True,
    )
    result = await world.collect(submission)
    assert result.output.read_bytes() == records(POOL[:50])


# -- waiting ----------------------------------------------------------------------------------------


async def test_an_answer_that_takes_longer_is_collected_later(
    make_simulator: MakeSimulator, practice: Path
) -> None:
    """After the timeout nothing is lost: the next try finds the answer, which simulated time has brought."""
    simulator = await make_simulator(ndoo_reply_delay=timedelta(minutes=40))
    async with AsyncExitStack() as stack:
        world = await make_world(simulator, practice, stack)
        with pytest.raises(AnswerPending, match="nothing is lost") as raised:
            await world.check(world.source(), "out.dat", timeout=0.05)
        simulator.clock.advance(timedelta(minutes=41))
        (submission,) = Journal(world.journal.path).pending(HERE, simulator.url)
        assert submission.local_id == raised.value.local_id
        result = await world.collect(submission)
    assert result.output.read_bytes() == records(staying(POOL))


async def test_an_answer_not_collected_in_five_days_is_given_up_on_in_words(staged: Staged) -> None:
    """Where MESH can no longer have the answer, the submission fails, with the advice to submit again."""
    world = staged.world
    world.journal = Journal(world.journal.path, now=lambda: datetime.now(UTC) - timedelta(days=6))
    submission = await world.submit()
    with pytest.raises(CheckError, match="five days only; submit the list again") as raised:
        await world.collect(submission)
    assert not isinstance(raised.value, AnswerPending)
    assert world.journal.get(submission.local_id).stage is Stage.FAILED
    assert world.journal.pending() == ()
    with pytest.raises(CheckError, match=r"ended on .* five days only"):
        await world.collect(submission)


async def test_an_answer_that_is_there_after_five_days_is_collected(staged: Staged) -> None:
    """However long ago the list was sent, an answer that is in the inbox is taken."""
    world = staged.world
    world.journal = Journal(world.journal.path, now=lambda: datetime.now(UTC) - timedelta(days=6))
    submission = await world.submit()
    await staged.send(submission, records(POOL[:5]))
    assert (await world.collect(submission, timeout=0)).output.read_bytes() == records(POOL[:5])


async def test_what_another_process_has_collected_is_not_waited_for(staged: Staged) -> None:
    """A wait ends at the next look, in words, once another process has ended the submission."""
    world = staged.world
    submission = await world.submit()
    journal = Journal(world.journal.path)

    def collected_elsewhere(_waits: int) -> None:
        journal.collected(submission.local_id, "5 of 60 records returned")

    with pytest.raises(CheckError, match=r"was collected on .*: 5 of 60 records returned"):
        await world.collect(submission, progress=Told(collected_elsewhere))
    assert not (world.folder / "out.dat").exists()


async def test_a_network_that_is_gone_for_a_moment_does_not_end_the_wait(world: World, relay: Relay) -> None:
    """Looks that fail are made again, and the answer is collected when the network is back."""
    submission = await world.submit()
    relay.before = matching("GET", "/inbox")

    def heal_after_two(waits: int) -> None:
        if waits == 2:
            relay.heal()

    result = await world.collect(submission, progress=Told(heal_after_two))
    assert result.output.read_bytes() == records(staying(POOL))


@pytest.mark.parametrize(("timeout", "waits"), [(0, 0), (None, 2)], ids=["last look", "three looks"])
async def test_a_network_that_stays_away_is_reported(
    world: World, relay: Relay, timeout: float | None, waits: int
) -> None:
    """The wait ends with the network's error, not as if the inbox had been empty; nothing is lost."""
    submission = await world.submit()
    relay.before = matching("GET", "/inbox")
    world.journal = Journal(world.journal.path, now=lambda: datetime.now(UTC) + timedelta(days=1))
    told = Told()
    with pytest.raises(ConnectionFailed):
        await world.collect(submission, timeout=timeout, progress=told)
    assert len(told.waits) == waits
    relay.heal()
    assert (await world.collect(submission)).output.read_bytes() == records(staying(POOL))


# -- broken off, and gone on with -------------------------------------------------------------------


def assert_good(result: CheckResult, form: Form, source: Path) -> None:
    """Check an output made of ``table(POOL)``, by its form."""
    kept = staying(POOL)
    assert (result.submitted, result.returned, result.removed) == (
        len(POOL),
        len(kept),
        len(POOL) - len(kept),
    )
    assert result.submission.stage is Stage.COLLECTED
    match form:
        case Form.LIST:
            assert result.output.read_bytes() == records(kept)
        case Form.TABLE:
            header, *rows = source.read_bytes().splitlines(True)
            left = [row for row, number in zip(rows, POOL, strict=True) if number in kept]
            assert result.output.read_bytes() == header + b"".join(left)
            assert result.table == FilterSummary(len(POOL), len(kept), len(POOL) - len(kept), 0, 0)
        case Form.CACHE:
            cache = TemporaryCache.load(result.output, "password")
            assert cache.contains(np.array(POOL)).tolist() == [number in kept for number in POOL]
            assert result.cache_expires == cache.expires


COLLECTING: Final = {
    "handshake": ("POST", HERE, 1),
    "list": ("GET", "/inbox", 1),
    "look": ("HEAD", "/inbox/", 1),
    "acknowledge receipt": ("PUT", "/acknowledged", 1),
    "look at answer": ("HEAD", "/inbox/", 2),
    "download": ("GET", "/inbox/", 1),
    "acknowledge answer": ("PUT", "/acknowledged", 2),
}


@pytest.mark.parametrize("lost", ["request", "answer"])
@pytest.mark.parametrize("step", COLLECTING.values(), ids=COLLECTING)
async def test_collecting_can_be_broken_off_at_every_request(
    world: World, relay: Relay, step: tuple[str, str, int], lost: str
) -> None:
    """Whichever request is lost, collecting again ends with the output, once, and an empty inbox."""
    source = world.source(table(POOL), "patients.csv")
    output = world.folder / "out.csv"
    relay.before = matching("GET", "/inbox")  # so that submitting leaves the receipt
    submission = await submit(world.mailbox, world.journal, source, output, service=QUICK)
    relay.heal()
    await world.answered()
    world.journal = Journal(world.journal.path, now=lambda: datetime.now(UTC) + timedelta(days=1))
    setattr(relay, "before" if lost == "request" else "after", matching(*step))
    with pytest.raises(ConnectionFailed):
        await world.collect(submission, timeout=0)
    relay.heal()
    (pending,) = Journal(world.journal.path).pending()
    result = await world.collect(pending, timeout=0)
    assert_good(result, Form.TABLE, source)
    assert await world.waiting() == []
    assert world.journal.pending() == ()
    assert world.leftovers() == []


class Stopped(BaseException):
    """The process ends here."""


class StoppingJournal(Journal):
    """A journal whose process ends just before, or just after, a step is recorded."""

    step = ""
    after = False

    def prepare(self, draft: Draft, list_file: Path, local_id: str) -> Submission:
        """End before or after this step, if it is the one."""
        if self.step != "prepared":
            return super().prepare(draft, list_file, local_id)
        if self.after:
            super().prepare(draft, list_file, local_id)
        raise Stopped

    def _step(self, local_id: str, stage: Stage | None, **changes: Any) -> Submission:
        step = stage.value if stage is not None else next(iter(changes))
        if step != self.step:
            return super()._step(local_id, stage, **changes)
        if self.after:
            super()._step(local_id, stage, **changes)
        raise Stopped


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", ["prepared", "sent", "receipt_at", "answer_id", "written", "collected"])
@pytest.mark.parametrize("form", list(Form))
async def test_the_process_may_end_between_any_two_steps(
    world: World, form: Form, step: str, after: bool
) -> None:
    """Ended before or after any step is recorded, the round trip is completed by the next process."""
    source = world.source(table(POOL), "patients.csv")
    stopping = StoppingJournal(world.journal.path)
    stopping.step, stopping.after = step, after
    with pytest.raises(Stopped):
        await check_opt_outs(
            world.mailbox,
            source,
            world.folder / "out",
            journal=stopping,
            form=form,
            service=QUICK,
            timeout=10,
        )
    local_id = f"{HERE}-{datetime.now(UTC):%d%m%y}-0001"
    if (step, after) == ("prepared", False):
        assert world.journal.pending() == ()
        assert world.kept() == []
        return
    recorded = world.journal.get(local_id)
    if recorded.stage is Stage.COLLECTED:
        with pytest.raises(CheckError, match="was collected"):
            await world.collect(recorded)
        assert (world.folder / "out").exists()
    else:
        (pending,) = world.journal.pending()
        assert_good(await world.collect(pending), form, source)
    assert await world.waiting() == []
    assert world.journal.pending() == ()
    assert world.leftovers() == []
    # What was to be done after the last step, the next submission does.
    assert world.kept() == ([f"{local_id}.dat"] if recorded.stage is Stage.COLLECTED else [])
    await world.check(world.source(), "another.dat")
    assert world.kept() == []


async def test_what_may_be_replaced_may_be_so_by_a_later_process(world: World) -> None:
    """Leave to replace the output, given at the submission, holds for whoever collects; under that name."""
    output = world.folder / "out.dat"
    output.write_text("of last week")
    submission = await world.submit(force=True)
    assert output.read_text() == "of last week"
    other = world.folder / "precious.dat"
    other.write_text("precious")
    with pytest.raises(OutputExists):
        await world.collect(replace(submission, output=other))
    assert (await world.collect(submission)).output.read_bytes() == records(staying(POOL))
    assert other.read_text() == "precious"


async def test_a_file_that_came_in_the_way_is_not_taken_for_our_own(staged: Staged) -> None:
    """An output that appeared while the answer was awaited is not replaced, and the answer not lost."""
    world = staged.world
    submission = await world.submit()
    output = world.folder / "out.dat"
    async with relay_to(world.simulator.url) as relay:
        world.mailbox = await world.open(HERE, relay.url)

        async def come_in_the_way(request: web.Request) -> None:
            if request.method == "GET" and "/inbox/" in request.path:
                output.write_text("precious")

        relay.meanwhile = come_in_the_way
        message_id = await staged.send(submission, records(POOL[:5]))
        for _ in range(2):
            with pytest.raises(OutputExists):
                await world.collect(submission)
            assert output.read_text() == "precious"
        assert relay.seen.count(("GET", f"/inbox/{message_id}")) == 1
    world.mailbox = await world.open(HERE)
    assert await world.waiting() == [message_id]
    elsewhere = replace(submission, output=world.folder / "elsewhere.dat")
    assert (await world.collect(elsewhere)).output.read_bytes() == records(POOL[:5])
    assert output.read_text() == "precious"


# -- sends whose end is not known -------------------------------------------------------------------


async def test_a_send_whose_answer_was_lost_is_found_by_tracking(world: World, relay: Relay) -> None:
    """If only the server's answer to the send was lost, the round trip goes on, and the list is sent once."""
    relay.after = matching("POST", "/outbox")
    source = world.source(table(POOL), "patients.csv")
    result = await world.check(source, "out.csv")
    assert_good(result, Form.TABLE, source)
    assert [path for method, path in relay.seen if method == "POST"].count("/outbox") == 1


async def test_a_send_that_did_not_arrive_is_made_again(world: World, relay: Relay) -> None:
    """If the list proves not to have reached the server it is sent again, once, and that is said."""
    posts = 0

    def lose_the_first(request: web.Request) -> bool:
        nonlocal posts
        posts += request.method == "POST" and request.path.endswith("/outbox")
        return posts == 1 and request.method == "POST" and request.path.endswith("/outbox")

    relay.before = lose_the_first
    source = world.source(table(POOL), "patients.csv")
    told = Told()
    result = await world.check(source, "out.csv", progress=told)
    assert_good(result, Form.TABLE, source)
    assert posts == 2
    assert [sentence for sentence in told.said if "had not arrived, and it was sent again" in sentence]
    assert result.notes == tuple(told.said)


async def test_a_send_that_does_not_arrive_at_all_has_failed(world: World, relay: Relay) -> None:
    """If the list never reaches the server, the submission has failed and can be made again."""
    relay.before = matching("POST", "/outbox")
    with pytest.raises(CheckError, match="did not reach the server") as raised:
        await world.submit()
    assert world.journal.get(raised.value.local_id).stage is Stage.FAILED
    assert world.kept() == []
    relay.heal()
    assert (await world.collect(await world.submit())).returned == len(staying(POOL))


@pytest.mark.parametrize("lost", ["request", "answer"])
async def test_a_send_that_nothing_is_known_of_is_settled_later(
    world: World, relay: Relay, lost: str
) -> None:
    """With the network gone altogether it cannot be told whether the list arrived; collecting finds out."""

    def cut_off(request: web.Request) -> bool:
        if request.method == "POST" and request.path.endswith("/outbox"):
            relay.before = lambda _request: True
            return True
        return False

    setattr(relay, "before" if lost == "request" else "after", cut_off)
    with pytest.raises(CheckError, match="do not submit it again") as raised:
        await world.submit()
    relay.heal()
    (pending,) = world.journal.pending()
    assert (pending.local_id, pending.stage) == (raised.value.local_id, Stage.PREPARED)
    (world.folder / "list.dat").unlink()  # the list is kept, whatever becomes of the source
    told = Told()
    result = await world.collect(pending, progress=told)
    assert result.output.read_bytes() == records(staying(POOL))
    assert ["it had not arrived, and it is sent now" in sentence for sentence in told.said] == [
        lost == "request"
    ]
    tracked = await world.mailbox.track(local_id=pending.local_id)
    assert tracked.status == "acknowledged"


async def test_a_list_that_cannot_be_sent_again_stays_to_be_collected(world: World, relay: Relay) -> None:
    """If it does not arrive when it is collected either, nothing is lost, and the next time it is sent."""
    stopping = StoppingJournal(world.journal.path)
    stopping.step, stopping.after = "prepared", True
    with pytest.raises(Stopped):
        await submit(world.mailbox, stopping, world.source(), world.folder / "out.dat", service=QUICK)
    (pending,) = world.journal.pending()
    relay.before = matching("POST", "/outbox")
    with pytest.raises(CheckError, match="'ndoo collect' sends it again"):
        await world.collect(pending)
    assert world.journal.get(pending.local_id).stage is Stage.PREPARED
    relay.heal()
    assert (await world.collect(pending)).output.read_bytes() == records(staying(POOL))


async def test_a_kept_list_that_is_gone_fails_its_submission(world: World, relay: Relay) -> None:
    """A list that was not sent and is not kept any more cannot be collected, and the advice is to submit."""
    stopping = StoppingJournal(world.journal.path)
    stopping.step, stopping.after = "prepared", True
    with pytest.raises(Stopped):
        await submit(world.mailbox, stopping, world.source(), world.folder / "out.dat", service=QUICK)
    (pending,) = world.journal.pending()
    world.journal.list_of(pending.local_id).unlink()
    with pytest.raises(CheckError, match="submit the list again"):
        await world.collect(pending)
    assert world.journal.get(pending.local_id).stage is Stage.FAILED


async def test_a_send_that_is_taken_in_too_late_is_settled_later(world: World, relay: Relay) -> None:
    """A server that answers too late may take the list in all the same, so it is not called failed."""
    patience_over = asyncio.Event()

    async def hold_the_send(request: web.Request) -> None:
        if request.method == "POST" and request.path.endswith("/outbox"):
            await patience_over.wait()

    relay.meanwhile = hold_the_send
    world.mailbox = await world.open(HERE, relay.url, timeout=0.5)
    with pytest.raises(CheckError, match="do not submit it again") as raised:
        await world.submit()
    (pending,) = world.journal.pending()
    assert (pending.local_id, pending.stage) == (raised.value.local_id, Stage.PREPARED)
    patience_over.set()
    await world.answered()
    result = await world.collect(pending)
    assert result.output.read_bytes() == records(staying(POOL))


@pytest.mark.parametrize("first", [1, 2, 3])
async def test_a_list_that_arrived_in_part_is_completed(world: World, relay: Relay, first: int) -> None:
    """A list of which chunks are missing is gone on with by the next collecting, and answered once."""
    world.mailbox = await world.open(HERE, relay.url, chunk_size=300)  # of 720 bytes
    relay.before = matching("POST", "/outbox/", first)
    if first == 3:  # two chunks in the first try, and the two of the second would be all
        relay.before = lambda request: request.method == "POST" and request.path.endswith("/3")
    with pytest.raises(CheckError, match="'ndoo collect' sends the rest"):
        await world.submit()
    (pending,) = world.journal.pending()
    assert pending.stage is Stage.PREPARED
    assert await world.waiting(SERVICE) == []
    relay.heal()
    told = Told()
    result = await world.collect(pending, progress=told)
    assert result.output.read_bytes() == records(staying(POOL))
    assert "only a part of" in told.said[0]
    assert [path for method, path in relay.seen if method == "POST"].count("/outbox") == 1


async def test_the_rest_of_a_list_is_cut_as_its_beginning_was(world: World, relay: Relay) -> None:
    """Chunks of another size, as a later version may have, do not spoil a list that has arrived in part."""
    world.mailbox = await world.open(HERE, relay.url, chunk_size=300)
    relay.before = lambda request: request.method == "POST" and request.path.endswith("/3")
    with pytest.raises(CheckError, match="only a part"):
        await world.submit()
    (pending,) = world.journal.pending()
    relay.heal()
    world.mailbox = await world.open(HERE, relay.url, chunk_size=290)
    assert (await world.collect(pending)).output.read_bytes() == records(staying(POOL))


@pytest.mark.parametrize("status", [502, 504])
async def test_a_gateway_that_loses_patience_is_not_believed(world: World, relay: Relay, status: int) -> None:
    """A list the server is still taking in behind a gateway is not sent a second time."""
    taken_in = asyncio.Event()
    posts: list[asyncio.Task[Any]] = []

    async def pass_on_late(request: web.Request) -> None:
        if request.method == "POST" and request.path.endswith("/outbox") and not posts:
            body, headers = await request.read(), request.headers.copy()
            headers.popall("Transfer-Encoding", None)

            async def later() -> None:
                await taken_in.wait()
                url = URL(relay.target + request.raw_path, encoded=True)
                async with relay.session.post(url, headers=headers, data=body) as answer:
                    assert answer.status == 202

            posts.append(asyncio.create_task(later()))
            raise web.HTTPException(text="the gateway gives up") from None

    class GivesUp(web.HTTPException):
        status_code = status

    async def give_up(request: web.Request) -> None:
        try:
            await pass_on_late(request)
        except web.HTTPException:
            raise GivesUp(text="no patience") from None

    relay.meanwhile = give_up
    with pytest.raises(CheckError, match="do not submit it again"):
        await world.submit()
    taken_in.set()
    await asyncio.gather(*posts)
    (pending,) = world.journal.pending()
    assert (await world.collect(pending)).output.read_bytes() == records(staying(POOL))
    assert [path for method, path in relay.seen if method == "POST"].count("/outbox") == 1


async def test_a_list_that_was_tried_a_moment_ago_is_not_sent_at_once(world: World, relay: Relay) -> None:
    """With the real MESH a minute passes before a list that tracking does not know is sent again."""
    calm = replace(QUICK, poll_interval=300.0)
    stopping = StoppingJournal(world.journal.path)
    stopping.step, stopping.after = "tried_at", True
    with pytest.raises(Stopped):
        await submit(world.mailbox, stopping, world.source(), world.folder / "out.dat", service=calm)
    (pending,) = world.journal.pending()
    with pytest.raises(AnswerPending, match=r"can be told in \d+ s"):
        await world.collect(pending, service=calm, timeout=0)
    assert [path for method, path in relay.seen if method == "POST"].count("/outbox") == 0
    world.journal = Journal(world.journal.path, now=lambda: datetime.now(UTC) + timedelta(seconds=61))
    assert (await world.collect(pending)).output.read_bytes() == records(staying(POOL))


async def test_two_processes_do_not_send_one_list_twice(world: World, relay: Relay) -> None:
    """While one process sends a list, another that would collect it waits for its turn."""
    rival: list[BaseException] = []

    async def collect_meanwhile(request: web.Request) -> None:
        if request.method == "POST" and request.path.endswith("/outbox"):
            (pending,) = world.journal.pending()
            other = await world.open(HERE, relay.url)
            try:
                await collect(other, Journal(world.journal.path), pending, service=QUICK, timeout=0)
            except AnswerPending as error:
                rival.append(error)

    relay.meanwhile = collect_meanwhile
    result = await world.check(world.source(), "out.dat")
    assert result.output.read_bytes() == records(staying(POOL))
    assert [str(error) for error in rival] == [
        f"another process is sending {result.submission.local_id}; 'ndoo collect' fetches the answer later"
    ]
    assert [path for method, path in relay.seen if method == "POST"].count("/outbox") == 1


async def test_a_local_id_that_arrived_twice_is_settled(world: World) -> None:
    """Where several messages have the local id, the list has arrived, and its answer is awaited."""
    stopping = StoppingJournal(world.journal.path)
    stopping.step = "sent"
    with pytest.raises(Stopped):
        await submit(world.mailbox, stopping, world.source(), world.folder / "out.dat", service=QUICK)
    (pending,) = world.journal.pending()
    await world.mailbox.send("X26ABC2", "TEST_WORKFLOW", b"again", local_id=pending.local_id)
    assert (await world.collect(pending)).output.read_bytes() == records(staying(POOL))


async def test_an_output_that_is_gone_is_written_again(staged: Staged) -> None:
    """An answer is not acknowledged on the word of an earlier try whose output is not there any more."""
    world = staged.world
    submission = await world.submit()
    await staged.send(submission, records(POOL[:5]))
    stopping = StoppingJournal(world.journal.path)
    stopping.step, stopping.after = "written", True
    with pytest.raises(Stopped):
        await collect(world.mailbox, stopping, submission, service=QUICK, timeout=5)
    (world.folder / "out.dat").unlink()
    elsewhere = replace(submission, output=world.folder / "elsewhere.dat")
    result = await world.collect(elsewhere)
    assert result.output == world.folder / "elsewhere.dat"
    assert result.output.read_bytes() == records(POOL[:5])
    assert await world.waiting() == []


async def test_an_output_and_an_answer_that_are_gone_end_the_submission(staged: Staged) -> None:
    """If the answer was acknowledged and its output lost, that is said, and nobody waits for ever."""
    world = staged.world
    submission = await world.submit()
    answer = await staged.send(submission, records(POOL[:5]))
    stopping = StoppingJournal(world.journal.path)
    stopping.step, stopping.after = "written", True
    with pytest.raises(Stopped):
        await collect(world.mailbox, stopping, submission, service=QUICK, timeout=5)
    (world.folder / "out.dat").unlink()
    await world.mailbox.acknowledge(answer)
    with pytest.raises(MessageGone):
        await world.collect(submission)
    assert world.journal.get(submission.local_id).stage is Stage.FAILED


@pytest.mark.parametrize("name", ["names.csv", "rows.xlsx"])
async def test_another_name_must_not_promise_something_else(world: World, name: str) -> None:
    """A cleaned list is not written under a name that says rows, nor the reverse."""
    submission = await world.submit("out.dat")
    with pytest.raises(ConfigError):
        await world.collect(replace(submission, output=world.folder / name))
    assert (await world.collect(submission)).returned == len(staying(POOL))


async def test_a_server_that_is_down_loses_nothing(world: World) -> None:
    """Nothing is sent to a server that does not answer, and nothing is left to wait for."""
    await world.simulator.stop()
    with pytest.raises(ConnectionFailed):
        await world.submit()
    assert world.journal.pending() == ()


async def test_a_server_that_was_restarted_still_has_the_answer(
    make_simulator: MakeSimulator, practice: Path, tmp_path: Path
) -> None:
    """A list submitted before the server stopped is collected after it has started again."""
    async with AsyncExitStack() as stack:
        first = await make_simulator(data=tmp_path / "data", ndoo_reply_delay=timedelta(hours=1))
        world = await make_world(first, practice, stack)
        submission = await world.submit()
        await first.stop()
        with pytest.raises(ConnectionFailed):
            await world.collect(submission)
        world.simulator = await make_simulator(data=tmp_path / "data")
        world.simulator.clock.advance(timedelta(hours=2))
        world.mailbox = await world.open(HERE)
        result = await world.collect(submission)
    assert result.output.read_bytes() == records(staying(POOL))


# -- what has changed meanwhile ---------------------------------------------------------------------


async def test_an_answer_that_goes_before_it_is_fetched_is_reported(world: World, relay: Relay) -> None:
    """If another program acknowledges the answer first, the error says so and no output is left."""
    submission = await world.submit()
    await world.answered()
    rival = await world.open(HERE)

    async def snatch(request: web.Request) -> None:
        if request.method == "GET" and "/inbox/" in request.path:
            await rival.acknowledge(request.path.rpartition("/")[2])

    relay.meanwhile = snatch
    with pytest.raises(MessageGone, match="another program"):
        await world.collect(submission)
    assert not (world.folder / "out.dat").exists()
    assert world.leftovers() == []


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(b"")], ids=["gone", "empty"])
async def test_a_table_whose_source_is_gone_leaves_the_cleaned_list(
    world: World, spoil: Callable[[Path], object]
) -> None:
    """Without the source there are no rows to keep; the answer is written as it is, and the notes say so."""
    source = world.source(table(POOL), "patients.csv")
    submission = await submit(world.mailbox, world.journal, source, world.folder / "out.csv", service=QUICK)
    spoil(source)
    result = await world.collect(submission)
    assert result.output == world.folder / f"{submission.local_id}.dat"
    assert result.output.read_bytes() == records(staying(POOL))
    assert result.table is None
    assert "ndoo filter --answer" in " ".join(result.notes)
    assert not (world.folder / "out.csv").exists()


async def test_rows_added_since_the_submission_are_removed(world: World) -> None:
    """Nobody knows whether people on new rows have opted out, so they go, and the notes say so."""
    source = world.source(table(POOL[:30]), "patients.csv")
    submission = await submit(world.mailbox, world.journal, source, world.folder / "out.csv", service=QUICK)
    world.source(table(POOL), "patients.csv")
    result = await world.collect(submission)
    assert result.table == FilterSummary(60, 20, 40, 0, 0)
    assert "has changed" in " ".join(result.notes)


async def test_another_mailbox_cannot_collect(world: World) -> None:
    """A submission is collected from the mailbox it was made from, and the error says which that is."""
    submission = await world.submit()
    world.mailbox = await world.open("X26ABC2")
    with pytest.raises(ConfigError, match=HERE):
        await world.collect(submission)


async def test_another_server_is_not_asked_what_arrived(world: World, relay: Relay) -> None:
    """Only the server it was sent to can tell whether a list arrived; another would say that it did not."""
    relay.after = lambda request: request.method == "POST" and request.path.endswith("/outbox")
    relay.before = matching("GET", "/outbox/tracking", first=2)
    with pytest.raises(CheckError, match="do not submit it again"):
        await world.submit()
    (pending,) = world.journal.pending()
    world.mailbox = await world.open(HERE)
    with pytest.raises(ConfigError, match=relay.url):
        await world.collect(pending)
    assert world.journal.pending() == (pending,)


async def test_nothing_that_names_a_person_is_kept_in_the_journal(world: World) -> None:
    """The journal holds no NHS number after a round trip."""
    await world.check(world.source(), "out.dat")
    content = world.journal.path.read_bytes()
    assert not [number for number in POOL if b"%d" % number in content]
