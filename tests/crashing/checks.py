"""What must hold on a data folder whose server was killed: towards the clients, and on the disk."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from controls import control
from support import Caller

from crashing.load import PRACTICE, RECIPIENT, SENDER, SERVICE, collect
from crashing.told import Asked, Parcel, Told, digest

_MOST = 5000
"""The longest list that one request gives."""


async def check(url: str, told: Told, *, whole: bool = False) -> None:
    """Compare what a server that was started again has with what clients were told.

    Args:
        url: the server.
        told: what clients were told; what was compared is marked as seen.
        whole: also compare again the bodies that were compared before and have not changed since.
    """
    if told.ticking:  # what has become due is due now, and not amid the comparison
        assert (await control(url, "POST", "/admin/clock", {"advance": "1s"})).status == 200
    await _check_tokens(url, told)
    rows = await _messages(url, RECIPIENT)
    reports = await _reports(url)
    async with Caller(url, RECIPIENT) as caller:
        listed = await caller.inbox(f"max_results={_MOST}")
        count = (await caller.get("count")).json()["count"]
        assert count == len(listed) == len(set(listed))
        assert set(listed) == {row["message_id"] for row in rows.values() if row["status"] == "accepted"}
        for local_id, row in rows.items():
            parcel = told.parcels[local_id]  # nothing is there that nobody sent
            _check_status(parcel, row, told.ticking)
            assert reports[row["message_id"]] == (row["status"] == "undeliverable")
            if row["status"] == "accepted" and (whole or not parcel.seen):
                assert row["total_chunks"] == parcel.total
                await _check_bodies(caller, parcel, row["message_id"])
            parcel.seen = True
            if row["status"] in ("acknowledged", "undeliverable"):
                assert (await caller.get(f"inbox/{row['message_id']}")).status == 410
    for local_id, parcel in told.parcels.items():
        if parcel.message_id and local_id not in told.submissions:
            gone = told.ticking and not parcel.complete  # an upload that nobody completes is deleted too
            assert gone or rows[local_id]["message_id"] == parcel.message_id
    await _check_replies(url, told)


async def settle(url: str, told: Told, *, patience_s: float = 60) -> None:
    """Have all that was begun come to its end, and check that each submission has its one answer.

    Uploads are completed, what is due to be answered is answered.
    """
    if told.ticking:
        assert (await control(url, "POST", "/admin/clock", {"advance": "41m"})).status == 200
    else:
        await _complete_uploads(url, told)
    async with Caller(url, SERVICE) as caller, asyncio.timeout(patience_s):
        while (await caller.get("count")).json()["count"]:  # noqa: ASYNC110 - a process has no event
            await asyncio.sleep(0.02)
    kinds = await _check_replies(url, told)
    rows = await _messages(url, SERVICE)
    reports = await _reports(url, PRACTICE)
    for local_id in told.submissions:
        parcel = told.parcels[local_id]
        row = rows.get(local_id)
        if row is None:
            assert not parcel.message_id, "a submission that was accepted is missing"
            continue
        expired = row["status"] == "undeliverable"
        assert reports[row["message_id"]] == expired
        if expired:
            assert told.ticking
            assert not kinds[local_id, "answer"]
        else:
            assert row["status"] == "acknowledged"
            assert kinds[local_id, "receipt"] == kinds[local_id, "answer"] == 1
    await check(url, told, whole=True)


async def _complete_uploads(url: str, told: Told) -> None:
    rows = await _messages(url, RECIPIENT)
    async with Caller(url, SENDER) as caller:
        for local_id, row in rows.items():
            parcel = told.parcels[local_id]
            if row["status"] != "uploading":
                continue
            missing = [number for number in range(1, parcel.total + 1) if number not in parcel.answered]
            for place, number in enumerate(missing, 1):
                body = b"the rest of %d" % number
                parcel.offer(number, body)
                answer = await caller.send_chunk(row["message_id"], number, f"{number}:{parcel.total}", body)
                # Chunks that nobody was told of may be there too, and complete it early.
                assert answer.status == 202 or (answer.status == 423 and place > 1), answer.body
                if answer.status == 202:
                    parcel.accept(number)


def _check_status(parcel: Parcel, row: Mapping[str, Any], ticking: bool) -> None:
    status = row["status"]
    allowed = {"undeliverable"} if ticking else set()
    if parcel.acknowledged is not Asked.NO:
        allowed.add("acknowledged")
    if parcel.acknowledged is not Asked.ANSWERED:
        allowed.add("accepted")
    if not parcel.complete:
        allowed.add("uploading")
    assert status in allowed, (parcel, status)
    if status == "uploading":
        assert parcel.total > 1


async def _check_bodies(caller: Caller, parcel: Parcel, message_id: str) -> None:
    for number in range(1, parcel.total + 1):
        answer = await caller.get(f"inbox/{message_id}/{number}")
        assert answer.status == (206 if number < parcel.total else 200), answer.body
        assert digest(answer.body) in parcel.bodies[number]


async def _check_replies(url: str, told: Told) -> Counter[tuple[str, str]]:
    """Check that no submission has two receipts or answers, and what they say; count them."""
    kinds: Counter[tuple[str, str]] = Counter()
    rows = await _listed(url, f"mailbox={PRACTICE}&type=DATA")
    async with Caller(url, PRACTICE) as caller:
        for row in rows:
            message_id = row["message_id"]
            if row["status"] == "accepted" and message_id not in told.replies:
                await collect(caller, told, message_id)
            assert row["status"] != "accepted" or message_id not in told.collected
            kind = "receipt" if row["subject"] == "SUCCESS" else "answer"
            assert told.replies.get(message_id, (row["local_id"], kind)) == (row["local_id"], kind)
            kinds[row["local_id"], kind] += 1
    assert set(told.replies) <= {row["message_id"] for row in rows}
    assert all(count == 1 for count in kinds.values())
    assert {local_id for local_id, _ in kinds} <= set(told.submissions)
    return kinds


async def _check_tokens(url: str, told: Told) -> None:
    """A token that was used up before the kill is used up after it."""
    while told.tokens:
        mailbox, token = told.tokens.pop()
        async with Caller(url, mailbox) as caller:
            answer = await caller.get("count", authorization=token)
        assert answer.status == 403
        assert b"Duplicated" in answer.body


async def _messages(url: str, mailbox: str) -> dict[str, Any]:
    rows = await _listed(url, f"mailbox={mailbox}&type=DATA")
    by_local_id = {row["local_id"]: row for row in rows}
    assert len(by_local_id) == len(rows), "a message that was sent once is there twice"
    return by_local_id


async def _reports(url: str, mailbox: str = SENDER) -> Counter[str]:
    """Count the reports on each message."""
    rows = await _listed(url, f"mailbox={mailbox}&type=REPORT")
    return Counter(row["failure"]["linked_message_id"] for row in rows)


async def _listed(url: str, query: str) -> list[Any]:
    answer = await control(url, "GET", f"/admin/messages?{query}&limit={_MOST}")
    assert answer.status == 200, answer.body
    rows: list[Any] = answer.json()["messages"]
    assert len(rows) < _MOST
    return rows


# -- on the disk ------------------------------------------------------------------------------------


def check_folder(data: Path) -> None:
    """Check a folder that nobody uses: sound databases, right counts, and no file that no row names."""
    for name in ("mesh-sim.db", "tokens.db", "journal.db"):
        with closing(sqlite3.connect(data / name)) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    with closing(sqlite3.connect(data / "mesh-sim.db")) as database:
        keys = _column(database, "SELECT payload_key FROM chunks WHERE payload_key IS NOT NULL")
        discarded = _column(database, "SELECT payload_key FROM discarded")
        for wrong in _WRONG:
            assert database.execute(wrong).fetchall() == [], wrong
    payloads = data / "payloads"
    files = {str(path.relative_to(payloads)) for path in payloads.rglob("*") if path.is_file()}
    assert keys <= files, "a body is missing"
    assert files <= keys | discarded, "a file that no row names"


def _column(database: sqlite3.Connection, query: str) -> set[str]:
    return {value for (value,) in database.execute(query)}


_WRONG = (
    # The count that each inbox keeps, and positions given twice.
    """
    SELECT mailbox_id, waiting FROM inboxes WHERE waiting <>
        (SELECT COUNT(*) FROM messages WHERE recipient = mailbox_id AND status = 'accepted' AND in_inbox = 1)
    """,
    "SELECT recipient FROM messages WHERE position > 0 GROUP BY recipient, position HAVING COUNT(*) > 1",
    # Chunks without their message, and messages whose chunks do not add up.
    "SELECT message_id FROM chunks WHERE message_id NOT IN (SELECT message_id FROM messages)",
    """
    SELECT message_id FROM messages m WHERE (chunks_here, bytes_here) <>
        (SELECT COUNT(*), COALESCE(SUM(size), 0) FROM chunks c WHERE c.message_id = m.message_id)
    """,
    """
    SELECT message_id FROM messages
    WHERE status <> 'uploading' AND message_type = 'DATA' AND chunks_here <> total_chunks
    """,
    # A submission that is finished but lies in the inbox, or the other way round.
    """
    SELECT m.message_id FROM messages m JOIN submissions s ON s.message_id = m.message_id
    WHERE (s.state = 'finished' AND m.status = 'accepted')
        OR (s.state <> 'finished' AND m.status = 'acknowledged')
    """,
)
"""Queries that find nothing in a sound database."""
