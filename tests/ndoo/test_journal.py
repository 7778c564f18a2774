"""The journal: every step durable, every local id given once, every damaged file refused in words."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ndoo.errors import CheckError, ConfigError, LocalIdTaken, SubmissionUnknown
from ndoo.journal import Draft, Form, Journal, Stage, Submission, Visits
from ndoo.protocol import gets_reply

DRAFT = Draft(
    subject="NDOO_CHECK",
    url="http://127.0.0.1:8700",
    mailbox="X26ABC1",
    service_mailbox="X26HC065",
    workflow_id="SPINE_NTT_UPHOLDING",
    source=Path("/lists/patients.csv"),
    output=Path("/lists/cleared.csv"),
    form=Form.TABLE,
    column="NHS No",
    rule="checksum",
    records=1960,
    blank=40,
    skipped=3,
    duplicates=7,
    repaired=2,
    repair=True,
    replace=True,
)

BEGUN = datetime(2026, 11, 22, 10, 0, 0, 123456, tzinfo=UTC)


class Calendar:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = BEGUN

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def calendar() -> Calendar:
    """The journal's clock."""
    return Calendar()


@pytest.fixture
def journal(tmp_path: Path, calendar: Calendar) -> Journal:
    """A new journal in a folder that does not exist yet."""
    return Journal(tmp_path / "state" / "journal.db", now=calendar)


def prepare(journal: Journal, draft: Draft = DRAFT) -> Submission:
    """Record a submission with its list, under the next local id that is free."""
    while True:
        part = journal.folder / f"{os.getpid()}.part"
        part.write_bytes(b"9990000018,\n")
        try:
            return journal.prepare(draft, part, journal.next_local_id(draft.mailbox))
        except LocalIdTaken:
            continue


def reopened(journal: Journal) -> Journal:
    """The same file, as another process would open it."""
    return Journal(journal.path)


# -- steps ------------------------------------------------------------------------------------------


def test_a_draft_comes_back_as_it_was(journal: Journal) -> None:
    """What was recorded of a list is read back unchanged by the next process."""
    prepared = prepare(journal)
    found = reopened(journal).get(prepared.local_id)
    assert found == prepared
    assert {field.name: getattr(found, field.name) for field in fields(Draft)} == {
        field.name: getattr(DRAFT, field.name) for field in fields(Draft)
    }
    assert (found.stage, found.prepared_at, found.sent_at) == (Stage.PREPARED, BEGUN, None)


def test_each_step_is_on_the_disk_when_it_returns(journal: Journal, calendar: Calendar) -> None:
    """After every step another process finds exactly what the step returned."""
    local_id = prepare(journal).local_id
    steps: list[Callable[[], Submission]] = [
        lambda: journal.sent(local_id, "MESSAGE-1"),
        lambda: journal.receipted(local_id),
        lambda: journal.answered(local_id, "ANSWER-1"),
        lambda: journal.written(local_id, '{"returned": 1}'),
        lambda: journal.collected(local_id, "done"),
    ]
    taken: list[Submission] = []
    for step in steps:
        calendar.now += timedelta(minutes=1)
        taken.append(step())
        assert reopened(journal).get(local_id) == taken[-1]
    assert [each.stage for each in taken] == [
        Stage.SENT,
        Stage.SENT,
        Stage.SENT,
        Stage.WRITTEN,
        Stage.COLLECTED,
    ]
    assert taken[-1] == replace(
        journal.get(local_id),
        sent_at=BEGUN + timedelta(minutes=1),
        message_id="MESSAGE-1",
        receipt_at=BEGUN + timedelta(minutes=2),
        answer_id="ANSWER-1",
        outcome='{"returned": 1}',
        finished_at=BEGUN + timedelta(minutes=5),
        note="done",
    )


@pytest.mark.parametrize("ending", ["collected", "failed"])
def test_what_has_ended_is_not_pending(journal: Journal, ending: str) -> None:
    """Submissions wait, oldest first, until they are collected or have failed."""
    first, second, third = (prepare(journal).local_id for _ in range(3))
    journal.sent(second, "MESSAGE-2")
    assert [each.local_id for each in journal.pending()] == [first, second, third]
    if ending == "collected":
        journal.collected(second, "")
    else:
        journal.failed(second, "refused")
    assert [each.local_id for each in journal.pending()] == [first, third]


def test_a_written_output_is_still_pending(journal: Journal) -> None:
    """Until the answer is acknowledged there is something left to do."""
    local_id = prepare(journal).local_id
    journal.sent(local_id, "MESSAGE")
    journal.written(local_id, "{}")
    assert [each.local_id for each in journal.pending()] == [local_id]


def test_pending_can_be_limited_to_a_mailbox_and_a_server(journal: Journal) -> None:
    """Each mailbox and each server sees its own submissions only, if asked so."""
    here = prepare(journal)
    elsewhere = prepare(journal, replace(DRAFT, url="https://live"))
    other = prepare(journal, replace(DRAFT, mailbox="X26ABC2"))
    assert journal.pending() == (here, elsewhere, other)
    assert journal.pending(mailbox="X26ABC1") == (here, elsewhere)
    assert journal.pending(mailbox="X26ABC1", url="https://live") == (elsewhere,)
    assert journal.pending(url=DRAFT.url) == (here, other)


def test_an_end_is_not_undone(journal: Journal) -> None:
    """A collected submission neither fails nor is sent afterwards."""
    local_id = prepare(journal).local_id
    journal.sent(local_id, "MESSAGE")
    journal.collected(local_id, "")
    steps: list[Callable[[], Submission]] = [
        lambda: journal.failed(local_id, "late"),
        lambda: journal.sent(local_id, "AGAIN"),
        lambda: journal.written(local_id, "{}"),
    ]
    for step in steps:
        with pytest.raises(CheckError, match="collected already"):
            step()
    assert journal.get(local_id).stage is Stage.COLLECTED


def test_an_arrival_outweighs_a_failure_that_was_only_concluded(journal: Journal) -> None:
    """A list whose sending is confirmed late counts as sent, without the note of its failure."""
    local_id = prepare(journal).local_id
    journal.failed(local_id, "the server did not know it")
    sent = journal.sent(local_id, "MESSAGE")
    assert (sent.stage, sent.note, sent.finished_at) == (Stage.SENT, "", None)
    assert journal.pending() == (sent,)


def test_a_local_id_of_nothing_is_said_to_be_unknown(journal: Journal) -> None:
    """Asking for, or about, a submission that was never made names the local id."""
    for ask in (journal.get, journal.receipted, lambda local_id: journal.sent(local_id, "M")):
        with pytest.raises(SubmissionUnknown, match="X26ABC1-221126-0099") as raised:
            ask("X26ABC1-221126-0099")
        assert raised.value.local_id == "X26ABC1-221126-0099"


@pytest.mark.parametrize("ending", ["collected", "failed"])
def test_a_list_is_kept_until_its_submission_ends(journal: Journal, ending: str) -> None:
    """The list is there, for its owner only, as long as it may have to be sent or compared with."""
    local_id = prepare(journal).local_id
    kept = journal.list_of(local_id)
    journal.sent(local_id, "MESSAGE")
    assert kept.read_bytes() == b"9990000018,\n"
    assert stat.S_IMODE(journal.folder.stat().st_mode) == 0o700
    if ending == "collected":
        journal.collected(local_id, "")
    else:
        journal.failed(local_id, "refused")
    assert list(journal.folder.iterdir()) == []


def test_lists_of_what_has_ended_do_not_stay(journal: Journal) -> None:
    """A list that a process was killed before removing goes with the next submission; others stay."""
    awaited = prepare(journal).local_id
    ended = journal.list_of("X26ABC1-211126-0009")
    of_another = journal.list_of("X26ABC10-211126-0009")
    refused = journal.refused(awaited, "20261122100000000000_A1B2C3")
    for path in (ended, of_another, refused):
        path.write_bytes(b"9990000018,\n")
    prepare(journal)
    assert not ended.exists()
    assert all(path.exists() for path in (of_another, refused, journal.list_of(awaited)))


def test_a_refused_answer_is_kept_in_the_journals_folder(journal: Journal) -> None:
    """Whatever a server calls a message, its content is not written anywhere else."""
    assert journal.refused("X26ABC1-221126-0001", "../../etc/passwd").parent == journal.folder


def test_remarks_gather_and_do_not_repeat(journal: Journal) -> None:
    """What happened on the way is told once each, in its order."""
    local_id = prepare(journal).local_id
    for sentence in ("it was sent again", "it had arrived", "it was sent again"):
        journal.remarked(local_id, sentence)
    assert reopened(journal).get(local_id).remarks == ("it was sent again", "it had arrived")


def test_visits_are_those_of_one_mailbox_of_one_server(journal: Journal, calendar: Calendar) -> None:
    """Handshakes and looks are remembered apart, for every process, by server and mailbox."""
    journal.shook_hands("https://live", "X26ABC1")
    calendar.now += timedelta(minutes=1)
    journal.looked("https://live", "X26ABC1")
    assert reopened(journal).visits("https://live", "X26ABC1") == Visits(BEGUN, calendar.now)
    assert journal.visits("https://int", "X26ABC1") == journal.visits("https://live", "X26ABC2") == Visits()


VERSION_1 = """
    CREATE TABLE submissions (
        position INTEGER PRIMARY KEY, local_id TEXT NOT NULL UNIQUE, month TEXT NOT NULL,
        number INTEGER NOT NULL, stage TEXT NOT NULL, subject TEXT NOT NULL, url TEXT NOT NULL,
        mailbox TEXT NOT NULL, service_mailbox TEXT NOT NULL, workflow_id TEXT NOT NULL, source BLOB NOT NULL,
        output BLOB NOT NULL, form TEXT NOT NULL, column TEXT, rule TEXT NOT NULL, records INTEGER NOT NULL,
        blank INTEGER NOT NULL, skipped INTEGER NOT NULL, prepared_at TEXT NOT NULL, sent_at TEXT,
        message_id TEXT NOT NULL DEFAULT '', receipt_at TEXT, answer_id TEXT NOT NULL DEFAULT '',
        outcome TEXT NOT NULL DEFAULT '', finished_at TEXT, note TEXT NOT NULL DEFAULT '',
        UNIQUE (mailbox, month, number)
    );
    INSERT INTO submissions (
        local_id, month, number, stage, subject, url, mailbox, service_mailbox, workflow_id, source, output,
        form, rule, records, blank, skipped, prepared_at, sent_at, message_id
    ) VALUES (
        'X26ABC1-221126-0004', '2026-11', 4, 'sent', 'NDOO_CHECK', 'https://live', 'X26ABC1', 'X26HC065',
        'SPINE_NTT_UPHOLDING', x'2f61', x'2f62', 'table', 'checksum', 10, 0, 0,
        '2026-11-22T10:00:00+00:00', '2026-11-22T10:00:01+00:00', 'MESSAGE'
    );
    PRAGMA application_id = 0x6E646F6F;
    PRAGMA user_version = 1;
"""


def test_a_journal_of_the_first_version_is_gone_on_with(tmp_path: Path, calendar: Calendar) -> None:
    """What waits in an older journal is still collected, and its numbers are counted on."""
    path = tmp_path / "journal.db"
    connection = sqlite3.connect(path)
    connection.executescript(VERSION_1)
    connection.close()
    journal = Journal(path, now=calendar)
    (waiting,) = journal.pending()
    assert (waiting.local_id, waiting.output) == ("X26ABC1-221126-0004", Path("/b"))
    assert (waiting.duplicates, waiting.repair, waiting.remarks) == (0, False, ())
    assert journal.collected(waiting.local_id, "done").stage is Stage.COLLECTED
    assert prepare(reopened(journal)).local_id.endswith("-0005")


# -- local ids --------------------------------------------------------------------------------------


def test_local_ids_count_within_the_month_and_mailbox(journal: Journal, calendar: Calendar) -> None:
    """The number goes on from day to day, starts over with the month, and each mailbox has its own."""
    given = [prepare(journal).local_id]
    given.append(prepare(journal, replace(DRAFT, mailbox="X26ABC2")).local_id)
    calendar.now += timedelta(days=1)
    given.append(prepare(journal).local_id)
    calendar.now = datetime(2026, 12, 1, tzinfo=UTC)
    given.append(prepare(journal).local_id)
    calendar.now = datetime(2027, 12, 1, tzinfo=UTC)
    given.append(prepare(journal).local_id)
    assert given == [
        "X26ABC1-221126-0001",
        "X26ABC2-221126-0001",
        "X26ABC1-231126-0002",
        "X26ABC1-011226-0001",
        "X26ABC1-011227-0001",
    ]
    assert all(map(gets_reply, given))


def prepare_some(path: Path) -> list[str]:
    """Prepare fifteen submissions, in a process of its own."""
    journal = Journal(path, now=lambda: BEGUN)
    return [prepare(journal).local_id for _ in range(15)]


def test_two_processes_never_get_the_same_local_id(tmp_path: Path) -> None:
    """Processes that prepare at once, on a journal that does not exist yet, share out the numbers."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        given = [
            local_id
            for local_ids in processes.map(prepare_some, [tmp_path / "journal.db"] * 2)
            for local_id in local_ids
        ]
    assert Counter(given) == Counter(f"X26ABC1-221126-{number:04d}" for number in range(1, 31))


def test_a_local_id_that_was_taken_meanwhile_is_not_given_twice(journal: Journal) -> None:
    """The second to ask for a proposed local id is told so, and keeps its list."""
    proposed = journal.next_local_id("X26ABC1")
    first = prepare(journal)
    part = journal.folder / "mine.part"
    part.write_bytes(b"9990000026,\n")
    with pytest.raises(LocalIdTaken):
        journal.prepare(DRAFT, part, proposed)
    assert (first.local_id, journal.list_of(proposed).read_bytes()) == (proposed, b"9990000018,\n")
    assert part.exists()


def test_numbers_can_be_left_out(journal: Journal) -> None:
    """A local id that a server knows from elsewhere can be passed over."""
    assert journal.next_local_id("X26ABC1", skip=3) == "X26ABC1-221126-0004"


# -- the file ---------------------------------------------------------------------------------------


def test_nobody_else_can_read_it(journal: Journal) -> None:
    """File and folder are made for their owner only."""
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(journal.path.parent.stat().st_mode) == 0o700


@settings(max_examples=25, deadline=None)
@given(
    name=st.binary(min_size=1, max_size=40).filter(lambda name: b"/" not in name and b"\0" not in name),
    column=st.none() | st.text(st.characters(codec="utf-8"), max_size=20),
    records=st.integers(0, 2**62),
)
def test_any_file_name_survives(
    tmp_path_factory: pytest.TempPathFactory, name: bytes, column: str | None, records: int
) -> None:
    """Names that are not text in any encoding, and any column and count, are read back as they were."""
    journal = Journal(tmp_path_factory.mktemp("journal") / "journal.db")
    path = Path("/lists") / os.fsdecode(name)
    prepared = prepare(journal, replace(DRAFT, source=path, output=path, column=column, records=records))
    found = journal.get(prepared.local_id)
    assert (found.source, found.output, found.column, found.records) == (path, path, column, records)


@pytest.mark.parametrize("ending", ["collected", "failed"])
def test_a_note_may_name_any_file(journal: Journal, ending: str) -> None:
    """What is no character in a note is replaced, and the rest of it stays."""
    local_id = prepare(journal).local_id
    journal.sent(local_id, "MESSAGE")
    name = os.fsdecode(b"Pr\xe9.csv")
    step = journal.collected if ending == "collected" else journal.failed
    assert step(local_id, f"élan, written to {name}").note == "élan, written to Pr?.csv"


def damaged(path: Path) -> None:
    """Overwrite the middle of the file."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * (size - 100))


def not_a_database(path: Path) -> None:
    """Put text in its place."""
    path.write_text("mailbox = X26ABC1\n" * 100)


def of_another_program(path: Path) -> None:
    """Put somebody else's database in its place."""
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()


def of_a_newer_version(path: Path) -> None:
    """Say that a later version wrote it."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 3")
    connection.close()


def a_folder(path: Path) -> None:
    """Put a folder in its place."""
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (damaged, "damaged"),
        (not_a_database, "not a journal"),
        (of_another_program, "another program's"),
        (of_a_newer_version, "newer ndoo"),
        (a_folder, "cannot be opened"),
    ],
)
def test_a_file_that_is_no_journal_is_refused_in_words(
    journal: Journal, spoil: Callable[[Path], None], reason: str
) -> None:
    """The error names the file and says what is wrong with it, and the file stays as it is."""
    prepare(journal)
    spoil(journal.path)
    before = journal.path.read_bytes() if journal.path.is_file() else None
    with pytest.raises(ConfigError, match=reason) as raised:
        Journal(journal.path).pending()
    assert str(journal.path) in str(raised.value)
    assert before == (journal.path.read_bytes() if journal.path.is_file() else None)


def test_a_journal_that_another_program_replaced_is_refused_at_the_next_step(journal: Journal) -> None:
    """Damage that comes after opening is reported too, not raised as an error of the database."""
    local_id = prepare(journal).local_id
    not_a_database(journal.path)
    with pytest.raises(ConfigError, match="not a journal"):
        journal.sent(local_id, "MESSAGE")


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """A folder that cannot be made is an error with the journal's path in it."""
    (tmp_path / "state").write_text("a file where the folder should be")
    with pytest.raises(ConfigError, match=r"journal\.db: the journal of submissions cannot be used"):
        Journal(tmp_path / "state" / "journal.db")
