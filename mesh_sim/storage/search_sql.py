"""The SQL of looking for messages; its dialect is that of ``sql``.

A search's statements are put together from what is wanted. It takes rows from one *source*, a condition that
has an index of its own, and lets through what the other conditions, the *filters*, allow. A filter is never
on a plain column, or the engine might prefer another index than the source's, and would have to sort.
"""

# ruff: noqa: S608 - put together from constants; values never get into a text

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

from mesh_sim.exchange.ports import Search, Side
from mesh_sim.exchange.states import Status
from mesh_sim.storage import sql
from mesh_sim.storage.database import Value
from mesh_sim.storage.times import micros

Key: TypeAlias = tuple[Value, ...]
"""Where a row is in an order: the values of the order's columns."""

_PLACE: Final = re.compile("[?]")

_AFTER_IDS: Final = "z"
"""Sorts after everything that an id is made of, digits, capital letters and ``_``, in any collation."""

_HIGHEST: Final = 2**63 - 1
"""Later than any time, and above any position."""

_OWN: Final = {Side.INBOX: "recipient", Side.OUTBOX: "sender"}
_OTHER: Final = {Side.INBOX: "sender", Side.OUTBOX: "recipient"}
_HELD: Final = {Side.INBOX: "in_inbox = 1", Side.OUTBOX: "in_outbox = 1"}


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of SQL with a ``?`` for each of its values, in order."""

    text: str
    values: tuple[Value, ...] = ()


EVERYTHING: Final = Piece("1 = 1")
"""The condition that every row fulfils."""


class Order(Enum):
    """The columns by which a search's messages are in order, downwards."""

    CREATION = ("created_at", "message_id")
    ARRIVAL = ("position",)
    ID = ("message_id",)

    @property
    def descending(self) -> str:
        """The order as a query says it."""
        return ", ".join(f"{column} DESC" for column in self.value)

    def compared(self, comparison: str, key: Key) -> Piece:
        """Compare a row's place with another one's."""
        columns = ", ".join(self.value)
        places = ", ".join("?" for _ in self.value)
        return Piece(f"({columns}) {comparison} ({places})", key)


def order_of(wanted: Search) -> Order:
    """Say in which order a search gives its messages."""
    if wanted.message_id:
        return Order.ID
    at_any_time = wanted.since is None and wanted.until is None
    if wanted.side is Side.INBOX and wanted.status is Status.ACCEPTED and at_any_time:
        return Order.ARRIVAL
    return Order.CREATION


def span_of(wanted: Search) -> tuple[Key, Key | None]:
    """Give the places between which everything wanted is: below the first, not below the second."""
    match order_of(wanted):
        case Order.ID:
            return (wanted.message_id + _AFTER_IDS,), (wanted.message_id,)
        case Order.ARRIVAL:
            return (_HIGHEST,), None
        case Order.CREATION:
            below = (micros(wanted.until) if wanted.until else _HIGHEST, "")
            return below, ((micros(wanted.since), "") if wanted.since else None)


# -- sources ----------------------------------------------------------------------------------------


def ordered_source(mailbox_id: str, wanted: Search) -> Piece:
    """Give the source whose index is in the order wanted, so that it can be followed from any place."""
    own = f"{_OWN[wanted.side]} = ?"
    if wanted.message_id:
        return EVERYTHING
    if wanted.status in sql.RARE_STATUSES:
        return Piece(f"{own} AND status = ? AND {sql.RARE}", (mailbox_id, wanted.status.value))
    if order_of(wanted) is Order.ARRIVAL:
        return Piece(f"{own} AND status = 'accepted' AND in_inbox = 1", (mailbox_id,))
    return Piece(own, (mailbox_id,))


def other_source(wanted: Search) -> Piece | None:
    """Give another source in the order wanted: what the mailbox at the other end has, if that is given."""
    if not wanted.other or order_of(wanted) is not Order.CREATION or wanted.status in sql.RARE_STATUSES:
        return None
    return Piece(f"{_OTHER[wanted.side]} = ?", (wanted.other,))


def narrow_sources(mailbox_id: str, wanted: Search) -> Iterable[Piece]:
    """Give the sources that may turn out to have few rows, which can then be sorted."""
    if wanted.message_id:
        yield _ids(wanted.message_id)
    if wanted.local_id:
        sender = mailbox_id if wanted.side is Side.OUTBOX else wanted.other
        yield _all_of(
            [Piece("local_id = ? AND local_id <> ''", (wanted.local_id,))]
            + ([Piece("sender = ?", (sender,))] if sender else [])
        )
    if wanted.other:
        yield Piece(f"{_OTHER[wanted.side]} = ?", (wanted.other,))
    if wanted.message_id:  # among the ids, a small mailbox's may be far between
        yield Piece(f"{_OWN[wanted.side]} = ?", (mailbox_id,))


def _ids(prefix: str) -> Piece:
    return Piece("message_id >= ? AND message_id < ?", (prefix, prefix + _AFTER_IDS))


# -- filters ----------------------------------------------------------------------------------------


def filters(mailbox_id: str, wanted: Search) -> list[Piece]:
    """Give what makes of a source's rows those that are wanted."""
    found = [Piece(_HELD[wanted.side])]
    exactly = {
        _OWN[wanted.side]: mailbox_id,
        _OTHER[wanted.side]: wanted.other,
        "local_id": wanted.local_id,
        "status": wanted.status.value if wanted.status else "",
        "message_type": wanted.message_type.value if wanted.message_type else "",
    }
    found += [Piece(f"{column} || '' = ?", (value,)) for column, value in exactly.items() if value]
    parts = {"workflow_id": wanted.workflow_id, "subject": wanted.subject}
    found += [
        Piece(f"replace(lower({column}), ?, '') <> lower({column})", (part.lower(),))
        for column, part in parts.items()
        if part
    ]
    if wanted.message_id:
        found.append(Piece("substr(message_id, 1, length(?)) = ?", (wanted.message_id, wanted.message_id)))
    if wanted.since is not None:
        found.append(Piece("created_at + 0 >= ?", (micros(wanted.since),)))
    if wanted.until is not None:
        found.append(Piece("created_at + 0 < ?", (micros(wanted.until),)))
    return found


# -- statements -------------------------------------------------------------------------------------


def count(source: Piece, limit: int) -> Piece:
    """Count a source's rows, but not beyond ``limit``."""
    few = f"SELECT 1 FROM messages WHERE {source.text} LIMIT ?"
    return _numbered(Piece(f"SELECT COUNT(*) FROM ({few}) AS few", (*source.values, limit)))


def sorted_rows(source: Piece, most: int, conditions: Sequence[Piece], order: Order, limit: int) -> Piece:
    """Take up to ``most`` rows of a source, and give those that fulfil the conditions, sorted."""
    all_of = _all_of(conditions)
    return _numbered(
        Piece(
            f"SELECT {sql.MESSAGE_COLUMNS} FROM "
            f"(SELECT {sql.MESSAGE_COLUMNS} FROM messages WHERE {source.text} LIMIT ?) AS few "
            f"WHERE {all_of.text} ORDER BY {order.descending} LIMIT ?",
            (*source.values, most, *all_of.values, limit),
        )
    )


def rows_between(conditions: Sequence[Piece], order: Order, limit: int) -> Piece:
    """Give the rows that fulfil the conditions, along the index of the source among them."""
    all_of = _all_of(conditions)
    return _numbered(
        Piece(
            f"SELECT {sql.MESSAGE_COLUMNS} FROM messages WHERE {all_of.text} "
            f"ORDER BY {order.descending} LIMIT ?",
            (*all_of.values, limit),
        )
    )


def place_of(conditions: Sequence[Piece], order: Order, number: int) -> Piece:
    """Give ``created_at``, ``message_id`` and ``position`` of the row with this number, from 1, in order."""
    all_of = _all_of(conditions)
    return _numbered(
        Piece(
            f"SELECT created_at, message_id, position FROM messages WHERE {all_of.text} "
            f"ORDER BY {order.descending} LIMIT 1 OFFSET ?",
            (*all_of.values, number - 1),
        )
    )


def _all_of(conditions: Sequence[Piece]) -> Piece:
    return Piece(
        " AND ".join(condition.text for condition in conditions),
        tuple(value for condition in conditions for value in condition.values),
    )


def _numbered(statement: Piece) -> Piece:
    numbers = itertools.count(1)
    return Piece(_PLACE.sub(lambda _: f"${next(numbers)}", statement.text), statement.values)


# -- what is always looked for alike ----------------------------------------------------------------

LAST_ARRIVED: Final = """
    SELECT message_id, position FROM messages
    WHERE recipient = $1 AND (created_at, message_id) <= ($2, $3) AND position > 0
    ORDER BY created_at DESC, message_id DESC LIMIT 1
"""

TALLY: Final = f"""
    SELECT
        COALESCE((SELECT waiting FROM inboxes WHERE mailbox_id = $1), 0),
        (SELECT COUNT(*) FROM (
            SELECT 1 FROM messages
            WHERE sender = $1 AND {sql.RARE} AND status = 'uploading' AND in_outbox = 1 LIMIT $2
        ) AS uploading),
        (SELECT COUNT(*) FROM (
            SELECT 1 FROM messages
            WHERE recipient = $1 AND {sql.RARE} AND status = 'undeliverable' AND in_inbox = 1 LIMIT $2
        ) AS uncollected)
"""

# A report has no sender, but says whom the message was for that it is about.
RELATED: Final = f"""
    SELECT {sql.MESSAGE_COLUMNS} FROM (
        SELECT {sql.MESSAGE_COLUMNS} FROM messages
        WHERE local_id = $1 AND local_id <> '' AND sender = $2 LIMIT 1000
    ) AS few
    WHERE (recipient = $3 AND sender || intended_recipient = $4)
        OR (recipient = $4 AND sender || intended_recipient = $3)
    ORDER BY abs(created_at - $5) LIMIT $6
"""
LINKED: Final = f"""
    SELECT {sql.MESSAGE_COLUMNS} FROM messages
    WHERE linked_message_id = $1 AND linked_message_id <> '' LIMIT $2
"""
CHUNKS_HERE: Final = """
    SELECT number, size FROM chunks WHERE message_id = $1 AND number > $2 ORDER BY number LIMIT $3
"""
CHUNK_COUNT: Final = "SELECT chunks_here FROM messages WHERE message_id = $1"
