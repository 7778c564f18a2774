"""Submissions as people list them: the newest first, page by page, by mailbox and by how they ended."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import sqlite3
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from kept_messages import NOON, kept, message, opened

from mesh_sim.exchange.ports import Moment
from mesh_sim.optouts.submissions import Conclusion, Outcome, Submission
from mesh_sim.storage import sql
from mesh_sim.storage.messages import SqlMessageStore
from mesh_sim.storage.submissions import SqlSubmissions

HOUR = timedelta(hours=1)
COUNT = 60


@pytest.fixture
async def submissions(tmp_path: Path) -> AsyncIterator[SqlSubmissions]:
    """Submissions of two mailboxes, several received at the same moment, and ended in every way."""
    random = Random(3)
    async with opened(tmp_path) as database:
        submissions = SqlSubmissions(database)
        sent = [
            message(
                f"M{number:03d}",
                sender=random.choice("AB"),
                recipient="SERVICE",
                accepted_at=NOON + timedelta(seconds=number // 4),
            )
            for number in range(COUNT)
        ]
        random.shuffle(sent)
        await kept(SqlMessageStore(database), *sent)
        claims = await submissions.claim(
            "SERVICE", "hand", limit=COUNT, now=NOON + HOUR, real=NOON, until=NOON + HOUR
        )
        ends = [(claim, random.choice([None, *Outcome])) for claim in claims]
        finished = [
            submissions.finish(claim, Conclusion(outcome, NOON)) for claim, outcome in ends if outcome
        ]
        assert all(await asyncio.gather(*finished))
        yield submissions


CHOICES = list(itertools.product(("", "A", "C"), (None, *Outcome), (False, True)))


async def test_each_page_goes_on_where_the_last_one_ended(submissions: SqlSubmissions) -> None:
    """Whatever they are chosen by, the pages hold every submission once, those received last first."""
    known = [await submissions.submission(f"M{number:03d}") for number in range(COUNT)]
    made = sorted(
        (each for each in known if each), key=lambda each: (each.received_at, each.message_id), reverse=True
    )
    assert len(made) == COUNT
    for mailbox, outcome, open_only in CHOICES:
        found: list[Submission] = []
        before = None
        while page := await submissions.recent(
            mailbox=mailbox, outcome=outcome, open_only=open_only, before=before, limit=7
        ):
            assert len(page) <= 7
            found += page
            before = Moment(page[-1].received_at, page[-1].message_id)
        assert found == [
            each
            for each in made
            if mailbox in ("", each.mailbox)
            and outcome in (None, each.outcome)
            and not (open_only and each.outcome)
        ], (mailbox, outcome, open_only)


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (sql.RECENT_SUBMISSIONS, "submissions_received"),
        (sql.RECENT_WITH_OUTCOME, "submissions_outcome"),
        (sql.RECENT_OF_MAILBOX, "submissions_mailbox"),
    ],
)
def test_submissions_are_listed_along_an_index(statement: str, index: str) -> None:
    """A page costs the same however many submissions there are."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        for made in sql.OPTOUT_SCHEMA:
            connection.execute(made)
        query, count = re.subn(r"\$\d+", "?", statement)
        ((*_, step),) = connection.execute(f"EXPLAIN QUERY PLAN {query}", [1] * count)
    assert f"USING INDEX {index} (" in step
